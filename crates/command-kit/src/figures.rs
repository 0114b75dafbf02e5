//! Figures: what was measured, beside what it should be; tables for people, JSON for programs.
//!
//! Invariant: a figure is written as its target is, and counts as reached by the number, not by what is
//! written.

use std::path::Path;

use anyhow::Context as _;
use serde::Serialize;

use crate::say;

/// A figure, and what it should be.
#[derive(Debug, Clone, Serialize)]
pub struct Figure {
    name: &'static str,
    reached: String,
    target: Option<Target>,
}

#[derive(Debug, Clone, Serialize)]
struct Target {
    text: String,
    is_reached: bool,
}

impl Figure {
    /// Reached up to and with `target`.
    pub fn below(
        name: &'static str,
        reached: f64,
        target: f64,
        format: impl Fn(f64) -> String,
    ) -> Self {
        Self {
            name,
            reached: format(reached),
            target: Some(Target {
                text: format!("≤ {}", format(target)),
                is_reached: reached <= target,
            }),
        }
    }

    /// Reached from `target` on.
    pub fn above(
        name: &'static str,
        reached: f64,
        target: f64,
        format: impl Fn(f64) -> String,
    ) -> Self {
        Self {
            name,
            reached: format(reached),
            target: Some(Target {
                text: format!("≥ {}", format(target)),
                is_reached: reached >= target,
            }),
        }
    }

    pub fn without_target(name: &'static str, reached: String) -> Self {
        Self {
            name,
            reached,
            target: None,
        }
    }

    fn cells(&self) -> [String; 4] {
        let (target, ok) = match &self.target {
            Some(target) if target.is_reached => (target.text.as_str(), "yes"),
            Some(target) => (target.text.as_str(), "NO"),
            None => ("-", "-"),
        };
        [self.name, &self.reached, target, ok].map(str::to_owned)
    }
}

/// What was measured: `text` with the figures below it, for people, and all of it as JSON in that file.
/// Without a file there is no JSON; `-` is standard output, and the text goes to standard error then.
pub fn tell(
    mut text: String,
    figures: &[Figure],
    report: &impl Serialize,
    json: Option<&Path>,
) -> anyhow::Result<()> {
    if !figures.is_empty() {
        let header = ["figure", "reached", "target", "ok"];
        text.push('\n');
        text += &table(&header, figures.iter().map(Figure::cells));
    }
    let Some(path) = json else {
        say::line(text);
        return Ok(());
    };
    let json = serde_json::to_string_pretty(report)?;
    if path.as_os_str() == "-" {
        say::note(text);
        say::json(&json);
        return Ok(());
    }
    say::line(text);
    std::fs::write(path, json + "\n").with_context(|| format!("cannot write {}", path.display()))
}

const INDENT: &str = "  ";
const GAP: &str = "   ";

/// Columns as wide as their widest cell: the first to the left, the others to the right. A row can be
/// shorter than others, and an empty header is none.
pub fn table<Row: AsRef<[String]>>(header: &[&str], rows: impl IntoIterator<Item = Row>) -> String {
    let mut all: Vec<Vec<String>> = Vec::new();
    if !header.is_empty() {
        all.push(header.iter().copied().map(str::to_owned).collect());
    }
    all.extend(rows.into_iter().map(|row| row.as_ref().to_vec()));
    let width = |column: usize| {
        let cells = all.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let mut text = String::new();
    for row in &all {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            let pad = " ".repeat(width(column) - cell.chars().count());
            line += &if column == 0 {
                [INDENT, cell, &pad].concat()
            } else {
                [GAP, &pad, cell].concat()
            };
        }
        text += line.trim_end();
        text.push('\n');
    }
    text
}

/// What several runs came to: the median, and how far they lie apart.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Spread {
    pub median: f64,
    pub min: f64,
    pub max: f64,
}

