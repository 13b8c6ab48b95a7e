//! What passes through: every request reaches a replica as it was sent, and every answer the client as it was given.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Write};
use std::net::Shutdown;

use crate::support::backend::{Seen, answer};
use crate::support::client::request_bytes;
use crate::support::{CALM, Client, FakeLauncher, TestServer, wait_for};

const LARGE: usize = 200 * 1024;

fn calm(flags: &str, launcher: FakeLauncher) -> TestServer {
    TestServer::start(&format!("{CALM} {flags}"), launcher)
}

/// One replica that answers everything with these bytes and ends the connection where `ends` says so.
fn answering(bytes: impl Into<Vec<u8>>, ends: bool) -> (TestServer, FakeLauncher) {
    let bytes = bytes.into();
    let launcher = FakeLauncher::with(move |_, _, stream| {
        let _ = stream.write_all(&bytes);
        if ends {
            let _ = stream.shutdown(Shutdown::Both);
        }
    });
    (calm("--replicas 1", launcher.clone()), launcher)
}

/// One replica that answers everything with 200 and the body it was sent.
fn echoing() -> (TestServer, FakeLauncher) {
    let launcher = FakeLauncher::with(|seen, _, stream| match seen.method.as_str() {
        "HEAD" => answer(stream, "200 OK", &[], b""),
        _ => answer(stream, "200 OK", &[("X-Method", &seen.method)], &seen.body),
    });
    (calm("--replicas 1", launcher.clone()), launcher)
}

fn last(launcher: &FakeLauncher) -> Seen {
    launcher.seen().last().cloned().unwrap()
}

/// Bytes of which no two neighbours are alike, so that a piece missing or moved shows.
fn body_of(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at * 31 + at / 251) as u8).collect()
}

fn chunked(body: &[u8], size: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    for chunk in body.chunks(size) {
        bytes.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        bytes.extend_from_slice(chunk);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"0\r\n\r\n");
    bytes
}

#[test]
fn every_method_reaches_the_replica_with_path_query_fields_and_body() {
    let (server, launcher) = echoing();
    let target = "/a/../b%20c//d;e=f?x=1&y=%2F&&z=?/";
    for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PURGE"] {
        for body in [&b""[..], b"\0body\r\n\r\n\xff"] {
            let response = server.connect().request(method, target, &[("X-Own", "a, b;c=\"d\"")], body);
            assert_eq!(response.status, 200, "{method}: {}", response.text());
            let seen = last(&launcher);
            assert_eq!((seen.method.as_str(), seen.target.as_str()), (method, target));
            assert_eq!(seen.header("x-own"), ["a, b;c=\"d\""], "{method}");
            assert_eq!(seen.header("host"), ["localhost"], "{method}");
            assert_eq!((&seen.body[..], seen.complete), (body, true), "{method}");
            if method != "HEAD" {
                assert_eq!(response.header("x-method"), Some(method));
                assert_eq!(response.body, body, "{method}");
            }
        }
    }
}

#[test]
fn request_bodies_arrive_whole_however_they_are_framed() {
    let (server, launcher) = echoing();
    let mut client = server.connect();
    for length in [0, 1, 1024, 1025, 64 * 1024, 64 * 1024 + 1, LARGE] {
        let body = body_of(length);
        let response = client.request("POST", "/", &[], &body);
        assert_eq!(response.status, 200, "{length} bytes of known length");
        assert!(response.body == body && last(&launcher).body == body, "{length}");

        let head = b"POST / HTTP/1.1\r\nHost: balancer\r\nTransfer-Encoding: chunked\r\n\r\n";
        client.send(head).send(&chunked(&body, 7000));
        let response = client.answer(false);
        assert_eq!(response.status, 200, "{length} bytes in chunks");
        assert!(response.body == body && last(&launcher).body == body, "{length}");
    }
}

