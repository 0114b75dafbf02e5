//! Which member of a JSON object is which field of a line.
//!
//! Invariants: of the names of one field the best wins whose value can be read, and of the same name twice
//! the last; what loses to a better name, or does not suit its field, is kept among the attributes.
//! `null` is as good as absent.

use std::{
    borrow::Cow,
    collections::HashSet,
    mem::{replace, take},
};

use crate::{
    Level, Line, RecordContext, ServiceFrom, clef,
    explain::{Note, Verdict},
    json::{Broken, Scanner, Shape, Value},
    level,
    names::{self, Field, How, Name},
    time::{self, NoTime},
};

/// The object whose members stand beside the unknown ones.
const ATTRIBUTES: &str = "attributes";
/// Objects in objects that are looked into. Each is read once more for every one around it.
const DEPTH: usize = 4;

/// Worse than any name's rank.
const ABSENT: u8 = u8::MAX;
const OWN: usize = Field::WITH_OWN_NAMES;
const NONE: [u8; OWN] = [ABSENT; OWN];

type Pair<'a> = (Cow<'a, str>, Cow<'a, str>);

/// A value under a name that is not the first of its field.
struct Candidate<'a> {
    field: Field,
    how: How,
    order: u16,
    name: Cow<'a, str>,
    value: Value<'a>,
}

/// The members of one object.
pub(super) struct Fields<'a> {
    /// By field, under one of its own names; empty where absent.
    values: [Value<'a>; OWN],
    /// By field: the rank of the name that its value stands under.
    ranks: [u8; OWN],
    candidates: Vec<Candidate<'a>>,
    others: Vec<Pair<'a>>,
    /// What was made of each member, if somebody wants to know.
    pub(super) notes: Option<Vec<Note>>,
}

impl<'a> Fields<'a> {
    pub(super) fn none() -> Self {
        Self {
            values: [const { Value::EMPTY }; OWN],
            ranks: NONE,
            candidates: Vec::new(),
            others: Vec::new(),
            notes: None,
        }
    }

    /// Takes the members of the object that comes next; the members of its `attributes` stand among the
    /// others.
    pub(super) fn read(&mut self, scanner: &mut Scanner<'a>) -> Result<(), Broken> {
        let mut another = scanner.enter()?;
        while another {
            let name = scanner.name()?;
            if let Some((field, rank)) = names::own(&name) {
                match scanner.value()? {
                    Some(value) if value.shape != Shape::Object => {
                        self.put_own(field, rank, name, value);
                    }
                    Some(value) => self.put_odd(name, value),
                    None => {}
                }
            } else if (name != ATTRIBUTES || !self.unpack(scanner))
                && let Some(value) = scanner.any_value()?
            {
                self.put_odd(name, value);
            }
            another = scanner.another()?;
        }
        Ok(())
    }

    /// The next value's members, among the others. `false`: it is no object, or one that cannot be
    /// read, and is still the next value.
    fn unpack(&mut self, scanner: &mut Scanner<'a>) -> bool {
        let (place, before) = (scanner.place(), self.others.len());
        let mut unpack = || -> Result<(), Broken> {
            let mut another = scanner.enter()?;
            while another {
                let name = scanner.name()?;
                if let Some(value) = scanner.any_value()? {
                    self.others.push((name, value.text));
                }
                another = scanner.another()?;
            }
            Ok(())
        };
        let is_unpacked = unpack().is_ok();
        if !is_unpacked {
            scanner.back_to(place);
            self.others.truncate(before);
        }
        is_unpacked
    }

    /// A member of the record's object.
    #[cfg(test)]
    pub(super) fn put(&mut self, name: Cow<'a, str>, value: Value<'a>) {
        match names::own(&name) {
            Some((field, rank)) if value.shape != Shape::Object => {
                self.put_own(field, rank, name, value);
            }
            _ => self.put_odd(name, value),
        }
    }

    /// A member that is no field's, whatever it is called.
    #[cfg(test)]
    pub(super) fn put_other(&mut self, name: Cow<'a, str>, value: Cow<'a, str>) {
        self.others.push((name, value));
    }

    #[inline]
    fn put_own(&mut self, field: Field, rank: u8, name: Cow<'a, str>, value: Value<'a>) {
        let place = field as usize;
        if self.ranks[place] == ABSENT || self.ranks[place] == rank {
            self.ranks[place] = rank;
            self.values[place] = value;
        } else {
            self.put_second(field, rank, name, value);
        }
    }

