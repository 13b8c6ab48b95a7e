//! What other implementations of this kind of load balancer get wrong, row by row, each shown to be impossible here.
//! The rows that concern containers are shown on real ones as well, in `tests/docker`.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::thread;

use crate::support::backend::answer;
use crate::support::{FakeLauncher, Gate, Hooked, Load, TestServer, settings, wait_for};
use ringmaster::fleet::Phase;
use ringmaster::supervisor::OnExit;

/// Heartbeats that notice a death at once and give a busy machine time to answer.
const QUICK: &str = "--heartbeat-interval 20ms --heartbeat-timeout 2s";

const THREE: [&str; 3] = ["server_1", "server_2", "server_3"];

fn three() -> (TestServer, FakeLauncher) {
    let launcher = FakeLauncher::new();
    (TestServer::start(QUICK, launcher.clone()), launcher)
}

/// A fleet whose launches wait at a gate, which is open at first.
fn gated() -> (TestServer, FakeLauncher, Gate) {
    let launcher = FakeLauncher::new();
    let gate = Gate::default();
    gate.open();
    let door = gate.clone();
    let hooked = Hooked::new(&launcher, move |_| door.pass());
    (TestServer::start(QUICK, hooked), launcher, gate)
}

/// All files of the repository that are text, without what is built.
fn repository() -> Vec<(PathBuf, String)> {
    let mut files = Vec::new();
    let mut folders = vec![PathBuf::from(env!("CARGO_MANIFEST_DIR"))];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() {
                if !path.is_symlink() && name != "target" && name != ".git" {
                    folders.push(path);
                }
            } else if let Ok(text) = fs::read_to_string(&path) {
                files.push((path, text));
            }
        }
    }
    files
}

#[test]
fn shell_strings_with_a_hostname_from_json_in_them() {
    let (server, launcher) = three();
    let proof = std::env::temp_dir().join(format!("ringmaster-proof-{}", std::process::id()));
    let path = proof.display();
    for name in [
        format!("x;touch {path}"),
        format!("$(touch {path})"),
        format!("`touch {path}`"),
        format!("S1\ntouch {path}"),
        "S1 --privileged".to_owned(),
        "--volume=/:/host".to_owned(),
        "S1'\"".to_owned(),
        "../S1".to_owned(),
    ] {
        let body = serde_json::json!({"n": 1, "hostnames": [name]}).to_string();
        for (method, path) in [("POST", "/add"), ("DELETE", "/rm")] {
            let refused = server.admin(method, path, &body);
            assert_eq!(refused.status, 400, "{name}");
            assert!(refused.error().contains("is not a legal hostname"), "{name}: {}", refused.text());
        }
    }
    assert_eq!(launcher.calls().len(), 3, "nothing but the first three launches");
    assert!(!Path::new(&proof).exists());
    // And there is no shell that a name could reach.
    for (path, text) in repository() {
        let text = text.split("#[cfg(test)]").next().unwrap();
        if path.starts_with(concat!(env!("CARGO_MANIFEST_DIR"), "/src")) {
            for shell in ["\"sh\"", "\"bash\"", "\"-c\"", "\"/bin/sh\""] {
                assert!(!text.contains(shell), "{} calls a shell", path.display());
            }
        }
    }
}