#[test]
fn a_client_that_expects_100_continue_gets_it_and_its_body_arrives() {
    let (server, launcher) = echoing();
    let mut client = server.connect();
    for (length, is_chunked) in [(5, false), (LARGE, false), (5, true), (LARGE, true)] {
        let body = body_of(length);
        let framing = match is_chunked {
            true => "Transfer-Encoding: chunked".to_owned(),
            false => format!("Content-Length: {length}"),
        };
        let head = format!("PUT / HTTP/1.1\r\nHost: balancer\r\nExpect: 100-continue\r\n{framing}\r\n\r\n");
        client.send(head.as_bytes());
        assert_eq!(client.answer(false).status, 100, "{framing}");
        match is_chunked {
            true => client.send(&chunked(&body, 7000)),
            false => client.send(&body),
        };
        let response = client.answer(false);
        assert_eq!(response.status, 200, "{framing}");
        let seen = last(&launcher);
        assert!(response.body == body && seen.body == body, "{framing}");
        assert!(seen.header("expect").is_empty(), "the answer to it was ours");
    }
}

#[test]
fn every_status_of_the_replica_but_404_passes_untouched() {
    for (status, fields) in [
        ("200 OK", "Content-Type: text/plain\r\n"),
        ("201 Created", "Location: /new\r\n"),
        ("301 Moved Permanently", "Location: /elsewhere\r\n"),
        ("307 Temporary Redirect", "Location: http://192.0.2.1/\r\n"),
        ("401 Unauthorized", "WWW-Authenticate: Basic realm=\"r\"\r\n"),
        ("410 Gone", ""),
        ("429 Too Many Requests", "Retry-After: 7\r\n"),
        ("500 Internal Server Error", ""),
        ("503 Service Unavailable", "Retry-After: 9\r\n"),
        // Not to be decoded: whoever asked for it does that.
        ("200 OK", "Content-Encoding: gzip\r\nVary: Accept-Encoding\r\n"),
    ] {
        let body = b"\x1f\x8b\x08\0 any bytes";
        let mut bytes =
            format!("HTTP/1.1 {status}\r\n{fields}Content-Length: {}\r\n\r\n", body.len()).into_bytes();
        bytes.extend_from_slice(body);
        let (server, launcher) = answering(bytes, false);
        let response = server.get("/page");
        assert_eq!(response.status.to_string(), status[..3]);
        assert_eq!(response.body, body, "{status}");
        for (name, value) in fields.trim_end().split("\r\n").filter_map(|line| line.split_once(": ")) {
            assert_eq!(response.header(&name.to_ascii_lowercase()), Some(value), "{status}");
        }
        assert_eq!(launcher.seen().len(), 1, "{status}: neither followed nor repeated");
    }
}

#[test]
fn answers_arrive_whole_however_they_are_framed() {
    let large = body_of(LARGE);
    for body in [&b""[..], b"small", &large] {
        let length = format!("Content-Length: {}\r\n\r\n", body.len());
        let framings: [(&str, &str, Vec<u8>, bool); 3] = [
            ("length", &length, body.to_vec(), false),
            ("chunks", "Transfer-Encoding: chunked\r\n\r\n", chunked(body, 9000), false),
            ("the end of the connection", "\r\n", body.to_vec(), true),
        ];
        for (framing, fields, wire, ends) in framings {
            let bytes = [b"HTTP/1.1 200 OK\r\n", fields.as_bytes(), &wire].concat();
            let (server, _launcher) = answering(bytes, ends);
            let mut client = server.connect();
            for _ in 0..2 {
                let response = client.request("GET", "/", &[], b"");
                assert_eq!(response.status, 200, "{} bytes by {framing}", body.len());
                assert!(response.body == body, "{} bytes by {framing}", body.len());
            }
        }
    }
}

