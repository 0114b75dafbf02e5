//! HTTP content encodings, both ways, piece by piece.
//! Invariant: a body that ends inside an encoded stream is refused, never taken for complete.

use std::io::{self, Read, Write};

use flate2::write::{GzDecoder, GzEncoder, ZlibEncoder};
use lz4_flex::frame::{FrameDecoder, FrameEncoder};

use crate::{
    block,
    exception::{Exception, Own},
    unpack::{Deflate, PIECE_LIMIT, Sink, Zstd, lz4_is_complete},
};

/// The encodings that both sides know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    Gzip,
    Deflate,
    Lz4,
    Zstd,
}

impl Encoding {
    fn named(name: &str) -> Option<Self> {
        match name.trim() {
            "gzip" | "x-gzip" => Some(Self::Gzip),
            "deflate" => Some(Self::Deflate),
            "lz4" => Some(Self::Lz4),
            "zstd" => Some(Self::Zstd),
            _ => None,
        }
    }

    /// The name as headers carry it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }

    /// Reads a request's `Content-Encoding`.
    pub(crate) fn of_request(header: &str) -> Result<Option<Self>, Exception> {
        let header = header.trim().to_ascii_lowercase();
        if header.is_empty() || header == "identity" {
            return Ok(None);
        }
        let message = format!(
            "Unknown compression method {header}. Only 'gzip', 'deflate', 'lz4' and 'zstd' are supported"
        );
        Self::named(&header)
            .map(Some)
            .ok_or_else(|| Exception::own(Own::NotImplemented, message))
    }

    /// Picks from a client's `Accept-Encoding`: the cheapest one it takes.
    pub(crate) fn accepted(header: &str) -> Option<Self> {
        let header = header.to_ascii_lowercase();
        let offered: Vec<Self> = header
            .split(',')
            .filter_map(|item| {
                let (name, weight) = item.split_once(';').unwrap_or((item, ""));
                let refused = weight
                    .trim()
                    .strip_prefix("q=")
                    .and_then(|q| q.parse::<f32>().ok())
                    == Some(0.0);
                Self::named(name).filter(|_| !refused)
            })
            .collect();
        [Self::Lz4, Self::Zstd, Self::Gzip, Self::Deflate]
            .into_iter()
            .find(|one| offered.contains(one))
    }
}

enum HttpDecoder {
    Plain,
    Gzip(GzDecoder<Sink>),
    Deflate(Deflate),
    Zstd(Zstd),
    /// The frame format has no push decoder, so the packed body is gathered.
    Lz4(Vec<u8>),
}

/// Undoes `Content-Encoding`, then ClickHouse's own blocks.
pub(crate) struct Decoder {
    http: HttpDecoder,
    blocks: Option<block::Decompressor>,
}

fn broken(error: impl std::fmt::Display) -> Exception {
    Exception::own(
        Own::CannotDecompress,
        format!("Cannot decompress the request body: {error}"),
    )
}

impl Decoder {
    /// `blocks` stands for `decompress=1`.
    pub(crate) fn new(encoding: Option<Encoding>, blocks: bool) -> Result<Self, Exception> {
        let http = match encoding {
            None => HttpDecoder::Plain,
            Some(Encoding::Gzip) => HttpDecoder::Gzip(GzDecoder::new(Sink::default())),
            Some(Encoding::Deflate) => HttpDecoder::Deflate(Deflate::new()),
            Some(Encoding::Lz4) => HttpDecoder::Lz4(Vec::new()),
            Some(Encoding::Zstd) => HttpDecoder::Zstd(Zstd::new().map_err(broken)?),
        };
        Ok(Self {
            http,
            blocks: blocks.then(block::Decompressor::default),
        })
    }

