//! Each fault changes what it should, where and when it should, and is labelled so.

#![expect(clippy::unwrap_used, reason = "an error here fails the test")]

use std::collections::BTreeMap;

use contracts::{
    Timestamp,
    truth::{Fault, Truth},
};
use log_generator::{Fleet, Labels, Schedule, Settings, Simulation, Spec};
use proptest::prelude::*;
use serde_json::Value;

const START: &str = "2026-11-23T10:00:00Z";
const FROM: i64 = 20;
const TO: i64 = 50;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(Timestamp::parse(START).unwrap().as_millis() + seconds * 1000)
}

/// A record as it was sent.
#[derive(Debug, Clone, PartialEq)]
struct Sent {
    at: Timestamp,
    text: String,
    altered: bool,
}

impl Sent {
    fn value(&self) -> Value {
        serde_json::from_str(&self.text).unwrap()
    }

    fn is_error(&self) -> bool {
        let value = self.value();
        ["ERROR", "FATAL"].contains(&value["level"].as_str().unwrap())
    }
}

type ByService = BTreeMap<String, Vec<Sent>>;

fn run(injections: &[&str], seconds: i64) -> (ByService, Vec<Truth>) {
    let settings = Settings {
        seed: 11,
        rate: 1000.0,
        anchor: at(0),
        services: 12,
        rhythm: 1.0,
        wander: 0.0,
    };
    let fleet = Fleet::new(settings).unwrap();
    let mut schedule = Schedule::new(settings.seed);
    for text in injections {
        let spec: Spec = text.parse().unwrap();
        schedule.inject(&fleet, &spec, at(0)).unwrap();
    }
    let names = Fleet::new(settings).unwrap();
    let mut simulation = Simulation::new(fleet, schedule, at(0), 2).unwrap();
    let (mut sent, mut truths, mut labels) = (ByService::new(), Vec::new(), Labels::new());
    let now = || at(1_000_000);
    while simulation.upcoming().end() <= at(seconds) {
        let ticked = simulation.tick().unwrap();
        truths.extend(labels.tick(&names, ticked.tick, &ticked.injections, now));
        for record in &ticked.records {
            truths.extend(labels.record(&names, &record, now));
            let name = names.services()[record.service].name.clone();
            sent.entry(name).or_default().push(Sent {
                at: record.event_time,
                text: String::from_utf8(record.value.to_vec()).unwrap(),
                altered: record.altered.is_some(),
            });
        }
    }
    (sent, truths)
}

/// With and without the injection, after checking that nothing differs outside of it.
fn compared(injection: &str, service: &str, affected: &[&str]) -> (ByService, ByService, Truth) {
    let spec = format!("{injection}:{service}@{FROM}s+{}s", TO - FROM);
    let (usual, none) = run(&[], 70);
    let (altered, truths) = run(&[&spec], 70);
    assert_eq!(none, []);
    assert_eq!(truths.len(), 1);
    let outside = |records: &Vec<Sent>| -> Vec<Sent> {
        let out = |record: &&Sent| record.at < at(FROM) || record.at >= at(TO);
        records.iter().filter(out).cloned().collect()
    };
    for (name, records) in &usual {
        let touched = name == service || affected.contains(&name.as_str());
        if touched {
            // Jitter may not reach over a border, so the tick after it is left out of the comparison.
            let settled = |records: &Vec<Sent>| -> Vec<Sent> {
                let records = outside(records).into_iter();
                let on_border = |it: &Sent| {
                    (-1..1).contains(&((it.at.as_millis() - at(TO).as_millis()) / 300))
                        || it.at >= at(FROM - 1) && it.at < at(FROM)
                };
                records.filter(|it| !on_border(it)).collect()
            };
            assert!(
                settled(records) == settled(&altered[name]),
                "{name} differs outside the span"
            );
            assert!(!outside(&altered[name]).iter().any(|it| it.altered));
        } else {
            assert!(records == &altered[name], "{name} differs");
        }
    }
    let truth = truths[0].clone();
    assert_eq!(
        (truth.service.as_str(), truth.ordinal, truth.end),
        (service, 0, at(TO))
    );
    assert!(
        (at(FROM)..at(FROM + 2)).contains(&truth.start),
        "{}",
        truth.start
    );
    assert_eq!(truth.injected_at, at(1_000_000));
    (usual, altered, truth)
}

