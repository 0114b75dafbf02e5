//! What a run will do, decided from the options before anything begins.
//! Invariant: a plan that was made can be carried out; whatever is wrong was reported with the options.

use std::{num::NonZero, path::PathBuf, time::Duration};

use contracts::Timestamp;
use service_kit::options::{Bounded, Period, Problems};

use super::options::{self, Control, Options, Start};
use crate::{
    fleet::{Fleet, Settings},
    schedule::Schedule,
    spec::Spec,
};

/// How event time passes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Mode {
    /// As the wall clock; what lies in the past is caught up as fast as possible.
    Wall,
    /// So many times faster than the clock.
    Faster(f64),
    /// As fast as possible.
    Unpaced,
}

/// A dry run that nobody limits ends after this time.
const DRY_RUN: Duration = Duration::from_secs(10);
/// Records per second that one thread generates with ease beside everything else.
const RATE_OF_A_THREAD: f64 = 50_000.0;
const MOST_THREADS_UNASKED: usize = 4;

/// A run.
pub(super) struct Plan {
    pub(super) fleet: Fleet,
    pub(super) schedule: Schedule,
    pub(super) mode: Mode,
    pub(super) start: Timestamp,
    /// Event time at which it ends.
    pub(super) end: Option<Timestamp>,
    pub(super) threads: usize,
    /// Injected once it is live, or at the start of simulated time.
    pub(super) injections: Vec<Spec>,
    pub(super) inject_every: Option<Duration>,
    pub(super) inject_after: Duration,
    pub(super) commands: bool,
    pub(super) truth_file: Option<PathBuf>,
    pub(super) max_records: u64,
    pub(super) duration: Option<Duration>,
    pub(super) dry_run: bool,
    pub(super) json: bool,
    /// For flushing at the end.
    pub(super) shutdown_budget: Duration,
}

