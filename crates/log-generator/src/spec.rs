//! The grammar of an injection: `kind[:service][@offset][+duration] [xMagnitude]`.
//! Invariant: a spec that parses can be carried out, given a service of that name; every refusal
//! says what would be right.

use contracts::truth::{Fault, UnknownFault};

/// Longest offset or duration.
const MOST_MS: i64 = 366 * 24 * 3_600_000;

/// What to inject, as somebody asked for it. `None` is left to the defaults, or to the seed.
#[derive(Debug, Clone, PartialEq)]
pub struct Spec {
    pub kind: Fault,
    pub service: Option<String>,
    pub offset_ms: i64,
    pub duration_ms: i64,
    pub magnitude: f64,
}

/// An injection that cannot be understood.
#[derive(Debug, thiserror::Error)]
pub enum BadSpec {
    #[error("{0}")]
    Kind(#[from] UnknownFault),
    #[error(
        "no kind before {0:?}: an injection reads kind[:service][@offset][+duration] [xMagnitude]"
    )]
    NoKind(String),
    #[error("no service name after ':' in {0:?}")]
    NoService(String),
    #[error("not a duration: {0:?}, write 500ms, 20s, 5m, 3h or 1d")]
    Duration(String),
    #[error("an injection must last longer than nothing")]
    NoDuration,
    #[error("not a magnitude: {0:?}, write x0.6 or x5")]
    Magnitude(String),
    #[error("magnitude {magnitude} is no {kind}: {allowed}", kind = kind.as_str(), allowed = range(*kind).says)]
    OutOfRange { kind: Fault, magnitude: f64 },
    #[error(
        "cannot read {0:?}: after the kind come :service, @offset, +duration and xMagnitude, each once, in this order"
    )]
    Rest(String),
}

/// What a magnitude may be.
struct Range {
    least: f64,
    most: f64,
    says: &'static str,
}

const fn range(kind: Fault) -> Range {
    let (least, most, says) = match kind {
        Fault::ErrorBurst | Fault::Cascade => (0.01, 1.0, "it is the error ratio, from 0.01 to 1"),
        Fault::RateSpike => (
            1.1,
            1_000.0,
            "it is the factor on the rate, from 1.1 to 1000",
        ),
        Fault::ErrorCreep => (0.01, 1.0, "it is the error ratio at last, from 0.01 to 1"),
        Fault::RateDrop => (0.0, 0.9, "it is the factor on the rate, from 0 to 0.9"),
        Fault::Silence => (0.0, 0.0, "silence has only x0"),
        Fault::TemplateVanished => (0.0, 0.0, "template_vanished has only x0"),
        Fault::HostSilence => (0.0, 0.0, "host_silence has only x0"),
        Fault::StatusShift => (
            0.01,
            1.0,
            "it is the share of requests that are refused, from 0.01 to 1",
        ),
        Fault::LatencyShift => (
            1.1,
            1_000.0,
            "it is the factor on latencies, from 1.1 to 1000",
        ),
        Fault::FailedLogins => (
            0.1,
            10_000.0,
            "it is attempts per second, from 0.1 to 10000",
        ),
        Fault::NewTemplate => (0.1, 10_000.0, "it is lines per second, from 0.1 to 10000"),
        Fault::TemplateSurge | Fault::DebugLevel => (
            0.01,
            1_000.0,
            "it is how many more beside each usual line, from 0.01 to 1000",
        ),
        Fault::Deploy => (
            0.01,
            1.0,
            "it is the share of its lines that read new, from 0.01 to 1",
        ),
    };
    Range { least, most, says }
}