    /// Another name of a field that has a value already.
    #[cold]
    fn put_second(&mut self, field: Field, rank: u8, name: Cow<'a, str>, value: Value<'a>) {
        let there = &mut self.ranks[field as usize];
        let (rank, name, value) = if *there < rank {
            (rank, name, value)
        } else {
            let before = replace(there, rank);
            let name = field.own_names().get(usize::from(before));
            let value = replace(&mut self.values[field as usize], value);
            (before, Cow::Borrowed(*name.unwrap_or(&"")), value)
        };
        self.propose(Candidate {
            field,
            how: names::own_how(field, rank),
            order: names::OWN_ORDER + u16::from(rank),
            name,
            value,
        });
    }

    fn propose(&mut self, candidate: Candidate<'a>) {
        let is_same = |known: &&mut Candidate<'a>| {
            known.field == candidate.field && known.name == candidate.name
        };
        match self.candidates.iter_mut().find(is_same) {
            Some(known) => *known = candidate,
            None => self.candidates.push(candidate),
        }
    }

    /// What [`names::own`] does not know, and objects.
    #[cold]
    fn put_odd(&mut self, name: Cow<'a, str>, value: Value<'a>) {
        if value.shape == Shape::Object
            && let Cow::Borrowed(text) = value.text
            && names::is_container(&name)
        {
            let mut inside = Vec::new();
            if look_into(&name, text, DEPTH, &mut inside) {
                for Found { path, value, known } in inside {
                    self.put_found(path.into(), value, known);
                }
                return;
            }
        }
        let known = known(&name, &value);
        self.put_found(name, value, known);
    }

    fn put_found(&mut self, name: Cow<'a, str>, value: Value<'a>, known: Option<Name>) {
        match known {
            Some(known) => self.propose(Candidate {
                field: known.field,
                how: known.how,
                order: known.order,
                name,
                value,
            }),
            None => self.others.push((name, value.text)),
        }
    }

    /// Members that nobody has a name for.
    pub(super) fn others(&self) -> &[Pair<'a>] {
        &self.others
    }

    pub(super) fn remove_other(&mut self, place: usize) {
        self.others.remove(place);
    }

    /// `None`: there is no message.
    pub(super) fn take_line(
        &mut self,
        context: &RecordContext<'a>,
        depth: usize,
    ) -> Option<Line<'a>> {
        let Message { text, kind } = self.pick(Field::Message, message)?;
        let mut no_time = NoTime::Absent;
        let timestamp = self.time(context.kafka_time, &mut no_time);
        let level = self
            .pick(Field::Level, |value, how| {
                level::of_value(&value, how).ok_or(value)
            })
            .or_else(|| {
                self.pick(Field::SeverityNumber, |value, how| {
                    level::of_value(&value, how).ok_or(value)
                })
            });
        let latency_ms = self.pick(Field::Latency, latency);
        let status = self.pick(Field::Status, status);
        let level = level.or_else(|| self.level_in_status());
        let named = self.pick(Field::Service, name_of_service);
        let source = self.source(named.is_some() || context.key.is_some());
        let (service, service_from) = match (named, context.key, source) {
            (Some(name), _, _) => (name, ServiceFrom::Name),
            (None, Some(key), _) => (Cow::Borrowed(key), ServiceFrom::Key),
            (None, None, Some(source)) => (source, ServiceFrom::Source),
            (None, None, None) => (Cow::Borrowed(crate::NOBODY), ServiceFrom::Nobody),
        };
        let host = self.pick(Field::Host, name);
        let trace_id = self.pick(Field::TraceId, id);
        let span_id = self.pick(Field::SpanId, id);
        let client_ip = self.pick(Field::ClientIp, name);
        let user = self.pick(Field::User, id);
        for field in [Field::ServiceVersion, Field::ParentSpanId] {
            if !self.candidates.is_empty()
                && let Some(value) = self.pick(field, id)
            {
                self.others.push((Cow::Borrowed(field.as_str()), value));
            }
        }
        let mut line = Line {
            timestamp,
            no_time,
            service,
            service_from,
            level: level.unwrap_or_default(),
            message: text,
            host: host.unwrap_or_default(),
            trace_id: trace_id.unwrap_or_default(),
            span_id: span_id.unwrap_or_default(),
            latency_ms,
            status: status.unwrap_or_default(),
            client_ip: client_ip.unwrap_or_default(),
            user: user.unwrap_or_default(),
            attributes: take(&mut self.others),
        };
        if kind == MessageKind::Template {
            line.message = Cow::Owned(clef::rendered(&line.message, &line.attributes));
        }
        if line.message.starts_with('{')
            && let Some(inner) = self.wrapped(&line.message, context, depth)
        {
            line.wrap(inner);
        } else if level.is_none() {
            line.level = match level::among_words(&line.message) {
                // Compact log events of this level do not name it.
                Level::Unknown if kind != MessageKind::Text => Level::Info,
                level => level,
            };
        }
        if line.attributes.len() > 1 {
            last_of_each(&mut line.attributes);
        }
        Some(line)
    }

    /// The line of an object that has no message of its own, and a line within.
    #[cold]
    pub(super) fn take_line_around(
        &mut self,
        context: &RecordContext<'a>,
        inner: Line<'a>,
    ) -> Option<Line<'a>> {
        self.values[Field::Message as usize] = Value::EMPTY;
        self.ranks[Field::Message as usize] = 0;
        let mut line = self.take_line(context, 0)?;
        line.wrap(inner);
        last_of_each(&mut line.attributes);
        Some(line)
    }

    /// A record that is the text of this one's message.
    #[cold]
    fn wrapped(
        &mut self,
        text: &str,
        context: &RecordContext<'_>,
        depth: usize,
    ) -> Option<Line<'a>> {
        if depth == 0 {
            return None;
        }
        let context = RecordContext {
            key: None,
            kafka_time: context.kafka_time,
        };
        let mut notes = self.notes.is_some().then(Vec::new);
        let line = crate::read_text(text, &context, depth - 1, notes.as_mut()).ok()?;
        if let (Some(all), Some(notes)) = (&mut self.notes, notes) {
            all.extend(notes);
        }
        Some(line.into_owned())
    }

    /// Datadog's agents call a level a status.
    fn level_in_status(&self) -> Option<Level> {
        let (_, status) = self.others.iter().find(|(name, _)| name == "status")?;
        let is_level = matches!(
            &*status.to_ascii_lowercase(),
            "debug"
                | "info"
                | "notice"
                | "warn"
                | "warning"
                | "error"
                | "critical"
                | "alert"
                | "emergency"
        );
        is_level.then(|| Level::from_name(status))?
    }

    /// The best moment that can be read. One to the second in a log's own words yields to a whole one: where
    /// there are both, somebody has read the first.
    fn time(&mut self, kafka_time: i64, no_time: &mut NoTime) -> Option<i64> {
        let mut read = |value: Value<'a>, how: How, in_words: bool| match time::read(
            &value.text,
            value.shape,
            how,
            kafka_time,
            in_words,
        ) {
            Ok(millis) => Ok(millis),
            Err(reason) => {
                *no_time = reason;
                Err(value)
            }
        };
        if self.candidates.is_empty() {
            return self.pick(Field::Timestamp, |value, how| read(value, how, true));
        }
        let is_exact = |value: &Value<'_>, how| {
            time::read(&value.text, value.shape, how, kafka_time, false).is_ok()
        };
        let own = self.ranks[Field::Timestamp as usize];
        let mut any_exact = own != ABSENT
            && is_exact(
                &self.values[Field::Timestamp as usize],
                names::own_how(Field::Timestamp, own),
            );
        let mut candidates = self.candidates.iter();
        any_exact |=
            candidates.any(|one| one.field == Field::Timestamp && is_exact(&one.value, one.how));
        self.pick(Field::Timestamp, |value, how| read(value, how, !any_exact))
    }

    /// A name that yields to the record's key; it stays an attribute where it is not needed.
    fn source(&mut self, is_named: bool) -> Option<Cow<'a, str>> {
        if self.candidates.is_empty() {
            return None;
        }
        let has_pid = self.others.iter().any(|(name, _)| name == "pid");
        self.pick(Field::Source, |value, how| {
            if is_named || (how == How::WithPid && !has_pid) {
                return Err(value);
            }
            name_of_service(value, how)
        })
    }

    /// A field's value as `reader` understands it, under the best name under which it does; all other
    /// values go to the others.
    #[expect(
        clippy::inline_always,
        reason = "a dozen times per record, of which most find nothing: a call costs more"
    )]
    #[inline(always)]
    fn pick<T>(
        &mut self,
        field: Field,
        mut reader: impl FnMut(Value<'a>, How) -> Result<T, Value<'a>>,
    ) -> Option<T> {
        if !self.candidates.is_empty() || self.notes.is_some() {
            return self.pick_among(field, reader);
        }
        let rank = *self.ranks.get(field as usize)?;
        let name = field.own_names().get(usize::from(rank))?;
        let value = replace(&mut self.values[field as usize], Value::EMPTY);
        match reader(value, names::own_how(field, rank)) {
            Ok(read) => Some(read),
            Err(value) => {
                self.others.push((Cow::Borrowed(*name), value.text));
                None
            }
        }
    }

    #[cold]
    #[inline(never)]
    fn pick_among<T>(
        &mut self,
        field: Field,
        mut reader: impl FnMut(Value<'a>, How) -> Result<T, Value<'a>>,
    ) -> Option<T> {
        let mut proposed = Vec::new();
        let rank = self.ranks.get(field as usize).copied().unwrap_or(ABSENT);
        if let Some(name) = field.own_names().get(usize::from(rank)) {
            proposed.push(Candidate {
                field,
                how: names::own_how(field, rank),
                order: names::OWN_ORDER + u16::from(rank),
                name: Cow::Borrowed(*name),
                value: replace(&mut self.values[field as usize], Value::EMPTY),
            });
        }
        proposed.extend(self.candidates.extract_if(.., |one| one.field == field));
        proposed.sort_by_key(|one| one.order);
        let mut best = None;
        for Candidate {
            name, value, how, ..
        } in proposed
        {
            let text = self.notes.is_some().then(|| value.text.to_string());
            let (read, verdict) = if best.is_some() {
                (Err(value), Verdict::Outranked)
            } else {
                match reader(value, how) {
                    Ok(read) => (Ok(read), Verdict::Taken),
                    Err(value) => (Err(value), Verdict::Unreadable),
                }
            };
            if let (Some(notes), Some(value)) = (&mut self.notes, text) {
                let name = name.to_string();
                notes.push(Note {
                    field,
                    name,
                    value,
                    verdict,
                });
            }
            match read {
                Ok(read) => best = Some(read),
                // It may be one of another field too.
                Err(value) => self.others.push((name, value.text)),
            }
        }
        best
    }
}

/// A member of an object in the record's.
struct Found<'a> {
    path: String,
    value: Value<'a>,
    known: Option<Name>,
}

