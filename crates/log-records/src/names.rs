//! What senders call the fields of a line. `docs/records.md` is this table in words.
//!
//! The names that most records have are told apart by [`own`], for speed. All others are looked up here
//! by their path from the record's outermost object, in any case and with any of `_`, `-`, `.`
//! and blanks between their words: `http.response.status_code`, `HttpResponseStatusCode` and
//! `{"http":{"response":{"status_code":…}}}` are one name.

use std::sync::LazyLock;

use hashbrown::{HashMap, HashSet};

/// Fields of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Field {
    Timestamp,
    Service,
    Level,
    SeverityNumber,
    Message,
    Host,
    TraceId,
    SpanId,
    Latency,
    Status,
    ClientIp,
    User,
    // What is looked up by path alone follows.
    /// A name of the service that yields to the record's key.
    Source,
    ServiceVersion,
    ParentSpanId,
}

impl Field {
    /// How many of them have names that [`own`] knows.
    pub(crate) const WITH_OWN_NAMES: usize = 12;

    /// As the contract calls it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Timestamp => "timestamp",
            Self::Service => "service",
            Self::Level => "level",
            Self::SeverityNumber => "severity_number",
            Self::Message => "message",
            Self::Host => "host",
            Self::TraceId => "trace_id",
            Self::SpanId => "span_id",
            Self::Latency => "latency_ms",
            Self::Status => "status",
            Self::ClientIp => "client_ip",
            Self::User => "user",
            Self::Source => "source",
            Self::ServiceVersion => "service.version",
            Self::ParentSpanId => "parent_span_id",
        }
    }

    /// The names that [`own`] knows, best first: the contract's, then what most others write.
    pub(crate) const fn own_names(self) -> &'static [&'static str] {
        match self {
            Self::Timestamp => &["timestamp", "ts", "time", "@timestamp"],
            Self::Service => &["service", "service.name", "app"],
            Self::Level => &["level", "severity", "lvl"],
            Self::SeverityNumber => &["severity_number"],
            Self::Message => &["message", "msg", "body"],
            Self::Host => &["host"],
            Self::TraceId => &["trace_id"],
            Self::SpanId => &["span_id"],
            Self::Latency => &["latency_ms", "duration_ms", "response_time_ms"],
            Self::Status => &["status", "status_code"],
            Self::ClientIp => &["client_ip", "ip", "remote_addr"],
            Self::User => &["user"],
            Self::Source | Self::ServiceVersion | Self::ParentSpanId => &[],
        }
    }
}

/// How a value under some name is to be understood, where the field alone does not say it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum How {
    Plain,
    /// It is as often a duration.
    MayBeADuration,
    /// Log4j 2: `{"epochSecond":…,"nanoOfSecond":…}`.
    Instant,
    /// OTLP's severity numbers.
    Otlp,
    /// Python's numbers of levels.
    Python,
    /// Application Insights' numbers of levels.
    Insights,
    /// Google Cloud's numbers of severities.
    GoogleCloud,
    /// A message template with holes for the record's other members.
    Template,
    /// Such a template with its holes filled, of a compact log event.
    Rendered,
    /// One line of output, with its line break.
    Output,
    /// Text, or the bytes of one as numbers.
    Bytes,
    /// Text only; an object of that name is something else.
    Text,
    /// Docker writes names with a slash before them.
    AfterSlash,
    /// The last part of a path.
    LastPart,
    /// Bunyan's and pino's name of the program, which they write beside its pid; elsewhere it is anybody's.
    WithPid,
    Nanoseconds,
    Microseconds,
    Seconds,
}

use How::{
    AfterSlash, Bytes, GoogleCloud, Insights, Instant, LastPart, MayBeADuration, Microseconds,
    Nanoseconds, Otlp, Output, Plain, Python, Rendered, Seconds, Template, Text, WithPid,
};

