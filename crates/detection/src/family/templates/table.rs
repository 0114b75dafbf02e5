//! How often a service says each of the things it says most.
//!
//! Invariants: a template's place in the table stays while it is there, so that open windows can count by
//! place; places are bounded, and where they are all taken the one that is said least makes room, one in a
//! window.

use hashbrown::HashTable;

use crate::{
    codec::{Loaded, Reader, Writer},
    record::{Observation, time::EventTime},
    stat::{Rhythm, ShareDispersion},
    window::Beside,
};

/// Templates whose lines are counted.
pub(super) const MOST: usize = 64;
/// Windows of a span; one follows the other.
pub(super) const SPANS: [usize; 3] = [1, 6, 30];
/// Bytes of a line that stand for its template.
const EXAMPLE_BYTES: usize = 96;
/// Half-life 69 windows.
const FORGET: f32 = 0.99;
/// A template that was not said for so many windows is forgotten, unless it is told that it is not.
const FORGOTTEN_AFTER: u32 = 3 * 360;

/// Of one template.
#[derive(Debug, Clone, Default)]
pub(super) struct Row {
    pub(super) template: u64,
    /// The beginning of its first line.
    pub(super) example: Box<str>,
    /// Windows since its first line, those in which nothing is learned left out.
    pub(super) learned: u32,
    /// Lines, and windows, that are remembered.
    lines: f32,
    windows: f32,
    pub(super) spans: [(u64, ShareDispersion); SPANS.len()],
    /// When its lines come, and those missed since the last.
    pub(super) rhythm: Rhythm,
    pub(super) missed: f32,
}

/// Counts of a window, by place.
#[derive(Debug, Clone, Default)]
pub(super) struct Counts {
    pub(super) total: u64,
    of: Vec<u32>,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Table {
    /// By place; `None`: free.
    rows: Vec<Option<Row>>,
    places: HashTable<(u64, u8)>,
    open: Beside<Counts>,
    /// A line found no place since the last window closed.
    is_short: bool,
}

impl Row {
    /// Lines of an ordinary window.
    pub(super) fn mean(&self) -> f64 {
        f64::from(self.lines) / f64::from(self.windows.max(1.0))
    }

    /// Share of `mean` lines that a window usually has, 0 to 1.
    pub(super) fn share(&self, mean: f64) -> f64 {
        (self.mean() / mean.max(1e-9)).min(1.0)
    }

    /// Lines, as far as they are remembered.
    pub(super) fn remembered(&self) -> f32 {
        self.lines
    }

    pub(super) fn learn(&mut self, count: u64) {
        self.learned = (self.learned + 1).min(u32::MAX / 2);
        self.lines = self.lines * FORGET + count as f32;
        self.windows = self.windows * FORGET + 1.0;
    }

    /// Other counts are usual from now on.
    pub(super) fn forget(&mut self) {
        *self = Self {
            template: self.template,
            example: std::mem::take(&mut self.example),
            ..Self::default()
        };
    }
}

impl Counts {
    pub(super) fn at(&self, place: usize) -> u64 {
        self.of.get(place).copied().map_or(0, u64::from)
    }

    fn count(&mut self, place: Option<usize>) {
        self.total += 1;
        let Some(place) = place else { return };
        if self.of.len() <= place {
            self.of.resize(place + 1, 0);
        }
        self.of[place] = self.of[place].saturating_add(1);
    }
}

impl Table {
    /// A line, in the window that begins at `start`. `former`: ids it had before, asked where
    /// it is not in the table.
    pub(super) fn count<'a>(
        &mut self,
        seen: &Observation<'_>,
        start: EventTime,
        former: impl FnOnce() -> &'a [u64],
    ) {
        let place = self
            .place(seen.template)
            .or_else(|| self.admit(seen, former()));
        if let Some(counts) = self.open.of(start) {
            counts.count(place);
        }
    }

    fn place(&self, template: u64) -> Option<usize> {
        let found = self.places.find(template, |(other, _)| *other == template);
        found.map(|(_, place)| usize::from(*place))
    }