/// What the name stands for, if such a value can be that at all.
fn known(name: &str, value: &Value<'_>) -> Option<Name> {
    names::of_name(name).filter(|known| may_be(known.field, known.how, value.shape))
}

/// The members of an object with their paths, if any of them is a field's.
fn look_into<'a>(path: &str, text: &'a str, depth: usize, into: &mut Vec<Found<'a>>) -> bool {
    let before = into.len();
    let mut scanner = Scanner::new(text);
    let mut any = false;
    let mut look = || -> Result<(), Broken> {
        let mut another = scanner.enter()?;
        while another {
            let name = scanner.name()?;
            let path = [path, ".", &name].concat();
            if let Some(value) = scanner.any_value()? {
                let known = known(&path, &value);
                any |= known.is_some();
                match value.text {
                    Cow::Borrowed(text)
                        if value.shape == Shape::Object
                            && known.is_none()
                            && depth > 1
                            && names::is_container(&path)
                            && look_into(&path, text, depth - 1, into) =>
                    {
                        any = true;
                    }
                    _ => into.push(Found { path, value, known }),
                }
            }
            another = scanner.another()?;
        }
        Ok(())
    };
    let is_read = look().is_ok();
    if !any || !is_read {
        into.truncate(before);
    }
    any && is_read
}

