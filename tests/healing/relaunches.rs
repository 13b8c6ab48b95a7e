//! Replicas that fail come back: by themselves, as who they were, and without anybody noticing.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::backend::answer;
use crate::support::{FakeLauncher, Gate, Hooked, Load, TestServer, settings, wait_for};
use ringmaster::fleet::{Phase, Replica};
use ringmaster::supervisor::OnExit;

/// Heartbeats that notice a death at once and give a busy machine time to answer.
const QUICK: &str = "--heartbeat-interval 20ms --heartbeat-timeout 2s";

/// The same, for replicas that hang.
const IMPATIENT: &str = "--heartbeat-interval 20ms --heartbeat-timeout 250ms";

/// What a relaunch must not change: name, ring identity and slots.
fn identities(server: &TestServer) -> Vec<(String, u32, Vec<usize>)> {
    let who = |replica: Replica| (replica.hostname.to_string(), replica.id.ring_id.0, replica.slots);
    server.server().fleet().replicas().into_iter().map(who).collect()
}

fn phase_of(server: &TestServer, name: &str) -> Option<Phase> {
    let replicas = server.server().fleet().replicas();
    replicas.iter().find(|replica| replica.hostname.as_str() == name).map(|replica| replica.phase)
}

/// Waits until `name` was started so often and everybody serves.
fn wait_until_back(server: &TestServer, launcher: &FakeLauncher, name: &str, starts: usize) {
    let wanted = server.listed().len();
    wait_for("the replica to be back", || {
        launcher.count(&format!("start {name}")) >= starts && server.serving() == wanted
    });
}

/// A launcher whose launches of `name` wait at the gate while that is closed. It is open at first.
fn gated(inner: &FakeLauncher, name: &'static str) -> (Hooked, Gate) {
    let gate = Gate::default();
    gate.open();
    let door = gate.clone();
    let launcher = Hooked::new(inner, move |starting| {
        if starting == name {
            door.pass();
        }
    });
    (launcher, gate)
}

/// Replicas that let requests for `/slow` wait at the gate, and answer all others at once.
fn slow_replicas() -> (FakeLauncher, Gate) {
    let gate = Gate::default();
    let door = gate.clone();
    let launcher = FakeLauncher::with(move |seen, name, stream| {
        if seen.target == "/slow" {
            door.pass();
        }
        answer(stream, "200 OK", &[], name.as_bytes());
    });
    (launcher, gate)
}

#[test]
fn a_killed_replica_comes_back_with_its_name_ring_id_and_slots() {
    let launcher = FakeLauncher::new();
    let server = TestServer::start(QUICK, launcher.clone());
    let before = identities(&server);
    for (k, name) in ["server_2", "server_1", "server_3", "server_2"].into_iter().enumerate() {
        launcher.at(name, |backend| backend.kill());
        wait_until_back(&server, &launcher, name, if k == 3 { 3 } else { 2 });
        assert_eq!(identities(&server), before, "after {name} was killed");
        assert_eq!(launcher.running(), ["server_1", "server_2", "server_3"]);
    }
}

#[test]
fn a_replica_that_hangs_comes_back_with_its_name_ring_id_and_slots() {
    let launcher = FakeLauncher::new();
    let server = TestServer::start(IMPATIENT, launcher.clone());
    let before = identities(&server);
    launcher.at("server_2", |backend| backend.hang());
    wait_until_back(&server, &launcher, "server_2", 2);
    assert_eq!(identities(&server), before);
    assert!(launcher.count("stop server_2") >= 1, "the one that hung was stopped");
    assert_eq!(launcher.running(), ["server_1", "server_2", "server_3"]);
}

#[test]
fn a_random_name_changes_the_name_and_nothing_else() {
    let launcher = FakeLauncher::new();
    let server = TestServer::start(&format!("{QUICK} --respawn-name random"), launcher.clone());
    let before = identities(&server);
    launcher.at("server_2", |backend| backend.kill());
    wait_for("a new name", || !server.listed().contains(&"server_2".to_owned()) && server.serving() == 3);
    let after = identities(&server);
    assert_eq!((&after[0], &after[2]), (&before[0], &before[2]));
    assert_eq!((after[1].1, &after[1].2), (before[1].1, &before[1].2));
    let name = &after[1].0;
    let digits = name.strip_prefix("server_").unwrap();
    assert!(digits.len() == 12 && digits.chars().all(|c| c.is_ascii_hexdigit()), "{name}");
    assert_eq!(server.listed(), ["server_1", name, "server_3"]);
}

