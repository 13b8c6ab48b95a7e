//! How the balancer comes to know that a replica is not well, and what it makes of that.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;

use crate::support::backend::{Backend, Script, answer};
use crate::support::{FakeLauncher, Gate, Hooked, Load, Program, TestServer, settings, wait_for};
use serde_json::Value;

/// No heartbeat is due within a test: whatever happens was learned in another way.
const NO_HEARTBEATS: &str = "--heartbeat-interval 60s --heartbeat-timeout 10s";

/// Heartbeats that notice a death at once and give a busy machine time to answer.
const QUICK: &str = "--heartbeat-interval 20ms --heartbeat-timeout 5s";

/// What `/_ringmaster/status` says.
fn status(server: &TestServer) -> Value {
    let response = server.get("/_ringmaster/status");
    assert_eq!(response.status, 200, "{}", response.text());
    response.json()["message"].clone()
}

/// What it says of one replica.
fn status_of(server: &TestServer, name: &str) -> Value {
    let status = status(server);
    let replicas = status["replicas"].as_array().unwrap();
    replicas.iter().find(|replica| replica["name"] == name).unwrap().clone()
}

/// Replicas that hold no request back, and launches that wait at the gate, which is open.
fn gated() -> (FakeLauncher, Hooked, Gate) {
    let (launcher, gate) = (FakeLauncher::new(), Gate::default());
    gate.open();
    let door = gate.clone();
    let hooked = Hooked::new(&launcher, move |_| door.pass());
    (launcher, hooked, gate)
}

#[test]
fn a_death_that_the_engine_tells_of_needs_no_heartbeat() {
    let launcher = FakeLauncher::new();
    let server = TestServer::start(NO_HEARTBEATS, launcher.clone());
    launcher.end("server_2");
    wait_for("the replica to be launched again", || launcher.count("start server_2") == 2);
    wait_for("it to serve", || server.serving() == 3);
    assert_eq!(launcher.running(), ["server_1", "server_2", "server_3"]);
}

#[test]
fn a_process_that_dies_is_known_of_at_once() {
    let program = Program::start(NO_HEARTBEATS);
    let old = program.replica("server_2").unwrap().pid;
    crate::support::program::signal(old, "KILL");
    wait_for("another process", || program.replica("server_2").is_some_and(|new| new.pid != old));
    program.wait_until_all_serve();
    let told =
        |line: &String| line.contains("server_2 relaunched: noticed ") && line.contains("(it has ended)");
    assert!(program.log().iter().any(told), "{:?}", program.log());
}

#[test]
fn a_launch_whose_instance_ends_is_given_up_at_once() {
    let launcher = FakeLauncher::new();
    // It would have ten minutes to answer.
    let server = TestServer::start(&format!("{NO_HEARTBEATS} --start-timeout 600s"), launcher.clone());
    launcher.fail_first_heartbeats(u32::MAX);
    launcher.end("server_2");
    wait_for("the launch", || launcher.count("start server_2") == 2);
    launcher.fail_first_heartbeats(0);
    launcher.end("server_2");
    wait_for("the next launch", || launcher.count("start server_2") == 3);
    wait_for("it to serve", || server.serving() == 3);
}

#[test]
fn a_request_that_cannot_connect_has_the_replica_replaced() {
    let launcher = FakeLauncher::new();
    let server = TestServer::start(NO_HEARTBEATS, launcher.clone());
    launcher.at("server_2", |backend| backend.kill());
    let load = Load::start(server.address, 4);
    wait_for("the replica to be launched again", || launcher.count("start server_2") == 2);
    wait_for("it to serve", || server.serving() == 3);
    let seen = load.stop();
    assert!(seen.failures.is_empty() && seen.cut == 0, "{:?}, {} cut", seen.failures, seen.cut);
}

#[test]
fn who_answers_as_somebody_else_is_not_the_replica() {
    let launcher = FakeLauncher::new();
    let server = TestServer::start(QUICK, launcher.clone());
    launcher.at("server_2", |backend| backend.call_itself("server_2"));
    let asked = launcher.at("server_2", |backend| backend.heartbeats());
    wait_for("heartbeats", || launcher.at("server_2", |backend| backend.heartbeats()) > asked + 5);
    assert_eq!(launcher.count("start server_2"), 1, "it is who it should be");
    launcher.at("server_2", |backend| backend.call_itself("server_7"));
    wait_for("the replica to be launched again", || launcher.count("start server_2") == 2);
    wait_for("it to serve", || server.serving() == 3);
}

fn named(name: &'static str) -> Script {
    Arc::new(move |_, stream| answer(stream, "200 OK", &[], name.as_bytes()))
}

