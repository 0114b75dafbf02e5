//! The simulation as a caller sees it: the same bytes every time, and traffic as it is meant to be.

#![expect(clippy::unwrap_used, reason = "an error here fails the test")]

use std::collections::{BTreeMap, BTreeSet};

use contracts::{Level, Timestamp, log_record::LogRecord};
use log_generator::{Fleet, Record, Schedule, Settings, Simulation, Spec};
use serde_json::Value;

const START: &str = "2026-11-23T10:00:00Z";

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(Timestamp::parse(START).unwrap().as_millis() + seconds * 1000)
}

fn settings(rate: f64) -> Settings {
    Settings {
        seed: 7,
        rate,
        anchor: at(0),
        services: 12,
        rhythm: 1.0,
        wander: 0.0,
    }
}

fn simulation(settings: Settings, injections: &[&str], threads: usize) -> Simulation {
    let fleet = Fleet::new(settings).unwrap();
    let mut schedule = Schedule::new(settings.seed);
    for text in injections {
        let spec: Spec = text.parse().unwrap();
        schedule.inject(&fleet, &spec, at(0)).unwrap();
    }
    Simulation::new(fleet, schedule, at(0), threads).unwrap()
}

/// Everything that is sent of a record.
fn bytes(fleet: &Fleet, record: &Record<'_>) -> Vec<u8> {
    let key = &fleet.services()[record.service].name;
    let mut all = format!("{key} {} ", record.trace).into_bytes();
    all.extend_from_slice(record.value);
    all
}

fn all_bytes(simulation: &mut Simulation, steps: impl IntoIterator<Item = i64>) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for step in steps {
        let each = |fleet: &Fleet, record: Record<'_>| all.push(bytes(fleet, &record));
        simulation.advance_to(at(step), each).unwrap();
    }
    all
}

#[test]
fn the_same_seed_gives_the_same_bytes_whatever_the_steps_and_threads() {
    let injections = ["cascade:payments@5s+10s", "rate_spike:search@8s+5s x4"];
    let once = all_bytes(&mut simulation(settings(400.0), &injections, 1), [30]);
    let again = all_bytes(&mut simulation(settings(400.0), &injections, 3), 0..=30);
    assert!(once.len() > 10_000, "{}", once.len());
    assert!(once == again, "records differ");
    let other_seed = Settings {
        seed: 8,
        ..settings(400.0)
    };
    let other = all_bytes(&mut simulation(other_seed, &injections, 1), [30]);
    assert!(once != other, "the seed changes nothing");
}

#[test]
fn random_injections_repeat_by_the_seed() {
    let run = || {
        let mut simulation = simulation(settings(50.0), &[], 2);
        simulation.inject_every(20_000, at(10));
        let mut seen = BTreeSet::new();
        while simulation.upcoming().end() <= at(600) {
            for injection in simulation.tick().unwrap().injections.iter() {
                let service = injection.service;
                seen.insert((
                    injection.ordinal,
                    injection.kind,
                    service,
                    injection.start,
                    injection.end,
                ));
            }
        }
        seen
    };
    let seen = run();
    assert_eq!(seen, run());
    assert!((20..=40).contains(&seen.len()), "{seen:#?}");
    let kinds: BTreeSet<_> = seen.iter().map(|injection| injection.1).collect();
    assert!(kinds.len() >= 6, "{kinds:?}");
}

#[test]
fn an_hour_has_the_rate_that_was_asked_for() {
    let mut simulation = simulation(
        Settings {
            rhythm: 0.0,
            wander: 0.0,
            ..settings(300.0)
        },
        &[],
        2,
    );
    let mut count = 0_u32;
    simulation.advance_to(at(3600), |_, _| count += 1).unwrap();
    let rate = f64::from(count) / 3600.0;
    assert!((rate / 300.0 - 1.0).abs() < 0.01, "{rate}");
}

#[test]
fn counts_per_second_vary_more_than_poisson_by_the_dispersion() {
    let mut simulation = simulation(
        Settings {
            rhythm: 0.0,
            wander: 0.0,
            ..settings(1000.0)
        },
        &[],
        2,
    );
    let mut counts: BTreeMap<(usize, i64), f64> = BTreeMap::new();
    let mut second = 0;
    while second < 1200 {
        let ticked = simulation.tick().unwrap();
        second = (ticked.tick.start().as_millis() - at(0).as_millis()) / 1000;
        for record in &ticked.records {
            *counts.entry((record.service, second)).or_default() += 1.0;
        }
    }
    for service in 0..4 {
        let of_service = |second| counts.get(&(service, second)).copied().unwrap_or(0.0);
        let all: Vec<f64> = (0..1200).map(of_service).collect();
        let mean = all.iter().sum::<f64>() / 1200.0;
        let variance = all.iter().map(|count| (count - mean).powi(2)).sum::<f64>() / 1200.0;
        let dispersion = simulation.fleet().services()[service].dispersion;
        let expected = mean + dispersion * mean * mean;
        assert!(variance > 2.0 * mean, "{service}: {variance} {mean}");
        assert!(
            (variance / expected - 1.0).abs() < 0.25,
            "{service}: {variance} {expected}"
        );
    }
}