#[test]
fn stopping_or_replacing_containers_that_are_not_ours() {
    let (server, launcher) = three();
    launcher.take_name("postgres");
    let refused = server.admin("POST", "/add", r#"{"n":1,"hostnames":["postgres"]}"#);
    assert_eq!(refused.status, 400);
    assert!(refused.error().contains("'postgres' is taken by another container"));
    assert_eq!(server.admin("DELETE", "/rm", r#"{"n":1,"hostnames":["postgres"]}"#).status, 400);
    server.stop();
    assert!(!launcher.calls().iter().any(|call| call.contains("postgres")), "{:?}", launcher.calls());
}

#[test]
fn starting_containers_before_refusing_the_request() {
    let (server, launcher) = three();
    for body in [
        r#"{"n":2,"hostnames":["S1","server_1"]}"#,
        r#"{"n":2,"hostnames":["S1","S1"]}"#,
        r#"{"n":1,"hostnames":["S1","S2"]}"#,
        r#"{"n":2,"hostnames":["S1","not legal"]}"#,
        r#"{"n":1000,"hostnames":["S1"]}"#,
    ] {
        assert_eq!(server.admin("POST", "/add", body).status, 400, "{body}");
    }
    assert_eq!(server.listed(), THREE);
    assert_eq!(launcher.calls().len(), 3);
}

#[test]
fn a_500_on_bad_json() {
    let (server, launcher) = three();
    for body in
        ["", "{", "nul", "[]", "7", "\"n\"", "{\"n\":}", "{\"n\":{}}", "n=1", "\u{feff}{}", "{\"n\":1e999}"]
    {
        for (method, path) in [("POST", "/add"), ("DELETE", "/rm"), ("POST", "/rm")] {
            let refused = server.admin(method, path, body);
            assert_eq!(refused.status, 400, "{method} {path} {body}");
            assert!(refused.error().starts_with("<Error> "), "{body}");
        }
    }
    let deep = "[".repeat(50_000);
    assert_eq!(server.admin("POST", "/add", &deep).status, 400);
    assert_eq!((server.listed().len(), launcher.calls().len()), (3, 3));
}

#[test]
fn a_dead_replica_keeps_the_name_so_that_the_respawn_fails_for_ever() {
    let (server, launcher) = three();
    launcher.at("server_2", |backend| backend.kill());
    wait_for("it to be back", || launcher.count("start server_2") == 2 && server.serving() == 3);
    assert_eq!(launcher.calls()[3..], ["stop server_2", "start server_2"], "what was left of it went first");
}

#[test]
fn routing_to_a_dead_replica_for_up_to_50_seconds() {
    let (server, launcher, gate) = gated();
    gate.close();
    launcher.at("server_2", |backend| backend.kill());
    for _ in 0..100 {
        assert_eq!(server.get("/home").status, 200, "before it is noticed, too");
    }
    wait_for("the relaunch, which is held up", || gate.waiting() == 1);
    assert_eq!(server.serving(), 2, "it is out of the ring");
    assert_eq!(server.listed(), THREE);
    gate.open();
}

#[test]
fn traffic_to_a_replica_before_it_listens() {
    let (server, launcher) = three();
    launcher.fail_first_heartbeats(5);
    let load = Load::start(server.address, 8);
    assert_eq!(server.admin("POST", "/add", r#"{"n":3}"#).listed().len(), 6);
    wait_for("the new ones to be used", || load.seen().answers.len() == 6);
    let seen = load.stop();
    assert!(seen.failures.is_empty(), "{:?}", seen.failures);
    assert_eq!(launcher.early_requests(), 0);
}

#[test]
fn an_empty_ring_spins_a_thread_for_ever() {
    let launcher = FakeLauncher::new();
    launcher.fail_first_heartbeats(u32::MAX);
    // More requests than workers: none of them keeps its worker.
    let server = TestServer::start_early(&format!("{QUICK} --workers 2"), launcher);
    for _ in 0..10 {
        let refused = server.get("/home");
        assert_eq!((refused.status, refused.header("retry-after")), (503, Some("1")));
        assert_eq!(refused.error(), "<Error> no replica is serving");
    }
    assert_eq!(server.listed(), THREE);
}

#[test]
fn a_lock_held_across_a_docker_call() {
    let (server, _launcher, gate) = gated();
    gate.close();
    thread::scope(|scope| {
        let addition = scope.spawn(|| server.admin("POST", "/add", r#"{"n":2}"#));
        wait_for("the launches to be held up", || gate.waiting() == 2);
        for _ in 0..20 {
            assert_eq!(server.listed(), THREE);
            assert_eq!(server.get("/home").status, 200);
        }
        assert!(!addition.is_finished());
        gate.open();
        assert_eq!(addition.join().unwrap().listed().len(), 5);
    });
}

#[test]
fn a_lock_held_across_an_upstream_call() {
    let gate = Gate::default();
    let door = gate.clone();
    let launcher = FakeLauncher::with(move |seen, _, stream| {
        if seen.target == "/slow" {
            door.pass();
        }
        answer(stream, "200 OK", &[], b"");
    });
    let server = TestServer::start(QUICK, launcher);
    thread::scope(|scope| {
        let slow: Vec<_> = (0..10).map(|_| scope.spawn(|| server.get("/slow").status)).collect();
        wait_for("the slow requests to be there", || gate.waiting() == 10);
        for _ in 0..20 {
            assert_eq!(server.listed(), THREE);
            assert_eq!(server.get("/fast").status, 200);
        }
        assert_eq!(server.admin("POST", "/add", r#"{"n":1}"#).listed().len(), 4);
        gate.open();
        for request in slow {
            assert_eq!(request.join().unwrap(), 200);
        }
    });
}

#[test]
fn substring_matching_of_names() {
    let (server, launcher) = three();
    server.admin("POST", "/add", r#"{"n":4,"hostnames":["S10","S1","S11","AS1"]}"#).listed();
    launcher.take_name("server_40");
    let left = server.admin("DELETE", "/rm", r#"{"n":1,"hostnames":["S1"]}"#).listed();
    assert_eq!(left, ["server_1", "server_2", "server_3", "S10", "S11", "AS1"]);
    assert_eq!(launcher.running(), ["AS1", "S10", "S11", "server_1", "server_2", "server_3"]);
    assert_eq!(server.admin("DELETE", "/rm", r#"{"n":1,"hostnames":["S"]}"#).status, 400);
    let more = server.admin("POST", "/add", r#"{"n":2,"hostnames":["S1","server_4"]}"#).listed();
    assert_eq!(more.len(), 8, "neither S10 nor server_40 stands in the way");
}

#[test]
fn requests_in_flight_cut_by_rm() {
    let gate = Gate::default();
    let door = gate.clone();
    let launcher = FakeLauncher::with(move |_, name, stream| {
        door.pass();
        answer(stream, "200 OK", &[], name.as_bytes());
    });
    let server = TestServer::start(&format!("{QUICK} --drain-timeout 600s"), launcher.clone());
    thread::scope(|scope| {
        // POST, which is never sent twice: an answer is the answer of the replica that was asked first.
        let requests: Vec<_> = (0..30).map(|_| scope.spawn(|| server.admin("POST", "/slow", "x"))).collect();
        wait_for("the requests to be there", || gate.waiting() == 30);
        let removal = scope.spawn(|| server.admin("DELETE", "/rm", r#"{"n":2}"#));
        wait_for("two to leave", || server.serving() == 1);
        assert_eq!(launcher.running().len(), 3, "both still run");
        gate.open();
        for request in requests {
            assert_eq!(request.join().unwrap().status, 200);
        }
        assert_eq!(removal.join().unwrap().listed().len(), 1);
    });
    assert_eq!(launcher.running().len(), 1);
}

#[test]
fn virtual_servers_reported_as_replicas() {
    for virtual_servers in [1, 9, 64] {
        let flags = format!("{QUICK} --virtual-servers {virtual_servers}");
        let server = TestServer::start(&flags, FakeLauncher::new());
        assert_eq!(server.get("/rep").json()["message"]["N"], 3);
        assert_eq!(server.listed(), THREE);
        let replicas = server.server().fleet().replicas();
        assert!(replicas.iter().all(|replica| replica.slots.len() == virtual_servers));
    }
}

#[test]
fn a_health_thread_that_dies_of_its_first_exception() {
    let launcher = FakeLauncher::new();
    let panics = AtomicU32::new(0);
    let hooked = Hooked::new(&launcher, move |name| {
        // The relaunch, not the first launch.
        let due = name == "server_1" && panics.fetch_add(1, SeqCst) == 1;
        assert!(!due, "the launcher panics once, for the test");
    });
    let server = TestServer::start(QUICK, hooked);
    launcher.at("server_1", |backend| backend.kill());
    wait_for("the launch that panics", || server.serving() == 2);
    launcher.at("server_2", |backend| backend.kill());
    wait_for("the next failure to be healed", || launcher.count("start server_2") == 2);
    wait_for("all to serve", || server.serving() == 3);
}

#[test]
fn state_lost_or_names_colliding_after_the_balancer_crashes() {
    let launcher = FakeLauncher::new();
    let mut keep = settings(QUICK);
    keep.supervisor.on_exit = OnExit::Keep;
    let first = TestServer::with(&keep, launcher.clone());
    wait_for("all to serve", || first.serving() == 3);
    first.admin("POST", "/add", r#"{"n":2,"hostnames":["S5","S4"]}"#).listed();
    first.admin("DELETE", "/rm", r#"{"n":1,"hostnames":["server_2"]}"#).listed();
    let before = first.listed();
    first.stop();
    launcher.leave_everything(&["S5"]);

    let second = TestServer::start_early(QUICK, launcher.clone());
    wait_for("all to serve", || second.serving() == 4);
    let (mut listed, mut expected) = (second.listed(), before);
    listed.sort();
    expected.sort();
    assert_eq!(listed, expected);
    let more = second.admin("POST", "/add", r#"{"n":2}"#).listed();
    assert_eq!(more[4..], ["server_2", "server_4"], "names that nobody has");
    assert!(second.server().fleet().replicas().iter().all(|replica| replica.phase == Phase::Serving));
}

#[test]
fn make_targets_that_wipe_every_container_on_the_machine() {
    let files = repository();
    assert!(files.iter().any(|(path, _)| path.ends_with("run_tests.sh")));
    // In parts, so that this file does not hold them.
    let wipes = [
        ["docker system", "prune"],
        ["container", "prune"],
        ["docker volume", "prune"],
        ["docker rm $(docker", "ps"],
        ["docker rm -f $(docker", "ps"],
        ["docker stop $(docker", "ps"],
        ["docker kill $(docker", "ps"],
        ["docker ps -aq | xargs", "docker"],
    ];
    for (path, text) in files {
        let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
        for wipe in wipes.map(|parts| parts.join(" ")) {
            assert!(!words.contains(&wipe), "{} holds `{wipe}`", path.display());
        }
    }
}
