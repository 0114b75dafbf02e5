//! Log lines that strangers can't forge, flood or blow up.
//!
//! Invariant: an event is one line; no character of it steers a terminal; a value and a line have a
//! length at most; and a place in the code that logs without end is heard now and then, with the count
//! of what was left out.

use std::{
    collections::HashMap,
    fmt::{self, Debug, Write as _},
    io,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use tracing::{Event, Level, Subscriber, callsite::Identifier, field::Field};
use tracing_subscriber::{
    field::{MakeExt as _, delimited::Delimited},
    fmt::{
        FmtContext, FormatEvent, FormatFields, MakeWriter,
        format::{FieldFn, Writer, debug_fn},
        time::{FormatTime, SystemTime},
    },
    registry::LookupSpan,
};

use crate::{json, printable};

/// Characters of a value.
pub const LONGEST_VALUE: usize = 2048;
/// Bytes of a line of JSON before its values are cut.
const LONGEST_LINE: usize = 16 * 1024;
/// Lines from one place in the code within a window.
const LINES: u32 = 100;
const WINDOW: Duration = Duration::from_secs(10);

type FieldsFn = fn(&mut Writer<'_>, &Field, &dyn Debug) -> fmt::Result;

/// Fields of a line of text: each value printable and cut.
pub fn fields() -> Delimited<&'static str, FieldFn<FieldsFn>> {
    debug_fn(write_field as FieldsFn).delimited(" ")
}

fn write_field(writer: &mut Writer<'_>, field: &Field, value: &dyn Debug) -> fmt::Result {
    let mut text = Bounded::default();
    // The bound ends the writing, which is no failure.
    let _cut = write!(text, "{value:?}");
    let value = printable(&text.0, LONGEST_VALUE);
    match field.name() {
        "message" => writer.write_str(&value),
        name => write!(writer, "{}={value}", name.trim_start_matches("r#")),
    }
}

/// Takes a little more than is shown, so that a value of megabytes is not made a string first.
#[derive(Default)]
struct Bounded(String);

impl fmt::Write for Bounded {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = (4 * LONGEST_VALUE + 4).saturating_sub(self.0.len());
        let end = text.floor_char_boundary(room.min(text.len()));
        self.0.push_str(&text[..end]);
        if end < text.len() {
            Err(fmt::Error)
        } else {
            Ok(())
        }
    }
}

/// Formats events as `inner` does, so many of each place in the code.
pub struct Sampled<F> {
    inner: F,
    as_json: bool,
    sampler: Sampler,
}

impl<F> Sampled<F> {
    pub fn text(inner: F) -> Self {
        Self::new(inner, false)
    }

    pub fn json(inner: F) -> Self {
        Self::new(inner, true)
    }

    fn new(inner: F, as_json: bool) -> Self {
        Self {
            inner,
            as_json,
            sampler: Sampler::default(),
        }
    }

    fn tell(&self, left_out: u64, event: &Event<'_>, mut writer: Writer<'_>) -> fmt::Result {
        let metadata = event.metadata();
        let (level, target) = (metadata.level(), metadata.target());
        let mut time = String::new();
        SystemTime.format_time(&mut Writer::new(&mut time))?;
        let message = "log lines like the next one were left out";
        if self.as_json {
            let line = serde_json::json!({
                "timestamp": time, "level": level.as_str(), "message": message,
                "left_out": left_out, "target": target,
            });
            writeln!(writer, "{line}")
        } else {
            writeln!(
                writer,
                "{time} {level:>5} {target}: {message} left_out={left_out}"
            )
        }
    }
}

// Left out here and not by a filter: a line that a filter of one layer stops is not forgotten by the
// thread, and may take the next one with it.
impl<S, N, F> FormatEvent<S, N> for Sampled<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let metadata = event.metadata();
        // Who asks for these wants them all.
        if *metadata.level() <= Level::INFO {
            match self.sampler.admit(metadata.callsite(), Instant::now()) {
                None => return Ok(()),
                Some(0) => {}
                Some(left_out) => self.tell(left_out, event, writer.by_ref())?,
            }
        }
        self.inner.format_event(context, writer, event)
    }
}

#[derive(Default)]
struct Sampler(Mutex<HashMap<Identifier, Seen>>);

struct Seen {
    since: Instant,
    lines: u32,
    left_out: u64,
}

impl Sampler {
    /// `None`: leave it out; else how many were left out before it.
    fn admit(&self, place: Identifier, now: Instant) -> Option<u64> {
        // As many entries as the program has places that log.
        let mut places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let seen = places.entry(place).or_insert(Seen {
            since: now,
            lines: 0,
            left_out: 0,
        });
        if now.duration_since(seen.since) >= WINDOW {
            seen.since = now;
            seen.lines = 0;
        }
        if seen.lines >= LINES {
            seen.left_out += 1;
            return None;
        }
        seen.lines += 1;
        Some(std::mem::take(&mut seen.left_out))
    }
}

/// Writes lines of JSON: the same documents without what steers, their values cut where they are long.
#[derive(Debug, Clone)]
pub struct JsonLines<M>(pub M);

impl<'a, M: MakeWriter<'a>> MakeWriter<'a> for JsonLines<M> {
    type Writer = JsonLine<M::Writer>;

    fn make_writer(&'a self) -> Self::Writer {
        JsonLine(self.0.make_writer())
    }
}

/// One event, which comes in one piece.
pub struct JsonLine<W>(W);

impl<W: io::Write> io::Write for JsonLine<W> {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        self.write_all(event).map(|()| event.len())
    }

    fn write_all(&mut self, event: &[u8]) -> io::Result<()> {
        let text = String::from_utf8_lossy(event);
        let mut whole = String::with_capacity(text.len());
        for line in text.split_inclusive('\n') {
            whole.push_str(&cut_values(line).map_or_else(
                || json(line).into_owned(),
                |cut| json(&cut).into_owned() + "\n",
            ));
        }
        self.0.write_all(whole.as_bytes())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// The line anew with short values, if it is too long.
fn cut_values(line: &str) -> Option<String> {
    if line.len() <= LONGEST_LINE {
        return None;
    }
    let mut document = serde_json::from_str(line).ok()?;
    shorten(&mut document);
    Some(document.to_string())
}

fn shorten(value: &mut serde_json::Value) {
    match value {
        serde_json::Value::String(text) => {
            if let Some((end, _)) = text.char_indices().nth(LONGEST_VALUE) {
                text.truncate(end);
                text.push('…');
            }
        }
        serde_json::Value::Array(items) => items.iter_mut().for_each(shorten),
        serde_json::Value::Object(fields) => fields.values_mut().for_each(shorten),
        _ => {}
    }
}
