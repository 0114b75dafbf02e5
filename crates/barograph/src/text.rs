//! Text and bytes of strangers, for the terminal.
//!
//! Invariant: what comes out holds nothing that steers a terminal; only [`hex_dump`] has line breaks.

use std::fmt::Write as _;

pub(crate) use strangers::printable;

/// Offset, sixteen bytes, and those of them that are ASCII.
pub(crate) fn hex_dump(bytes: &[u8]) -> String {
    let mut out = String::new();
    for (line, chunk) in bytes.chunks(16).enumerate() {
        let _ = write!(out, "{:08x} ", line * 16);
        for place in 0..16 {
            if place == 8 {
                out.push(' ');
            }
            match chunk.get(place) {
                Some(byte) => {
                    let _ = write!(out, " {byte:02x}");
                }
                None => out.push_str("   "),
            }
        }
        out.push_str("  ");
        out.extend(chunk.iter().map(|byte| match byte {
            b' '..=b'~' => char::from(*byte),
            _ => '.',
        }));
        out.push('\n');
    }
    out
}

/// Lower-case, two digits a byte.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dump_shows_places_bytes_and_letters() {
        let expected = "00000000  00 01 41 42 43 44 45 46  47 48 49 4a 4b 4c 4d 4e  ..ABCDEFGHIJKLMN\n\
                        00000010  ff                                                .\n";
        assert_eq!(hex_dump(b"\x00\x01ABCDEFGHIJKLMN\xff"), expected);
    }
}
