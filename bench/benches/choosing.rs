//! What it costs to choose a replica, under every scheme and policy, for 3 to 3,000 replicas.
//!
//! `choose` is the whole of it: the fleet's lock, the choice, the count, and giving the place back, as every request does it.
//! `overflow` is the same under `hash-bounded` for a key whose owner is full, as are those after it.
//! `join` is what a replica that joins costs the ring: finding its place and answering for it. `threads` is `choose` from
//! several threads at once: the time for one choice of each of them.

// Criterion's macros make public functions that say nothing.
#![allow(missing_docs)]

use std::hint::black_box;
use std::net::{Ipv4Addr, SocketAddr};
use std::thread;
use std::time::{Duration, Instant};

use criterion::{BatchSize, BenchmarkId, Criterion, criterion_group, criterion_main};
use ringmaster::balance::{Bound, Policy};
use ringmaster::fleet::Fleet;
use ringmaster::replica::{Hostname, Instance};
use ringmaster::ring::{REQUEST_IDS, Ring, RingId, Scheme, Shape, Weight};

const SIZES: [u32; 4] = [3, 30, 300, 3_000];
const THREADS: [u32; 5] = [1, 2, 4, 8, 16];

/// So many different requests are asked for in turn: more than any cache of branches remembers.
const REQUESTS: usize = 1 << 14;

/// The scheme with its usual measures, or with more slots where that is not enough for so many and one more. A quarter of
/// the slots is taken then, as on the usual ring by 14.
fn shape(scheme: Scheme, n: u32) -> Option<Shape> {
    let usual = Shape::of(scheme);
    if usual.max_servers() > n as usize {
        return Some(usual);
    }
    match scheme {
        Scheme::Maglev | Scheme::Ketama | Scheme::Rendezvous => None,
        // Quadratic probing soon finds no free slot on a ring whose size is a power of two.
        Scheme::Statement(_) | Scheme::Even => {
            let slots = (n as usize * 36).next_power_of_two().min(Shape::MAX_SLOTS);
            Shape::new(scheme, slots, 9).ok()
        }
    }
}

/// Slots for the `k`-th of `n` that alternate with those of the others: finding them one after another would take minutes.
fn slots(shape: Shape, k: u32, n: u32) -> Vec<usize> {
    let (v, n, k) = (shape.virtual_servers(), n as usize, k as usize);
    (0..v).map(|j| (j * n + k) * shape.slots() / (v * n)).collect()
}

/// A ring on which `n` serve; `None` where there is no room for so many.
fn ring(scheme: Scheme, n: u32) -> Option<Ring> {
    let shape = shape(scheme, n)?;
    let mut ring = Ring::new(shape);
    for k in 0..n {
        let id = RingId(k + 1);
        match scheme {
            Scheme::Even => ring.restore(id, &slots(shape, k, n), Weight::ONE).ok()?,
            _ => ring.place(id).map(drop).ok()?,
        }
    }
    let all: Vec<RingId> = (1..=n).map(RingId).collect();
    ring.set_all_serving(&all, true);
    Some(ring)
}

/// A fleet whose `n` replicas serve.
fn fleet(scheme: Scheme, policy: Policy, n: u32) -> Option<Fleet> {
    let ring = ring(scheme, n)?;
    let fleet = Fleet::new(ring.shape(), policy);
    let members = (1..=n).map(|k| {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, k as u16));
        let instance = Instance { key: k.to_string().into(), address };
        let slots = ring.slots_of(RingId(k)).unwrap_or_default();
        fleet.restore(Hostname::numbered(k as usize).into(), RingId(k), slots, Some(instance))
    });
    let members: Vec<_> = members.collect::<Result<_, _>>().ok()?;
    (fleet.admit(&members) == n as usize).then_some(fleet)
}

fn requests() -> Vec<u64> {
    let mut random = fastrand::Rng::with_seed(1);
    (0..REQUESTS).map(|_| random.u64(REQUEST_IDS)).collect()
}

