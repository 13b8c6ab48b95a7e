//! Ties, which nobody will ever see by chance: of two equal claims, the smaller id has it, or two balancers whose servers
//! came in different orders would disagree.
//!
//! The pairs of ids were found by running the hash backwards (each of its steps can be undone), until the second id was a
//! number of 32 bits.

use crate::fleets::{shape, splitmix64, weighted};
use crate::oracle;
use ringmaster::ring::{Ring, RingId, Scheme, Shape};

/// The smaller id first, whoever came first.
fn check(shape: Shape, servers: [(u32, u32); 2], also: &[(u32, u32)], request: u64, expected: &[u32]) {
    for servers in [servers, [servers[1], servers[0]]] {
        let all: Vec<(u32, u32)> = servers.iter().chain(also).copied().collect();
        let ring: Ring = weighted(shape, &all);
        let walk: Vec<RingId> = expected.iter().copied().map(RingId).collect();
        assert_eq!(ring.owner(request), Some(walk[0]), "{all:?}");
        assert_eq!(ring.walk(request).collect::<Vec<_>>(), walk, "{all:?}");
        let mut serving: Vec<_> = all.iter().map(|&(id, weight)| (RingId(id), weight)).collect();
        serving.sort();
        assert_eq!(oracle::walk(&ring, &serving, request), walk, "{all:?}");
    }
}

#[test]
fn of_two_points_in_one_place_the_smaller_ids_counts() {
    for (smaller, greater, apart) in [(542_714, 3_732_244_253, 728), (1_311_511, 2_951_227_952, 347)] {
        let point = |id: u32, j: u64| splitmix64(u64::from(id)) ^ j;
        assert_eq!(point(smaller, 5), point(greater, 5 ^ apart), "the places of these points are one");
        // A request's own place is the hash of its id.
        for j in 0..300 {
            let request = point(smaller, j);
            check(
                shape(Scheme::Ketama, 0, 1024),
                [(smaller, 1), (greater, 1)],
                &[],
                request,
                &[smaller, greater],
            );
        }
    }
}

#[test]
fn of_two_equal_lots_the_smaller_ids_wins() {
    for (greater, request) in
        [(4_075_084_079, 14_831_553_125_526_733_403), (1_865_135_172, 18_087_978_877_048_115_281)]
    {
        let draw = |id: u32| splitmix64(splitmix64(request) ^ splitmix64(u64::from(id))) >> 12;
        assert_eq!(draw(1), draw(greater), "these lots are equal");
        let shape = Shape::of(Scheme::Rendezvous);
        check(shape, [(1, 1), (greater, 1)], &[], request, &[1, greater]);
        check(shape, [(1, 5), (greater, 5)], &[], request, &[1, greater]);
        // A third of another weight: now the logarithms decide. Both lots are so low that it is before them.
        check(shape, [(1, 1), (greater, 1)], &[(7, 2)], request, &[7, 1, greater]);
    }
}
