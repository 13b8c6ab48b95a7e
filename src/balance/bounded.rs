//! Consistent hashing with bounded loads: Mirrokni, Thorup and Zadimoghaddam, 2016 (arXiv:1608.01350); as a setting of a
//! balancer first in HAProxy (`hash-balance-factor`, Andrew Rodland, 2016).
//!
//! No replica gets a request that would give it more than `c` times its part of all requests in flight. One that is full
//! hands the request on in the ring's order, which begins at the request's own place: so the keys of a busy replica go to
//! different others, and each to the same one as long as that has room. As `c` is greater than one, there is always
//! somebody with room; nobody is refused.

use super::loads::{Load, Loads};
use crate::ring::{Ring, RingId};

/// How many times the mean of requests in flight a replica may have: greater than one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bound {
    thousandths: u64,
}

impl Bound {
    /// A bound, if it is one: 1.01 to 100. Nearer to one, hardly any key would stay with its owner.
    pub fn new(bound: f64) -> Option<Bound> {
        (1.01..=100.0).contains(&bound).then_some(Bound { thousandths: (bound * 1000.0).round() as u64 })
    }

    /// Most requests in flight that a replica may have with the one that is being placed: its part of all of them, by
    /// weight, times the bound, rounded up (section 2 of the paper).
    fn capacity(self, load: &Load, loads: &Loads) -> usize {
        let all = loads.total_in_flight() as u128 + 1;
        let part = u128::from(self.thousandths) * all * u128::from(load.weight);
        part.div_ceil(1000 * u128::from(loads.total_weight())) as usize
    }
}

pub(super) fn choose(
    bound: Bound,
    loads: &Loads,
    ring: &Ring,
    request: u64,
    tried: &[RingId],
) -> Option<RingId> {
    let has_room = |id: &RingId| {
        let is_below = |load: &Load| load.in_flight < bound.capacity(load, loads);
        !tried.contains(id) && loads.of_serving(*id).is_some_and(is_below)
    };
    let owner = ring.owner(request).filter(has_room);
    // Where only those have room that were tried, a busy one is better than none.
    owner
        .or_else(|| ring.walk(request).find(has_room))
        .or_else(|| ring.walk(request).find(|id| !tried.contains(id)))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::balance::{Balance, Policy};
    use crate::ring::{REQUEST_IDS, Scheme, Shape, Weight};

    fn of(scheme: Scheme, weights: &[u32], bound: f64) -> (Ring, Balance) {
        let mut ring = Ring::new(Shape::of(scheme));
        let mut balance = Balance::new(Policy::HashBounded(Bound::new(bound).unwrap()));
        for (id, &weight) in (1..).map(RingId).zip(weights) {
            let weight = Weight::new(weight).unwrap();
            ring.place_weighted(id, weight).unwrap();
            ring.set_serving(id, true);
            balance.add(id, weight);
            balance.set_serving(&[id], true);
        }
        (ring, balance)
    }

    #[test]
    fn nobody_has_more_than_the_bound_however_the_keys_fall() {
        let mut random = fastrand::Rng::with_seed(3);
        for scheme in Scheme::ALL {
            let weights: &[u32] = if scheme.has_weights() { &[1, 1, 2, 4, 1] } else { &[1; 5] };
            for bound in [1.01, 1.25, 2.0] {
                let (ring, mut balance) = of(scheme, weights, bound);
                let mut held = Vec::new();
                for step in 0..3_000 {
                    // Nine in ten have one of two keys.
                    let request = if step % 10 == 0 { random.u64(REQUEST_IDS) } else { random.u64(7..9) };
                    let chosen = balance.take(&ring, request, &[]).expect("somebody has room");
                    let all = held.len() + 1;
                    let weight = f64::from(weights[chosen.0 as usize - 1] as u16);
                    let part = weight / f64::from(weights.iter().sum::<u32>());
                    let most = (bound * all as f64 * part - 1e-9).ceil() as usize;
                    assert!(balance.in_flight(chosen) <= most, "{scheme} {bound}: {all} in flight");
                    held.push(chosen);
                    if random.u8(0..3) == 0 {
                        balance.give_back(held.swap_remove(random.usize(..held.len())));
                    }
                }
            }
        }
    }

    #[test]
    fn the_request_that_is_placed_counts() {
        let (ring, mut balance) = of(Scheme::Even, &[1; 2], 1.25);
        let owner = ring.owner(5).unwrap();
        [owner, owner, RingId(3 - owner.0)].into_iter().for_each(|id| balance.loads.begin(id));
        // 1.25 × 4 / 2 = 2.5, so up to three; of the three in flight alone it would be 1.875.
        assert_eq!(balance.take(&ring, 5, &[]), Some(owner));
        assert_eq!(balance.take(&ring, 5, &[]), Some(owner), "1.25 × 5 / 2, so up to four");
        let other = RingId(3 - owner.0);
        assert_eq!(balance.take(&ring, 5, &[]), Some(other), "1.25 × 6 / 2, so up to four still");
    }

    #[test]
    fn an_owner_with_room_is_chosen() {
        let (ring, mut balance) = of(Scheme::Even, &[1; 4], 1.25);
        for request in REQUEST_IDS.step_by(991) {
            let chosen = balance.take(&ring, request, &[]);
            assert_eq!(chosen, ring.owner(request));
            balance.give_back(chosen.unwrap());
        }
    }

    #[test]
    fn what_overflows_goes_on_in_the_rings_order_and_spreads() {
        let (ring, mut balance) = of(Scheme::Even, &[1; 5], 1.25);
        let full = RingId(3);
        // Eight in flight on one, none on the others: its capacity is 1.25 * 9 / 5, so 3.
        (0..8).for_each(|_| balance.loads.begin(full));
        let mut heirs: BTreeMap<RingId, u32> = BTreeMap::new();
        for request in REQUEST_IDS.step_by(97).filter(|&request| ring.owner(request) == Some(full)) {
            let chosen = balance.take(&ring, request, &[]).unwrap();
            assert_eq!(Some(chosen), ring.walk(request).nth(1));
            balance.give_back(chosen);
            *heirs.entry(chosen).or_default() += 1;
        }
        let all: u32 = heirs.values().sum();
        assert_eq!(heirs.len(), 4);
        assert!(heirs.values().all(|&count| count * 2 < all), "nobody gets half of it: {heirs:?}");
    }

    #[test]
    fn a_retry_takes_a_busy_one_rather_than_none() {
        let (ring, mut balance) = of(Scheme::Even, &[1; 2], 1.25);
        let owner = ring.owner(5).unwrap();
        let other = RingId(3 - owner.0);
        (0..50).for_each(|_| balance.loads.begin(other));
        assert_eq!(balance.take(&ring, 5, &[owner]), Some(other));
        assert_eq!(balance.take(&ring, 5, &[owner, other]), None);
    }

    #[test]
    fn bounds_are_greater_than_one() {
        for (bound, is_one) in [(1.0, false), (1.01, true), (100.0, true), (100.1, false), (f64::NAN, false)]
        {
            assert_eq!(Bound::new(bound).is_some(), is_one, "{bound}");
        }
    }
}
