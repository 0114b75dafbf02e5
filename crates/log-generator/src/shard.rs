//! Writes the records of some services, tick by tick: the hot loop.
//! Invariant: what a service writes in a tick depends on the seed, the service, the tick and the
//! injection that touches it, and on nothing else. Per record nothing is allocated.

use std::sync::Arc;

use contracts::{Timestamp, truth::Fault};
use rand::RngExt;

use primitives::splitmix::mix;

use crate::{
    batch::{Batch, Entry},
    catalog::About,
    fleet::{Fleet, Service},
    injection::{Effect, Injection},
    json,
    people::User,
    random::{self, Purpose, Rng},
    template::{Scene, Template},
    tick::{TICK_MS, Tick},
    time_text::TimeText,
    trace::Asking,
    traffic::{self, Drift, Wander},
    voice::{ReadyEndpoint, ReadyLine, Voice},
};

const TICK_SECONDS: f64 = TICK_MS as f64 / 1000.0;
const TICK_US: f64 = TICK_MS as f64 * 1000.0;
/// Templates that a new version brings.
const NEW_AT_ONCE: u32 = 5;
/// Addresses that a password attack comes from (TEST-NET-2: nobody's).
const ATTACKERS: u64 = 3;

/// Some services of a fleet, and how their traffic wanders.
pub(crate) struct Shard {
    fleet: Arc<Fleet>,
    members: Vec<Member>,
    time_text: TimeText,
}

struct Member {
    service: usize,
    wander: Wander,
    drift: Drift,
    /// The second that `rate` is for.
    second: Option<i64>,
    /// Records per second now.
    rate: f64,
    /// Records per millisecond at the gateway of its cell, for finding requests.
    gateway_per_ms: f64,
}

/// One service's tick while its records are written.
struct Writing<'a> {
    fleet: &'a Fleet,
    service: &'a Service,
    index: usize,
    voice: &'a Voice,
    gateway_per_ms: f64,
    tick: Tick,
    effect: Option<Effect>,
    /// No record may reach back over the beginning of the tick.
    border: bool,
    rng: Rng,
}

/// What is said of requests that are refused.
const REFUSALS: [u16; 2] = [404, 429];

/// What an injection adds beside the usual records.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Extra {
    FailedLogin,
    Novel,
    Debug,
    Surging,
}

/// All that is decided about a record before it is written.
struct Draft<'a> {
    level: &'static [u8],
    about: About,
    message: &'a Template,
    endpoint: &'a ReadyEndpoint,
    latency_tenths: u64,
    user: &'a User,
    address: &'a [u8],
    host: &'a [u8],
    peer: &'a [u8],
}

impl Shard {
    /// Members in ascending order of their index.
    pub(crate) fn new(
        fleet: &Arc<Fleet>,
        members: impl IntoIterator<Item = usize>,
    ) -> Result<Self, traffic::BadDispersion> {
        let member = |service: usize| {
            Ok(Member {
                service,
                wander: Wander::new(fleet.services()[service].dispersion)?,
                drift: Drift::new(fleet.settings.wander),
                second: None,
                rate: 0.0,
                gateway_per_ms: fleet.gateway_of(service).rate / 1000.0,
            })
        };
        Ok(Self {
            members: members.into_iter().map(member).collect::<Result<_, _>>()?,
            fleet: Arc::clone(fleet),
            time_text: TimeText::new(),
        })
    }

    /// Replaces `batch` by the records of `tick`. Ticks come in order, none is left out.
    pub(crate) fn write(&mut self, tick: Tick, injections: &[Arc<Injection>], batch: &mut Batch) {
        batch.clear();
        for member in &mut self.members {
            member.enter(&self.fleet, tick);
            let (index, service) = (member.service, &self.fleet.services()[member.service]);
            let mut here = injections.iter();
            let mut writing = Writing {
                fleet: &self.fleet,
                service,
                index,
                voice: &self.fleet.voices[service.archetype],
                gateway_per_ms: member.gateway_per_ms,
                tick,
                effect: here.find_map(|injection| injection.effect(index, tick)),
                border: injections
                    .iter()
                    .any(|injection| injection.border(index, tick)),
                rng: random::stream(
                    self.fleet.settings.seed,
                    Purpose::Records,
                    index as u64,
                    tick.number(),
                ),
            };
            writing.all(member.rate, batch, &mut self.time_text);
        }
        batch.sort();
    }
}

impl Member {
    fn enter(&mut self, fleet: &Fleet, tick: Tick) {
        let second = tick.second();
        if self.second == Some(second) {
            return;
        }
        self.second = Some(second);
        let rng = &mut random::stream(
            fleet.settings.seed,
            Purpose::Traffic,
            self.service as u64,
            second as u64,
        );
        let expected = fleet.expected_rate(self.service, tick.start());
        self.rate = expected * self.wander.next(rng) * self.drift.next(rng);
    }
}

