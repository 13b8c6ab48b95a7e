//! The promises of the default scheme, measured.

use super::*;
use crate::ring::{REQUEST_IDS, Ring, Shape, Table};

/// A point of the ring: its slot and its server.
type Point = (usize, RingId);

/// The slots of the busiest server over the mean, for the servers that are not `away`. Counted from the points alone.
fn max_over_mean(points: &[Point], away: &[RingId]) -> f64 {
    let left: Vec<Point> = points.iter().copied().filter(|(_, id)| !away.contains(id)).collect();
    let mut shares = vec![0; left.iter().map(|(_, id)| id.0 as usize + 1).max().unwrap_or(0)];
    // The first arc begins at the last point.
    let mut before = left.last().map_or(0, |&(slot, _)| slot);
    for &(slot, id) in &left {
        shares[id.0 as usize] += (slot + 512 - before - 1) % 512 + 1;
        before = slot;
    }
    let servers = shares.iter().filter(|&&share| share > 0).count();
    shares.iter().max().map_or(1.0, |&most| (most * servers) as f64 / 512.0)
}

fn points(ring: &Ring) -> Vec<Point> {
    ring.taken().map(|(slot, id, _)| (slot, id)).collect()
}

/// Per slot who answers for it.
fn owners(ring: &Ring) -> Vec<Option<RingId>> {
    let Table::Slots(slots) = &ring.table else { panic!("{}", ring.shape().scheme()) };
    slots.owners().to_vec()
}

fn joined(ids: &[u32]) -> Ring {
    let mut ring = Ring::new(Shape::default());
    for &id in ids {
        ring.place(RingId(id)).unwrap();
        ring.set_serving(RingId(id), true);
    }
    ring
}

#[test]
fn six_digit_ids_spread_evenly_over_any_number_of_slots() {
    for slots in [2, 7, 512, 1000] {
        let mut counts = vec![0u32; slots];
        REQUEST_IDS.for_each(|request| counts[request_slot(request, slots)] += 1);
        let mean = 900_000.0 / slots as f64;
        // Five standard deviations of a binomial count.
        let bound = 5.0 * mean.sqrt();
        assert!(counts.iter().all(|&count| (f64::from(count) - mean).abs() < bound), "{slots} slots");
    }
}

#[test]
fn the_first_server_spreads_its_points_evenly() {
    assert_eq!(joined(&[7]).slots_of(RingId(7)).unwrap(), [0, 56, 113, 170, 227, 284, 341, 398, 455]);
}

/// The table of the module head.
#[test]
fn the_busiest_server_has_at_most_this_many_times_the_mean() {
    let bounds = [(2..=6, [1.01, 1.08, 1.21]), (7..=12, [1.08, 1.22, 1.33]), (13..=56, [1.12, 1.31, 1.56])];
    let mut ring = joined(&[1]);
    for (servers, bounds) in bounds {
        let mut worst = [0f64; 3];
        for n in servers.clone() {
            ring.place(RingId(n)).unwrap();
            let points = points(&ring);
            worst[0] = worst[0].max(max_over_mean(&points, &[]));
            for x in (1..=n).map(RingId) {
                worst[1] = worst[1].max(max_over_mean(&points, &[x]));
                for y in (1..x.0).map(RingId) {
                    worst[2] = worst[2].max(max_over_mean(&points, &[x, y]));
                }
            }
        }
        for (worst, bound) in worst.iter().zip(bounds) {
            assert!(
                *worst <= bound && *worst > bound - 0.01,
                "{servers:?}: {worst} is not just under {bound}"
            );
        }
    }
}

#[test]
fn two_to_six_servers_share_all_six_digit_ids_within_a_tenth() {
    for n in 2..=6 {
        let shares = joined(&[6, 5, 4, 3, 2, 1][..n]).shares(REQUEST_IDS);
        let most = *shares.values().max().unwrap() as f64;
        assert!(most * n as f64 / 900_000.0 <= 1.02, "{n} servers: {shares:?}");
    }
}

/// So whatever is measured for one order of joining holds for every other.
#[test]
fn only_positions_count_and_not_ids_or_their_order() {
    fn orders(ring: &Ring, left: &[u32], expected: &[Vec<usize>]) -> usize {
        let Some((slots, later)) = expected.split_first() else {
            return 1;
        };
        let mut complete = 0;
        for &id in left {
            let mut ring = ring.clone();
            assert_eq!(ring.place(RingId(id)).unwrap(), slots, "server {id} of {left:?}");
            let left: Vec<u32> = left.iter().copied().filter(|&other| other != id).collect();
            complete += orders(&ring, &left, later);
        }
        complete
    }
    let ids = [1, 2, 3, 4, 5, 6];
    let ring = joined(&ids);
    let expected: Vec<Vec<usize>> =
        ids.iter().map(|&id| ring.slots_of(RingId(id)).unwrap().to_vec()).collect();
    assert_eq!(orders(&Ring::new(Shape::default()), &ids, &expected), 720);

    let odd = [3744, u32::MAX, 0, 513, 12, 3742];
    let ring = joined(&odd);
    assert!(odd.iter().zip(&expected).all(|(&id, slots)| ring.slots_of(RingId(id)).unwrap() == slots));
}

#[test]
fn a_joiner_takes_its_share_and_nothing_else_moves() {
    let mut ring = joined(&[1]);
    for n in 2..=56 {
        let joiner = RingId(n);
        let before = owners(&ring);
        ring.place(joiner).unwrap();
        ring.set_serving(joiner, true);
        let after = owners(&ring);
        let moved = before.iter().zip(&after).filter(|(old, new)| old != new);
        let taken = moved.inspect(|(_, new)| assert_eq!(**new, Some(joiner))).count();
        assert!(taken as f64 <= 1.1 * 512.0 / f64::from(n), "server {n} took {taken} slots");
    }
}

