//! What was told beside what was there.
//!
//! An alert belongs to a storm if it is of one of its services, was told after it began, and speaks of a time
//! that the storm touches, give or take [`TOLERANCE`]. A storm of several services may have one alert of
//! each; what comes beyond is too many. Alerts that belong to no storm were told for nothing, whether or
//! not something harmless was there.

use std::{collections::BTreeMap, fmt::Write as _};

use contracts::Timestamp;
use serde::Serialize;

use super::{
    Args,
    fed::{Alert, Fed},
    plan::{Event, What},
};

/// How long after a storm an alert may still be about it, ms: windows, grace, and what stands open behind it.
const TOLERANCE: i64 = 120_000;

#[derive(Debug, Clone, Serialize)]
pub(super) struct Score {
    seed: u64,
    service_weeks: f64,
    storms: usize,
    told: usize,
    for_nothing: usize,
    pub(super) by_kind: BTreeMap<&'static str, Storms>,
    #[serde(skip)]
    remarks: Vec<String>,
}

/// Storms of one kind.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Storms {
    pub(super) all: usize,
    pub(super) told: usize,
    pub(super) as_its_kind: usize,
    pub(super) too_many: usize,
    /// From the storm's beginning to its first alert.
    pub(super) delays_s: Vec<f64>,
}

impl Score {
    pub(super) fn of(seed: u64, events: &[Event], fed: &Fed, args: &Args) -> Self {
        let mut score = Self {
            seed,
            service_weeks: f64::from(args.services) * f64::from(args.days) / 7.0,
            storms: 0,
            told: 0,
            for_nothing: 0,
            by_kind: BTreeMap::new(),
            remarks: Vec::new(),
        };
        let mut explained = vec![false; fed.alerts.len()];
        for event in events {
            let What::Storm(fault) = event.what else {
                continue;
            };
            let mut own: Vec<&Alert> = Vec::new();
            for (alert, explained) in fed.alerts.iter().zip(&mut explained) {
                if is_about(alert, event) {
                    *explained = true;
                    own.push(alert);
                }
            }
            own.sort_by_key(|alert| alert.told_at);
            let storms = score.by_kind.entry(fault.as_str()).or_default();
            storms.all += 1;
            score.storms += 1;
            let Some(first) = own.first() else {
                score.remarks.push(format!("missed: {}", shown(event)));
                continue;
            };
            score.told += 1;
            storms.told += 1;
            storms
                .delays_s
                .push((first.told_at - event.begin) as f64 / 1000.0);
            let is_right = |alert: &&Alert| fault.detected_by().contains(&alert.kind);
            storms.as_its_kind += usize::from(own.iter().any(is_right));
            let services: std::collections::BTreeSet<_> =
                own.iter().map(|alert| &alert.service).collect();
            storms.too_many += own.len() - services.len();
            if own.len() > services.len() {
                let titles = own.iter().map(|alert| {
                    let after = (alert.told_at - event.begin) / 1000;
                    format!("\n    {} ({}) after {after} s", alert.title, alert.kind)
                });
                let titles: String = titles.collect();
                score
                    .remarks
                    .push(format!("too many: {}{titles}", shown(event)));
            }
        }
        for (alert, _) in fed
            .alerts
            .iter()
            .zip(explained)
            .filter(|(_, explained)| !explained)
        {
            score.for_nothing += 1;
            let near = match events.iter().find(|event| is_about(alert, event)) {
                Some(event) => format!(", beside {}", shown(event)),
                None => before(alert, events)
                    .map_or_else(String::new, |event| format!(", after {}", shown(event))),
            };
            let at = Timestamp::from_millis(alert.told_at);
            score.remarks.push(format!(
                "for nothing: {at} {} ({}){near}",
                alert.title, alert.kind
            ));
        }
        score
    }

    pub(super) fn f1(&self) -> f64 {
        let right = 2.0 * self.told as f64;
        let all = right + (self.storms - self.told) as f64 + self.for_nothing as f64;
        if all > 0.0 { right / all } else { 1.0 }
    }

    pub(super) fn false_per_service_week(&self) -> f64 {
        self.for_nothing as f64 / self.service_weeks
    }

    pub(super) fn duplicates(&self) -> f64 {
        self.of_told(|storms| storms.too_many)
    }

    pub(super) fn right_family(&self) -> f64 {
        self.of_told(|storms| storms.as_its_kind)
    }

    fn of_told(&self, count: fn(&Storms) -> usize) -> f64 {
        let count: usize = self.by_kind.values().map(count).sum();
        count as f64 / self.told.max(1) as f64
    }

    pub(super) fn explained(&self) -> String {
        let mut text = format!("seed {}:\n", self.seed);
        for remark in &self.remarks {
            let _ = writeln!(text, "  {remark}");
        }
        text
    }
}

fn is_about(alert: &Alert, event: &Event) -> bool {
    event.services.contains(&alert.service)
        && alert.told_at >= event.begin
        && alert.from < event.end + TOLERANCE
        && alert.until >= event.begin
        && alert.told_at < event.end + TOLERANCE
}

/// What befell the service last, within an hour.
fn before<'a>(alert: &Alert, events: &'a [Event]) -> Option<&'a Event> {
    let is_its = |event: &&Event| {
        event.services.contains(&alert.service)
            && event.begin <= alert.told_at
            && alert.told_at < event.end + 3_600_000
    };
    events.iter().filter(is_its).max_by_key(|event| event.begin)
}

fn shown(event: &Event) -> String {
    let what = match event.what {
        What::Storm(fault) => fault.as_str(),
        What::Harmless(name) => name,
    };
    format!(
        "{what} of {} at {} for {} s, x{}",
        event.services.first().map_or("nobody", String::as_str),
        Timestamp::from_millis(event.begin),
        (event.end - event.begin) / 1000,
        event.magnitude
    )
}