/// A server that comes back by itself, as one of somebody else's does.
#[test]
fn one_that_returns_has_to_hold_before_it_gets_requests() {
    const RISE: u32 = 7;
    let (a, mut b) = (Backend::start(named("a")), Backend::start(named("b")));
    let flags = format!(
        "--launcher static --heartbeat-interval 20ms --heartbeat-timeout 5s --rise {RISE} --backends {},{}",
        a.address, b.address
    );
    let server = TestServer::as_set(&settings(&flags));
    assert_eq!(server.serving(), 2, "who is well at the start serves at once");
    let address = b.address;
    b.kill();
    wait_for("it to leave the ring", || server.serving() == 1);
    let b = Backend::start_at(address, named("b"));
    let mut client = server.connect();
    wait_for("a request to reach it", || {
        client.request("GET", "/x", &[], b"");
        !b.seen().is_empty()
    });
    // The one failure of its life doubles what is asked of it.
    assert!(b.heartbeats() >= 2 * RISE, "{} heartbeats before the first request", b.heartbeats());
}

#[test]
fn when_most_miss_heartbeats_together_they_stay_and_are_replaced_one_after_another() {
    let (launcher, hooked, gate) = gated();
    let server = TestServer::start(QUICK, hooked);
    let names = ["server_1", "server_2", "server_3"];
    let load = Load::start(server.address, 4);
    gate.close();
    for name in names {
        launcher.at(name, |backend| backend.fail_heartbeats(u32::MAX));
    }
    wait_for("a launch to begin", || gate.waiting() == 1);
    // All of them would have been taken out by now if they were believed to be sick.
    let of_others = || {
        let running = launcher.running();
        running.iter().map(|name| launcher.at(name, |backend| backend.heartbeats())).min().unwrap()
    };
    let asked = of_others();
    wait_for("more heartbeats", || of_others() > asked + 20);
    assert_eq!((gate.waiting(), server.serving()), (1, 2), "one at a time");
    assert_eq!(status(&server)["panic"], true);
    load.wait_for_answers(100);
    gate.open();
    wait_for("all of them to be replaced", || {
        names.iter().all(|name| launcher.count(&format!("start {name}")) == 2) && server.serving() == 3
    });
    wait_for("the panic to be over", || status(&server)["panic"] == false);
    let seen = load.stop();
    assert!(seen.failures.is_empty() && seen.cut == 0, "{:?}, {} cut", seen.failures, seen.cut);
}

/// Of five, three are away for reasons that are known; that one of the two others hangs is believed.
#[test]
fn those_that_are_known_to_be_dead_are_no_reason_to_panic() {
    let (launcher, hooked, gate) = gated();
    let server = TestServer::start(&format!("{QUICK} --replicas 5"), hooked);
    gate.close();
    for name in ["server_1", "server_2", "server_3"] {
        launcher.end(name);
    }
    wait_for("them to leave the ring", || server.serving() == 2);
    launcher.at("server_4", |backend| backend.fail_heartbeats(u32::MAX));
    wait_for("the one that hangs to leave the ring", || server.serving() == 1);
    assert_eq!(status(&server)["panic"], false);
    gate.open();
    wait_for("all of them to serve", || server.serving() == 5);
}

#[test]
fn without_a_panic_threshold_every_failure_is_believed() {
    let (launcher, hooked, gate) = gated();
    let server = TestServer::start(&format!("{QUICK} --panic-threshold 100"), hooked);
    gate.close();
    for name in ["server_1", "server_2", "server_3"] {
        launcher.at(name, |backend| backend.fail_heartbeats(u32::MAX));
    }
    wait_for("the ring to be empty", || server.serving() == 0);
    assert_eq!(server.get("/home").status, 503);
    gate.open();
    wait_for("all of them to serve", || server.serving() == 3);
}

#[test]
fn replicas_that_refuse_connections_leave_the_ring_however_many_they_are() {
    let (launcher, hooked, gate) = gated();
    let server = TestServer::start(QUICK, hooked);
    gate.close();
    for name in ["server_1", "server_2", "server_3"] {
        launcher.at(name, |backend| backend.kill());
    }
    wait_for("the ring to be empty", || server.serving() == 0);
    assert_eq!(status(&server)["panic"], false);
    gate.open();
    wait_for("all of them to serve", || server.serving() == 3);
}

/// A replica that holds the request for `/slow`, with the name of it, and a launcher that has it.
fn with_a_request_held(flags: &str) -> (TestServer, FakeLauncher, Gate) {
    let gate = Gate::default();
    let (door, first) = (gate.clone(), AtomicBool::new(true));
    let launcher = FakeLauncher::with(move |seen, name, stream| {
        if seen.target == "/slow" && first.swap(false, SeqCst) {
            door.pass();
        }
        answer(stream, "200 OK", &[], name.as_bytes());
    });
    (TestServer::start(flags, launcher.clone()), launcher, gate)
}

fn holder(server: &TestServer) -> String {
    let replicas = server.server().fleet().replicas();
    replicas.iter().find(|replica| replica.in_flight == 1).unwrap().hostname.to_string()
}