#[test]
fn n_and_the_names_never_waver_while_replicas_fail_and_return() {
    let launcher = FakeLauncher::new();
    let server = TestServer::start(QUICK, launcher.clone());
    let expected = server.listed();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            let mut client = server.connect();
            let mut looks = 0;
            while !done.load(SeqCst) {
                assert_eq!(client.request("GET", "/rep", &[], b"").listed(), expected);
                looks += 1;
            }
            looks
        });
        for name in ["server_1", "server_2", "server_3"] {
            launcher.at(name, |backend| backend.kill());
            wait_until_back(&server, &launcher, name, 2);
        }
        done.store(true, SeqCst);
        assert!(watcher.join().unwrap() > 3);
    });
}

#[test]
fn fifty_clients_see_nothing_but_200_while_replicas_are_killed() {
    let launcher = FakeLauncher::new();
    let server = TestServer::start(QUICK, launcher.clone());
    let load = Load::start(server.address, 50);
    for name in ["server_1", "server_2", "server_3"] {
        load.wait_for_answers(500);
        launcher.at(name, |backend| backend.kill());
        wait_until_back(&server, &launcher, name, 2);
    }
    load.wait_for_answers(500);
    let seen = load.stop();
    assert!(seen.failures.is_empty() && seen.cut == 0, "{:?}, {} cut", seen.failures, seen.cut);
    assert_eq!(seen.answers.len(), 3);
}

#[test]
fn a_launch_that_fails_is_tried_again_after_pauses_that_grow() {
    let launcher = FakeLauncher::new();
    let tries: Arc<Mutex<Vec<Instant>>> = Arc::default();
    let times = tries.clone();
    let hooked = Hooked::new(&launcher, move |name| {
        if name == "server_2" {
            times.lock().unwrap().push(Instant::now());
        }
    });
    let server = TestServer::start(QUICK, hooked);
    launcher.fail_start("server_2", 2);
    launcher.at("server_2", |backend| backend.kill());
    wait_until_back(&server, &launcher, "server_2", 4);
    assert_eq!(server.listed().len(), 3);
    let tries = tries.lock().unwrap();
    assert_eq!(tries.len(), 4, "the first launch, two that failed, and the one that did not");
    assert!(tries[2] - tries[1] >= Duration::from_secs(1), "the first pause is a second");
    assert!(tries[3] - tries[2] >= Duration::from_secs(2), "the next is twice as long");
}

#[test]
fn the_watchdog_survives_a_launcher_that_panics() {
    let launcher = FakeLauncher::new();
    let panics = AtomicU32::new(1);
    let hooked = Hooked::new(&launcher, move |name| {
        let due = name == "server_2" && panics.fetch_update(SeqCst, SeqCst, |n| n.checked_sub(1)).is_ok();
        assert!(!due, "the launcher panics once, for the test");
    });
    let server = TestServer::start_early(QUICK, hooked);
    wait_for("the two others to serve", || server.serving() >= 2);
    launcher.at("server_1", |backend| backend.kill());
    wait_for("a replica that failed after the panic", || launcher.count("start server_1") == 2);
    wait_for("the one whose launch panicked", || server.serving() == 3);
}

#[test]
fn a_heartbeat_answered_with_500_is_a_miss() {
    let launcher = FakeLauncher::new();
    let server = TestServer::start(QUICK, launcher.clone());
    launcher.at("server_2", |backend| backend.fail_heartbeats(u32::MAX));
    wait_until_back(&server, &launcher, "server_2", 2);
}

