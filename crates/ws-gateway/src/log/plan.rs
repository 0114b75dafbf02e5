//! Where to begin reading a topic, so that the log is the same as if it had been read from the start.

/// Per partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// What lies before is only read to know duplicates by it.
    pub keep_from: i64,
    pub read_from: i64,
}

impl Plan {
    /// For offsets `low..high`: the newest `keep`, and as many before them as duplicates are known for.
    pub fn of(low: i64, high: i64, keep: usize) -> Self {
        let keep = i64::try_from(keep).unwrap_or(i64::MAX);
        let keep_from = high.saturating_sub(keep).max(low);
        Self {
            keep_from,
            read_from: keep_from.saturating_sub(keep).max(low),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_keeps_and_a_window_before() {
        for (low, high, keep_from, read_from) in [
            (0, 0, 0, 0),
            (0, 60, 0, 0),
            (0, 150, 50, 0),
            (0, 350, 250, 150),
            (200, 350, 250, 200),
            (300, 350, 300, 300),
        ] {
            assert_eq!(
                Plan::of(low, high, 100),
                Plan {
                    keep_from,
                    read_from
                },
                "{low}..{high}"
            );
        }
    }
}
