//! Weights: shares in proportion to them, and no more movement than their change asks for.
//!
//! Fleets whose servers have weights 1 to 4 in turn, the busiest for its weight over what it should have, of all six-digit
//! ids; and, while one server's weight grows step by step (2, 3, 5, 6, 100), what moves between others, of all requests:
//!
//! | servers | ketama | maglev | rendezvous | moved between others under maglev |
//! |---|---|---|---|---|
//! | 3 | 1.04 | 1.01 | 1.01 | 0.1 % |
//! | 10 | 1.07 | 1.01 | 1.01 | 0.2 % |
//! | 50 | 1.23 | 1.04 | 1.02 | 0.6 % |
//! | 200 | 1.25 | 1.07 | 1.07 | 1.5 % |
//!
//! The literature: under ketama the share of a server with weight w scatters by 1/√(V·w), which is 8 % for 160 points;
//! under rendezvous only by what counting so many ids does; under maglev by an entry or two. Between others nothing moves
//! under ketama and rendezvous.

use crate::fleets::{owners, weighted};
use ringmaster::ring::{REQUEST_IDS, Ring, RingId, Scheme, Shape, Weight};

const WEIGHTED: [Scheme; 3] = [Scheme::Ketama, Scheme::Maglev, Scheme::Rendezvous];

/// Servers, and per scheme the bound of the busiest; at the end the bound of what moves under maglev.
const BOUNDS: [(u32, [f64; 3], f64); 4] = [
    (3, [1.04, 1.01, 1.01], 0.001),
    (10, [1.07, 1.01, 1.01], 0.002),
    (50, [1.23, 1.04, 1.02], 0.006),
    (200, [1.25, 1.07, 1.07], 0.015),
];

/// The server whose weight changes.
const CHANGING: RingId = RingId(2);

fn fleet(servers: u32, changing: u32) -> Vec<(u32, u32)> {
    (1..=servers).map(|id| (id, if id == CHANGING.0 { changing } else { 1 + id % 4 })).collect()
}

#[test]
fn shares_are_in_proportion() {
    for (servers, bounds, _) in BOUNDS {
        let fleet = fleet(servers, 3);
        let all: u32 = fleet.iter().map(|server| server.1).sum();
        for (scheme, bound) in WEIGHTED.into_iter().zip(bounds) {
            let ring = weighted(Shape::of(scheme), &fleet);
            let counts = ring.shares(REQUEST_IDS);
            let parts = fleet.iter().map(|&(id, weight)| {
                counts[&RingId(id)] as f64 / 900_000.0 * f64::from(all) / f64::from(weight)
            });
            let most = parts.fold(0.0, f64::max);
            println!(
                "{scheme}, {servers} servers of weights 1 to 4: the busiest for its weight has {most:.4}"
            );
            assert!(
                most <= bound && most > bound - 0.01,
                "{scheme}, {servers}: {most} is not just under {bound}"
            );
            if scheme == Scheme::Maglev {
                entries_are_in_proportion(&ring, &fleet);
            }
        }
    }
}

/// A server of weight w has had `t·w / greatest` turns after `t` rounds, rounded up; with N such roundings, a table of M
/// entries is full when all shares together are between M - N and M.
fn entries_are_in_proportion(ring: &Ring, fleet: &[(u32, u32)]) {
    let (entries, all) = (ring.shape().slots() as f64, fleet.iter().map(|server| server.1).sum::<u32>());
    for &(id, weight) in fleet {
        let part = f64::from(weight) / f64::from(all);
        let owned = ring.owned_slots()[&RingId(id)] as f64;
        assert!(
            owned >= (entries - fleet.len() as f64) * part - 1.0 && owned <= entries * part + 1.0,
            "{id}"
        );
    }
}

#[test]
fn a_greater_weight_moves_requests_to_that_server_alone() {
    let requests: Vec<u64> = REQUEST_IDS.take(100_000).collect();
    for (servers, _, bound) in BOUNDS {
        for scheme in WEIGHTED {
            let mut ring = weighted(Shape::of(scheme), &fleet(servers, 2));
            let mut before = owners(&ring, &requests);
            let mut most = 0.0f64;
            for weight in [3, 5, 6, Weight::MAX] {
                ring.remove(CHANGING);
                ring.place_weighted(CHANGING, Weight::new(weight).unwrap()).unwrap();
                ring.set_serving(CHANGING, true);
                let after = owners(&ring, &requests);
                let moves = || before.iter().zip(&after).filter(|(old, new)| old != new);
                let gained = moves().filter(|(_, new)| **new == Some(CHANGING)).count();
                assert!(gained > 0, "{scheme}, {servers} servers: weight {weight} changes nothing");
                most = most.max((moves().count() - gained) as f64 / requests.len() as f64);
                before = after;
            }
            println!("{scheme}, {servers} servers, one grows heavier: {most:.4} of all move between others");
            let bound = if scheme == Scheme::Maglev { bound } else { 0.0 };
            assert!(most <= bound && most >= bound - 0.001, "{scheme}, {servers}: {most}");
        }
    }
}