/// Whether a value of this shape can be that field at all.
fn may_be(field: Field, how: How, shape: Shape) -> bool {
    match shape {
        Shape::Text => true,
        Shape::Number => field != Field::Source,
        Shape::Object => how == How::Instant || (field == Field::Message && how == How::Plain),
        Shape::Array => field == Field::Message && matches!(how, How::Bytes | How::Plain),
        Shape::Literal => field == Field::Message && how == How::Plain,
    }
}

struct Message<'a> {
    text: Cow<'a, str>,
    kind: MessageKind,
}

/// What a message was written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum MessageKind {
    Text,
    /// Its text has holes for other members.
    Template,
    /// A template that was rendered.
    Rendered,
}

fn message(value: Value<'_>, how: How) -> Result<Message<'_>, Value<'_>> {
    let kind = match how {
        How::Template => MessageKind::Template,
        How::Rendered => MessageKind::Rendered,
        _ => MessageKind::Text,
    };
    let text = match (how, value.shape) {
        (How::Output, Shape::Text) => without_line_break(value.text),
        (How::Plain, _) | (_, Shape::Text) => value.text,
        (How::Bytes, Shape::Array) => match serde_json::from_str::<Vec<u8>>(&value.text) {
            Ok(bytes) => Cow::Owned(String::from_utf8_lossy(&bytes).into_owned()),
            Err(_) => return Err(value),
        },
        _ => return Err(value),
    };
    Ok(Message { text, kind })
}

