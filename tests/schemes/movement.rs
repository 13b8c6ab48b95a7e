//! How much moves when a server joins or leaves, as a multiple of what must.
//!
//! A joiner to N servers should take 1/(N + 1) of the requests, a leaver should give up what it owned; whatever else changes
//! owner moves without need. Ten joiners to servers 1 to N, and ten leavers, each by itself; the worst of them:
//!
//! | scheme | N = 3 | 10 | 50 | 200 (even, statement: 4,096 slots) |
//! |---|---|---|---|---|
//! | even | 1.00 | 0.99 | 0.88 | 0.87 |
//! | statement/linear | 3.16 | 6.97 | 2.00 | 3.73 |
//! | ketama | 1.08 | 1.09 | 1.10 | 1.25 |
//! | maglev | 1.01 | 1.09 | 1.26 | 2.56 |
//! | rendezvous | 1.01 | 1.02 | 1.03 | 1.08 |
//!
//! Between others nothing moves, except under `maglev`: of all requests here at most 0.2 % for N = 3, 0.8 % for 10, 0.6 % for
//! 50, 0.8 % for 200; in general less than 2.5 / √M of them, so 1 % with its usual 65,537 entries. For one of 200 that is more than the ideal itself, which is why its joins stand out. A
//! table that is large for its fleet moves less.
//!
//! `even`, the default, in slots, where it is exact. Joins to a fleet that nobody has left move at most 1.02 times the
//! ideal. Where servers have left, a joiner also evens out what they have left behind, but never takes more than 1.1 times
//! its ideal; with 9 virtual servers each, over random histories (`Wanders`, `Strides`: see `Way`):
//!
//! | slots | servers | history | joins | on average | at most |
//! |---|---|---|---|---|---|
//! | 512 | 2 to 6 | wanders | 3,008 | 1.000 | 1.096 |
//! | 512 | 2 to 6 | strides | 3,008 | 1.000 | 1.096 |
//! | 512 | 2 to 12 | wanders | 1,617 | 1.000 | 1.094 |
//! | 512 | 2 to 12 | strides | 1,610 | 1.000 | 1.084 |
//! | 512 | 2 to 56 | wanders | 971 | 0.960 | 1.096 |
//! | 512 | 2 to 56 | strides | 948 | 0.949 | 1.096 |
//! | 4,096 | 2 to 200 | wanders | 221 | 0.953 | 1.096 |
//!
//! After 50 of 56 have left it is 1.094, and the fleet needs more than one join to be even again.

use crate::fleets::{Draw, owners, ring_of, shape};
use ringmaster::ring::{Probing, REQUEST_IDS, Ring, RingId, Scheme, Shape};

const LINEAR: Scheme = Scheme::Statement(Probing::Linear);

/// Per scheme and N: the worst join over its ideal, and the most of all requests that move between others.
const TABLE: [(Scheme, [(f64, f64); 4]); 5] = [
    (Scheme::Even, [(1.00, 0.0), (0.99, 0.0), (0.88, 0.0), (0.87, 0.0)]),
    (LINEAR, [(3.16, 0.0), (6.97, 0.0), (2.00, 0.0), (3.73, 0.0)]),
    (Scheme::Ketama, [(1.08, 0.0), (1.09, 0.0), (1.10, 0.0), (1.25, 0.0)]),
    (Scheme::Maglev, [(1.01, 0.002), (1.09, 0.008), (1.26, 0.006), (2.56, 0.008)]),
    (Scheme::Rendezvous, [(1.01, 0.0), (1.02, 0.0), (1.03, 0.0), (1.08, 0.0)]),
];

const SIZES: [u32; 4] = [3, 10, 50, 200];

/// The default measures, or larger ones if those do not hold so many and one more.
fn roomy(scheme: Scheme, servers: u32) -> Shape {
    let shape = Shape::of(scheme);
    if shape.max_servers() <= servers as usize { self::shape(scheme, 4096, 9) } else { shape }
}

