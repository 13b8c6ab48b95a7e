//! What Prometheus is told is what has happened.

use super::common::{QUICK, scripted, settle, status, totals, wait_for_replica};
use super::exposition::{Page, scrape};
use crate::support::client::request_bytes;
use crate::support::{CALM, FakeLauncher, TestServer, wait_for};

const NAMES: [&str; 3] = ["server_1", "server_2", "server_3"];

/// The states of which the page says that a replica is in them; it tells of all five.
fn states_of(page: &Page, name: &str) -> Vec<String> {
    let samples = &page.families["ringmaster_replica_state"].samples;
    let of_it: Vec<_> = samples.iter().filter(|(_, labels, _)| labels["replica"] == name).collect();
    assert_eq!(of_it.len(), 5, "{of_it:?}");
    of_it.iter().filter(|it| it.2 > 0.0).map(|it| it.1["state"].clone()).collect()
}

#[test]
fn requests_are_counted_by_replica_and_code_and_timed() {
    let (launcher, _gate) = scripted();
    let server = TestServer::start(&format!("{CALM} --replica-404 pass"), launcher.clone());
    let mut client = server.connect();
    let sent = [("/200", 20), ("/201", 3), ("/302", 4), ("/404", 5), ("/500", 2), ("/299", 6), ("/599", 1)];
    for (path, times) in sent {
        for _ in 0..times {
            client.request("GET", path, &[], b"");
        }
    }
    settle(&server, 41);
    let page = scrape(&server);
    let mut by_code = page.by("ringmaster_requests_total", "code");
    by_code.retain(|_, count| *count > 0.0);
    let wanted = [("200", 20), ("201", 3), ("2xx", 6), ("302", 4), ("404", 5), ("500", 2), ("5xx", 1)];
    let wanted = wanted.map(|(code, count)| (code.to_owned(), f64::from(count)));
    assert_eq!(by_code.into_iter().collect::<Vec<_>>(), wanted);
    for name in NAMES {
        let seen = launcher.at(name, |backend| backend.seen());
        let of = [("replica", name)];
        let count = page.value("ringmaster_request_duration_seconds_count", &of);
        assert_eq!(count, seen.len() as f64, "{name}");
        let plain = seen.iter().filter(|it| it.target == "/200").count();
        let told = page.get("ringmaster_requests_total", &[("replica", name), ("code", "200")]);
        assert_eq!(told.unwrap_or(0.0), plain as f64, "{name}");
    }
    assert!(page.value("ringmaster_request_duration_seconds_count", &[("replica", "-")]) == 0.0);
    assert!(page.get("ringmaster_requests_total", &[("replica", "-"), ("code", "200")]).is_none());
}

#[test]
fn the_histogram_has_each_request_in_its_bucket() {
    let (launcher, _gate) = scripted();
    let server = TestServer::start(&format!("{CALM} --replicas 1"), launcher);
    for _ in 0..5 {
        server.get("/slow");
    }
    settle(&server, 5);
    let page = scrape(&server);
    let bucket = |bound: &str| {
        let labels = [("replica", "server_1"), ("le", bound)];
        page.value("ringmaster_request_duration_seconds_bucket", &labels)
    };
    assert_eq!((bucket("0.05"), bucket("+Inf")), (0.0, 5.0));
    assert!(page.value("ringmaster_request_duration_seconds_sum", &[("replica", "server_1")]) >= 5.0 * 0.08);
}