/// Known by its exact name: the field, and the name's rank among the field's own names.
#[inline]
pub(crate) fn own(name: &str) -> Option<(Field, u8)> {
    Some(match name.as_bytes() {
        b"timestamp" => (Field::Timestamp, 0),
        b"ts" => (Field::Timestamp, 1),
        b"time" => (Field::Timestamp, 2),
        b"@timestamp" => (Field::Timestamp, 3),
        b"service" => (Field::Service, 0),
        b"service.name" => (Field::Service, 1),
        b"app" => (Field::Service, 2),
        b"level" => (Field::Level, 0),
        b"severity" => (Field::Level, 1),
        b"lvl" => (Field::Level, 2),
        b"severity_number" => (Field::SeverityNumber, 0),
        b"message" => (Field::Message, 0),
        b"msg" => (Field::Message, 1),
        b"body" => (Field::Message, 2),
        b"host" => (Field::Host, 0),
        b"trace_id" => (Field::TraceId, 0),
        b"span_id" => (Field::SpanId, 0),
        b"latency_ms" => (Field::Latency, 0),
        b"duration_ms" => (Field::Latency, 1),
        b"response_time_ms" => (Field::Latency, 2),
        b"status" => (Field::Status, 0),
        b"status_code" => (Field::Status, 1),
        b"client_ip" => (Field::ClientIp, 0),
        b"ip" => (Field::ClientIp, 1),
        b"remote_addr" => (Field::ClientIp, 2),
        b"user" => (Field::User, 0),
        _ => return None,
    })
}

/// How a value under one of a field's own names is to be understood.
pub(crate) const fn own_how(field: Field, rank: u8) -> How {
    match (field, rank) {
        (Field::Timestamp, 2) => MayBeADuration,
        (Field::SeverityNumber, _) => Otlp,
        (Field::Level, 1) => GoogleCloud,
        _ => Plain,
    }
}

/// Where a field's own names stand among all its names: less is better.
pub(crate) const OWN_ORDER: u16 = 100;
/// Where those that are looked up by path do, one after the other.
const WIDE_ORDER: u16 = 200;
/// How much worse a name is within an object that only wraps a record.
pub(crate) const WRAPPED: u16 = 1000;

/// What is better than a field's own names: what a template was made into.
const RENDERED: &[(&str, How)] = &[
    ("formattedMessage", Text),
    ("RenderedMessage", Text),
    ("@m", Rendered),
];