impl<'a> Writing<'a> {
    fn all(&mut self, rate: f64, batch: &mut Batch, time_text: &mut TimeText) {
        let factor = self.effect.map_or(1.0, |effect| effect.rate);
        let count = traffic::poisson(rate * factor * TICK_SECONDS, &mut self.rng);
        for at in 0..count {
            self.one(at, count, None, batch, time_text);
        }
        let additional = |effect: Effect| effect.additional + effect.beside * rate;
        let Some(effect) = self.effect.filter(|effect| additional(*effect) > 0.0) else {
            return;
        };
        let extra = match effect.kind {
            Fault::FailedLogins => Extra::FailedLogin,
            Fault::DebugLevel => Extra::Debug,
            Fault::TemplateSurge => Extra::Surging,
            _ => Extra::Novel,
        };
        let count = traffic::poisson(additional(effect) * TICK_SECONDS, &mut self.rng);
        for at in 0..count {
            self.one(at, count, Some(extra), batch, time_text);
        }
    }

    /// Record `at` of `count` that are spread over the tick.
    fn one(
        &mut self,
        at: u32,
        count: u32,
        extra: Option<Extra>,
        batch: &mut Batch,
        time_text: &mut TimeText,
    ) {
        let place = (f64::from(at) + random::unit(&mut self.rng)) / f64::from(count);
        let due_us = ((place * TICK_US) as u32).min(TICK_US as u32 - 1);
        let due_ms = self.tick.start().as_millis() + i64::from(due_us / 1000);
        let event_time = self.event_time(due_ms);
        let request = self.fleet.requests.find(Asking {
            cell: self.service.cell as u64,
            archetype: self.service.archetype,
            at_ms: due_ms as f64 + f64::from(due_us % 1000) / 1000.0,
            gateway_per_ms: self.gateway_per_ms,
        });
        let trace_id = request.map_or_else(|| self.rng.random(), |request| request.trace_id);
        let span_id = self.rng.random::<u64>().max(1);
        let user = request.map_or_else(|| self.rng.random(), |request| request.user);
        let route = request.map(|request| request.route);
        let (draft, altered) = self.draft(user, route, extra);
        if extra.is_none() && self.is_missing(&draft) {
            return;
        }
        let start = batch.bytes.len();
        let out = &mut batch.bytes;
        out.extend_from_slice(b"{\"timestamp\":\"");
        time_text.write(out, event_time);
        draft.write(out, self, trace_id.max(1), span_id);
        batch.entries.push(Entry {
            due_us,
            service: self.index as u32,
            event_time,
            start,
            end: batch.bytes.len(),
            trace_id: trace_id.max(1),
            span_id,
            altered,
        });
    }

    /// Whether it is the line that is written no more.
    fn is_missing(&self, draft: &Draft<'_>) -> bool {
        self.effect.is_some_and(|effect| {
            let line = self.voice.characteristic(effect.ordinal);
            effect.kind == Fault::TemplateVanished
                && std::ptr::eq(draft.message, &raw const line.message)
        })
    }

    /// Mostly a few milliseconds before it is handed over, now and then up to 200.
    fn event_time(&mut self, due_ms: i64) -> Timestamp {
        let bits: u32 = self.rng.random();
        let most = match bits & 0xff {
            0..180 => 5,
            180..243 => 50,
            _ => 200,
        };
        let late = i64::from((bits >> 8) % (most + 1));
        let event_time = Timestamp::from_millis(due_ms - late);
        if self.border {
            event_time.max(self.tick.start())
        } else {
            event_time
        }
    }

    /// Decides what the record says, and by which injection it differs.
    fn draft(
        &mut self,
        user: u64,
        route: Option<usize>,
        extra: Option<Extra>,
    ) -> (Draft<'a>, Option<u32>) {
        let (fleet, service, voice) = (self.fleet, self.service, self.voice);
        let rng = &mut self.rng;
        let by_nature = random::unit(rng) < service.errors;
        let forced = !by_nature
            && self
                .effect
                .is_some_and(|effect| effect.errors > 0.0 && random::unit(rng) < effect.errors);
        let at_gateway = route.filter(|_| service.archetype == 0);
        let endpoint = voice.endpoint(at_gateway, rng);
        let slowdown = self.effect.map_or(1.0, |effect| effect.latency);
        let latency = endpoint.latency(rng) * service.pace * slowdown;
        let at_host = random::below(rng, service.hosts.len() as u32) as usize;
        let (host, has_moved) = self.host(at_host);
        let rng = &mut self.rng;
        let peer = match (at_gateway, service.peers.len()) {
            (_, 0) => &[][..],
            (Some(route), _) => &service.peers[route],
            (None, many) => &service.peers[random::below(rng, many as u32) as usize],
        };
        let someone = fleet.people.user(user);
        let line = voice.line(by_nature || forced, rng);
        let mut draft = Draft {
            level: line.level,
            about: line.about,
            message: &line.message,
            endpoint,
            latency_tenths: ((latency * 10.0).round() as u64).max(1),
            user: someone,
            address: &someone.address,
            host,
            peer,
        };
        let ordinal = self.effect.map_or(0, |effect| effect.ordinal);
        if let Some(extra) = extra {
            self.turn_into(&mut draft, extra, ordinal);
            return (draft, Some(ordinal));
        }
        let novel = self.effect.map_or(0.0, |effect| effect.novel);
        if novel > 0.0 && !by_nature && random::unit(&mut self.rng) < novel {
            let any = random::below(&mut self.rng, NEW_AT_ONCE) + ordinal * NEW_AT_ONCE;
            draft.level = b"INFO";
            draft.about = About::Work;
            draft.message = &fleet.released[any as usize % fleet.released.len()];
            return (draft, Some(ordinal));
        }
        let refused = self.refuse(&mut draft, ordinal);
        let slowed = slowdown > 1.0 && matches!(draft.about, About::Request(_));
        let counted = self.effect.is_some_and(|effect| effect.rate != 1.0);
        (
            draft,
            (forced || slowed || counted || refused || has_moved).then_some(ordinal),
        )
    }

