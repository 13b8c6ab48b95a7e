//! Highest random weight: no ring at all. Every server draws a lot for every key, and the highest lot wins.
//!
//! A lot is a hash of key and server, so whoever draws it again draws the same. When a server goes, exactly its keys
//! go to their second highest, which differ from key to key: nothing else moves, and every other server takes over its
//! part of them. Thaler and Ravishankar, "Using Name-Based Mappings to Increase Hit Rates" (1998).
//!
//! Weights: a lot `u` in (0, 1) becomes `weight / -ln u`; the highest of those belongs to a server with a probability in
//! proportion to its weight. Schindelhauer and Schomaker, "Weighted Distributed Hash Tables" (2005); Jason Resch, "New
//! Hashing Algorithms for Data Storage" (2015).
//!
//! Promises: equal fleets give equal owners whatever their histories; shares are as even as chance can make them, the best
//! of all schemes here for fleets of any size; the movement is the least possible. The price is that choosing looks at
//! every server, a nanosecond or two each, which is why it is not the default.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::RingId;
use super::hash::mix;

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Rendezvous {
    /// Those that serve, in ascending order of id.
    servers: Vec<Server>,
    /// Whether all have one weight, which spares the logarithms.
    is_level: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Server {
    id: RingId,
    /// The id's own half of every lot.
    seed: u64,
    weight: u32,
}

/// What decides between two servers: the greater one, as bits, which for positive numbers are in the order of the numbers;
/// of two equal ones, the smaller id.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Lot(u64, Reverse<RingId>);

impl Rendezvous {
    pub(super) fn new() -> Rendezvous {
        Rendezvous { servers: Vec::new(), is_level: true }
    }

    /// Takes servers (with their weights) in that begin to serve, and out those that stop.
    pub(super) fn change(&mut self, joined: &[(RingId, u32)], left: &[RingId]) {
        self.servers.retain(|server| !left.contains(&server.id));
        let joined = joined.iter().map(|&(id, weight)| Server { id, seed: mix(u64::from(id.0)), weight });
        self.servers.extend(joined);
        self.servers.sort_by_key(|server| server.id);
        self.is_level = self.servers.windows(2).all(|pair| pair[0].weight == pair[1].weight);
    }

    pub(super) fn owner(&self, request: u64) -> Option<RingId> {
        let key = mix(request);
        if self.is_level {
            // The same order as by lots: weight / -ln u grows with u. The last of equal keys wins, and 0 is the highest
            // when reversed, so the smaller id does.
            let draw = |server: &&Server| fraction_bits(key, server.seed);
            return self.servers.iter().rev().max_by_key(draw).map(|server| server.id);
        }
        let lots = self.servers.iter().map(|server| lot(key, server));
        lots.max().map(|lot| lot.1.0)
    }

    /// The servers in the order of their lots for a request, the highest first.
    pub(super) fn walk(&self, request: u64) -> impl Iterator<Item = RingId> + '_ {
        let key = mix(request);
        let mut lots: BinaryHeap<Lot> = self.servers.iter().map(|server| lot(key, server)).collect();
        std::iter::from_fn(move || lots.pop().map(|lot| lot.1.0))
    }

    /// The part of all keys that each server may expect.
    pub(super) fn spread(&self) -> impl Iterator<Item = (RingId, f64)> + '_ {
        let all: f64 = self.servers.iter().map(|server| f64::from(server.weight)).sum();
        self.servers.iter().map(move |server| (server.id, f64::from(server.weight) / all))
    }
}

/// A server's draw for a key: 52 bits, so that the middle of each of the 2⁵² intervals is an exact number.
fn fraction_bits(key: u64, seed: u64) -> u64 {
    mix(key ^ seed) >> 12
}

fn lot(key: u64, server: &Server) -> Lot {
    let u = (fraction_bits(key, server.seed) as f64 + 0.5) / (1u64 << 52) as f64;
    let lot = f64::from(server.weight) / -ln(u);
    Lot(lot.to_bits(), Reverse(server.id))
}

/// The natural logarithm of a normal positive number, the same to the last bit on every machine: that of the system's
/// mathematics library is not, but addition, multiplication and division are (IEEE 754). With `x = m · 2^e` and m
/// between √½ and √2 it is `e ln 2 + 2 artanh((m - 1) / (m + 1))`, by the series of artanh; the first term that is left
/// out is below 10⁻¹⁷.
fn ln(x: f64) -> f64 {
    const ONE: u64 = 1023 << 52;
    let bits = x.to_bits();
    let mut exponent = (bits >> 52) as i64 - 1023;
    let mut m = f64::from_bits((bits & ((1 << 52) - 1)) | ONE);
    if m > std::f64::consts::SQRT_2 {
        m *= 0.5;
        exponent += 1;
    }
    let s = (m - 1.0) / (m + 1.0);
    let square = s * s;
    let series = (0..11).rev().fold(0.0, |sum, k| sum * square + 1.0 / f64::from(2 * k + 1));
    exponent as f64 * std::f64::consts::LN_2 + 2.0 * s * series
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(servers: &[(u32, u32)]) -> Rendezvous {
        let mut all = Rendezvous::new();
        let servers: Vec<_> = servers.iter().map(|&(id, weight)| (RingId(id), weight)).collect();
        all.change(&servers, &[]);
        all
    }

    #[test]
    fn ln_is_the_natural_logarithm() {
        let mut x = 1e-300;
        while x < 1e300 {
            assert!((ln(x) - x.ln()).abs() <= 4e-16 * x.ln().abs().max(1.0), "{x}: {} {}", ln(x), x.ln());
            x *= 1.037;
        }
        for near in [1.0 - 2f64.powi(-53), 1.0 - 2f64.powi(-30), 0.999, 0.707, 0.7072, 1.414, 1.4143] {
            assert!((ln(near) / near.ln() - 1.0).abs() < 1e-15, "{near}");
        }
        assert_eq!(ln(1.0), 0.0);
    }

    #[test]
    fn the_owner_is_the_first_of_the_walk_with_and_without_logarithms() {
        for servers in [&[(1, 1), (2, 1), (9, 1)][..], &[(1, 3), (2, 3), (9, 3)], &[(1, 1), (2, 5), (9, 2)]] {
            let all = of(servers);
            for request in 0..5_000 {
                let walk: Vec<_> = all.walk(request).collect();
                assert_eq!(walk.len(), 3);
                assert_eq!(all.owner(request), Some(walk[0]));
            }
        }
    }

    #[test]
    fn equal_weights_are_as_good_as_none() {
        let (light, heavy) = (of(&[(1, 1), (2, 1), (3, 1)]), of(&[(1, 7), (2, 7), (3, 7)]));
        assert!((0..5_000).all(|request| light.owner(request) == heavy.owner(request)));
    }

    #[test]
    fn shares_are_in_proportion_to_weights() {
        let all = of(&[(1, 1), (2, 2), (3, 5)]);
        let mut counts = [0u32; 4];
        (0..80_000).for_each(|request| counts[all.owner(request).unwrap().0 as usize] += 1);
        // Five standard deviations of a binomial count, the largest of which is 137.
        for (count, expected) in counts[1..].iter().zip([10_000, 20_000, 50_000]) {
            assert!(count.abs_diff(expected) < 5 * 137, "{counts:?}");
        }
    }
}