#[test]
fn the_page_and_the_status_say_the_same() {
    let (launcher, gate) = scripted();
    let server = TestServer::start(&format!("{CALM} --scheme statement"), launcher.clone());
    for _ in 0..20 {
        server.get("/break-at-server_1");
        server.get("/200");
    }
    let mut held = server.connect();
    held.send(&request_bytes("GET", "/held", &[], b""));
    wait_for("a request that is held", || gate.waiting() == 1);
    wait_for("the clients to be counted", || !totals(&server)["connections"].is_null());
    settle(&server, 40);
    let (status, page) = (status(&server), scrape(&server));
    for entry in status["replicas"].as_array().unwrap() {
        let name = entry["name"].as_str().unwrap();
        let of = [("replica", name)];
        let same = |field: &str, told: f64| assert_eq!(entry[field].as_f64(), Some(told), "{name} {field}");
        same("share", page.value("ringmaster_ring_share_ratio", &of));
        same("in_flight", page.value("ringmaster_in_flight_requests", &of));
        same("retries", page.value("ringmaster_retries_total", &of));
        same("errors", page.by("ringmaster_attempt_failures_total", "replica")[name]);
        same("requests", page.by("ringmaster_requests_total", "replica")[name]);
        assert_eq!(page.value("ringmaster_replica_up", &of), 1.0);
        assert_eq!(states_of(&page, name), ["serving"]);
        assert!(page.value("ringmaster_heartbeats_total", &[("replica", name), ("result", "good")]) >= 1.0);
        assert!(page.value("ringmaster_heartbeat_latency_seconds", &of) > 0.0);
    }
    let broken = [("replica", "server_1"), ("reason", "broken")];
    assert!(page.value("ringmaster_attempt_failures_total", &broken) > 0.0);
    for (why, count) in status["totals"]["refused"].as_object().unwrap() {
        assert_eq!(page.get("ringmaster_refusals_total", &[("reason", why)]), count.as_f64(), "{why}");
    }
    let states = page.by("ringmaster_replicas", "state");
    assert_eq!((states["serving"], states.values().sum::<f64>(), states.len()), (3.0, 3.0, 5));
    assert!(states.contains_key("crash_loop"));
    assert_eq!(page.value("ringmaster_build_info", &[("version", env!("CARGO_PKG_VERSION"))]), 1.0);
    assert!(page.value("ringmaster_uptime_seconds", &[]) > 0.0);
    assert!(page.value("ringmaster_start_time_seconds", &[]) > 1.6e9);
    assert_eq!(
        (page.value("ringmaster_panic", &[]), page.value("ringmaster_access_log_dropped_total", &[])),
        (0.0, 0.0)
    );
    assert_eq!(page.by("ringmaster_queued_requests", "queue").values().sum::<f64>(), 0.0);
    assert!(page.value("ringmaster_connections", &[]) >= 1.0);
    assert!(page.by("ringmaster_admin_requests_total", "code")["200"] >= 2.0);
    gate.open();
    held.answer(false);
}

#[test]
fn failures_and_relaunches_are_counted() {
    let launcher = FakeLauncher::new();
    let server = TestServer::start(QUICK, launcher.clone());
    launcher.fail_start("server_2", 1);
    launcher.end("server_2");
    wait_for_replica(&server, "server_2", "a relaunch", |it| it["relaunches"]["count"] == 1);
    launcher.at("server_1", |backend| backend.fail_heartbeats(1));
    let missed = |page: &Page| {
        page.value("ringmaster_heartbeats_total", &[("replica", "server_1"), ("result", "missed")])
    };
    wait_for("a missed heartbeat", || missed(&scrape(&server)) == 1.0);
    let page = scrape(&server);
    assert_eq!(page.value("ringmaster_relaunches_total", &[("replica", "server_2")]), 1.0);
    assert_eq!(page.value("ringmaster_launch_failures_total", &[("replica", "server_2")]), 1.0);
    assert_eq!(page.value("ringmaster_relaunches_total", &[("replica", "server_1")]), 0.0);
    assert_eq!(page.value("ringmaster_relaunch_duration_seconds_count", &[]), 1.0);
    let events = page.by("ringmaster_events_total", "kind");
    let told = ["failed", "relaunched", "launch_failed", "started"].map(|kind| events[kind]);
    assert_eq!((told, events.len()), ([1.0; 4], 15));
    launcher.fail_all_starts(true);
    launcher.end("server_3");
    wait_for_replica(&server, "server_3", "a crash loop", |it| it["state"] == "crash loop");
    let page = scrape(&server);
    assert_eq!(page.value("ringmaster_replica_up", &[("replica", "server_3")]), 0.0);
    assert_eq!(states_of(&page, "server_3"), ["crash_loop"]);
    assert_eq!(page.by("ringmaster_replicas", "state")["crash_loop"], 1.0);
    assert_eq!(page.value("ringmaster_ring_share_ratio", &[("replica", "server_3")]), 0.0);
}