/// Magnitude and duration (ms) when nobody says otherwise.
pub(crate) const fn defaults(kind: Fault) -> (f64, i64) {
    match kind {
        Fault::ErrorBurst => (0.5, 30_000),
        Fault::RateSpike | Fault::NewTemplate => (5.0, 30_000),
        Fault::RateDrop => (0.2, 60_000),
        Fault::Silence => (0.0, 60_000),
        Fault::LatencyShift => (4.0, 60_000),
        Fault::FailedLogins => (20.0, 30_000),
        Fault::Cascade | Fault::StatusShift => (0.4, 60_000),
        Fault::ErrorCreep => (0.15, 1_200_000),
        Fault::TemplateSurge => (1.0, 60_000),
        Fault::TemplateVanished | Fault::HostSilence => (0.0, 1_200_000),
        Fault::Deploy => (0.2, 120_000),
        Fault::DebugLevel => (1.0, 600_000),
    }
}

impl std::str::FromStr for Spec {
    type Err = BadSpec;

    fn from_str(text: &str) -> Result<Self, BadSpec> {
        let text = text.trim();
        let (kind, mut rest) = word(text);
        if kind.is_empty() {
            return Err(BadSpec::NoKind(text.to_owned()));
        }
        let kind: Fault = kind.parse()?;
        let (magnitude, duration_ms) = defaults(kind);
        let mut spec = Self {
            kind,
            service: None,
            offset_ms: 0,
            duration_ms,
            magnitude,
        };
        if let Some(after) = rest.strip_prefix(':') {
            let (name, left) = word(after);
            if name.is_empty() {
                return Err(BadSpec::NoService(text.to_owned()));
            }
            spec.service = Some(name.to_owned());
            rest = left.trim_start();
        }
        rest = rest.trim_start();
        if let Some(after) = rest.strip_prefix('@') {
            (spec.offset_ms, rest) = duration_prefix(after)?;
        }
        if let Some(after) = rest.strip_prefix('+') {
            (spec.duration_ms, rest) = duration_prefix(after)?;
            if spec.duration_ms == 0 {
                return Err(BadSpec::NoDuration);
            }
        }
        if let Some(after) = rest.strip_prefix('x') {
            let end = after.find(char::is_whitespace).unwrap_or(after.len());
            spec.magnitude = magnitude_of(&after[..end])?;
            rest = after[end..].trim_start();
        }
        if !rest.is_empty() {
            return Err(BadSpec::Rest(rest.to_owned()));
        }
        let allowed = range(kind);
        if !(allowed.least..=allowed.most).contains(&spec.magnitude) {
            return Err(BadSpec::OutOfRange {
                kind,
                magnitude: spec.magnitude,
            });
        }
        Ok(spec)
    }
}

/// The name at the beginning, and what follows it.
fn word(text: &str) -> (&str, &str) {
    let part_of_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    let end = text.find(|c| !part_of_name(c)).unwrap_or(text.len());
    text.split_at(end)
}

fn magnitude_of(text: &str) -> Result<f64, BadSpec> {
    text.parse()
        .ok()
        .filter(|value: &f64| value.is_finite())
        .ok_or_else(|| BadSpec::Magnitude(text.to_owned()))
}

/// A duration in milliseconds: a number and one of ms, s, m, h, d.
pub fn duration_ms(text: &str) -> Result<i64, BadSpec> {
    let (millis, rest) = duration_prefix(text.trim())?;
    if rest.is_empty() {
        Ok(millis)
    } else {
        Err(BadSpec::Duration(text.to_owned()))
    }
}

