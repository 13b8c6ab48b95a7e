//! What the status says of requests.

use std::io::Write;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::common::{ask, number, replica, scripted, settle, status, totals, wait_for_replica};
use super::exposition::scrape;
use crate::support::client::request_bytes;
use crate::support::{CALM, FakeLauncher, TestServer, wait_for};

/// Every count of every replica added up.
fn sum(status: &Value, field: &str) -> u64 {
    let replicas = status["replicas"].as_array().unwrap();
    replicas.iter().map(|replica| number(&replica[field])).sum()
}

#[test]
fn requests_are_counted_with_who_answered_and_by_class() {
    let (launcher, _gate) = scripted();
    let server = TestServer::start(&format!("{CALM} --replica-404 pass"), launcher.clone());
    let mut client = server.connect();
    for (path, times) in [("/200", 31), ("/302", 3), ("/404", 5), ("/418", 2), ("/500", 4), ("/599", 1)] {
        for _ in 0..times {
            client.request("GET", path, &[], b"");
        }
    }
    // What looks on is not counted.
    for look in ["/rep", "/_ringmaster/events", "/_ringmaster/none"] {
        client.request("GET", look, &[], b"");
    }
    settle(&server, 46);
    let status = status(&server);
    let classes = json!({"1xx": 0, "2xx": 31, "3xx": 3, "4xx": 7, "5xx": 5});
    assert_eq!((&status["totals"]["requests"], &status["totals"]["answers"]), (&json!(46), &classes));
    assert_eq!((sum(&status, "requests"), sum(&status, "errors"), sum(&status, "retries")), (46, 0, 0));
    for entry in status["replicas"].as_array().unwrap() {
        let seen = launcher.at(entry["name"].as_str().unwrap(), |backend| backend.seen().len());
        assert_eq!(number(&entry["requests"]), seen as u64, "{entry}");
        let classes = entry["answers"].as_object().unwrap().values().map(number).sum::<u64>();
        assert_eq!(classes, seen as u64, "{entry}");
    }
}

#[test]
fn a_page_that_is_missing_is_counted_as_the_client_heard_of_it() {
    let server = TestServer::start(&format!("{CALM} --replicas 1"), FakeLauncher::new());
    assert_eq!(server.get("/missing").status, 400);
    settle(&server, 1);
    let entry = replica(&server, "server_1");
    assert_eq!((&entry["requests"], &entry["answers"]["4xx"]), (&json!(1), &json!(1)));
}

#[test]
fn attempts_that_break_are_errors_of_their_replica_and_retries() {
    let (launcher, _gate) = scripted();
    let server = TestServer::start(&format!("{CALM} --replicas 2"), launcher.clone());
    let (mut well, mut failed) = (0, 0);
    for _ in 0..40 {
        match server.get("/break-at-server_1").status {
            200 => well += 1,
            502 => failed += 1,
            other => panic!("{other}"),
        }
    }
    settle(&server, 40);
    let status = status(&server);
    let (one, two) = (&status["replicas"][0], &status["replicas"][1]);
    let broken = launcher.at("server_1", |backend| backend.seen().len()) as u64;
    assert!(broken > 0 && well > 0);
    assert_eq!((number(&one["errors"]), number(&one["requests"])), (broken, 0));
    assert_eq!((number(&two["errors"]), number(&two["requests"]), number(&two["retries"])), (0, well, 0));
    // Each that broke there was tried again, or given up.
    assert_eq!(number(&one["retries"]), broken - failed);
    assert_eq!(number(&status["totals"]["retries"]), broken - failed);
    assert_eq!(status["totals"]["answers"]["5xx"], failed);
    assert_eq!(number(&status["totals"]["requests"]), 40);
}