    /// Decodes a piece of the body.
    pub(crate) fn push(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<(), Exception> {
        let plain = match &mut self.http {
            HttpDecoder::Plain => return self.unblock(input, out),
            HttpDecoder::Gzip(decoder) => {
                written(decoder, input).map(|()| std::mem::take(&mut decoder.get_mut().0))
            }
            HttpDecoder::Deflate(decoder) => decoder.push(input),
            HttpDecoder::Zstd(decoder) => decoder.push(input),
            HttpDecoder::Lz4(packed) => {
                if packed.len() + input.len() > PIECE_LIMIT {
                    return Err(broken("an lz4 body of this size has to be sent in parts"));
                }
                packed.extend_from_slice(input);
                return Ok(());
            }
        };
        self.unblock(&plain.map_err(broken)?, out)
    }

    fn unblock(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<(), Exception> {
        if let Some(blocks) = &mut self.blocks {
            return blocks.push(input, out);
        }
        out.extend_from_slice(input);
        Ok(())
    }

    /// Decodes what is left and checks that the input was complete.
    pub(crate) fn finish(mut self, out: &mut Vec<u8>) -> Result<(), Exception> {
        let http = std::mem::replace(&mut self.http, HttpDecoder::Plain);
        let rest = match http {
            HttpDecoder::Plain => Vec::new(),
            HttpDecoder::Gzip(decoder) => decoder.finish().map_err(broken)?.0,
            HttpDecoder::Deflate(decoder) => decoder.finish().map_err(broken)?,
            HttpDecoder::Zstd(decoder) => decoder.finish().map_err(broken)?,
            HttpDecoder::Lz4(packed) => {
                if !lz4_is_complete(&packed) {
                    return Err(broken("an lz4 frame is incomplete"));
                }
                let mut plain = Vec::new();
                let limit = PIECE_LIMIT as u64 + 1;
                FrameDecoder::new(packed.as_slice())
                    .take(limit)
                    .read_to_end(&mut plain)
                    .map_err(broken)?;
                if plain.len() > PIECE_LIMIT {
                    return Err(broken("the body unpacks to implausibly much"));
                }
                plain
            }
        };
        self.unblock(&rest, out)?;
        self.blocks.map_or(Ok(()), |blocks| blocks.finish())
    }
}

fn written(decoder: &mut impl Write, input: &[u8]) -> io::Result<()> {
    decoder.write_all(input)?;
    decoder.flush()
}

/// Packs a response, by content encoding or in ClickHouse's own blocks.
pub(crate) enum Encoder {
    Plain,
    Blocks,
    Gzip(GzEncoder<Vec<u8>>),
    Deflate(ZlibEncoder<Vec<u8>>),
    Lz4(Box<FrameEncoder<Vec<u8>>>),
    Zstd(zstd::stream::write::Encoder<'static, Vec<u8>>),
}

impl Encoder {
    /// An encoder for the chosen encoding.
    pub(crate) fn new(encoding: Encoding) -> io::Result<Self> {
        Ok(match encoding {
            Encoding::Gzip => Self::Gzip(GzEncoder::new(Vec::new(), flate2::Compression::fast())),
            Encoding::Deflate => {
                Self::Deflate(ZlibEncoder::new(Vec::new(), flate2::Compression::fast()))
            }
            Encoding::Lz4 => Self::Lz4(Box::new(FrameEncoder::new(Vec::new()))),
            Encoding::Zstd => Self::Zstd(zstd::stream::write::Encoder::new(Vec::new(), 1)?),
        })
    }

    /// Packs a piece so that the client can unpack everything up to here.
    pub(crate) fn push(&mut self, data: Vec<u8>) -> io::Result<Vec<u8>> {
        Ok(match self {
            Self::Plain => data,
            Self::Blocks => {
                let mut packed = Vec::new();
                block::compress(&data, &mut packed);
                packed
            }
            Self::Gzip(encoder) => {
                written(encoder, &data)?;
                std::mem::take(encoder.get_mut())
            }
            Self::Deflate(encoder) => {
                written(encoder, &data)?;
                std::mem::take(encoder.get_mut())
            }
            Self::Lz4(encoder) => {
                written(encoder, &data)?;
                std::mem::take(encoder.get_mut())
            }
            Self::Zstd(encoder) => {
                written(encoder, &data)?;
                std::mem::take(encoder.get_mut())
            }
        })
    }

    /// What ends the encoded body.
    pub(crate) fn finish(self) -> io::Result<Vec<u8>> {
        match self {
            Self::Plain | Self::Blocks => Ok(Vec::new()),
            Self::Gzip(encoder) => encoder.finish(),
            Self::Deflate(encoder) => encoder.finish(),
            Self::Lz4(encoder) => encoder.finish().map_err(io::Error::other),
            Self::Zstd(encoder) => encoder.finish(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Encoding; 4] = [
        Encoding::Gzip,
        Encoding::Deflate,
        Encoding::Lz4,
        Encoding::Zstd,
    ];

    fn packed(encoding: Encoding, plain: &[u8]) -> Vec<u8> {
        let mut encoder = Encoder::new(encoding).expect("encoder");
        let mut out = Vec::new();
        for part in plain.chunks(100_000) {
            out.extend(encoder.push(part.to_vec()).expect("packs"));
        }
        out.extend(encoder.finish().expect("ends"));
        out
    }

    fn unpacked(encoding: Encoding, input: &[u8]) -> Result<Vec<u8>, Exception> {
        let mut decoder = Decoder::new(Some(encoding), false)?;
        let mut out = Vec::new();
        for part in input.chunks(999) {
            decoder.push(part, &mut out)?;
        }
        decoder.finish(&mut out).map(|()| out)
    }

    #[test]
    fn every_encoding_survives_the_round_trip() {
        let plain: Vec<u8> = (0..300_000_u32)
            .flat_map(|n| (n / 3).to_le_bytes())
            .collect();
        for encoding in ALL {
            assert!(
                unpacked(encoding, &packed(encoding, &plain)).expect("unpacks") == plain,
                "{encoding:?}"
            );
        }
    }

    #[test]
    fn garbage_is_refused() {
        for encoding in ALL {
            let error = unpacked(encoding, &[b'x'; 5000]).expect_err("is refused");
            assert_eq!(error.code, 271, "{encoding:?}");
        }
    }

    #[test]
    fn a_cut_body_is_refused() {
        let plain: Vec<u8> = (0..50_000_u32).flat_map(u32::to_le_bytes).collect();
        for encoding in ALL {
            let whole = packed(encoding, &plain);
            for cut in [1, 5, whole.len() / 2] {
                let outcome = unpacked(encoding, &whole[..whole.len() - cut]);
                let code = outcome.err().map(|error| error.code);
                assert_eq!(code, Some(271), "{encoding:?} without its last {cut} bytes");
            }
        }
    }

    #[test]
    fn the_cheapest_accepted_encoding_is_picked() {
        assert_eq!(
            Encoding::accepted("gzip, deflate, br, zstd"),
            Some(Encoding::Zstd)
        );
        assert_eq!(
            Encoding::accepted("lz4;q=0, gzip;q=0.5"),
            Some(Encoding::Gzip)
        );
        assert_eq!(Encoding::accepted("br, *"), None);
        assert_eq!(Encoding::of_request("identity").expect("known"), None);
        assert_eq!(Encoding::of_request("br").expect_err("unknown").code, 48);
    }
}
