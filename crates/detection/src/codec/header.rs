//! The header of a snapshot: what it can be gone on from, and whether it is whole.
//!
//! Layout: magic (8 bytes), format version (u16), behaviour (u32), compatibility (u64), length of
//! the body (u64), checksum of the body (u64), body; all little-endian.

use std::{error::Error, fmt};

use primitives::splitmix::hash;

use super::bytes::{Reader, Writer};
use crate::config::Config;

const MAGIC: [u8; 8] = *b"BAROSNAP";
/// Layout of the bytes. A change of what the detectors answer raises `BEHAVIOUR` instead.
pub const FORMAT: u16 = 2;
const HEADER_BYTES: usize = 38;
/// Version of what all families rest on: clocks, windows, early firings. Raised with every change that
/// lets them answer otherwise to the same records, or keep something else: a snapshot of others is not
/// gone on from. A family has a version of its own.
pub(crate) const BEHAVIOUR: u32 = 7;

/// What a snapshot can be gone on from: the same number for the same behaviour and configuration.
pub fn compatibility(config: &Config) -> u64 {
    // Named one by one, so that a new field cannot be left out.
    let Config {
        window_ms,
        grace_ms,
        false_alerts_per_week,
        warm_up_windows,
        adopt_after_windows,
        max_services,
        max_provisional,
        samples,
    } = *config;
    let mut to = Writer::default();
    to.u32(BEHAVIOUR);
    to.i64(window_ms);
    to.i64(grace_ms);
    to.f64(false_alerts_per_week);
    to.u32(warm_up_windows);
    to.u32(adopt_after_windows);
    to.u64(max_services as u64);
    to.u64(max_provisional as u64);
    to.u64(samples as u64);
    hash(to.bytes())
}

/// Why bytes are no snapshot that these detectors can go on from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SnapshotError {
    /// Not a snapshot, or a damaged one.
    Unreadable { why: &'static str },
    /// Written by a later program in a format that this one doesn't know.
    Newer { found: u16, known: u16 },
    /// Written by detectors that answer differently: going on from it would change findings.
    OtherBehaviour { found: u32, own: u32 },
    /// Written under another [`Config`](crate::Config); the hashes of both.
    OtherConfig { found: u64, own: u64 },
}

impl fmt::Display for SnapshotError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { why } => write!(f, "not a readable snapshot: {why}"),
            Self::Newer { found, known } => write!(
                f,
                "snapshot format {found} is newer than the newest known one, {known}"
            ),
            Self::OtherBehaviour { found, own } => write!(
                f,
                "snapshot of detectors with behaviour {found}, these have {own}"
            ),
            Self::OtherConfig { found, own } => write!(
                f,
                "snapshot under another configuration: {found:016x}, this one is {own:016x}"
            ),
        }
    }
}

impl Error for SnapshotError {}

impl From<&'static str> for SnapshotError {
    fn from(why: &'static str) -> Self {
        Self::Unreadable { why }
    }
}

/// Puts the header before a body.
pub(crate) fn seal(config: &Config, body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER_BYTES + body.len());
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&FORMAT.to_le_bytes());
    bytes.extend_from_slice(&BEHAVIOUR.to_le_bytes());
    bytes.extend_from_slice(&compatibility(config).to_le_bytes());
    bytes.extend_from_slice(&(body.len() as u64).to_le_bytes());
    bytes.extend_from_slice(&hash(body).to_le_bytes());
    bytes.extend_from_slice(body);
    bytes
}

/// Checks the header; the answer is the body.
pub(crate) fn open<'a>(bytes: &'a [u8], config: &Config) -> Result<&'a [u8], SnapshotError> {
    let mut header = Reader::new(bytes);
    if header.fixed::<8>()? != MAGIC {
        return Err("it does not begin like one".into());
    }
    let format = u16::from_le_bytes(header.fixed()?);
    if format > FORMAT {
        return Err(SnapshotError::Newer {
            found: format,
            known: FORMAT,
        });
    }
    if format != FORMAT {
        return Err("its format is one of before there were sections".into());
    }
    let found = u32::from_le_bytes(header.fixed()?);
    let found_compatibility = u64::from_le_bytes(header.fixed()?);
    let length = u64::from_le_bytes(header.fixed()?);
    let checksum = u64::from_le_bytes(header.fixed()?);
    let body = header.rest;
    if body.len() as u64 != length {
        return Err("its length is not the one it names".into());
    }
    if hash(body) != checksum {
        return Err("its checksum does not match".into());
    }
    if found != BEHAVIOUR {
        return Err(SnapshotError::OtherBehaviour {
            found,
            own: BEHAVIOUR,
        });
    }
    let own = compatibility(config);
    if found_compatibility != own {
        return Err(SnapshotError::OtherConfig {
            found: found_compatibility,
            own,
        });
    }
    Ok(body)
}
