//! What a token is that is more than a plain word: digits, dots, slashes, colons in it.
//!
//! Invariant: the answer depends on the token's bytes alone. A split is at a byte inside the token, so
//! that taking tokens apart comes to an end.

use memchr::{memchr, memrchr};

use crate::{
    address::is_host_with_address,
    bytes::{
        AT, COLON, DASH, DIGIT, DOT, LETTER, LOWER, NOT_HEX, PUNCTUATION, SLASH, UNDERSCORE, UPPER,
        WIDE, classes_of, is_letter,
    },
    encoded::{change_of_script, is_encoded, word_behind_digits},
    token::Kind,
    vocabulary::{ends_fault, is_domain, is_package_root, is_source, is_unit},
};

/// Hexadecimal digits without a letter beyond `f` are a number from this length on.
const HEX_BYTES: usize = 6;
/// Digits that end a word, as in `ssh2`: so few may be part of its name.
const NAME_DIGITS: usize = 2;
const PORT_DIGITS: usize = 5;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Atom {
    Word,
    /// Always shown as a parameter.
    Parameter(Kind),
    /// A parameter that is shown as it is as long as it is always the same.
    Value(Kind),
    /// Two tokens, with marks between them from `before` to `after`, or none.
    Split {
        before: usize,
        after: usize,
    },
}

/// `token`: not empty, without white space and delimiters; it neither begins nor ends with
/// punctuation (but for the beginning of a path, and a sign). `classes`: of its bytes.
pub(crate) fn classify(token: &[u8], classes: u16) -> Atom {
    let slashes = SLASH | PUNCTUATION;
    if classes & slashes != 0
        && let Some(kind) = place(token)
    {
        return Atom::Parameter(kind);
    }
    if classes & WIDE != 0
        && let Some(at) = change_of_script(token)
    {
        return cut(at);
    }
    if classes & DIGIT == 0 {
        without_digits(token, classes)
    } else {
        with_digits(token, classes)
    }
}

pub(crate) fn begins_path(token: &[u8]) -> bool {
    token.len() > 1
        && [&b"/"[..], b"./", b"../", b"~/"]
            .iter()
            .any(|root| token.starts_with(root))
}

/// The name of a constant: `SCREEN_ON`.
pub(crate) fn is_symbol(word: &[u8]) -> bool {
    word.len() >= 3 && classes_of(word) & !(UPPER | UNDERSCORE | DIGIT | NOT_HEX) == 0
}

/// A path, a URL, or an address behind a slash as Java prints it.
fn place(token: &[u8]) -> Option<Kind> {
    if begins_path(token) {
        let is_address = classes_of(token) & !(SLASH | DIGIT | DOT | COLON) == 0;
        return Some(if is_address {
            Kind::Address
        } else {
            Kind::Path
        });
    }
    if is_host_with_address(token) {
        return Some(Kind::Address);
    }
    // C:\Windows
    if is_letter(token[0]) && token[1..].starts_with(b":\\") {
        return Some(Kind::Path);
    }
    let scheme = memchr(b':', token).filter(|colon| token[*colon..].starts_with(b"://"))?;
    let is_scheme = scheme > 0 && classes_of(&token[..scheme]) & !(LETTER | NOT_HEX | DIGIT) == 0;
    is_scheme.then_some(Kind::Url)
}

fn without_digits(token: &[u8], classes: u16) -> Atom {
    if classes & AT != 0 {
        return email(token).unwrap_or_else(|| account(token));
    }
    if classes & COLON != 0 && doubled(token, b':').is_none() {
        return split(token, b':');
    }
    // src/main/app
    if classes & SLASH != 0 && count(token, b'/') >= 2 && doubled(token, b'/').is_none() {
        return Atom::Value(Kind::Path);
    }
    if classes & DOT == 0 {
        return Atom::Word;
    }
    if let Some(dots) = doubled(token, b'.') {
        return split_at(token, dots);
    }
    dotted(token, classes)
}

/// A name with dots in it, and no digits.
fn dotted(token: &[u8], classes: u16) -> Atom {
    if classes & PUNCTUATION != 0 && memchr(b'$', token).is_none() {
        return Atom::Word;
    }
    let (first, last) = ends(token);
    let dots = count(token, b'.');
    let lower = classes & (UPPER | SLASH | UNDERSCORE) == 0;
    let is_package = is_package_root(first) && dots >= 2;
    if lower && !is_package && (is_domain(last) || dots >= 2 && last.len() == 2) {
        return Atom::Parameter(Kind::Address);
    }
    // The class of an error, and a constant, say what happened: they are no parameters.
    if dots < 2 || is_symbol(last) || ends_fault(last) {
        return Atom::Word;
    }
    Atom::Value(Kind::Name)
}

