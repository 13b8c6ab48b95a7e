//! Pearson's test: are these counts what these shares let one expect, but for chance?

use serde::{Deserialize, Serialize};
use statrs::function::gamma::gamma_ur;

/// Fewest expected of a class; below it the statistic does not follow the distribution it is compared with.
const FEWEST: f64 = 5.0;

/// The outcome.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChiSquared {
    /// The sum of (measured - expected)² / expected.
    pub statistic: f64,
    /// Classes less one.
    pub degrees: usize,
    /// How often chance alone brings so great a statistic or a greater one.
    pub p_value: f64,
    /// Servers that were put together into one class, because too little is expected of each.
    pub pooled: usize,
}

/// Compares counts with shares, which need not add up to 1. `None` when there are not two classes left to compare.
pub fn chi_squared(measured: &[u64], shares: &[f64]) -> Option<ChiSquared> {
    let total = measured.iter().sum::<u64>() as f64;
    let whole: f64 = shares.iter().sum();
    let expected = shares.iter().map(|share| share / whole * total);
    let classes = measured.iter().map(|&count| count as f64).zip(expected);
    let classes: Vec<(f64, f64)> = classes.collect();
    // What cannot be has come: no chance does that.
    let is_impossible = classes.iter().any(|(count, expected)| *count > 0.0 && *expected == 0.0);
    let (classes, pooled) = pool(classes);
    if classes.len() < 2 {
        return None;
    }
    let statistic: f64 = classes.iter().map(|(count, expected)| (count - expected).powi(2) / expected).sum();
    let degrees = classes.len() - 1;
    let p_value = if is_impossible { 0.0 } else { p_value(statistic, degrees) };
    Some(ChiSquared { statistic, degrees, p_value, pooled })
}

/// Puts classes of which too little is expected into one, and, where that is still too little, the next one with them.
/// Returns how many went in.
fn pool(mut classes: Vec<(f64, f64)>) -> (Vec<(f64, f64)>, usize) {
    classes.sort_by(|one, other| one.1.total_cmp(&other.1));
    let mut pooled = classes.iter().take_while(|class| class.1 < FEWEST).count();
    let sum =
        |classes: &[(f64, f64)]| classes.iter().fold((0.0, 0.0), |sum, it| (sum.0 + it.0, sum.1 + it.1));
    if pooled == 0 {
        return (classes, 0);
    }
    while pooled < classes.len() && sum(&classes[..pooled]).1 < FEWEST {
        pooled += 1;
    }
    let one = sum(&classes[..pooled]);
    classes.splice(..pooled, [one]);
    (classes, pooled)
}

/// The upper tail of the chi-squared distribution: the regularised upper incomplete gamma function.
fn p_value(statistic: f64, degrees: usize) -> f64 {
    if statistic > 0.0 { gamma_ur(degrees as f64 / 2.0, statistic / 2.0) } else { 1.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_is_no_chance() {
        assert_eq!(chi_squared(&[50, 4975, 4975], &[0.0, 0.5, 0.5]).unwrap().p_value, 0.0);
        assert!(chi_squared(&[0, 5000, 5000], &[0.0, 0.5, 0.5]).unwrap().p_value > 0.9);
    }

    #[test]
    fn known_quantiles() {
        for (statistic, degrees, p) in [
            (3.841_458_820_694, 1, 0.05),
            (5.991_464_547_108, 2, 0.05),
            (9.210_340_371_976, 2, 0.01),
            (18.307_038_053_275, 10, 0.05),
            (0.0, 3, 1.0),
        ] {
            assert!((p_value(statistic, degrees) - p).abs() < 1e-9, "{statistic} with {degrees}");
        }
    }

    #[test]
    fn a_die_of_the_textbooks() {
        let test = chi_squared(&[5, 8, 9, 8, 10, 20], &[1.0; 6]).unwrap();
        assert!((test.statistic - 13.4).abs() < 1e-9, "{test:?}");
        assert_eq!((test.degrees, test.pooled), (5, 0));
        assert!((test.p_value - 0.019_9).abs() < 1e-4, "{test:?}");
    }

    #[test]
    fn small_classes_are_put_together() {
        let test = chi_squared(&[50, 44, 3, 2, 1], &[0.5, 0.44, 0.03, 0.02, 0.01]).unwrap();
        assert_eq!((test.degrees, test.pooled, test.statistic), (2, 3, 0.0));
        let test = chi_squared(&[60, 39, 1], &[0.59, 0.40, 0.01]).unwrap();
        assert_eq!((test.degrees, test.pooled), (1, 2));
    }

    #[test]
    fn one_class_is_nothing_to_compare() {
        assert_eq!(chi_squared(&[7], &[1.0]), None);
        assert_eq!(chi_squared(&[2, 2], &[0.5, 0.5]), None);
        assert_eq!(chi_squared(&[], &[]), None);
    }
}
