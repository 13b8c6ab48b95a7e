//! What a balancer can be in, and what it can be asked then.

use serde_json::Value;

use super::document::Document;
use super::schema::errors;
use crate::support::backend::answer;
use crate::support::{CALM, Client, FakeLauncher, Gate, Hooked, Response, TestServer, wait_for};

const LOOKS: [&str; 9] = [
    "/rep",
    "/_ringmaster/health",
    "/_ringmaster/ready",
    "/_ringmaster/status",
    "/_ringmaster/events",
    "/_ringmaster/history",
    "/_ringmaster/metrics",
    "/_ringmaster/openapi.json",
    "/_ringmaster/",
];

const TOKEN: &str = "0123456789abcdef";

/// Asks, and compares with the description.
fn ask(
    document: &mut Document,
    server: &TestServer,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Response {
    let answer = server.connect().request(method, target, headers, body.as_bytes());
    document.check(method, target, &answer);
    answer
}

fn look(document: &mut Document, server: &TestServer) {
    for target in LOOKS.iter().chain(&["/_ringmaster"]) {
        for method in ["GET", "HEAD"] {
            ask(document, server, method, target, &[], "");
        }
    }
}

fn status(document: &mut Document, server: &TestServer) -> Value {
    ask(document, server, "GET", "/_ringmaster/status", &[], "").json()["message"].take()
}

fn state_of(document: &mut Document, server: &TestServer, name: &str) -> Value {
    let status = status(document, server);
    let mut replicas = status["replicas"].as_array().unwrap().iter();
    replicas.find(|replica| replica["name"] == name).map_or(Value::Null, |it| it["state"].clone())
}

pub fn all(document: &mut Document) {
    starting(document);
    working(document);
    failing(document);
    not_measuring(document);
    under_all_policies(document);
    with_a_token(document);
    to_strangers(document);
    unsound(document);
    changes(document);
    too_many_changes(document);
    streams(document);
}

fn starting(document: &mut Document) {
    let gate = Gate::default();
    let door = gate.clone();
    let server = TestServer::start_early("", Hooked::new(&FakeLauncher::new(), move |_| door.pass()));
    look(document, &server);
    assert_eq!(state_of(document, &server, "server_1"), "starting");
    assert_eq!(ask(document, &server, "GET", "/_ringmaster/ready", &[], "").status, 503);
    gate.open();
    wait_for("all to serve", || server.serving() == 3);
    look(document, &server);
    assert_eq!(ask(document, &server, "GET", "/_ringmaster/ready", &[], "").status, 200);
}

fn working(document: &mut Document) {
    let gate = Gate::default();
    let door = gate.clone();
    let launcher = FakeLauncher::with(move |seen, name, stream| match seen.target.as_str() {
        "/held" => {
            door.pass();
            answer(stream, "200 OK", &[], b"");
        }
        "/broken" => _ = stream.shutdown(std::net::Shutdown::Both),
        target => answer(stream, target.trim_start_matches('/'), &[], name.as_bytes()),
    });
    let server = TestServer::start(CALM, launcher);
    for code in ["200", "204", "302", "404", "418", "500", "599", "broken"] {
        server.get(&format!("/{code}"));
    }
    wait_for("a sample of the history", || {
        let past = ask(document, &server, "GET", "/_ringmaster/history?after=0", &[], "").json();
        past["message"]["samples"].as_array().unwrap().iter().any(|sample| sample["p50_ms"].is_number())
    });
    look(document, &server);
    let events = ask(document, &server, "GET", "/_ringmaster/events?after=3", &[], "").json();
    assert!(events.to_string().contains("request failed"), "{events}");
    let mut held = server.connect();
    held.send(b"GET /held HTTP/1.1\r\nHost: localhost\r\n\r\n");
    wait_for("a request that is held", || server.in_flight() == 1);
    let busy = server.server().fleet().replicas().into_iter().find(|it| it.in_flight == 1).unwrap();
    let name = busy.hostname.to_string();
    let remover = server.connect();
    let leaving = std::thread::spawn({
        let body = format!(r#"{{"n":1,"hostnames":["{name}"]}}"#);
        let mut remover = remover;
        move || remover.request("DELETE", "/rm", &[], body.as_bytes())
    });
    wait_for("it to leave", || state_of(document, &server, &name) == "draining");
    look(document, &server);
    gate.open();
    document.check("DELETE", "/rm", &leaving.join().unwrap());
    assert_eq!(held.answer(false).status, 200);
    look(document, &server);
}

fn failing(document: &mut Document) {
    let launcher = FakeLauncher::new();
    let flags = "--heartbeat-interval 20ms --heartbeat-timeout 5s --panic-threshold 40";
    let server = TestServer::start(flags, launcher.clone());
    launcher.at("server_1", |backend| backend.fail_heartbeats(u32::MAX));
    launcher.fail_start("server_1", u32::MAX);
    wait_for("a crash loop", || state_of(document, &server, "server_1") == "crash loop");
    look(document, &server);
    launcher.fail_start("server_1", 0);
    launcher.end("server_3");
    wait_for("a relaunch", || {
        look(document, &server);
        status(document, &server)["replicas"][2]["relaunches"]["count"] == 1
    });
    launcher.fail_all_starts(true);
    for name in ["server_2", "server_3"] {
        launcher.end(name);
    }
    wait_for("an outage", || {
        look(document, &server);
        status(document, &server)["serving"] == 0
    });
    assert_eq!(server.get("/home").status, 503);
    look(document, &server);
}

fn not_measuring(document: &mut Document) {
    let server = TestServer::start("--metrics off", FakeLauncher::new());
    server.get("/home");
    look(document, &server);
    let status = status(document, &server);
    for nothing in [&status["totals"]["requests"], &status["replicas"][0]["latency"]] {
        assert!(nothing.is_null(), "{status}");
    }
    let history = ask(document, &server, "GET", "/_ringmaster/history", &[], "").json();
    assert_eq!(history["message"]["measured"], false);
}

fn under_all_policies(document: &mut Document) {
    for policy in ["hash-bounded", "round-robin", "least-connections", "two-choices", "random"] {
        let server = TestServer::start(&format!("--policy {policy}"), FakeLauncher::new());
        assert_eq!(status(document, &server)["policy"], policy);
    }
    for scheme in ["statement/linear", "statement/quadratic", "ketama", "maglev", "rendezvous"] {
        let flags = match scheme.split_once('/') {
            Some((scheme, probing)) => format!("--scheme {scheme} --probing {probing}"),
            None => format!("--scheme {scheme}"),
        };
        let server = TestServer::start(&flags, FakeLauncher::new());
        look(document, &server);
        assert_eq!(status(document, &server)["scheme"], scheme);
    }
}

fn with_a_token(document: &mut Document) {
    let flags = format!("--admin-token {TOKEN}");
    let server = TestServer::start(&flags, FakeLauncher::new());
    let (wrong, right) = (format!("Bearer {TOKEN}x"), format!("Bearer {TOKEN}"));
    for fields in [&[][..], &[("Authorization", wrong.as_str())]] {
        for target in LOOKS.iter().chain(&["/_ringmaster"]) {
            let is_open =
                ["/rep", "/_ringmaster", "/_ringmaster/health", "/_ringmaster/ready"].contains(target);
            for method in ["GET", "HEAD"] {
                let answer = ask(document, &server, method, target, fields, "");
                let is_refused = answer.status == 401;
                assert_eq!(is_refused, !is_open, "{target}: {}", answer.status);
            }
            let security = &document.json["paths"][*target]["get"]["security"];
            assert_eq!(security.as_array().unwrap().is_empty(), is_open, "{target}");
        }
        for (method, target) in [("POST", "/add"), ("POST", "/rm"), ("DELETE", "/rm")] {
            assert_eq!(ask(document, &server, method, target, fields, r#"{"n":1}"#).status, 401);
        }
    }
    let bearer = [("Authorization", right.as_str())];
    for target in LOOKS {
        assert_eq!(ask(document, &server, "GET", target, &bearer, "").status, 200, "{target}");
    }
    assert_eq!(ask(document, &server, "POST", "/add", &bearer, r#"{"n":1}"#).status, 200);
}

fn to_strangers(document: &mut Document) {
    let server = TestServer::start("", FakeLauncher::new());
    let from_far = [("X-Forwarded-For", "203.0.113.1")];
    for target in &LOOKS[3..] {
        assert_eq!(ask(document, &server, "GET", target, &from_far, "").status, 403, "{target}");
    }
    let from_a_page = [("Origin", "http://evil.example.com")];
    for (method, target) in [("POST", "/add"), ("POST", "/rm"), ("DELETE", "/rm")] {
        assert_eq!(ask(document, &server, method, target, &from_a_page, r#"{"n":1}"#).status, 403);
        assert_eq!(ask(document, &server, method, target, &from_far, r#"{"n":1}"#).status, 403);
    }
}

fn unsound(document: &mut Document) {
    let server = TestServer::start("", FakeLauncher::new());
    let mut raw = |target: &str, status: u16, bytes: &str| {
        let mut client = server.connect();
        client.send(bytes.as_bytes());
        let answer = client.answer(false);
        assert_eq!(answer.status, status, "{bytes:.80}");
        document.check("GET", target, &answer);
    };
    for target in LOOKS {
        raw(target, 400, &format!("GET {target} HTTP/1.1\r\n\r\n"));
        raw(
            target,
            501,
            &format!("GET {target} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: gzip\r\n\r\n"),
        );
        let long = "x".repeat(9000);
        raw(target, 414, &format!("GET {target}?{long} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
        let fields = "A: b\r\n".repeat(120);
        raw(target, 431, &format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n"));
    }
    for target in ["/_ringmaster/events?after=x", "/_ringmaster/history?after=-1"] {
        for method in ["GET", "HEAD"] {
            assert_eq!(ask(document, &server, method, target, &[], "").status, 400, "{target}");
        }
    }
    for (path, methods) in document.operations() {
        for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"] {
            if !methods.contains(method) {
                assert_eq!(ask(document, &server, method, &path, &[], "").status, 405, "{method} {path}");
            }
        }
    }
}

fn changes(document: &mut Document) {
    let launcher = FakeLauncher::new();
    let server = TestServer::start("--idle-timeout 1s", launcher.clone());
    for (method, target) in [("POST", "/add"), ("DELETE", "/rm"), ("POST", "/rm")] {
        for (body, status) in [("", 400), ("[]", 400), (r#"{"n":0}"#, 400), (r#"{"n":1}"#, 200)] {
            assert_eq!(ask(document, &server, method, target, &[], body).status, status, "{target} {body}");
        }
        let too_long = format!(r#"{{"n":{}1}}"#, " ".repeat(64 * 1024));
        assert_eq!(ask(document, &server, method, target, &[], &too_long).status, 413);
        let mut slow = server.connect();
        let head = format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2000\r\n\r\n{{");
        let late = slow.send(head.as_bytes()).answer(false);
        assert_eq!(late.status, 408, "{}", late.text());
        document.check(method, target, &late);
        let mut broken = server.connect();
        broken.send(head.as_bytes()).finish_sending();
        let cut = broken.answer(false);
        assert_eq!(cut.status, 400, "{}", cut.text());
        document.check(method, target, &cut);
    }
    launcher.fail_start("S5", 100);
    let answer = ask(document, &server, "POST", "/add", &[], r#"{"n":1,"hostnames":["S5"]}"#);
    assert_eq!(answer.status, 500);
    launcher.fail_stop("server_3", 100);
    let (listed, body) = (server.listed(), r#"{"n":1,"hostnames":["server_3"]}"#);
    if listed.contains(&"server_3".to_owned()) {
        assert_eq!(ask(document, &server, "DELETE", "/rm", &[], body).status, 500);
    }
    // Looks at the events of all that.
    look(document, &server);
}

fn too_many_changes(document: &mut Document) {
    let server = TestServer::start("--change-rate 1", FakeLauncher::new());
    wait_for("a change too many", || ask(document, &server, "POST", "/add", &[], "").status == 429);

    // Sixteen threads are at changes that do not end, sixty-four changes wait for those; the next is told no.
    let gate = Gate::default();
    let (door, inner) = (gate.clone(), FakeLauncher::new());
    let held = Hooked::new(&inner, move |name| {
        if name.starts_with("held") {
            door.pass();
        }
    });
    let server = TestServer::start("", held);
    let change = br#"{"n":1,"hostnames":["held"]}"#;
    let request = crate::support::client::request_bytes("POST", "/add", &[], change);
    let mut waiting: Vec<Client> = Vec::new();
    wait_for("a full queue", || {
        let metrics = server.get("/_ringmaster/metrics").text();
        let line = metrics.lines().find(|line| line.contains("{queue=\"changes\"}")).unwrap();
        let queued: u64 = line.rsplit(' ').next().unwrap().parse().unwrap();
        if queued < 64 {
            let mut client = server.connect();
            client.send(&request);
            waiting.push(client);
        }
        queued == 64
    });
    wait_for("the status to count them", || status(document, &server)["totals"]["queued"] == 64);
    let answer = ask(document, &server, "POST", "/add", &[], r#"{"n":1}"#);
    assert_eq!(answer.status, 503);
    assert!(answer.header("x-request-id").is_some());
    gate.open();
}

fn streams(document: &mut Document) {
    let launcher = FakeLauncher::new();
    let server = TestServer::start("", launcher.clone());
    let wanted = [("Accept", "text/event-stream")];
    let bad = ask(document, &server, "GET", "/_ringmaster/events?after=x", &wanted, "");
    assert_eq!(bad.status, 400);
    let mut streams: Vec<Client> = Vec::new();
    wait_for("a stream too many", || {
        let mut client = server.connect();
        client.send(
            b"GET /_ringmaster/events?after=0 HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n",
        );
        let head = client.answer(true);
        if head.status == 503 {
            // Asked again, with its body.
            assert_eq!(ask(document, &server, "GET", "/_ringmaster/events", &wanted, "").status, 503);
            return true;
        }
        assert_eq!(head.header("content-type"), Some("text/event-stream"));
        streams.push(client);
        false
    });
    assert_eq!(streams.len(), 16);
    streams.truncate(1);
    server.stop();
    let text = streams[0].everything();
    let schema = serde_json::json!({"$ref": "#/components/schemas/Event"});
    let mut seen = 0;
    for data in text.lines().filter_map(|line| line.strip_prefix("data: ")) {
        let wrong = errors(&document.json, &schema, &serde_json::from_str(data).unwrap());
        assert!(wrong.is_empty(), "{data}: {wrong:?}");
        seen += 1;
    }
    assert!(seen >= 2, "{text}");
}