#[test]
fn joins_and_leaves_move_what_the_table_says() {
    let requests: Vec<u64> = REQUEST_IDS.step_by(9).collect();
    for (scheme, rows) in TABLE {
        for (servers, (join_bound, others_bound)) in SIZES.into_iter().zip(rows) {
            let ring = ring_of(roomy(scheme, servers), 1..=servers);
            let before = owners(&ring, &requests);
            let (mut worst_join, mut most_others) = (0f64, 0f64);
            for k in 0..10 {
                let joiner = RingId(1_000 + k);
                let mut joined = ring.clone();
                joined.place(joiner).unwrap();
                joined.set_serving(joiner, true);
                let (moved, others) = moves(&before, &owners(&joined, &requests), joiner);
                worst_join = worst_join.max(moved * f64::from(servers + 1));
                most_others = most_others.max(others);

                let leaver = RingId(1 + k * servers / 10);
                let mut left = ring.clone();
                left.remove(leaver);
                most_others = most_others.max(moves(&before, &owners(&left, &requests), leaver).1);
            }
            println!(
                "{scheme}, {servers} servers: a join moves up to {worst_join:.3} of its ideal; {most_others:.4} of all \
                 move between others"
            );
            let is_just = |value: f64, bound: f64, slack: f64| value <= bound && value >= bound - slack;
            assert!(
                is_just(worst_join, join_bound, 0.01),
                "{scheme}, {servers}: {worst_join}, not {join_bound}"
            );
            assert!(is_just(most_others, others_bound, 0.001), "{scheme}, {servers}: {most_others}");
        }
    }
}

/// The parts of all requests that changed owner, and that did so between two others than `changed`.
fn moves(before: &[Option<RingId>], after: &[Option<RingId>], changed: RingId) -> (f64, f64) {
    let moved = || before.iter().zip(after).filter(|(old, new)| old != new);
    let others = moved().filter(|(old, new)| **old != Some(changed) && **new != Some(changed)).count();
    (moved().count() as f64 / before.len() as f64, others as f64 / before.len() as f64)
}

/// Under `maglev`, most of all requests that move between others, times the root of the number of entries. Nothing that the
/// paper derives: all that was tried stays below, from 0.4 to 2.3.
const LOOSE: f64 = 2.5;

#[test]
fn what_moves_between_others_under_maglev_is_bounded_by_the_size_of_the_table() {
    let cases: [(usize, &[u32]); 4] =
        [(503, &[2, 3, 4, 5]), (1_009, &[2, 5, 9, 10]), (10_007, &[3, 20, 100]), (65_537, &[3, 5, 10, 60])];
    for (entries, sizes) in cases {
        let mut worst = 0f64;
        for &servers in sizes {
            let ring = ring_of(shape(Scheme::Maglev, entries, 0), 1..=servers);
            let slots: Vec<u64> = REQUEST_IDS.step_by(18).collect();
            let before = owners(&ring, &slots);
            for joiner in (1_000..1_015).map(RingId) {
                let mut joined = ring.clone();
                joined.place(joiner).unwrap();
                joined.set_serving(joiner, true);
                worst = worst.max(moves(&before, &owners(&joined, &slots), joiner).1);
            }
            for leaver in (1..=servers.min(15)).map(RingId) {
                let mut left = ring.clone();
                left.remove(leaver);
                worst = worst.max(moves(&before, &owners(&left, &slots), leaver).1);
            }
        }
        let loose = worst * (entries as f64).sqrt();
        println!(
            "maglev, {entries} entries: {:.2} % of all move between others, {loose:.2} / √M",
            worst * 100.0
        );
        assert!(loose < LOOSE && loose > 0.3, "{entries}: {loose}");
    }
}

/// The most that a join may move under the default scheme, as a multiple of its ideal.
const MOST: f64 = 1.1;

#[test]
fn joins_to_fresh_fleets_move_at_most_a_tenth_more_than_they_must() {
    for (slots, virtual_servers) in [(512, 9), (1024, 9), (4096, 9), (1024, 40), (100, 7)] {
        let shape = shape(Scheme::Even, slots, virtual_servers);
        let mut ring = ring_of(shape, [1]);
        let joins = (1..shape.max_servers().min(100) as u32).map(|n| join(&mut ring, RingId(n + 1)));
        let worst = joins.fold(0.0, f64::max);
        println!(
            "even, {slots} slots, {virtual_servers} virtual servers, fresh: joins move up to {worst:.3}"
        );
        assert!(worst <= MOST, "{slots} slots: {worst}");
    }
}

