//! How busy every replica is. Those that serve stand in one dense list, since some policies look at all of them for every
//! request.

use std::collections::BTreeMap;

use crate::ring::{RingId, Weight};

/// What policies know of one replica.
#[derive(Clone, Debug)]
pub(super) struct Load {
    pub(super) id: RingId,
    pub(super) weight: u32,
    pub(super) in_flight: usize,
    /// What `round-robin` owes it.
    pub(super) credit: i64,
    /// The number of the choice in which it was chosen last.
    pub(super) last_choice: u64,
}

impl Load {
    /// Whether one more request would be a smaller load for this one, by weight, than for the other.
    pub(super) fn is_lighter_than(&self, other: &Load) -> bool {
        let load = |of: &Load, weight: u32| (of.in_flight as u64 + 1) * u64::from(weight);
        load(self, other.weight) < load(other, self.weight)
    }
}

#[derive(Clone, Default, Debug)]
pub(super) struct Loads {
    /// In ascending order of id.
    serving: Vec<Load>,
    /// Those that are not to be chosen, but may have requests in flight.
    away: BTreeMap<RingId, Load>,
    /// The sums over those that serve.
    in_flight: usize,
    weight: u64,
    /// Whether all that serve have one weight.
    is_level: bool,
    choices: u64,
}

impl Loads {
    pub(super) fn add(&mut self, id: RingId, weight: Weight) {
        self.remove(id);
        self.away.insert(id, Load { id, weight: weight.get(), in_flight: 0, credit: 0, last_choice: 0 });
    }

    pub(super) fn remove(&mut self, id: RingId) {
        self.set_serving(&[id], false);
        self.away.remove(&id);
    }

    pub(super) fn set_serving(&mut self, ids: &[RingId], serving: bool) {
        ids.iter().for_each(|&id| self.move_one(id, serving));
        self.in_flight = self.serving.iter().map(|load| load.in_flight).sum();
        self.weight = self.serving.iter().map(|load| u64::from(load.weight)).sum();
        self.is_level = self.serving.windows(2).all(|pair| pair[0].weight == pair[1].weight);
    }

    /// Where one that serves stands in the list, or where it would.
    fn place_of(&self, id: RingId) -> Result<usize, usize> {
        self.serving.binary_search_by_key(&id, |load| load.id)
    }

    fn move_one(&mut self, id: RingId, serving: bool) {
        match (self.place_of(id), serving) {
            (Ok(at), false) => {
                let load = self.serving.remove(at);
                self.away.insert(id, load);
            }
            (Err(at), true) => {
                if let Some(load) = self.away.remove(&id) {
                    self.serving.insert(at, load);
                }
            }
            _ => {}
        }
    }

    /// Those that serve.
    pub(super) fn serving(&self) -> &[Load] {
        &self.serving
    }

    /// The same, to be changed by a policy in what is its own.
    pub(super) fn serving_mut(&mut self) -> &mut [Load] {
        &mut self.serving
    }

    /// How many requests those that serve have in flight together.
    pub(super) fn total_in_flight(&self) -> usize {
        self.in_flight
    }

    /// The weights of those that serve together.
    pub(super) fn total_weight(&self) -> u64 {
        self.weight
    }

    /// One of those that serve and are not in `tried`, by chance in proportion to weight.
    pub(super) fn draw(&self, tried: &[RingId]) -> Option<&Load> {
        if self.is_level && tried.is_empty() {
            return fastrand::choice(&self.serving);
        }
        let candidates = || self.serving.iter().filter(|load| !tried.contains(&load.id));
        let all = match tried.is_empty() {
            true => self.weight,
            false => candidates().map(|load| u64::from(load.weight)).sum(),
        };
        let mut ticket = if all > 0 { fastrand::u64(..all) } else { 0 };
        for load in candidates() {
            match ticket.checked_sub(u64::from(load.weight)) {
                Some(left) => ticket = left,
                None => return Some(load),
            }
        }
        None
    }

    /// The same as a draw that passes over one of them.
    pub(super) fn draw_other(&self, than: &Load) -> Option<&Load> {
        if !self.is_level {
            return self.draw(&[than.id]);
        }
        let others = self.serving.len().checked_sub(1).filter(|others| *others > 0)?;
        let at = fastrand::usize(..others);
        // The last one stands in for the one that is passed over.
        let drawn = self.serving.get(at).filter(|load| load.id != than.id);
        drawn.or(self.serving.last())
    }

