//! Points on a ring, hashed: the scheme that most proxies and caches mean by "consistent hashing".
//!
//! The ring has 2⁶⁴ places. Each server gets as many points as it has virtual servers, times its weight, wherever the hash
//! of its id and their numbers puts them; a key is hashed to a place and belongs to the next point clockwise. Described by
//! Karger and others, "Consistent Hashing and Random Trees" (1997); named after the library `libketama` (Richard Jones,
//! 2007), which brought it into wide use with 160 points per server. The hash here is splitmix64 instead of MD5.
//!
//! Promises: where a server's points are depends on its id alone, so that equal fleets have equal rings whatever their
//! histories. A join moves keys to the joiner only, a leave those of the leaver only. Shares are sums of random arcs: with
//! V points per server they scatter by about 1/√V around the mean (8 % for 160). Choosing costs a binary search.

use std::collections::BTreeSet;

use super::RingId;
use super::hash::mix;

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Ketama {
    virtual_servers: usize,
    /// The points of those that serve as (place, server), in ascending order. Should two servers ever have one place, the
    /// smaller id has it: the order says so.
    points: Vec<(u64, RingId)>,
    /// How many serve.
    serving: usize,
}

/// The place of a server's point number `j`.
fn place(id: RingId, j: u64) -> u64 {
    mix(mix(u64::from(id.0)) ^ j)
}

impl Ketama {
    pub(super) fn new(virtual_servers: usize) -> Ketama {
        Ketama { virtual_servers, points: Vec::new(), serving: 0 }
    }

    /// Takes servers (with their weights) in that begin to serve, and out those that stop.
    pub(super) fn change(&mut self, joined: &[(RingId, u32)], left: &[RingId]) {
        if !left.is_empty() {
            let left: BTreeSet<RingId> = left.iter().copied().collect();
            self.points.retain(|(_, id)| !left.contains(id));
        }
        for &(id, weight) in joined {
            let points = self.virtual_servers as u64 * u64::from(weight);
            self.points.extend((0..points).map(|j| (place(id, j), id)));
        }
        self.serving = self.serving + joined.len() - left.len();
        // Stable, because that sort is quick where most is in order already.
        self.points.sort();
    }

    /// Every point as (place, server), in order of place.
    pub(super) fn points(&self) -> &[(u64, RingId)] {
        &self.points
    }

    /// The number of the point that a request belongs to, or of points if that is the first.
    fn start(&self, request: u64) -> usize {
        let place = mix(request);
        self.points.partition_point(|point| point.0 < place)
    }

    pub(super) fn owner(&self, request: u64) -> Option<RingId> {
        self.points.get(self.start(request)).or(self.points.first()).map(|point| point.1)
    }

    /// The servers in the order in which a request meets them clockwise, each once.
    pub(super) fn walk(&self, request: u64) -> impl Iterator<Item = RingId> + '_ {
        let start = self.start(request);
        let clockwise = self.points[start..].iter().chain(&self.points[..start]);
        let mut met = BTreeSet::new();
        clockwise.map(|point| point.1).filter(move |&id| met.insert(id)).take(self.serving)
    }

    /// The part of all places that each server answers for.
    pub(super) fn spread(&self) -> impl Iterator<Item = (RingId, f64)> + '_ {
        let before = self.points.last().into_iter().chain(&self.points);
        let alone = self.points.len() == 1;
        self.points.iter().zip(before).map(move |(point, before)| {
            let width = point.0.wrapping_sub(before.0) as f64 / (u64::MAX as f64 + 1.0);
            (point.1, if alone { 1.0 } else { width })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_are_sorted_and_those_of_the_servers_that_serve() {
        let mut ring = Ketama::new(20);
        ring.change(&[(RingId(3), 1), (RingId(1), 2)], &[]);
        ring.change(&[(RingId(9), 1)], &[RingId(3)]);
        assert!(ring.points.is_sorted());
        let count = |id| ring.points.iter().filter(|point| point.1 == RingId(id)).count();
        assert_eq!((count(1), count(3), count(9), ring.points.len()), (40, 0, 20, 60));
    }

    #[test]
    fn a_request_belongs_to_the_next_point_clockwise_its_own_included() {
        let mut ring = Ketama::new(1);
        let around = mix(5);
        ring.points = vec![(around - 1, RingId(1)), (around, RingId(2)), (around + 1, RingId(3))];
        ring.serving = 3;
        assert_eq!(ring.owner(5), Some(RingId(2)));
        assert_eq!(ring.walk(5).collect::<Vec<_>>(), [2, 3, 1].map(RingId));
        ring.points.drain(1..);
        ring.serving = 1;
        assert_eq!(ring.owner(5), Some(RingId(1)), "past the last point comes the first");
        assert_eq!(ring.walk(5).collect::<Vec<_>>(), [RingId(1)]);
    }

    #[test]
    fn parts_add_up_to_the_whole() {
        let mut ring = Ketama::new(1);
        ring.change(&[(RingId(1), 1)], &[]);
        assert_eq!(ring.spread().collect::<Vec<_>>(), [(RingId(1), 1.0)]);
        ring.change(&[(RingId(2), 100)], &[]);
        assert!((ring.spread().map(|part| part.1).sum::<f64>() - 1.0).abs() < 1e-12);
    }
}
