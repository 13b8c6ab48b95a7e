//! Fleets and their histories: the hash written down a second time, rings of given servers, and changes by chance.

use ringmaster::ring::{Ring, RingId, Scheme, Shape, Weight};
use std::collections::BTreeMap;

/// Vigna's `splitmix64.c`: one step of the generator whose state is `seed`.
pub fn splitmix64(seed: u64) -> u64 {
    let state = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let once = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let twice = (once ^ (once >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    twice ^ (twice >> 31)
}

/// The upper word of a product: a hash as a number below `bound`.
pub fn below(hash: u64, bound: usize) -> usize {
    (u128::from(hash) * bound as u128 / (1u128 << 64)) as usize
}

/// Numbers for measurements, which must be the same whatever version of whatever crate draws by chance elsewhere.
pub struct Draw(pub u64);

impl Draw {
    pub fn below(&mut self, bound: usize) -> usize {
        self.0 += 1;
        below(splitmix64(self.0), bound)
    }
}

pub fn shape(scheme: Scheme, slots: usize, virtual_servers: usize) -> Shape {
    Shape::new(scheme, slots, virtual_servers).unwrap()
}

/// A ring of these servers, all of weight one, that joined in this order and all serve.
pub fn ring_of(shape: Shape, ids: impl IntoIterator<Item = u32>) -> Ring {
    weighted(shape, &ids.into_iter().map(|id| (id, 1)).collect::<Vec<_>>())
}

pub fn weighted(shape: Shape, servers: &[(u32, u32)]) -> Ring {
    let mut ring = Ring::new(shape);
    for &(id, weight) in servers {
        ring.place_weighted(RingId(id), Weight::new(weight).unwrap()).unwrap();
    }
    let ids: Vec<RingId> = servers.iter().map(|server| RingId(server.0)).collect();
    ring.set_all_serving(&ids, true);
    ring
}

/// Request ids of every size, the ends among them; and, of servers 1 to 20, one each whose hash is the place of a point of
/// that server under `ketama`, so that whether a point's own place is its is asked at all.
pub fn some_requests(count: u64) -> Vec<u64> {
    let ends = [0, 1, 999_999, u64::from(u32::MAX), 1 << 32, 1 << 63, u64::MAX];
    let on_points = (1..=20).map(|server| splitmix64(server) ^ (server % 2));
    let wide = (27..count).map(|k| splitmix64(k) >> (k % 60));
    ends.into_iter().chain(on_points).chain(wide).collect()
}

pub fn owners(ring: &Ring, requests: &[u64]) -> Vec<Option<RingId>> {
    requests.iter().map(|&request| ring.owner(request)).collect()
}

/// One step of a history.
#[derive(Clone, Debug)]
pub enum Change {
    Place(RingId, Weight),
    Serve(Vec<RingId>),
    Stop(Vec<RingId>),
    Remove(RingId),
}

impl Change {
    /// Makes the change; returns whether there was room for it.
    pub fn apply(&self, ring: &mut Ring) -> bool {
        match self {
            Change::Place(id, weight) => return ring.place_weighted(*id, *weight).is_ok(),
            Change::Serve(ids) => ring.set_all_serving(ids, true),
            Change::Stop(ids) => ring.set_all_serving(ids, false),
            Change::Remove(id) => ring.remove(*id),
        }
        true
    }
}

/// Who is placed, with which weight, and whether it serves: all that a scheme without slots may look at.
pub type Servers = BTreeMap<RingId, (Weight, bool)>;

pub fn serving(servers: &Servers) -> Vec<(RingId, u32)> {
    let serving = servers.iter().filter(|(_, (_, serves))| *serves);
    serving.map(|(&id, (weight, _))| (id, weight.get())).collect()
}

/// Changes by chance, which drive the fleet to one size after the other, the greatest first.
pub struct History {
    rng: fastrand::Rng,
    most: usize,
    wanted: usize,
    has_weights: bool,
    pub servers: Servers,
}

impl History {
    pub fn new(seed: u64, most: usize, has_weights: bool) -> History {
        let rng = fastrand::Rng::with_seed(seed);
        History { rng, most, wanted: most, has_weights, servers: Servers::new() }
    }

    pub fn chance(&mut self) -> &mut fastrand::Rng {
        &mut self.rng
    }

    pub fn next(&mut self) -> Change {
        if self.servers.len() == self.wanted {
            self.wanted = self.rng.usize(1..=self.most);
        }
        let grows = self.servers.len() < self.wanted;
        match self.rng.u32(..10) {
            0..=5 if grows => Change::Place(self.new_id(), self.weight()),
            0..=5 => Change::Remove(self.one_of(None)),
            6..=7 => Change::Serve(self.some_of(false)),
            8 => Change::Stop(self.some_of(true)),
            // Now and then one that is unknown, or placed already.
            _ if self.rng.bool() => Change::Remove(self.new_id()),
            _ => Change::Place(self.one_of(None), self.weight()),
        }
    }

    /// Takes note of a change that was made.
    pub fn note(&mut self, change: &Change) {
        match change {
            Change::Place(id, weight) => drop(self.servers.insert(*id, (*weight, false))),
            Change::Serve(ids) => self.mark(ids, true),
            Change::Stop(ids) => self.mark(ids, false),
            Change::Remove(id) => drop(self.servers.remove(id)),
        }
    }

    fn mark(&mut self, ids: &[RingId], serves: bool) {
        for id in ids {
            self.servers.entry(*id).and_modify(|server| server.1 = serves);
        }
    }

    fn weight(&mut self) -> Weight {
        let heavy = self.has_weights && self.rng.bool();
        if heavy { Weight::new(self.rng.u32(1..=6)).unwrap() } else { Weight::ONE }
    }

    /// One that is not placed: mostly a small number, as fleets count, and sometimes a great one.
    fn new_id(&mut self) -> RingId {
        loop {
            let most = if self.rng.u32(..8) == 0 { u32::MAX } else { 2 * self.most as u32 };
            let id = RingId(self.rng.u32(0..=most));
            if !self.servers.contains_key(&id) {
                return id;
            }
        }
    }

    /// A server that serves, or does not, or either; server 0, placed or not, where there is none.
    fn one_of(&mut self, serves: Option<bool>) -> RingId {
        let fits = |server: &(&RingId, &(Weight, bool))| serves.is_none_or(|serves| server.1.1 == serves);
        let fitting: Vec<RingId> = self.servers.iter().filter(fits).map(|(&id, _)| id).collect();
        self.rng.choice(fitting).unwrap_or(RingId(0))
    }

    /// One or more that do, or do not, serve.
    fn some_of(&mut self, serve: bool) -> Vec<RingId> {
        let fitting = self.servers.iter().filter(|(_, server)| server.1 == serve);
        let mut some: Vec<RingId> = fitting.map(|(&id, _)| id).collect();
        self.rng.shuffle(&mut some);
        // Seldom many: most changes are of one server.
        let most = if self.rng.u32(..3) == 0 { 1 + some.len() / 4 } else { 1 };
        some.truncate(most);
        some
    }
}