fn with_digits(token: &[u8], classes: u16) -> Atom {
    if classes & COLON != 0 {
        return with_colon(token, classes);
    }
    if classes & DASH != 0 && is_uuid(token) {
        return Atom::Parameter(Kind::Uuid);
    }
    if memchr(b'#', token).is_some() {
        return split(token, b'#');
    }
    if token[0].is_ascii_digit() {
        let word = if classes & DOT == 0 && !is_hex(token, classes) {
            behind_digits(token)
        } else {
            None
        };
        return word.unwrap_or_else(|| Atom::Parameter(number(token, classes)));
    }
    if matches!(token, [b'-' | b'+', b'0'..=b'9', ..]) {
        return Atom::Parameter(Kind::Number);
    }
    if classes & AT != 0 {
        return email(token).unwrap_or_else(|| split(token, b'@'));
    }
    if classes & SLASH != 0 {
        return if count(token, b'/') == 1 {
            split(token, b'/')
        } else {
            Atom::Parameter(Kind::Path)
        };
    }
    if classes & DOT != 0 {
        return dotted_with_digits(token, classes);
    }
    letters_and_digits(token, classes)
}

/// Begins with a digit.
fn number(token: &[u8], classes: u16) -> Kind {
    if classes & !(DIGIT | DOT) == 0 {
        let is_address = count(token, b'.') == 3;
        return if is_address {
            Kind::Address
        } else {
            Kind::Number
        };
    }
    if token.starts_with(b"0x") || is_hex(token, classes) {
        return Kind::Hex;
    }
    let is_amount = |byte: &&u8| byte.is_ascii_digit() || **byte == b'.';
    let unit = &token[token.iter().take_while(is_amount).count()..];
    if is_unit(unit) || unit == b"%" {
        return Kind::Quantity;
    }
    Kind::Identifier
}

fn with_colon(token: &[u8], classes: u16) -> Atom {
    let hexadecimal = classes & !(DIGIT | COLON | DOT | LOWER | UPPER) == 0;
    if hexadecimal && (token[0].is_ascii_digit() || count(token, b':') >= 2) {
        let numeric = classes & !(DIGIT | COLON | DOT) == 0;
        let is_time = numeric && count(token, b'.') <= 1 && count(token, b':') <= 2;
        return Atom::Parameter(if is_time { Kind::Time } else { Kind::Address });
    }
    let port = token
        .iter()
        .rev()
        .take(PORT_DIGITS + 1)
        .position(|b| *b == b':');
    if let Some(digits) = port
        && is_port(&token[token.len() - digits..])
        && is_host(&token[..token.len() - digits - 1])
    {
        return Atom::Parameter(Kind::Address);
    }
    // 2026-11-21T17:00:00+01:00
    if matches!(
        token,
        [b'0'..=b'9', b'0'..=b'9', b'0'..=b'9', b'0'..=b'9', b'-', ..]
    ) {
        return Atom::Parameter(Kind::Time);
    }
    // 10.0.0.7:80:refused
    let is_address = |byte: &u8| byte.is_ascii_digit() || matches!(byte, b':' | b'.');
    let numbers = token.iter().take_while(|byte| is_address(byte)).count();
    if numbers > 0 && token[numbers - 1] == b':' {
        return Atom::Split {
            before: numbers - 1,
            after: numbers,
        };
    }
    split(token, b':')
}

fn is_port(digits: &[u8]) -> bool {
    (1..=PORT_DIGITS).contains(&digits.len()) && classes_of(digits) == DIGIT
}

/// What may stand before a port: names with dots, but no file of source code.
fn is_host(name: &[u8]) -> bool {
    let classes = classes_of(name);
    if classes & (COLON | SLASH) != 0 {
        return false;
    }
    let (_, last) = ends(name);
    let is_country = last.len() == 2 && classes_of(last) & !(LETTER | NOT_HEX) == 0;
    match count(name, b'.') {
        0 => name == b"localhost",
        1 => is_domain(last) || is_country && classes & UPPER == 0 && !is_source(last),
        _ => true,
    }
}

