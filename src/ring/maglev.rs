//! A lookup table that every server fills in turns: Eisenbud and others, "Maglev: A Fast and Reliable Software Network Load
//! Balancer" (2016), section 3.4.
//!
//! Each server has an order of preference over all entries of the table, made of two hashes of its id: it begins at
//! `offset` and goes on in steps of `skip`, which visits every entry once because the number of entries is prime. The
//! servers take turns, each taking the first entry of its order that is still free, until the table is full. Everyone
//! gets the same number of entries, give or take one.
//!
//! Promises: choosing is one hash and one read; equal fleets have equal tables whatever their histories; shares differ by
//! one entry in M / N. What it does not promise is the least movement: when a server joins or leaves, some entries of
//! others change hands as well: a part of all below 2.5 / √M in everything that was tried, so 1 % of the usual table
//! (`tests/schemes/movement.rs`). The table is made
//! anew with every change of those that serve, which takes one to two milliseconds; requests wait for that.
//!
//! Weights, which are not in the paper: a server of half the greatest weight gets a turn in every other round.

use std::collections::BTreeSet;
use std::iter::successors;

use super::RingId;
use super::hash::{mix, scale};

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Maglev {
    /// How many entries the table has: a prime.
    size: usize,
    /// Those that serve, with their weights, in ascending order of id.
    servers: Vec<(RingId, u32)>,
    /// Per entry its owner; empty while nobody serves.
    table: Vec<RingId>,
    /// How many entries each of the servers has.
    entries: Vec<usize>,
}

/// An entry that nobody has taken yet. No server is at the end of the list of servers.
const FREE: u32 = u32::MAX;

impl Maglev {
    pub(super) fn new(size: usize) -> Maglev {
        Maglev { size, servers: Vec::new(), table: Vec::new(), entries: Vec::new() }
    }

    /// Takes servers (with their weights) in that begin to serve, and out those that stop.
    pub(super) fn change(&mut self, joined: &[(RingId, u32)], left: &[RingId]) {
        self.servers.retain(|(id, _)| !left.contains(id));
        self.servers.extend(joined);
        self.servers.sort();
        (self.table, self.entries) = populate(self.size, &self.servers);
    }

    /// Per entry its owner.
    pub(super) fn table(&self) -> &[RingId] {
        &self.table
    }

    /// How many entries each server has.
    pub(super) fn entries(&self) -> impl Iterator<Item = (RingId, usize)> + '_ {
        self.servers.iter().map(|server| server.0).zip(self.entries.iter().copied())
    }

    pub(super) fn owner(&self, request: u64) -> Option<RingId> {
        self.table.get(scale(mix(request), self.size)).copied()
    }

    /// The servers in an order of the request's own, its owner first. The paper has none: this one goes through the table
    /// from the request's entry in steps that are another hash of it, so that those who share an owner do not share the
    /// next one.
    pub(super) fn walk(&self, request: u64) -> impl Iterator<Item = RingId> + '_ {
        let start = scale(mix(request), self.size);
        let skip = 1 + scale(mix(mix(request)), self.size - 1);
        let entries = successors(Some(start), move |&entry| Some(step(entry, skip, self.size)));
        let owners = entries.take(self.table.len()).map(|entry| self.table[entry]);
        let mut met = BTreeSet::new();
        owners.filter(move |&id| met.insert(id)).take(self.servers.len())
    }
}

/// A server's way through the table.
struct Turn {
    /// The entry that it would like next.
    next: usize,
    skip: usize,
    /// What it has saved up of its weight; a turn costs the greatest weight.
    credit: u64,
}

