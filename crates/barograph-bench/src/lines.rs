//! Log records to measure with: the record of the contract, 252 bytes on average.
//!
//! Invariant: the same seed gives the same bytes. Services have unequal shares, each its own
//! dozen of the message templates; ids in them are random, so that lines compress as real ones do.
//! About one line in seventy is an error, evenly over time: nothing here is an anomaly.

use primitives::splitmix::SplitMix64;
use std::fmt::Write as _;

use contracts::Timestamp;

/// `#` a number, `@` eight hexadecimal digits, `~` an address, `^` a path.
const TEMPLATES: &[&str] = &[
    "GET ^ 200 in #ms",
    "POST ^ accepted, request @",
    "cache hit for key item:@",
    "cache miss for key session:@, loading from replica #",
    "payment @ authorised by acquirer in #ms",
    "payment @ declined by acquirer, code #",
    "order @ placed with # items",
    "stock of sku @ is now #",
    "user @ signed in from ~",
    "login failed for user @ from ~: wrong password",
    "connection pool grew to # of 64 connections",
    "query took #ms: SELECT * FROM orders WHERE id = '@'",
    "published event OrderShipped @ to partition #",
    "consumed message @ after #ms in queue",
    "retrying request @ to upstream ~, attempt #",
    "upstream ~ answered in #ms",
    "rendered template checkout/summary in #ms",
    "uploaded object ^ with # bytes",
    "scheduled job cleanup-@ finished, # rows removed",
    "feature flag fast-checkout evaluated for user @",
    "token @ refreshed, expires in # s",
    "webhook @ delivered to ~",
    "thumbnail of ^ written in #ms",
    "search for user @ returned # hits",
    "recommendations for user @ computed from # events",
    "email receipt @ handed to relay ~",
    "gc pause #ms, heap # MiB",
    "health check of ~ passed",
    "rate limit for client ~ at # of 1000",
    "price of sku @ changed to # cents",
    "shipment @ left warehouse #",
    "refund @ booked, # cents",
    "config reloaded from ^, revision #",
    "lock on cart @ held for #ms",
    "compacted segment @ into # blocks",
    "request @ timed out after #ms waiting for ~",
];

const PATHS: &[&str] = &["/items", "/cart", "/orders", "/users", "/media", "/search"];
const NAMES: &[&str] = &[
    "checkout",
    "payments",
    "inventory",
    "search",
    "gateway",
    "auth",
    "catalog",
    "shipping",
    "email",
    "billing",
];
const TEMPLATES_PER_SERVICE: usize = 12;

/// A stream of lines without an end.
pub(super) struct Lines {
    services: Vec<Service>,
    /// Sums of the services' weights, to choose by.
    weights: Vec<u64>,
    random: SplitMix64,
    /// Event time, µs since the epoch.
    time: i64,
    step: i64,
    /// Start of the day of `time`, ms, and its text up to the `T`.
    day: (i64, String),
}

struct Service {
    name: String,
    host: u64,
    first_template: usize,
}

const DAY_MS: i64 = 86_400_000;

/// Lines per second of event time in a topic that is filled beforehand.
pub(super) const EVENT_RATE: u64 = 10_000;

/// Where their event time begins: neither a day's end nor the future lies among them.
pub(super) fn noon_of_yesterday() -> Timestamp {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| since.as_millis() as i64);
    Timestamp::from_millis((now / DAY_MS - 1) * DAY_MS + DAY_MS / 2)
}

impl Lines {
    /// `per_second`: lines per second of event time, over all services.
    pub(super) fn new(seed: u64, services: usize, begin: Timestamp, per_second: u64) -> Self {
        let mut sum = 0;
        let weights = (0..services as u64)
            .map(|rank| {
                sum += 1_000_000 / (rank + 8);
                sum
            })
            .collect();
        Self {
            services: (0..services).map(Service::of).collect(),
            weights,
            random: SplitMix64::new(seed),
            time: begin.as_millis() * 1000,
            step: 1_000_000 / per_second.cast_signed(),
            day: (i64::MIN, String::new()),
        }
    }

    pub(super) fn service_name(&self, service: usize) -> &str {
        &self.services[service].name
    }

