//! The retry rule: nothing sent yet, another replica; sent and no answer, another only where that is harmless; answer
//! begun, never. Each request has a path of its own here, so that every replica that saw it can be counted.

use std::collections::BTreeSet;
use std::io::Write;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};

use crate::support::backend::{Seen, answer};
use crate::support::{CALM, Client, FakeLauncher, Gate, Response, TestServer, wait_for};

/// Longer than what is read before it is forwarded, so that it can be sent once only.
const STREAMED: usize = 200 * 1024;

/// Which replica was asked what, in order: what reached a replica that is dead by now is still in it.
#[derive(Clone, Default)]
struct Asked(Arc<Mutex<Vec<(String, Seen)>>>);

impl Asked {
    /// The replicas that saw a request for `target`, in order.
    fn who(&self, target: &str) -> Vec<String> {
        let asked = self.0.lock().unwrap();
        asked.iter().filter(|(_, seen)| seen.target == target).map(|(name, _)| name.clone()).collect()
    }
}

/// Replicas that do as `script` says, told their name; what they are asked is noted before. The watchdog notices
/// nothing: it is the balancer's business to do without it.
fn scripted(
    flags: &str,
    script: impl Fn(&Seen, &str, &mut TcpStream) + Send + Sync + 'static,
) -> (TestServer, FakeLauncher, Asked) {
    let asked = Asked::default();
    let launcher = FakeLauncher::with({
        let asked = asked.clone();
        move |seen, name, stream| {
            asked.0.lock().unwrap().push((name.to_owned(), seen.clone()));
            script(seen, name, stream);
        }
    });
    (TestServer::start(&format!("{CALM} {flags}"), launcher.clone()), launcher, asked)
}

fn answer_with_name(name: &str, stream: &mut TcpStream) {
    answer(stream, "200 OK", &[], name.as_bytes());
}

fn hang_up(stream: &mut TcpStream) {
    let _ = stream.shutdown(Shutdown::Both);
}

/// A failure of the balancer's own: in the envelope, and without a word about where the replicas are.
fn assert_failed(response: &Response, status: u16, text: &str) {
    assert_eq!(response.status, status, "{}", response.text());
    assert_eq!(response.error(), format!("<Error> {text}"));
    let all = format!("{:?} {}", response.headers, response.text());
    for secret in ["127.0.0.1", "localhost", "server_", "os error", "refused"] {
        assert!(!all.contains(secret), "'{secret}' is nobody's business: {all}");
    }
}

#[test]
fn a_dead_replica_costs_no_request_of_any_method_or_size_and_leaves_the_ring_at_the_first() {
    for (method, length) in [("GET", 0), ("POST", 0), ("POST", 9), ("POST", STREAMED), ("PURGE", 9)] {
        let (server, launcher, asked) =
            scripted("--replicas 3", |_, name, stream| answer_with_name(name, stream));
        launcher.at("server_1", |backend| backend.kill());
        let mut k = 0;
        // One of them is meant for the dead one sooner or later; no heartbeat is due before the test is over.
        wait_for("the dead one to leave the ring", || {
            k += 1;
            let target = format!("/{k}");
            let response = server.connect().request(method, &target, &[], &vec![b'x'; length]);
            assert_eq!(response.status, 200, "{method} with {length} bytes: {}", response.text());
            let answerer = [response.text()];
            assert_eq!(asked.who(&target), answerer, "{method} with {length} bytes: once, by the answerer");
            server.serving() == 2
        });
        let whole = |(_, seen): &(String, Seen)| seen.body.len() == length;
        assert!(asked.0.lock().unwrap().iter().all(whole), "bodies that were moved are whole");
    }
}

