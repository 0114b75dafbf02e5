//! The services that are simulated, and what each of them knows about itself.
//! Invariant: a fleet is a pure function of its settings, and never changes while it runs.

use contracts::Timestamp;
use rand_distr::{Distribution as _, Normal};

use crate::{
    catalog::{ARCHETYPES, FAILED_LOGINS, NOVEL, RELEASED},
    json,
    people::People,
    random::{self, Purpose, Rng},
    template::{BadTemplate, Template},
    trace::Requests,
    traffic,
    voice::Voice,
};

/// Most services that a fleet can have.
pub const MOST_SERVICES: usize = 10_000;
/// Highest rate, records per second.
pub const MOST_RATE: f64 = 500_000.0;

const REGIONS: [&str; 5] = ["eu", "us", "ap", "sa", "af"];

/// What a fleet is made from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    pub seed: u64,
    /// Records per second of the whole fleet at `anchor`; the rhythm moves it from there.
    pub rate: f64,
    pub anchor: Timestamp,
    pub services: usize,
    /// How strong the daily and weekly rhythm is: 0 is flat, 1 is up to ±30 %, 3 up to ±90 %.
    pub rhythm: f64,
    /// How far a service's rate wanders within an hour, as a standard deviation of its logarithm: 0 to 0.5.
    pub wander: f64,
}

