//! The less loaded of two that are drawn by chance. That second look takes the fullest from about `log N / log log N` above
//! the mean to `log log N` (Michael Mitzenmacher, "The Power of Two Choices in Randomized Load Balancing", 2001), without
//! looking at everyone.

use super::loads::Loads;
use crate::ring::RingId;

pub(super) fn choose(loads: &Loads, tried: &[RingId]) -> Option<RingId> {
    let first = loads.draw(tried)?;
    // Another one, if there is any.
    let second = match tried.is_empty() {
        true => loads.draw_other(first),
        false => loads.draw(&[tried, &[first.id]].concat()),
    };
    let chosen = second.filter(|second| second.is_lighter_than(first)).unwrap_or(first);
    Some(chosen.id)
}

#[cfg(test)]
mod tests {
    use crate::balance::{Balance, Policy};
    use crate::ring::{Ring, RingId, Shape, Weight};

    fn of(policy: Policy, weights: &[u32]) -> Balance {
        let mut balance = Balance::new(policy);
        for (id, &weight) in (1..).map(RingId).zip(weights) {
            balance.add(id, Weight::new(weight).unwrap());
            balance.set_serving(&[id], true);
        }
        balance
    }

    fn fullest(policy: Policy, servers: u32, requests: usize) -> usize {
        let ring = Ring::new(Shape::default());
        let mut balance = of(policy, &vec![1; servers as usize]);
        assert!((0..requests).all(|_| balance.take(&ring, 0, &[]).is_some()));
        (1..=servers).map(|id| balance.in_flight(RingId(id))).max().unwrap()
    }

    /// With 100 for each of 100, one choice leaves the fullest about 27 above the mean, two leave it at `log2 ln 100 + O(1)`.
    #[test]
    fn the_second_look_evens_out() {
        let mean = 100;
        assert!(fullest(Policy::TwoChoices, 100, 100 * mean) <= mean + 6);
        assert!(fullest(Policy::Random, 100, 100 * mean) >= mean + 10);
    }

    #[test]
    fn of_two_the_idle_one_is_chosen() {
        let (ring, mut balance) = (Ring::new(Shape::default()), of(Policy::TwoChoices, &[1, 1]));
        let first = balance.take(&ring, 0, &[]).unwrap();
        let second = balance.take(&ring, 0, &[]).unwrap();
        assert_ne!(first, second);
        balance.give_back(first);
        assert_eq!(balance.take(&ring, 0, &[]), Some(first));
    }

    #[test]
    fn those_tried_are_passed_over_until_none_is_left() {
        let ring = Ring::new(Shape::default());
        for weights in [&[1, 1, 1][..], &[1, 100, 3], &[5]] {
            let mut balance = of(Policy::TwoChoices, weights);
            let mut tried = Vec::new();
            while let Some(chosen) = balance.take(&ring, 0, &tried) {
                assert!(!tried.contains(&chosen));
                tried.push(chosen);
            }
            assert_eq!(tried.len(), weights.len());
        }
        assert_eq!(of(Policy::TwoChoices, &[]).take(&ring, 0, &[]), None);
    }
}
