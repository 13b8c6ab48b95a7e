//! How the fleet's own work grows with the number of its replicas. These are measurements, which fail nothing, so they
//! run only when asked to:
//!
//! ```sh
//! cargo test --release --test growth -- --ignored --nocapture --test-threads 1
//! ```

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use ringmaster::balance::Policy;
use ringmaster::fleet::{Fleet, Recruit, ReplicaId};
use ringmaster::replica::{Hostname, Instance};
use ringmaster::ring::{Ring, RingId, Scheme, Shape, Weight};

/// Sizes of the fleet.
const SIZES: [usize; 3] = [10, 100, 1000];

/// Virtual servers of each replica.
const VIRTUAL_SERVERS: usize = 9;

/// Most that goes into one figure; beyond [`FEWEST`] repetitions it ends there.
const TIME: Duration = Duration::from_millis(200);

/// Fewest repetitions of which a median is told.
const FEWEST: usize = 3;

/// Enough repetitions.
const MOST: usize = 10_000;

/// What runs the replica with this number.
fn instance(number: usize) -> Instance {
    let port = u16::try_from(number).unwrap();
    Instance { key: number.to_string().into(), address: SocketAddr::from((Ipv4Addr::LOCALHOST, port)) }
}

/// A fleet of `n` that serve on a ring of `slots`, each on slots of its own that alternate with those of the others:
/// finding them one after another would take minutes.
fn fleet(n: usize, slots: usize) -> (Fleet, Vec<(ReplicaId, Instance)>) {
    let fleet = Fleet::new(Shape::new(Scheme::Even, slots, VIRTUAL_SERVERS).unwrap(), Policy::Hash);
    let replicas = (0..n).map(|k| {
        let own: Vec<usize> =
            (0..VIRTUAL_SERVERS).map(|j| (j * n + k) * slots / (VIRTUAL_SERVERS * n)).collect();
        let (number, instance) = (k + 1, instance(k + 1));
        let ring_id = RingId(u32::try_from(number).unwrap());
        let id =
            fleet.restore(Hostname::numbered(number).into(), ring_id, &own, Some(instance.clone())).unwrap();
        assert_eq!(fleet.admit(&[id]), 1);
        (id, instance)
    });
    let replicas = replicas.collect();
    (fleet, replicas)
}

/// The median time of one call of `act`, which is told how often it was called.
fn median(mut act: impl FnMut(usize)) -> Duration {
    let begin = Instant::now();
    let mut times = Vec::new();
    while times.len() < FEWEST || (times.len() < MOST && begin.elapsed() < TIME) {
        let start = Instant::now();
        act(times.len());
        times.push(start.elapsed());
    }
    times.sort();
    times[times.len() / 2]
}

/// A line of the table.
fn print(what: &str, figures: &[Duration]) {
    let cells: Vec<String> =
        figures.iter().map(|time| format!("{:>12.1}", time.as_secs_f64() * 1e6)).collect();
    println!("{what:<34}{}", cells.concat());
}

/// One figure for each size, on rings with four slots for each virtual server, as far as there can be so many.
fn row(what: &str, measure: impl Fn(&Fleet, &[(ReplicaId, Instance)]) -> Duration) {
    let figures = SIZES.map(|n| {
        let (fleet, replicas) = fleet(n, (n * VIRTUAL_SERVERS * 4).min(Shape::MAX_SLOTS));
        measure(&fleet, &replicas)
    });
    print(what, &figures);
}

/// What finding slots for a whole fleet takes, which is done once, at the start.
fn beginning() {
    println!("\nmilliseconds to recruit so many at once for an empty fleet");
    for n in [10, 25, 50, 100] {
        let slots = n * VIRTUAL_SERVERS * 4;
        let fleet = Fleet::new(Shape::new(Scheme::Even, slots, VIRTUAL_SERVERS).unwrap(), Policy::Hash);
        let names: Vec<Recruit> = (1..=n).map(Hostname::numbered).map(Recruit::from).collect();
        let begin = Instant::now();
        assert_eq!(fleet.recruit(&names).map(|ids| ids.len()), Ok(n));
        println!("{n:>6} {:>10.1}", begin.elapsed().as_secs_f64() * 1e3);
    }
}

