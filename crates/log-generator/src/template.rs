//! Message templates: text with named slots, `payment {hex} took {ms}ms`.
//! Invariant: a template is parsed and escaped once, at start; rendering only copies bytes and
//! writes numbers.

use rand::RngExt;

use crate::{
    json,
    people::{People, User},
    random::{self, Rng},
};

/// A place in a template that differs from line to line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Slot {
    Id,
    Hex,
    Uuid,
    Few,
    Count,
    Percent,
    Bytes,
    Latency,
    Duration,
    Port,
    Offset,
    Sku,
    Money,
    Node,
    Address,
    Login,
    Email,
    Name,
    City,
    Agent,
    Method,
    Path,
    Status,
    Peer,
    Host,
    Version,
}

impl Slot {
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "id" => Self::Id,
            "hex" => Self::Hex,
            "uuid" => Self::Uuid,
            "n" => Self::Few,
            "count" => Self::Count,
            "pct" => Self::Percent,
            "bytes" => Self::Bytes,
            "ms" => Self::Latency,
            "dur" => Self::Duration,
            "port" => Self::Port,
            "offset" => Self::Offset,
            "sku" => Self::Sku,
            "money" => Self::Money,
            "node" => Self::Node,
            "ip" => Self::Address,
            "user" => Self::Login,
            "email" => Self::Email,
            "name" => Self::Name,
            "city" => Self::City,
            "agent" => Self::Agent,
            "method" => Self::Method,
            "path" => Self::Path,
            "status" => Self::Status,
            "peer" => Self::Peer,
            "host" => Self::Host,
            "version" => Self::Version,
            _ => return None,
        })
    }
}

/// A template that cannot be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadTemplate {
    #[error("unknown slot {slot:?} in template {text:?}")]
    UnknownSlot { slot: String, text: String },
    #[error("unclosed brace in template {0:?}")]
    Unclosed(String),
    #[error("a path cannot contain {{path}}: {0:?}")]
    PathInPath(String),
}

#[derive(Debug)]
enum Piece {
    Text(Box<[u8]>),
    Slot(Slot),
}

/// A parsed template.
#[derive(Debug)]
pub(crate) struct Template {
    pieces: Vec<Piece>,
}

/// What the line that is being written is about.
pub(crate) struct Scene<'a> {
    pub rng: &'a mut Rng,
    pub people: &'a People,
    pub user: &'a User,
    /// Where the request came from; usually the user's own address.
    pub address: &'a [u8],
    pub method: &'a [u8],
    pub path: &'a Template,
    pub latency_tenths: u64,
    pub status: u16,
    pub host: &'a [u8],
    pub peer: &'a [u8],
    pub version: &'a [u8],
}

impl Template {
    pub(crate) fn parse(text: &str) -> Result<Self, BadTemplate> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some(open) = rest.find('{') {
            // `{{` is a brace that is meant.
            if rest[open + 1..].starts_with('{') {
                pieces.push(Piece::Text(json::escaped_box(&rest[..=open])));
                rest = &rest[open + 2..];
                continue;
            }
            let close = rest[open..]
                .find('}')
                .ok_or_else(|| BadTemplate::Unclosed(text.to_owned()))?;
            let name = &rest[open + 1..open + close];
            let slot = Slot::named(name).ok_or_else(|| BadTemplate::UnknownSlot {
                slot: name.to_owned(),
                text: text.to_owned(),
            })?;
            if open > 0 {
                pieces.push(Piece::Text(json::escaped_box(&rest[..open])));
            }
            pieces.push(Piece::Slot(slot));
            rest = &rest[open + close + 1..];
        }
        if !rest.is_empty() {
            pieces.push(Piece::Text(json::escaped_box(rest)));
        }
        Ok(Self { pieces })
    }

    /// A path, which is itself what `{path}` stands for.
    pub(crate) fn parse_path(text: &str) -> Result<Self, BadTemplate> {
        let template = Self::parse(text)?;
        let nested = |piece: &Piece| matches!(piece, Piece::Slot(Slot::Path));
        if template.pieces.iter().any(nested) {
            return Err(BadTemplate::PathInPath(text.to_owned()));
        }
        Ok(template)
    }

    pub(crate) fn render(&self, out: &mut Vec<u8>, scene: &mut Scene<'_>) {
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => out.extend_from_slice(text),
                Piece::Slot(slot) => slot.render(out, scene),
            }
        }
    }
}

