//! Push decoders that know whether their input was complete.
//! Invariant: one piece of input never gives more than `PIECE_LIMIT` of output.

use std::io::{self, Write};

use flate2::{Decompress, FlushDecompress, Status};
use zstd::stream::raw::{InBuffer, Operation, OutBuffer};

/// A small piece may unpack to at most this much, or it is taken for an attack.
pub(crate) const PIECE_LIMIT: usize = 1 << 28;

/// Where decoders write. Refuses more than `PIECE_LIMIT` at once.
#[derive(Debug, Default)]
pub(crate) struct Sink(pub(crate) Vec<u8>);

impl Write for Sink {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        if self.0.len() + data.len() > PIECE_LIMIT {
            return Err(io::Error::other("the body unpacks to implausibly much"));
        }
        self.0.extend_from_slice(data);
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Zstandard frames. The crate's own push decoder does not tell whether a frame was complete.
pub(crate) struct Zstd {
    raw: zstd::stream::raw::Decoder<'static>,
    /// What the frame still asks for; 0 between frames.
    wants: usize,
}

impl Zstd {
    pub(crate) fn new() -> io::Result<Self> {
        let raw = zstd::stream::raw::Decoder::new()?;
        Ok(Self { raw, wants: 0 })
    }

    pub(crate) fn push(&mut self, input: &[u8]) -> io::Result<Vec<u8>> {
        let mut sink = Sink::default();
        let mut source = InBuffer::around(input);
        let mut buffer = vec![0; 128 << 10];
        loop {
            let mut target = OutBuffer::around(buffer.as_mut_slice());
            self.wants = self.raw.run(&mut source, &mut target)?;
            let filled = target.pos();
            sink.write_all(&buffer[..filled])?;
            if source.pos() == input.len() && filled < buffer.len() {
                return Ok(sink.0);
            }
        }
    }

    pub(crate) fn finish(self) -> io::Result<Vec<u8>> {
        if self.wants == 0 {
            return Ok(Vec::new());
        }
        Err(io::ErrorKind::UnexpectedEof.into())
    }
}

/// A zlib stream. The crate's own push decoder does not tell whether the stream was complete.
pub(crate) struct Deflate {
    raw: Decompress,
    ended: bool,
}

impl Deflate {
    pub(crate) fn new() -> Self {
        Self {
            raw: Decompress::new(true),
            ended: false,
        }
    }

    pub(crate) fn push(&mut self, mut input: &[u8]) -> io::Result<Vec<u8>> {
        let mut sink = Sink::default();
        let mut buffer = vec![0; 128 << 10];
        loop {
            let (read, written) = (self.raw.total_in(), self.raw.total_out());
            let status = self
                .raw
                .decompress(input, &mut buffer, FlushDecompress::None)?;
            let filled = (self.raw.total_out() - written) as usize;
            input = &input[(self.raw.total_in() - read) as usize..];
            sink.write_all(&buffer[..filled])?;
            self.ended = self.ended || status == Status::StreamEnd;
            if self.ended || (input.is_empty() && filled < buffer.len()) {
                return Ok(sink.0);
            }
        }
    }

    pub(crate) fn finish(self) -> io::Result<Vec<u8>> {
        if self.ended {
            return Ok(Vec::new());
        }
        Err(io::ErrorKind::UnexpectedEof.into())
    }
}

/// Whether the input is a row of complete LZ4 frames. The crate's decoder takes an input that ends
/// between two blocks for complete.
pub(crate) fn lz4_is_complete(mut rest: &[u8]) -> bool {
    const MAGIC: [u8; 4] = 0x184d_2204_u32.to_le_bytes();
    const SKIPPABLE: u32 = 0x184d_2a50;
    let number = |bytes: &[u8], at: usize| {
        let bytes = bytes.get(at..at + 4)?;
        Some(
            bytes
                .iter()
                .rev()
                .fold(0_u32, |sum, byte| (sum << 8) | u32::from(*byte)),
        )
    };
    while !rest.is_empty() {
        if number(rest, 0).is_some_and(|magic| magic & 0xffff_fff0 == SKIPPABLE) {
            let Some(size) = number(rest, 4) else {
                return false;
            };
            let Some(after) = rest.get(8 + size as usize..) else {
                return false;
            };
            rest = after;
            continue;
        }
        let Some(flags) = rest.get(4).filter(|_| rest.starts_with(&MAGIC)) else {
            return false;
        };
        let flag = |bit: u32| usize::from((flags >> bit) & 1);
        let (checksums, size, end_checksum, dictionary) = (flag(4), flag(3), flag(2), flag(0));
        let mut at = 7 + 8 * size + 4 * dictionary;
        loop {
            let Some(block) = number(rest, at) else {
                return false;
            };
            at += 4;
            if block == 0 {
                break;
            }
            at += (block & 0x7fff_ffff) as usize + 4 * checksums;
        }
        let Some(after) = rest.get(at + 4 * end_checksum..) else {
            return false;
        };
        rest = after;
    }
    true
}