/// Copies of a ring of which the memory is measured.
const COPIES: u64 = 60;

/// A ring on which so many serve; slots alternate as in [`fleet`].
fn ring(scheme: Scheme, n: usize) -> Option<Ring> {
    let shape = match Shape::of(scheme) {
        usual if usual.max_servers() >= n => usual,
        usual => Shape::new(scheme, Shape::MAX_SLOTS, usual.virtual_servers()).ok()?,
    };
    let mut ring = Ring::new(shape);
    let ids: Vec<RingId> = (1..=u32::try_from(n).unwrap()).map(RingId).collect();
    for (k, &id) in ids.iter().enumerate() {
        match scheme {
            Scheme::Even => {
                let slots = (0..9).map(|j| (j * n + k) * shape.slots() / (9 * n)).collect::<Vec<_>>();
                ring.restore(id, &slots, Weight::ONE).ok()?;
            }
            _ => drop(ring.place(id).ok()?.len()),
        }
    }
    ring.set_all_serving(&ids, true);
    Some(ring)
}

/// Resident memory of this process in bytes.
fn resident() -> u64 {
    let pages = fs::read_to_string("/proc/self/statm").unwrap();
    pages.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 4096
}

/// In a test of its own, and to be run alone: what another thread allocates would count too.
#[test]
#[ignore = "a measurement"]
fn growth_of_the_tables() {
    println!("\nKiB of memory for a ring; replicas: 3, 30, 300, 3000");
    let mut kept = Vec::new();
    for scheme in Scheme::ALL {
        let cells = [3, 30, 300, 3000].map(|n| {
            let Some(ring) = ring(scheme, n) else { return format!("{:>12}", "-") };
            let copies = || (0..COPIES).map(|_| ring.clone()).collect::<Vec<Ring>>();
            // The first go where something else was before, and all are kept, so that the second find no such place.
            kept.push(copies());
            let before = resident();
            kept.push(copies());
            let each = resident().saturating_sub(before) / COPIES;
            format!("{:>12.1}", each as f64 / 1024.0)
        });
        println!("{:<34}{}", scheme.to_string(), cells.concat());
    }
}

#[test]
#[ignore = "a measurement"]
fn growth_of_the_fleet() {
    println!("\nmicroseconds, medians; replicas: {SIZES:?}");
    row("watched", |fleet, _| median(|_| drop(fleet.watched())));
    row("replicas (the status)", |fleet, _| median(|_| drop(fleet.replicas())));
    row("fail, admit", |fleet, replicas| {
        median(|k| {
            let (id, instance) = &replicas[k % replicas.len()];
            assert!(fleet.fail(*id, instance));
            assert_eq!(fleet.admit(&[*id]), 1);
        })
    });
    row("all fail, all are admitted", |fleet, replicas| {
        let ids: Vec<ReplicaId> = replicas.iter().map(|(id, _)| *id).collect();
        median(|_| {
            assert!(replicas.iter().all(|(id, instance)| fleet.fail(*id, instance)));
            assert_eq!(fleet.admit(&ids), ids.len());
        })
    });
    row("lease, release", |fleet, _| median(|k| drop(fleet.lease(k as u64, &[]).unwrap())));
    row("lease, all tried but one", |fleet, replicas| {
        let tried: Vec<RingId> = replicas[1..].iter().map(|(id, _)| id.ring_id).collect();
        median(|k| drop(fleet.lease(k as u64, &tried).unwrap()))
    });
    row("set_instance", |fleet, replicas| {
        median(|k| {
            let (id, instance) = &replicas[k % replicas.len()];
            fleet.set_instance(*id, Some(instance.clone()));
        })
    });
    row("recruit, dismiss one more", |fleet, replicas| {
        let name = [Recruit::from(Hostname::numbered(replicas.len() + 1))];
        median(|_| fleet.recruit(&name).unwrap().into_iter().for_each(|id| fleet.dismiss(id)))
    });
    beginning();
}
