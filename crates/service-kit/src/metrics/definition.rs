//! What a metric is called, counts, and means; as constants.
//! Invariant: a definition with a name that Prometheus would refuse does not compile.

use std::marker::PhantomData;

use super::label::Labels;

/// What is counted, for the documentation; the base unit, as Prometheus wants it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    Alerts,
    Anomalies,
    Batches,
    Bytes,
    Connections,
    /// Things that have no unit of their own here.
    Count,
    Errors,
    Messages,
    Offsets,
    Partitions,
    Ratio,
    Records,
    Requests,
    Rows,
    Seconds,
    Series,
    Templates,
}

impl Unit {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Alerts => "alerts",
            Self::Anomalies => "anomalies",
            Self::Batches => "batches",
            Self::Bytes => "bytes",
            Self::Connections => "connections",
            Self::Count => "count",
            Self::Errors => "errors",
            Self::Messages => "messages",
            Self::Offsets => "offsets",
            Self::Partitions => "partitions",
            Self::Ratio => "ratio",
            Self::Records => "records",
            Self::Requests => "requests",
            Self::Rows => "rows",
            Self::Seconds => "seconds",
            Self::Series => "series",
            Self::Templates => "templates",
        }
    }
}

/// A number that only grows.
#[derive(Debug, Clone, Copy)]
pub struct Counter<L = ()> {
    pub(super) name: &'static str,
    pub(super) unit: Unit,
    pub(super) help: &'static str,
    labels: PhantomData<fn(L)>,
}

impl<L: Labels> Counter<L> {
    pub const fn new(name: &'static str, unit: Unit, help: &'static str) -> Self {
        check(name, help, L::NAMES);
        assert!(ends_with(name, "_total"), "a counter's name ends in _total");
        Self {
            name,
            unit,
            help,
            labels: PhantomData,
        }
    }
}

/// A number that rises and falls.
#[derive(Debug, Clone, Copy)]
pub struct Gauge<L = ()> {
    pub(super) name: &'static str,
    pub(super) unit: Unit,
    pub(super) help: &'static str,
    labels: PhantomData<fn(L)>,
}

impl<L: Labels> Gauge<L> {
    pub const fn new(name: &'static str, unit: Unit, help: &'static str) -> Self {
        check(name, help, L::NAMES);
        Self {
            name,
            unit,
            help,
            labels: PhantomData,
        }
    }
}

/// How values are spread, by upper bounds of buckets.
#[derive(Debug, Clone, Copy)]
pub struct Histogram<L = ()> {
    pub(super) name: &'static str,
    pub(super) unit: Unit,
    pub(super) help: &'static str,
    pub(super) buckets: &'static [f64],
    labels: PhantomData<fn(L)>,
}

impl<L: Labels> Histogram<L> {
    /// From half a millisecond to ten seconds: what a request or an insert takes.
    pub const SECONDS: &'static [f64] = &[
        0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
    ];

    /// `buckets` are upper bounds, ascending; the one to infinity is added.
    pub const fn new(
        name: &'static str,
        unit: Unit,
        help: &'static str,
        buckets: &'static [f64],
    ) -> Self {
        check(name, help, L::NAMES);
        assert!(!buckets.is_empty(), "a histogram has buckets");
        let mut index = 0;
        while index < buckets.len() {
            assert!(
                buckets[index].is_finite(),
                "the bucket to infinity is added, not given"
            );
            assert!(
                index == 0 || buckets[index - 1] < buckets[index],
                "buckets ascend"
            );
            index += 1;
        }
        Self {
            name,
            unit,
            help,
            buckets,
            labels: PhantomData,
        }
    }
}

/// Refuses, at compile time, what the registry would refuse at start.
pub(super) const fn check(name: &str, help: &str, labels: &[&str]) {
    assert!(
        is_identifier(name),
        "a metric's name is made of a-z 0-9 _ and begins with a letter"
    );
    assert!(!help.is_empty(), "a metric says what it means");
    let mut index = 0;
    while index < labels.len() {
        assert!(
            is_identifier(labels[index]),
            "a label's name is made of a-z 0-9 _"
        );
        let mut other = 0;
        while other < index {
            assert!(
                !equal(labels[index], labels[other]),
                "labels of a metric differ"
            );
            other += 1;
        }
        index += 1;
    }
}

const fn is_identifier(text: &str) -> bool {
    let bytes = text.as_bytes();
    if bytes.is_empty() || !bytes[0].is_ascii_lowercase() {
        return false;
    }
    let mut index = 0;
    while index < bytes.len() {
        if !matches!(bytes[index], b'a'..=b'z' | b'0'..=b'9' | b'_') {
            return false;
        }
        index += 1;
    }
    true
}

const fn ends_with(text: &str, end: &str) -> bool {
    if text.len() < end.len() {
        return false;
    }
    let (_, tail) = text.as_bytes().split_at(text.len() - end.len());
    same_bytes(tail, end.as_bytes())
}

const fn equal(one: &str, other: &str) -> bool {
    same_bytes(one.as_bytes(), other.as_bytes())
}

const fn same_bytes(one: &[u8], other: &[u8]) -> bool {
    if one.len() != other.len() {
        return false;
    }
    let mut index = 0;
    while index < one.len() {
        if one[index] != other[index] {
            return false;
        }
        index += 1;
    }
    true
}
