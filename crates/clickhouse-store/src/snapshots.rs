//! What the detectors of a partition know, kept so that a restart does not forget it: a whole now and
//! then, and what has changed in between.
//!
//! Invariants: a snapshot is the state after all records below its offset, and nothing else, so that
//! any of them that is not past an offset is good for it; the last [`WHOLES`] of a partition stay, and
//! the last [`CHANGES`] changes.

use bytes::Bytes;
use pipeline::{NextOffset, Offset, Snapshot, StateId, snapshot};
use primitives::varint;

use crate::{Client, Error};

/// How many wholes of a partition are kept.
pub const WHOLES: u8 = 8;
/// How many changes of a partition are kept.
pub const CHANGES: u8 = 64;

/// Whose snapshots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Of {
    pub incarnation: String,
    pub partition: i32,
}

/// What the state was made by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Maker {
    /// Hash of the behaviour and the settings.
    pub compatibility: u64,
    /// Version of the state's encoding.
    pub format: u16,
}

/// What is known of a kept snapshot without its state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kept {
    pub next_offset: i64,
    pub maker: Maker,
    /// Bytes of the state.
    pub size: u64,
}

/// Stores it in place of the oldest of its kind and partition, once these are all that are kept. Storing
/// the same again takes no further place.
pub async fn store(
    client: &Client,
    of: &Of,
    maker: Maker,
    snapshot: &Snapshot,
) -> Result<(), Error> {
    let Maker {
        compatibility,
        format,
    } = maker;
    let Snapshot {
        next, id, since, ..
    } = snapshot;
    let (table, most) = match since {
        None => ("detector_snapshots", WHOLES),
        Some(_) => ("detector_changes", CHANGES),
    };
    let (next, id, partition) = (next.raw(), id.0, of.partition);
    let place = format!(
        "SELECT if(same, slot, (slot + 1) % {most})::UInt8 FROM (SELECT slot, taken_at, \
         next_offset = {next} AND id = {id} AND compatibility = {compatibility} AS same FROM {table} FINAL \
         WHERE incarnation = {{incarnation:String}} AND kafka_partition = {partition}) \
         ORDER BY same DESC, taken_at DESC, slot DESC LIMIT 1 FORMAT RowBinary"
    );
    let answer = client
        .execute(&place, &[("param_incarnation", &of.incarnation)])
        .await?;
    let mut row = Vec::with_capacity(snapshot.bytes.len() + 80);
    varint::put(&mut row, of.incarnation.len() as u64);
    row.extend_from_slice(of.incarnation.as_bytes());
    row.extend_from_slice(&partition.to_le_bytes());
    row.push(answer.first().copied().unwrap_or(0));
    row.extend_from_slice(&next.to_le_bytes());
    row.extend_from_slice(&id.to_le_bytes());
    if let Some(since) = since {
        row.extend_from_slice(&since.0.to_le_bytes());
    }
    row.extend_from_slice(&compatibility.to_le_bytes());
    row.extend_from_slice(&format.to_le_bytes());
    varint::put(&mut row, snapshot.bytes.len() as u64);
    row.extend_from_slice(&snapshot.bytes);
    let since = since.map_or("", |_| "since, ");
    let insert = format!(
        "INSERT INTO {table} (incarnation, kafka_partition, slot, next_offset, id, {since}compatibility, \
         format, state) FORMAT RowBinary"
    );
    let settings = [("async_insert", "0"), ("wait_end_of_query", "1")];
    client.insert(&insert, &settings, row.into()).await
}

