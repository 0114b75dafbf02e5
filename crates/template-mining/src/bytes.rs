//! What a byte is to the scanner: one table, so that a token's nature is the union of its bytes' classes.
//!
//! Invariant: a byte ends a token exactly when its class has a bit of [`END`].

pub(crate) const LOWER: u16 = 1;
pub(crate) const UPPER: u16 = 1 << 1;
pub(crate) const DIGIT: u16 = 1 << 2;
/// A letter that no hexadecimal number has.
pub(crate) const NOT_HEX: u16 = 1 << 3;
pub(crate) const UNDERSCORE: u16 = 1 << 4;
pub(crate) const DOT: u16 = 1 << 5;
pub(crate) const COLON: u16 = 1 << 6;
pub(crate) const SLASH: u16 = 1 << 7;
pub(crate) const DASH: u16 = 1 << 8;
pub(crate) const AT: u16 = 1 << 9;
/// Other punctuation that stays inside a token: `+ % # * $ & ~ \ ^ ! ?`
pub(crate) const PUNCTUATION: u16 = 1 << 10;
/// Part of a character outside ASCII: as good as a letter.
pub(crate) const WIDE: u16 = 1 << 11;
pub(crate) const SPACE: u16 = 1 << 12;
/// A token by itself.
pub(crate) const DELIMITER: u16 = 1 << 13;

pub(crate) const END: u16 = SPACE | DELIMITER;
pub(crate) const LETTER: u16 = LOWER | UPPER | WIDE;
/// What a plain word is made of.
pub(crate) const PLAIN: u16 = LETTER | NOT_HEX | UNDERSCORE | DASH;

static CLASS: [u16; 256] = classes();

pub(crate) fn class(byte: u8) -> u16 {
    CLASS[usize::from(byte)]
}

/// The union of the classes of some bytes.
pub(crate) fn classes_of(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |all, byte| all | class(*byte))
}

pub(crate) fn is_letter(byte: u8) -> bool {
    class(byte) & LETTER != 0
}

pub(crate) fn is_alphanumeric(byte: u8) -> bool {
    class(byte) & (LETTER | DIGIT) != 0
}

const fn classes() -> [u16; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = class_of(byte as u8);
        byte += 1;
    }
    table
}

const fn class_of(byte: u8) -> u16 {
    match byte {
        b'a'..=b'f' => LOWER,
        b'g'..=b'z' => LOWER | NOT_HEX,
        b'A'..=b'F' => UPPER,
        b'G'..=b'Z' => UPPER | NOT_HEX,
        b'0'..=b'9' => DIGIT,
        b'_' => UNDERSCORE,
        b'.' => DOT,
        b':' => COLON,
        b'/' => SLASH,
        b'-' => DASH,
        b'@' => AT,
        b'+' | b'%' | b'#' | b'*' | b'$' | b'&' | b'~' | b'\\' | b'^' | b'!' | b'?' => PUNCTUATION,
        b'=' | b',' | b';' | b'(' | b')' | b'[' | b']' | b'{' | b'}' | b'<' | b'>' | b'"'
        | b'\'' | b'`' | b'|' => DELIMITER,
        0..=b' ' | 0x7f => SPACE,
        0x80.. => WIDE | NOT_HEX,
    }
}
