//! The page of metrics before Prometheus's own checker.

use std::io::Write;
use std::process::{Command, Stdio};

use super::common::promtool;
use crate::support::{FakeLauncher, TestServer, wait_for};

#[test]
fn prometheus_has_nothing_to_say_about_the_metrics() {
    let Some(promtool) = promtool("the metrics were") else {
        return;
    };
    let launcher = FakeLauncher::new();
    let server = TestServer::start("--heartbeat-interval 20ms --heartbeat-timeout 5s", launcher.clone());
    for path in ["/home", "/missing", "/rep", "/_ringmaster/x"] {
        (0..20).for_each(|_| _ = server.get(path));
    }
    server.connect().send(b"GET / HTTP/1.1\r\n\r\n").answer(false);
    launcher.fail_start("server_1", 1);
    launcher.end("server_1");
    wait_for("a relaunch", || {
        server.get("/_ringmaster/metrics").text().contains("\nringmaster_relaunch_duration_seconds_count 1\n")
    });
    let page = server.get("/_ringmaster/metrics").text();
    let mut check = Command::new(promtool);
    check.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = check.spawn().unwrap();
    child.stdin.take().unwrap().write_all(page.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    assert_eq!((output.status.code(), String::from_utf8_lossy(&said).as_ref()), (Some(0), ""));
}