#[test]
fn answers_without_a_body_have_none_and_keep_the_length_they_declare() {
    for (method, answered, length) in [
        ("HEAD", "200 OK\r\nContent-Length: 1234", Some("1234")),
        ("HEAD", "200 OK\r\nTransfer-Encoding: chunked", None),
        ("HEAD", "500 X\r\nContent-Length: 7", Some("7")),
        ("GET", "204 No Content", None),
        ("DELETE", "204 No Content", None),
        ("GET", "304 Not Modified", None),
        ("GET", "304 Not Modified\r\nContent-Length: 99", Some("99")),
    ] {
        let (server, _launcher) = answering(format!("HTTP/1.1 {answered}\r\nETag: \"e\"\r\n\r\n"), false);
        let mut client = server.connect();
        // The second is only understood if nothing of the first is left over.
        for _ in 0..2 {
            let response = client.send(&request_bytes(method, "/", &[], b"")).answer(method == "HEAD");
            assert_eq!(response.status.to_string(), answered[..3], "{method} {answered}");
            assert_eq!(response.header("content-length"), length, "{method} {answered}");
            assert_eq!(response.header("etag"), Some("\"e\""), "{method} {answered}");
        }
    }
}

#[test]
fn fields_about_one_connection_pass_in_neither_direction() {
    let bytes = "HTTP/1.1 200 OK\r\nConnection: X-Private, keep-alive\r\nX-Private: 1\r\nKeep-Alive: timeout=5\r\n\
                 Proxy-Connection: x\r\nTrailer: X-T\r\nUpgrade: h2c\r\nX-Public: 2\r\nContent-Length: 0\r\n\r\n";
    let (server, launcher) = answering(bytes, false);
    let response = server.connect().request(
        "GET",
        "/",
        &[
            ("Connection", "X-Secret, keep-alive"),
            ("Connection", "x-other, host"),
            ("X-Secret", "1"),
            ("X-Other", "1"),
            ("Keep-Alive", "timeout=5"),
            ("Proxy-Connection", "keep-alive"),
            ("TE", "trailers"),
            ("Trailer", "X-T"),
            ("X-Public", "2"),
        ],
        b"",
    );
    let seen = last(&launcher);
    for name in ["x-secret", "x-other", "keep-alive", "proxy-connection", "te", "trailer", "connection"] {
        assert!(seen.header(name).is_empty(), "{name} reached the replica: {:?}", seen.headers);
    }
    assert_eq!((seen.header("x-public"), seen.header("host")), (vec!["2"], vec!["localhost"]));
    for name in ["x-private", "keep-alive", "proxy-connection", "trailer", "upgrade", "connection"] {
        assert_eq!(response.header(name), None, "{name} reached the client: {:?}", response.headers);
    }
    assert_eq!(response.header("x-public"), Some("2"));
}

