//! What is counted of each open window beside its lines.

use crate::{
    codec::{Loaded, Reader, Writer},
    record::time::EventTime,
};

/// Open windows at the most, those ahead included; further ones are not counted.
const MOST_OPEN: usize = 64;

/// By the start of the window.
#[derive(Debug, Clone)]
pub(crate) struct Beside<T>(Vec<(EventTime, T)>);

impl<T> Default for Beside<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Default> Beside<T> {
    /// `None`: there are too many.
    pub(crate) fn of(&mut self, start: EventTime) -> Option<&mut T> {
        let at = match self.0.iter().rposition(|(open, _)| *open == start) {
            Some(at) => at,
            None if self.0.len() < MOST_OPEN => {
                self.0.push((start, T::default()));
                self.0.len() - 1
            }
            None => return None,
        };
        self.0.get_mut(at).map(|(_, counted)| counted)
    }

    pub(crate) fn get(&self, start: EventTime) -> Option<&T> {
        let mut newest_first = self.0.iter().rev();
        newest_first
            .find(|(open, _)| *open == start)
            .map(|(_, counted)| counted)
    }

    /// The window is closed, and so are those before it.
    pub(crate) fn take(&mut self, start: EventTime) -> T {
        let at = self.0.iter().position(|(open, _)| *open == start);
        let counted = at.map_or_else(T::default, |at| self.0.swap_remove(at).1);
        self.0.retain(|(open, _)| *open > start);
        counted
    }

    pub(crate) fn all(&mut self) -> impl Iterator<Item = &mut T> {
        self.0.iter_mut().map(|(_, counted)| counted)
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    pub(crate) fn save(&self, to: &mut Writer, save: impl Fn(&T, &mut Writer)) {
        to.u64(self.0.len() as u64);
        for (start, counted) in &self.0 {
            to.moment(*start);
            save(counted, to);
        }
    }

    pub(crate) fn load<'a>(
        from: &mut Reader<'a>,
        load: impl Fn(&mut Reader<'a>) -> Loaded<T>,
    ) -> Loaded<Self> {
        let open = (0..from.length(MOST_OPEN, 2)?)
            .map(|_| Ok((from.moment()?, load(from)?)))
            .collect::<Loaded<_>>()?;
        Ok(Self(open))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_is_gone_with_all_before_it_and_there_is_a_bound() {
        let mut beside = Beside::<u64>::default();
        for start in [30, 10, 20] {
            *beside.of(EventTime(start)).unwrap() += start as u64;
        }
        *beside.of(EventTime(20)).unwrap() += 1;
        assert_eq!(beside.take(EventTime(20)), 21);
        assert_eq!(beside.get(EventTime(10)), None);
        assert_eq!(beside.take(EventTime(25)), 0);
        assert_eq!(beside.get(EventTime(30)), Some(&30));
        for start in 0..2 * MOST_OPEN as i64 {
            beside.of(EventTime(start));
        }
        assert!(beside.of(EventTime(1_000)).is_none());
    }
}
