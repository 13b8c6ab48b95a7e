//! Policies with many threads at once, and seen from outside. That choosing and counting are one step shows in that no
//! snapshot of the fleet, taken at any moment, breaks the policy's promise.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::thread;

use crate::support::backend::answer;
use crate::support::{CALM, FakeLauncher, Gate, TestServer, wait_for};
use ringmaster::balance::{Bound, Policy};
use ringmaster::fleet::{Fleet, Lease, Recruit};
use ringmaster::replica::{Hostname, Instance};
use ringmaster::ring::{REQUEST_IDS, Shape, Weight};

const THREADS: usize = 8;
const LEASES: usize = 2_000;

/// A fleet of replicas with these weights that serve.
fn fleet(policy: Policy, weights: &[u32]) -> Fleet {
    let fleet = Fleet::new(Shape::default(), policy);
    let recruits: Vec<Recruit> = (1..)
        .zip(weights)
        .map(|(k, &weight)| Recruit { hostname: Hostname::numbered(k), weight: Weight::new(weight).unwrap() })
        .collect();
    let ids = fleet.recruit(&recruits).unwrap();
    for (port, &id) in (1..).zip(&ids) {
        let address = ([127, 0, 0, 1], port).into();
        fleet.set_instance(id, Some(Instance { key: port.to_string().into(), address }));
    }
    assert_eq!(fleet.admit(&ids), weights.len());
    fleet
}

/// Threads that lease and keep what they got, while `check` is shown one snapshot of the counts after another, in order of
/// weight as given. Returns the counts in the end.
fn lease_at_once(fleet: &Fleet, request: fn() -> u64, check: impl Fn(&[usize])) -> Vec<usize> {
    let counts = || fleet.replicas().iter().map(|replica| replica.in_flight).collect::<Vec<_>>();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let lease = || (0..LEASES).map(|_| fleet.lease(request(), &[]).unwrap()).collect::<Vec<Lease>>();
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(lease)).collect();
        let waiter = scope.spawn(|| {
            let leases: Vec<_> = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
            let counts = counts();
            done.store(true, SeqCst);
            drop(leases);
            counts
        });
        while !done.load(SeqCst) {
            let counts = counts();
            // Leases are given back in no order in the end.
            if !done.load(SeqCst) {
                check(&counts);
            }
        }
        let counts = waiter.join().unwrap();
        check(&counts);
        counts
    })
}

/// Most leases that a thread of [`churn_at_once`] holds.
const HELD: usize = 20;

/// Threads that lease and give back as it comes, at most [`HELD`] each, while `check` is shown one snapshot of the counts
/// after another. Whatever they do, nothing is left in the end.
fn churn_at_once(fleet: &Fleet, request: fn() -> u64, check: impl Fn(&[usize])) {
    let counts = || fleet.replicas().iter().map(|replica| replica.in_flight).collect::<Vec<_>>();
    let running = AtomicUsize::new(THREADS);
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                let mut held = Vec::new();
                for _ in 0..LEASES {
                    if held.len() == HELD || (!held.is_empty() && fastrand::u8(..3) == 0) {
                        held.swap_remove(fastrand::usize(..held.len()));
                    }
                    held.push(fleet.lease(request(), &[]).unwrap());
                }
                running.fetch_sub(1, SeqCst);
            });
        }
        while running.load(SeqCst) > 0 {
            check(&counts());
        }
    });
    assert!(counts().iter().all(|&count| count == 0), "{:?}", counts());
}

#[test]
fn what_is_given_back_beside_choices_is_counted_right() {
    let most = THREADS * HELD;
    for policy in [Policy::Hash, Policy::RoundRobin, Policy::TwoChoices, Policy::Random] {
        churn_at_once(&fleet(policy, &[3, 1, 1]), any, |counts| {
            assert!(counts.iter().sum::<usize>() <= most)
        });
    }
    // Whoever was chosen had least, so at most the mean of all that there can be.
    churn_at_once(&fleet(Policy::LeastConnections, &[1; 5]), any, |counts| {
        assert!(counts.iter().all(|&count| count <= most / 5 + 1), "{counts:?}");
    });
    let bounded = Policy::HashBounded(Bound::new(1.25).unwrap());
    churn_at_once(&fleet(bounded, &[1; 5]), skewed, |counts| {
        assert!(counts.iter().all(|&count| count <= (most * 5 / 4).div_ceil(5)), "{counts:?}");
    });
}

