//! Lines that are shown with a finding.

use crate::{
    codec::{Loaded, Reader, Writer},
    record::{Observation, time::EventTime},
};

/// One of the lines themselves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SampleLine {
    pub time: EventTime,
    pub offset: i64,
    /// The level's number on the wire; this crate gives it no meaning.
    pub level: u8,
    pub message: String,
    pub trace_id: String,
}

/// Bytes of a sample line's message that are kept.
const MESSAGE_BYTES: usize = 1024;
/// Bytes of a sample line's trace id that are kept: whatever a sender puts there, samples stay small.
const TRACE_ID_BYTES: usize = 128;

fn cut(text: &str, most: usize) -> &str {
    &text[..text.floor_char_boundary(most)]
}

impl SampleLine {
    pub(crate) fn of(seen: &Observation<'_>) -> Self {
        Self {
            time: seen.time,
            offset: seen.offset,
            level: seen.level,
            message: cut(seen.message, MESSAGE_BYTES).to_owned(),
            trace_id: cut(seen.trace_id, TRACE_ID_BYTES).to_owned(),
        }
    }

    /// Becomes that line, in the buffers it has.
    pub(crate) fn become_line(&mut self, seen: &Observation<'_>) {
        self.time = seen.time;
        self.offset = seen.offset;
        self.level = seen.level;
        self.message.clear();
        self.message.push_str(cut(seen.message, MESSAGE_BYTES));
        self.trace_id.clear();
        self.trace_id.push_str(cut(seen.trace_id, TRACE_ID_BYTES));
    }

    /// Keeps the newest `most` lines, oldest first, reusing their buffers.
    pub(crate) fn keep_newest(seen: &Observation<'_>, lines: &mut Vec<Self>, most: usize) {
        if lines.len() < most {
            lines.push(Self::of(seen));
            return;
        }
        if !lines.is_empty() {
            lines.rotate_left(1);
        }
        if let Some(line) = lines.last_mut() {
            line.become_line(seen);
        }
    }

    pub(crate) fn save(&self, to: &mut Writer) {
        to.moment(self.time);
        to.i64(self.offset);
        to.byte(self.level);
        to.text(&self.message);
        to.text(&self.trace_id);
    }

    pub(crate) fn load(from: &mut Reader<'_>) -> Loaded<Self> {
        Ok(Self {
            time: from.moment()?,
            offset: from.i64()?,
            level: from.byte()?,
            message: from.text(MESSAGE_BYTES)?.to_owned(),
            trace_id: from.text(TRACE_ID_BYTES)?.to_owned(),
        })
    }

    pub(crate) fn save_all(lines: &[Self], to: &mut Writer) {
        to.u64(lines.len() as u64);
        for line in lines {
            line.save(to);
        }
    }

    pub(crate) fn load_all(from: &mut Reader<'_>, most: usize) -> Loaded<Vec<Self>> {
        let count = from.length(most, 5)?;
        (0..count).map(|_| Self::load(from)).collect()
    }
}
