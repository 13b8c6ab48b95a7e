//! The schemes beside implementations of other people. Where one can be given a hash function, it is given ours, so that
//! what is compared is the algorithm.
//!
//! | scheme | compared with | what of it |
//! |---|---|---|
//! | ketama | crate `hashring` 0.3.6 | owners and walks; a node of that crate is one point |
//! | rendezvous | crate `rendezvous_hash` 0.3.0 | owners and walks, with weights (its capacities) and without |
//! | maglev | crate `maglev` 0.2.1 | whole tables, recorded: `tests/golden/README.md` |
//! | jump, not offered | crate `jump-consistent-hash` 0.1.0 and others | known answers, in `jump.rs` |
//! | key ids | the vectors of FNV's authors | in `src/ring/hash.rs` |
//!
//! Not compared: crate `maglev` in every run, because it builds a Markdown parser and the like before itself; `hrw-hash`
//! 2.0.3, whose scores cannot be told apart from its hash; Envoy's and libketama's own vectors, because their hashes (xxHash,
//! MD5) cannot be exchanged. `even` and `statement` are nobody else's.

use crate::fleets::{below, shape, some_requests, splitmix64, weighted};
use hashring::HashRing;
use rendezvous_hash::{Capacity, IdNode, NodeHasher, RendezvousNodes, WeightedNode};
use ringmaster::ring::{RingId, Scheme, Shape};
use std::collections::BTreeSet;
use std::hash::{BuildHasher, Hash, Hasher};

/// Fleets of three sizes, with great ids and weights among them.
fn fleets() -> [Vec<(u32, u32)>; 4] {
    let level = |count: u32| (1..=count).map(|id| (id * 7_919, 1)).collect();
    let mixed = (0..57u32).map(|k| (u32::MAX - k * k * 1_000, 1 + k % 5)).collect();
    [level(1), level(3), level(200), mixed]
}

/// A hasher that is told whole numbers and gives the hash of one, or of two together.
#[derive(Clone, Default)]
struct Numbers(Vec<u64>);

impl Hasher for Numbers {
    fn write(&mut self, _: &[u8]) {
        unreachable!("only whole numbers are hashed here");
    }

    fn write_u64(&mut self, number: u64) {
        self.0.push(number);
    }

    fn finish(&self) -> u64 {
        match self.0[..] {
            [request] => splitmix64(request),
            [server, point] => splitmix64(splitmix64(server) ^ point),
            _ => unreachable!("{:?}", self.0),
        }
    }
}

impl BuildHasher for Numbers {
    type Hasher = Numbers;

    fn build_hasher(&self) -> Numbers {
        self.clone()
    }
}

#[derive(Clone, Hash, Debug)]
struct Point {
    server: u64,
    number: u64,
}

#[test]
fn ketama_agrees_with_hashring() {
    for servers in fleets() {
        let ring = weighted(shape(Scheme::Ketama, 0, 20), &servers);
        let points = servers.iter().flat_map(|&(id, weight)| {
            (0..20 * u64::from(weight)).map(move |number| Point { server: u64::from(id), number })
        });
        let mut other: HashRing<Point, Numbers> = HashRing::with_hasher(Numbers::default());
        other.batch_add(points.collect());
        let requests = some_requests(2_000);
        for &request in &requests {
            let owner = other.get(&request).map(|point| RingId(point.server as u32));
            assert_eq!(ring.owner(request), owner, "request {request}");
        }
        for &request in &requests[..40] {
            let mut met = BTreeSet::new();
            let mut walk = other.get_with_replicas(&request, other.len()).unwrap();
            walk.retain(|point| met.insert(point.server));
            let walk: Vec<RingId> = walk.iter().map(|point| RingId(point.server as u32)).collect();
            assert_eq!(ring.walk(request).collect::<Vec<_>>(), walk, "request {request}");
        }
    }
}

struct Pairs;

impl NodeHasher<u32> for Pairs {
    fn hash<T: Hash>(&self, node: &u32, item: &T) -> u64 {
        let mut numbers = Numbers::default();
        item.hash(&mut numbers);
        splitmix64(splitmix64(numbers.0[0]) ^ splitmix64(u64::from(*node)))
    }
}

#[test]
fn rendezvous_agrees_with_rendezvous_hash() {
    for servers in fleets() {
        let ring = weighted(Shape::of(Scheme::Rendezvous), &servers);
        let mut plain = RendezvousNodes::new(Pairs);
        let mut others = RendezvousNodes::new(Pairs);
        for &(id, weight) in &servers {
            plain.insert(IdNode::new(id));
            let capacity = Capacity::new(f64::from(weight)).unwrap();
            others.insert(WeightedNode::new(IdNode::new(id), capacity));
        }
        let is_level = servers.iter().all(|server| server.1 == 1);
        for request in some_requests(1_000) {
            let walk: Vec<RingId> = ring.walk(request).collect();
            let other = others.calc_candidates(&request).map(|node| RingId(*node.node));
            assert!(walk.iter().copied().eq(other), "request {request}");
            assert_eq!(ring.owner(request), walk.first().copied());
            let plain = plain.calc_candidates(&request).map(|node| RingId(**node));
            assert!(!is_level || walk.into_iter().eq(plain), "request {request}");
        }
    }
}

/// `{"servers": ids, "table": per entry the number of its owner in that list}`
#[derive(serde::Deserialize)]
struct Recorded {
    servers: Vec<u32>,
    table: Vec<usize>,
}

#[test]
fn maglev_agrees_with_recorded_tables_of_the_crate() {
    let recorded: Vec<Recorded> = serde_json::from_str(include_str!("../golden/maglev-crate.json")).unwrap();
    assert_eq!(recorded.len(), 3);
    for Recorded { servers, table } in recorded {
        let servers: Vec<(u32, u32)> = servers.into_iter().map(|id| (id, 1)).collect();
        let ring = weighted(shape(Scheme::Maglev, table.len(), 0), &servers);
        let mut seen = BTreeSet::new();
        for request in 0..80_000 {
            let entry = below(splitmix64(request), table.len());
            seen.insert(entry);
            assert_eq!(ring.owner(request), Some(RingId(servers[table[entry]].0)), "entry {entry}");
        }
        assert_eq!(seen.len(), table.len(), "every entry is compared");
    }
}