#[test]
fn one_miss_is_no_failure() {
    let launcher = FakeLauncher::new();
    // A pulse that a busy machine lets time out would be a second miss: this long is out of the question.
    let server =
        TestServer::start("--heartbeat-interval 20ms --heartbeat-timeout 20s --fall 2", launcher.clone());
    for _ in 0..5 {
        let before = launcher.at("server_2", |backend| {
            backend.fail_heartbeats(1);
            backend.heartbeats()
        });
        wait_for("good heartbeats after the bad one", || {
            launcher.at("server_2", |backend| backend.heartbeats()) >= before + 3
        });
    }
    assert_eq!(server.serving(), 3);
    assert_eq!(launcher.calls().len(), 3, "{:?}", launcher.calls());
}

#[test]
fn nothing_is_routed_to_a_replica_before_its_first_good_heartbeat() {
    let launcher = FakeLauncher::new();
    let server = TestServer::start(QUICK, launcher.clone());
    launcher.fail_first_heartbeats(10);
    let load = Load::start(server.address, 8);
    assert_eq!(server.admin("POST", "/add", r#"{"n":2,"hostnames":["S4","S5"]}"#).listed().len(), 5);
    launcher.at("server_1", |backend| backend.kill());
    wait_until_back(&server, &launcher, "server_1", 2);
    wait_for("all of them to be used", || load.seen().answers.len() == 5);
    let seen = load.stop();
    assert!(seen.failures.is_empty(), "{:?}", seen.failures);
    for name in ["S4", "S5", "server_1"] {
        assert!(launcher.at(name, |backend| backend.heartbeats()) > 10, "{name} was asked until it was well");
    }
    assert_eq!(launcher.early_requests(), 0);
}

#[test]
fn a_replica_that_is_removed_while_it_is_launched_again_leaves_nothing_running() {
    let launcher = FakeLauncher::new();
    let (hooked, gate) = gated(&launcher, "server_2");
    let server = TestServer::start(QUICK, hooked);
    gate.close();
    launcher.at("server_2", |backend| backend.kill());
    wait_for("the relaunch to begin", || gate.waiting() == 1);
    thread::scope(|scope| {
        let removal =
            scope.spawn(|| server.admin("DELETE", "/rm", r#"{"n":1,"hostnames":["server_2"]}"#).listed());
        wait_for("the removal to begin", || phase_of(&server, "server_2") == Some(Phase::Leaving));
        gate.open();
        assert_eq!(removal.join().unwrap(), ["server_1", "server_3"]);
    });
    assert_eq!(launcher.running(), ["server_1", "server_3"]);
    assert_eq!(server.serving(), 2);
}

#[test]
fn a_replica_that_is_removed_while_its_first_heartbeat_is_awaited_leaves_nothing_running() {
    let launcher = FakeLauncher::new();
    let server = TestServer::start(&format!("{QUICK} --start-timeout 600s"), launcher.clone());
    launcher.fail_first_heartbeats(u32::MAX);
    launcher.at("server_2", |backend| backend.kill());
    wait_for("the relaunch to begin", || launcher.count("start server_2") == 2);
    let left = server.admin("DELETE", "/rm", r#"{"n":1,"hostnames":["server_2"]}"#).listed();
    assert_eq!(left, ["server_1", "server_3"]);
    assert_eq!(launcher.running(), left);
}

#[test]
fn additions_go_on_while_a_replica_is_launched_again() {
    let launcher = FakeLauncher::new();
    let (hooked, gate) = gated(&launcher, "server_2");
    let server = TestServer::start(QUICK, hooked);
    gate.close();
    launcher.at("server_2", |backend| backend.kill());
    wait_for("the relaunch to begin", || gate.waiting() == 1);
    let listed = server.admin("POST", "/add", r#"{"n":1,"hostnames":["S9"]}"#).listed();
    assert_eq!(listed, ["server_1", "server_2", "server_3", "S9"]);
    assert_eq!((gate.waiting(), server.serving()), (1, 3));
    gate.open();
    wait_until_back(&server, &launcher, "server_2", 2);
    assert_eq!(launcher.running(), ["S9", "server_1", "server_2", "server_3"]);
}

#[test]
fn a_removal_waits_for_the_requests_in_flight() {
    let (launcher, gate) = slow_replicas();
    let server = TestServer::start(&format!("{QUICK} --drain-timeout 600s"), launcher.clone());
    thread::scope(|scope| {
        let slow = scope.spawn(|| server.get("/slow"));
        wait_for("the request to be there", || gate.waiting() == 1);
        let replicas = server.server().fleet().replicas();
        let holder = replicas.iter().find(|replica| replica.in_flight == 1).unwrap().hostname.to_string();
        let body = format!(r#"{{"n":1,"hostnames":["{holder}"]}}"#);
        let removal = scope.spawn({
            let server = &server;
            move || server.admin("DELETE", "/rm", &body)
        });
        wait_for("it to leave", || phase_of(&server, &holder) == Some(Phase::Leaving));
        assert!(!server.listed().contains(&holder));
        for _ in 0..20 {
            assert_ne!(server.get("/now").text(), holder, "one that leaves gets no requests");
        }
        assert!(!removal.is_finished() && launcher.running().contains(&holder));
        gate.open();
        let answered = slow.join().unwrap();
        assert_eq!((answered.status, answered.text()), (200, holder.clone()));
        assert_eq!(removal.join().unwrap().listed().len(), 2);
        assert!(!launcher.running().contains(&holder));
    });
}

#[test]
fn a_request_without_end_does_not_block_a_removal_for_ever() {
    let (launcher, gate) = slow_replicas();
    let server = TestServer::start(&format!("{QUICK} --replicas 2 --drain-timeout 200ms"), launcher.clone());
    thread::scope(|scope| {
        let slow = scope.spawn(|| server.get("/slow"));
        wait_for("the request to be there", || gate.waiting() == 1);
        let replicas = server.server().fleet().replicas();
        let holder = replicas.iter().find(|replica| replica.in_flight == 1).unwrap().hostname.to_string();
        let body = format!(r#"{{"n":1,"hostnames":["{holder}"]}}"#);
        let left = server.admin("DELETE", "/rm", &body).listed();
        assert_eq!(launcher.running(), left);
        assert!(!slow.is_finished());
        gate.open();
        let answered = slow.join().unwrap();
        assert_eq!(
            (answered.status, answered.text()),
            (200, left[0].clone()),
            "a GET goes to another replica"
        );
    });
}

#[test]
fn of_two_additions_of_the_same_name_one_wins() {
    let launcher = FakeLauncher::new();
    let server = TestServer::start(QUICK, launcher.clone());
    let add = || server.admin("POST", "/add", r#"{"n":1,"hostnames":["S7"]}"#);
    let (one, other) = thread::scope(|scope| {
        let first = scope.spawn(add);
        let second = scope.spawn(add);
        (first.join().unwrap(), second.join().unwrap())
    });
    let (won, lost) = if one.status == 200 { (one, other) } else { (other, one) };
    assert_eq!(won.listed().len(), 4);
    assert_eq!(lost.status, 400);
    assert!(lost.error().contains("'S7' is taken"), "{}", lost.text());
    assert_eq!(launcher.count("start S7"), 1);
}

#[test]
fn what_an_earlier_run_left_is_adopted_as_it_was() {
    let launcher = FakeLauncher::new();
    let mut keep = settings(QUICK);
    keep.supervisor.on_exit = OnExit::Keep;
    let first = TestServer::with(&keep, launcher.clone());
    wait_for("all replicas to serve", || first.serving() == 3);
    // So that names, ring identities and ages are in three different orders.
    first.admin("DELETE", "/rm", r#"{"n":1,"hostnames":["server_1"]}"#).listed();
    first.admin("POST", "/add", r#"{"n":2,"hostnames":["S5","A1"]}"#).listed();
    let mut before = identities(&first);
    first.stop();
    assert_eq!(launcher.running().len(), 4, "they were kept");
    launcher.leave_everything(&["server_3"]);
    let calls = launcher.calls().len();

    let second = TestServer::start_early(QUICK, launcher.clone());
    wait_for("all replicas to serve", || second.serving() == 4);
    let mut after = identities(&second);
    before.sort();
    after.sort();
    assert_eq!(after, before);
    assert_eq!(launcher.calls()[calls..], ["start server_3"], "only the exited one is launched");
}
