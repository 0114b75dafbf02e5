//! A filter, prepared once and asked for every anomaly.
//! Invariants: it answers as `contracts::websocket::Filter::matches` does; filters that differ in the
//! order of their lists, in repetitions, or in the case of their text alone are equal.

use contracts::{Severity, websocket::Filter};

use super::Facts;

#[derive(Debug, Default, PartialEq, Eq, Hash)]
pub struct Matcher {
    /// Sorted, each once; so are the kinds.
    services: Vec<String>,
    kinds: Vec<String>,
    min_severity: Severity,
    /// The text in lower case.
    needle: String,
}

impl Matcher {
    pub fn new(filter: Filter) -> Self {
        let sorted = |mut list: Vec<String>| {
            list.sort_unstable();
            list.dedup();
            list
        };
        Self {
            services: sorted(filter.services),
            kinds: sorted(filter.kinds),
            min_severity: filter.min_severity,
            needle: filter.text.to_lowercase(),
        }
    }

    /// One of them is among an anomaly's services if it matches; empty: any service will do.
    pub(super) fn services(&self) -> &[String] {
        &self.services
    }

    fn names(&self, service: &String) -> bool {
        self.services.binary_search(service).is_ok()
    }

    pub fn matches(&self, facts: &Facts) -> bool {
        facts.severity >= self.min_severity
            && (self.kinds.is_empty() || self.kinds.binary_search(&facts.kind).is_ok())
            && (self.services.is_empty() || facts.all_services().any(|one| self.names(one)))
            && (self.needle.is_empty() || facts.haystack.contains(&self.needle))
    }
}