#[test]
fn a_server_that_is_away_leaves_only_its_own_slots_to_all_the_others() {
    for n in 2..=6 {
        let ids: Vec<u32> = (1..=n).collect();
        for &id in &ids {
            let mut ring = joined(&ids);
            let before = owners(&ring);
            ring.set_serving(RingId(id), false);
            let mut heirs: BTreeMap<RingId, f64> = BTreeMap::new();
            for (old, new) in before.iter().zip(&owners(&ring)) {
                assert!(old == new || *old == Some(RingId(id)));
                if old != new {
                    *heirs.entry(new.unwrap()).or_default() += 1.0;
                }
            }
            let even = heirs.values().sum::<f64>() / f64::from(n - 1);
            assert_eq!(heirs.len(), n as usize - 1, "{n} servers, {id} away: everyone inherits");
            assert!(heirs.values().all(|&slots| slots <= 1.5 * even), "{n} servers, {id} away: {heirs:?}");
        }
    }
}

/// The fewest and most servers of the histories, and the worst after a join, after a leave, and the mean of all moments.
const HISTORIES: [(usize, usize, [f64; 3]); 3] =
    [(2, 6, [1.08, 1.50, 1.04]), (1, 6, [1.25, 1.60, 1.05]), (5, 15, [1.12, 1.68, 1.09])];

/// The second table of the module head.
#[test]
fn joins_even_out_what_leaves_have_left() {
    for (fewest, most, bounds) in HISTORIES {
        let (mut after_join, mut after_leave, mut moments) = (0f64, 0f64, Vec::new());
        for seed in 0..12u64 {
            let mut random = mix(seed);
            let mut draw = |below: usize| {
                random = mix(random);
                (random % below as u64) as usize
            };
            let mut ring = joined(&[1, 2]);
            let mut ids = vec![1, 2];
            for next in 3..1_000 {
                let joins = ids.len() <= fewest || (ids.len() < most && draw(2) == 0);
                if joins {
                    ring.place(RingId(next)).unwrap();
                    ids.push(next);
                } else {
                    ring.remove(RingId(ids.swap_remove(draw(ids.len()))));
                }
                let busiest = max_over_mean(&points(&ring), &[]);
                let worst = if joins { &mut after_join } else { &mut after_leave };
                *worst = worst.max(busiest);
                moments.push(busiest);
            }
        }
        let mean = moments.iter().sum::<f64>() / moments.len() as f64;
        println!("{fewest} to {most}: {after_join:.3} {after_leave:.3} {mean:.3}");
        for (measured, bound) in [after_join, after_leave, mean].into_iter().zip(bounds) {
            assert!(
                measured <= bound && measured > bound - 0.01,
                "{fewest} to {most} servers: {measured}, not {bound}"
            );
        }
    }
}

#[test]
fn every_join_succeeds_while_there_is_room() {
    for (slots, virtual_servers) in [(2, 1), (2, 2), (7, 2), (10, 3), (64, 1), (64, 9), (256, 30), (1000, 7)]
    {
        let shape = Shape::new(crate::ring::Scheme::Even, slots, virtual_servers).unwrap();
        let mut ring = Ring::new(shape);
        for id in (1..=shape.max_servers() as u32).map(RingId) {
            ring.place(id).unwrap();
        }
        assert_eq!(ring.taken().count(), shape.max_servers() * virtual_servers);
        assert!(ring.place(RingId(u32::MAX)).is_err());
    }
}

/// The draft changes its figures cut by cut; counting afresh must give the same ones.
#[test]
fn bookkeeping_agrees_with_a_recount() {
    let agree = |draft: &mut Draft| {
        let kept = (draft.shares.clone(), std::mem::take(&mut draft.inheritances));
        draft.recount();
        assert_eq!(kept.0, draft.shares);
        assert_eq!(kept.1, draft.inheritances);
    };
    for seed in 0..200 {
        let slots = 20 + (mix(seed) % 60) as usize;
        let servers = 1 + seed as u32 % 4;
        let seat = |slot: usize| (slot, RingId(mix(seed * 1000 + slot as u64) as u32 % servers));
        let taken: Vec<Point> =
            (0..slots).filter(|&slot| mix(slot as u64 ^ seed << 20).is_multiple_of(4)).map(seat).collect();
        if taken.is_empty() {
            continue;
        }
        let mut draft = Draft::new(&taken, slots);
        let mut seats = Vec::new();
        for width in [3, 1, 6, 2] {
            let cut = draft.best_cut(width, REACH, i64::MAX).unwrap();
            seats.push(draft.seat(cut));
            agree(&mut draft);
        }
        for slot in seats {
            draft.unseat(slot);
            agree(&mut draft);
        }
    }
}

#[test]
fn the_lowest_price_is_found_without_trying_every_width() {
    for seed in 0..3_000 {
        let draw = |salt: u64, below: u64| (mix(seed * 7 + salt) % below) as i64;
        let price = Price { square: draw(1, 6), linear: draw(2, 401) - 200, fixed: draw(3, 99) };
        // Without a square there is no slope either: what nobody pays for is the same at any width.
        let price = if price.square == 0 { Price { linear: 0, ..price } } else { price };
        let least = draw(4, 40) + 1;
        let most = least + draw(5, 40);
        let tried = (least..=most).min_by_key(|&width| price.at(width)).unwrap();
        assert_eq!(price.lowest(least, most), tried);
    }
}
