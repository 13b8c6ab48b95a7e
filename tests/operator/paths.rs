//! Which paths are ours, and that no others are.

use serde_json::json;

use super::common::scripted;
use crate::support::{CALM, Client, FakeLauncher, TestServer, wait_for};

/// Everything the replicas were asked.
fn asked(launcher: &FakeLauncher) -> Vec<String> {
    launcher.seen().into_iter().map(|seen| seen.target).collect()
}

#[test]
fn health_is_always_and_readiness_while_somebody_serves() {
    let launcher = FakeLauncher::new();
    let server = TestServer::start(&format!("{CALM} --replicas 1"), launcher.clone());
    let envelope = |message: &str| json!({"message": message, "status": "successful"});
    assert_eq!(server.get("/_ringmaster/health").json(), envelope("alive"));
    assert_eq!(server.get("/_ringmaster/ready").json(), envelope("ready"));
    launcher.fail_all_starts(true);
    launcher.end("server_1");
    wait_for("nobody to serve", || server.serving() == 0);
    let ready = server.get("/_ringmaster/ready");
    assert_eq!((ready.status, ready.header("retry-after")), (503, Some("1")));
    assert!(ready.error().contains("no replica"), "{}", ready.text());
    assert_eq!(server.get("/_ringmaster/health").json(), envelope("alive"));
    assert_eq!(server.connect().request("HEAD", "/_ringmaster/ready", &[], b"").status, 503);
}

#[test]
fn what_is_not_there_below_our_folder_is_not_forwarded() {
    let (launcher, _gate) = scripted();
    let server = TestServer::start(CALM, launcher.clone());
    for path in [
        "/_ringmaster/x",
        "/_ringmaster/status/",
        "/_ringmaster//",
        "/_ringmaster/../200",
        "/_ringmaster/%2e%2e/200",
    ] {
        let answer = server.get(path);
        assert_eq!(answer.status, 404, "{path}");
        assert!(answer.error().starts_with("<Error> "), "{}", answer.text());
        assert_eq!(server.connect().request("DELETE", path, &[], b"").status, 404, "{path}");
    }
    let there = server.get("/_ringmaster");
    assert_eq!((there.status, there.header("location")), (308, Some("/_ringmaster/")));
    assert!(there.body.is_empty());
    assert_eq!(asked(&launcher), Vec::<String>::new());
}

#[test]
fn pages_of_replicas_are_theirs() {
    let (launcher, _gate) = scripted();
    let server = TestServer::start(CALM, launcher.clone());
    let paths = [
        "/metrics",
        "/health",
        "/ready",
        "/status",
        "/events",
        "/_ringmasters",
        "/_Ringmaster/",
        "/repo",
        "/rep/",
    ];
    for path in paths {
        let answer = server.get(path);
        assert!(answer.status == 200 && answer.text().starts_with("server_"), "{path}: {}", answer.text());
    }
    let mut seen = asked(&launcher);
    seen.sort();
    let mut wanted = paths.map(str::to_owned);
    wanted.sort();
    assert_eq!(seen, wanted);
}

#[test]
fn with_an_address_of_its_own_the_admin_side_is_there_alone() {
    let (launcher, _gate) = scripted();
    let server = TestServer::start(&format!("{CALM} --admin-listen 127.0.0.1:0"), launcher.clone());
    let admin = |path: &str| Client::connect(server.server().admin_address()).request("GET", path, &[], b"");
    for path in ["/rep", "/_ringmaster/status", "/_ringmaster", "/add"] {
        assert!(server.get(path).text().starts_with("server_"), "{path} is the replicas'");
    }
    assert_eq!(asked(&launcher).len(), 4);
    assert_eq!(admin("/_ringmaster/health").status, 200);
    assert_eq!(admin("/rep").listed().len(), 3);
    assert_eq!((admin("/add").status, admin("/home").status), (405, 404));
    let status = admin("/_ringmaster/status").json();
    assert_eq!(
        status["message"]["totals"]["requests"], 4,
        "who asks there for a page is not among the traffic"
    );
    assert_eq!(asked(&launcher).len(), 4);
}