#[test]
fn what_the_balancer_answers_itself_is_its_own() {
    let launcher = FakeLauncher::new();
    let server = TestServer::start(&format!("{CALM} --replicas 1"), launcher.clone());
    launcher.fail_all_starts(true);
    launcher.end("server_1");
    wait_for("nobody to serve", || server.serving() == 0);
    for _ in 0..3 {
        assert_eq!(server.get("/home").status, 503);
    }
    server.connect().send(b"GET / HTTP/1.1\r\n\r\n").answer(false);
    settle(&server, 4);
    let page = scrape(&server);
    assert_eq!(page.value("ringmaster_requests_total", &[("replica", "-"), ("code", "503")]), 3.0);
    assert_eq!(page.value("ringmaster_requests_total", &[("replica", "-"), ("code", "400")]), 1.0);
    assert_eq!(page.value("ringmaster_refusals_total", &[("reason", "no_replica")]), 3.0);
    assert_eq!(page.value("ringmaster_refusals_total", &[("reason", "malformed")]), 1.0);
}

#[test]
fn what_alerts_are_about_has_a_series_before_it_happens() {
    let server = TestServer::start(&format!("{CALM} --replicas 2"), FakeLauncher::new());
    let page = scrape(&server);
    let told = page.families["ringmaster_requests_total"].samples.iter();
    let told: Vec<_> = told.map(|(_, labels, n)| (&*labels["replica"], &*labels["code"], *n)).collect();
    let of_replica = |name| ["200", "500", "502", "503", "504", "5xx"].map(|code| (name, code, 0.0));
    let ours = ["400", "502", "503", "504"].map(|code| ("-", code, 0.0));
    assert_eq!(told, [&of_replica("server_1")[..], &of_replica("server_2"), &ours].concat());
}

#[test]
fn how_long_the_last_good_heartbeat_took_is_told_while_others_are_missed() {
    let launcher = FakeLauncher::new();
    let server = TestServer::start(&format!("{QUICK} --replicas 1 --fall 100"), launcher.clone());
    let of = [("replica", "server_1")];
    let took = |page: &Page| page.get("ringmaster_heartbeat_latency_seconds", &of);
    wait_for("a good heartbeat", || took(&scrape(&server)).is_some());
    launcher.at("server_1", |backend| backend.fail_heartbeats(u32::MAX));
    wait_for_replica(&server, "server_1", "a miss", |it| it["heartbeat"]["result"] == "missed");
    assert!(took(&scrape(&server)).is_some_and(|seconds| seconds > 0.0));
}

#[test]
fn a_replica_that_drains_is_neither_up_nor_failed() {
    let (launcher, gate) = scripted();
    let server = TestServer::start(&format!("{CALM} --replicas 2 --drain-timeout 60s"), launcher);
    let mut held = server.connect();
    held.send(&request_bytes("GET", "/held", &[], b""));
    wait_for("a request that is held", || gate.waiting() == 1);
    let holds = |number: usize| status(&server)["replicas"][number]["in_flight"] == 1;
    let name = if holds(0) { "server_1" } else { "server_2" };
    assert_eq!(states_of(&scrape(&server), name), ["serving"]);
    std::thread::scope(|scope| {
        let removal = format!(r#"{{"n":1,"hostnames":["{name}"]}}"#);
        let server = &server;
        let removed = scope.spawn(move || server.admin("DELETE", "/rm", &removal).status);
        wait_for("it to drain", || states_of(&scrape(server), name) == ["draining"]);
        assert_eq!(scrape(server).value("ringmaster_replica_up", &[("replica", name)]), 0.0);
        gate.open();
        assert_eq!(removed.join().unwrap(), 200);
    });
    held.answer(false);
}
