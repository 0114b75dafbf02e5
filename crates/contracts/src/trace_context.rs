//! W3C trace context (`traceparent`, version 00).

use std::fmt;

/// Trace and span of whoever sent a message. Neither is zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceParent {
    pub trace_id: u128,
    pub span_id: u64,
    pub sampled: bool,
}

impl TraceParent {
    /// `None` for anything that is not a valid `traceparent`; the standard says to ignore it then.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        let later_version = bytes.len() > 55 && bytes[55] == b'-' && !text.starts_with("00");
        if (bytes.len() != 55 && !later_version) || !text.is_ascii() || text.starts_with("ff") {
            return None;
        }
        let dashes = [2, 35, 52].iter().all(|&at| bytes[at] == b'-');
        let hexadecimal = |range: std::ops::Range<usize>| {
            let field = &text[range];
            field
                .bytes()
                .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
                .then_some(field)
        };
        if !dashes {
            return None;
        }
        hexadecimal(0..2)?;
        let trace_id = u128::from_str_radix(hexadecimal(3..35)?, 16).ok()?;
        let span_id = u64::from_str_radix(hexadecimal(36..52)?, 16).ok()?;
        let flags = u8::from_str_radix(hexadecimal(53..55)?, 16).ok()?;
        (trace_id != 0 && span_id != 0).then_some(Self {
            trace_id,
            span_id,
            sampled: flags & 1 == 1,
        })
    }
}

impl fmt::Display for TraceParent {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "00-{:032x}-{:016x}-{:02x}",
            self.trace_id,
            self.span_id,
            u8::from(self.sampled)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_standard_allows_and_nothing_else() {
        let valid = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert_eq!(TraceParent::parse(valid).unwrap().to_string(), valid);
        assert!(
            TraceParent::parse("01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more")
                .is_some()
        );
        for wrong in [
            "",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "00-4bf92f3577b34da6a3ce929d0e0e473é-00f067aa0ba902b7-01",
        ] {
            assert_eq!(TraceParent::parse(wrong), None, "{wrong:?}");
        }
    }
}