#[test]
fn when_all_replicas_are_dead_the_answer_is_502_and_then_503() {
    for (method, body) in
        [("GET", &b""[..]), ("HEAD", b""), ("POST", b"x"), ("POST", &[b'x'; STREAMED]), ("DELETE", b"")]
    {
        let (server, launcher, _asked) =
            scripted("--replicas 3", |_, name, stream| answer_with_name(name, stream));
        // On a connection that is used again, a replica that has died is met in another way than on a new one.
        assert_eq!(server.get("/before").status, 200);
        for name in server.listed() {
            launcher.at(&name, |backend| backend.kill());
        }
        let mut client = server.connect();
        client.send(
            format!("{method} / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", body.len()).as_bytes(),
        );
        client.send(body);
        let response = client.answer(method == "HEAD");
        match method {
            "HEAD" => assert_eq!(response.status, 502),
            _ => assert_failed(&response, 502, "no replica answered the request"),
        }
        wait_for("the replicas to hold nothing", || server.in_flight() == 0);
        wait_for("the ring to be empty", || server.serving() == 0);
        assert_failed(&server.get("/"), 503, "no replica is serving");
        assert_eq!(server.listed().len(), 3);
    }
}

/// One replica of two reads every request and hangs up.
#[test]
fn after_a_request_was_sent_only_harmless_ones_are_repeated() {
    for (method, length, repeats) in [
        ("GET", 0, true),
        ("HEAD", 0, true),
        ("OPTIONS", 0, true),
        ("TRACE", 0, true),
        ("PUT", 9, true),
        ("DELETE", 0, true),
        ("GET", 9, true),
        ("PUT", 64 * 1024, true),
        ("POST", 0, false),
        ("POST", 9, false),
        ("PATCH", 9, false),
        ("PURGE", 0, false),
        // Harmless to repeat, but gone: what was forwarded as it came is nowhere any more.
        ("PUT", STREAMED, false),
        ("POST", STREAMED, false),
    ] {
        let what = format!("{method} with {length} bytes");
        let (server, _launcher, asked) = scripted("--replicas 2", |seen, name, stream| match name {
            "server_1" => hang_up(stream),
            _ if seen.method == "HEAD" => answer(stream, "200 OK", &[], b""),
            _ => answer_with_name(name, stream),
        });
        let body = vec![b'x'; length];
        let mut met = 0;
        // Until some were meant for the one that hangs up: that 60 in a row are not has a chance of one in 10^18.
        for k in 0..60 {
            let target = format!("/{k}");
            let response = server.connect().request(method, &target, &[], &body);
            let who = asked.who(&target);
            if who[0] == "server_2" {
                assert_eq!((response.status, who.len()), (200, 1), "{what}: {who:?}");
                continue;
            }
            met += 1;
            match repeats {
                true => assert_eq!((response.status, &who[..]), (200, &names(&[1, 2])[..]), "{what}"),
                false => {
                    assert_eq!(who, ["server_1"], "{what}: exactly one replica saw it");
                    assert_failed(&response, 502, "no replica answered the request");
                }
            }
            if met == 3 {
                break;
            }
        }
        assert!(met > 0, "{what}: no request met the replica that hangs up");
        let asked = asked.0.lock().unwrap();
        assert!(
            asked.iter().all(|(_, seen)| seen.complete && seen.body == body),
            "{what}: every copy is whole"
        );
        assert_eq!(server.serving(), 2);
    }
}

fn names(numbers: &[u32]) -> Vec<String> {
    numbers.iter().map(|k| format!("server_{k}")).collect()
}

#[test]
fn a_request_is_tried_on_three_replicas_at_most_and_on_none_twice() {
    for (replicas, tried) in [(1, 1), (2, 2), (3, 3), (5, 3)] {
        let (server, _launcher, asked) =
            scripted(&format!("--replicas {replicas}"), |seen, name, stream| match seen.target.as_str() {
                "/well" => answer_with_name(name, stream),
                _ => hang_up(stream),
            });
        // A fifth of these may be repeated. (One replica gets none, so that it has no old connections.)
        let mut client = server.connect();
        (0..if replicas > 1 { 250 } else { 0 })
            .for_each(|_| assert_eq!(client.request("GET", "/well", &[], b"").status, 200));
        for k in 0..20 {
            let target = format!("/{k}");
            assert_failed(&server.get(&target), 502, "no replica answered the request");
            let who = asked.who(&target);
            assert_eq!(who.len(), tried, "of {replicas}, request {k}: {who:?}");
            assert_eq!(who.iter().collect::<BTreeSet<_>>().len(), tried, "of {replicas}: {who:?}");
        }
    }
}

