//! The hash functions of the original course statement, exact.
//!
//! `H(i) = i² + 2i + 17` is the slot of request `i`, `Φ(i, j) = i² + j² + 2j + 25` the slot of virtual server `j` of
//! server `i`, both taken modulo the number of slots; a taken slot sends a virtual server probing for a free one.
//!
//! They are kept because people compare against them, and are not the default because they spread load badly.
//! `H(i) = (i + 1)² + 16` is a square plus a constant, and of 512 slots only 87 are such numbers: 425 slots never
//! see a request, while slot 80 alone gets one in sixteen. `Φ` puts the virtual servers of one server at distances
//! 1, 4, 9, … from one another's start: one cluster per server instead of a spread. The three servers 1, 2, 3 end
//! up with 84 %, 5 % and 11 % of the load.
//!
//! All arithmetic is modular from the start, so that no request id is too big for it.

use super::{Probing, RingId};
use std::ops::Range;

/// `H`: the slot of a request.
pub(super) fn request_slot(request: u64, slots: usize) -> usize {
    let slots = slots as u64;
    let i = request % slots;
    ((i * i + 2 * i + 17) % slots) as usize
}

/// `Φ`: the slot that virtual server `j` of server `id` would like to have.
pub(super) fn home_slot(id: RingId, j: usize, slots: usize) -> usize {
    let slots = slots as u64;
    let (i, j) = (u64::from(id.0) % slots, j as u64 % slots);
    ((i * i + j * j + 2 * j + 25) % slots) as usize
}

/// A virtual server for which probing found no free slot.
#[derive(PartialEq, Eq, Debug)]
pub(super) struct NoFreeSlot {
    pub(super) j: usize,
    pub(super) home: usize,
}