    /// Writes the next line into `out` and answers with the index of its service.
    pub(super) fn write(&mut self, out: &mut String) -> usize {
        out.clear();
        self.time += self.step;
        let at = self.weights.len() - 1;
        let place = self.random.below(self.weights[at]);
        let chosen = self.weights.partition_point(|sum| *sum <= place);
        let dice = self.random.draw();
        let level = match dice % 1000 {
            0..14 => "ERROR",
            14..70 => "WARN",
            70..150 => "DEBUG",
            _ => "INFO",
        };
        let random = &mut self.random;
        let service = &self.services[chosen];
        out.push_str(r#"{"timestamp":""#);
        stamp(out, self.time / 1000, &mut self.day);
        // Writing to a string does not fail; neither here nor below.
        let _ = write!(
            out,
            r#"","service":"{}","level":"{level}","message":""#,
            service.name
        );
        let template = service.first_template + random.below(TEMPLATES_PER_SERVICE as u64) as usize;
        message(out, TEMPLATES[template % TEMPLATES.len()], random);
        let _ = write!(
            out,
            r#"","host":"ip-10-0-{}-{}""#,
            service.host,
            random.below(8)
        );
        let has = |bit: u32, of_16: u64| (dice >> bit) & 15 < of_16;
        if has(16, 14) {
            let _ = write!(
                out,
                r#","trace_id":"{:016x}{:016x}""#,
                random.draw(),
                random.draw()
            );
            if has(20, 8) {
                let _ = write!(out, r#","span_id":"{:016x}""#, random.draw());
            }
        }
        if has(24, 9) {
            let status = if level == "ERROR" { 502 } else { 200 };
            let latency = random.below(4000);
            let (whole, tenth) = (latency / 10, latency % 10);
            let _ = write!(out, r#","latency_ms":{whole}.{tenth},"status":{status}"#);
        }
        if has(28, 4) {
            out.push_str(r#","client_ip":""#);
            address(out, random);
            out.push('"');
        }
        if has(32, 6) {
            let _ = write!(out, r#","user":"u-{}""#, random.below(50_000));
        }
        if has(36, 4) {
            let _ = write!(
                out,
                r#","attributes":{{"region":"eu-{}","version":"4.{}.1"}}"#,
                random.below(3),
                random.below(20)
            );
        }
        out.push('}');
        chosen
    }
}

impl Service {
    fn of(rank: usize) -> Self {
        let name = NAMES[rank % NAMES.len()];
        let number = rank / NAMES.len();
        Self {
            name: format!("{name}-{number}"),
            host: rank as u64 % 250,
            first_template: rank * 5,
        }
    }
}

fn message(out: &mut String, template: &str, random: &mut SplitMix64) {
    for part in template.chars() {
        let _ = match part {
            '#' => write!(out, "{}", random.below(900) + 1),
            '@' => write!(out, "{:08x}", random.draw() as u32),
            '~' => {
                address(out, random);
                Ok(())
            }
            '^' => {
                let path = PATHS[random.below(PATHS.len() as u64) as usize];
                write!(out, "{path}/{}", random.below(100_000))
            }
            other => {
                out.push(other);
                Ok(())
            }
        };
    }
}

fn address(out: &mut String, random: &mut SplitMix64) {
    let bits = random.draw();
    let _ = write!(
        out,
        "203.0.{}.{}",
        bits as u8 % 114,
        (bits >> 8) as u8 % 254 + 1
    );
}

/// RFC 3339 with milliseconds; the date is worked out once a day.
fn stamp(out: &mut String, millis: i64, day: &mut (i64, String)) {
    let begin = millis - millis.rem_euclid(DAY_MS);
    if day.0 != begin {
        let text = Timestamp::from_millis(begin).to_string();
        *day = (begin, text.split('T').next().unwrap_or_default().to_owned());
    }
    let rest = millis - begin;
    let (hour, minute) = (rest / 3_600_000, rest / 60_000 % 60);
    let (second, milli) = (rest / 1000 % 60, rest % 1000);
    let _ = write!(
        out,
        "{}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z",
        day.1
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines() -> Lines {
        Lines::new(1, 50, Timestamp::from_millis(1_795_244_400_000), 10_000)
    }

    #[test]
    fn lines_are_252_bytes_on_average() {
        let (mut lines, mut line) = (lines(), String::new());
        let total: usize = (0..100_000)
            .map(|_| {
                lines.write(&mut line);
                line.len()
            })
            .sum();
        let mean = total as f64 / 100_000.0;
        assert!((251.0..253.0).contains(&mean), "{mean}");
    }

    #[test]
    fn lines_are_records_of_the_contract() {
        let (mut lines, mut line) = (lines(), String::new());
        let mut errors = 0;
        for _ in 0..20_000 {
            let service = lines.write(&mut line);
            let record: serde_json::Value = serde_json::from_str(&line).unwrap();
            assert_eq!(record["service"], lines.service_name(service));
            let time = record["timestamp"].as_str().unwrap();
            assert!(Timestamp::parse(time).is_ok(), "{time}");
            errors += usize::from(record["level"] == "ERROR");
        }
        assert!((200..400).contains(&errors), "{errors}");
    }
}