    #[cold]
    fn admit(&mut self, seen: &Observation<'_>, former: &[u64]) -> Option<usize> {
        let template = seen.template;
        if let Some(place) = former.iter().find_map(|id| self.place(*id)) {
            // What had another id goes on under this one.
            self.leave(place);
            if let Some(row) = self.rows[place].as_mut() {
                row.template = template;
            }
            self.enter(template, place);
            return Some(place);
        }
        let free = self.rows.iter().position(Option::is_none);
        let place = match free {
            Some(place) => place,
            None if self.rows.len() < MOST => {
                self.rows.push(None);
                self.rows.len() - 1
            }
            None => {
                self.is_short = true;
                return None;
            }
        };
        let example = &seen.message[..seen.message.floor_char_boundary(EXAMPLE_BYTES)];
        self.rows[place] = Some(Row {
            template,
            example: example.into(),
            ..Row::default()
        });
        self.enter(template, place);
        Some(place)
    }

    fn enter(&mut self, template: u64, place: usize) {
        self.places
            .insert_unique(template, (template, place as u8), |(id, _)| *id);
    }

    /// Its id leads nowhere from now on.
    fn leave(&mut self, place: usize) {
        let Some(row) = &self.rows[place] else { return };
        if let Ok(entry) = self
            .places
            .find_entry(row.template, |(other, _)| *other == row.template)
        {
            entry.remove();
        }
    }

    pub(super) fn remove(&mut self, place: usize) {
        self.leave(place);
        self.rows[place] = None;
        for counts in self.open.all() {
            if let Some(count) = counts.of.get_mut(place) {
                *count = 0;
            }
        }
    }

    /// With its place.
    pub(super) fn rows(&self) -> impl Iterator<Item = (usize, &Row)> {
        let rows = self.rows.iter().enumerate();
        rows.filter_map(|(place, row)| Some((place, row.as_ref()?)))
    }

    pub(super) fn rows_mut(&mut self) -> impl Iterator<Item = (usize, &mut Row)> {
        let rows = self.rows.iter_mut().enumerate();
        rows.filter_map(|(place, row)| Some((place, row.as_mut()?)))
    }

    pub(super) fn row(&self, place: usize) -> Option<&Row> {
        self.rows.get(place)?.as_ref()
    }

    pub(super) fn row_mut(&mut self, place: usize) -> Option<&mut Row> {
        self.rows.get_mut(place)?.as_mut()
    }

    /// Counts of a window that is open.
    pub(super) fn open(&self, start: EventTime) -> Option<&Counts> {
        self.open.get(start)
    }

    /// Counts of a window that closes.
    pub(super) fn take(&mut self, start: EventTime) -> Counts {
        self.open.take(start)
    }

    /// What is open is forgotten.
    pub(super) fn clear_open(&mut self) {
        self.open.clear();
    }

    /// Makes room where there was none, and forgets what was not said for long; but for the row at `kept`.
    pub(super) fn tidy(&mut self, kept: Option<usize>) {
        let goes = |(place, row): &(usize, &Row)| {
            Some(*place) != kept && row.rhythm.missing() >= FORGOTTEN_AFTER
        };
        let gone = self.rows().find(goes).map(|(place, _)| place);
        let is_short = std::mem::take(&mut self.is_short);
        let least = || {
            let others = self.rows().filter(|(place, _)| Some(*place) != kept);
            let least = others.min_by(|(_, one), (_, other)| one.lines.total_cmp(&other.lines));
            least.map(|(place, _)| place)
        };
        if let Some(place) = gone.or_else(|| is_short.then(least).flatten()) {
            self.remove(place);
        }
    }

    pub(super) fn save(&self, to: &mut Writer) {
        to.u64(self.rows.len() as u64);
        for row in &self.rows {
            to.maybe(row.as_ref(), Row::save);
        }
        self.open.save(to, Counts::save);
        to.flag(self.is_short);
    }

