//! Metrics with one label whose values are not known before: partitions, configured targets.
//! Invariant: at most `most` values have a series of their own; all later ones share `other`.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use prometheus::core::{MetricVec, MetricVecBuilder};

use super::Unit;
use super::definition::check;

/// The value of the label that stands for everything past the bound.
pub const OTHER: &str = "other";

/// A counter for each value of one label.
#[derive(Debug, Clone, Copy)]
pub struct CounterFamily {
    pub(super) name: &'static str,
    pub(super) unit: Unit,
    pub(super) help: &'static str,
    pub(super) label: &'static str,
    pub(super) most: usize,
}

/// A gauge for each value of one label.
#[derive(Debug, Clone, Copy)]
pub struct GaugeFamily {
    pub(super) name: &'static str,
    pub(super) unit: Unit,
    pub(super) help: &'static str,
    pub(super) label: &'static str,
    pub(super) most: usize,
}

macro_rules! family_definition {
    ($Family:ident) => {
        impl $Family {
            pub const fn new(
                name: &'static str,
                unit: Unit,
                help: &'static str,
                label: &'static str,
                most: usize,
            ) -> Self {
                check(name, help, &[label]);
                assert!(most > 0, "a family has room for a value");
                Self {
                    name,
                    unit,
                    help,
                    label,
                    most,
                }
            }
        }
    };
}
family_definition!(CounterFamily);
family_definition!(GaugeFamily);

/// How a family makes and drops the series of a value.
pub(super) trait Series<C>: Send + Sync {
    fn make(&self, value: &str) -> C;
    fn drop_of(&self, value: &str);
}

impl<B: MetricVecBuilder> Series<B::M> for MetricVec<B> {
    fn make(&self, value: &str) -> B::M {
        self.with_label_values(&[value])
    }

    fn drop_of(&self, value: &str) {
        // Absent already: nothing to drop.
        let _ = self.remove_label_values(&[value]);
    }
}

/// The series of a family. Take one per value and keep it: `of` looks it up under a lock.
pub struct Family<C> {
    series: Arc<dyn Series<C>>,
    known: Arc<Mutex<BTreeMap<String, C>>>,
    most: usize,
}

impl<C> Clone for Family<C> {
    fn clone(&self) -> Self {
        Self {
            series: Arc::clone(&self.series),
            known: Arc::clone(&self.known),
            most: self.most,
        }
    }
}

impl<C: Clone> Family<C> {
    pub(super) fn new(series: impl Series<C> + 'static, most: usize) -> Self {
        Self {
            series: Arc::new(series),
            known: Arc::default(),
            most,
        }
    }

    pub fn of(&self, value: &str) -> C {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(child) = known.get(value) {
            return child.clone();
        }
        if known.len() >= self.most {
            return self.series.make(OTHER);
        }
        let child = self.series.make(value);
        known.insert(value.to_owned(), child.clone());
        child
    }

    /// Takes the series away, for instance when a partition was revoked, and makes room for another.
    pub fn forget(&self, value: &str) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.remove(value).is_some() {
            self.series.drop_of(value);
        }
    }
}