#[test]
fn latencies_are_lognormal_around_the_median_of_the_endpoint() {
    // Of one endpoint only: introspection is most of what auth serves; its median is 4 ms.
    let mut simulation = simulation(settings(2000.0), &[], 2);
    let mut logs: Vec<f64> = Vec::new();
    simulation
        .advance_to(at(300), |fleet, record| {
            if fleet.services()[record.service].name != "auth" {
                return;
            }
            let value: Value = serde_json::from_slice(record.value).unwrap();
            let message = value["message"].as_str().unwrap();
            if message.starts_with("POST /token/introspect ") {
                logs.push(value["latency_ms"].as_f64().unwrap().ln());
            }
        })
        .unwrap();
    assert!(logs.len() > 3_000, "{}", logs.len());
    logs.sort_by(f64::total_cmp);
    let quantile = |q: f64| logs[(q * logs.len() as f64) as usize];
    let (median, sigma) = (
        quantile(0.5).exp(),
        (quantile(0.841) - quantile(0.159)) / 2.0,
    );
    // The service's own pace is lognormal too, within about 30 %.
    assert!((3.0..5.3).contains(&median), "{median}");
    assert!((sigma / 0.4 - 1.0).abs() < 0.1, "{sigma}");
}

#[test]
fn every_record_parses_back_into_the_contract() {
    let mut simulation = simulation(
        settings(500.0),
        &["failed_logins:auth@2s+20s", "new_template:cart@2s+20s"],
        2,
    );
    let mut with_trace_lines = 0;
    let mut sizes = (0_u64, 0_u64);
    simulation
        .advance_to(at(120), |fleet, record| {
            let text = std::str::from_utf8(record.value).unwrap();
            let value: Value = serde_json::from_str(text).unwrap();
            let field = |name: &str| value[name].as_str().unwrap_or_default();
            let trace = format!("00-{}-{}-01", field("trace_id"), field("span_id"));
            assert_eq!(record.trace.to_string(), trace);
            assert_eq!(fleet.services()[record.service].name, field("service"));
            let attributes: Vec<(&str, &str)> = value["attributes"]
                .as_object()
                .into_iter()
                .flatten()
                .map(|(name, value)| (name.as_str(), value.as_str().unwrap()))
                .collect();
            let written = serde_json::to_string(&LogRecord {
                timestamp: record.event_time,
                service: field("service"),
                level: Level::from_name(field("level")).unwrap(),
                message: field("message"),
                host: field("host"),
                trace_id: field("trace_id"),
                span_id: field("span_id"),
                latency_ms: value["latency_ms"].as_f64(),
                status: value["status"].as_u64().map(|status| status as u16),
                client_ip: field("client_ip"),
                user: field("user"),
                attributes: &attributes,
            });
            assert_eq!(text, written.unwrap());
            with_trace_lines += u32::from(field("message").contains('\n'));
            sizes = (sizes.0 + 1, sizes.1 + record.value.len() as u64);
        })
        .unwrap();
    assert!(with_trace_lines > 10, "{with_trace_lines}");
    let average = sizes.1 / sizes.0;
    assert!((220..=320).contains(&average), "{average} bytes");
}

#[test]
fn event_times_are_nearly_in_order_and_never_ahead() {
    let mut simulation = simulation(settings(500.0), &[], 2);
    let (mut out_of_order, mut count, mut last) = (0_u32, 0_u32, at(0));
    for _ in 0..240 {
        let ticked = simulation.tick().unwrap();
        let start = ticked.tick.start().as_millis();
        for record in &ticked.records {
            let late = start + i64::from(record.due_us / 1000) - record.event_time.as_millis();
            assert!((0..=200).contains(&late), "{late}");
            out_of_order += u32::from(record.event_time < last);
            last = last.max(record.event_time);
            count += 1;
        }
    }
    let share = f64::from(out_of_order) / f64::from(count);
    assert!((0.2..0.9).contains(&share), "{share}");
}

#[test]
fn requests_spread_from_the_gateway_under_one_trace_id() {
    let mut simulation = simulation(settings(1000.0), &[], 2);
    let mut services: BTreeMap<u128, BTreeSet<usize>> = BTreeMap::new();
    let mut spans = BTreeSet::new();
    simulation
        .advance_to(at(60), |_, record| {
            services
                .entry(record.trace.trace_id)
                .or_default()
                .insert(record.service);
            assert!(spans.insert(record.trace.span_id), "span ids repeat");
        })
        .unwrap();
    let several = services.values().filter(|services| services.len() >= 2);
    let with_gateway = several
        .clone()
        .filter(|services| services.contains(&0))
        .count();
    let several = several.count();
    assert!(several > 3_000, "{several} of {}", services.len());
    assert!(
        with_gateway as f64 > 0.9 * several as f64,
        "{with_gateway} of {several}"
    );
}

#[test]
fn a_fleet_of_ten_thousand_speaks_with_all_its_voices() {
    let fleet = Settings {
        services: 10_000,
        ..settings(20_000.0)
    };
    let mut simulation = simulation(fleet, &[], 2);
    let mut heard = BTreeSet::new();
    simulation
        .advance_to(at(10), |_, record| {
            heard.insert(record.service);
        })
        .unwrap();
    assert!(heard.len() > 8_000, "{}", heard.len());
}
