//! Tail probabilities of counts.

use statrs::function::{beta::beta_reg, gamma::ln_gamma};

/// P(X ≥ `count`) for a negative binomial count of the given mean and dispersion
/// (variance = mean + dispersion · mean²). A dispersion of zero is a Poisson count.
///
/// Source: the gamma–Poisson mixture; its tail is a regularised incomplete beta function
/// (Abramowitz and Stegun 26.5.26).
pub(crate) fn negative_binomial_upper(count: u64, mean: f64, dispersion: f64) -> f64 {
    if count == 0 {
        return 1.0;
    }
    if mean <= 0.0 {
        return 0.0;
    }
    let shape = 1.0 / dispersion.max(1e-6);
    beta_reg(count as f64, shape, mean / (mean + shape))
}

/// P(X ≤ `count`), likewise.
pub(crate) fn negative_binomial_lower(count: u64, mean: f64, dispersion: f64) -> f64 {
    if mean <= 0.0 {
        return 1.0;
    }
    let shape = 1.0 / dispersion.max(1e-6);
    beta_reg(shape, count as f64 + 1.0, shape / (mean + shape))
}

/// Smallest count whose upper tail is below `alpha`.
pub(crate) fn negative_binomial_critical(mean: f64, dispersion: f64, alpha: f64) -> u64 {
    let enough = |count: u64| negative_binomial_upper(count, mean, dispersion) < alpha;
    let mut high = (mean.max(0.0) as u64).saturating_mul(2) + 8;
    while !enough(high) && high < 1 << 40 {
        high *= 2;
    }
    smallest(0, high, enough)
}

/// P(K ≥ `k`) of `n` draws whose probability is itself Beta(`a`, `b`) distributed.
///
/// Source: the beta-binomial distribution; summed from `k` upwards by the ratio of neighbouring
/// terms. Above 2,000 draws both counts are scaled down, which only overstates the probability.
pub(crate) fn beta_binomial_upper(k: u64, n: u64, a: f64, b: f64) -> f64 {
    let (k, n) = scaled_down(k, n);
    if k == 0 {
        return 1.0;
    }
    if k > n {
        return 0.0;
    }
    let (kf, nf) = (k as f64, n as f64);
    let mut term = beta_binomial_term(k, n, a, b);
    let mut sum = term;
    let mut at = kf;
    while at < nf && term > sum * 1e-12 {
        term *= (nf - at) * (at + a) / ((at + 1.0) * (nf - at - 1.0 + b));
        sum += term;
        at += 1.0;
    }
    sum.min(1.0)
}

/// P(K = `k`), of counts scaled down likewise: less than [`beta_binomial_upper`].
pub(crate) fn beta_binomial_term(k: u64, n: u64, a: f64, b: f64) -> f64 {
    let (k, n) = scaled_down(k, n);
    let ln_beta = |x: f64, y: f64| ln_gamma(x) + ln_gamma(y) - ln_gamma(x + y);
    let (kf, nf) = (k as f64, n as f64);
    let ln_choose = ln_gamma(nf + 1.0) - ln_gamma(kf + 1.0) - ln_gamma(nf - kf + 1.0);
    (ln_choose + ln_beta(kf + a, nf - kf + b) - ln_beta(a, b)).exp()
}

fn scaled_down(k: u64, n: u64) -> (u64, u64) {
    const MOST: u64 = 2000;
    if n > MOST {
        // Rounded down: never claims more than was seen.
        ((k as f64 * MOST as f64 / n as f64) as u64, MOST)
    } else {
        (k, n)
    }
}

/// Smallest `k` of `n` whose upper tail is below `alpha`; `n + 1` if there is none.
pub(crate) fn beta_binomial_critical(n: u64, a: f64, b: f64, alpha: f64) -> u64 {
    smallest(0, n + 1, |k| beta_binomial_upper(k, n, a, b) < alpha)
}

/// First value from `low` on for which a monotonous `holds` is true; `high` is known to hold.
fn smallest(mut low: u64, mut high: u64, holds: impl Fn(u64) -> bool) -> u64 {
    while low < high {
        let middle = low + (high - low) / 2;
        if holds(middle) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    low
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn agrees_with_values_worked_out_elsewhere() {
        // SciPy 1.14: nbinom.sf(k-1, r, r/(m+r)), nbinom.cdf(k, …), betabinom.sf(k-1, n, a, b).
        let close =
            |ours: f64, known: f64| assert!((ours / known - 1.0).abs() < 1e-6, "{ours} {known}");
        close(negative_binomial_upper(1, 1.0, 1.0), 0.5);
        close(negative_binomial_lower(0, 3.0, 1.0), 0.25);
        close(beta_binomial_upper(10, 10, 1.0, 19.0), 1.0 / 20_030_010.0);
        close(beta_binomial_upper(1, 1, 2.0, 6.0), 0.25);
    }

    proptest! {
        #[test]
        fn tails_are_probabilities_and_fall(count in 1_u64..10_000, mean in 0.01_f64..5000.0, dispersion in 0.0_f64..1.0) {
            let upper = negative_binomial_upper(count, mean, dispersion);
            prop_assert!((0.0..=1.0).contains(&upper));
            prop_assert!(negative_binomial_upper(count + 1, mean, dispersion) <= upper + 1e-12);
            let both = upper + negative_binomial_lower(count - 1, mean, dispersion);
            prop_assert!((both - 1.0).abs() < 1e-6, "{both}");
        }

        #[test]
        fn the_critical_count_is_the_first_that_is_rare_enough(mean in 0.01_f64..2000.0, dispersion in 0.0_f64..0.5) {
            let critical = negative_binomial_critical(mean, dispersion, 1e-6);
            prop_assert!(negative_binomial_upper(critical, mean, dispersion) < 1e-6);
            prop_assert!(negative_binomial_upper(critical - 1, mean, dispersion) >= 1e-6);
        }

        #[test]
        fn beta_binomial_sums_to_one(n in 1_u64..400, a in 0.1_f64..50.0, b in 0.5_f64..500.0) {
            let at_least_none = beta_binomial_upper(0, n, a, b);
            let at_least_one = beta_binomial_upper(1, n, a, b);
            prop_assert!((0.0..=1.0).contains(&at_least_one));
            prop_assert!(at_least_one <= at_least_none);
        }
    }
}
