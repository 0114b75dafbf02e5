//! How a record was read, for people.

use crate::{Line, RecordContext, Unreadable, names::Field, read_record};

/// What became of one member of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    pub field: Field,
    /// Its path.
    pub name: String,
    pub value: String,
    pub verdict: Verdict,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Taken,
    /// Its value is none of the field's.
    Unreadable,
    /// A better name has a value.
    Outranked,
}

/// Reads a record as [`crate::decode`] does, and says what was made of each member that could be a field.
/// The notes of an outer record come before those of one that it wraps.
pub fn explain<'a>(
    payload: &'a [u8],
    context: &RecordContext<'a>,
) -> (Result<Line<'a>, Unreadable>, Vec<Note>) {
    let mut notes = Vec::new();
    let line = read_record(payload, context, Some(&mut notes));
    (line, notes)
}