    pub(super) fn load(from: &mut Reader<'_>) -> Loaded<Self> {
        let rows = (0..from.length(MOST, 1)?)
            .map(|_| from.maybe(Row::load))
            .collect::<Loaded<Vec<_>>>()?;
        let mut table = Self {
            open: Beside::load(from, Counts::load)?,
            is_short: from.flag()?,
            ..Self::default()
        };
        for (place, row) in rows.iter().enumerate() {
            let Some(row) = row else { continue };
            if table.place(row.template).is_some() {
                return Err("a template with two places");
            }
            table.enter(row.template, place);
        }
        table.rows = rows;
        Ok(table)
    }
}

impl Counts {
    pub(super) fn save(&self, to: &mut Writer) {
        to.u64(self.total);
        to.u64(self.of.len() as u64);
        for count in &self.of {
            to.u32(*count);
        }
    }

    pub(super) fn load(from: &mut Reader<'_>) -> Loaded<Self> {
        let total = from.count()?;
        let of = (0..from.length(MOST, 1)?)
            .map(|_| from.u32())
            .collect::<Loaded<Vec<_>>>()?;
        let counted: u64 = of.iter().copied().map(u64::from).sum();
        if counted > total {
            return Err("more lines of templates than there are");
        }
        Ok(Self { total, of })
    }
}

impl Row {
    pub(super) fn save(&self, to: &mut Writer) {
        to.u64(self.template);
        to.text(&self.example);
        to.u32(self.learned);
        to.f32(self.lines);
        to.f32(self.windows);
        for (count, dispersion) in &self.spans {
            to.u64(*count);
            dispersion.save(to);
        }
        self.rhythm.save(to);
        to.f32(self.missed);
    }

    pub(super) fn load(from: &mut Reader<'_>) -> Loaded<Self> {
        let mut row = Self {
            template: from.u64()?,
            example: from.text(EXAMPLE_BYTES)?.into(),
            learned: from.u32()?,
            lines: from.f32()?,
            windows: from.f32()?,
            ..Self::default()
        };
        for span in &mut row.spans {
            *span = (from.count()?, ShareDispersion::load(from)?);
        }
        row.rhythm = Rhythm::load(from)?;
        row.missed = from.f32()?;
        let amounts = [row.lines, row.windows, row.missed];
        if amounts.iter().any(|amount| !(0.0..1e18).contains(amount)) {
            return Err("an amount that there is not");
        }
        Ok(row)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: EventTime = EventTime(0);

    fn line(template: u64) -> Observation<'static> {
        Observation {
            template,
            message: "a line",
            ..Observation::default()
        }
    }

    fn count(table: &mut Table, template: u64) {
        table.count(&line(template), START, || &[]);
    }

    #[test]
    fn where_there_is_no_place_the_least_said_makes_room() {
        let mut table = Table::default();
        for template in 0..1000 {
            count(&mut table, template);
        }
        assert_eq!(table.rows().count(), MOST);
        let counts = table.take(START);
        assert_eq!(counts.total, 1000);
        for (place, row) in table.rows_mut() {
            row.learn(counts.at(place) + u64::from(row.template != 7));
        }
        table.tidy(None);
        assert!(table.place(7).is_none() && table.rows().count() == MOST - 1);
        count(&mut table, 1000);
        assert_eq!(table.place(1000), Some(7), "the place is used again");
    }

    #[test]
    fn a_new_name_is_the_same_template() {
        let mut table = Table::default();
        count(&mut table, 1);
        table.count(&line(2), START, || &[9, 1]);
        assert_eq!((table.place(1), table.place(2)), (None, Some(0)));
        assert_eq!(table.take(START).at(0), 2);
    }

    #[test]
    fn it_comes_back_as_it_was() {
        let mut table = Table::default();
        for template in [5, 6, 7, 5] {
            count(&mut table, template);
        }
        table.remove(1);
        let mut to = Writer::default();
        table.save(&mut to);
        let mut again = Writer::default();
        let back = Table::load(&mut Reader::new(to.bytes())).unwrap();
        back.save(&mut again);
        assert_eq!(again.bytes(), to.bytes());
        assert_eq!(back.place(7), Some(2));
    }
}