fn dotted_with_digits(token: &[u8], classes: u16) -> Atom {
    if let Some(dots) = doubled(token, b'.') {
        return split_at(token, dots);
    }
    let (first, last) = ends(token);
    // core.2275
    let is_named = first.len() >= 2 && classes_of(first) & DIGIT == 0;
    if is_named && first.len() + 1 + last.len() == token.len() && last[0].is_ascii_digit() {
        return split(token, b'.');
    }
    if is_package_root(first) {
        return Atom::Value(Kind::Name);
    }
    if let Some(word) = behind_digits(token) {
        return word;
    }
    let is_host = classes & UPPER == 0 && (is_domain(last) || last.len() == 2);
    Atom::Parameter(if is_host {
        Kind::Address
    } else {
        Kind::Identifier
    })
}

/// Letters with digits among them, at most joined by `_` and `-`; begins with a letter or a mark.
fn letters_and_digits(token: &[u8], classes: u16) -> Atom {
    if is_hex(token, classes) {
        return Atom::Parameter(Kind::Hex);
    }
    if let Some(word) = behind_digits(token) {
        return word;
    }
    let before = token.iter().take_while(|b| !b.is_ascii_digit()).count();
    let digits = token[before..]
        .iter()
        .take_while(|b| b.is_ascii_digit())
        .count();
    let rest = &token[before + digits..];
    if digits > NAME_DIGITS {
        return Atom::Parameter(Kind::Identifier);
    }
    if rest.is_empty() {
        return Atom::Value(Kind::Identifier);
    }
    if classes_of(rest) & DIGIT == 0 && is_letter(token[0]) {
        return Atom::Word;
    }
    Atom::Parameter(Kind::Identifier)
}

/// What is behind the digits tells what happened to what they number.
fn behind_digits(token: &[u8]) -> Option<Atom> {
    let word = word_behind_digits(token)?;
    (!is_encoded(token)).then(|| cut(word))
}

/// Digits and letters up to `f`; longer ones also with dashes between.
fn is_hex(token: &[u8], classes: u16) -> bool {
    let others = NOT_HEX | WIDE | UNDERSCORE | PUNCTUATION | DOT;
    classes & others == 0
        && (classes & DASH == 0 && token.len() >= HEX_BYTES || token.len() >= 2 * HEX_BYTES)
}

/// Hexadecimal digits in groups of 8, 4, 4, 4 and 12.
fn is_uuid(token: &[u8]) -> bool {
    token.len() == 36
        && token.iter().enumerate().all(|(n, byte)| match n {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

/// `alice@db`: a name, and where it is one.
fn account(token: &[u8]) -> Atom {
    let is_inside = |at: usize| at > 0 && at + 1 < token.len();
    match memchr(b'@', token) {
        Some(at) if is_inside(at) => Atom::Value(Kind::Email),
        _ => Atom::Word,
    }
}

fn email(token: &[u8]) -> Option<Atom> {
    let at = memchr(b'@', token)?;
    (at > 0 && memchr(b'.', &token[at..]).is_some()).then_some(Atom::Parameter(Kind::Email))
}

/// What is before the first dot, and behind the last.
fn ends(token: &[u8]) -> (&[u8], &[u8]) {
    let first = memchr(b'.', token).unwrap_or(token.len());
    let last = memrchr(b'.', token).map_or(0, |dot| dot + 1);
    (&token[..first], &token[last..])
}

/// Tokens are short: a loop is faster than a call that is made for long texts.
pub(crate) fn count(token: &[u8], byte: u8) -> usize {
    token.iter().map(|b| usize::from(*b == byte)).sum()
}

/// Where this byte first stands twice.
fn doubled(token: &[u8], byte: u8) -> Option<usize> {
    let mut pairs = token.array_windows();
    pairs.position(|pair| *pair == [byte, byte])
}

/// Two tokens with nothing between.
fn cut(at: usize) -> Atom {
    Atom::Split {
        before: at,
        after: at,
    }
}

/// Splits at this mark where it stands first, and at what follows of it.
fn split(token: &[u8], mark: u8) -> Atom {
    memchr(mark, token).map_or(Atom::Word, |before| split_at(token, before))
}

fn split_at(token: &[u8], before: usize) -> Atom {
    let mark = token[before];
    let run = token[before..].iter().take_while(|b| **b == mark).count();
    Atom::Split {
        before,
        after: before + run,
    }
}
