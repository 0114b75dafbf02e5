//! What the detectors of a partition know, kept so that a restart does not forget it.
//!
//! Invariants: a snapshot is the state after all records below its offset, and nothing else, so that
//! any of them that is not past an offset is good for it; the last [`KEPT`] of a partition stay.

use bytes::Bytes;

use primitives::varint;

use crate::{Client, Error};

/// How many of a partition are kept.
pub const KEPT: u8 = 8;

/// One row of `detector_snapshots`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    pub incarnation: String,
    pub partition: i32,
    /// The state after all records below it.
    pub next_offset: i64,
    /// Hash of the behaviour and the settings that made the state.
    pub compatibility: u64,
    /// Version of the state's encoding.
    pub format: u16,
    /// Any bytes.
    pub state: Vec<u8>,
}

/// What is known of a kept snapshot without its state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kept {
    pub next_offset: i64,
    pub compatibility: u64,
    pub format: u16,
    /// Bytes of the state.
    pub size: u64,
}

/// Stores it in place of the oldest of its partition, once these are [`KEPT`]. Storing the same
/// again takes no further place.
pub async fn store(client: &Client, snapshot: &Snapshot) -> Result<(), Error> {
    let Snapshot {
        incarnation,
        partition,
        next_offset,
        compatibility,
        format,
        state,
    } = snapshot;
    let place = format!(
        "SELECT if(same, slot, (slot + 1) % {KEPT})::UInt8 FROM (SELECT slot, taken_at, \
         next_offset = {next_offset} AND compatibility = {compatibility} AS same FROM detector_snapshots FINAL \
         WHERE incarnation = {{incarnation:String}} AND kafka_partition = {partition}) \
         ORDER BY same DESC, taken_at DESC, slot DESC LIMIT 1 FORMAT RowBinary"
    );
    let answer = client.execute(&place, &of(incarnation)).await?;
    let mut row = Vec::with_capacity(state.len() + 64);
    varint::put(&mut row, incarnation.len() as u64);
    row.extend_from_slice(incarnation.as_bytes());
    row.extend_from_slice(&partition.to_le_bytes());
    row.push(answer.first().copied().unwrap_or(0));
    row.extend_from_slice(&next_offset.to_le_bytes());
    row.extend_from_slice(&compatibility.to_le_bytes());
    row.extend_from_slice(&format.to_le_bytes());
    varint::put(&mut row, state.len() as u64);
    row.extend_from_slice(state);
    client
        .insert(
            "INSERT INTO detector_snapshots (incarnation, kafka_partition, slot, next_offset, compatibility, \
             format, state) FORMAT RowBinary",
            &[("async_insert", "0"), ("wait_end_of_query", "1")],
            row.into(),
        )
        .await
}

/// The one with the highest offset that is not past `offset`; of two with the same, the later one.
pub async fn newest_at_or_before(
    client: &Client,
    incarnation: &str,
    partition: i32,
    offset: i64,
) -> Result<Option<Snapshot>, Error> {
    let query = format!(
        "SELECT next_offset, compatibility, format, state FROM detector_snapshots FINAL \
         WHERE incarnation = {{incarnation:String}} AND kafka_partition = {partition} AND next_offset <= {offset} \
         ORDER BY next_offset DESC, taken_at DESC LIMIT 1 FORMAT RowBinary"
    );
    let answer = ask(client, &query, incarnation).await?;
    if answer.is_empty() {
        return Ok(None);
    }
    let mut fields = Fields(&answer);
    let found = Snapshot {
        incarnation: incarnation.to_owned(),
        partition,
        next_offset: i64::from_le_bytes(fields.take()?),
        compatibility: u64::from_le_bytes(fields.take()?),
        format: u16::from_le_bytes(fields.take()?),
        state: fields.text()?.to_vec(),
    };
    fields.end()?;
    Ok(Some(found))
}

/// All that are kept of a partition, the highest offset first: tells "none at all" from "none that fits".
pub async fn kept(client: &Client, incarnation: &str, partition: i32) -> Result<Vec<Kept>, Error> {
    let query = format!(
        "SELECT next_offset, compatibility, format, size FROM detector_snapshots FINAL \
         WHERE incarnation = {{incarnation:String}} AND kafka_partition = {partition} \
         ORDER BY next_offset DESC, taken_at DESC FORMAT RowBinary"
    );
    let answer = ask(client, &query, incarnation).await?;
    let mut fields = Fields(&answer);
    let mut kept = Vec::new();
    while !fields.0.is_empty() {
        kept.push(Kept {
            next_offset: i64::from_le_bytes(fields.take()?),
            compatibility: u64::from_le_bytes(fields.take()?),
            format: u16::from_le_bytes(fields.take()?),
            size: u64::from_le_bytes(fields.take()?),
        });
    }
    Ok(kept)
}

fn of(incarnation: &str) -> [(&'static str, &str); 1] {
    [("param_incarnation", incarnation)]
}

/// An answer in full, or the error that cut it off.
async fn ask(client: &Client, query: &str, incarnation: &str) -> Result<Bytes, Error> {
    let [incarnation] = of(incarnation);
    client
        .execute(query, &[incarnation, ("wait_end_of_query", "1")])
        .await
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