#[test]
fn one_that_is_too_slow_or_not_there_has_errors() {
    let (launcher, gate) = scripted();
    let flags = format!("{CALM} --replicas 1 --first-byte-timeout 200ms");
    let server = TestServer::start(&flags, launcher.clone());
    assert_eq!(server.get("/held").status, 504);
    let entry = replica(&server, "server_1");
    assert_eq!((&entry["errors"], &entry["requests"], &entry["retries"]), (&json!(1), &json!(0), &json!(0)));
    gate.open();
    launcher.fail_all_starts(true);
    launcher.at("server_1", |backend| backend.kill());
    assert!([502, 503].contains(&server.get("/x").status));
    assert!(number(&replica(&server, "server_1")["errors"]) > 1);
    settle(&server, 2);
    let totals = totals(&server);
    assert_eq!((&totals["requests"], &totals["answers"]["5xx"]), (&json!(2), &json!(2)));
}

#[test]
fn a_change_of_protocol_that_nobody_asked_for_is_an_error_of_its_replica() {
    let launcher = FakeLauncher::with(|_, _, stream| {
        let head = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: it\r\n\r\n";
        stream.write_all(head.as_bytes()).unwrap();
    });
    let server = TestServer::start(&format!("{CALM} --replicas 1"), launcher);
    assert_eq!(server.get("/x").status, 502);
    settle(&server, 1);
    let entry = replica(&server, "server_1");
    assert_eq!((&entry["errors"], &entry["requests"]), (&json!(1), &json!(0)));
    let broken = [("replica", "server_1"), ("reason", "broken")];
    assert_eq!(scrape(&server).value("ringmaster_attempt_failures_total", &broken), 1.0);
    assert_eq!(entry["latency"]["count"], 0, "it is no answer");
}

#[test]
fn latencies_are_those_that_clients_see() {
    let (launcher, _gate) = scripted();
    let server = TestServer::start(&format!("{CALM} --replicas 1"), launcher);
    let nothing = json!({"window_s": 0, "count": 0, "p50_ms": null, "p99_ms": null});
    let mut fresh = replica(&server, "server_1")["latency"].take();
    fresh["window_s"] = json!(0);
    assert_eq!(fresh, nothing);
    let mut client = server.connect();
    let mut took: Vec<f64> = (0..12)
        .map(|_| {
            let begun = Instant::now();
            assert_eq!(client.request("GET", "/slow", &[], b"").status, 200);
            begun.elapsed().as_secs_f64() * 1000.0
        })
        .collect();
    took.sort_by(f64::total_cmp);
    settle(&server, 12);
    // Those that came before anybody looked are among them.
    wait_for("a second to be over", || number(&ask(&server, "/_ringmaster/history")["now"]) >= 2);
    let latency = replica(&server, "server_1")["latency"].take();
    assert_eq!(latency["count"], 12);
    let (p50, p99) = (latency["p50_ms"].as_f64().unwrap(), latency["p99_ms"].as_f64().unwrap());
    // A bucket is a quarter wide at most; clients wait longer than we measure.
    assert!(p50 >= 80.0 * 0.75 && p50 <= took[6] * 1.3, "{p50} of {took:?}");
    assert!(p99 >= p50 && p99 <= took[11] * 1.3, "{p99} of {took:?}");
}

#[test]
fn what_is_held_and_what_waits_is_seen() {
    let (launcher, gate) = scripted();
    let server = TestServer::start(&format!("{CALM} --workers 1 --queue 3 --replicas 1"), launcher);
    let mut clients: Vec<_> = (0..4).map(|_| server.connect()).collect();
    clients[0].send(&request_bytes("GET", "/held", &[], b""));
    wait_for("the first to be held", || gate.waiting() == 1);
    for client in &mut clients[1..] {
        client.send(&request_bytes("GET", "/held", &[], b""));
    }
    wait_for("the others to wait", || totals(&server)["queued"] == 3);
    wait_for("the clients to be counted", || totals(&server)["connections"].as_u64() >= Some(4));
    let entry = replica(&server, "server_1");
    assert_eq!((&entry["in_flight"], &totals(&server)["in_flight"]), (&json!(1), &json!(1)));
    assert_eq!(entry["requests"], 0);
    let refused = server.get("/x");
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("1")));
    assert_eq!(totals(&server)["refused"]["queue_full"], 1);
    gate.open();
    for client in &mut clients {
        assert_eq!(client.answer(false).status, 200);
    }
    settle(&server, 5);
    let entry = wait_for_replica(&server, "server_1", "nothing to be held", |it| it["in_flight"] == 0);
    assert_eq!(entry["requests"], 4);
    let totals = totals(&server);
    assert_eq!(
        (&totals["in_flight"], &totals["queued"], &totals["requests"]),
        (&json!(0), &json!(0), &json!(5))
    );
    drop(clients);
    wait_for("the clients to have gone", || self::totals(&server)["connections"].as_u64() <= Some(2));
}

