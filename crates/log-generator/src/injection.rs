//! One injected anomaly, and what it does to a service in a tick.
//! Invariant: at most one injection touches a service at a time (`schedule` sees to it), and it
//! touches nothing outside its span.

use contracts::{Timestamp, truth::Fault};

use crate::tick::Tick;

/// Time that a cascade takes to climb one hop of the call graph.
const HOP_MS: i64 = 2_000;
/// What is left of a cascade one hop further up.
const DECAY: f64 = 0.6;
/// Slow-down of a service that fails always; less in proportion to the error ratio.
const CASCADE_SLOWDOWN: f64 = 5.0;

/// A service that is deployed is nearly away for so long.
const RESTART_MS: i64 = 8_000;
const RESTART_RATE: f64 = 0.1;

/// An anomaly with everything decided.
#[derive(Debug, Clone, PartialEq)]
pub struct Injection {
    pub ordinal: u32,
    pub kind: Fault,
    pub service: usize,
    /// Services that suffer too, and how many hops up the call graph they are.
    pub upstream: Vec<(usize, u8)>,
    /// On the border of a tick.
    pub start: Timestamp,
    /// Exclusive; on the border of a tick.
    pub end: Timestamp,
    pub magnitude: f64,
}

/// What an injection does to one service in one tick.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Effect {
    pub ordinal: u32,
    pub kind: Fault,
    /// Factor on the number of records.
    pub rate: f64,
    /// Ratio of records that become errors.
    pub errors: f64,
    /// Factor on latencies.
    pub latency: f64,
    /// Additional records per second, and beside each of the usual ones.
    pub additional: f64,
    pub beside: f64,
    /// Ratio of records that say what the service has never said.
    pub novel: f64,
    /// Ratio of requests that are answered that they are wrong.
    pub refused: f64,
}

impl Injection {
    /// Hops from its origin to `service`, if it reaches it at all.
    fn hops_to(&self, service: usize) -> Option<u8> {
        if service == self.service {
            return Some(0);
        }
        let upstream = self.upstream.iter().find(|(other, _)| *other == service);
        upstream.map(|(_, hops)| *hops)
    }

    pub fn touches(&self, service: usize) -> bool {
        self.hops_to(service).is_some()
    }

    /// Whether both would touch one service at one time.
    pub fn collides(&self, other: &Self) -> bool {
        let in_time = self.start < other.end && other.start < self.end;
        let touched = std::iter::once(self.service).chain(self.upstream.iter().map(|(s, _)| *s));
        in_time && touched.into_iter().any(|service| other.touches(service))
    }

    /// What it does to `service` in `tick`; `None` outside its span.
    pub fn effect(&self, service: usize, tick: Tick) -> Option<Effect> {
        let hops = self.hops_to(service)?;
        let begins = self.start.as_millis() + i64::from(hops) * HOP_MS;
        if tick.start().as_millis() < begins || tick.start() >= self.end {
            return None;
        }
        let lasts = tick.start().as_millis() - begins;
        let mut effect = Effect {
            ordinal: self.ordinal,
            kind: self.kind,
            rate: 1.0,
            errors: 0.0,
            latency: 1.0,
            additional: 0.0,
            beside: 0.0,
            novel: 0.0,
            refused: 0.0,
        };
        match self.kind {
            Fault::ErrorBurst => effect.errors = self.magnitude,
            Fault::RateSpike | Fault::RateDrop => effect.rate = self.magnitude,
            Fault::Silence => effect.rate = 0.0,
            Fault::LatencyShift => effect.latency = self.magnitude,
            Fault::FailedLogins | Fault::NewTemplate => effect.additional = self.magnitude,
            Fault::TemplateSurge | Fault::DebugLevel => effect.beside = self.magnitude,
            Fault::StatusShift => effect.refused = self.magnitude,
            // What is missing is left out, and who is away passed over, where it would be written.
            Fault::TemplateVanished | Fault::HostSilence => {}
            Fault::ErrorCreep => {
                let climbs = (self.end.as_millis() - begins) as f64 / 2.0;
                effect.errors = self.magnitude * (lasts as f64 / climbs).min(1.0);
            }
            Fault::Deploy if lasts < RESTART_MS => effect.rate = RESTART_RATE,
            Fault::Deploy => effect.novel = self.magnitude,
            Fault::Cascade => {
                effect.errors = self.magnitude * DECAY.powi(hops.into());
                effect.latency = 1.0 + (CASCADE_SLOWDOWN - 1.0) * effect.errors;
            }
        }
        Some(effect)
    }