fn within(records: &[Sent]) -> Vec<&Sent> {
    records
        .iter()
        .filter(|it| it.at >= at(FROM) && it.at < at(TO))
        .collect()
}

fn error_ratio(records: &[Sent]) -> f64 {
    let within = within(records);
    within.iter().filter(|it| it.is_error()).count() as f64 / within.len() as f64
}

fn median_latency(records: &[Sent]) -> f64 {
    let values = within(records)
        .into_iter()
        .filter_map(|it| it.value()["latency_ms"].as_f64());
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

#[test]
fn an_error_burst_raises_the_error_ratio() {
    let (usual, altered, truth) = compared("error_burst", "checkout", &[]);
    assert!(error_ratio(&usual["checkout"]) < 0.05);
    assert!((error_ratio(&altered["checkout"]) - 0.5).abs() < 0.06);
    assert_eq!((truth.kind, truth.magnitude), (Fault::ErrorBurst, 0.5));
    let first = altered["checkout"].iter().find(|it| it.altered).unwrap();
    assert_eq!(
        truth.start, first.at,
        "the label begins with the first altered record"
    );
}

#[test]
fn a_rate_spike_multiplies_the_records() {
    let (usual, altered, _) = compared("rate_spike", "search", &[]);
    let factor = within(&altered["search"]).len() as f64 / within(&usual["search"]).len() as f64;
    assert!((factor - 5.0).abs() < 0.3, "{factor}");
}

#[test]
fn a_rate_drop_leaves_a_fraction_of_the_records() {
    let (usual, altered, truth) = compared("rate_drop", "catalog", &[]);
    let factor = within(&altered["catalog"]).len() as f64 / within(&usual["catalog"]).len() as f64;
    assert!((factor - 0.2).abs() < 0.03, "{factor}");
    assert_eq!(truth.start, at(FROM));
}

#[test]
fn silence_leaves_nothing() {
    let (_, altered, truth) = compared("silence", "inventory", &[]);
    assert_eq!(within(&altered["inventory"]), Vec::<&Sent>::new());
    assert_eq!((truth.start, truth.magnitude), (at(FROM), 0.0));
}

#[test]
fn a_latency_shift_multiplies_latencies() {
    let (usual, altered, _) = compared("latency_shift", "auth", &[]);
    let factor = median_latency(&altered["auth"]) / median_latency(&usual["auth"]);
    assert!((factor - 4.0).abs() < 0.2, "{factor}");
    let errors = error_ratio(&altered["auth"]) - error_ratio(&usual["auth"]);
    assert!(errors.abs() < 0.001, "{errors}");
}

#[test]
fn failed_logins_are_added_from_the_addresses_of_an_attacker() {
    let (usual, altered, _) = compared("failed_logins", "auth", &[]);
    let attacks: Vec<Value> = within(&altered["auth"])
        .into_iter()
        .filter(|it| it.altered)
        .map(Sent::value)
        .collect();
    assert!((450..750).contains(&attacks.len()), "{}", attacks.len());
    assert!(
        attacks.iter().all(|it| it["status"] == 401
            && it["client_ip"].as_str().unwrap().starts_with("198.51.100."))
    );
    let rest = within(&altered["auth"]).len() - attacks.len();
    // Near the borders, a few event times are held back inside.
    assert!(rest.abs_diff(within(&usual["auth"]).len()) < 10);
}

#[test]
fn a_new_template_was_never_seen_before() {
    let (usual, altered, _) = compared("new_template", "orders", &[]);
    let novel: Vec<&Sent> = altered["orders"].iter().filter(|it| it.altered).collect();
    assert!((90..220).contains(&novel.len()), "{}", novel.len());
    let begins = |it: &Sent| {
        it.value()["message"]
            .as_str()
            .unwrap()
            .chars()
            .take(12)
            .collect::<String>()
    };
    let text = begins(novel[0]);
    assert!(novel.iter().all(|it| begins(it) == text));
    assert!(!usual.values().flatten().any(|it| begins(it) == text));
}

/// The words of a message that are none of its variables: enough to tell templates apart.
fn words_of(it: &Sent) -> String {
    let value = it.value();
    let words = value["message"].as_str().unwrap().split(' ');
    let words = words.filter(|word| word.chars().all(|c| c.is_ascii_lowercase()));
    words.collect::<Vec<_>>().join(" ")
}

fn first_word(it: &Sent) -> String {
    let value = it.value();
    let message = value["message"].as_str().unwrap();
    message.split(' ').next().unwrap().to_owned()
}

fn many(records: &[&Sent], words: &str) -> usize {
    records.iter().filter(|it| words_of(it) == words).count()
}

#[test]
fn errors_creep_up_and_stay() {
    let (usual, altered, _) = compared("error_creep", "search", &[]);
    let ratio = |from: i64, to: i64| {
        let there = altered["search"].iter();
        let there: Vec<_> = there
            .filter(|it| it.at >= at(from) && it.at < at(to))
            .collect();
        there.iter().filter(|it| it.is_error()).count() as f64 / there.len() as f64
    };
    let before = error_ratio(&usual["search"]);
    assert!((ratio(FROM, FROM + 5) - before - 0.025).abs() < 0.02);
    assert!((ratio(FROM + 15, TO) - before - 0.15).abs() < 0.03);
}

#[test]
fn one_of_the_usual_lines_comes_more_often_or_no_more() {
    let (usual, altered, _) = compared("template_surge", "orders", &[]);
    let (usual, surging) = (within(&usual["orders"]), within(&altered["orders"]));
    let added: Vec<_> = surging.iter().filter(|it| it.altered).copied().collect();
    assert!((added.len() as f64 / usual.len() as f64 - 1.0).abs() < 0.2);
    let line = words_of(added[0]);
    assert_eq!(many(&added, &line), added.len());
    assert!(many(&usual, &line) > 0, "it is written anyway");
    let (_, altered, truth) = compared("template_vanished", "orders", &[]);
    let left = within(&altered["orders"]);
    assert_eq!(many(&left, &line), 0, "the same number, the same line");
    // Near the borders, a few event times are held back inside.
    assert!(left.len().abs_diff(usual.len() - many(&usual, &line)) < 10);
    assert_eq!(
        truth.start,
        at(FROM),
        "what is missing begins with the span"
    );
}

#[test]
fn requests_are_refused_and_all_else_is_as_it_was() {
    let (usual, altered, _) = compared("status_shift", "orders", &[]);
    let (usual, altered) = (within(&usual["orders"]), within(&altered["orders"]));
    assert_eq!(usual.len(), altered.len());
    let share = |records: &[&Sent]| {
        let statuses = records
            .iter()
            .filter_map(|it| it.value()["status"].as_u64());
        let (refused, all) = statuses.fold((0.0, 0.0), |(refused, all), status| {
            (
                refused + f64::from(u8::from((400..500).contains(&status))),
                all + 1.0,
            )
        });
        refused / all
    };
    let risen = share(&altered) - share(&usual);
    assert!((risen - 0.4).abs() < 0.1, "{risen}");
}

#[test]
fn one_machine_is_away_and_the_others_do_its_work() {
    let (usual, altered, _) = compared("host_silence", "orders", &[]);
    let (usual, altered) = (within(&usual["orders"]), within(&altered["orders"]));
    assert_eq!(usual.len(), altered.len());
    let hosts = |records: &[&Sent]| {
        let hosts = records.iter().map(|it| it.value()["host"].to_string());
        hosts.collect::<std::collections::BTreeSet<_>>()
    };
    assert_eq!(hosts(&usual).len(), hosts(&altered).len() + 1);
}

#[test]
fn a_deploy_is_away_for_a_moment_and_says_new_things_quietly() {
    let (usual, altered, _) = compared("deploy", "orders", &[]);
    let count = |records: &[Sent], from, to| {
        let there = records.iter();
        there
            .filter(|it| it.at >= at(from) && it.at < at(to))
            .count() as f64
    };
    let away = |records: &ByService| count(&records["orders"], FROM, FROM + 8);
    assert!(away(&altered) < 0.25 * away(&usual));
    let within = within(&altered["orders"]);
    let back = within.iter().filter(|it| it.at >= at(FROM + 8));
    let new: Vec<_> = back.filter(|it| it.altered).collect();
    assert!(new.iter().all(|it| it.value()["level"] == "INFO"));
    let templates: std::collections::BTreeSet<_> = new.iter().map(|it| first_word(it)).collect();
    assert_eq!(templates.len(), 5);
}

#[test]
fn debugging_adds_debug_lines_and_nothing_else() {
    let (usual, altered, _) = compared("debug_level", "orders", &[]);
    let (usual, altered) = (within(&usual["orders"]), within(&altered["orders"]));
    let added: Vec<_> = altered.iter().filter(|it| it.altered).collect();
    assert!((added.len() as f64 / usual.len() as f64 - 1.0).abs() < 0.2);
    assert!(added.iter().all(|it| it.value()["level"] == "DEBUG"));
}

#[test]
fn a_cascade_climbs_the_call_graph() {
    let upstream = ["checkout", "billing-batch", "gateway"];
    let (usual, altered, truth) = compared("cascade", "payments", &upstream);
    assert_eq!(truth.affected, upstream);
    assert!((error_ratio(&altered["payments"]) - 0.4).abs() < 0.07);
    let checkout = error_ratio(&altered["checkout"]);
    assert!((checkout - 0.24).abs() < 0.07, "{checkout}");
    let gateway = error_ratio(&altered["gateway"]);
    assert!((0.08..0.2).contains(&gateway), "{gateway}");
    assert!(median_latency(&altered["payments"]) > 2.0 * median_latency(&usual["payments"]));
    assert!(median_latency(&altered["gateway"]) > 1.3 * median_latency(&usual["gateway"]));
}

#[test]
fn an_injection_that_changes_no_record_gets_no_label() {
    // A quarter of a second on the quietest service.
    let (_, truths) = run(&["error_burst:billing-batch@5s+250ms x0.01"], 20);
    assert_eq!(truths, []);
}

#[test]
fn a_label_reads_back() {
    let (_, truths) = run(&["cascade:payments@2s+5s", "silence:search@3s+5s"], 20);
    assert_eq!(truths.len(), 2);
    for truth in truths {
        let text = serde_json::to_string(&truth).unwrap();
        assert_eq!(serde_json::from_str::<Truth>(&text).unwrap(), truth);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn any_schedule_gives_valid_records(
        seed in any::<u32>(),
        rate in 1.0..3000.0_f64,
        services in 1_usize..40,
        every_ms in 250_i64..4_000,
        start_ms in 0_i64..4_000_000_000_000,
        threads in 1_usize..4,
    ) {
        let start = Timestamp::from_millis(start_ms);
        let fleet = Settings { seed: seed.into(), rate, anchor: start, services, rhythm: 1.0, wander: 0.0 };
        let schedule = Schedule::new(fleet.seed);
        let mut simulation = Simulation::new(Fleet::new(fleet).unwrap(), schedule, start, threads).unwrap();
        simulation.inject_every(every_ms, start);
        for _ in 0..60 {
            let tick = simulation.tick().unwrap();
            let mut last = 0;
            for record in &tick.records {
                prop_assert!(record.due_us >= last);
                last = record.due_us;
                let value: Value = serde_json::from_slice(record.value).unwrap();
                prop_assert_eq!(value["timestamp"].as_str().unwrap(), record.event_time.to_string());
                for field in ["service", "level", "message", "host", "trace_id", "span_id"] {
                    prop_assert!(!value[field].as_str().unwrap().is_empty());
                }
                if let Some(ordinal) = record.altered {
                    prop_assert!(tick.injections.iter().any(|it| it.ordinal == ordinal && it.touches(record.service)));
                }
            }
        }
    }
}
