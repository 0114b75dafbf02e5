//! Addresses of IPv6, with a zone, a prefix or a port, and the addresses that Java prints with a name
//! before them.
//!
//! Invariant: how far ahead is looked is bounded by the longest address.

use crate::atom::count;
use crate::bytes::{
    COLON, DASH, DIGIT, DOT, LETTER, NOT_HEX, SLASH, UNDERSCORE, classes_of, is_alphanumeric,
};

const GROUPS: usize = 8;
const GROUP_DIGITS: usize = 4;
const PORT_DIGITS: usize = 5;
/// Eight groups, or six and an IPv4 address; a zone.
const ADDRESS_BYTES: usize = 46 + 1 + 16;

/// Whether this is an IPv6 address: `fe80::1`, `fe80::1%eth0`, `2001:db8::/32`, `::ffff:10.0.0.7`.
pub(crate) fn is_ipv6(text: &[u8]) -> bool {
    // Most that has colons in it ends here.
    if !text.iter().take(GROUP_DIGITS + 1).any(|b| *b == b':') {
        return false;
    }
    let shortened = text.array_windows().any(|pair| pair == b"::");
    if !shortened && count(text, b':') != GROUPS - 1 {
        return false;
    }
    let suffix = text.iter().position(|b| matches!(b, b'%' | b'/'));
    let (address, suffix) = text.split_at(suffix.unwrap_or(text.len()));
    let is_zone = |zone: &[u8]| {
        !zone.is_empty()
            && zone
                .iter()
                .all(|b| is_alphanumeric(*b) || matches!(b, b'.' | b'-' | b'_'))
    };
    match suffix {
        [] => {}
        [b'%', zone @ ..] if is_zone(zone) => {}
        [b'/', prefix @ ..] if (1..=3).contains(&prefix.len()) && classes_of(prefix) == DIGIT => {}
        _ => return false,
    }
    let others = classes_of(address) & !(DIGIT | COLON | DOT | LETTER);
    if others != 0 || address.len() > ADDRESS_BYTES || !address.iter().any(u8::is_ascii_digit) {
        return false;
    }
    let mut groups = 0;
    let mut gaps = 0;
    for (n, group) in address.split(|b| *b == b':').enumerate() {
        let is_hex = group.len() <= GROUP_DIGITS && group.iter().all(u8::is_ascii_hexdigit);
        let is_ipv4 = group.contains(&b'.') && classes_of(group) == DIGIT | DOT;
        if !(is_hex || is_ipv4 && n > 0) {
            return false;
        }
        groups += 1;
        gaps += usize::from(group.is_empty());
    }
    // A single colon at an end is punctuation.
    let stray = |end: &[u8], both: &[u8]| end == b":" && both != b"::";
    if address.len() < 2
        || stray(&address[..1], &address[..2])
        || stray(&address[address.len() - 1..], &address[address.len() - 2..])
    {
        return false;
    }
    groups == GROUPS || shortened && gaps <= 3 && groups <= GROUPS + 1
}

/// Where `[2001:db8::1]:443` ends, whose bracket opens at `open`; without a port, the bracket is none of
/// the address.
pub(crate) fn bracketed(line: &[u8], open: usize) -> Option<usize> {
    let content = &line[open + 1..line.len().min(open + 2 + ADDRESS_BYTES)];
    let length = content.iter().position(|b| *b == b']')?;
    let port = open + 1 + length + 2;
    let digits = line.get(port..)?.iter().take(PORT_DIGITS + 1);
    let digits = digits.take_while(|b| b.is_ascii_digit()).count();
    let ends = line.get(port + digits).is_none_or(|b| !is_alphanumeric(*b));
    let is_port = line[port - 1] == b':' && (1..=PORT_DIGITS).contains(&digits) && ends;
    (is_port && is_ipv6(&content[..length])).then_some(port + digits)
}

/// `master-1/10.0.0.7:9000`: a host, said twice.
pub(crate) fn is_host_with_address(token: &[u8]) -> bool {
    let Some(slash) = token.iter().position(|b| *b == b'/') else {
        return false;
    };
    let (host, address) = (&token[..slash], &token[slash + 1..]);
    let is_name = classes_of(host) & !(LETTER | NOT_HEX | DIGIT | DOT | DASH | UNDERSCORE) == 0;
    let is_numeric = classes_of(address) & !(DIGIT | DOT | COLON) == 0;
    let dots = count(address, b'.');
    !host.is_empty() && is_name && is_numeric && dots == 3 && classes_of(host) & SLASH == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_ipv6() {
        for address in [
            "::1",
            "fe80::1%eth0",
            "2001:db8::/32",
            "::ffff:10.0.0.7",
            "fe80::",
            "1:2:3:4:5:6:7:8",
        ] {
            assert!(is_ipv6(address.as_bytes()), "{address}");
        }
        for other in [
            "12:30:45",
            "::",
            "std::a1x",
            "a::b",
            "1:2",
            "12345::1",
            "1::2%",
            "00:11:22:33:44:55",
        ] {
            assert!(!is_ipv6(other.as_bytes()), "{other}");
        }
    }

    #[test]
    fn a_bracket_belongs_to_an_address_with_a_port() {
        assert_eq!(bracketed(b"[::1]:80,", 0), Some(8));
        for other in ["[::1]", "[::1]:", "[10]:80", "[::1]:http", "[::1"] {
            assert_eq!(bracketed(other.as_bytes(), 0), None, "{other}");
        }
    }
}
