//! What the status says of how replicas are.

use std::thread;
use std::time::Instant;

use serde_json::{Value, json};

use super::common::{gated, number, replica, scripted, settle, status, wait_for_replica};
use crate::support::client::request_bytes;
use crate::support::{CALM, FakeLauncher, TestServer, wait_for};

fn shares(server: &TestServer) -> f64 {
    status(server)["replicas"].as_array().unwrap().iter().map(|it| it["share"].as_f64().unwrap()).sum()
}

/// Until it has been in its state for longer than two clocks may differ in their milliseconds.
fn wait_for_a_while(server: &TestServer, name: &str) -> Value {
    wait_for_replica(server, name, "time to pass", |it| number(&it["since_ms"]) >= 50)
}

#[test]
fn one_that_starts_has_nothing_measured_and_then_serves() {
    let (launcher, gate) = gated(&FakeLauncher::new());
    gate.close();
    let server = TestServer::start_early(CALM, launcher);
    wait_for("launches", || gate.waiting() == 3);
    wait_for_a_while(&server, "server_1");
    let first = status(&server);
    assert_eq!((&first["serving"], &first["totals"]["requests"]), (&json!(0), &json!(0)));
    for entry in first["replicas"].as_array().unwrap() {
        assert_eq!((&entry["state"], &entry["share"]), (&json!("starting"), &json!(0.0)), "{entry}");
        assert!(entry["address"].is_null() && entry["instance"].is_null(), "{entry}");
        let beat = entry["heartbeat"].as_object().unwrap();
        assert!(beat.len() == 6 && beat.values().all(Value::is_null), "{entry}");
        assert!(entry["latency"]["p50_ms"].is_null() && entry["latency"]["count"] == 0);
    }
    assert_eq!(shares(&server), 0.0);
    gate.open();
    let then = wait_for_replica(&server, "server_1", "it to serve", |it| it["state"] == "serving");
    assert!(then["since"].as_str() > first["replicas"][0]["since"].as_str(), "{then}");
    assert!(then["address"].is_string() && then["instance"].is_string());
    wait_for("all to serve", || status(&server)["serving"] == 3);
    assert!((shares(&server) - 1.0).abs() < 1e-9);
}

#[test]
fn the_last_heartbeat_is_told_with_its_streak_and_what_was_wrong() {
    let launcher = FakeLauncher::new();
    let flags = "--heartbeat-interval 100ms --heartbeat-timeout 5s --fall 100 --replicas 1";
    let server = TestServer::start(flags, launcher.clone());
    let beat = |what: &str, done: &dyn Fn(&Value) -> bool| {
        wait_for_replica(&server, "server_1", what, |it| done(&it["heartbeat"]))["heartbeat"].take()
    };
    let good = beat("three good ones", &|it| it["result"] == "good" && number(&it["streak"]) >= 3);
    let longer = beat("more", &|it| number(&it["streak"]) > number(&good["streak"]) + 3);
    assert!(longer["at"].as_str() > good["at"].as_str());
    let latency = longer["latency_ms"].as_f64().unwrap();
    assert!(latency > 0.0 && latency <= 5000.0 && longer["why"].is_null(), "{longer}");
    launcher.at("server_1", |backend| backend.fail_heartbeats(u32::MAX));
    let missed = beat("two missed ones", &|it| it["result"] == "missed" && number(&it["streak"]) >= 2);
    assert!(missed["latency_ms"].is_null(), "{missed}");
    assert!(missed["why"].as_str().unwrap().contains("500"), "{missed}");
    launcher.at("server_1", |backend| backend.fail_heartbeats(0));
    let again = beat("a good one", &|it| it["result"] == "good");
    assert!(again["latency_ms"].is_number() && again["why"].is_null());
    assert_eq!(replica(&server, "server_1")["state"], "serving");
}