fn any() -> u64 {
    fastrand::u64(REQUEST_IDS)
}

/// Nine in ten have one key.
fn skewed() -> u64 {
    if fastrand::u8(..10) == 0 { any() } else { 123_456 }
}

#[test]
fn least_connections_are_never_more_than_one_apart() {
    let fleet = fleet(Policy::LeastConnections, &[1; 7]);
    let check = |counts: &[usize]| {
        assert!(counts.iter().max().unwrap() - counts.iter().min().unwrap() <= 1, "{counts:?}");
    };
    let counts = lease_at_once(&fleet, any, check);
    assert_eq!(counts.iter().sum::<usize>(), THREADS * LEASES);
    check(&counts);
}

#[test]
fn round_robin_gives_everyone_its_turns() {
    let weights = [1, 2, 5];
    let round: usize = 8;
    let counts = lease_at_once(&fleet(Policy::RoundRobin, &weights), any, |counts| {
        let rounds = counts.iter().sum::<usize>() / round;
        for (count, weight) in counts.iter().zip(weights) {
            let due = rounds * weight as usize;
            assert!((due..=due + weight as usize).contains(count), "{counts:?}");
        }
    });
    let all = THREADS * LEASES;
    assert_eq!(counts, [all / 8, all / 4, all * 5 / 8]);
}

#[test]
fn nobody_holds_more_than_the_bound_however_skewed_the_keys() {
    let fleet = fleet(Policy::HashBounded(Bound::new(1.25).unwrap()), &[1; 6]);
    let check = |counts: &[usize]| {
        let most = (1.25 * counts.iter().sum::<usize>() as f64 / 6.0).ceil() as usize;
        assert!(counts.iter().all(|&count| count <= most), "{counts:?}");
    };
    let counts = lease_at_once(&fleet, skewed, check);
    assert_eq!(counts.iter().sum::<usize>(), THREADS * LEASES);
    let owner = fleet.lease(123_456, &[]).unwrap();
    let plain = self::fleet(Policy::Hash, &[1; 6]);
    assert_eq!(
        owner.replica().ring_id,
        plain.lease(123_456, &[]).unwrap().replica().ring_id,
        "idle again: its owner"
    );
}

#[test]
fn two_choices_and_chance_spread_as_they_should() {
    let mean = THREADS * LEASES / 10;
    let counts = lease_at_once(&fleet(Policy::TwoChoices, &[1; 10]), any, |counts| {
        let mean = counts.iter().sum::<usize>() / 10;
        assert!(counts.iter().all(|count| count.abs_diff(mean) <= 10), "{counts:?}");
    });
    assert_eq!(counts.iter().sum::<usize>(), THREADS * LEASES);
    let counts = lease_at_once(&fleet(Policy::Random, &[1; 10]), any, |_| {});
    // Seven standard deviations of a binomial count; all within ten of the mean would be a strange chance.
    assert!(counts.iter().all(|count| count.abs_diff(mean) <= 7 * 38), "{counts:?}");
    assert!(counts.iter().any(|count| count.abs_diff(mean) > 10), "{counts:?}");
}

#[test]
fn hash_sends_every_key_to_its_owner() {
    let fleet = fleet(Policy::Hash, &[1; 5]);
    let counts = lease_at_once(
        &fleet,
        || 123_456,
        |counts| {
            assert!(counts.iter().filter(|count| **count > 0).count() <= 1, "{counts:?}");
        },
    );
    assert_eq!(counts.iter().max(), Some(&(THREADS * LEASES)));
}

fn naming() -> FakeLauncher {
    FakeLauncher::with(|_, name, stream| answer(stream, "200 OK", &[], name.as_bytes()))
}

#[test]
fn round_robin_over_sockets_is_exact() {
    let server = TestServer::start(&format!("{CALM} --policy round-robin"), naming());
    let mut client = server.connect();
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for _ in 0..90 {
        *counts.entry(client.request("GET", "/", &[], b"").text()).or_default() += 1;
    }
    assert_eq!(counts.into_values().collect::<Vec<_>>(), [30, 30, 30]);
}

