//! What these tests share: looks at the admin side, and replicas that answer what their path says.

use std::io::Write;
use std::net::Shutdown;
use std::process::Command;
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::support::backend::answer;
use crate::support::{FakeLauncher, Gate, Hooked, TestServer, wait_for};

/// Heartbeats that notice a death at once and give a busy machine time to answer.
pub const QUICK: &str = "--heartbeat-interval 20ms --heartbeat-timeout 5s";

/// How long replicas take to answer `/slow`.
pub const SLOW: Duration = Duration::from_millis(80);

/// What an endpoint says; it must say that it went well.
pub fn ask(server: &TestServer, target: &str) -> Value {
    let answer = server.get(target);
    assert_eq!(answer.status, 200, "{target}: {}", answer.text());
    let mut json = answer.json();
    assert_eq!(json["status"], "successful");
    json["message"].take()
}

pub fn status(server: &TestServer) -> Value {
    ask(server, "/_ringmaster/status")
}

pub fn totals(server: &TestServer) -> Value {
    status(server)["totals"].take()
}

/// Waits until so many requests have been counted, which is a moment after the last was answered, and no more.
pub fn settle(server: &TestServer, requests: u64) {
    wait_for("all to be counted", || number(&totals(server)["requests"]) >= requests);
    assert_eq!(totals(server)["requests"], requests);
}

/// What the status says of one replica; `Null` for none.
pub fn replica(server: &TestServer, name: &str) -> Value {
    let status = status(server);
    let mut replicas = status["replicas"].as_array().unwrap().iter();
    replicas.find(|replica| replica["name"] == name).cloned().unwrap_or_default()
}

/// Waits until what the status says of a replica is as wanted, and returns that.
pub fn wait_for_replica(
    server: &TestServer,
    name: &str,
    what: &str,
    mut done: impl FnMut(&Value) -> bool,
) -> Value {
    let mut found = Value::Null;
    wait_for(what, || {
        found = replica(server, name);
        done(&found)
    });
    found
}

/// The events after one.
pub fn events_after(server: &TestServer, seq: u64) -> Vec<Value> {
    let message = ask(server, &format!("/_ringmaster/events?after={seq}"));
    message["events"].as_array().unwrap().clone()
}

/// The events of a kind so far.
pub fn of_kind(server: &TestServer, kind: &str) -> Vec<Value> {
    events_after(server, 0).into_iter().filter(|event| event["kind"] == kind).collect()
}

/// Waits for the first event of a kind, which must be about `replica` and be the only one.
pub fn wait_for_one(server: &TestServer, kind: &str, replica: Option<&str>) -> Value {
    let mut found = Vec::new();
    wait_for(kind, || {
        found = of_kind(server, kind);
        !found.is_empty()
    });
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0]["replica"], Value::from(replica), "{found:?}");
    found.remove(0)
}

/// Prometheus's own checker; where there is none, says so, and that `what` was not checked.
pub fn promtool(what: &str) -> Option<String> {
    let promtool = std::env::var("PROMTOOL").unwrap_or_else(|_| "promtool".to_owned());
    if Command::new(&promtool).arg("--version").output().is_ok() {
        return Some(promtool);
    }
    // Past the harness, which keeps to itself what a test prints that passes.
    let advice = "tests/promtool/install.sh brings one";
    let mut stderr = std::io::stderr();
    writeln!(stderr, "SKIPPED: no promtool, so {what} not checked ({advice})").unwrap();
    None
}

pub fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is no number"))
}

/// Replicas that answer with the status that the path names, `/slow` after [`SLOW`], `/held` when the gate opens, and that
/// end the connection without an answer to `/break`; `/break-at-NAME` only at the one of this name.
pub fn scripted() -> (FakeLauncher, Gate) {
    let gate = Gate::default();
    let door = gate.clone();
    let launcher = FakeLauncher::with(move |seen, name, stream| {
        match seen.target.as_str() {
            "/slow" => thread::sleep(SLOW),
            "/held" => door.pass(),
            target if target == "/break" || target.strip_prefix("/break-at-") == Some(name) => {
                let _ = stream.shutdown(Shutdown::Both);
                return;
            }
            "/cut" => {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc");
                let _ = stream.shutdown(Shutdown::Both);
                return;
            }
            _ => {}
        }
        let code = seen.target[1..].parse::<u16>().ok().filter(|code| (200..600).contains(code));
        match code {
            Some(code) if code != 304 && code != 204 => {
                answer(stream, &format!("{code} It"), &[], name.as_bytes());
            }
            Some(code) => answer(stream, &format!("{code} It"), &[], b""),
            None => answer(stream, "200 OK", &[], name.as_bytes()),
        }
    });
    (launcher, gate)
}

/// A launcher whose launches wait at the gate, which is open.
pub fn gated(inner: &FakeLauncher) -> (Hooked, Gate) {
    let gate = Gate::default();
    gate.open();
    let door = gate.clone();
    (Hooked::new(inner, move |_| door.pass()), gate)
}
