//! Anyone, by chance in proportion to weight.

use super::loads::Loads;
use crate::ring::RingId;

pub(super) fn choose(loads: &Loads, tried: &[RingId]) -> Option<RingId> {
    loads.draw(tried).map(|load| load.id)
}