/// The table, and how many entries each server has.
fn populate(size: usize, servers: &[(RingId, u32)]) -> (Vec<RingId>, Vec<usize>) {
    let Some(greatest) = servers.iter().map(|server| u64::from(server.1)).max() else {
        return (Vec::new(), Vec::new());
    };
    let turn = |&(id, _): &(RingId, u32)| {
        let first = mix(u64::from(id.0));
        let (next, skip) = (scale(first, size), 1 + scale(mix(first), size - 1));
        // With the first round everyone gets an entry, however light.
        Turn { next, skip, credit: greatest }
    };
    let mut turns: Vec<Turn> = servers.iter().map(turn).collect();
    let weights: Vec<u64> = servers.iter().map(|server| u64::from(server.1)).collect();
    let table = fill(size, &mut turns, &weights);
    let mut entries = vec![0; servers.len()];
    table.iter().for_each(|&number| entries[number as usize] += 1);
    (table.into_iter().map(|number| servers[number as usize].0).collect(), entries)
}

/// Per entry the number of the server that took it.
fn fill(size: usize, turns: &mut [Turn], weights: &[u64]) -> Vec<u32> {
    let greatest = weights.iter().copied().max().unwrap_or(1);
    let mut table = vec![FREE; size];
    let mut filled = 0;
    loop {
        for (number, turn) in turns.iter_mut().enumerate() {
            if turn.credit < greatest {
                turn.credit += weights[number];
                continue;
            }
            turn.credit = turn.credit - greatest + weights[number];
            while table[turn.next] != FREE {
                turn.next = step(turn.next, turn.skip, size);
            }
            table[turn.next] = number as u32;
            filled += 1;
            if filled == size {
                return table;
            }
        }
    }
}

fn step(entry: usize, skip: usize, size: usize) -> usize {
    let next = entry + skip;
    if next >= size { next - size } else { next }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(size: usize, servers: &[(u32, u32)]) -> Maglev {
        let mut table = Maglev::new(size);
        let servers: Vec<_> = servers.iter().map(|&(id, weight)| (RingId(id), weight)).collect();
        table.change(&servers, &[]);
        table
    }

    fn counts(table: &Maglev, servers: u32) -> Vec<usize> {
        (1..=servers).map(|id| table.table.iter().filter(|owner| owner.0 == id).count()).collect()
    }

    /// The table of the paper's section 3.4, whose permutations are (3, 4), (0, 2), (3, 1) as (offset, skip).
    #[test]
    fn the_papers_example() {
        let mut turns = [(3, 4), (0, 2), (3, 1)].map(|(next, skip)| Turn { next, skip, credit: 1 });
        assert_eq!(fill(7, &mut turns, &[1, 1, 1]), [1, 0, 1, 0, 2, 2, 0]);
        let mut turns = [(3, 4), (3, 1)].map(|(next, skip)| Turn { next, skip, credit: 1 });
        assert_eq!(fill(7, &mut turns, &[1, 1]), [0, 0, 0, 0, 1, 1, 1]);
    }

    #[test]
    fn entries_differ_by_one_at_most() {
        for servers in [1, 2, 3, 50, 101] {
            let list: Vec<_> = (1..=servers).map(|id| (id, 1)).collect();
            let counts = counts(&of(101, &list), servers);
            assert!(counts.iter().max().unwrap() - counts.iter().min().unwrap() <= 1, "{counts:?}");
        }
    }

    #[test]
    fn entries_are_in_proportion_to_weights() {
        let counts = counts(&of(1009, &[(1, 1), (2, 2), (3, 5)]), 3);
        for (count, weight) in counts.iter().zip([1, 2, 5]) {
            assert!(count.abs_diff(1009 * weight / 8) <= 2, "{counts:?}");
        }
        let even = of(1009, &[(1, 7), (2, 7)]);
        assert_eq!(even.table, of(1009, &[(1, 1), (2, 1)]).table, "equal weights are as good as none");
    }

    #[test]
    fn walks_meet_everyone_and_differ_behind_one_owner() {
        let table = of(1009, &[(1, 1), (2, 1), (3, 1), (4, 1), (5, 1)]);
        let mut seconds = BTreeSet::new();
        for request in 0..500 {
            let walk: Vec<_> = table.walk(request).collect();
            assert_eq!(table.owner(request), Some(walk[0]));
            assert_eq!(walk.iter().collect::<BTreeSet<_>>().len(), 5);
            if walk[0] == RingId(1) {
                seconds.insert(walk[1]);
            }
        }
        assert_eq!(seconds.len(), 4);
    }
}
