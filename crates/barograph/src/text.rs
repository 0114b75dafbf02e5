//! Text and bytes of strangers, for the terminal.
//!
//! Invariant: what comes out holds no control characters, and none that change the direction of
//! writing; only [`hex_dump`] has line breaks.

use std::fmt::Write as _;

/// At most `limit` characters of it; what is not UTF-8 as `\xNN`. A `…` says that there is more.
pub(crate) fn printable(text: impl AsRef<[u8]>, limit: usize) -> String {
    let mut out = String::new();
    let mut left = limit;
    for chunk in text.as_ref().utf8_chunks() {
        for character in chunk.valid().chars() {
            if left == 0 {
                out.push('…');
                return out;
            }
            left -= 1;
            push(&mut out, character);
        }
        for byte in chunk.invalid() {
            if left == 0 {
                out.push('…');
                return out;
            }
            left -= 1;
            let _ = write!(out, "\\x{byte:02x}");
        }
    }
    out
}

fn push(out: &mut String, character: char) {
    // Marks, overrides and isolates of direction; zero-width characters and line separators.
    let invisible = matches!(character,
        '\u{061c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}');
    if character.is_control() || invisible {
        out.extend(character.escape_default());
    } else {
        out.push(character);
    }
}

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

    /// Would catch a log line that clears the operator's screen, or reads backwards.
    #[test]
    fn nothing_can_steer_the_terminal() {
        let text = printable("\x1b[2Ja\tb\r\nc\u{9b}\u{202e}d é", 100);
        assert_eq!(text, r"\u{1b}[2Ja\tb\r\nc\u{9b}\u{202e}d é");
        assert_eq!(printable(b"a\xff\xfeb", 100), r"a\xff\xfeb");
    }

    #[test]
    fn what_is_left_out_is_said() {
        assert_eq!(printable(b"abc", 3), "abc");
        assert_eq!(printable(b"abcd", 3), "abc…");
        assert_eq!(printable(b"ab\xff", 2), "ab…");
    }

    #[test]
    fn a_dump_shows_places_bytes_and_letters() {
        let expected = "00000000  00 01 41 42 43 44 45 46  47 48 49 4a 4b 4c 4d 4e  ..ABCDEFGHIJKLMN\n\
                        00000010  ff                                                .\n";
        assert_eq!(hex_dump(b"\x00\x01ABCDEFGHIJKLMN\xff"), expected);
    }
}
