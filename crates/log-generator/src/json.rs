//! Writes pieces of JSON into a reused buffer.
//! Invariant: nothing here allocates beyond the buffer's own growth, and `escaped` always leaves
//! the inside of a valid JSON string. Text that is used for every record is escaped once, at start.

const HEX: &[u8; 16] = b"0123456789abcdef";

/// `text` as the inside of a JSON string: what `serde_json` writes, without the quotes.
pub(crate) fn escaped(out: &mut Vec<u8>, text: &str) {
    for &byte in text.as_bytes() {
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0x08 => out.extend_from_slice(b"\\b"),
            0x0c => out.extend_from_slice(b"\\f"),
            0..=0x1f => {
                out.extend_from_slice(b"\\u00");
                hex(out, u64::from(byte), 2);
            }
            _ => out.push(byte),
        }
    }
}

/// `escaped` into a buffer of its own, for text that is prepared at start.
pub(crate) fn escaped_box(text: &str) -> Box<[u8]> {
    let mut out = Vec::with_capacity(text.len() + 8);
    escaped(&mut out, text);
    out.into_boxed_slice()
}

/// Decimal digits.
pub(crate) fn number(out: &mut Vec<u8>, mut value: u64) {
    let mut digits = [0_u8; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

/// Tenths as a decimal with exactly one place: 1824 is `182.4`.
pub(crate) fn tenths(out: &mut Vec<u8>, value: u64) {
    number(out, value / 10);
    out.extend_from_slice(&[b'.', b'0' + (value % 10) as u8]);
}

/// Hundredths as a decimal with exactly two places: 12990 is `129.90`.
pub(crate) fn hundredths(out: &mut Vec<u8>, value: u64) {
    number(out, value / 100);
    out.push(b'.');
    padded(out, value % 100, 2);
}

/// The last `places` decimal digits, with leading zeros.
pub(crate) fn padded(out: &mut Vec<u8>, mut value: u64, places: usize) {
    let at = out.len();
    out.resize(at + places, b'0');
    for digit in out[at..].iter_mut().rev() {
        *digit = b'0' + (value % 10) as u8;
        value /= 10;
    }
}

/// The last `places` hexadecimal digits, lower case, with leading zeros.
pub(crate) fn hex(out: &mut Vec<u8>, mut value: u64, places: usize) {
    let at = out.len();
    out.resize(at + places, b'0');
    for digit in out[at..].iter_mut().rev() {
        *digit = HEX[(value & 15) as usize];
        value >>= 4;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn numbers_come_out_as_people_write_them() {
        assert_eq!(written(|out| number(out, 0)), "0");
        assert_eq!(written(|out| number(out, u64::MAX)), u64::MAX.to_string());
        assert_eq!(written(|out| tenths(out, 1824)), "182.4");
        assert_eq!(written(|out| tenths(out, 3)), "0.3");
        assert_eq!(written(|out| hundredths(out, 12_905)), "129.05");
        assert_eq!(written(|out| padded(out, 7, 3)), "007");
        assert_eq!(written(|out| hex(out, 0xab, 8)), "000000ab");
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_escaped_as_serde_json_does(text in "\\PC*|[\\x00-\\x7f]*") {
            let expected = serde_json::to_string(&text).unwrap();
            let inside = written(|out| escaped(out, &text));
            proptest::prop_assert_eq!(format!("\"{inside}\""), expected);
        }
    }
}