/// A free slot for each virtual server `js` of `id`, in that order; the slots of earlier ones being taken
/// for later ones. `taken` has an entry for every slot of the ring.
///
/// The statement counts virtual servers from 0; some of its implementations count from 1, hence the range.
pub(super) fn find_slots(
    probing: Probing,
    id: RingId,
    js: Range<usize>,
    mut taken: Vec<bool>,
) -> Result<Vec<usize>, NoFreeSlot> {
    let slots = taken.len();
    let mut found = Vec::with_capacity(js.len());
    for j in js {
        let home = home_slot(id, j, slots);
        // Both kinds of steps repeat after `slots` of them (k + slots and k lead to one slot), so whoever has not
        // found a free slot by then never will. Quadratic steps reach few slots and can miss every free one.
        let slot = (0..slots)
            .map(|k| match probing {
                Probing::Linear => (home + k) % slots,
                Probing::Quadratic => ((home as u64 + k as u64 * k as u64) % slots as u64) as usize,
            })
            .find(|&slot| !taken[slot])
            .ok_or(NoFreeSlot { j, home })?;
        taken[slot] = true;
        found.push(slot);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ring::{REQUEST_IDS, Ring, Scheme, Shape, Weight};

    const SLOTS: usize = 512;

    fn ring(probing: Probing, servers: u32, js: Range<usize>) -> Ring {
        let mut ring = Ring::new(Shape::new(Scheme::Statement(probing), SLOTS, js.len()).unwrap());
        for id in (1..=servers).map(RingId) {
            let mut taken = vec![false; SLOTS];
            ring.taken().for_each(|(slot, _, _)| taken[slot] = true);
            ring.restore(id, &find_slots(probing, id, js.clone(), taken).unwrap(), Weight::ONE).unwrap();
            ring.set_serving(id, true);
        }
        ring
    }

    fn percentages(ring: &Ring) -> Vec<String> {
        let shares = ring.shares(REQUEST_IDS);
        let total: u64 = shares.values().sum();
        assert_eq!(total, 900_000);
        shares.values().map(|&count| format!("{:.2}", count as f64 * 100.0 / total as f64)).collect()
    }

    #[test]
    fn h_has_the_known_answers() {
        for (request, slot) in
            [(1012, 137), (234_280, 161), (234, 457), (12, 185), (12_798, 17), (12_800, 17)]
        {
            assert_eq!(request_slot(request, SLOTS), slot, "H({request})");
        }
    }

    #[test]
    fn phi_has_the_known_answers() {
        let slots: Vec<_> = (0..9).map(|j| home_slot(RingId(4321), j, SLOTS)).collect();
        assert_eq!(slots, [474, 477, 482, 489, 498, 509, 10, 25, 42]);
    }

    #[test]
    fn no_id_is_too_big_for_either_function() {
        for slots in [2, 512, 1000, 65_521, 65_536] {
            let wide = slots as u128;
            for i in [0, 1, u64::from(u32::MAX), u64::MAX - 1, u64::MAX] {
                let r = u128::from(i) % wide;
                assert_eq!(request_slot(i, slots) as u128, (r * r + 2 * r + 17) % wide, "H({i}) mod {slots}");
            }
            for (i, j) in [(0, 0), (1, 65_535), (u32::MAX, 65_535)] {
                let (wide_i, wide_j) = (u128::from(i), j as u128);
                let phi = (wide_i * wide_i + wide_j * wide_j + 2 * wide_j + 25) % wide;
                assert_eq!(home_slot(RingId(i), j, slots) as u128, phi, "Φ({i}, {j}) mod {slots}");
            }
        }
    }

    #[test]
    fn three_servers_sit_where_the_statement_puts_them() {
        let mut ring = Ring::new(Shape::new(Scheme::Statement(Probing::Linear), SLOTS, 9).unwrap());
        for id in [1, 2, 3].map(RingId) {
            ring.place(id).unwrap();
        }
        let pairs: Vec<String> = ring.taken().map(|(slot, id, _)| format!("{slot}:{id}")).collect();
        assert_eq!(
            pairs.join(" "),
            "26:1 29:1 30:2 32:2 34:1 35:3 37:2 38:3 41:1 42:3 44:2 49:3 50:1 53:2 58:3 61:1 64:2 69:3 74:1 77:2 \
             82:3 89:1 92:2 97:3 106:1 109:2 114:3"
        );
    }

    #[test]
    fn shares_of_all_six_digit_ids_are_those_of_the_statement() {
        let rows: [(u32, &[&str], &[&str]); 5] = [
            (2, &["95.31", "4.69"], &["95.31", "4.69"]),
            (3, &["84.37", "4.69", "10.94"], &["83.59", "4.69", "11.72"]),
            (4, &["82.03", "4.69", "10.16", "3.12"], &["80.47", "4.69", "10.94", "3.91"]),
            (5, &["79.69", "3.12", "9.38", "3.12", "4.69"], &["76.56", "4.69", "9.38", "3.91", "5.47"]),
            (
                6,
                &["78.91", "3.12", "9.38", "3.12", "4.69", "0.78"],
                &["72.66", "4.69", "9.38", "3.91", "5.47", "3.91"],
            ),
        ];
        for (servers, from_zero, from_one) in rows {
            assert_eq!(
                percentages(&ring(Probing::Linear, servers, 0..9)),
                from_zero,
                "N = {servers}, j = 0..8"
            );
            assert_eq!(
                percentages(&ring(Probing::Linear, servers, 1..10)),
                from_one,
                "N = {servers}, j = 1..9"
            );
        }
    }

    #[test]
    fn requests_reach_87_slots_of_512_and_one_of_them_takes_a_sixteenth() {
        let mut counts = [0u64; SLOTS];
        REQUEST_IDS.for_each(|request| counts[request_slot(request, SLOTS)] += 1);
        assert_eq!(counts.iter().filter(|&&count| count > 0).count(), 87);
        assert_eq!(format!("{:.2}", counts[80] as f64 / 9_000.0), "6.25");
    }

    #[test]
    fn large_ids_fare_no_better() {
        let mut ring = Ring::new(Shape::new(Scheme::Statement(Probing::Linear), SLOTS, 9).unwrap());
        for id in [3742, 3743, 3744].map(RingId) {
            ring.place(id).unwrap();
            ring.set_serving(id, true);
        }
        // 31.3 / 37.5 / 31.3 % when rounded: the exact shares are 5, 6 and 5 sixteenths, of an id count that is no
        // multiple of 512.
        for (count, sixteenths) in ring.shares(REQUEST_IDS).into_values().zip([5.0, 6.0, 5.0]) {
            assert!((count as f64 / 900_000.0 - sixteenths / 16.0).abs() < 0.000_05, "{count}");
        }
    }

    #[test]
    fn linear_probing_fills_the_ring_and_quadratic_gives_up_at_40_servers() {
        let fill = |probing| {
            let mut ring = Ring::new(Shape::new(Scheme::Statement(probing), SLOTS, 9).unwrap());
            (1..).map(RingId).find_map(|id| {
                let before = ring.clone();
                let error = ring.place(id).err()?;
                assert_eq!(ring, before, "a failed join changes nothing");
                Some((id.0, error.to_string()))
            })
        };
        let (id, error) = fill(Probing::Linear).unwrap();
        assert_eq!(id, 57);
        let home = home_slot(RingId(57), 8, SLOTS);
        assert_eq!(
            error,
            format!(
                "server 57, virtual server 8: linear probing from slot {home} finds no free slot, 512 of 512 slots are taken"
            )
        );
        let (id, error) = fill(Probing::Quadratic).unwrap();
        assert_eq!(id, 40);
        assert!(error.starts_with("server 40, virtual server "), "{error}");
        assert!(error.contains("quadratic probing from slot "), "{error}");
    }

    #[test]
    fn probing_steps_are_one_apart_or_squares() {
        // On a ring of 10, server 0 wants slot 25 mod 10 = 5 with its first virtual server.
        let with_taken = |slots: &[usize]| (0..10).map(|slot| slots.contains(&slot)).collect::<Vec<_>>();
        let find = |probing, taken: &[usize]| find_slots(probing, RingId(0), 0..1, with_taken(taken));
        assert_eq!(find(Probing::Linear, &[]), Ok(vec![5]));
        assert_eq!(find(Probing::Linear, &[5, 6, 7, 8, 9]), Ok(vec![0]));
        assert_eq!(find(Probing::Linear, &[5, 6, 7, 8, 9, 0, 1, 2, 3]), Ok(vec![4]), "the last step of all");
        assert_eq!(find(Probing::Quadratic, &[5]), Ok(vec![6]));
        assert_eq!(find(Probing::Quadratic, &[5, 6]), Ok(vec![9]));
        // Squares end in 0, 1, 4, 5, 6 or 9: slots 2, 3, 7 and 8 are out of reach from 5.
        assert_eq!(find(Probing::Quadratic, &[5, 6, 9, 4, 1, 0]), Err(NoFreeSlot { j: 0, home: 5 }));
        assert_eq!(find(Probing::Linear, &[5, 6, 9, 4, 1, 0]), Ok(vec![7]));
    }
}
