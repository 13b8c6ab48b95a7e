//! Each in its turn, smoothly by weight: the algorithm of nginx (Igor Sysoev and Maxim Dounin, 2012).
//!
//! With every choice each gets credit by its weight; whoever has most is chosen and pays what all got together. So a weight
//! of 5 beside 1 and 1 gives `a a b a c a a` and not five in a row, and in as many choices as the weights add up to each
//! is chosen as often as its weight says.

use super::loads::{Load, Loads};
use crate::ring::RingId;

pub(super) fn choose(loads: &mut Loads, tried: &[RingId]) -> Option<RingId> {
    let mut all = 0;
    let mut best = None;
    for load in loads.serving_mut().iter_mut().filter(|load| !tried.contains(&load.id)) {
        all += i64::from(load.weight);
        load.credit += i64::from(load.weight);
        // Of equals the first, so that the order is that of the ids.
        if best.as_ref().is_none_or(|best: &&mut Load| load.credit > best.credit) {
            best = Some(load);
        }
    }
    let best = best?;
    best.credit -= all;
    Some(best.id)
}

#[cfg(test)]
mod tests {
    use crate::balance::{Balance, Policy};
    use crate::ring::{Ring, RingId, Shape, Weight};

    fn of(weights: &[u32]) -> Balance {
        let mut balance = Balance::new(Policy::RoundRobin);
        for (id, &weight) in (1..).map(RingId).zip(weights) {
            balance.add(id, Weight::new(weight).unwrap());
            balance.set_serving(&[id], true);
        }
        balance
    }

    fn choices(balance: &mut Balance, n: usize) -> Vec<u32> {
        let ring = Ring::new(Shape::default());
        (0..n).map(|_| balance.take(&ring, 0, &[]).unwrap().0).collect()
    }

    #[test]
    fn the_order_that_nginx_gives() {
        assert_eq!(choices(&mut of(&[5, 1, 1]), 7), [1, 1, 2, 1, 3, 1, 1]);
        assert_eq!(choices(&mut of(&[1, 1, 1]), 6), [1, 2, 3, 1, 2, 3]);
    }

    #[test]
    fn each_is_chosen_as_often_as_its_weight_says() {
        for weights in [&[1, 2, 3, 4][..], &[100, 1], &[7, 7, 2], &[1; 17]] {
            let mut balance = of(weights);
            let round = weights.iter().sum::<u32>() as usize;
            for _ in 0..3 {
                let choices = choices(&mut balance, round);
                for (id, &weight) in (1..).zip(weights) {
                    assert_eq!(choices.iter().filter(|choice| **choice == id).count(), weight as usize);
                }
            }
        }
    }

    #[test]
    fn whoever_comes_back_has_nothing_to_catch_up_with() {
        let mut balance = of(&[1, 1, 1]);
        balance.set_serving(&[RingId(2)], false);
        assert!(!choices(&mut balance, 20).contains(&2));
        balance.set_serving(&[RingId(2)], true);
        let choices = choices(&mut balance, 9);
        assert_eq!(choices.iter().filter(|choice| **choice == 2).count(), 3, "{choices:?}");
    }

    #[test]
    fn those_tried_are_passed_over_until_none_is_left() {
        let (mut balance, ring) = (of(&[5, 1]), Ring::new(Shape::default()));
        assert_eq!(balance.take(&ring, 0, &[RingId(1)]), Some(RingId(2)));
        assert_eq!(balance.take(&ring, 0, &[RingId(1), RingId(2)]), None);
        assert_eq!(of(&[]).take(&ring, 0, &[]), None);
    }
}
