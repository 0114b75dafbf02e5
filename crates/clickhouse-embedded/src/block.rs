//! ClickHouse's own compression: blocks of checksum, method, sizes and data (`compress=1`,
//! `decompress=1`).
//! Invariant: a block whose checksum does not match is never handed on.

use crate::exception::{Exception, Own};

const CHECKSUM: usize = 16;
const HEADER: usize = 9;
const LZ4: u8 = 0x82;
const ZSTD: u8 = 0x90;
const NONE: u8 = 0x02;
/// The largest block either way; ClickHouse's own bound is 1 GiB.
const LIMIT: usize = 1 << 28;
/// How much goes into one block of a response, as in ClickHouse.
const BLOCK: usize = 1 << 20;

fn checksum(data: &[u8]) -> [u8; CHECKSUM] {
    let hash = cityhash_rs::cityhash_102_128(data);
    let mut bytes = [0; CHECKSUM];
    bytes[..8].copy_from_slice(&((hash >> 64) as u64).to_le_bytes());
    bytes[8..].copy_from_slice(&(hash as u64).to_le_bytes());
    bytes
}

/// Appends `data` to `out` as LZ4 blocks.
pub(crate) fn compress(data: &[u8], out: &mut Vec<u8>) {
    for part in data.chunks(BLOCK) {
        let packed = lz4_flex::block::compress(part);
        let start = out.len();
        out.resize(start + CHECKSUM, 0);
        out.push(LZ4);
        out.extend_from_slice(&((HEADER + packed.len()) as u32).to_le_bytes());
        out.extend_from_slice(&(part.len() as u32).to_le_bytes());
        out.extend_from_slice(&packed);
        let sum = checksum(&out[start + CHECKSUM..]);
        out[start..start + CHECKSUM].copy_from_slice(&sum);
    }
}

/// Takes blocks apart as they arrive.
#[derive(Debug, Default)]
pub(crate) struct Decompressor {
    pending: Vec<u8>,
}