fn policies() -> [(&'static str, Policy); 5] {
    let bound = Bound::new(1.25).unwrap_or_else(|| unreachable!("1.25 is a bound"));
    [
        ("hash-bounded", Policy::HashBounded(bound)),
        ("round-robin", Policy::RoundRobin),
        ("least-connections", Policy::LeastConnections),
        ("two-choices", Policy::TwoChoices),
        ("random", Policy::Random),
    ]
}

fn choose(criterion: &mut Criterion) {
    let requests = requests();
    let mut group = criterion.benchmark_group("choose");
    let schemes = Scheme::ALL.map(|scheme| (format!("hash, {scheme}"), scheme, Policy::Hash));
    let policies = policies().map(|(name, policy)| (name.to_owned(), Scheme::Even, policy));
    for (name, scheme, policy) in schemes.into_iter().chain(policies) {
        for n in SIZES {
            let Some(fleet) = fleet(scheme, policy, n) else { continue };
            let mut next = requests.iter().cycle();
            group.bench_function(BenchmarkId::new(&name, n), |bencher| {
                bencher.iter(|| {
                    fleet.lease(*next.next().unwrap_or(&0), &[]).map(|lease| black_box(lease.address()))
                });
            });
        }
    }
}

/// `hash-bounded` for a key that everyone asks for: its owner is full, and those after it are.
fn overflow(criterion: &mut Criterion) {
    let Some((_, policy)) = policies().into_iter().find(|(name, _)| *name == "hash-bounded") else { return };
    let mut group = criterion.benchmark_group("overflow");
    for scheme in [Scheme::Even, Scheme::Ketama, Scheme::Maglev, Scheme::Rendezvous] {
        for n in SIZES {
            let Some(fleet) = fleet(scheme, policy, n) else { continue };
            let held: Vec<_> = (0..2 * n).map(|_| fleet.lease(123_456, &[])).collect();
            group.bench_function(BenchmarkId::new(scheme.to_string(), n), |bencher| {
                bencher.iter(|| fleet.lease(123_456, &[]).map(|lease| black_box(lease.address())));
            });
            drop(held);
        }
    }
}

fn join(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("join");
    for scheme in Scheme::ALL {
        for n in SIZES {
            let Some(ring) = ring(scheme, n) else { continue };
            group.bench_function(BenchmarkId::new(scheme.to_string(), n), |bencher| {
                let join = |mut ring: Ring| {
                    // Quadratic probing may find no slot; then that is what it costs.
                    let _ = black_box(ring.place(RingId(n + 1)));
                    ring.set_serving(RingId(n + 1), true);
                    ring
                };
                bencher.iter_batched(|| ring.clone(), join, BatchSize::LargeInput);
            });
        }
    }
}

fn contention(criterion: &mut Criterion) {
    let requests = requests();
    let mut group = criterion.benchmark_group("threads");
    for (name, policy) in [("hash", Policy::Hash), ("least-connections", Policy::LeastConnections)] {
        let Some(fleet) = fleet(Scheme::Even, policy, 30) else { continue };
        for threads in THREADS {
            group.bench_function(BenchmarkId::new(name, threads), |bencher| {
                bencher.iter_custom(|choices| at_once(&fleet, &requests, threads, choices));
            });
        }
    }
}

/// How long so many threads take for so many choices each.
fn at_once(fleet: &Fleet, requests: &[u64], threads: u32, choices: u64) -> Duration {
    let begin = Instant::now();
    thread::scope(|scope| {
        for thread in 0..threads as usize {
            scope.spawn(move || {
                let mine = requests.iter().cycle().skip(thread * 997);
                mine.take(choices as usize).for_each(|request| drop(black_box(fleet.lease(*request, &[]))));
            });
        }
    });
    begin.elapsed()
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(800));
    targets = choose, overflow, join, contention
}
criterion_main!(benches);
