//! What most services need nothing of: kept on the heap, and only where it is needed.

use super::closing::Closing;
use crate::{
    codec::{Loaded, Reader, Writer},
    config::Config,
    episode::Telling,
    record::time::EventTime,
};

/// What a family keeps of one service.
pub(super) trait Kept: Sized {
    fn new(config: &Config) -> Self;

    fn is_open(&self) -> bool;

    /// A window closed. `is_told`: something more telling is open.
    fn window_closed(&mut self, closing: &mut Closing<'_>, is_told: bool);

    /// See [`crate::episode::Episodes::clock_set`].
    fn clock_set(&mut self, to: EventTime);

    /// What is open ends here.
    fn give_up(&mut self, telling: &mut Telling<'_>);

    fn save(&self, to: &mut Writer);

    fn load(from: &mut Reader<'_>, config: &Config) -> Loaded<Self>;
}

#[derive(Debug, Clone)]
pub(crate) struct OnHeap<T>(Option<Box<T>>);

impl<T> Default for OnHeap<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T: Kept> OnHeap<T> {
    /// `None`: nothing has come that it would have to keep.
    pub(super) fn kept(&self) -> Option<&T> {
        self.0.as_deref()
    }

    pub(super) fn kept_mut(&mut self) -> Option<&mut T> {
        self.0.as_deref_mut()
    }

    /// From now on there is something to keep.
    pub(super) fn begun(&mut self, config: &Config) -> &mut T {
        self.0.get_or_insert_with(|| Box::new(T::new(config)))
    }

    pub(super) fn is_open(&self) -> bool {
        self.kept().is_some_and(T::is_open)
    }

    pub(super) fn window_closed(&mut self, closing: &mut Closing<'_>, is_told: bool) {
        if let Some(kept) = self.kept_mut() {
            kept.window_closed(closing, is_told);
        }
    }

    pub(super) fn clock_set(&mut self, to: EventTime) {
        if let Some(kept) = self.kept_mut() {
            kept.clock_set(to);
        }
    }

    pub(super) fn give_up(&mut self, telling: &mut Telling<'_>) {
        if let Some(kept) = self.kept_mut() {
            kept.give_up(telling);
        }
    }

    pub(super) fn save(&self, to: &mut Writer) {
        to.maybe(self.kept(), T::save);
    }

    pub(super) fn load(from: &mut Reader<'_>, config: &Config) -> Loaded<Self> {
        let kept = from.maybe(|from| T::load(from, config).map(Box::new))?;
        Ok(Self(kept))
    }
}
