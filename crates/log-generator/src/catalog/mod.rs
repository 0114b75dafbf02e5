//! The dozen services that every fleet is made of: what they serve, call and say.
//! Invariant: each says at least fifteen different things, no line that is not an error has a
//! status of 500 or more, and calls lead only to services of this list (tests below).

mod back;
mod edge;
mod shop;
mod traces;

use contracts::Level;

/// One kind of service.
#[derive(Debug)]
pub(crate) struct Archetype {
    pub name: &'static str,
    /// Share of the traffic, relative to the others.
    pub share: f64,
    /// Ratio of error records when nothing is wrong.
    pub errors: f64,
    /// Carries the client's address and the user in every record of a request.
    pub public: bool,
    /// Carries region and version as attributes.
    pub attributes: bool,
    /// Whether `failed_logins` makes sense here.
    pub checks_passwords: bool,
    /// Downstream services.
    pub calls: &'static [&'static str],
    pub endpoints: &'static [Endpoint],
    pub lines: &'static [Line],
}

/// One thing a service serves; latencies are lognormal.
#[derive(Debug)]
pub(crate) struct Endpoint {
    pub method: &'static str,
    pub path: &'static str,
    pub weight: u8,
    pub median_ms: f64,
    pub sigma: f64,
}

/// One message template, and what kind of record carries it.
#[derive(Debug)]
pub(crate) struct Line {
    pub level: Level,
    /// Relative to the other lines of its group: errors, or everything else.
    pub weight: u8,
    pub about: About,
    pub text: &'static str,
}

/// What a line is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum About {
    /// A request: has a latency and this status.
    Request(u16),
    /// The service's own business: neither latency nor status.
    Work,
}

impl Line {
    pub(crate) fn is_error(&self) -> bool {
        self.level.is_error()
    }
}

const fn endpoint(
    method: &'static str,
    path: &'static str,
    weight: u8,
    median_ms: f64,
    sigma: f64,
) -> Endpoint {
    Endpoint {
        method,
        path,
        weight,
        median_ms,
        sigma,
    }
}

const fn line(level: Level, weight: u8, about: About, text: &'static str) -> Line {
    Line {
        level,
        weight,
        about,
        text,
    }
}

/// A request that went well.
const fn served(weight: u8, status: u16, text: &'static str) -> Line {
    line(Level::Info, weight, About::Request(status), text)
}

/// A request that the client got wrong.
const fn refused(weight: u8, status: u16, text: &'static str) -> Line {
    line(Level::Warn, weight, About::Request(status), text)
}

/// A request that the service got wrong.
const fn failed(weight: u8, status: u16, text: &'static str) -> Line {
    line(Level::Error, weight, About::Request(status), text)
}

const fn work(level: Level, weight: u8, text: &'static str) -> Line {
    line(level, weight, About::Work, text)
}

/// The dozen, loudest first.
pub(crate) const ARCHETYPES: [&Archetype; 12] = [
    &edge::GATEWAY,
    &edge::CATALOG,
    &edge::SEARCH,
    &edge::AUTH,
    &shop::CART,
    &back::INVENTORY,
    &shop::CHECKOUT,
    &shop::ORDERS,
    &shop::PAYMENTS,
    &back::NOTIFICATIONS,
    &back::SHIPPING,
    &back::BILLING_BATCH,
];

/// Lines that no service says until `new_template` makes it.
pub(crate) const NOVEL: [&str; 8] = [
    "feature flag {hex} resolved to unknown variant, falling back to control for tenant {id}",
    "deprecated cipher suite negotiated with {node}:{port}, will be refused after {n} days",
    "schema drift: column added upstream is ignored, offset={offset} fingerprint={hex}",
    "clock went backwards by {dur}, pausing the id sequence on {host}",
    "config reload rejected at revision {id}: quota for pool {n} is below its reservation",
    "leader lease {uuid} lost, standing by after {n} heartbeats",
    "shadow traffic diverged: primary and candidate differ in {n} of {count} fields",
    "retry storm suspected: {count} identical idempotency keys within {dur}",
];