/// The whole with the highest offset that is not past `at_most`, of two with the same the later one; and
/// the changes that lead on from it, not past `at_most` either.
pub async fn newest_at_or_before(
    client: &Client,
    of: &Of,
    at_most: NextOffset,
) -> Result<Option<(Snapshot, Vec<Snapshot>)>, Error> {
    let partition = of.partition;
    let at_most = at_most.raw();
    let query = format!(
        "SELECT next_offset, id, 0::UInt64, state FROM detector_snapshots FINAL \
         WHERE incarnation = {{incarnation:String}} AND kafka_partition = {partition} AND next_offset <= {at_most} \
         ORDER BY next_offset DESC, taken_at DESC LIMIT 1 FORMAT RowBinary"
    );
    let answer = ask(client, &query, of).await?;
    if answer.is_empty() {
        return Ok(None);
    }
    let mut fields = Fields(&answer);
    let mut whole = fields.snapshot()?;
    fields.end()?;
    whole.since = None;
    if whole.id == StateId(0) {
        return Ok(Some((whole, Vec::new())));
    }
    let after = whole.next.raw();
    let query = format!(
        "SELECT next_offset, id, since, state FROM detector_changes FINAL \
         WHERE incarnation = {{incarnation:String}} AND kafka_partition = {partition} \
         AND next_offset > {after} AND next_offset <= {at_most} \
         ORDER BY next_offset, taken_at DESC FORMAT RowBinary"
    );
    let answer = ask(client, &query, of).await?;
    let mut fields = Fields(&answer);
    let mut changes = Vec::new();
    while !fields.0.is_empty() {
        changes.push(fields.snapshot()?);
    }
    let changes = snapshot::linked(whole.id, changes);
    Ok(Some((whole, changes)))
}

/// All wholes that are kept of a partition, the highest offset first: tells "none at all" from "none that
/// fits".
pub async fn kept(client: &Client, of: &Of) -> Result<Vec<Kept>, Error> {
    let partition = of.partition;
    let query = format!(
        "SELECT next_offset, compatibility, format, size FROM detector_snapshots FINAL \
         WHERE incarnation = {{incarnation:String}} AND kafka_partition = {partition} \
         ORDER BY next_offset DESC, taken_at DESC FORMAT RowBinary"
    );
    let answer = ask(client, &query, of).await?;
    let mut fields = Fields(&answer);
    let mut kept = Vec::new();
    while !fields.0.is_empty() {
        kept.push(Kept {
            next_offset: i64::from_le_bytes(fields.take()?),
            maker: Maker {
                compatibility: u64::from_le_bytes(fields.take()?),
                format: u16::from_le_bytes(fields.take()?),
            },
            size: u64::from_le_bytes(fields.take()?),
        });
    }
    Ok(kept)
}

/// An answer in full, or the error that cut it off.
async fn ask(client: &Client, query: &str, of: &Of) -> Result<Bytes, Error> {
    let settings = [
        ("param_incarnation", of.incarnation.as_str()),
        ("wait_end_of_query", "1"),
    ];
    client.execute(query, &settings).await
}

/// What is left of a `RowBinary` answer.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn bytes(&mut self, length: usize) -> Result<&'a [u8], Error> {
        let (field, rest) = self.0.split_at_checked(length).ok_or_else(cut_off)?;
        self.0 = rest;
        Ok(field)
    }

    fn take<const WIDTH: usize>(&mut self) -> Result<[u8; WIDTH], Error> {
        self.bytes(WIDTH)?.try_into().map_err(|_| cut_off())
    }

    fn text(&mut self) -> Result<&'a [u8], Error> {
        let length = varint::take(&mut self.0).ok_or_else(cut_off)?;
        self.bytes(usize::try_from(length).map_err(|_| cut_off())?)
    }

    fn snapshot(&mut self) -> Result<Snapshot, Error> {
        Ok(Snapshot {
            next: NextOffset::resume_at(Offset::new(i64::from_le_bytes(self.take()?))),
            id: StateId(u64::from_le_bytes(self.take()?)),
            since: Some(StateId(u64::from_le_bytes(self.take()?))),
            bytes: self.text()?.to_vec(),
        })
    }

    fn end(&self) -> Result<(), Error> {
        if self.0.is_empty() {
            return Ok(());
        }
        Err(Error::Unexpected(format!(
            "{} bytes after the row that was asked for",
            self.0.len()
        )))
    }
}

fn cut_off() -> Error {
    Error::Unexpected("a row that ends before its last column".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_is_cut_off_is_an_error_and_so_is_one_with_more() {
        let mut fields = Fields(b"\x02ab\x01\x00");
        assert_eq!(fields.text().unwrap(), b"ab");
        fields.end().unwrap_err();
        assert_eq!(u16::from_le_bytes(fields.take().unwrap()), 1);
        fields.end().unwrap();
        fields.text().unwrap_err();
        Fields(b"\x05ab").text().unwrap_err();
        Fields(b"ab").take::<4>().unwrap_err();
    }
}
