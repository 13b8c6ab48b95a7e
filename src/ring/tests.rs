//! The ring as a whole, under both schemes, against an oracle that scans.

use super::*;

const SCHEMES: [Scheme; 3] =
    [Scheme::Even, Scheme::Statement(Probing::Linear), Scheme::Statement(Probing::Quadratic)];

fn ring(scheme: Scheme, slots: usize, virtual_servers: usize, ids: &[u32]) -> Ring {
    let mut ring = Ring::new(Shape::new(scheme, slots, virtual_servers).unwrap());
    for &id in ids {
        ring.place(RingId(id)).unwrap();
        ring.set_serving(RingId(id), true);
    }
    ring
}

/// A ring as a bare list of (slot, server) and of who serves.
#[derive(Default)]
struct Oracle {
    seats: Vec<(usize, RingId)>,
    serving: Vec<RingId>,
}

impl Oracle {
    fn walk(&self, start: usize, slots: usize) -> Vec<RingId> {
        let mut met = Vec::new();
        for step in 0..slots {
            for &(slot, id) in &self.seats {
                if slot == (start + step) % slots && self.serving.contains(&id) && !met.contains(&id) {
                    met.push(id);
                }
            }
        }
        met
    }
}

/// Numbers that look random and are the same in every run (a linear congruential generator, its upper bits).
struct Draw(u64);

impl Draw {
    fn below(&mut self, bound: u32) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as u32 % bound
    }
}

#[test]
fn random_histories_agree_with_a_scan() {
    for (scheme, seed) in SCHEMES.into_iter().zip(1..) {
        let (slots, virtual_servers) = (40, 4);
        let mut ring = Ring::new(Shape::new(scheme, slots, virtual_servers).unwrap());
        let mut oracle = Oracle::default();
        let mut draw = Draw(seed);
        let mut refused = 0;
        for _ in 0..600 {
            let id = RingId(draw.below(12));
            match draw.below(4) {
                0 => {
                    let placed = ring.slots_of(id).is_some();
                    match ring.place(id) {
                        Ok(found) => {
                            assert!(!placed && found.len() == virtual_servers);
                            oracle.seats.extend(found.iter().map(|&slot| (slot, id)));
                        }
                        Err(_) => refused += 1,
                    }
                }
                1 => {
                    ring.remove(id);
                    oracle.seats.retain(|&(_, other)| other != id);
                    oracle.serving.retain(|&other| other != id);
                }
                2 => {
                    ring.set_serving(id, false);
                    oracle.serving.retain(|&other| other != id);
                }
                _ => {
                    ring.set_serving(id, true);
                    let placed = oracle.seats.iter().any(|&(_, other)| other == id);
                    if placed && !oracle.serving.contains(&id) {
                        oracle.serving.push(id);
                    }
                }
            }
            let mut seats: Vec<_> = ring.taken().map(|(slot, id, _)| (slot, id)).collect();
            assert!(seats.is_sorted_by(|a, b| a.0 < b.0), "ascending, and no slot is taken twice");
            oracle.seats.sort();
            seats.sort();
            assert_eq!(seats, oracle.seats);
            for request in 0..50 {
                let expected = oracle.walk(ring.slot_of(request), slots);
                assert_eq!(ring.walk(request).collect::<Vec<_>>(), expected);
                assert_eq!(ring.owner(request), expected.first().copied());
            }
        }
        assert!(refused > 0, "{scheme}: the history never met a full ring or a placed server");
    }
}

#[test]
fn equal_histories_give_equal_rings() {
    for scheme in SCHEMES {
        let run = || {
            let mut ring = ring(scheme, 512, 9, &[5, 1, 9]);
            ring.remove(RingId(1));
            ring.place(RingId(2)).unwrap();
            ring
        };
        assert_eq!(run(), run());
    }
}

#[test]
fn restoring_recorded_slots_gives_the_same_ring() {
    for scheme in SCHEMES {
        let mut original = ring(scheme, 512, 9, &[1, 2, 3, 4]);
        original.remove(RingId(2));
        let mut restored = Ring::new(original.shape());
        // In another order than they joined, as a fleet is found after a restart.
        for id in [4, 1, 3].map(RingId) {
            restored.restore(id, original.slots_of(id).unwrap(), Weight::ONE).unwrap();
            assert_eq!(
                restored.owner(7).is_some(),
                id != RingId(4),
                "restored servers do not serve by themselves"
            );
            restored.set_serving(id, true);
        }
        assert_eq!(restored, original);
    }
}

#[test]
fn removing_frees_the_slots_of_that_server_alone() {
    for scheme in SCHEMES {
        let mut ring = ring(scheme, 512, 9, &[1, 10, 11, 100]);
        let before: Vec<_> = ring.taken().filter(|&(_, id, _)| id != RingId(1)).collect();
        ring.remove(RingId(1));
        assert_eq!(ring.taken().collect::<Vec<_>>(), before);
        assert_eq!(ring.slots_of(RingId(1)), None);
        let unchanged = ring.clone();
        ring.remove(RingId(1));
        ring.remove(RingId(7));
        ring.set_serving(RingId(7), true);
        assert_eq!(ring, unchanged, "unknown servers are none to change");
    }
}

/// Removing by hashing again would free the wrong slots: a server that probed past another one on its way in finds
/// that slot free once the other is gone.
#[test]
fn removing_does_not_depend_on_who_left_before() {
    let mut ring = ring(Scheme::Statement(Probing::Linear), 512, 9, &[1, 513, 1025]);
    assert_ne!(
        ring.slots_of(RingId(513)).unwrap()[0],
        26,
        "513 has the home slots of 1 and probed past them"
    );
    ring.remove(RingId(1));
    ring.remove(RingId(513));
    assert_eq!(ring.taken().filter(|&(_, id, _)| id == RingId(1025)).count(), 9);
    assert_eq!(ring.taken().count(), 9);
}