/// All other names, best first.
const WIDE: &[(Field, &[(&str, How)])] = &[
    (
        Field::Timestamp,
        &[
            ("timestamp", Plain),
            ("@t", Plain),
            ("ts", Plain),
            ("time", MayBeADuration),
            ("datetime", Plain),
            ("eventTime", Plain),
            ("asctime", Plain),
            ("timeMillis", Plain),
            ("epochMillis", Plain),
            ("timeUnixNano", Plain),
            ("instant", Instant),
            ("t.$date", Plain),
            ("timestamp.$date", Plain),
            ("record.time.timestamp", Plain),
            ("_SOURCE_REALTIME_TIMESTAMP", Plain),
            ("__REALTIME_TIMESTAMP", Plain),
            ("event.created", Plain),
            ("created", MayBeADuration),
            ("date", MayBeADuration),
            ("observedTimeUnixNano", Plain),
            ("receiveTimestamp", Plain),
        ],
    ),
    (
        Field::Service,
        &[
            ("service", Plain),
            ("service.name", Plain),
            ("dd.service", Plain),
            ("application", Plain),
            ("application.name", Plain),
            ("app", Plain),
            ("app.name", Plain),
            ("resource.service.name", Plain),
            ("kubernetes.labels.app.kubernetes.io/name", Plain),
            ("kubernetes.labels.k8s-app", Plain),
            ("kubernetes.labels.app", Plain),
            ("k8s.deployment.name", Plain),
            ("kubernetes.deployment.name", Plain),
            ("kubernetes.container.name", Plain),
            ("k8s.container.name", Plain),
            ("container.name", AfterSlash),
            ("resource.labels.service_name", Plain),
            ("resource.labels.container_name", Plain),
            ("resource.labels.function_name", Plain),
            ("resource.labels.module_id", Plain),
            ("SYSLOG_IDENTIFIER", Plain),
            ("programname", Plain),
            ("_SYSTEMD_UNIT", Plain),
        ],
    ),
    (
        Field::Source,
        &[("source", Plain), ("logGroup", Plain), ("name", WithPid)],
    ),
    (
        Field::Level,
        &[
            ("level", Plain),
            ("severity", Plain),
            ("log.level", Plain),
            ("lvl", Plain),
            ("levelname", Plain),
            ("level_name", Plain),
            ("severityText", Plain),
            ("@l", Plain),
            ("record.level.name", Plain),
            ("level.name", Plain),
            ("log.syslog.severity.name", Plain),
            ("log.syslog.severity.code", Plain),
            ("levelno", Python),
            ("severityLevel", Insights),
            ("level_value", Plain),
            ("priority", Plain),
            ("s", Plain),
        ],
    ),
    (Field::SeverityNumber, &[("severityNumber", Otlp)]),
    (
        Field::Message,
        &[
            ("message", Bytes),
            ("msg", Text),
            ("short_message", Text),
            ("log", Output),
            ("textPayload", Text),
            ("body", Text),
            ("@mt", Template),
            ("messageTemplate", Template),
            ("event", Text),
            ("logMessage", Text),
            ("resultDescription", Text),
            ("full_message", Text),
            ("event.original", Text),
            ("text", Text),
            ("line", Output),
            ("content", Text),
            ("error.message", Text),
        ],
    ),
    (
        Field::Host,
        &[
            ("host", Plain),
            ("hostname", Plain),
            ("host.name", Plain),
            ("host.hostname", Plain),
            ("kubernetes.host", Plain),
            ("kubernetes.node.name", Plain),
            ("k8s.node.name", Plain),
            ("machineName", Plain),
            ("computerName", Plain),
            ("computer", Plain),
            ("agent.hostname", Plain),
        ],
    ),
    (
        Field::TraceId,
        &[
            ("trace.id", Plain),
            ("@tr", Plain),
            ("dd.trace_id", Plain),
            ("otelTraceID", Plain),
            ("span.trace_id", Plain),
            ("x-b3-traceid", Plain),
            ("logging.googleapis.com/trace", LastPart),
            ("trace", LastPart),
        ],
    ),
    (
        Field::SpanId,
        &[
            ("span.id", Plain),
            ("@sp", Plain),
            ("dd.span_id", Plain),
            ("otelSpanID", Plain),
            ("x-b3-spanid", Plain),
            ("logging.googleapis.com/spanId", Plain),
        ],
    ),
    (
        Field::ParentSpanId,
        &[
            ("parent_span_id", Plain),
            ("parent.id", Plain),
            ("x-b3-parentspanid", Plain),
        ],
    ),
    (
        Field::Latency,
        &[
            ("latency_ms", Plain),
            ("duration_ms", Plain),
            ("response_time_ms", Plain),
            ("responseTime", Plain),
            ("elapsed_ms", Plain),
            ("elapsedMilliseconds", Plain),
            ("took_ms", Plain),
            ("event.duration", Nanoseconds),
            ("duration_ns", Nanoseconds),
            ("duration_us", Microseconds),
            ("duration_seconds", Seconds),
            ("latency_seconds", Seconds),
            ("httpRequest.latency", Seconds),
            ("request_time", Seconds),
        ],
    ),
    (
        Field::Status,
        &[
            ("status", Plain),
            ("status_code", Plain),
            ("http.response.status_code", Plain),
            ("http.status_code", Plain),
            ("http.status", Plain),
            ("response.status_code", Plain),
            ("response.status", Plain),
            ("res.statusCode", Plain),
            ("httpRequest.status", Plain),
            ("response_code", Plain),
        ],
    ),
    (
        Field::ClientIp,
        &[
            ("client_ip", Plain),
            ("client.address", Plain),
            ("source.ip", Plain),
            ("source.address", Plain),
            ("remote_ip", Plain),
            ("remote_addr", Plain),
            ("ip_address", Plain),
            ("httpRequest.remoteIp", Plain),
            ("request.remote_ip", Plain),
            ("req.remoteAddress", Plain),
            ("network.client.ip", Plain),
            ("clientHost", Plain),
            ("ip", Plain),
        ],
    ),
    (
        Field::User,
        &[
            ("user", Plain),
            ("user.name", Plain),
            ("user.id", Plain),
            ("usr.id", Plain),
            ("usr.name", Plain),
            ("enduser.id", Plain),
        ],
    ),
    (
        Field::ServiceVersion,
        &[
            ("service.version", Plain),
            ("resource.service.version", Plain),
            ("dd.version", Plain),
            ("app_version", Plain),
            ("application_version", Plain),
        ],
    ),
];