/// Lets a server join and tells how much it took, as a multiple of its ideal. That is all that moves: `properties.rs`.
fn join(ring: &mut Ring, id: RingId) -> f64 {
    ring.place(id).unwrap();
    ring.set_serving(id, true);
    let spread = ring.spread();
    spread[&id] * spread.len() as f64
}

/// How many of how many servers leave, the first first.
const SHRUNK: [(u32, u32); 4] = [(12, 7), (30, 7), (40, 7), (56, 50)];

#[test]
fn a_join_to_a_fleet_that_many_have_left_moves_no_more() {
    for (servers, leavers) in SHRUNK {
        let mut ring = ring_of(Shape::default(), 1..=servers);
        (1..=leavers).for_each(|id| ring.remove(RingId(id)));
        let moved = join(&mut ring, RingId(99));
        println!("even, {leavers} of {servers} have left: the next join moves {moved:.3} of its ideal");
        assert!(moved <= MOST, "{leavers} of {servers}: {moved}");
    }
}

/// How a fleet's size changes: up and down at random, or steadily from one random size to the next.
#[derive(Clone, Copy, Debug)]
enum Way {
    Wanders,
    Strides,
}

/// Slots, the fewest and most servers, how they change and how often, from how many seeds.
type Histories = (usize, usize, usize, Way, usize, u64);

/// Those of the second table of the module head.
const HISTORIES: [Histories; 7] = [
    (512, 2, 6, Way::Wanders, 1_000, 6),
    (512, 2, 6, Way::Strides, 1_000, 6),
    (512, 2, 12, Way::Wanders, 800, 4),
    (512, 2, 12, Way::Strides, 800, 4),
    (512, 2, 56, Way::Wanders, 600, 3),
    (512, 2, 56, Way::Strides, 600, 3),
    (4096, 2, 200, Way::Wanders, 260, 1),
];

#[test]
fn joins_in_random_histories_move_at_most_a_tenth_more_than_they_must() {
    for (slots, fewest, most, way, changes, seeds) in HISTORIES {
        let joins: Vec<f64> =
            (0..seeds).flat_map(|seed| wander(slots, fewest..=most, way, changes, seed)).collect();
        let worst = joins.iter().copied().fold(0.0, f64::max);
        let mean = joins.iter().sum::<f64>() / joins.len() as f64;
        println!(
            "even, {slots} slots, {fewest} to {most} servers, {way:?}: {} joins move {mean:.3} of their ideal, at most \
             {worst:.3}",
            joins.len()
        );
        assert!(
            worst <= MOST && mean <= 1.01,
            "{slots} slots, {fewest} to {most}, {way:?}: {worst}, {mean} on average"
        );
    }
}

/// The joins of one history, as multiples of their ideals. The fleet first grows to its greatest size.
fn wander(
    slots: usize,
    sizes: std::ops::RangeInclusive<usize>,
    way: Way,
    changes: usize,
    seed: u64,
) -> Vec<f64> {
    let (fewest, most) = sizes.into_inner();
    let mut draw = Draw(seed << 32);
    let mut ring = ring_of(shape(Scheme::Even, slots, 9), [1]);
    let (mut ids, mut wanted, mut is_grown) = (vec![RingId(1)], most, false);
    let mut joins = Vec::new();
    for next in 2..changes as u32 + 2 {
        if ids.len() == wanted {
            is_grown = true;
            wanted = fewest + draw.below(most - fewest + 1);
        }
        let joins_now = match way {
            _ if ids.len() <= fewest || !is_grown => true,
            Way::Wanders => ids.len() < most && draw.below(2) == 0,
            Way::Strides => ids.len() < wanted && draw.below(5) > 0,
        };
        if joins_now {
            joins.push(join(&mut ring, RingId(next)));
            ids.push(RingId(next));
        } else {
            ring.remove(ids.swap_remove(draw.below(ids.len())));
        }
    }
    joins
}
