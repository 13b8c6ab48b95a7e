//! The owner of the request's key.

use crate::ring::{REQUEST_IDS, Ring, RingId};

/// The id of a request that brings none of its own: a random six-digit number, as the statement has it.
pub fn random_request_id() -> u64 {
    fastrand::u64(REQUEST_IDS)
}

/// The serving replica that owns `request`, or, when that one was tried already, the next one clockwise that was not.
/// Going on clockwise means that the keys of a dead replica go where the ring will send them once it has left. (Not so
/// under `maglev`, whose table has no next one: there the retry and the table differ.)
pub(super) fn choose(ring: &Ring, request: u64, tried: &[RingId]) -> Option<RingId> {
    if tried.is_empty() {
        return ring.owner(request);
    }
    ring.walk(request).find(|id| !tried.contains(id))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ring::Shape;

    fn ring_of(ids: &[u32]) -> Ring {
        let mut ring = Ring::new(Shape::default());
        for &id in ids {
            ring.place(RingId(id)).unwrap();
            ring.set_serving(RingId(id), true);
        }
        ring
    }

    #[test]
    fn request_ids_have_six_digits() {
        for _ in 0..10_000 {
            assert_eq!(random_request_id().to_string().len(), 6);
        }
    }

    #[test]
    fn each_retry_meets_a_replica_that_was_not_tried_until_none_is_left() {
        let ring = ring_of(&[1, 2, 3, 4]);
        for request in REQUEST_IDS.step_by(997) {
            let mut tried = Vec::new();
            while let Some(next) = choose(&ring, request, &tried) {
                assert!(!tried.contains(&next));
                tried.push(next);
            }
            assert_eq!(tried.len(), 4);
            assert_eq!(Some(tried[0]), ring.owner(request));
        }
    }

    #[test]
    fn the_second_choice_is_where_the_key_goes_when_the_first_leaves() {
        let ring = ring_of(&[1, 2, 3, 4]);
        for request in REQUEST_IDS.step_by(997) {
            let first = ring.owner(request).unwrap();
            let mut without = ring_of(&[1, 2, 3, 4]);
            without.set_serving(first, false);
            assert_eq!(choose(&ring, request, &[first]), without.owner(request));
        }
    }

    #[test]
    fn an_empty_ring_chooses_nobody() {
        assert_eq!(choose(&ring_of(&[]), 123_456, &[]), None);
        assert_eq!(choose(&ring_of(&[]), 123_456, &[RingId(1)]), None);
    }
}