impl Decompressor {
    /// Adds input and appends every block that is now complete to `out`.
    pub(crate) fn push(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<(), Exception> {
        self.pending.extend_from_slice(input);
        let mut at = 0;
        while let Some(used) = decompress_one(&self.pending[at..], out)? {
            at += used;
        }
        self.pending.drain(..at);
        Ok(())
    }

    /// Fails when the input ended inside a block.
    pub(crate) fn finish(&self) -> Result<(), Exception> {
        if self.pending.is_empty() {
            return Ok(());
        }
        Err(Exception::own(
            Own::CannotReadAllData,
            "Cannot read all data: the compressed body ends inside a block",
        ))
    }
}

fn decompress_one(input: &[u8], out: &mut Vec<u8>) -> Result<Option<usize>, Exception> {
    let Some(header) = input.get(CHECKSUM..CHECKSUM + HEADER) else {
        return Ok(None);
    };
    let number = |at: usize| {
        header[at..at + 4]
            .iter()
            .rev()
            .fold(0_usize, |sum, byte| (sum << 8) | usize::from(*byte))
    };
    let (method, packed, plain) = (header[0], number(1), number(5));
    let broken =
        |what: &str| Exception::own(Own::CannotDecompress, format!("Cannot decompress: {what}"));
    if !(HEADER..=LIMIT).contains(&packed) || plain > LIMIT {
        return Err(broken(&format!(
            "implausible sizes {packed} and {plain}; is the body compressed at all?"
        )));
    }
    let Some(block) = input.get(CHECKSUM..CHECKSUM + packed) else {
        return Ok(None);
    };
    if checksum(block) != input[..CHECKSUM] {
        let message = "Checksum doesn't match: corrupted data in the compressed body";
        return Err(Exception::own(Own::ChecksumDoesntMatch, message));
    }
    let data = &block[HEADER..];
    let start = out.len();
    match method {
        NONE => out.extend_from_slice(data),
        LZ4 => {
            out.resize(start + plain, 0);
            let size = lz4_flex::block::decompress_into(data, &mut out[start..])
                .map_err(|e| broken(&e.to_string()))?;
            out.truncate(start + size);
        }
        ZSTD => {
            out.resize(start + plain, 0);
            let size = zstd::bulk::decompress_to_buffer(data, &mut out[start..])
                .map_err(|e| broken(&e.to_string()))?;
            out.truncate(start + size);
        }
        _ => {
            let message = format!("Unknown compression method: {method}");
            return Err(Exception::own(Own::UnknownCompressionMethod, message));
        }
    }
    if out.len() - start != plain {
        return Err(broken("a block is shorter than its header says"));
    }
    Ok(Some(CHECKSUM + packed))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unpack(input: &[u8], step: usize) -> Result<Vec<u8>, Exception> {
        let mut decompressor = Decompressor::default();
        let mut out = Vec::new();
        for part in input.chunks(step) {
            decompressor.push(part, &mut out)?;
        }
        decompressor.finish().map(|()| out)
    }

    /// The vector of ClickHouse's own client: `1` as LZ4, cut into blocks as a server sends it.
    const KNOWN: &[u8] = &[
        245, 5, 222, 235, 225, 158, 59, 108, 225, 31, 65, 215, 66, 66, 36, 92, 130, 34, 0, 0, 0,
        23, 0, 0, 0, 240, 8, 1, 0, 2, 255, 255, 255, 255, 0, 1, 1, 1, 115, 6, 83, 116, 114, 105,
        110, 103, 3, 97, 98, 99,
    ];

    #[test]
    fn a_known_block_is_understood() {
        let plain = unpack(KNOWN, KNOWN.len()).expect("decompresses");
        assert_eq!(
            plain,
            b"\x01\x00\x02\xff\xff\xff\xff\x00\x01\x01\x01s\x06String\x03abc"
        );
    }

    #[test]
    fn blocks_survive_any_cut() {
        let plain: Vec<u8> = (0..3_000_000_u32)
            .flat_map(|n| (n / 7).to_le_bytes())
            .collect();
        let mut packed = Vec::new();
        compress(&plain, &mut packed);
        for step in [1 << 20, 65_537] {
            assert!(
                unpack(&packed, step).expect("decompresses") == plain,
                "cut every {step} bytes"
            );
        }
        assert_eq!(
            unpack(&packed[..KNOWN.len()], 3)
                .expect_err("is cut off")
                .code,
            33
        );
    }

    #[test]
    fn plain_and_zstd_blocks_are_understood() {
        let block = |method: u8, data: &[u8], plain: usize| {
            let mut body = vec![method];
            body.extend_from_slice(&((HEADER + data.len()) as u32).to_le_bytes());
            body.extend_from_slice(&(plain as u32).to_le_bytes());
            body.extend_from_slice(data);
            [checksum(&body).as_slice(), &body].concat()
        };
        assert_eq!(unpack(&block(NONE, b"abc", 3), 5).expect("plain"), b"abc");
        let zstd = zstd::bulk::compress(b"abcabcabc", 1).expect("compresses");
        assert_eq!(
            unpack(&block(ZSTD, &zstd, 9), 5).expect("zstd"),
            b"abcabcabc"
        );
        assert_eq!(
            unpack(&block(0x77, b"abc", 3), 5)
                .expect_err("unknown")
                .code,
            89
        );
        assert_eq!(
            unpack(&block(NONE, b"abc", 4), 5).expect_err("short").code,
            271
        );
    }

    #[test]
    fn a_flipped_bit_is_refused() {
        let mut packed = KNOWN.to_vec();
        packed[40] ^= 1;
        assert_eq!(unpack(&packed, 7).expect_err("is refused").code, 40);
        assert_eq!(
            unpack(b"SELECT 1, but long enough to look at", 7)
                .expect_err("is refused")
                .code,
            271
        );
    }
}
