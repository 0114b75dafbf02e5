//! A filter, prepared once and asked for every anomaly.
//! Invariant: it answers as `contracts::websocket::Filter::matches` does.

use contracts::websocket::Filter;

use crate::log::Facts;

#[derive(Debug, Default)]
pub struct Matcher {
    filter: Filter,
    /// The text in lower case.
    needle: String,
}

impl Matcher {
    pub fn new(filter: Filter) -> Self {
        let needle = filter.text.to_lowercase();
        Self { filter, needle }
    }

    pub fn matches(&self, facts: &Facts) -> bool {
        let Filter {
            services,
            kinds,
            min_severity,
            ..
        } = &self.filter;
        facts.severity >= *min_severity
            && (kinds.is_empty() || kinds.contains(&facts.kind))
            && (services.is_empty()
                || services.contains(&facts.service)
                || facts
                    .services
                    .iter()
                    .any(|service| services.contains(service)))
            && (self.needle.is_empty() || facts.haystack.contains(&self.needle))
    }
}