/// A fleet that cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum BadFleet {
    #[error("{0} services: from 1 to {MOST_SERVICES} are possible")]
    Services(usize),
    #[error("a rate of {0} records/s: from 0.01 to {MOST_RATE} are possible")]
    Rate(f64),
    #[error("a rhythm of {0}: from 0 to 3 is possible")]
    Rhythm(f64),
    #[error("a wander of {0}: from 0 to 0.5 is possible")]
    Wander(f64),
    #[error(transparent)]
    Template(#[from] BadTemplate),
    #[error(transparent)]
    Traffic(#[from] traffic::BadDispersion),
}

/// One service.
#[derive(Debug)]
pub struct Service {
    pub name: String,
    /// Index into `ARCHETYPES`.
    pub archetype: usize,
    /// Services of one cell call each other; cell 0 is the dozen itself.
    pub cell: usize,
    /// Variance of the traffic's factor per second.
    pub dispersion: f64,
    pub(crate) errors: f64,
    /// Records per second before rhythm and chance.
    pub(crate) rate: f64,
    pub(crate) phase: f64,
    /// Factor on all its latencies.
    pub(crate) pace: f64,
    pub(crate) head: Box<[u8]>,
    pub(crate) hosts: Vec<Box<[u8]>>,
    pub(crate) peers: Vec<Box<[u8]>>,
    pub(crate) version: Box<[u8]>,
    pub(crate) attributes: Box<[u8]>,
}

/// All services, and what they share.
#[derive(Debug)]
pub struct Fleet {
    pub settings: Settings,
    services: Vec<Service>,
    pub(crate) people: People,
    pub(crate) requests: Requests,
    pub(crate) voices: Vec<Voice>,
    pub(crate) novel: Vec<Template>,
    pub(crate) released: Vec<Template>,
    pub(crate) failed_logins: Vec<Template>,
    /// Addresses that password attacks come from.
    pub(crate) attackers: Vec<Box<[u8]>>,
}

impl Fleet {
    pub fn new(settings: Settings) -> Result<Self, BadFleet> {
        if !(1..=MOST_SERVICES).contains(&settings.services) {
            return Err(BadFleet::Services(settings.services));
        }
        if !(0.01..=MOST_RATE).contains(&settings.rate) {
            return Err(BadFleet::Rate(settings.rate));
        }
        if !(0.0..=3.0).contains(&settings.rhythm) {
            return Err(BadFleet::Rhythm(settings.rhythm));
        }
        if !(0.0..=0.5).contains(&settings.wander) {
            return Err(BadFleet::Wander(settings.wander));
        }
        let mut services: Vec<_> = (0..settings.services)
            .map(|index| Service::new(settings.seed, index))
            .collect();
        let share_at_anchor: f64 = services
            .iter()
            .map(|service| service.rate * settings.rhythm_of(service, settings.anchor))
            .sum();
        for service in &mut services {
            service.rate *= settings.rate / share_at_anchor;
        }
        let templates = |texts: &[&str]| -> Result<Vec<_>, BadTemplate> {
            texts.iter().map(|text| Template::parse(text)).collect()
        };
        Ok(Self {
            settings,
            services,
            people: People::new(settings.seed),
            requests: Requests::new(settings.seed),
            voices: ARCHETYPES
                .iter()
                .map(|archetype| Voice::new(archetype))
                .collect::<Result<_, _>>()?,
            novel: templates(&NOVEL)?,
            released: templates(&RELEASED)?,
            failed_logins: templates(&FAILED_LOGINS)?,
            attackers: (1..255)
                .map(|last| json::escaped_box(&format!("198.51.100.{last}")))
                .collect(),
        })
    }

    pub fn services(&self) -> &[Service] {
        &self.services
    }

    pub fn find(&self, name: &str) -> Option<usize> {
        self.services
            .iter()
            .position(|service| service.name == name)
    }

    /// Records per second that `service` writes at `at` on average.
    pub fn expected_rate(&self, service: usize, at: Timestamp) -> f64 {
        let service = &self.services[service];
        service.rate * self.settings.rhythm_of(service, at)
    }

    /// The gateway of a service's cell, which is where its requests come from.
    pub(crate) fn gateway_of(&self, service: usize) -> &Service {
        &self.services[self.services[service].cell * ARCHETYPES.len()]
    }

    /// Who calls `service`, directly or not, and over how many hops, nearest first.
    pub fn upstream(&self, service: usize) -> Vec<(usize, u8)> {
        let cell = self.services[service].cell * ARCHETYPES.len();
        let mut found: Vec<(usize, u8)> = vec![(service, 0)];
        let mut at = 0;
        while let Some(&(called, hops)) = found.get(at) {
            let name = ARCHETYPES[self.services[called].archetype].name;
            for (index, caller) in ARCHETYPES.iter().enumerate() {
                let caller_index = cell + index;
                let known = found.iter().any(|&(other, _)| other == caller_index);
                if !known && caller_index < self.services.len() && caller.calls.contains(&name) {
                    found.push((caller_index, hops + 1));
                }
            }
            at += 1;
        }
        found.split_off(1)
    }
}

impl Settings {
    fn rhythm_of(&self, service: &Service, at: Timestamp) -> f64 {
        1.0 + self.rhythm * (traffic::rhythm(at, service.phase) - 1.0)
    }
}

impl Service {
    fn new(seed: u64, index: usize) -> Self {
        let (cell, archetype_index) = (index / ARCHETYPES.len(), index % ARCHETYPES.len());
        let archetype = ARCHETYPES[archetype_index];
        let rng = &mut random::stream(seed, Purpose::Service, index as u64, 0);
        let name = name_in(cell, archetype.name);
        let (major, minor, patch) = (
            1 + random::below(rng, 6),
            random::below(rng, 30),
            random::below(rng, 10),
        );
        let version = format!("{major}.{minor}.{patch}");
        let region = format!("{}-1", REGIONS[cell.saturating_sub(1) % REGIONS.len()]);
        let attributes = if archetype.attributes {
            format!(r#","attributes":{{"region":"{region}","version":"{version}"}}"#)
        } else {
            String::new()
        };
        let loud = if archetype.share >= 20.0 { 6 } else { 2 };
        let hosts = 2 + random::below(rng, loud);
        Self {
            archetype: archetype_index,
            cell,
            dispersion: 0.02 + 0.03 * random::unit(rng),
            errors: archetype.errors,
            // Cells differ in size; the dozen itself has exactly its shares.
            rate: archetype.share * if cell == 0 { 1.0 } else { bell(rng, 0.4).exp() },
            phase: -0.4 + 0.8 * random::unit(rng),
            pace: bell(rng, 0.1).exp(),
            head: head_of(&name),
            hosts: (0..hosts).map(|_| host(rng)).collect(),
            peers: archetype
                .calls
                .iter()
                .map(|called| json::escaped_box(&name_in(cell, called)))
                .collect(),
            version: json::escaped_box(&version),
            attributes: attributes.into_bytes().into_boxed_slice(),
            name,
        }
    }
}

/// `orders` in cell 0, `orders-eu-17` in a later one.
fn name_in(cell: usize, base: &str) -> String {
    let Some(later) = cell.checked_sub(1) else {
        return base.to_owned();
    };
    let region = REGIONS[later % REGIONS.len()];
    format!("{base}-{region}-{}", later / REGIONS.len() + 1)
}

/// What stands between the timestamp and the level.
fn head_of(name: &str) -> Box<[u8]> {
    let mut head = b"\",\"service\":\"".to_vec();
    json::escaped(&mut head, name);
    head.extend_from_slice(b"\",\"level\":\"");
    head.into_boxed_slice()
}

fn host(rng: &mut Rng) -> Box<[u8]> {
    let host = format!(
        "ip-10-0-{}-{}",
        random::below(rng, 16),
        random::below(rng, 256)
    );
    json::escaped_box(&host)
}

/// Normally distributed around 0.
fn bell(rng: &mut Rng, deviation: f64) -> f64 {
    Normal::new(0.0, deviation).map_or(0.0, |normal| normal.sample(rng))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn fleet(services: usize) -> Fleet {
        Fleet::new(Settings {
            seed: 1,
            rate: 1000.0,
            anchor: Timestamp::parse("2026-11-21T07:00:00Z").unwrap(),
            services,
            rhythm: 1.0,
            wander: 0.0,
        })
        .unwrap()
    }

    #[test]
    fn ten_thousand_services_have_different_names() {
        let fleet = fleet(MOST_SERVICES);
        let names: BTreeSet<_> = fleet.services().iter().map(|s| s.name.as_str()).collect();
        assert_eq!(names.len(), MOST_SERVICES);
        assert_eq!(fleet.services()[0].name, "gateway");
        assert!(names.contains("orders-eu-17") && names.contains("billing-batch-af-3"));
    }

    #[test]
    fn rates_add_up_at_the_anchor() {
        let fleet = fleet(500);
        let total: f64 = (0..500)
            .map(|service| fleet.expected_rate(service, fleet.settings.anchor))
            .sum();
        assert!((total - 1000.0).abs() < 1e-6, "{total}");
    }

    #[test]
    fn upstream_is_everyone_who_waits_for_a_service() {
        let fleet = fleet(24);
        let names = |service: &str| -> Vec<_> {
            let upstream = fleet.upstream(fleet.find(service).unwrap());
            let named =
                |(index, hops): &(usize, u8)| (fleet.services()[*index].name.clone(), *hops);
            upstream.iter().map(named).collect()
        };
        assert_eq!(names("gateway"), []);
        let expected = [
            ("checkout-eu-1", 1),
            ("billing-batch-eu-1", 1),
            ("gateway-eu-1", 2),
        ];
        assert_eq!(
            names("payments-eu-1"),
            expected.map(|(name, hops)| (name.to_owned(), hops))
        );
    }

    #[test]
    fn impossible_settings_are_refused_with_the_limit() {
        let settings = fleet(1).settings;
        let error = |settings| Fleet::new(settings).unwrap_err().to_string();
        assert_eq!(
            error(Settings {
                services: 10_001,
                ..settings
            }),
            "10001 services: from 1 to 10000 are possible"
        );
        assert!(
            error(Settings {
                rate: f64::NAN,
                ..settings
            })
            .contains("from 0.01 to 500000")
        );
        assert!(
            error(Settings {
                rhythm: 4.0,
                ..settings
            })
            .contains("from 0 to 3")
        );
        assert!(
            error(Settings {
                wander: -0.1,
                ..settings
            })
            .contains("from 0 to 0.5")
        );
    }
}