#[test]
fn one_that_fails_and_is_launched_again_goes_through_all_of_it() {
    let inner = FakeLauncher::new();
    let (launcher, gate) = gated(&inner);
    let server = TestServer::start(CALM, launcher);
    let before = wait_for_a_while(&server, "server_2");
    gate.close();
    let ended = Instant::now();
    inner.end("server_2");
    let failed = wait_for_replica(&server, "server_2", "it to fail", |it| it["state"] == "failed");
    let held = Instant::now();
    assert!(failed["since"].as_str() > before["since"].as_str(), "{failed}");
    assert_eq!(
        (&failed["share"], &failed["owned_slots"], &failed["failures"]),
        (&json!(0.0), &json!(0), &json!(1))
    );
    assert!(failed["last_error"].as_str().unwrap().contains("ended"), "{failed}");
    assert_eq!((&failed["relaunches"]["count"], &failed["slots"]), (&json!(0), &before["slots"]));
    let all = status(&server);
    assert_eq!((&all["N"], &all["serving"]), (&json!(3), &json!(2)));
    assert!((shares(&server) - 1.0).abs() < 1e-9);
    let owned: u64 = all["replicas"].as_array().unwrap().iter().map(|it| number(&it["owned_slots"])).sum();
    assert_eq!(owned, number(&all["slots"]));
    wait_for("the launch", || gate.waiting() == 1);
    let held = held.elapsed();
    gate.open();
    let back = wait_for_replica(&server, "server_2", "it to serve", |it| {
        it["state"] == "serving" && it["relaunches"]["count"] == 1 && it["last_error"].is_null()
    });
    let most = ended.elapsed();
    assert!(back["since"].as_str() >= failed["since"].as_str());
    let instances = (&back["instance"], &back["address"]);
    assert!(instances.0 != &before["instance"] && instances.1 != &before["address"], "{back}");
    assert_eq!((&back["slots"], &back["ring_id"]), (&before["slots"], &before["ring_id"]));
    assert_eq!((&back["failures"], &back["last_error"]), (&json!(0), &Value::Null));
    let relaunch = &back["relaunches"]["recent"][0];
    assert_eq!((&relaunch["ok"], back["relaunches"]["recent"].as_array().unwrap().len()), (&json!(true), 1));
    assert!(relaunch["reason"].as_str().unwrap().contains("ended"), "{relaunch}");
    let took = u128::from(number(&relaunch["took_ms"]));
    assert!(took >= held.as_millis() && took <= most.as_millis(), "{took} of {held:?} to {most:?}");
}

#[test]
fn one_that_cannot_be_launched_is_in_a_crash_loop_until_it_can() {
    let launcher = FakeLauncher::new();
    let server = TestServer::start(CALM, launcher.clone());
    launcher.fail_start("server_3", 2);
    launcher.end("server_3");
    let looping = wait_for_replica(&server, "server_3", "a crash loop", |it| {
        it["state"] == "crash loop" && !it["next_try_ms"].is_null()
    });
    assert!(number(&looping["failures"]) >= 2 && number(&looping["next_try_ms"]) <= 60_000, "{looping}");
    assert_eq!(looping["last_error"], "told to fail to start server_3");
    let recent = &looping["relaunches"]["recent"][0];
    assert_eq!((&recent["ok"], &recent["took_ms"]), (&json!(false), &Value::Null));
    assert_eq!((&recent["reason"], &looping["relaunches"]["count"]), (&looping["last_error"], &json!(0)));
    let back = wait_for_replica(&server, "server_3", "it to serve", |it| it["relaunches"]["count"] == 1);
    assert_eq!((&back["state"], &back["next_try_ms"]), (&json!("serving"), &Value::Null));
    let outcomes: Vec<_> =
        back["relaunches"]["recent"].as_array().unwrap().iter().map(|one| one["ok"].clone()).collect();
    assert_eq!(outcomes, [true, false, false], "newest first");
}

#[test]
fn one_that_leaves_drains_what_it_holds() {
    let (launcher, gate) = scripted();
    let server = TestServer::start(CALM, launcher.clone());
    let mut client = server.connect();
    client.send(&request_bytes("GET", "/held", &[], b""));
    wait_for("a request that is held", || gate.waiting() == 1);
    let all = status(&server);
    let holder = all["replicas"].as_array().unwrap().iter().find(|it| it["in_flight"] == 1).unwrap().clone();
    let name = holder["name"].as_str().unwrap();
    let body = format!(r#"{{"n":1,"hostnames":["{name}"]}}"#);
    wait_for_a_while(&server, name);
    thread::scope(|scope| {
        let removal = scope.spawn(|| server.admin("DELETE", "/rm", &body));
        let leaving = wait_for_replica(&server, name, "it to leave", |it| it["state"] == "draining");
        assert_eq!((&leaving["in_flight"], &leaving["share"]), (&json!(1), &json!(0.0)));
        assert!(leaving["since"].as_str() > holder["since"].as_str());
        let all = status(&server);
        assert_eq!(
            (&all["N"], &all["serving"], &all["totals"]["in_flight"]),
            (&json!(2), &json!(2), &json!(1))
        );
        assert!((shares(&server) - 1.0).abs() < 1e-9);
        assert!(!removal.is_finished());
        gate.open();
        assert_eq!(client.answer(false).status, 200);
        assert_eq!(removal.join().unwrap().status, 200);
    });
    assert!(replica(&server, name).is_null());
    settle(&server, 1);
    let totals = status(&server)["totals"].take();
    assert_eq!((&totals["requests"], &totals["in_flight"]), (&json!(1), &json!(0)));
}
