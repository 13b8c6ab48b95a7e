//! Replicas fail in every way there is, and clients hardly hear of it.

use std::time::{Duration, Instant};

use crate::asked;
use crate::clients::Clients;
use crate::engine::{docker, fleet_ids, inspect, started_at, wait_for};
use crate::http::hello;
use crate::stack::{FIRST_THREE, REP_OF_THREE, Stack, median_and_worst};

/// Every replica has to serve again within this time; it takes one to three seconds.
const DEADLINE: Duration = Duration::from_secs(15);

/// Ways for a replica to fail: by its own process, by somebody's cleaning up, and by hanging.
const FAULTS: [&[&str]; 3] = [&["kill"], &["rm", "--force"], &["pause"]];

const TIMES_EACH: usize = 5;

#[test]
fn killed_removed_and_paused_replicas_serve_again_and_n_never_wavers() {
    if !asked() {
        return;
    }
    let stack = Stack::up();
    let pace = Duration::from_millis(10);
    let clients = Clients::start(stack.address(), 4, "/home", pace);
    let observer = Clients::start(stack.address(), 1, "/rep", pace);
    for fault in FAULTS {
        let times = (0..TIMES_EACH).map(|round| break_and_recover(&clients, fault, FIRST_THREE[round % 3]));
        println!("docker {}: serves again after {}", fault.join(" "), median_and_worst(times.collect()));
    }
    let (heard, observed) = (clients.stop(), observer.stop());
    println!("clients meanwhile: {:?}, slowest {:.1?}", heard.counts(), heard.slowest);
    heard.assert_all_200();
    let always_three = format!("200 {REP_OF_THREE}");
    assert_eq!(observed.counts().into_keys().collect::<Vec<_>>(), [always_three], "what /rep said");
    assert_eq!(fleet_ids(stack.fleet()).len(), 3, "no container is left over");
}

/// Breaks one replica and returns after how long a client got an answer of its next life.
fn break_and_recover(clients: &Clients, fault: &[&str], victim: &str) -> Duration {
    let life = started_at(victim);
    let begin = Instant::now();
    docker(&[fault, &[victim]].concat());
    clients.wait_for_answer(&hello(victim), Instant::now(), DEADLINE);
    let recovered = begin.elapsed();
    let state = &inspect(victim)["State"];
    assert_eq!((&state["Running"], &state["Paused"]), (&true.into(), &false.into()));
    assert_ne!(started_at(victim), life, "the answer came from the life that was to end");
    recovered
}

#[test]
fn fifty_clients_hear_only_200_while_a_replica_is_killed() {
    if !asked() {
        return;
    }
    let stack = Stack::up();
    let clients = Clients::start(stack.address(), 50, "/home", Duration::ZERO);
    clients.wait_for_answer(&hello("server_2"), Instant::now(), DEADLINE);
    let recovered = break_and_recover(&clients, &["kill"], "server_2");
    let heard = clients.stop();
    println!(
        "killed under 50 clients: serves again after {recovered:.2?}; {} answers, slowest {:.1?}: {:?}",
        heard.total(),
        heard.slowest,
        heard.counts()
    );
    heard.assert_all_200();
}

#[test]
fn five_replicas_join_and_leave_at_once() {
    if !asked() {
        return;
    }
    let stack = Stack::up();
    let clients = Clients::start(stack.address(), 4, "/home", Duration::from_millis(10));

    let begin = Instant::now();
    let added = stack.request("POST", "/add", r#"{"n":5,"hostnames":["A1","A2","A3","A4","A5"]}"#);
    println!("/add of 5 answered after {:.2?}", begin.elapsed());
    assert_eq!((added.status, &added.message()["N"]), (200, &8.into()));
    let served = Instant::now();
    for name in ["A1", "A2", "A3", "A4", "A5"] {
        clients.wait_for_answer(&hello(name), served, DEADLINE);
    }

    let begin = Instant::now();
    let removed = stack.request("DELETE", "/rm", r#"{"n":5,"hostnames":["A1","A2","A3","A4","A5"]}"#);
    println!("/rm of 5 answered after {:.2?}", begin.elapsed());
    assert_eq!((removed.status, removed.body.as_str()), (200, REP_OF_THREE));
    clients.stop().assert_all_200();
    wait_for("three containers", DEADLINE, || (fleet_ids(stack.fleet()).len() == 3).then_some(()));
}
