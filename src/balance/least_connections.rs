//! Whoever has the fewest requests in flight for its weight; of several, whoever was chosen longest ago. Without the second
//! rule an idle fleet would send everything to its first replica.

use super::loads::{Load, Loads};
use crate::ring::RingId;

pub(super) fn choose(loads: &Loads, tried: &[RingId]) -> Option<RingId> {
    let candidates = loads.serving().iter().filter(|load| !tried.contains(&load.id));
    let best = candidates.reduce(|best, load| if is_better(load, best) { load } else { best })?;
    Some(best.id)
}

fn is_better(load: &Load, best: &Load) -> bool {
    let is_even = !load.is_lighter_than(best) && !best.is_lighter_than(load);
    load.is_lighter_than(best) || (is_even && load.last_choice < best.last_choice)
}

#[cfg(test)]
mod tests {
    use crate::balance::{Balance, Policy};
    use crate::ring::{Ring, RingId, Shape, Weight};

    fn of(weights: &[u32]) -> Balance {
        let mut balance = Balance::new(Policy::LeastConnections);
        for (id, &weight) in (1..).map(RingId).zip(weights) {
            balance.add(id, Weight::new(weight).unwrap());
            balance.set_serving(&[id], true);
        }
        balance
    }

    #[test]
    fn nobody_is_chosen_while_another_has_less() {
        let ring = Ring::new(Shape::default());
        let mut random = fastrand::Rng::with_seed(1);
        let mut balance = of(&[1; 6]);
        let mut held: Vec<RingId> = Vec::new();
        for _ in 0..3_000 {
            let before: Vec<usize> = (1..=6).map(|id| balance.in_flight(RingId(id))).collect();
            let chosen = balance.take(&ring, 0, &[]).unwrap();
            assert_eq!(Some(&before[chosen.0 as usize - 1]), before.iter().min());
            held.push(chosen);
            while !held.is_empty() && random.bool() {
                balance.give_back(held.swap_remove(random.usize(..held.len())));
            }
        }
    }

    #[test]
    fn an_idle_fleet_takes_turns() {
        let (ring, mut balance) = (Ring::new(Shape::default()), of(&[1; 3]));
        let mut choose = || {
            let chosen = balance.take(&ring, 0, &[]).unwrap();
            balance.give_back(chosen);
            chosen.0
        };
        assert_eq!((0..6).map(|_| choose()).collect::<Vec<_>>(), [1, 2, 3, 1, 2, 3]);
    }

    #[test]
    fn loads_are_in_proportion_to_weights() {
        let (ring, mut balance) = (Ring::new(Shape::default()), of(&[1, 2, 5]));
        assert!((0..80).all(|_| balance.take(&ring, 0, &[]).is_some()));
        assert_eq!([1, 2, 3].map(|id| balance.in_flight(RingId(id))), [10, 20, 50]);
    }

    #[test]
    fn those_tried_are_passed_over_until_none_is_left() {
        let (mut balance, ring) = (of(&[1, 1]), Ring::new(Shape::default()));
        assert_eq!(balance.take(&ring, 0, &[RingId(1)]), Some(RingId(2)));
        assert_eq!(balance.take(&ring, 0, &[RingId(1), RingId(2)]), None);
    }
}