/// Lines that no service says before a new version does, and nobody has to read.
pub(crate) const RELEASED: [&str; 15] = [
    "build {hex} started in {dur}, {n} modules loaded",
    "recommendation carousel rendered with {n} tiles for {user}",
    "request coalescing saved {n} lookups of {sku}",
    "response for {path} compressed with zstd: {bytes} bytes in {ms}ms",
    "tenant {id} moved to pricing rules of revision {n}",
    "prefetched {count} articles for shelf {id} within {dur}",
    "connection pool of {node} resized to {n}",
    "idempotency key {uuid} stored for {dur}",
    "experiment {hex} assigned arm {n} to {user}",
    "payload of {bytes} bytes validated against contract {n}",
    "warm start: restored {count} entries from the previous instance",
    "health of {node} is now asked every {dur}",
    "audit entry {uuid} written by {user}",
    "rollout ring {n} reached, {count} sessions on the new path",
    "cursor page of {n} rows served to {user} in {ms}ms",
];

/// What a password check says when somebody guesses.
pub(crate) const FAILED_LOGINS: [&str; 3] = [
    "login failed for user {user} from {ip}: invalid password",
    "login failed for user {user} from {ip}: unknown user or wrong password, attempt {n}",
    "authentication failure; rhost={ip} user={user} agent=\"{agent}\"",
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::{template::Template, voice::Voice};

    #[test]
    fn every_service_says_fifteen_different_things_and_some_are_errors() {
        for archetype in ARCHETYPES {
            let texts: BTreeSet<_> = archetype.lines.iter().map(|line| line.text).collect();
            assert_eq!(texts.len(), archetype.lines.len(), "{}", archetype.name);
            assert!(texts.len() >= 15, "{}: {}", archetype.name, texts.len());
            let errors = archetype.lines.iter().filter(|line| line.is_error());
            assert!(errors.count() >= 4, "{}", archetype.name);
        }
    }

    #[test]
    fn every_service_is_known_by_some_lines_and_has_some_for_who_wants_to_know_all() {
        for archetype in ARCHETYPES {
            let voice = Voice::new(archetype).unwrap();
            let [debug, known_by] = voice.lines_to_choose_from();
            assert!(
                debug >= 1 && known_by >= 2,
                "{}: {known_by}",
                archetype.name
            );
        }
    }

    #[test]
    fn only_errors_have_server_error_statuses() {
        for line in ARCHETYPES.iter().flat_map(|archetype| archetype.lines) {
            if let About::Request(status) = line.about {
                assert_eq!(status >= 500, line.is_error(), "{}", line.text);
            }
        }
    }

    #[test]
    fn every_template_and_path_parses() {
        for archetype in ARCHETYPES {
            for line in archetype.lines {
                Template::parse(line.text).unwrap();
            }
            for endpoint in archetype.endpoints {
                Template::parse_path(endpoint.path).unwrap();
            }
        }
        for text in NOVEL.iter().chain(&FAILED_LOGINS).chain(&RELEASED) {
            Template::parse(text).unwrap();
        }
    }

    #[test]
    fn a_service_that_calls_nobody_never_speaks_of_a_peer() {
        for archetype in ARCHETYPES.iter().filter(|a| a.calls.is_empty()) {
            let names_a_peer = |line: &Line| line.text.contains("{peer}");
            assert!(
                !archetype.lines.iter().any(names_a_peer),
                "{}",
                archetype.name
            );
        }
    }

    #[test]
    fn calls_lead_to_known_services_and_never_in_a_circle() {
        fn depth(name: &str, seen: &mut Vec<String>) {
            assert!(!seen.iter().any(|other| other == name), "{seen:?} {name}");
            seen.push(name.to_owned());
            let found = ARCHETYPES.iter().find(|archetype| archetype.name == name);
            for called in found.unwrap_or_else(|| panic!("{name}")).calls {
                depth(called, seen);
            }
            seen.pop();
        }
        for archetype in ARCHETYPES {
            depth(archetype.name, &mut Vec::new());
        }
    }

    #[test]
    fn the_loudest_is_a_hundred_times_the_quietest() {
        let shares = || ARCHETYPES.iter().map(|archetype| archetype.share);
        let loudest = shares().fold(0.0, f64::max);
        let quietest = shares().fold(f64::INFINITY, f64::min);
        assert_eq!(loudest / quietest, 100.0);
        assert!(
            ARCHETYPES
                .iter()
                .all(|archetype| (0.001..=0.02).contains(&archetype.errors))
        );
    }
}
