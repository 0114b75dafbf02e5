//! The catalog from the outside: counting, writing out, documenting.

use service_kit::Registry;
use service_kit::metrics::{
    Counter, Counters, Gauge, GaugeFamily, Histogram, OTHER, Unit, markdown,
};

service_kit::labels! {
    /// How a record left the pipeline.
    pub enum Ending as "ending" { Stored = "stored", DeadLettered = "dead_lettered" }
}
service_kit::labels! {
    pub enum Level as "level" { Info = "info", Warn = "warn", Error = "error" }
}

const RECORDS: Counter<(Ending, Level)> = Counter::new(
    "records_total",
    Unit::Records,
    "Records, by how they ended.",
);
const OPEN: Gauge = Gauge::new(
    "open_batches",
    Unit::Batches,
    "Batches that are being filled.",
);
const INSERT: Histogram<Ending> = Histogram::new(
    "insert_seconds",
    Unit::Seconds,
    "What an insert took.",
    &[0.1, 1.0],
);
const LAG: GaugeFamily = GaugeFamily::new(
    "lag_records",
    Unit::Records,
    "Records behind the end.",
    "partition",
    2,
);

#[test]
fn every_combination_is_there_from_the_start_and_counts_for_itself() {
    let registry = Registry::new();
    let records = registry.counter(&RECORDS);
    for ending in [Ending::Stored, Ending::DeadLettered] {
        for level in [Level::Info, Level::Warn, Level::Error] {
            let text = registry.encode();
            let (ending_text, level_text) = (label(ending), label(level));
            let line = |count: u32| {
                format!(r#"records_total{{ending="{ending_text}",level="{level_text}"}} {count}"#)
            };
            assert!(text.contains(&line(0)), "{text}");
            records.at((ending, level)).inc_by(5);
            assert!(registry.encode().contains(&line(5)));
        }
    }
}

fn label<L: service_kit::metrics::Label>(label: L) -> &'static str {
    label.value()
}

#[test]
fn a_metric_without_labels_is_its_one_number() {
    let registry = Registry::new();
    registry.gauge(&OPEN).set(2.5);
    registry.histogram(&INSERT).at(Ending::Stored).observe(0.5);
    let text = registry.encode();
    assert!(
        text.contains("# TYPE open_batches gauge\nopen_batches 2.5"),
        "{text}"
    );
    assert!(
        text.contains(r#"insert_seconds_bucket{ending="stored",le="0.1"} 0"#),
        "{text}"
    );
    assert!(
        text.contains(r#"insert_seconds_bucket{ending="stored",le="1"} 1"#),
        "{text}"
    );
}

#[test]
fn registering_twice_gives_the_same_numbers() {
    let registry = Registry::new();
    let (one, other): (Counters<_>, Counters<_>) = (
        registry.counter(&RECORDS),
        registry.clone().counter(&RECORDS),
    );
    one.at((Ending::Stored, Level::Info)).inc();
    other.at((Ending::Stored, Level::Info)).inc();
    assert_eq!(one.at((Ending::Stored, Level::Info)).get(), 2);
    assert!(registry.problems().is_empty());
}

#[test]
fn two_meanings_of_one_name_are_a_problem_but_no_crash() {
    let registry = Registry::new();
    registry.gauge(&OPEN);
    let other: Gauge<Ending> = Gauge::new("open_batches", Unit::Count, "Something else.");
    registry.gauge(&other).at(Ending::Stored).set(1.0);
    assert_eq!(
        registry.problems(),
        ["open_batches: two different metrics have this name"]
    );
}

#[test]
fn an_open_label_is_bounded_and_what_is_forgotten_makes_room() {
    let registry = Registry::new();
    let lag = registry.gauge_family(&LAG);
    for (partition, records) in [("0", 1.0), ("1", 2.0), ("2", 3.0), ("3", 4.0)] {
        lag.of(partition).set(records);
    }
    let text = registry.encode();
    assert_eq!(text.matches("lag_records{").count(), 3, "{text}");
    assert!(
        text.contains(&format!(r#"lag_records{{partition="{OTHER}"}} 4"#)),
        "{text}"
    );

    lag.forget("0");
    lag.forget("unknown");
    lag.of("7").set(8.0);
    let text = registry.encode();
    assert!(!text.contains(r#"partition="0""#), "{text}");
    assert!(text.contains(r#"lag_records{partition="7"} 8"#), "{text}");
}

#[test]
fn the_page_lists_every_metric_by_name_with_its_labels() {
    let registry = Registry::new();
    registry.counter(&RECORDS);
    registry.gauge_family(&LAG);
    registry.gauge(&OPEN);
    assert_eq!(
        markdown(&registry.describe()),
        "\
| Metric | Type | Unit | Labels | Meaning |
|---|---|---|---|---|
| `lag_records` | gauge | records | `partition` | Records behind the end. |
| `open_batches` | gauge | batches |  | Batches that are being filled. |
| `records_total` | counter | records | `ending`: `stored`, `dead_lettered`<br>`level`: `info`, `warn`, `error` | Records, by how they ended. |
"
    );
}