/// The duration at the beginning, and what follows it without leading blanks.
fn duration_prefix(text: &str) -> Result<(i64, &str), BadSpec> {
    let bad = || BadSpec::Duration(text.to_owned());
    let digits = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .ok_or_else(bad)?;
    let (number, unit_and_rest) = text.split_at(digits);
    let units = [
        ("ms", 1.0),
        ("s", 1e3),
        ("m", 60e3),
        ("h", 3_600e3),
        ("d", 86_400e3),
    ];
    let (rest, factor) = units
        .into_iter()
        .find_map(|(unit, factor)| Some((unit_and_rest.strip_prefix(unit)?, factor)))
        .ok_or_else(bad)?;
    if rest.starts_with(|c: char| c.is_ascii_alphanumeric() && c != 'x') {
        return Err(bad());
    }
    let millis = number.parse::<f64>().map_err(|_| bad())? * factor;
    if !(0.0..=MOST_MS as f64).contains(&millis) {
        return Err(bad());
    }
    Ok((millis.round() as i64, rest.trim_start()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reads(text: &str, kind: Fault, service: Option<&str>, times: (i64, i64), magnitude: f64) {
        let spec: Spec = text
            .parse()
            .unwrap_or_else(|error| panic!("{text}: {error}"));
        let expected = Spec {
            kind,
            service: service.map(str::to_owned),
            offset_ms: times.0,
            duration_ms: times.1,
            magnitude,
        };
        assert_eq!(spec, expected, "{text}");
    }

    #[test]
    fn every_part_may_be_given_or_left_out() {
        let checkout = Some("checkout");
        reads(
            "error_burst:checkout@20s+15s x0.6",
            Fault::ErrorBurst,
            checkout,
            (20_000, 15_000),
            0.6,
        );
        reads(
            "error_burst:checkout@20s+15sx0.6",
            Fault::ErrorBurst,
            checkout,
            (20_000, 15_000),
            0.6,
        );
        reads(
            "rate_spike:search+20s x6",
            Fault::RateSpike,
            Some("search"),
            (0, 20_000),
            6.0,
        );
        reads("silence", Fault::Silence, None, (0, 60_000), 0.0);
        reads("cascade@1.5m", Fault::Cascade, None, (90_000, 60_000), 0.4);
        reads(
            " new_template:orders-eu-17 x3 ",
            Fault::NewTemplate,
            Some("orders-eu-17"),
            (0, 30_000),
            3.0,
        );
        reads(
            "latency_shift x2.5",
            Fault::LatencyShift,
            None,
            (0, 60_000),
            2.5,
        );
        reads(
            "failed_logins:auth @ 500ms".replace("@ ", "@").as_str(),
            Fault::FailedLogins,
            Some("auth"),
            (500, 30_000),
            20.0,
        );
    }

    #[test]
    fn refusals_say_what_would_be_right() {
        for (text, says) in [
            (
                "",
                "no kind before \"\": an injection reads kind[:service][@offset][+duration] [xMagnitude]",
            ),
            (
                "boom",
                "unknown fault \"boom\": use one of error_burst, rate_spike",
            ),
            ("silence:", "no service name after ':'"),
            (
                "silence@20",
                "not a duration: \"20\", write 500ms, 20s, 5m, 3h or 1d",
            ),
            ("silence@soon", "not a duration: \"soon\""),
            ("silence@-5s", "not a duration: \"-5s\""),
            ("silence+20sec", "not a duration: \"20sec\""),
            ("silence+0s", "an injection must last longer than nothing"),
            ("silence+9000d", "not a duration"),
            (
                "rate_spike xfast",
                "not a magnitude: \"fast\", write x0.6 or x5",
            ),
            ("rate_spike xNaN", "not a magnitude"),
            (
                "rate_spike x0.5",
                "magnitude 0.5 is no rate_spike: it is the factor on the rate, from 1.1 to 1000",
            ),
            ("error_burst x2", "it is the error ratio, from 0.01 to 1"),
            ("silence x1", "silence has only x0"),
            ("silence+20s@5s", "cannot read \"@5s\""),
            ("silence x0 x0", "cannot read \"x0\""),
        ] {
            let error = text.parse::<Spec>().unwrap_err().to_string();
            assert!(error.contains(says), "{text:?}: {error}");
        }
    }

    #[test]
    fn the_defaults_are_allowed() {
        for kind in Fault::ALL {
            let spec: Spec = kind.as_str().parse().unwrap();
            assert_eq!((spec.magnitude, spec.duration_ms), defaults(kind));
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in "[a-z_:@+x0-9. ]{0,40}|\\PC*|(silence|cascade)[:@+x0-9a-z. é]{0,20}") {
            let _ = text.parse::<Spec>();
        }
    }
}