#[test]
fn who_is_turned_away_is_counted_by_reason() {
    let launcher = FakeLauncher::new();
    let server = TestServer::start("--replicas 1 --change-rate 1", launcher.clone());
    let refused = |why: &str| number(&totals(&server)["refused"][why]);
    let ask = |method: &str, target: &str, field: (&str, &str)| {
        server.connect().request(method, target, &[field], b"").status
    };
    server.connect().send(b"GET / HTTP/1.1\r\n\r\n").answer(false);
    assert_eq!(refused("malformed"), 1);
    assert_eq!(ask("GET", "/_ringmaster/status", ("X-Forwarded-For", "203.0.113.9")), 403);
    assert_eq!(refused("peer"), 1);
    assert_eq!(ask("POST", "/add", ("Origin", "http://evil.example.com")), 403);
    assert_eq!(refused("origin"), 1);
    let foreign = b"GET /_ringmaster/ HTTP/1.1\r\nHost: evil.example.com\r\n\r\n";
    assert_eq!(server.connect().send(foreign).answer(false).status, 403);
    assert_eq!(refused("host"), 1);
    assert_eq!(ask("POST", "/add", ("A", "b")), 400);
    assert_eq!(refused("change"), 1);
    launcher.fail_all_starts(true);
    launcher.end("server_1");
    wait_for("nobody to serve", || server.serving() == 0);
    assert_eq!(server.get("/home").status, 503);
    assert_eq!(refused("no_replica"), 1);
    wait_for("a change too many", || ask("POST", "/add", ("A", "b")) == 429);
    assert_eq!(refused("too_many_changes"), 1);
    let all = totals(&server)["refused"].take();
    let untouched = ["queue_full", "token", "too_many_connections", "too_many_streams", "waited_too_long"];
    assert!(untouched.iter().all(|why| all[*why] == 0), "{all}");
    let closed = TestServer::start("--admin-token 0123456789abcdef", FakeLauncher::new());
    assert_eq!(closed.get("/_ringmaster/metrics").status, 401);
    let bearer = [("Authorization", "Bearer 0123456789abcdef")];
    let status = closed.connect().request("GET", "/_ringmaster/status", &bearer, b"").json();
    assert_eq!(status["message"]["totals"]["refused"]["token"], 1);
    assert_eq!(status["message"]["token_wanted"], true);
    assert!(!status.to_string().contains("0123456789abcdef"), "the token is told");
}

#[test]
fn nothing_that_is_not_measured_is_told() {
    let (launcher, _gate) = scripted();
    let server = TestServer::start(&format!("{CALM} --metrics off --replicas 1"), launcher);
    for path in ["/200", "/500"] {
        server.get(path);
    }
    let status = status(&server);
    let entry = &status["replicas"][0];
    let unmeasured = [&status["totals"]["requests"], &status["totals"]["answers"], &entry["requests"]];
    for nothing in unmeasured.into_iter().chain([&entry["answers"], &entry["latency"]]) {
        assert!(nothing.is_null(), "{status}");
    }
    assert_eq!(entry["heartbeat"]["result"], "good");
    assert!(!server.get("/_ringmaster/metrics").text().contains("ringmaster_requests_total{"));
    let history = ask(&server, "/_ringmaster/history");
    assert_eq!((&history["measured"], &history["samples"]), (&false.into(), &json!([])));
}

