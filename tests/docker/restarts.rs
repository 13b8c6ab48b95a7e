//! Balancers that crash, take over from each other, and live beside each other on one engine.

use std::time::{Duration, Instant};

use crate::asked;
use crate::balancer::HostBalancer;
use crate::clients::Clients;
use crate::engine::{self, Foreign, docker, fleet_ids, has_network, started_at, wait_for};
use crate::http::{self, hello};
use crate::stack::{FIRST_THREE, REP_OF_THREE, ids_of};

const PATIENCE: Duration = Duration::from_secs(30);

fn lives(names: &[&str]) -> Vec<(String, String)> {
    ids_of(names).into_iter().zip(names.iter().map(|name| started_at(name))).collect()
}

/// The slots of each replica, by name.
fn slots(balancer: &HostBalancer) -> Vec<(String, String)> {
    let status = http::request(balancer.address, "GET", "/_ringmaster/status", "").message();
    let replicas = status["replicas"].as_array().expect("a list");
    let mut slots: Vec<(String, String)> = replicas
        .iter()
        .map(|it| (it["name"].to_string(), format!("{} {}", it["ring_id"], it["slots"])))
        .collect();
    slots.sort();
    slots
}

#[test]
fn a_balancer_that_is_killed_under_load_is_followed_by_one_that_adopts_everything() {
    if !asked() {
        return;
    }
    let stranger = Foreign::start(&format!("ringmaster-test-{}-stranger", std::process::id()));
    let mut first = HostBalancer::start();
    first.wait_until_serving(&FIRST_THREE);
    let added = http::request(first.address, "POST", "/add", r#"{"n":2,"hostnames":["K4","K5"]}"#);
    assert_eq!(added.status, 200, "{}", added.body);
    let names = ["server_1", "server_2", "server_3", "K4", "K5"];
    let (before, places) = (lives(&names), slots(&first));
    let clients = Clients::start(first.address, 64, "/home", Duration::from_millis(5));
    clients.wait_for_answer(&hello("K5"), Instant::now(), PATIENCE);

    let killed = Instant::now();
    first.kill();
    // One dies while nobody watches.
    docker(&["kill", "K4"]);
    let listen = first.address.to_string();
    let second = HostBalancer::start_with("host", &listen, &[]);
    clients.wait_for_answer(&hello("server_1"), Instant::now(), PATIENCE);
    let back = killed.elapsed();
    clients.wait_for_answer(&hello("K4"), Instant::now(), PATIENCE);
    println!(
        "killed under 64 clients: answers again after {back:.2?}, the one that died after {:.2?}",
        killed.elapsed()
    );
    let heard = clients.stop();
    println!("  {} answers: {:?}", heard.total(), heard.counts());
    let refused = |outcome: &str| outcome.starts_with("error: ") || outcome.starts_with("200 ");
    assert!(heard.counts().keys().all(|outcome| refused(outcome)), "nobody was told anything wrong");

    let after = lives(&names);
    for (k, name) in names.iter().enumerate().filter(|(_, name)| **name != "K4") {
        assert_eq!(after[k], before[k], "{name} goes on in the same life");
    }
    assert_ne!(after[3], before[3]);
    assert_eq!(slots(&second), places, "the same names, ring identities and slots");
    assert_eq!(fleet_ids(&second.fleet).len(), 5, "none was started twice");
    stranger.assert_untouched();
    drop(second);
}

#[test]
fn a_second_balancer_takes_over_with_the_containers_and_no_request_fails() {
    if !asked() {
        return;
    }
    engine::assert_names_are_free();
    let mut first = HostBalancer::start_with("host", "127.0.0.1:0", &["--on-exit", "keep"]);
    first.wait_until_serving(&FIRST_THREE);
    let before = lives(&FIRST_THREE);
    let clients = Clients::start(first.address, 64, "/home", Duration::ZERO);
    clients.wait_for_answer(&hello("server_3"), Instant::now(), PATIENCE);
    let listen = first.address.to_string();
    let second = HostBalancer::start_with("host", &listen, &["--on-exit", "keep", "--take-over", "yes"]);
    // Both see it, one launches it, the other finds it launched.
    docker(&["kill", "server_2"]);
    clients.wait_for_answer(&hello("server_2"), Instant::now(), PATIENCE);
    assert_eq!(first.terminate().code(), Some(0));
    clients.wait_for_answer(&hello("server_1"), Instant::now(), PATIENCE);
    clients.wait_for_answer(&hello("server_2"), Instant::now(), PATIENCE);
    let heard = clients.stop();
    println!("a second balancer took over under 64 clients: {} answers: {:?}", heard.total(), heard.counts());
    heard.assert_all_200();
    let after = lives(&FIRST_THREE);
    assert_eq!((&after[0], &after[2]), (&before[0], &before[2]));
    assert_eq!(fleet_ids(&second.fleet).len(), 3);
    assert_eq!(second.get("/rep").as_deref(), Some(REP_OF_THREE));
}

#[test]
fn two_fleets_on_one_engine_never_see_each_other() {
    if !asked() {
        return;
    }
    engine::assert_names_are_free();
    let mut a = HostBalancer::start_with("a", "127.0.0.1:0", &[]);
    a.wait_until_serving(&FIRST_THREE);
    let mut b = HostBalancer::start_with("b", "127.0.0.1:0", &[]);
    // The names of the first are taken, like those of any other container.
    let names = ["server_4", "server_5", "server_6"];
    b.wait_until_serving(&names);
    let of_a = lives(&FIRST_THREE);
    let of_b = lives(&names);
    let refused = http::request(b.address, "POST", "/add", r#"{"n":1,"hostnames":["server_1"]}"#);
    assert!(refused.status == 400 && refused.body.contains("'server_1' is taken"), "{}", refused.body);
    docker(&["kill", "server_5"]);
    wait_for("the other fleet's replica", PATIENCE, || {
        (b.get("/home")? == hello("server_5") && started_at("server_5") != of_b[1].1).then_some(())
    });
    assert_eq!(lives(&FIRST_THREE), of_a, "nobody touched those of the first");
    // One crashes and comes back, and still takes only its own.
    b.kill();
    let b_again = HostBalancer::start_with("b", "127.0.0.1:0", &[]);
    b_again.wait_until_serving(&names);
    assert_eq!((fleet_ids(&a.fleet).len(), fleet_ids(&b_again.fleet).len()), (3, 3));
    assert_eq!(a.terminate().code(), Some(0));
    assert!(!has_network(&a.network) && has_network(&b_again.network));
    assert_eq!(fleet_ids(&b_again.fleet).len(), 3, "the end of one is not that of the other");
    b_again.wait_until_serving(&names);
}