    /// Whether its effect on `service` begins or ended just at the beginning of `tick`: there,
    /// no record may reach back over the border.
    pub fn border(&self, service: usize, tick: Tick) -> bool {
        self.touches(service)
            && (tick.start() == self.end
                || (self.effect(service, tick).is_some()
                    && self.effect(service, tick.before()).is_none()))
    }

    /// Whether it is seen in records that are there, not in records that are missing.
    pub fn shows_in_records(&self) -> bool {
        !matches!(
            self.kind,
            Fault::Silence | Fault::RateDrop | Fault::TemplateVanished
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cascade() -> Injection {
        Injection {
            ordinal: 3,
            kind: Fault::Cascade,
            service: 8,
            upstream: vec![(6, 1), (0, 2)],
            start: Timestamp::from_millis(10_000),
            end: Timestamp::from_millis(20_000),
            magnitude: 0.5,
        }
    }

    fn tick(millis: i64) -> Tick {
        Tick::containing(Timestamp::from_millis(millis))
    }

    #[test]
    fn a_cascade_climbs_hop_by_hop_and_fades() {
        let errors = |service, millis| cascade().effect(service, tick(millis)).map(|e| e.errors);
        assert_eq!(errors(8, 9_750), None);
        assert_eq!(errors(8, 10_000), Some(0.5));
        assert_eq!(errors(6, 11_750), None);
        assert_eq!(errors(6, 12_000), Some(0.3));
        assert_eq!(errors(0, 13_999), None);
        assert_eq!(errors(0, 14_000), Some(0.18));
        assert_eq!(errors(1, 15_000), None);
        assert_eq!(errors(8, 20_000), None);
    }

    #[test]
    fn errors_creep_up_and_stay_and_a_deploy_is_away_for_a_moment() {
        let injected = |kind| Injection { kind, ..cascade() };
        let effect = |kind, millis| injected(kind).effect(8, tick(millis)).unwrap();
        let errors = |millis| effect(Fault::ErrorCreep, millis).errors;
        assert_eq!(
            [10_000, 12_500, 15_000, 19_750].map(errors),
            [0.0, 0.25, 0.5, 0.5]
        );
        let deploy = |millis| {
            let effect = effect(Fault::Deploy, millis);
            (effect.rate, effect.novel)
        };
        assert_eq!(deploy(10_000), (RESTART_RATE, 0.0));
        assert_eq!(deploy(18_000), (1.0, 0.5));
    }

    #[test]
    fn borders_are_where_the_effect_begins_and_where_it_ended() {
        let borders: Vec<i64> = (0..100)
            .map(|index| index * 250)
            .filter(|&millis| cascade().border(6, tick(millis)))
            .collect();
        assert_eq!(borders, [12_000, 20_000]);
    }

    #[test]
    fn two_collide_only_on_a_common_service_at_a_common_time() {
        let other = |service, start| Injection {
            kind: Fault::Silence,
            service,
            upstream: Vec::new(),
            start: Timestamp::from_millis(start),
            end: Timestamp::from_millis(start + 5_000),
            ..cascade()
        };
        assert!(cascade().collides(&other(6, 19_750)) && other(0, 5_250).collides(&cascade()));
        assert!(!cascade().collides(&other(6, 20_000)) && !cascade().collides(&other(1, 12_000)));
    }
}