    fn of(&self, id: RingId) -> Option<&Load> {
        match self.place_of(id) {
            Ok(at) => self.serving.get(at),
            Err(_) => self.away.get(&id),
        }
    }

    pub(super) fn in_flight(&self, id: RingId) -> usize {
        self.of(id).map_or(0, |load| load.in_flight)
    }

    /// What policies know of one that serves.
    pub(super) fn of_serving(&self, id: RingId) -> Option<&Load> {
        self.serving.get(self.place_of(id).ok()?)
    }

    /// Counts a request on one that was chosen.
    pub(super) fn begin(&mut self, id: RingId) {
        self.choices += 1;
        if let Ok(at) = self.place_of(id) {
            self.serving[at].in_flight += 1;
            self.serving[at].last_choice = self.choices;
            self.in_flight += 1;
        }
    }

    /// Counts a request down; returns how many are left.
    pub(super) fn end(&mut self, id: RingId) -> usize {
        let load = match self.place_of(id) {
            Ok(at) => {
                self.in_flight = self.in_flight.saturating_sub(1);
                self.serving.get_mut(at)
            }
            Err(_) => self.away.get_mut(&id),
        };
        load.map_or(0, |load| {
            load.in_flight = load.in_flight.saturating_sub(1);
            load.in_flight
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_follow_whatever_happens() {
        let mut random = fastrand::Rng::with_seed(7);
        let mut loads = Loads::default();
        let mut held: Vec<RingId> = Vec::new();
        for _ in 0..5_000 {
            let id = RingId(random.u32(1..9));
            match random.u8(0..6) {
                0 => {
                    loads.add(id, Weight::new(random.u32(1..4)).unwrap());
                    held.retain(|other| *other != id);
                }
                1 => {
                    loads.remove(id);
                    held.retain(|other| *other != id);
                }
                2 => loads.set_serving(&[id], false),
                3 => loads.set_serving(&[id], true),
                4 if loads.of_serving(id).is_some() => {
                    loads.begin(id);
                    held.push(id);
                }
                _ if !held.is_empty() => {
                    let id = held.swap_remove(random.usize(..held.len()));
                    assert_eq!(loads.end(id), held.iter().filter(|other| **other == id).count());
                }
                _ => {}
            }
            let serving = loads.serving();
            assert!(serving.is_sorted_by(|a, b| a.id < b.id));
            assert_eq!(loads.total_in_flight(), serving.iter().map(|load| load.in_flight).sum::<usize>());
            assert_eq!(loads.total_weight(), serving.iter().map(|load| u64::from(load.weight)).sum::<u64>());
            for id in (1..9).map(RingId) {
                assert_eq!(loads.in_flight(id), held.iter().filter(|other| **other == id).count());
            }
        }
    }

    #[test]
    fn draws_are_in_proportion_to_weights_and_pass_over_those_tried() {
        let mut loads = Loads::default();
        for (id, weight) in [(1, 1), (2, 2), (3, 5), (4, 2)] {
            loads.add(RingId(id), Weight::new(weight).unwrap());
            loads.set_serving(&[RingId(id)], true);
        }
        let mut counts = [0u32; 5];
        (0..80_000).for_each(|_| counts[loads.draw(&[RingId(4)]).unwrap().id.0 as usize] += 1);
        assert_eq!(counts[4], 0);
        // Seven standard deviations of a binomial count, the largest of which is 137.
        for (count, expected) in counts[1..].iter().zip([10_000, 20_000, 50_000]) {
            assert!(count.abs_diff(expected) < 7 * 137, "{counts:?}");
        }
        assert!(loads.draw(&[1, 2, 3, 4].map(RingId)).is_none());
        assert!(Loads::default().draw(&[]).is_none());
    }

    #[test]
    fn a_second_draw_is_any_of_the_others() {
        let mut loads = Loads::default();
        let ids = [1, 2, 3].map(RingId);
        ids.into_iter().for_each(|id| loads.add(id, Weight::ONE));
        loads.set_serving(&ids, true);
        for first in loads.serving() {
            let mut counts = [0u32; 4];
            (0..2_000).for_each(|_| counts[loads.draw_other(first).unwrap().id.0 as usize] += 1);
            assert_eq!(counts[first.id.0 as usize], 0);
            // Seven standard deviations of a binomial count of 22.
            let even = counts.iter().filter(|count| count.abs_diff(1_000) < 7 * 22).count();
            assert_eq!(even, 2, "{counts:?}");
        }
        loads.set_serving(&[RingId(1), RingId(2)], false);
        assert!(loads.draw_other(&loads.serving()[0]).is_none());
    }
}
