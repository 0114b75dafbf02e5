//! Records in what carries them: lines of container runtimes, arrays, batches of collectors.
//!
//! A Kafka record is one row or one dead letter. A batch of one is read; a batch of more is refused whole,
//! since its parts would share an offset, by which rows are counted.

use std::borrow::Cow;

use contracts::dead_letter::Reason;
use serde_json::{Map, Value, value::RawValue};

use crate::Unreadable;

/// What a batch holds.
pub(crate) enum Batch<'a> {
    One(Cow<'a, str>),
    Many(usize),
}

impl Batch<'_> {
    pub(crate) fn refused(count: usize) -> Unreadable {
        Unreadable {
            reason: Reason::SeveralRecords,
            error: format!(
                "the payload holds {count} records; each has to be a Kafka record of its own"
            ),
        }
    }
}

/// An array of objects. `None`: it is no array, or one of something else.
pub(crate) fn array(text: &str) -> Option<Batch<'_>> {
    let items: Vec<&RawValue> = serde_json::from_str(text).ok()?;
    if !items.iter().all(|item| item.get().starts_with('{')) {
        return None;
    }
    match items.as_slice() {
        [] => None,
        [one] => Some(Batch::One(Cow::Borrowed(one.get()))),
        many => Some(Batch::Many(many.len())),
    }
}

/// Objects one after the other, each on a line of its own or not. `None`: fewer than two, or something else
/// among them.
pub(crate) fn objects(text: &str) -> Option<Batch<'_>> {
    let mut count = 0;
    for value in serde_json::Deserializer::from_str(text).into_iter::<&RawValue>() {
        if !value.ok()?.get().starts_with('{') {
            return None;
        }
        count += 1;
    }
    (count > 1).then_some(Batch::Many(count))
}

/// The records among the members of an object that has no message.
pub(crate) fn among<'a>(members: &[(Cow<'a, str>, Cow<'a, str>)]) -> Option<(usize, Batch<'a>)> {
    members
        .iter()
        .enumerate()
        .find_map(|(place, (name, value))| {
            let batch = match &**name {
                "resourceLogs" | "resource_logs" => otlp(value)?,
                "logEvents" | "records" | "Records" | "events" | "logs" => match value {
                    Cow::Borrowed(text) => array(text)?,
                    Cow::Owned(_) => return None,
                },
                _ => return None,
            };
            Some((place, batch))
        })
}

/// `ResourceLogs` of the OpenTelemetry protocol in JSON. Its one record becomes a flat object: the names of
/// the protocol, the attributes of the record and of its resource.
fn otlp(json: &str) -> Option<Batch<'static>> {
    let resources: Vec<Value> = serde_json::from_str(json).ok()?;
    let mut count = 0;
    let mut first = None;
    for resource in &resources {
        let scopes = member(
            resource,
            &["scopeLogs", "scope_logs", "instrumentationLibraryLogs"],
        );
        for scope in items(scopes) {
            for record in items(member(scope, &["logRecords", "log_records"])) {
                count += 1;
                first = first.or(Some((resource, record)));
            }
        }
    }
    let (resource, record) = first?;
    if count > 1 {
        return Some(Batch::Many(count));
    }
    let mut flat = Map::new();
    let of_resource = resource
        .get("resource")
        .and_then(|one| one.get("attributes"));
    for attribute in items(of_resource).chain(items(record.get("attributes"))) {
        if let Some(name) = attribute.get("key").and_then(Value::as_str) {
            flat.insert(name.to_owned(), plain(attribute.get("value")));
        }
    }
    for (name, value) in record.as_object()? {
        match name.as_str() {
            "attributes" => None,
            "body" => flat.insert("message".to_owned(), plain(Some(value))),
            // Not known: as good as absent.
            "timeUnixNano" | "time_unix_nano" if value == "0" || *value == 0 => None,
            _ => flat.insert(name.clone(), value.clone()),
        };
    }
    Some(Batch::One(Cow::Owned(Value::Object(flat).to_string())))
}

fn member<'v>(value: &'v Value, names: &[&str]) -> Option<&'v Value> {
    names.iter().find_map(|name| value.get(name))
}

fn items(value: Option<&Value>) -> impl Iterator<Item = &Value> {
    value.and_then(Value::as_array).into_iter().flatten()
}

/// An `AnyValue` without its type.
fn plain(value: Option<&Value>) -> Value {
    let Some((kind, inner)) = value.and_then(|value| value.as_object()?.iter().next()) else {
        return value.cloned().unwrap_or(Value::Null);
    };
    match kind.as_str() {
        "kvlistValue" | "kvlist_value" => {
            let pairs = items(inner.get("values")).filter_map(|pair| {
                let name = pair.get("key")?.as_str()?.to_owned();
                Some((name, plain(pair.get("value"))))
            });
            Value::Object(pairs.collect())
        }
        "arrayValue" | "array_value" => items(inner.get("values"))
            .map(|one| plain(Some(one)))
            .collect(),
        _ if kind.ends_with("Value") || kind.ends_with("_value") => inner.clone(),
        _ => value.cloned().unwrap_or(Value::Null),
    }
}

/// A line as the Container Runtime Interface has it: `2026-11-26T17:00:00.123Z stderr F text`.
pub(crate) struct Cri<'a> {
    pub(crate) time: &'a str,
    pub(crate) stream: &'a str,
    /// `F`: a whole line, `P`: a part of one.
    pub(crate) tag: &'a str,
    pub(crate) text: &'a str,
}

impl<'a> Cri<'a> {
    pub(crate) fn of(line: &'a str) -> Option<Self> {
        let mut parts = line.splitn(4, ' ');
        let (time, stream, tag) = (parts.next()?, parts.next()?, parts.next()?);
        let is_one = time.len() > 19
            && time.as_bytes().get(10) == Some(&b'T')
            && matches!(stream, "stdout" | "stderr")
            && matches!(tag.split(':').next(), Some("F" | "P"));
        let text = parts.next().unwrap_or_default();
        is_one.then_some(Self {
            time,
            stream,
            tag,
            text,
        })
    }
}
