//! Event times as text, quickly.
//! Invariant: the bytes are those of `contracts::Timestamp`'s `Display`.

use std::io::Write as _;

use contracts::Timestamp;

const MINUTE_MS: i64 = 60_000;

/// Keeps the text of the current minute, so that most records only patch seconds and milliseconds.
#[derive(Debug, Clone)]
pub(crate) struct TimeText {
    minute: Option<i64>,
    text: Vec<u8>,
}

impl TimeText {
    pub(crate) fn new() -> Self {
        Self {
            minute: None,
            text: Vec::with_capacity(32),
        }
    }

    pub(crate) fn write(&mut self, out: &mut Vec<u8>, at: Timestamp) {
        let minute = at.as_millis().div_euclid(MINUTE_MS);
        if self.minute != Some(minute) {
            self.minute = Some(minute);
            self.text.clear();
            // Writing into a `Vec` cannot fail.
            let _ = write!(self.text, "{}", Timestamp::from_millis(minute * MINUTE_MS));
        }
        // `2026-11-21T07:00:00.000Z`: seconds at 17, milliseconds at 20.
        let start = out.len();
        out.extend_from_slice(&self.text);
        let Some(text) = out
            .get_mut(start..start + 24)
            .filter(|text| text[23] == b'Z')
        else {
            out.truncate(start);
            let _ = write!(out, "{at}");
            return;
        };
        let within = at.as_millis().rem_euclid(MINUTE_MS) as u32;
        let (second, milli) = (within / 1000, within % 1000);
        for (place, digit) in [
            (17, second / 10),
            (18, second % 10),
            (20, milli / 100),
            (21, milli / 10 % 10),
            (22, milli % 10),
        ] {
            text[place] = b'0' + digit as u8;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn the_text_is_that_of_a_timestamp(times in proptest::collection::vec(-400_000_000_000_000_i64..400_000_000_000_000, 1..8), step in 0..130_000_i64) {
            let mut text = TimeText::new();
            for at in times.iter().flat_map(|&at| [at, at + step]).map(Timestamp::from_millis) {
                let mut out = Vec::new();
                text.write(&mut out, at);
                proptest::prop_assert_eq!(String::from_utf8(out).unwrap(), at.to_string());
            }
        }
    }
}