#[test]
fn nothing_is_added_to_a_request_but_where_it_came_from() {
    let (server, launcher) = echoing();
    for (before, after) in
        [(&[][..], "127.0.0.1"), (&[("X-Forwarded-For", "192.0.2.7")], "192.0.2.7, 127.0.0.1")]
    {
        server.connect().request("GET", "/", before, b"");
        let mut fields = last(&launcher).headers;
        fields.iter_mut().for_each(|(name, _)| name.make_ascii_lowercase());
        fields.sort();
        let id = fields.pop().unwrap();
        assert_eq!((id.0.as_str(), id.1.len()), ("x-request-id", 32));
        let expected = [
            ("host", "localhost"),
            ("via", "1.1 ringmaster"),
            ("x-forwarded-for", after),
            ("x-forwarded-host", "localhost"),
            ("x-forwarded-proto", "http"),
        ];
        assert_eq!(fields, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }
}

#[test]
fn several_fields_of_a_name_keep_their_order_and_any_byte_passes_in_a_value() {
    let bytes = b"HTTP/1.1 200 OK\r\nSet-Cookie: b=2; Path=/\r\nX-Name: caf\xe9 \xff\r\nSet-Cookie: a=1\r\n\
                  Set-Cookie: b=3\r\nContent-Length: 0\r\n\r\n";
    let (server, _launcher) = answering(&bytes[..], false);
    let response = server.get("/");
    let cookies = response.headers.iter().filter(|(name, _)| name == "set-cookie");
    let cookies: Vec<&str> = cookies.map(|(_, value)| value.as_str()).collect();
    assert_eq!(cookies, ["b=2; Path=/", "a=1", "b=3"]);
    assert_eq!(response.header("x-name"), Some("caf\u{e9} \u{ff}"));
}

#[test]
fn a_404_of_the_replica_becomes_the_400_of_the_contract() {
    for answered in [
        "404 Not Found\r\nX-Own: 1\r\nContent-Length: 4\r\n\r\ngone",
        "404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n4\r\ngone\r\n0\r\n\r\n",
    ] {
        let (server, _launcher) = answering(format!("HTTP/1.1 {answered}"), false);
        let mut client = server.connect();
        for (method, target, path) in [
            ("GET", "/other", "/other"),
            ("POST", "/other?x=1&y=/z", "/other"),
            ("GET", "/a/b%20c/?q", "/a/b%20c/"),
            ("DELETE", "/", "/"),
        ] {
            let response = client.request(method, target, &[], b"");
            let text = format!(
                r#"{{"message":"<Error> '{path}' endpoint does not exist in server replicas","status":"failure"}}"#
            );
            assert_eq!((response.status, response.text()), (400, text), "{method} {target}");
            assert_eq!(response.header("content-type"), Some("application/json"));
            assert_eq!(response.header("x-own"), None, "the answer is the balancer's own");
        }
    }
    // To HEAD no replica sends a body, and neither does the balancer.
    let (server, _launcher) = answering("HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\n", false);
    let mut client = server.connect();
    for _ in 0..2 {
        let response = client.request("HEAD", "/other", &[], b"");
        let length =
            r#"{"message":"<Error> '/other' endpoint does not exist in server replicas","status":"failure"}"#
                .len();
        assert_eq!(response.status, 400);
        assert_eq!(response.header("content-length"), Some(length.to_string().as_str()));
    }
}

#[test]
fn a_404_of_the_replica_passes_when_it_is_set_so() {
    let launcher = FakeLauncher::new();
    let server = calm("--replicas 1 --replica-404 pass", launcher);
    let response = server.get("/other");
    assert_eq!((response.status, response.text().as_str()), (404, "no such page"));
}

#[test]
fn home_and_heartbeat_are_paths_like_any_other() {
    let server = calm("", FakeLauncher::new());
    let home = server.get("/home");
    let names: Vec<String> = server.listed();
    let text = |name: &str| format!(r#"{{"message":"Hello from Server: {name}","status":"successful"}}"#);
    assert_eq!(home.status, 200);
    assert!(names.iter().any(|name| home.text() == text(name)), "{}", home.text());
    let heartbeat = server.get("/heartbeat");
    assert_eq!((heartbeat.status, heartbeat.body.len()), (200, 0));
}

/// How many of `total` requests each replica of three got, in percent.
fn shares(flags: &str, total: usize) -> BTreeMap<String, f64> {
    let launcher = FakeLauncher::with(|_, name, stream| answer(stream, "200 OK", &[], name.as_bytes()));
    let server = calm(flags, launcher);
    let mut counts = BTreeMap::<String, usize>::new();
    let mut client = server.connect();
    for _ in 0..total {
        *counts.entry(client.request("GET", "/", &[], b"").text()).or_default() += 1;
    }
    let first = server.server().fleet().replicas().into_iter().find(|replica| replica.id.ring_id.0 == 1);
    assert_eq!(first.unwrap().hostname.as_str(), "server_1", "the first replica stands first on the ring");
    counts.into_iter().map(|(name, count)| (name, 100.0 * count as f64 / total as f64)).collect()
}

#[test]
fn load_is_spread_nearly_evenly_by_default() {
    let shares = shares("--replicas 3", 3000);
    assert_eq!(shares.len(), 3, "{shares:?}");
    assert!(shares.values().all(|share| (25.0..42.0).contains(share)), "{shares:?}");
}

/// The shares of the statement's functions at N = 3 are 84.37, 4.69 and 10.94 %. Of 3000 requests, each is within
/// 4 percentage points, which is more than six standard deviations.
#[test]
fn the_functions_of_the_statement_spread_as_unevenly_as_they_do() {
    let shares = shares("--replicas 3 --scheme statement", 3000);
    for (name, share) in [("server_1", 84.37), ("server_2", 4.69), ("server_3", 10.94)] {
        assert!((shares[name] - share).abs() < 4.0, "{name}: {shares:?}");
    }
}

/// Reads an answer that the end of the connection cuts short.
fn broke_off(client: &mut Client, what: &str) {
    let error = client.try_answer(false).map(|response| response.text()).expect_err(what).kind();
    assert!(matches!(error, ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset), "{what}: {error}");
}

#[test]
fn an_answer_that_breaks_off_never_looks_whole_and_ends_the_connection() {
    for (broken, old_client_can_tell) in [
        (&b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nbegun"[..], true),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\nbegun", true),
        // A client of HTTP/1.0 learns the end of such a body from the connection alone.
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nbegun\r\n", false),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n50\r\nbegun", false),
    ] {
        let what = String::from_utf8_lossy(broken);
        let (server, launcher) = answering(broken, true);
        let mut client = server.connect();
        broke_off(client.send(&request_bytes("GET", "/", &[], b"")), &what);
        if old_client_can_tell {
            broke_off(server.connect().send(b"GET / HTTP/1.0\r\n\r\n"), &what);
        }
        assert!(launcher.seen().iter().all(|seen| seen.target == "/"), "{what}");
        assert_eq!(server.serving(), 1, "{what}");
    }
}

#[test]
fn the_upload_of_a_client_that_leaves_never_looks_whole_to_the_replica() {
    let (server, launcher) = echoing();
    let head = |target: &str| {
        format!("POST {target} HTTP/1.1\r\nHost: balancer\r\nContent-Length: {LARGE}\r\n\r\n").into_bytes()
    };
    let half = &body_of(LARGE)[..LARGE / 2];
    for target in ["/gone", "/half-gone"] {
        let mut client = server.connect();
        client.send(&head(target)).send(half);
        wait_for("the request to be under way", || server.in_flight() == 1);
        if target == "/half-gone" {
            let response = client.finish_sending().answer(false);
            assert_eq!(response.status, 400, "{}", response.text());
            assert!(response.error().contains("ended too early"), "{}", response.text());
            assert!(client.is_ended());
        }
        drop(client);
        wait_for("the request to be over", || server.in_flight() == 0);
    }
    // What was under way is over; what the replica has got of it is read by now or on its way.
    wait_for("the replica to see both ends", || launcher.seen().len() == 2);
    assert!(launcher.seen().iter().all(|seen| !seen.complete), "neither was whole");
    assert_eq!(server.connect().request("POST", "/", &[], b"whole").text(), "whole");
    assert_eq!(server.serving(), 1, "the client's fault is nobody else's");
}

/// Half of a body that is read whole before it is forwarded: no replica hears of it.
#[test]
fn a_short_upload_that_ends_early_reaches_no_replica() {
    let (server, launcher) = echoing();
    for (length, sent) in [(10, 5), (1024, 0), (2000, 1000), (60_000, 59_999)] {
        let mut client = server.connect();
        let head = format!("POST / HTTP/1.1\r\nHost: balancer\r\nContent-Length: {length}\r\n\r\n");
        client.send(head.as_bytes()).send(&body_of(sent)).finish_sending();
        // A refusal, or no answer at all.
        if let Ok(response) = client.try_answer(false) {
            assert_eq!(response.status, 400, "{sent} of {length}");
        }
        assert!(client.is_ended(), "{sent} of {length}");
        assert_eq!(server.in_flight(), 0);
    }
    server.get("/sane");
    assert_eq!(launcher.seen().len(), 1);
}