/// Objects that only wrap a record, or a part of one: what stands in them counts as if it stood outside,
/// behind all that does.
const WRAPPERS: &[&str] = &[
    "fields",
    "jsonPayload",
    "payload",
    "record",
    "records",
    "properties",
    "state",
    "data",
    "attributes",
];

/// Objects about a record: they tell who wrote it, and not what.
const ABOUT: &[&str] = &[
    "resource",
    "resource.attributes",
    "labels",
    "tags",
    "mdc",
    "contextMap",
    "context",
    "extra",
];

/// What a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Name {
    pub(crate) field: Field,
    pub(crate) how: How,
    /// Among all names of the field: less is better.
    pub(crate) order: u16,
}

struct Table {
    names: HashMap<Box<str>, Name>,
    containers: HashSet<Box<str>>,
}

static TABLE: LazyLock<Table> = LazyLock::new(|| {
    let mut table = Table {
        names: HashMap::new(),
        containers: HashSet::new(),
    };
    for (order, (path, how)) in (0..).zip(RENDERED) {
        table.add(path, Field::Message, *how, order);
    }
    for (field, names) in WIDE {
        for (order, (path, how)) in (WIDE_ORDER..).zip(*names) {
            table.add(path, *field, *how, order);
        }
    }
    for path in WRAPPERS.iter().chain(ABOUT) {
        table.contain(path);
        table.containers.extend(boxed_key(path));
    }
    table
});

impl Table {
    fn add(&mut self, path: &str, field: Field, how: How, order: u16) {
        self.contain(path);
        if let Some(key) = boxed_key(path) {
            // The first of names that are one is the best of them.
            let name = Name { field, how, order };
            self.names.entry(key).or_insert(name);
        }
    }

    fn contain(&mut self, path: &str) {
        let dots = path.match_indices('.').map(|(at, _)| at);
        self.containers
            .extend(dots.filter_map(|at| boxed_key(path.get(..at)?)));
    }
}

fn boxed_key(path: &str) -> Option<Box<str>> {
    Key::of(path).map(|key| key.as_str().into())
}

/// Names longer than this are nobody's.
const LONGEST: usize = 64;

/// A path's letters and signs without what stands between its words, in small letters.
struct Key {
    bytes: [u8; LONGEST],
    length: usize,
}

impl Key {
    /// `None`: nobody's name is so long.
    fn of(path: &str) -> Option<Self> {
        if path.len() > LONGEST {
            return None;
        }
        let mut key = Self {
            bytes: [0; LONGEST],
            length: 0,
        };
        let letters = path
            .bytes()
            .filter(|one| !matches!(one, b'_' | b'-' | b'.' | b' '));
        for (into, letter) in key.bytes.iter_mut().zip(letters) {
            *into = letter.to_ascii_lowercase();
            key.length += 1;
        }
        Some(key)
    }

