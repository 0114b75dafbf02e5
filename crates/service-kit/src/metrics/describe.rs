//! The catalog as a page of documentation.
//! Invariant: the same metrics give the same page, in whatever order they were registered.

use std::fmt::Write as _;

use super::Unit;

/// What kind of number a metric is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Counter,
    Gauge,
    Histogram,
}

impl Kind {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// One metric, for documentation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    pub name: &'static str,
    pub kind: Kind,
    pub unit: Unit,
    /// Each label with all its values; none are listed where they come from configuration or Kafka.
    pub labels: Vec<(&'static str, Vec<&'static str>)>,
    pub help: &'static str,
}

/// A table of the metrics, by name.
pub fn markdown(metrics: &[Description]) -> String {
    let mut sorted: Vec<&Description> = metrics.iter().collect();
    sorted.sort_by_key(|metric| metric.name);
    let mut page =
        String::from("| Metric | Type | Unit | Labels | Meaning |\n|---|---|---|---|---|\n");
    for metric in sorted {
        let labels: Vec<String> = metric.labels.iter().map(label_cell).collect();
        // Writing to a string does not fail.
        let _ = writeln!(
            page,
            "| `{}` | {} | {} | {} | {} |",
            metric.name,
            metric.kind.name(),
            metric.unit.name(),
            labels.join("<br>"),
            metric.help.replace('|', "\\|"),
        );
    }
    page
}

fn label_cell((name, values): &(&'static str, Vec<&'static str>)) -> String {
    if values.is_empty() {
        return format!("`{name}`");
    }
    let values: Vec<String> = values.iter().map(|value| format!("`{value}`")).collect();
    format!("`{name}`: {}", values.join(", "))
}
