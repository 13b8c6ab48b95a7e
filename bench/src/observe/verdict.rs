//! One variant beside another, round by round, and whether a run can tell what was asked of it.
//!
//! In each round both were measured within seconds of each other, so the ratio of the two knows nothing of what the machine did
//! between rounds. What is left of that is the spread of the ratios.

use serde::Serialize;

use crate::measurement::{Measurement, median};
use crate::target::Target;

/// How often chance alone may bring about what counts as shown: it has six rounds on the same side of the bound once in 32
/// times, so fewer show nothing.
const CHANCE: f64 = 0.05;

/// The throughput of one variant as a part of that of another.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// Which, in words.
    pub what: String,
    /// What the part must be at least.
    pub bound: f64,
    /// Of each round.
    pub ratios: Vec<f64>,
}

impl Comparison {
    /// Of two variants that were measured in the same rounds.
    pub fn new(what: String, bound: f64, of: &[Measurement], to: &[Measurement]) -> Comparison {
        let pairs = of.iter().zip(to).filter(|(_, to)| to.requests_per_second > 0.0);
        let ratios = pairs.map(|(of, to)| of.requests_per_second / to.requests_per_second).collect();
        Comparison { what, bound, ratios }
    }

    /// The middle of them; `None` without rounds.
    pub fn median(&self) -> Option<f64> {
        (!self.ratios.is_empty()).then(|| median(self.ratios.clone()))
    }

    /// The least and the most of them.
    pub fn range(&self) -> Option<(f64, f64)> {
        let least = self.ratios.iter().copied().reduce(f64::min)?;
        Some((least, self.ratios.iter().copied().fold(least, f64::max)))
    }

    /// Whether the bound is met; `None` where the rounds cannot tell.
    pub fn is_met(&self) -> Option<bool> {
        let above = self.ratios.iter().filter(|&&ratio| ratio >= self.bound).count();
        let rounds = self.ratios.len();
        if chance(rounds, above.max(rounds - above)) > CHANCE {
            return None;
        }
        let is_above = above > rounds - above;
        // Nothing becomes faster by being watched. A median so far above 1 is an error of the run that is as large as what is
        // looked for, and one as large may have gone the other way.
        let is_absurd = self.median().is_some_and(|median| median - 1.0 > 1.0 - self.bound);
        (!is_absurd).then_some(is_above)
    }

    /// The same as something that is to be reached.
    pub fn target(&self) -> Target {
        let target = Target::at_least(&self.what, self.bound, self.median());
        Target { is_met: self.is_met(), ..target }
    }
}

/// How likely it is that, of so many rounds, so many or more fall on the same side of what is the true median.
fn chance(rounds: usize, same: usize) -> f64 {
    // One binomial coefficient after another.
    let mut ways = 1.0;
    let mut sum = 0.0;
    for others in 0..=rounds - same {
        sum += ways;
        ways *= (rounds - others) as f64 / (others + 1) as f64;
    }
    (2.0 * sum / 2_f64.powi(i32::try_from(rounds).unwrap_or(i32::MAX))).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measurement::tests::measurement;

    fn comparison(ratios: &[f64]) -> Comparison {
        Comparison { what: "a / b".into(), bound: 0.95, ratios: ratios.to_vec() }
    }

    #[test]
    fn rounds_are_compared_one_by_one() {
        let speeds = |speeds: [f64; 3]| speeds.map(|speed| measurement(speed, 1.0));
        // The machine is twice as fast in the second round, and stands still in the third.
        let found =
            Comparison::new("a / b".into(), 0.9, &speeds([90.0, 200.0, 5.0]), &speeds([100.0, 200.0, 0.0]));
        assert_eq!((&found.ratios[..], found.median()), (&[0.9, 1.0][..], Some(0.95)));
        assert_eq!(found.range(), Some((0.9, 1.0)));
        let none = comparison(&[]);
        assert_eq!((none.median(), none.range(), none.is_met()), (None, None, None));
    }

    #[test]
    fn a_bound_is_met_or_missed_only_where_the_rounds_agree() {
        assert_eq!(comparison(&[0.97, 0.99, 0.96, 0.98, 1.01, 0.97]).is_met(), Some(true));
        assert_eq!(comparison(&[0.90, 0.94, 0.93, 0.92, 0.94, 0.91]).is_met(), Some(false));
        assert_eq!(comparison(&[0.97; 5]).is_met(), None, "too few");
        assert_eq!(comparison(&[0.97, 0.99, 0.96, 0.98, 1.01, 0.94]).is_met(), None, "one says otherwise");
        let mut nine = vec![0.97; 8];
        nine.push(0.80);
        assert_eq!(comparison(&nine).is_met(), Some(true), "one of nine may");
        nine[0] = 0.80;
        assert_eq!(comparison(&nine).is_met(), None, "two may not");
    }

    #[test]
    fn a_run_that_finds_the_impossible_cannot_tell() {
        assert_eq!(comparison(&[1.04; 9]).is_met(), Some(true));
        assert_eq!(comparison(&[1.09; 9]).is_met(), None, "off by more than what is looked for");
        assert_eq!(comparison(&[1.09; 9]).target().found, Some(1.09));
    }

    #[test]
    fn chance_is_that_of_a_coin() {
        assert_eq!(chance(6, 6), 2.0 / 64.0);
        assert_eq!(chance(9, 8), 20.0 / 512.0);
        assert_eq!(chance(9, 7), 92.0 / 512.0);
        assert_eq!(chance(6, 3), 1.0);
    }
}