/// One key that everyone asks for, and an owner that does not answer: the others take what it has no room for.
#[test]
fn a_full_owner_refuses_nobody_while_another_is_free() {
    let gate = Gate::default();
    let held = gate.clone();
    let launcher = FakeLauncher::with(move |_, name, stream| {
        held.pass();
        answer(stream, "200 OK", &[], name.as_bytes());
    });
    let server = TestServer::start(&format!("{CALM} --policy hash-bounded --key path"), launcher);
    thread::scope(|scope| {
        let clients: Vec<_> = (0..24).map(|_| scope.spawn(|| server.get("/same"))).collect();
        wait_for("all to be in flight", || gate.waiting() == 24);
        let counts: Vec<usize> = server.server().fleet().replicas().iter().map(|it| it.in_flight).collect();
        assert!(counts.iter().all(|&count| count <= 10), "1.25 × 24 / 3: {counts:?}");
        gate.open();
        assert!(clients.into_iter().all(|client| client.join().unwrap().status == 200));
    });
    // A client has its answer a moment before the place is free again.
    let ask = || {
        wait_for("an idle fleet", || server.in_flight() == 0);
        server.get("/same").text()
    };
    let owner = ask();
    assert!((0..10).all(|_| ask() == owner), "idle again: its owner");
}

fn status_of(server: &TestServer, name: &str) -> serde_json::Value {
    let status = server.get("/_ringmaster/status").json();
    let replicas = status["message"]["replicas"].as_array().unwrap().clone();
    replicas.into_iter().find(|replica| replica["name"] == name).unwrap()
}

#[test]
fn weights_of_an_addition_count() {
    for flags in ["--scheme rendezvous", "--scheme ketama", "--scheme maglev", "--policy round-robin"] {
        let server = TestServer::start(&format!("{CALM} --replicas 1 {flags}"), naming());
        let response = server.admin("POST", "/add", r#"{"n":3,"hostnames":["AA","BB"],"weights":[4,3]}"#);
        assert_eq!(
            (response.status, response.listed()),
            (200, ["server_1", "AA", "BB", "server_2"].map(String::from).to_vec())
        );
        let mut client = server.connect();
        let mut counts: BTreeMap<String, f64> = BTreeMap::new();
        for _ in 0..900 {
            *counts.entry(client.request("GET", "/", &[], b"").text()).or_default() += 1.0;
        }
        for (name, weight) in [("server_1", 1.0), ("AA", 4.0), ("BB", 3.0), ("server_2", 1.0)] {
            let status = status_of(&server, name);
            assert_eq!(status["weight"].as_f64(), Some(weight));
            let expected: f64 = weight / 9.0;
            // Ketama's points scatter too.
            let bound = 7.0 * (expected * (1.0 - expected) / 900.0).sqrt() + 0.04;
            assert!((counts[name] / 900.0 - expected).abs() < bound, "{flags}: {counts:?}");
            if !flags.contains("policy") {
                assert!((status["share"].as_f64().unwrap() - expected).abs() < 0.04, "{status}");
            }
        }
    }
}

#[test]
fn weights_that_cannot_be_are_refused_and_nothing_is_started() {
    let launcher = FakeLauncher::new();
    let server = TestServer::start(CALM, launcher.clone());
    for (method, path, body, words) in [
        (
            "POST",
            "/add",
            r#"{"n":1,"weights":[2]}"#,
            "weight 2 would have no effect: scheme even has no weights (policy hash)",
        ),
        (
            "POST",
            "/add",
            r#"{"n":1,"weights":[1,1]}"#,
            "Length of weights list is more than newly added instances",
        ),
        ("POST", "/add", r#"{"n":1,"weights":[0]}"#, "from 1 to 100, not 0"),
        ("POST", "/add", r#"{"n":1,"weights":"2"}"#, "must be a list"),
        ("DELETE", "/rm", r#"{"n":1,"weights":[1]}"#, "unknown key \"weights\""),
    ] {
        let response = server.admin(method, path, body);
        assert_eq!(response.status, 400, "{body}");
        assert!(response.error().contains(words), "{body}: {}", response.error());
    }
    assert_eq!(server.listed().len(), 3);
    assert_eq!(launcher.running().len(), 3);
    assert_eq!(
        server.admin("POST", "/add", r#"{"n":1,"weights":[1]}"#).status,
        200,
        "weight one is no weight"
    );
}
