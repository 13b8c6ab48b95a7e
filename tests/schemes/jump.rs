//! Why jump consistent hashing is not among the schemes (Lamping and Veach, "A Fast, Minimal Memory, Consistent Hash
//! Algorithm", 2014).
//!
//! It gives keys to buckets 0 to N - 1, evenly and without a table, and growth by one moves one key in N + 1. But buckets
//! have numbers, not names: only the last can go. When another server goes, those behind it move up, and their keys with
//! them. Measured for 10 servers, of all keys, those that move although their server stays:
//!
//! | the one that goes | jump, others move up | jump, the last takes its number | what is needed |
//! |---|---|---|---|
//! | 1st | 88.9 % | 8.9 % | 0 |
//! | 5th | 48.9 % | 8.9 % | 0 |
//! | 10th | 0 | 0 | 0 |
//!
//! To give the last one the number that is free is the better way, but it doubles the movement, and who has which number
//! is then a matter of history. Here servers die in any order, so neither will do.

use ringmaster::ring::REQUEST_IDS;

/// The paper's figure 1, to the letter.
fn jump_consistent_hash(mut key: u64, num_buckets: i32) -> i32 {
    let (mut b, mut j) = (-1i64, 0i64);
    while j < i64::from(num_buckets) {
        b = j;
        key = key.wrapping_mul(2_862_933_555_777_941_757).wrapping_add(1);
        j = ((b + 1) as f64 * ((1i64 << 31) as f64 / ((key >> 33) + 1) as f64)) as i64;
    }
    b as i32
}

/// From the documentation of the crate `jump-consistent-hash` 0.1.0 (the first three) and the tests of the Go package
/// `lithammer/go-jump-consistent-hash`.
#[test]
fn it_is_the_one_that_others_have() {
    let known = [
        (0, 60, 0),
        (1, 60, 55),
        (2, 60, 46),
        (1, 1, 0),
        (42, 57, 43),
        (0xDEAD_10CC, 1, 0),
        (0xDEAD_10CC, 666, 361),
        (256, 1024, 520),
    ];
    for (key, buckets, bucket) in known {
        assert_eq!(jump_consistent_hash(key, buckets), bucket, "{key} among {buckets}");
    }
}

#[test]
fn its_balance_is_as_good_as_chance_and_growth_moves_one_in_n() {
    for buckets in [3, 10, 50] {
        let mut counts = vec![0u32; buckets as usize];
        let mut moved = 0u32;
        for key in REQUEST_IDS {
            let (before, after) =
                (jump_consistent_hash(key, buckets), jump_consistent_hash(key, buckets + 1));
            counts[before as usize] += 1;
            moved += u32::from(before != after);
            assert!(after == before || after == buckets, "{key}: only to the new one");
        }
        let (mean, ideal) = (900_000.0 / f64::from(buckets), 900_000.0 / f64::from(buckets + 1));
        // Five standard deviations of a binomial count.
        assert!(
            counts.iter().all(|&count| (f64::from(count) - mean).abs() < 5.0 * mean.sqrt()),
            "{counts:?}"
        );
        assert!((f64::from(moved) - ideal).abs() < 5.0 * ideal.sqrt(), "{moved} moved");
    }
}

/// The table of the module head.
#[test]
fn when_one_in_the_middle_goes_keys_of_others_move() {
    const SERVERS: i32 = 10;
    for (gone, moved_up, replaced) in [(1, 0.889, 0.089), (5, 0.489, 0.089), (10, 0.0, 0.0)] {
        let gone = gone - 1;
        let (mut others, mut others_replaced) = (0u32, 0u32);
        for key in REQUEST_IDS {
            let (before, bucket) =
                (jump_consistent_hash(key, SERVERS), jump_consistent_hash(key, SERVERS - 1));
            if before != gone {
                others += u32::from(before != if bucket < gone { bucket } else { bucket + 1 });
                others_replaced += u32::from(before != if bucket == gone { SERVERS - 1 } else { bucket });
            }
        }
        let shares = [others, others_replaced].map(|count| f64::from(count) / 900_000.0);
        println!("jump, server {} of {SERVERS} goes: {shares:.4?} of all keys move without need", gone + 1);
        for (share, stated) in shares.into_iter().zip([moved_up, replaced]) {
            assert!((share - stated).abs() < 0.001, "{share} is not {stated}");
        }
    }
}