#[test]
fn dead_replicas_do_not_count_among_the_three() {
    let (server, launcher, _asked) =
        scripted("--replicas 6", |_, name, stream| answer_with_name(name, stream));
    for name in ["server_1", "server_2", "server_3", "server_4", "server_5"] {
        launcher.at(name, |backend| backend.kill());
    }
    // Wherever the first begins on the ring, it may meet all of the dead.
    for _ in 0..20 {
        assert_eq!(server.get("/").text(), "server_6");
    }
}

#[test]
fn an_outage_does_not_multiply_what_the_replicas_have_to_do() {
    let (server, _launcher, asked) = scripted("--replicas 3", |_, _, stream| hang_up(stream));
    let mut client = server.connect();
    for k in 0..100 {
        assert_failed(
            &client.request("GET", &format!("/{k}"), &[], b""),
            502,
            "no replica answered the request",
        );
    }
    let sent: usize = (0..100).map(|k| asked.who(&format!("/{k}")).len()).sum();
    assert!((101..=120).contains(&sent), "{sent} requests were sent for 100");
}

#[test]
fn all_attempts_together_have_one_deadline() {
    let gate = Gate::default();
    let held = gate.clone();
    let flags = "--replicas 3 --request-timeout 400ms --first-byte-timeout 20s";
    let (server, _launcher, asked) = scripted(flags, move |_, _, stream| {
        // Too late to be tried again, and then the connection ends.
        held.pass();
        hang_up(stream);
    });
    let response = server.get("/late");
    assert_failed(&response, 504, "the replica did not answer in time");
    assert_eq!(asked.who("/late").len(), 1);
    gate.open();
    let flags = "--replicas 3 --request-timeout 20s --first-byte-timeout 300ms";
    let gate = Gate::default();
    let held = gate.clone();
    let (server, _launcher, _asked) = scripted(flags, move |_, _, _| held.pass());
    assert_failed(&server.get("/slow"), 504, "the replica did not answer in time");
    gate.open();
}

/// A replica that closes its connection without a word as soon as the next request comes on it, like one whose own
/// timeout has just run out.
#[test]
fn the_only_replica_gets_a_request_again_that_met_the_end_of_an_old_connection() {
    let answered: Arc<Mutex<BTreeSet<SocketAddr>>> = Arc::default();
    let (server, _launcher, asked) = scripted("--replicas 1", move |_, name, stream| {
        if answered.lock().unwrap().insert(stream.peer_addr().unwrap()) {
            answer_with_name(name, stream);
        } else {
            hang_up(stream);
        }
    });
    let mut client = server.connect();
    // Some of the budget is spent on each of these.
    (0..4).for_each(|k| assert_eq!(client.request("GET", &format!("/{k}"), &[], b"").status, 200, "{k}"));
    assert_eq!(asked.who("/1").len(), 2, "once on the old connection, once on a new one");
    let all: usize = (0..4).map(|k| asked.who(&format!("/{k}")).len()).sum();
    let status = server.get("/_ringmaster/status").json()["message"].take();
    assert_eq!(status["totals"]["retries"], all - 4, "each time that one was tried again");
    assert_eq!(status["replicas"][0]["retries"], all - 4, "at the same replica, too");
    // Whichever connection they go out on.
    for k in 0..5 {
        let target = format!("/post/{k}");
        server.connect().request("POST", &target, &[], b"");
        assert_eq!(asked.who(&target).len(), 1, "what may do harm is not repeated");
    }
}

#[test]
fn a_request_whose_answer_has_begun_is_not_repeated() {
    for begun in [
        &b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"[..],
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nbegun",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nbegun\r\n",
    ] {
        let (server, _launcher, asked) = scripted("--replicas 3", move |_, _, stream| {
            let _ = stream.write_all(begun);
            hang_up(stream);
        });
        for k in 0..10 {
            let request = format!("GET /{k} HTTP/1.1\r\nHost: a\r\n\r\n");
            let result = server.connect().send(request.as_bytes()).try_answer(false);
            assert!(result.is_err(), "{result:?}");
            wait_for("the request to be over", || server.in_flight() == 0);
            assert_eq!(asked.who(&format!("/{k}")).len(), 1);
        }
    }
}

