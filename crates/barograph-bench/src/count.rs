//! Numbers of records on the command line: `500k`, `2M`.

/// A positive number, with `k` or `M` behind it or without.
pub(super) fn parse(text: &str) -> Result<u64, String> {
    let (digits, unit) = match text.as_bytes().last() {
        Some(b'k' | b'K') => (&text[..text.len() - 1], 1_000),
        Some(b'm' | b'M') => (&text[..text.len() - 1], 1_000_000),
        _ => (text, 1),
    };
    let number = digits.parse::<u64>().ok().filter(|number| *number > 0);
    number
        .and_then(|number| number.checked_mul(unit))
        .ok_or_else(|| "expected a number such as 50000, 500k or 2M".to_owned())
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn thousands_and_millions_are_read() {
        for (text, number) in [("7", 7), ("500k", 500_000), ("2M", 2_000_000)] {
            assert_eq!(parse(text), Ok(number), "{text}");
        }
        for text in ["", "M", "0", "-1", "1.5M", "99999999999999999999M"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
