//! Whether a template comes more or less often than before, or the difference is chance.
//!
//! The score is the G statistic of a likelihood-ratio test (T. Dunning, "Accurate Methods for the
//! Statistics of Surprise and Coincidence", Computational Linguistics 19, 1993), for two Poisson
//! counts over periods of different lengths: unlike a ratio it knows that 1 → 3 is nothing and
//! 1,000 → 3,000 is much, and unlike χ² it holds for small counts.

/// Lines in two periods, and how long these are.
#[derive(Debug, Clone, Copy)]
pub(super) struct Change {
    pub(super) before: u64,
    pub(super) after: u64,
    /// In the same unit, above zero.
    pub(super) length_before: f64,
    pub(super) length_after: f64,
}

/// Chance alone exceeds it once in 10,000 templates: χ² with one degree of freedom.
const SURPRISING: f64 = 15.14;
/// What grows or shrinks by less is no news, however certain it is.
const RATIO: f64 = 1.5;

impl Change {
    /// 0 for the same rate in both periods; grows with the difference and with how much it rests on.
    pub(super) fn surprise(self) -> f64 {
        let share = self.length_after / (self.length_before + self.length_after);
        let all = (self.before + self.after) as f64;
        let part = |count: u64, expected: f64| match count {
            0 => 0.0,
            count => count as f64 * (count as f64 / expected).ln(),
        };
        2.0 * (part(self.after, all * share) + part(self.before, all * (1.0 - share))).max(0.0)
    }

    /// How many times the rate before is the rate after. Two lines that nobody saw, spread evenly
    /// over both periods, keep it finite, and near 1 where there is little to go by.
    pub(super) fn ratio(self) -> f64 {
        let both = self.length_before + self.length_after;
        let rate = |count: u64, length: f64| (count as f64 + 2.0 * length / both) / length;
        rate(self.after, self.length_after) / rate(self.before, self.length_before)
    }

    /// Chance does not explain it.
    pub(super) fn is_surprising(self) -> bool {
        self.surprise() >= SURPRISING
    }

    pub(super) fn has_grown(self) -> bool {
        self.ratio() >= RATIO && self.is_surprising()
    }

    pub(super) fn has_shrunk(self) -> bool {
        self.ratio() <= 1.0 / RATIO && self.is_surprising()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(before: u64, after: u64) -> Change {
        Change {
            before,
            after,
            length_before: 60.0,
            length_after: 60.0,
        }
    }

    #[test]
    fn the_score_is_that_of_the_formula() {
        // 2 (30 ln(30/20) + 10 ln(10/20))
        assert!((change(10, 30).surprise() - 10.465).abs() < 0.001);
        assert_eq!(change(20, 20).surprise(), 0.0);
        assert_eq!(change(0, 0).surprise(), 0.0);
        // All in one of two periods of the same length: 2 n ln 2.
        assert!((change(0, 100).surprise() - 200.0 * 2_f64.ln()).abs() < 1e-9);
    }

    #[test]
    fn few_lines_prove_nothing() {
        for few in [change(1, 3), change(3, 1), change(0, 5), change(5, 0)] {
            assert!(!few.has_grown() && !few.has_shrunk(), "{few:?}");
        }
        assert!((change(1, 3).ratio() - 2.0).abs() < 1e-9);
        assert!(change(100, 300).has_grown());
        assert!(change(300, 100).has_shrunk());
        assert!(change(0, 40).has_grown());
        // Certain, and of no importance.
        assert!(change(1_000_000, 1_100_000).surprise() > SURPRISING);
        assert!(!change(1_000_000, 1_100_000).has_grown());
    }

    #[test]
    fn periods_of_different_lengths_are_compared_by_rate() {
        let slow = Change {
            length_before: 600.0,
            ..change(1000, 100)
        };
        assert!(slow.surprise() < 1e-9);
        assert!((slow.ratio() - 1.0).abs() < 1e-9);
        let grown = Change { after: 300, ..slow };
        assert!(grown.has_grown());
        assert!((grown.ratio() - 3.0).abs() < 0.02, "{}", grown.ratio());
    }
}