#[test]
fn a_replica_that_is_too_slow_costs_504_and_nobody_else_is_asked() {
    let gate = Gate::default();
    let (server, _launcher, asked) = scripted("--replicas 3 --request-timeout 300ms", {
        let gate = gate.clone();
        move |_, name, stream| {
            gate.pass();
            answer_with_name(name, stream);
        }
    });
    for (k, method) in ["GET", "POST", "PUT"].into_iter().enumerate() {
        let target = format!("/{k}");
        let response = server.connect().request(method, &target, &[], b"x");
        assert_failed(&response, 504, "the replica did not answer in time");
        wait_for("it to have been asked", || !asked.who(&target).is_empty());
        wait_for("the request to be over", || server.in_flight() == 0);
        assert_eq!(asked.who(&target).len(), 1, "{method}");
    }
    // An answer that begins and then stalls is broken off.
    let (server, _launcher, asked) = scripted("--replicas 3 --stall-timeout 300ms", {
        let gate = gate.clone();
        move |_, _, stream| {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nbegun");
            gate.pass();
        }
    });
    let result = server.connect().send(b"GET /stalls HTTP/1.1\r\nHost: a\r\n\r\n").try_answer(false);
    assert!(result.is_err(), "{result:?}");
    assert_eq!(asked.who("/stalls").len(), 1);
    gate.open();
}

#[test]
fn while_no_replica_serves_clients_are_asked_to_come_again() {
    let launcher = FakeLauncher::new();
    launcher.fail_start("server_1", u32::MAX);
    let server = TestServer::start_early("--replicas 1", launcher);
    for (method, length) in [("GET", 0), ("POST", 9), ("POST", STREAMED), ("PURGE", 0)] {
        let response = server.connect().request(method, "/", &[], &vec![b'x'; length]);
        assert_failed(&response, 503, "no replica is serving");
        assert_eq!(response.header("retry-after"), Some("1"), "{method} with {length} bytes");
    }
    assert_eq!(server.listed(), ["server_1"], "N does not waver");
}

#[test]
fn a_client_that_goes_away_is_nobodys_fault() {
    let gate = Gate::default();
    let (server, _launcher, asked) = scripted("--replicas 2", {
        let gate = gate.clone();
        move |seen, name, stream| {
            if seen.target.starts_with("/slow") {
                gate.pass();
            }
            answer_with_name(name, stream);
        }
    });
    // Some leave while they wait for the answer, others in the middle of what they send.
    let mut waiting: Vec<Client> = (0..10).map(|_| server.connect()).collect();
    for (k, client) in waiting.iter_mut().enumerate() {
        client.send(format!("GET /slow/{k} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes());
    }
    let mut sending: Vec<Client> = (0..10).map(|_| server.connect()).collect();
    for (k, client) in sending.iter_mut().enumerate() {
        let head = format!("PUT /sent/{k} HTTP/1.1\r\nHost: a\r\nContent-Length: {STREAMED}\r\n\r\n");
        client.send(head.as_bytes()).send(&[b'x'; STREAMED / 2]);
    }
    wait_for("all to be under way", || server.in_flight() == 20);
    drop((waiting, sending));
    gate.open();
    wait_for("the replicas to hold nothing", || server.in_flight() == 0);
    for k in 0..10 {
        assert_eq!(asked.who(&format!("/slow/{k}")).len(), 1);
        wait_for("the half to be seen", || !asked.who(&format!("/sent/{k}")).is_empty());
        assert_eq!(asked.who(&format!("/sent/{k}")).len(), 1, "half a body is not sent to another");
    }
    assert_eq!(server.serving(), 2);
    for k in 0..10 {
        assert_eq!(server.get(&format!("/{k}")).status, 200);
    }
}
