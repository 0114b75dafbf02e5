//! The episodes of one direction, and where the current one was worst.

use crate::{
    episode::Episodes,
    state::{Loaded, Reader, Writer},
    window::{MOST_QUIET, Window},
};

#[derive(Debug, Clone, Default)]
pub(super) struct Series {
    pub(super) episodes: Episodes,
    pub(super) calm: u32,
    pub(super) lasted: u32,
    pub(super) worst: Option<Judged>,
}

/// Windows that were judged together: the newest one, how many, and their lines; of a spike without
/// those that a burst of errors accounts for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Judged {
    pub(super) window: Window,
    pub(super) span: usize,
    pub(super) observed: f64,
}

impl Series {
    /// Remembers where it was worst: the most lines per window (`up`), or the fewest.
    pub(super) fn note(&mut self, judged: Judged, up: bool) {
        let per_window = |judged: &Judged| judged.observed / judged.span as f64;
        let worse = self.worst.as_ref().is_none_or(|worst| {
            if up {
                per_window(&judged) >= per_window(worst)
            } else {
                per_window(&judged) <= per_window(worst)
            }
        });
        if worse {
            self.worst = Some(judged);
        }
    }
}

impl Series {
    pub(super) fn save(&self, to: &mut Writer) {
        self.episodes.save(to);
        to.u32(self.calm);
        to.u32(self.lasted);
        to.maybe(self.worst, |worst, to| {
            worst.window.save(to);
            to.u64(worst.span as u64);
            to.f64(worst.observed);
        });
    }

    pub(super) fn load(from: &mut Reader<'_>) -> Loaded<Self> {
        Ok(Self {
            episodes: Episodes::load(from)?,
            calm: from.u32()?,
            lasted: from.u32()?,
            worst: from.maybe(|from| {
                let window = Window::load(from)?;
                let span = from.count()? as usize;
                if span == 0 || span > MOST_QUIET as usize {
                    return Err("a span that is not judged");
                }
                let observed = from.amount()?;
                Ok(Judged {
                    window,
                    span,
                    observed,
                })
            })?,
        })
    }
}