#[test]
fn refusals_name_the_value_and_change_nothing() {
    let mut ring = ring(Scheme::Even, 16, 3, &[1]);
    let slots = ring.slots_of(RingId(1)).unwrap().to_vec();
    assert_eq!(slots, [0, 5, 10]);
    let before = ring.clone();
    let cases: [(u32, &[usize], &str); 6] = [
        (1, &[1, 2, 3], "server 1 is on the ring already, on slots [0, 5, 10]"),
        (2, &[1, 2], "server 2: 2 slots given, but it has 3"),
        (2, &[1, 2, 3, 4], "server 2: 4 slots given, but it has 3"),
        (2, &[1, 2, 16], "server 2, virtual server 2: slot 16 is not on a ring of 16 slots"),
        (2, &[1, 2, 1], "server 2, virtual server 2: slot 1 is listed twice"),
        (2, &[1, 5, 2], "server 2, virtual server 1: slot 5 is taken by server 1"),
    ];
    for (id, slots, message) in cases {
        assert_eq!(ring.restore(RingId(id), slots, Weight::ONE).unwrap_err().to_string(), message);
        assert_eq!(ring, before);
    }
    assert_eq!(ring.place(RingId(1)).unwrap_err().to_string(), cases[0].2);
    assert_eq!(ring, before);
}

#[test]
fn a_full_ring_says_how_full_it_is() {
    let mut ring = ring(Scheme::Even, 16, 3, &[1, 2, 3, 4, 5]);
    let before = ring.clone();
    assert_eq!(
        ring.place(RingId(6)).unwrap_err().to_string(),
        "server 6, virtual server 1: no free slot left, 15 of 16 slots are taken and 3 are needed"
    );
    assert_eq!(ring, before);
}

#[test]
fn an_empty_ring_has_no_owner_and_a_walk_of_nobody() {
    let mut ring = Ring::new(Shape::default());
    assert_eq!(ring.owner(1), None);
    assert_eq!(ring.walk(1).next(), None);
    ring.place(RingId(1)).unwrap();
    assert_eq!(ring.owner(1), None, "placed, but not serving");
    assert_eq!(ring.walk(1).next(), None);
    assert!(ring.shares(REQUEST_IDS.take(10)).is_empty());
    ring.set_serving(RingId(1), true);
    assert_eq!(ring.owner(1), Some(RingId(1)));
    assert_eq!(ring.shares(REQUEST_IDS.take(10)), BTreeMap::from([(RingId(1), 10)]));
}

#[test]
fn a_walk_goes_from_the_own_slot_once_around_to_the_slot_before() {
    // Request 12,798 starts at slot 17.
    let mut ring = Ring::new(Shape::new(Scheme::Statement(Probing::Linear), 512, 1).unwrap());
    for (id, slot) in [(1, 16), (2, 17), (3, 511), (4, 0)] {
        ring.restore(RingId(id), &[slot], Weight::ONE).unwrap();
        ring.set_serving(RingId(id), true);
    }
    assert_eq!(ring.walk(12_798).collect::<Vec<_>>(), [2, 3, 4, 1].map(RingId));
}

#[test]
fn shares_count_what_owners_answer() {
    let mut ring = ring(Scheme::Statement(Probing::Linear), 512, 9, &[1, 2, 3]);
    ring.set_serving(RingId(2), false);
    let shares = ring.shares(1000..3000);
    assert_eq!(shares.keys().copied().collect::<Vec<_>>(), [RingId(1), RingId(3)]);
    for (id, count) in shares {
        assert_eq!(count, (1000..3000).filter(|&request| ring.owner(request) == Some(id)).count() as u64);
    }
}

#[test]
fn a_server_without_requests_is_listed_with_none() {
    // One slot each: the slots of servers 2 and 3 lie where the two requests do not arrive.
    let mut ring = Ring::new(Shape::new(Scheme::Statement(Probing::Linear), 512, 1).unwrap());
    for (id, slot) in [(1, 17), (2, 18), (3, 19)] {
        ring.restore(RingId(id), &[slot], Weight::ONE).unwrap();
        ring.set_serving(RingId(id), true);
    }
    let expected = BTreeMap::from([(RingId(1), 2), (RingId(2), 0), (RingId(3), 0)]);
    assert_eq!(ring.shares([12_798, 12_800].into_iter()), expected);
}

#[test]
fn a_lookup_table_has_an_entry_for_each_server_or_refuses_it() {
    let mut ring = Ring::new(Shape::new(Scheme::Maglev, 101, 0).unwrap());
    for id in (1..=101).map(RingId) {
        ring.place(id).unwrap();
        ring.set_serving(id, true);
    }
    assert_eq!(ring.walk(5).count(), 101);
    let before = ring.clone();
    let error = ring.place(RingId(102)).unwrap_err().to_string();
    assert_eq!(error, "server 102: 101 servers have taken all 101 entries of the table");
    assert_eq!(ring, before);
}

#[test]
fn a_ring_of_points_refuses_more_than_it_may_have() {
    let mut ring = Ring::new(Shape::new(Scheme::Ketama, 0, 1024).unwrap());
    let heaviest = Weight::new(Weight::MAX).unwrap();
    ring.place_weighted(RingId(1), heaviest).unwrap();
    ring.place_weighted(RingId(2), heaviest).unwrap();
    let before = ring.clone();
    let error = ring.place_weighted(RingId(3), heaviest).unwrap_err().to_string();
    assert_eq!(error, "server 3: its 102400 points and the 204800 of others are more than 262144");
    assert_eq!(ring, before);
    ring.place(RingId(3)).unwrap();
}
