//! Replicas that somebody else runs: routed to, watched, and never touched.

use std::net::TcpListener;
use std::sync::Arc;

use crate::support::backend::{Backend, Script, answer};
use crate::support::{TestServer, settings, wait_for};
use ringmaster::config::Launcher;

const QUICK: &str = "--launcher static --heartbeat-interval 20ms --heartbeat-timeout 2s";

/// Replicas that answer every path but their heartbeat with their name.
fn named(name: &'static str) -> Script {
    Arc::new(move |_, stream| answer(stream, "200 OK", &[], name.as_bytes()))
}

fn before(backends: &[&Backend], flags: &str) -> TestServer {
    let addresses: Vec<String> = backends.iter().map(|backend| backend.address.to_string()).collect();
    let settings = settings(&format!("{QUICK} {flags} --backends {}", addresses.join(",")));
    assert!(matches!(settings.launcher, Launcher::Static(_)));
    TestServer::as_set(&settings)
}

/// Everybody who answers one of a hundred requests.
fn who_answers(server: &TestServer) -> Vec<String> {
    let mut client = server.connect();
    let mut names: Vec<String> = (0..100).map(|_| client.request("GET", "/x", &[], b"").text()).collect();
    names.sort();
    names.dedup();
    names
}

#[test]
fn one_that_fails_gets_no_requests_until_it_answers_again() {
    let (a, b) = (Backend::start(named("a")), Backend::start(named("b")));
    let server = before(&[&a, &b], "");
    assert_eq!(server.serving(), 2, "they run already, and serve at once");
    assert_eq!(who_answers(&server), ["a", "b"]);
    b.fail_heartbeats(u32::MAX);
    wait_for("the failing one to leave the ring", || server.serving() == 1);
    assert_eq!(who_answers(&server), ["a"]);
    assert_eq!(server.listed().len(), 2, "it is a member all the same");
    b.fail_heartbeats(0);
    wait_for("it to be back", || server.serving() == 2);
    assert_eq!(who_answers(&server), ["a", "b"]);
}

#[test]
fn one_that_is_not_there_yet_joins_when_it_comes() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let a = Backend::start(named("a"));
    let flags = format!("{QUICK} --backends {free},{}", a.address);
    let settings = settings(&flags);
    let server = TestServer::as_set(&settings);
    assert_eq!((server.serving(), server.listed().len()), (1, 2));
    assert_eq!(who_answers(&server), ["a"]);
    let _late = Backend::start_at(free, named("late"));
    wait_for("the late one to join", || server.serving() == 2);
    assert_eq!(who_answers(&server), ["a", "late"]);
}

#[test]
fn one_whose_name_nobody_knows_has_failed_and_says_why() {
    let a = Backend::start(named("a"));
    // A name with an empty part is none: no DNS is asked.
    let settings = settings(&format!("{QUICK} --backends no..name:5000,{}", a.address));
    let server = TestServer::as_set(&settings);
    let mut replica = serde_json::Value::Null;
    wait_for("it to have failed", || {
        replica = server.get("/_ringmaster/status").json()["message"]["replicas"][0].take();
        replica["state"] == "failed"
    });
    assert!(replica["last_error"].as_str().is_some_and(|why| why.contains("no..name")), "{replica}");
}

#[test]
fn changes_are_refused_with_the_reason_and_the_end_leaves_them_alone() {
    let a = Backend::start(named("a"));
    let server = before(&[&a], "");
    for (method, path, body) in [("POST", "/add", r#"{"n":1}"#), ("DELETE", "/rm", r#"{"n":1}"#)] {
        let reply = server.admin(method, path, body);
        assert_eq!(reply.status, 400);
        assert!(reply.error().contains("--launcher static"), "{}", reply.error());
    }
    assert_eq!(server.listed(), [a.address.to_string().replace(':', "-")]);
    server.stop();
    let mut direct = crate::support::Client::connect(a.address);
    assert_eq!(direct.request("GET", "/x", &[], b"").text(), "a");
}

#[test]
fn their_pages_are_theirs_and_so_is_the_path_of_their_heartbeat() {
    let script: Script = Arc::new(|seen, stream| match seen.target.as_str() {
        "/health?deep" => answer(stream, "204 No Content", &[], b""),
        _ => answer(stream, "404 Not Found", &[], b"none of mine"),
    });
    let a = Backend::start(script);
    let server = before(&[&a], "--heartbeat-path /health?deep");
    assert_eq!(server.serving(), 1);
    let missing = server.get("/missing");
    assert_eq!((missing.status, missing.text().as_str()), (404, "none of mine"), "not the contract's 400");
    assert_eq!(a.heartbeats(), 0, "nobody asks for the default path");
}
