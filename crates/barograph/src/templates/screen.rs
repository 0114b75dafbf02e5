//! Tables for the terminal.
//!
//! Invariant: only on a terminal is anything cut to its width.

use std::{
    fmt::Write as _,
    io::{self, IsTerminal as _},
};

use indicatif::HumanCount;

use crate::text::printable;
use command_kit::say;

/// Less than that is no column of text.
const NARROWEST: usize = 20;
/// Characters of a name of a service, on a terminal.
const NAME: usize = 24;
/// Names of services in a row.
const NAMES: usize = 2;

/// Columns of the terminal on standard output; `None`: it is no terminal, and nothing is cut.
pub(super) fn width() -> Option<usize> {
    let out = io::stdout();
    if !out.is_terminal() {
        return None;
    }
    let size = rustix::termios::tcgetwinsize(&out).ok()?;
    (size.ws_col > 0).then(|| usize::from(size.ws_col))
}

/// A template's text, for a row or a field.
pub(super) fn template_text(text: Option<&str>) -> String {
    match text {
        None => "(its text is not stored)".to_owned(),
        Some("") => "(an empty line)".to_owned(),
        Some(text) => printable(text, usize::MAX),
    }
}

/// The first names, and how many more.
pub(super) fn names<'a>(
    all: impl ExactSizeIterator<Item = &'a str>,
    width: Option<usize>,
) -> String {
    let more = all.len().saturating_sub(NAMES);
    let limit = width.map_or(usize::MAX, |_| NAME);
    let names = all.take(NAMES).map(|name| match name {
        "" => "(none)".to_owned(),
        name => printable(name, limit),
    });
    let names = names.collect::<Vec<_>>().join(", ");
    if more == 0 {
        names
    } else {
        format!("{names} +{more}")
    }
}

/// `1,234`.
pub(super) fn number(count: u64) -> String {
    HumanCount(count).to_string()
}

/// `12.3%`; what is there at all is not `0.0%`.
pub(super) fn percent(part: u64, of: u64) -> String {
    let share = 100.0 * part as f64 / of.max(1) as f64;
    if part > 0 && share < 0.05 {
        "<0.1%".to_owned()
    } else {
        format!("{share:.1}%")
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Left,
    Right,
}

/// Rows below their heads. The last column takes what is left of the width.
pub(super) fn table<const COLUMNS: usize>(
    heads: [(&str, Side); COLUMNS],
    rows: Vec<[String; COLUMNS]>,
    width: Option<usize>,
) {
    for row in lines(heads, rows, width) {
        say::line(row);
    }
}

fn lines<const COLUMNS: usize>(
    heads: [(&str, Side); COLUMNS],
    mut rows: Vec<[String; COLUMNS]>,
    width: Option<usize>,
) -> Vec<String> {
    rows.insert(0, heads.map(|(head, _)| head.to_owned()));
    let mut widths = [0; COLUMNS];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let last = COLUMNS - 1;
    let before: usize = widths[..last].iter().map(|width| width + 2).sum();
    let room = width.map(|width| width.saturating_sub(before).max(NARROWEST));
    let text = |row: [String; COLUMNS]| {
        let mut line = String::new();
        for (place, cell) in row.into_iter().enumerate() {
            let width = widths[place];
            if place == last {
                line.push_str(&cut(cell, room));
            } else if heads[place].1 == Side::Right {
                let _ = write!(line, "{cell:>width$}  ");
            } else {
                let _ = write!(line, "{cell:<width$}  ");
            }
        }
        line.truncate(line.trim_end().len());
        line
    };
    rows.into_iter().map(text).collect()
}

/// So many characters, the last of them a `…` if there are more.
pub(super) fn cut(text: String, room: Option<usize>) -> String {
    match room {
        Some(room) if text.chars().count() > room => {
            let mut short: String = text.chars().take(room.saturating_sub(1)).collect();
            short.push('…');
            short
        }
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_fits_the_terminal_and_is_whole_elsewhere() {
        let heads = [
            ("ID", Side::Left),
            ("COUNT", Side::Right),
            ("TEXT", Side::Left),
        ];
        let rows = || {
            vec![
                ["a", "1,000", "twenty-nine characters long.."].map(str::to_owned),
                ["bcd", "7", "short"].map(str::to_owned),
            ]
        };
        assert_eq!(
            lines(heads, rows(), None),
            [
                "ID   COUNT  TEXT",
                "a    1,000  twenty-nine characters long..",
                "bcd      7  short"
            ]
        );
        let narrow = lines(heads, rows(), Some(33));
        assert_eq!(narrow[1], "a    1,000  twenty-nine characte…");
        assert_eq!(narrow[1].chars().count(), 33);
        assert_eq!(
            lines(heads, rows(), Some(5))[1].chars().count(),
            12 + NARROWEST
        );
    }

    #[test]
    fn shares_and_names_are_short() {
        assert_eq!(percent(1, 3), "33.3%");
        assert_eq!(percent(1, 100_000), "<0.1%");
        assert_eq!(percent(0, 0), "0.0%");
        assert_eq!(names(["a", "b", "c", "d"].into_iter(), None), "a, b +2");
        assert_eq!(names([""].into_iter(), None), "(none)");
    }
}