#[test]
fn totals_never_fall_when_replicas_leave() {
    let (launcher, _gate) = scripted();
    let server = TestServer::start(&format!("{CALM} --change-rate 100"), launcher);
    let mut last = totals(&server);
    let mut sent = 0;
    for round in 0..6 {
        let body = format!(r#"{{"n":1,"hostnames":["round-{round}"]}}"#);
        assert_eq!(server.admin("POST", "/add", &body).status, 200);
        for _ in 0..40 {
            server.get("/200");
        }
        sent += 40;
        settle(&server, sent);
        assert_eq!(server.admin("DELETE", "/rm", &body).status, 200);
        let now = totals(&server);
        assert!(number(&now["requests"]) >= number(&last["requests"]), "{now} after {last}");
        assert_eq!((number(&now["requests"]), number(&now["answers"]["2xx"])), (sent, sent));
        last = now;
    }
    assert!(ask(&server, "/_ringmaster/status")["replicas"].as_array().unwrap().len() == 3);
}

#[test]
fn what_does_not_change_is_what_was_set_and_time_goes_on() {
    let server =
        TestServer::start("--replicas 2 --policy round-robin --scheme rendezvous", FakeLauncher::new());
    let first = status(&server);
    assert_eq!(first["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!((&first["policy"], &first["scheme"]), (&json!("round-robin"), &json!("rendezvous")));
    assert_eq!((&first["N"], &first["serving"], &first["panic"]), (&json!(2), &json!(2), &json!(false)));
    assert_eq!((&first["may_change"], &first["token_wanted"]), (&json!(true), &json!(false)));
    assert_eq!(
        (&first["settings"]["replicas"], &first["settings"]["policy"]),
        (&json!("2"), &json!("round-robin"))
    );
    assert!(first["replicas"].as_array().unwrap().iter().all(|it| it["slots"] == json!([])));
    let mut later = Value::Null;
    wait_for("time to go on", || {
        later = status(&server);
        number(&later["uptime_ms"]) > number(&first["uptime_ms"]) && later["now"] != first["now"]
    });
    assert_eq!(later["started"], first["started"]);
    let from_a_page = [("Origin", "http://evil.example.com")];
    assert_eq!(server.connect().request("GET", "/_ringmaster/status", &from_a_page, b"").status, 403);
    assert!(Duration::from_millis(number(&later["uptime_ms"])) < Duration::from_secs(600));
}

#[test]
fn an_answer_that_a_replica_breaks_off_is_an_error_of_that_replica_and_an_event() {
    let (launcher, _gate) = scripted();
    let server = TestServer::start(&format!("{CALM} --replicas 1"), launcher);
    let mut client = server.connect();
    client.send(&request_bytes("GET", "/cut", &[("X-Request-Id", "the-cut")], b""));
    assert!(client.everything().ends_with("abc"));
    wait_for("the error", || number(&replica(&server, "server_1")["errors"]) == 1);
    let events = ask(&server, "/_ringmaster/events");
    let failed = events["events"].as_array().unwrap().last().unwrap();
    assert_eq!((&failed["kind"], &failed["request_id"]), (&json!("request failed"), &json!("the-cut")));
    assert!(failed["text"].as_str().unwrap().starts_with("the answer of server_1 broke off"), "{failed}");
    // A client that goes is nobody's fault.
    drop(client);
    let mut gone = server.connect();
    gone.send(&request_bytes("GET", "/200", &[], b""));
    drop(gone);
    settle(&server, 2);
    assert_eq!(number(&replica(&server, "server_1")["errors"]), 1);
    assert!(server.get("/_ringmaster/metrics").text().contains("reason=\"cut_off\"} 1"));
}
