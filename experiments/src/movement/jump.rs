//! Jump consistent hashing, for comparison: John Lamping and Eric Veach, "A Fast, Minimal Memory, Consistent Hash
//! Algorithm" (2014), the algorithm of section 3.

/// The bucket of a key among so many; 0 where there are none.
pub fn jump(mut key: u64, buckets: usize) -> usize {
    let (mut bucket, mut next) = (0, 0);
    while next < buckets as u64 {
        bucket = next;
        key = key.wrapping_mul(2_862_933_555_777_941_757).wrapping_add(1);
        // In the paper's order: the last bits depend on it.
        next = ((bucket + 1) as f64 * ((1u64 << 31) as f64 / ((key >> 33) + 1) as f64)) as u64;
    }
    bucket as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_buckets() {
        for (key, buckets, bucket) in [
            (10_863_919_174_838_991, 11, 6),
            (2_016_238_256_797_177_309, 11, 3),
            (1_673_758_223_894_951_030, 11, 5),
            (2, 100_001, 80_343),
            (2201, 100_001, 22_152),
            (2202, 100_001, 15_018),
            (7, 1, 0),
        ] {
            assert_eq!(jump(key, buckets), bucket, "{key} of {buckets}");
        }
    }

    #[test]
    fn a_new_bucket_takes_its_part_and_nothing_else_moves() {
        let moved = (0..10_000).filter(|&key| jump(key, 9) != jump(key, 10));
        let moved: Vec<u64> = moved.collect();
        assert!(moved.iter().all(|&key| jump(key, 10) == 9));
        assert!((900..1100).contains(&moved.len()), "{}", moved.len());
    }
}