#[test]
fn a_request_on_a_replica_that_has_failed_does_not_wait_until_that_is_killed() {
    let (server, launcher, gate) = with_a_request_held(QUICK);
    thread::scope(|scope| {
        let slow = scope.spawn(|| server.get("/slow"));
        wait_for("the request to be there", || gate.waiting() == 1);
        let holder = holder(&server);
        launcher.fail_stop(&holder, u32::MAX);
        launcher.at(&holder, |backend| backend.fail_heartbeats(u32::MAX));
        let answered = slow.join().unwrap();
        assert_eq!(answered.status, 200, "{}", answered.text());
        assert_ne!(answered.text(), holder);
        assert_eq!(launcher.count(&format!("start {holder}")), 1, "it has not been replaced meanwhile");
        gate.open();
        launcher.fail_stop(&holder, 0);
    });
}

#[test]
fn a_request_on_a_replica_that_hangs_while_it_leaves_is_not_waited_for() {
    let (server, launcher, gate) =
        with_a_request_held(&format!("{QUICK} --heartbeat-timeout 250ms --drain-timeout 600s"));
    thread::scope(|scope| {
        let slow = scope.spawn(|| server.get("/slow"));
        wait_for("the request to be there", || gate.waiting() == 1);
        let holder = holder(&server);
        let body = format!(r#"{{"n":1,"hostnames":["{holder}"]}}"#);
        let removal = scope.spawn({
            let server = &server;
            move || server.admin("DELETE", "/rm", &body)
        });
        wait_for("it to leave", || server.serving() == 2);
        launcher.at(&holder, |backend| backend.hang());
        let answered = slow.join().unwrap();
        assert_eq!(answered.status, 200, "{}", answered.text());
        assert_ne!(answered.text(), holder);
        assert_eq!(removal.join().unwrap().listed().len(), 2);
        gate.open();
    });
}

#[test]
fn a_crash_loop_is_told_and_the_replica_stays_a_member() {
    let launcher = FakeLauncher::new();
    let server = TestServer::start(QUICK, launcher.clone());
    let well = status_of(&server, "server_2");
    assert_eq!((&well["state"], &well["failures"]), (&"serving".into(), &0.into()));
    assert_eq!((&well["last_error"], &well["next_try_ms"]), (&Value::Null, &Value::Null));
    launcher.fail_start("server_2", 2);
    launcher.end("server_2");
    wait_for("the crash loop", || status_of(&server, "server_2")["state"] == "crash loop");
    let status = status_of(&server, "server_2");
    assert!(status["failures"].as_u64().unwrap() >= 2, "{status}");
    assert!(status["next_try_ms"].as_u64().unwrap() <= 2_000, "{status}");
    assert!(status["last_error"].as_str().unwrap().contains("told to fail"), "{status}");
    assert_eq!(server.listed(), ["server_1", "server_2", "server_3"]);
    wait_for("it to serve", || server.serving() == 3);
    assert_eq!(status_of(&server, "server_2")["state"], "serving");
    assert_eq!(launcher.count("start server_2"), 4);
}

#[test]
fn a_replica_that_dies_again_and_again_is_launched_after_pauses_at_most_as_long_as_was_set() {
    let launcher = FakeLauncher::new();
    let server = TestServer::start(&format!("{QUICK} --longest-pause 1s"), launcher.clone());
    for deaths in 1..=4 {
        launcher.end("server_2");
        let back = || launcher.count("start server_2") == deaths + 1 && server.serving() == 3;
        wait_for("it to be back", back);
        let failures = status_of(&server, "server_2")["failures"].as_u64().unwrap();
        assert_eq!(failures, 0, "what serves is in no trouble");
    }
}

#[test]
fn the_status_says_which_slots_are_whose() {
    let launcher = FakeLauncher::new();
    let (hooked, gate) = {
        let gate = Gate::default();
        gate.open();
        let door = gate.clone();
        (
            Hooked::new(&launcher, move |name| {
                if name == "server_2" {
                    door.pass()
                }
            }),
            gate,
        )
    };
    let server = TestServer::start(&format!("{QUICK} --slots 100"), hooked);
    let owned = |status: &Value| -> u64 {
        status["replicas"].as_array().unwrap().iter().map(|it| it["owned_slots"].as_u64().unwrap()).sum()
    };
    let whole = status(&server);
    assert_eq!((&whole["N"], &whole["serving"], &whole["slots"]), (&3.into(), &3.into(), &100.into()));
    assert_eq!(owned(&whole), 100);
    gate.close();
    launcher.end("server_2");
    wait_for("it to be away", || status(&server)["serving"] == 2);
    let without = status(&server);
    assert_eq!((owned(&without), &without["N"]), (100, &3.into()), "the others have taken its requests over");
    assert_eq!(status_of(&server, "server_2")["owned_slots"], 0);
    assert_eq!(
        status_of(&server, "server_2")["slots"].as_array().unwrap().len(),
        9,
        "and it keeps its slots"
    );
    gate.open();
    wait_for("it to be back", || status(&server)["replicas"] != without["replicas"] && server.serving() == 3);
    assert_eq!(server.connect().request("POST", "/_ringmaster/status", &[], b"").status, 405);
}