impl Slot {
    fn render(self, out: &mut Vec<u8>, scene: &mut Scene<'_>) {
        match self {
            Self::Id => json::number(
                out,
                u64::from(100_000 + random::below(scene.rng, 8_900_000)),
            ),
            Self::Hex => json::hex(out, scene.rng.random(), 8),
            Self::Uuid => uuid(out, scene.rng),
            Self::Few => json::number(out, u64::from(1 + random::below(scene.rng, 24))),
            Self::Count => json::number(out, skewed(scene.rng, 5_000)),
            Self::Percent => json::tenths(out, u64::from(random::below(scene.rng, 1_000))),
            Self::Bytes => json::number(out, 64 + skewed(scene.rng, 2_000_000)),
            Self::Latency => json::tenths(out, scene.latency_tenths),
            Self::Duration => duration(out, scene.rng),
            Self::Port => json::number(out, u64::from(1_024 + random::below(scene.rng, 60_000))),
            Self::Offset => json::number(out, scene.rng.random::<u64>() % 900_000_000),
            Self::Sku => {
                out.extend_from_slice(b"SKU-");
                json::padded(out, u64::from(random::below(scene.rng, 60_000)), 5);
            }
            Self::Money => json::hundredths(out, 199 + skewed(scene.rng, 90_000)),
            Self::Node => {
                let bits: u32 = scene.rng.random();
                out.extend_from_slice(b"10.0.");
                json::number(out, u64::from(bits & 15));
                out.push(b'.');
                json::number(out, u64::from(bits >> 8 & 255));
            }
            Self::Address => out.extend_from_slice(scene.address),
            Self::Login => out.extend_from_slice(&scene.user.login),
            Self::Email => out.extend_from_slice(&scene.user.email),
            Self::Name => out.extend_from_slice(&scene.user.name),
            Self::City => out.extend_from_slice(scene.people.city(scene.rng.random())),
            Self::Agent => out.extend_from_slice(scene.people.agent(scene.rng.random())),
            Self::Method => out.extend_from_slice(scene.method),
            Self::Path => {
                let path = scene.path;
                path.render(out, scene);
            }
            Self::Status => json::number(out, u64::from(scene.status)),
            Self::Peer => out.extend_from_slice(scene.peer),
            Self::Host => out.extend_from_slice(scene.host),
            Self::Version => out.extend_from_slice(scene.version),
        }
    }
}

/// Up to `limit`; small numbers are much more frequent.
fn skewed(rng: &mut Rng, limit: u32) -> u64 {
    let unit = random::unit(rng);
    1 + (unit * unit * unit * f64::from(limit)) as u64
}

fn duration(out: &mut Vec<u8>, rng: &mut Rng) {
    let millis = skewed(rng, 20_000);
    if millis < 1_000 {
        json::number(out, millis);
        out.extend_from_slice(b"ms");
    } else {
        json::hundredths(out, millis / 10);
        out.push(b's');
    }
}

fn uuid(out: &mut Vec<u8>, rng: &mut Rng) {
    let (high, low): (u64, u64) = (rng.random(), rng.random());
    json::hex(out, high >> 32, 8);
    out.push(b'-');
    json::hex(out, high >> 16, 4);
    out.push(b'-');
    json::hex(out, high & 0x0fff | 0x4000, 4);
    out.push(b'-');
    json::hex(out, low >> 48 & 0x3fff | 0x8000, 4);
    out.push(b'-');
    json::hex(out, low, 12);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Purpose;

    fn rendered(text: &str) -> String {
        let people = People::new(1);
        let path = Template::parse_path("/orders/7").unwrap();
        let mut out = Vec::new();
        Template::parse(text).unwrap().render(
            &mut out,
            &mut Scene {
                rng: &mut random::stream(1, Purpose::Records, 0, 0),
                people: &people,
                user: people.user(5),
                address: b"203.0.113.9",
                method: b"GET",
                path: &path,
                latency_tenths: 1824,
                status: 502,
                host: b"ip-10-0-1-7",
                peer: b"payments",
                version: b"2.1.0",
            },
        );
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn slots_take_what_the_record_is_about() {
        assert_eq!(
            rendered(
                "{method} {path} -> {status} in {ms}ms from {ip} via {peer} on {host} v{version}"
            ),
            "GET /orders/7 -> 502 in 182.4ms from 203.0.113.9 via payments on ip-10-0-1-7 v2.1.0"
        );
    }

    #[test]
    fn literal_text_is_escaped_and_double_braces_are_braces() {
        assert_eq!(rendered("a \"b\"\n\tc {{x}"), "a \\\"b\\\"\\n\\tc {x}");
    }

    #[test]
    fn a_uuid_is_one() {
        let text = rendered("{uuid}");
        assert_eq!(uuid::Uuid::parse_str(&text).unwrap().get_version_num(), 4);
    }

    #[test]
    fn mistakes_in_templates_are_named() {
        assert_eq!(
            Template::parse("a {nope} b").unwrap_err().to_string(),
            "unknown slot \"nope\" in template \"a {nope} b\""
        );
        assert_eq!(
            Template::parse("a {id").unwrap_err(),
            BadTemplate::Unclosed("a {id".to_owned())
        );
        assert!(Template::parse_path("/x/{path}").is_err());
    }
}
