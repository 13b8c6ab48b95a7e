//! The admin side at an address of its own, and the two questions that everybody may ask.

use std::net::TcpStream;
use std::sync::Arc;
use std::thread;

use ringmaster::admin::{Endpoint, Need};

use super::{BEARER, CHANGES, Caller, MADE, NOT_MADE, TOKEN, WRONG, balancer, replicas, with_token};
use crate::support::backend::answer;
use crate::support::{FakeLauncher, Gate, TestServer, wait_for};

const OWN_DOOR: &str = "--admin-listen 127.0.0.1:0";

#[test]
fn with_an_admin_address_every_path_at_the_other_is_the_replicas() {
    for token in ["", TOKEN] {
        let (server, launcher) = if token.is_empty() { balancer(OWN_DOOR) } else { with_token(OWN_DOOR) };
        let before = launcher.calls();
        let mut caller = Caller::of(server.address);
        let mut asked = Vec::new();
        for path in Endpoint::ALL.map(Endpoint::path).into_iter().chain(["/_ringmaster/x", "/home"]) {
            for method in ["GET", "POST", "DELETE", "PUT"] {
                let fields = [("Host", "evil.example"), ("Origin", "http://evil.example"), BEARER];
                let body = if method == "GET" { "" } else { MADE };
                assert_eq!(caller.ask(method, path, &fields, body).status, 200, "{method} {path}");
                asked.push(format!("{method} {path}"));
            }
        }
        let mut seen: Vec<String> =
            launcher.seen().iter().map(|seen| format!("{} {}", seen.method, seen.target)).collect();
        asked.sort();
        seen.sort();
        assert_eq!(seen, asked);
        assert_eq!(launcher.calls(), before);
    }
}

#[test]
fn the_admin_address_serves_the_admin_side_and_nothing_else() {
    for (server, launcher) in [balancer(OWN_DOOR), with_token(OWN_DOOR)] {
        let mut caller = Caller::of(server.server().admin_address());
        let own = [("Host", "localhost"), BEARER];
        for endpoint in Endpoint::ALL {
            let changes = endpoint.need() == Need::Changing;
            let (method, body) = if changes { ("POST", NOT_MADE) } else { ("GET", "") };
            let status = match endpoint {
                Endpoint::Add | Endpoint::Rm => 400,
                Endpoint::ToPage => 308,
                _ => 200,
            };
            assert_eq!(caller.ask(method, endpoint.path(), &own, body).status, status, "{endpoint:?}");
        }
        for (method, path, body) in [("GET", "/home", ""), ("POST", "/", MADE), ("GET", "/_ringmasters", "")]
        {
            let answer = caller.ask(method, path, &own, body);
            assert_eq!(answer.status, 404, "{path}");
            assert!(answer.error().contains("only the admin side"), "{}", answer.text());
        }
        assert_eq!(caller.ask("GET", "/_ringmaster/x", &own, "").status, 404);
        assert!(launcher.seen().is_empty(), "no replica was asked");
        assert_eq!(caller.ask("POST", "/add", &own, MADE).listed().len(), 4);
        assert_eq!(server.serving(), 4);
    }
}

#[test]
fn the_rules_are_the_same_at_the_admin_address() {
    let (server, launcher) = with_token(OWN_DOOR);
    let before = launcher.calls();
    let mut caller = Caller::of(server.server().admin_address());
    let (here, wrong) = (("Host", "localhost"), format!("Bearer {WRONG}"));
    for (method, path) in CHANGES {
        assert_eq!(caller.ask(method, path, &[here], MADE).status, 401);
        assert_eq!(caller.ask(method, path, &[here, ("Authorization", &wrong)], MADE).status, 401);
        assert_eq!(caller.ask(method, path, &[here, BEARER, ("Origin", "null")], MADE).status, 403);
        assert_eq!(caller.ask(method, path, &[("Host", "evil.example"), BEARER], MADE).status, 403);
    }
    assert_eq!(caller.ask("GET", "/_ringmaster/status", &[here], "").status, 401);
    for path in ["/rep", "/_ringmaster/health", "/_ringmaster/ready"] {
        assert_eq!(caller.ask("GET", path, &[("Host", "evil.example")], "").status, 200, "{path}");
    }
    assert_eq!(launcher.calls(), before);
}