impl Plan {
    pub(super) fn make(options: &Options, now: Timestamp) -> Result<Self, Problems> {
        let mut problems = Problems::default();
        let before = |at: Timestamp, millis: i64| Timestamp::from_millis(at.as_millis() - millis);
        let span_ms = options
            .generator_span
            .map(|span| span.get().as_millis() as i64);
        let simulated = options.generator_start.is_some()
            || span_ms.is_some()
            || options.generator_speedup.is_some()
            || options.generator_dry_run;
        let history_ms = options
            .generator_history
            .map(|time| time.get().as_millis() as i64);
        let start = match (options.generator_start, simulated) {
            (Some(Start::At(at)), _) => at,
            (Some(Start::Ago(millis)), _) => before(now, millis),
            (None, true) => before(now, span_ms.unwrap_or(0)),
            (None, false) => before(now, history_ms.unwrap_or(0)),
        };
        let mode = match (simulated, options.generator_speedup) {
            (false, _) => Mode::Wall,
            (true, Some(speedup)) if !options.generator_dry_run => Mode::Faster(speedup.0),
            (true, _) => Mode::Unpaced,
        };
        let rate = options.generator_rate.0;
        let settings = Settings {
            seed: options.generator_seed.as_u64(),
            rate,
            anchor: if simulated { start } else { now },
            services: options.generator_services.as_usize(),
            rhythm: options.generator_rhythm.0,
            wander: 0.0,
        };
        let texts = options.generator_inject.as_deref().unwrap_or_default();
        let injections = options::injections(texts, &mut problems);
        let fleet = match Fleet::new(settings) {
            Ok(fleet) => fleet,
            Err(error) => {
                problems.push(format!("the fleet cannot be made: {error}"));
                return Err(problems);
            }
        };
        let schedule = Schedule::new(settings.seed);
        // Tried on a copy: names that don't exist and injections that collide are options too.
        let mut trial = schedule.clone();
        for spec in &injections {
            if let Err(refused) = trial.inject(&fleet, spec, start) {
                problems.push(format!("GENERATOR_INJECT: {refused}"));
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let limited = options.generator_max_records.is_some() || span_ms.is_some();
        let by_default = (options.generator_dry_run && !limited).then_some(DRY_RUN);
        Ok(Self {
            fleet,
            schedule,
            mode,
            start,
            end: span_ms
                .filter(|_| simulated)
                .map(|millis| Timestamp::from_millis(start.as_millis() + millis)),
            threads: options
                .generator_threads
                .map_or_else(|| threads_for(rate), Bounded::as_usize),
            injections,
            inject_every: options.generator_inject_every.map(Period::get),
            inject_after: options
                .generator_inject_after
                .map_or(Duration::ZERO, Period::get),
            commands: options.generator_control == Some(Control::Stdin),
            truth_file: options.generator_truth_file.clone(),
            max_records: options
                .generator_max_records
                .map_or(u64::MAX, Bounded::as_u64),
            duration: options.generator_duration.map(Period::get).or(by_default),
            dry_run: options.generator_dry_run,
            json: options.generator_json,
            shutdown_budget: options.service.shutdown_budget.get(),
        })
    }
}

fn threads_for(rate: f64) -> usize {
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    let wanted = (rate / RATE_OF_A_THREAD).ceil() as usize;
    wanted.clamp(1, cores.min(MOST_THREADS_UNASKED))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(pairs: &[(&str, &str)]) -> Result<Plan, Problems> {
        let pairs = pairs
            .iter()
            .map(|(name, text)| (format!("GENERATOR_{name}"), (*text).to_owned()));
        Plan::make(&Options::from_pairs(pairs).unwrap(), now())
    }

    fn now() -> Timestamp {
        Timestamp::parse("2026-11-21T10:00:00Z").unwrap()
    }

    fn check(pairs: &[(&str, &str)], mode: Mode, start: &str, end: Option<&str>) {
        let plan = plan(pairs).unwrap();
        let at = |text: &str| Timestamp::parse(&format!("2026-11-21T{text}Z")).unwrap();
        assert_eq!(
            (plan.mode, plan.start, plan.end),
            (mode, at(start), end.map(at)),
            "{pairs:?}"
        );
    }

    #[test]
    fn options_choose_how_time_passes() {
        check(&[], Mode::Wall, "10:00:00", None);
        check(&[("LIVE", "true")], Mode::Wall, "10:00:00", None);
        check(&[("HISTORY", "3h")], Mode::Wall, "07:00:00", None);
        check(
            &[("SPAN", "2h")],
            Mode::Unpaced,
            "08:00:00",
            Some("10:00:00"),
        );
        check(
            &[("START", "-3h"), ("SPAN", "1h")],
            Mode::Unpaced,
            "07:00:00",
            Some("08:00:00"),
        );
        check(
            &[
                ("START", "2026-11-21T01:00:00Z"),
                ("SPAN", "1h"),
                ("SPEEDUP", "60"),
            ],
            Mode::Faster(60.0),
            "01:00:00",
            Some("02:00:00"),
        );
        check(
            &[("DRY_RUN", "true"), ("SPEEDUP", "2")],
            Mode::Unpaced,
            "10:00:00",
            None,
        );
    }

    #[test]
    fn the_rate_is_meant_at_the_moment_it_goes_live() {
        let plan = plan(&[("HISTORY", "12h"), ("RATE", "500")]).unwrap();
        let rate = |at| {
            (0..12)
                .map(|index| plan.fleet.expected_rate(index, at))
                .sum::<f64>()
        };
        assert!((rate(now()) - 500.0).abs() < 1e-6);
        assert!((rate(plan.start) - 500.0).abs() > 20.0);
    }

    #[test]
    fn services_that_do_not_exist_and_collisions_are_option_problems() {
        let inject = "silence:chekout;silence:cart;error_burst:cart@10s;failed_logins:cart";
        let Err(problems) = plan(&[("INJECT", inject)]) else {
            panic!("accepted")
        };
        let lines = problems.lines();
        assert_eq!(lines.len(), 3, "{lines:#?}");
        assert!(
            lines[0]
                .contains("no service named \"chekout\" in the fleet; there are gateway, catalog")
        );
        assert!(lines[1].contains("cart is already under silence"));
        assert!(lines[2].contains("cart does not check passwords: failed_logins needs auth"));
    }

    #[test]
    fn a_dry_run_ends_by_itself() {
        assert_eq!(
            plan(&[("DRY_RUN", "true")]).unwrap().duration,
            Some(DRY_RUN)
        );
        assert_eq!(
            plan(&[("DRY_RUN", "true"), ("SPAN", "1h")])
                .unwrap()
                .duration,
            None
        );
    }
}