impl Spread {
    /// All zero without values. An even number of them has the mean of the middle two.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut sorted: Vec<f64> = values.into_iter().collect();
        sorted.sort_unstable_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        let (Some(min), Some(max), Some(upper)) =
            (sorted.first(), sorted.last(), sorted.get(middle))
        else {
            return Self::default();
        };
        let median = if sorted.len() % 2 == 1 {
            *upper
        } else {
            f64::midpoint(sorted[middle - 1], *upper)
        };
        Self {
            median,
            min: *min,
            max: *max,
        }
    }

    /// `median (min–max)`, each as `format` writes it; a single run has no spread.
    pub fn text(&self, format: impl Fn(f64) -> String) -> String {
        let median = format(self.median);
        if self.min == self.max {
            return median;
        }
        format!("{median} ({}–{})", format(self.min), format(self.max))
    }
}

/// Smallest value that at least the share `q` of the sorted values does not exceed (nearest rank).
pub fn quantile(sorted: &[f64], q: f64) -> Option<f64> {
    let rank = (q * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.max(1) - 1).copied()
}

/// `1234567.8` is `1,234,568`.
pub fn grouped(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        let left = digits.len() - at;
        if at > 0 && left.is_multiple_of(3) && !text.ends_with('-') {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

pub fn tenths(number: f64) -> String {
    format!("{number:.1}")
}

pub fn hundredths(number: f64) -> String {
    format!("{number:.2}")
}

pub fn thousandths(number: f64) -> String {
    format!("{number:.3}")
}

/// A share, in percent.
pub fn percent(share: f64) -> String {
    format!("{:.2} %", share * 100.0)
}

pub const MIB: f64 = 1024.0 * 1024.0;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn columns_line_up() {
        let row = |cells: [&str; 2]| cells.map(str::to_owned);
        let text = table(&["a", "1"], [row(["long", "µ22"])]);
        assert_eq!(text, "  a        1\n  long   µ22\n");
        assert_eq!(table(&[], [row(["a", "1"])]), "  a   1\n");
    }

    #[test]
    fn a_row_can_be_shorter() {
        let rows = [vec!["a".to_owned()], ["b", "1"].map(str::to_owned).to_vec()];
        assert_eq!(table(&["x", "y"], rows), "  x   y\n  a\n  b   1\n");
    }

    #[test]
    fn a_figure_is_told_beside_its_target() {
        let figures = [
            Figure::below("b", 1.301, 1.3, hundredths),
            Figure::above("a", 1.3, 1.3, hundredths),
            Figure::without_target("n", "7".to_owned()),
        ];
        let cells = |at: usize| figures[at].cells().join("|");
        assert_eq!(cells(0), "b|1.30|≤ 1.30|NO");
        assert_eq!(cells(1), "a|1.30|≥ 1.30|yes");
        assert_eq!(cells(2), "n|7|-|-");
    }

    /// Would catch a change to what programs read.
    #[test]
    fn the_shape_of_the_json_stays() {
        assert_eq!(
            json!(Figure::below("b", 2.0, 1.0, hundredths)),
            json!({"name": "b", "reached": "2.00", "target": {"text": "≤ 1.00", "is_reached": false}})
        );
        assert_eq!(
            json!(Spread::of([1.0, 3.0])),
            json!({"median": 2.0, "min": 1.0, "max": 3.0})
        );
    }

    #[test]
    fn a_median_lies_in_the_middle() {
        let spread = |values: &[f64]| Spread::of(values.iter().copied());
        assert_eq!(
            spread(&[3.0, 1.0, 2.0]).text(hundredths),
            "2.00 (1.00–3.00)"
        );
        assert_eq!(spread(&[4.0, 1.0, 2.0, 3.0]).median, 2.5);
        assert_eq!(spread(&[4.0]).text(hundredths), "4.00");
        assert_eq!(spread(&[]).median, 0.0);
    }

    #[test]
    fn a_quantile_is_a_value_that_was_measured() {
        let values: Vec<f64> = (1..=100).map(f64::from).collect();
        assert_eq!(quantile(&values, 0.99), Some(99.0));
        assert_eq!(quantile(&values, 0.999), Some(100.0));
        assert_eq!(quantile(&values[..1], 0.5), Some(1.0));
        assert_eq!(quantile(&[], 0.5), None);
    }

    #[test]
    fn thousands_are_set_apart() {
        for (number, text) in [
            (0.0, "0"),
            (999.4, "999"),
            (1_234_567.8, "1,234,568"),
            (-1000.0, "-1,000"),
        ] {
            assert_eq!(grouped(number), text);
        }
    }
}
