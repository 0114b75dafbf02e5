//! What several runs came to: the median, and how far they lie apart.

use serde::Serialize;

/// Of one figure over all runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub(super) struct Spread {
    pub(super) median: f64,
    pub(super) min: f64,
    pub(super) max: f64,
}

impl Spread {
    /// All zero without values. An even number of them has the mean of the middle two.
    pub(super) fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut sorted: Vec<f64> = values.into_iter().collect();
        sorted.sort_unstable_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        let (Some(min), Some(max), Some(upper)) =
            (sorted.first(), sorted.last(), sorted.get(middle))
        else {
            return Self::default();
        };
        let median = if sorted.len() % 2 == 1 {
            *upper
        } else {
            f64::midpoint(sorted[middle - 1], *upper)
        };
        Self {
            median,
            min: *min,
            max: *max,
        }
    }

    /// `median (min–max)`, each as `format` writes it; a single run has no spread.
    pub(super) fn text(&self, format: impl Fn(f64) -> String) -> String {
        let median = format(self.median);
        if self.min == self.max {
            return median;
        }
        format!("{median} ({}–{})", format(self.min), format(self.max))
    }
}

/// Smallest value that at least the share `q` of the sorted values does not exceed (nearest rank).
pub(super) fn quantile(sorted: &[f64], q: f64) -> Option<f64> {
    let rank = (q * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.max(1) - 1).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_lies_in_the_middle() {
        let spread = |values: &[f64]| Spread::of(values.iter().copied()).median;
        assert_eq!(spread(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(spread(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        assert_eq!(spread(&[]), 0.0);
    }

    #[test]
    fn a_quantile_is_a_value_that_was_measured() {
        let values: Vec<f64> = (1..=100).map(f64::from).collect();
        assert_eq!(quantile(&values, 0.99), Some(99.0));
        assert_eq!(quantile(&values, 0.999), Some(100.0));
        assert_eq!(quantile(&values[..1], 0.5), Some(1.0));
        assert_eq!(quantile(&[], 0.5), None);
    }
}
