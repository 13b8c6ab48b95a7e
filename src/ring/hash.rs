//! The one hash function behind every scheme but the statement's: the same on every machine, whatever its byte order
//! and word size, and never seeded by chance. Balancers that are to agree on owners must agree on it.
//!
//! It is no secret. Whoever may choose routing keys can choose ones that all belong to the same replica, under this
//! function as under any that is known; bounded loads (policy `hash-bounded`) are the remedy.

/// splitmix64 with `n` as its seed: neighbouring numbers come out unrelated, and different ones different. The constants
/// are those of Sebastiano Vigna's public-domain `splitmix64.c`, after Steele, Lea and Flood, "Fast Splittable
/// Pseudorandom Number Generators", 2014.
pub(super) fn mix(n: u64) -> u64 {
    let mut z = n.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// A number below `bound` for one that is spread over all of 64 bits: multiplied and shifted, because a remainder would
/// cost a division (Daniel Lemire, "Fast Random Integer Generation in an Interval", 2019).
pub(super) fn scale(spread: u64, bound: usize) -> usize {
    ((u128::from(spread) * bound as u128) >> 64) as usize
}

/// The request id that stands for a routing key of any length: FNV-1a, 64 bits, with the offset and prime of its authors
/// (Fowler, Noll, Vo; RFC 9923). What it lacks in mixing is added when the id is hashed.
pub fn key_id(key: &[u8]) -> u64 {
    key.iter().fold(0xCBF2_9CE4_8422_2325, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mix_is_splitmix64() {
        // The first outputs of the generator for the seeds 0 and 1234567.
        assert_eq!(mix(0), 0xE220_A839_7B1D_CDAF);
        assert_eq!(mix(1_234_567), 6_457_827_717_110_365_317);
    }

    #[test]
    fn key_id_is_fnv_1a() {
        // From the authors' test vectors.
        for (key, id) in
            [("", 0xcbf2_9ce4_8422_2325_u64), ("a", 0xaf63_dc4c_8601_ec8c), ("foobar", 0x8594_4171_f739_67e8)]
        {
            assert_eq!(key_id(key.as_bytes()), id, "{key}");
        }
    }

    #[test]
    fn scaled_numbers_are_below_the_bound_and_reach_all_of_it() {
        for bound in [1, 2, 7, 512, 65_537] {
            assert_eq!(scale(0, bound), 0);
            assert_eq!(scale(u64::MAX, bound), bound - 1);
        }
    }
}