fn without_line_break(text: Cow<'_, str>) -> Cow<'_, str> {
    let length = text.trim_end_matches(['\r', '\n']).len();
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.get(..length).unwrap_or(text)),
        Cow::Owned(mut text) => {
            text.truncate(length);
            Cow::Owned(text)
        }
    }
}

/// Somebody's name: text that is not blank.
#[inline]
fn name(value: Value<'_>, how: How) -> Result<Cow<'_, str>, Value<'_>> {
    let is_blank = || value.text.bytes().all(|byte| byte.is_ascii_whitespace());
    if value.shape != Shape::Text || is_blank() {
        return Err(value);
    }
    Ok(match how {
        How::Plain => value.text,
        _ => within(value.text, how),
    })
}

/// The name in a path, or behind a slash.
#[cold]
fn within(text: Cow<'_, str>, how: How) -> Cow<'_, str> {
    match how {
        How::AfterSlash => Cow::Owned(text.trim_start_matches('/').to_owned()),
        How::LastPart => Cow::Owned(text.rsplit('/').next().unwrap_or_default().to_owned()),
        _ => text,
    }
}

/// Streams of output have names too, and are no services.
fn name_of_service(value: Value<'_>, how: How) -> Result<Cow<'_, str>, Value<'_>> {
    if matches!(&*value.text, "stdout" | "stderr") {
        return Err(value);
    }
    name(value, how)
}

/// A name, or a number that is one.
fn id(value: Value<'_>, how: How) -> Result<Cow<'_, str>, Value<'_>> {
    if value.shape == Shape::Number {
        return Ok(value.text);
    }
    name(value, how)
}

fn latency(value: Value<'_>, how: How) -> Result<f64, Value<'_>> {
    let (text, worth) = match how {
        How::Nanoseconds => (&*value.text, 1e-6),
        How::Microseconds => (&*value.text, 1e-3),
        How::Seconds => (value.text.trim_end_matches('s'), 1e3),
        _ => (&*value.text, 1.0),
    };
    let latency = text.parse().ok().map(|latency: f64| latency * worth);
    latency
        .filter(|latency| latency.is_finite() && *latency >= 0.0)
        .ok_or(value)
}

/// A status of HTTP. Codes of others, such as those with which a WebSocket closes, are none.
fn status(value: Value<'_>, _: How) -> Result<u16, Value<'_>> {
    let read = match value.text.parse() {
        Ok(status) => Some(status),
        // Some writers know no integers.
        Err(_) => value.text.parse::<f64>().ok().and_then(whole),
    };
    read.filter(|status| (100..600).contains(status))
        .ok_or(value)
}

/// A number without a fraction that fits.
fn whole(number: f64) -> Option<u16> {
    let rounded = number as u16;
    (f64::from(rounded) == number).then_some(rounded)
}

/// Few enough names to compare each with each.
const FEW: usize = 24;

/// Of attributes of the same name the last is kept.
fn last_of_each(attributes: &mut Vec<Pair<'_>>) {
    let length = attributes.len();
    if length <= FEW {
        let mut at = 0;
        while let Some((name, _)) = attributes.get(at) {
            let again = attributes
                .iter()
                .skip(at + 1)
                .any(|(later, _)| later == name);
            if again {
                attributes.remove(at);
            } else {
                at += 1;
            }
        }
        return;
    }
    let mut seen = HashSet::new();
    let mut kept: Vec<bool> = attributes
        .iter()
        .rev()
        .map(|(name, _)| seen.insert(name.clone()))
        .collect();
    attributes.retain(|_| kept.pop().unwrap_or(true));
}