#[test]
fn both_addresses_are_closed_at_the_end() {
    let (server, launcher) = balancer(OWN_DOOR);
    let addresses = [server.address, server.server().admin_address()];
    assert_ne!(addresses[0], addresses[1]);
    let mut idle = addresses.map(super::Client::connect);
    server.stop();
    for (client, address) in idle.iter_mut().zip(addresses) {
        assert!(client.is_ended(), "{address} holds its client");
        assert!(TcpStream::connect(address).is_err(), "{address} lets people in");
    }
    assert!(launcher.running().is_empty());
}

/// Health and readiness, as somebody asks who may nothing else.
fn asked(caller: &mut Caller) -> (u16, u16) {
    let far = [("Host", "evil.example"), ("X-Forwarded-For", "203.0.113.9"), ("Origin", "null")];
    let health = caller.ask("GET", "/_ringmaster/health", &far, "");
    let ready = caller.ask("HEAD", "/_ringmaster/ready", &far, "");
    assert_eq!(ready.header("retry-after").is_some(), ready.status == 503, "{ready:?}");
    (health.status, ready.status)
}

#[test]
fn everybody_may_ask_for_health_and_readiness_which_ends_with_the_last_replica() {
    for token in [String::new(), format!("--admin-token {TOKEN}")] {
        let launcher = replicas();
        launcher.fail_all_starts(true);
        let flags = format!("--replicas 1 --longest-pause 1s {token}");
        let server = TestServer::start_early(&flags, launcher.clone());
        let mut caller = Caller::of(server.address);
        assert_eq!(asked(&mut caller), (200, 503), "none serves yet");
        launcher.fail_all_starts(false);
        wait_for("readiness", || asked(&mut caller) == (200, 200));
        launcher.fail_all_starts(true);
        launcher.end("server_1");
        wait_for("it to end", || asked(&mut caller) == (200, 503));
    }
}

#[test]
fn it_is_alive_and_not_ready_while_it_drains() {
    for flags in ["", OWN_DOOR] {
        let gate = Arc::new(Gate::default());
        let held = gate.clone();
        let launcher = FakeLauncher::with(move |seen, _, stream| {
            if seen.target == "/slow" {
                held.pass();
            }
            answer(stream, "200 OK", &[], b"");
        });
        let server = TestServer::start(&format!("--drain-timeout 30s {flags}"), launcher);
        gate.close();
        let mut slow = server.connect();
        slow.send(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
        wait_for("a request under way", || server.in_flight() == 1);
        let mut caller = Caller::of(server.server().admin_address());
        assert_eq!(asked(&mut caller), (200, 200));
        let stopping = thread::spawn(move || server.stop());
        // On the traffic's address the connection that is open says it once, on the admin side's new ones do too.
        wait_for("readiness to end", || {
            let far = [("Host", "evil.example")];
            caller.ask("GET", "/_ringmaster/ready", &far, "").status == 503
        });
        if !flags.is_empty() {
            assert_eq!(asked(&mut caller), (200, 503), "one can look on");
        }
        gate.open();
        assert_eq!(slow.answer(false).status, 200, "what was under way is answered");
        stopping.join().unwrap();
    }
}

#[test]
fn no_replica_learns_the_token_and_any_other_authorization_passes() {
    for flags in ["", OWN_DOOR] {
        let (server, launcher) = with_token(flags);
        let mut caller = Caller::of(server.address);
        let (wrong, basic) = (format!("Bearer {WRONG}"), ("Authorization", "Basic YTpi"));
        for field in [BEARER, ("Authorization", "bearer   f3b1c07d29e84a56-right"), basic] {
            // Also where somebody means the admin side and misses it.
            for path in ["/home", "//_ringmaster/status", "/%5fringmaster/status"] {
                assert_eq!(caller.ask("GET", path, &[("Host", "localhost"), field], "").status, 200);
            }
        }
        caller.ask("GET", "/home", &[("Host", "localhost"), ("Authorization", &wrong)], "");
        let mut seen: Vec<String> = launcher
            .seen()
            .iter()
            .flat_map(|seen| seen.header("authorization").into_iter().map(str::to_owned).collect::<Vec<_>>())
            .collect();
        // One replica after another.
        seen.sort();
        assert_eq!(seen, [vec![basic.1.to_owned(); 3], vec![wrong]].concat());
    }
}