    /// The machine that writes the record, and whether it does so for another one, which is away.
    fn host(&self, at: usize) -> (&'a [u8], bool) {
        let hosts = &self.service.hosts;
        let away = self
            .effect
            .filter(|effect| effect.kind == Fault::HostSilence)
            .map(|effect| effect.ordinal as usize % hosts.len());
        let is_away = away == Some(at) && hosts.len() > 1;
        (&hosts[(at + usize::from(is_away)) % hosts.len()], is_away)
    }

    /// Whether a request that was all right is answered that it is not.
    fn refuse(&mut self, draft: &mut Draft<'a>, ordinal: u32) -> bool {
        let share = self.effect.map_or(0.0, |effect| effect.refused);
        let is_right = matches!(draft.about, About::Request(..400));
        if !is_right || share <= 0.0 || random::unit(&mut self.rng) >= share {
            return false;
        }
        draft.about = About::Request(REFUSALS[ordinal as usize % REFUSALS.len()]);
        true
    }

    fn turn_into(&mut self, draft: &mut Draft<'a>, extra: Extra, ordinal: u32) {
        let voice = self.voice;
        draft.level = b"WARN";
        match extra {
            Extra::Debug => draft.say(voice.debug_line(&mut self.rng)),
            Extra::Surging => draft.say(voice.characteristic(ordinal)),
            Extra::Novel => {
                draft.about = About::Work;
                draft.message = &self.fleet.novel[ordinal as usize % self.fleet.novel.len()];
            }
            Extra::FailedLogin => {
                let templates = &self.fleet.failed_logins;
                draft.about = About::Request(401);
                draft.message = &templates[ordinal as usize % templates.len()];
                // Odd ones try many users, even ones guess the password of one.
                if ordinal.is_multiple_of(2) {
                    draft.user = self.fleet.people.user(mix(u64::from(ordinal)));
                }
                let attacker = self.rng.random::<u64>() % ATTACKERS;
                draft.address = &self.fleet.attackers[(u64::from(ordinal) * ATTACKERS + attacker)
                    as usize
                    % self.fleet.attackers.len()];
            }
        }
    }
}

impl<'a> Draft<'a> {
    fn say(&mut self, line: &'a ReadyLine) {
        self.level = line.level;
        self.about = line.about;
        self.message = &line.message;
    }

    /// All that follows the timestamp.
    fn write(&self, out: &mut Vec<u8>, writing: &mut Writing<'_>, trace_id: u128, span_id: u64) {
        let service = writing.service;
        let status = match self.about {
            About::Request(status) => Some(status),
            About::Work => None,
        };
        out.extend_from_slice(&service.head);
        out.extend_from_slice(self.level);
        out.extend_from_slice(b"\",\"message\":\"");
        self.message.render(
            out,
            &mut Scene {
                rng: &mut writing.rng,
                people: &writing.fleet.people,
                user: self.user,
                address: self.address,
                method: self.endpoint.method,
                path: &self.endpoint.path,
                latency_tenths: self.latency_tenths,
                status: status.unwrap_or(0),
                host: self.host,
                peer: self.peer,
                version: &service.version,
            },
        );
        out.extend_from_slice(b"\",\"host\":\"");
        out.extend_from_slice(self.host);
        out.extend_from_slice(b"\",\"trace_id\":\"");
        json::hex(out, (trace_id >> 64) as u64, 16);
        json::hex(out, trace_id as u64, 16);
        out.extend_from_slice(b"\",\"span_id\":\"");
        json::hex(out, span_id, 16);
        out.push(b'"');
        if let Some(status) = status {
            out.extend_from_slice(b",\"latency_ms\":");
            json::tenths(out, self.latency_tenths);
            out.extend_from_slice(b",\"status\":");
            json::number(out, u64::from(status));
            if writing.voice.public {
                out.extend_from_slice(b",\"client_ip\":\"");
                out.extend_from_slice(self.address);
                out.extend_from_slice(b"\",\"user\":\"");
                out.extend_from_slice(&self.user.login);
                out.push(b'"');
            }
        }
        out.extend_from_slice(&service.attributes);
        out.push(b'}');
    }
}
