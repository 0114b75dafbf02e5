//! How a measurement is told: a table for people, JSON for programs.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::Serialize;

use crate::say;

/// Flags that every measurement has.
#[derive(Debug, Clone, Default, clap::Args)]
pub(super) struct Common {
    /// Write the figures as JSON to that file; `-` writes them to standard output, and the table
    /// to standard error.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Where Kafka and ClickHouse are kept once fetched [default: ~/.cache/barograph].
    #[arg(long, env = "BAROGRAPH_CACHE_DIR", value_name = "DIR")]
    cache_dir: Option<PathBuf>,
}

/// A figure, and what it should be.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Figure {
    pub(super) name: &'static str,
    pub(super) reached: String,
    pub(super) target: Option<Target>,
}

#[derive(Debug, Clone, Serialize)]
pub(super) struct Target {
    pub(super) text: String,
    pub(super) is_reached: bool,
}

impl Figure {
    /// Reached up to and with `target`.
    pub(super) fn below(
        name: &'static str,
        reached: f64,
        target: f64,
        format: impl Fn(f64) -> String,
    ) -> Self {
        let is_reached = reached <= target;
        Self {
            name,
            reached: format(reached),
            target: Some(Target {
                text: format!("≤ {}", format(target)),
                is_reached,
            }),
        }
    }

    /// Reached from `target` on.
    pub(super) fn above(
        name: &'static str,
        reached: f64,
        target: f64,
        format: impl Fn(f64) -> String,
    ) -> Self {
        let is_reached = reached >= target;
        Self {
            name,
            reached: format(reached),
            target: Some(Target {
                text: format!("≥ {}", format(target)),
                is_reached,
            }),
        }
    }

    pub(super) fn without_target(name: &'static str, reached: String) -> Self {
        Self {
            name,
            reached,
            target: None,
        }
    }
}

/// What a measurement came to.
pub(super) trait Report: Serialize {
    fn text(&self) -> String;
    fn figures(&self) -> Vec<Figure>;
}

impl Common {
    pub(super) fn cache_dir(&self) -> Option<&Path> {
        self.cache_dir.as_deref()
    }

    /// The same places, and no JSON.
    pub(super) fn without_json(&self) -> Self {
        Self {
            json: None,
            cache_dir: self.cache_dir.clone(),
        }
    }

    pub(super) fn tell(&self, report: &impl Report) -> anyhow::Result<()> {
        let mut text = report.text();
        let figures = report.figures();
        if !figures.is_empty() {
            text.push('\n');
            text.push_str(&figures_table(&figures));
        }
        let Some(path) = &self.json else {
            say::line(text);
            return Ok(());
        };
        let json = serde_json::to_string_pretty(report)?;
        if path.as_os_str() == "-" {
            say::note(text);
            say::line(json);
            return Ok(());
        }
        say::line(text);
        std::fs::write(path, json + "\n")
            .with_context(|| format!("cannot write {}", path.display()))
    }
}

/// Figures beside their targets.
pub(super) fn figures_table(figures: &[Figure]) -> String {
    let mut rows = vec![
        ["figure", "reached", "target", "ok"]
            .map(str::to_owned)
            .to_vec(),
    ];
    for figure in figures {
        let (target, ok) = match &figure.target {
            Some(target) => (
                target.text.as_str(),
                if target.is_reached { "yes" } else { "NO" },
            ),
            None => ("-", "-"),
        };
        let cells = [figure.name, &figure.reached, target, ok];
        rows.push(cells.map(str::to_owned).to_vec());
    }
    table(&rows)
}

const INDENT: &str = "  ";
const GAP: &str = "   ";

/// Columns as wide as their widest cell: the first to the left, the others to the right.
pub(super) fn table(rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let mut text = String::new();
    for row in rows {
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

/// `1234567.8` is `1,234,568`.
pub(super) fn grouped(number: f64) -> String {
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

pub(super) fn hundredths(number: f64) -> String {
    format!("{number:.2}")
}

pub(super) fn tenths(number: f64) -> String {
    format!("{number:.1}")
}

pub(super) const MIB: f64 = 1024.0 * 1024.0;

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn columns_line_up() {
        let row = |cells: [&str; 2]| cells.map(str::to_owned).to_vec();
        let text = table(&[row(["a", "1"]), row(["long", "µ22"])]);
        assert_eq!(text, "  a        1\n  long   µ22\n");
    }
}