    fn as_str(&self) -> &str {
        // Only whole characters were left out.
        std::str::from_utf8(&self.bytes[..self.length]).unwrap_or_default()
    }
}

/// What this path stands for.
#[cold]
pub(crate) fn of_path(path: &str) -> Option<Name> {
    if let Some(name) = TABLE.names.get(Key::of(path)?.as_str()) {
        return Some(*name);
    }
    if !path.contains('.') {
        return None;
    }
    let inside = |wrappers: &[&str]| wrappers.iter().find_map(|wrapper| within(path, wrapper));
    let about = || inside(ABOUT).filter(|name| name.field.is_about());
    let name = inside(WRAPPERS).or_else(about)?;
    Some(Name {
        order: name.order + WRAPPED,
        ..name
    })
}

/// What the rest of a path stands for, behind the object that wraps it.
fn within(path: &str, wrapper: &str) -> Option<Name> {
    let (outer, inner) = path.split_at_checked(wrapper.len())?;
    let inner = inner.strip_prefix('.')?;
    outer
        .eq_ignore_ascii_case(wrapper)
        .then(|| of_name(inner))?
}

/// What a member of the record's outermost object stands for.
pub(crate) fn of_name(name: &str) -> Option<Name> {
    match own(name) {
        Some((field, rank)) => Some(Name {
            field,
            how: own_how(field, rank),
            order: OWN_ORDER + u16::from(rank),
        }),
        None => of_path(name),
    }
}

/// Whether an object of this path may hold fields.
#[cold]
pub(crate) fn is_container(path: &str) -> bool {
    let known =
        |path: &str| Key::of(path).is_some_and(|key| TABLE.containers.contains(key.as_str()));
    known(path)
        || path
            .split_once('.')
            .is_some_and(|(outer, inner)| known(outer) && known(inner))
}

impl Field {
    /// It tells who wrote a line and on whose behalf, not what the line says.
    const fn is_about(self) -> bool {
        !matches!(
            self,
            Self::Message
                | Self::Level
                | Self::SeverityNumber
                | Self::Timestamp
                | Self::Latency
                | Self::Status
                | Self::Source
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_own_name_is_found_with_its_rank() {
        let fields = [
            Field::Timestamp,
            Field::Service,
            Field::Level,
            Field::SeverityNumber,
            Field::Message,
            Field::Host,
            Field::TraceId,
            Field::SpanId,
            Field::Latency,
            Field::Status,
            Field::ClientIp,
            Field::User,
        ];
        assert_eq!(fields.len(), Field::WITH_OWN_NAMES);
        for field in fields {
            for (rank, name) in field.own_names().iter().enumerate() {
                assert_eq!(own(name), Some((field, rank as u8)), "{name}");
            }
        }
        assert_eq!(own("Message"), None);
    }

    #[test]
    fn names_are_found_in_any_writing() {
        let field = |path: &str| of_path(path).map(|name| name.field);
        for (path, is) in [
            ("http.response.status_code", Some(Field::Status)),
            ("HttpResponseStatusCode", Some(Field::Status)),
            ("traceId", Some(Field::TraceId)),
            ("TRACE_ID", Some(Field::TraceId)),
            ("_app", Some(Field::Service)),
            ("fields.service.name", Some(Field::Service)),
            ("jsonPayload.message", Some(Field::Message)),
            ("mdc.traceId", Some(Field::TraceId)),
            ("mdc.message", None),
            ("request.headers.host", None),
        ] {
            assert_eq!(field(path), is, "{path}");
        }
        assert!(is_container("kubernetes") && is_container("kubernetes.labels"));
        assert!(is_container("jsonPayload.http") && !is_container("request.headers"));
    }
}
