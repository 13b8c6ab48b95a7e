//! The front door, in raw bytes: what is let in, what is refused and how, and who gets a turn.

use std::sync::{Arc, Mutex};

use crate::support::backend::answer;
use crate::support::client::request_bytes;
use crate::support::{CALM, Client, FakeLauncher, Gate, TestServer, wait_for};

fn calm(flags: &str, launcher: FakeLauncher) -> TestServer {
    TestServer::start(&format!("{CALM} {flags}"), launcher)
}

/// A balancer before replicas that answer with the target they were asked for, and what they were asked: as
/// `METHOD target`, in order.
fn recording(flags: &str) -> (TestServer, Arc<Mutex<Vec<String>>>) {
    let asked = Arc::<Mutex<Vec<String>>>::default();
    let launcher = FakeLauncher::with({
        let asked = asked.clone();
        move |seen, _, stream| {
            asked.lock().unwrap().push(format!("{} {}", seen.method, seen.target));
            answer(stream, "200 OK", &[], seen.target.as_bytes());
        }
    });
    (calm(flags, launcher), asked)
}

/// One replica that answers with the target, those that begin with `/slow` only when the gate is open.
fn gated(flags: &str) -> (TestServer, FakeLauncher, Gate) {
    let gate = Gate::default();
    let launcher = FakeLauncher::with({
        let gate = gate.clone();
        move |seen, _, stream| {
            if seen.target.starts_with("/slow") {
                gate.pass();
            }
            answer(stream, "200 OK", &[], seen.target.as_bytes());
        }
    });
    (calm(flags, launcher.clone()), launcher, gate)
}

/// Who answers a refusal: the checks of the balancer, in its envelope, or the parser before them, with a status alone.
#[derive(Clone, Copy, PartialEq)]
enum By {
    Checks,
    Parser,
}

/// Each of `refused` gets its status, its connection ends, no replica hears of it, and the next client is served.
fn assert_refused(refused: &[(Vec<u8>, u16, By)]) {
    let (server, asked) = recording("--replicas 1");
    for (k, (bytes, status, by)) in refused.iter().enumerate() {
        let shown: String = String::from_utf8_lossy(bytes).escape_debug().take(200).collect();
        let mut client = server.connect();
        let response = client.send(bytes).answer(bytes.starts_with(b"HEAD"));
        assert_eq!(response.status, *status, "{shown}: {}", response.text());
        if *by == By::Checks {
            assert!(response.error().starts_with("<Error> "), "{shown}: {}", response.text());
            assert_eq!(response.header("connection"), Some("close"), "{shown}");
        }
        assert!(client.is_ended(), "{shown}: the connection goes on");
        let sane = format!("/sane/{k}");
        assert_eq!(server.get(&sane).text(), sane, "after {shown}");
    }
    // Whatever was still on its way has come through when the balancer has stopped.
    server.stop();
    let sane: Vec<String> = (0..refused.len()).map(|k| format!("GET /sane/{k}")).collect();
    assert_eq!(*asked.lock().unwrap(), sane, "no replica heard of anything else");
}

fn with_fields(fields: &[u8]) -> Vec<u8> {
    [b"GET /refused HTTP/1.1\r\nHost: a\r\n", fields, b"\r\n\r\n"].concat()
}

#[test]
fn a_body_whose_end_is_in_doubt_is_refused_and_what_hides_in_it_is_not_served() {
    let hidden = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
    let mut refused = Vec::new();
    for (fields, status) in [
        ("Content-Length: 5\r\nTransfer-Encoding: chunked", 400),
        ("Transfer-Encoding: chunked\r\nContent-Length: 0", 400),
        ("Content-Length: 0\r\nContent-Length: 37", 400),
        ("Content-Length: 5\r\nContent-Length: 5", 400),
        ("Content-Length: 5, 5", 400),
        ("Content-Length: -5", 400),
        ("Content-Length: +5", 400),
        ("Content-Length: 0x25", 400),
        ("Content-Length: 5.0", 400),
        ("Content-Length: five", 400),
        ("Content-Length:", 400),
        ("Content-Length: 99999999999999999999999", 413),
        ("Content-Length: 9223372036854775813", 413),
        ("Content-Length: 1000000000000", 413),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", 501),
        ("Transfer-Encoding: gzip, chunked", 501),
        ("Transfer-Encoding: chunked, identity", 501),
        ("Transfer-Encoding: xchunked", 501),
        ("Transfer-Encoding: identity", 501),
        ("Transfer-Encoding: gzip", 501),
        ("Transfer-Encoding:", 501),
    ] {
        for body in [hidden.to_owned(), format!("0\r\n\r\n{hidden}"), format!("25\r\n{hidden}\r\n0\r\n\r\n")]
        {
            let bytes = format!("POST /refused HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n{body}");
            refused.push((bytes.into_bytes(), status, By::Checks));
        }
    }
    assert_refused(&refused);
}

#[test]
fn chunks_that_are_none_are_refused() {
    let head = "POST /refused HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    let bodies =
        ["zz\r\nhello\r\n0\r\n\r\n", "5\r\nhello!!\r\n0\r\n\r\n", "ffffffffffffffffff\r\nx\r\n0\r\n\r\n"];
    let old = "POST /refused HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".to_owned();
    let refused = bodies.map(|body| format!("{head}{body}")).into_iter().chain([old]);
    assert_refused(&refused.map(|bytes| (bytes.into_bytes(), 400, By::Checks)).collect::<Vec<_>>());
}

#[test]
fn a_request_without_one_sound_host_is_refused() {
    let refused =
        ["", "Host:", "Host: a\r\nHost: a", "Host: a\r\nHost: b", "Host: a/b", "Host: a b", "Host: u@a"];
    let refused = refused.map(|host| match host {
        "" => b"GET /refused HTTP/1.1\r\n\r\n".to_vec(),
        _ => format!("GET /refused HTTP/1.1\r\n{host}\r\n\r\n").into_bytes(),
    });
    assert_refused(&refused.map(|bytes| (bytes, 400, By::Checks)));
}

#[test]
fn a_target_that_is_no_path_is_refused() {
    let refused = [
        "@127.0.0.1:1/x",
        "81/",
        "*",
        "foo",
        "h:443",
        "/a#b",
        "#",
        "\\x",
        "ftp://a/x",
        "/\u{1}",
        "/a\u{7f}",
        "?x",
    ];
    let refused = refused.map(|target| format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n").into_bytes());
    assert_refused(&refused.map(|bytes| (bytes, 400, By::Checks)));
    let long = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(9000));
    assert_refused(&[(long.into_bytes(), 414, By::Checks)]);
}

#[test]
fn a_request_line_that_is_none_is_refused() {
    assert_refused(&[
        (b"GET /refused HTTP/0.9\r\n\r\n".to_vec(), 505, By::Checks),
        (b"CONNECT /refused HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(), 405, By::Checks),
        (b"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n".to_vec(), 405, By::Checks),
        (b"G(T /refused HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(), 400, By::Checks),
        (b"G\0T /refused HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(), 400, By::Checks),
        (b"GET /refused\r\n\r\n".to_vec(), 400, By::Parser),
        (b"GET /refused HTTP/1.2\r\nHost: a\r\n\r\n".to_vec(), 400, By::Parser),
        (b"GET  /refused HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(), 400, By::Parser),
        (b"\x16\x03\x01 \r\n\r\n".to_vec(), 400, By::Parser),
    ]);
}

#[test]
fn fields_outside_the_grammar_are_refused() {
    let large = format!("X: {}", "y".repeat(40_000)).into_bytes();
    let many = "X: y\r\n".repeat(101).into_bytes();
    let mut refused: Vec<(Vec<u8>, u16, By)> = vec![
        (with_fields(&large), 431, By::Checks),
        (with_fields(many.trim_ascii_end()), 431, By::Checks),
        (with_fields(b"X Y: a"), 400, By::Parser),
        (with_fields(b"X : a"), 400, By::Parser),
        (with_fields(b"no colon"), 400, By::Parser),
        (with_fields(b"Expect: a miracle"), 417, By::Parser),
    ];
    for fields in [
        &b": a"[..],
        b"(x): a",
        b"X\0Y: a",
        b"X\x01: a",
        b"X/Y: a",
        b"X: a\nTransfer-Encoding: chunked",
        b"X: a\rb",
        b"X: a\0b",
        b"X: a\x01b",
        b"X: a\x7fb",
    ] {
        refused.push((with_fields(fields), 400, By::Checks));
    }
    assert_refused(&refused);
}

/// Behind an address translation, the port of a client that was refused is soon another client's.
#[test]
fn the_next_client_on_the_port_of_a_refused_one_is_served() {
    let (server, _asked) = recording("--replicas 1");
    let mut served = 0;
    wait_for("ten ports to be used again", || {
        let mut refused = Client::connect_from(0, server.address).unwrap();
        let port = refused.port();
        assert_eq!(refused.send(b"GET foo HTTP/1.1\r\nHost: a\r\n\r\n").answer(false).status, 400);
        assert!(refused.is_ended());
        drop(refused);
        // The balancer has done with the refused one by the time that it has answered others.
        for _ in 0..20 {
            assert_eq!(server.get("/home").status, 200);
        }
        let Ok(mut next) = Client::connect_from(port, server.address) else { return false };
        let answer = next.send(&request_bytes("GET", "/home", &[], b"")).try_answer(false);
        assert_eq!(answer.map(|answer| answer.text()).unwrap_or_default(), "/home", "from port {port}");
        served += 1;
        served == 10
    });
}

#[test]
fn a_target_in_absolute_form_is_reduced_to_its_path() {
    let (server, asked) = recording("--replicas 1");
    for target in
        ["http://other/p?q=http://x/", "http://127.0.0.1:1/p?q=http://x/", "https://other/p?q=http://x/"]
    {
        let response = server.connect().request("GET", target, &[], b"");
        assert_eq!((response.status, response.text().as_str()), (200, "/p?q=http://x/"), "{target}");
    }
    assert_eq!(server.connect().request("GET", "http://other", &[], b"").text(), "/");
    assert_eq!(server.connect().request("GET", "http://other/rep", &[], b"").listed(), ["server_1"]);
    assert_eq!(asked.lock().unwrap().len(), 4, "one endpoint of those was the balancer's own");
}

#[test]
fn keep_alive_connections_that_are_opened_in_a_burst_are_all_answered() {
    for (burst, silent) in [(8, 0), (64, 0), (200, 0), (40, 8)] {
        let (server, _asked) = recording("");
        let mut clients: Vec<Client> = (0..burst).map(|_| server.connect()).collect();
        // The first say nothing for now; none of the others may have to wait for them.
        for round in 0..2 {
            let begin = if round == 0 { silent } else { 0 };
            for client in &mut clients[begin..] {
                client.send(&request_bytes("GET", "/home", &[], b""));
            }
            for client in &mut clients[begin..] {
                assert_eq!(client.answer(false).text(), "/home", "burst of {burst}, {silent} silent");
            }
        }
    }
}

#[test]
fn requests_that_are_pipelined_are_answered_in_order() {
    let (server, asked) = recording("");
    let mut client = server.connect();
    let mut bytes = Vec::new();
    let requests: Vec<(&str, String, &[u8])> = (0..20)
        .map(|k| match k % 3 {
            0 => ("GET", format!("/{k}"), &b""[..]),
            1 => ("POST", format!("/{k}"), &[b'x'; 3000][..]),
            _ => ("PUT", format!("/{k}"), &b"short"[..]),
        })
        .collect();
    for (method, path, body) in &requests {
        bytes.extend(request_bytes(method, path, &[], body));
    }
    client.send(&bytes);
    for (_, path, _) in &requests {
        assert_eq!(client.answer(false).text(), *path);
    }
    let expected: Vec<String> = requests.iter().map(|(method, path, _)| format!("{method} {path}")).collect();
    assert_eq!(*asked.lock().unwrap(), expected, "one after another, each once");
}

#[test]
fn a_connection_that_pipelines_slow_requests_holds_up_nobody_else() {
    let (server, launcher, gate) = gated("--replicas 1 --workers 2");
    let mut greedy = server.connect();
    let slow: Vec<u8> = (0..8).flat_map(|k| request_bytes("GET", &format!("/slow/{k}"), &[], b"")).collect();
    greedy.send(&slow);
    wait_for("the first to be under way", || !launcher.seen().is_empty());
    for _ in 0..20 {
        assert_eq!(server.get("/quick").text(), "/quick");
    }
    let slow = launcher.seen().iter().filter(|seen| seen.target.starts_with("/slow")).count();
    assert_eq!(slow, 1, "each waits for the one before it");
    gate.open();
    for k in 0..8 {
        assert_eq!(greedy.answer(false).text(), format!("/slow/{k}"));
    }
}

#[test]
fn a_connection_that_does_not_read_its_answers_holds_up_one_worker_at_most() {
    // More than any buffer on the way takes.
    let large = vec![b'x'; 32 << 20];
    let launcher = FakeLauncher::with(move |seen, _, stream| match seen.target.as_str() {
        "/large" => answer(stream, "200 OK", &[], &large),
        _ => answer(stream, "200 OK", &[], b"quick"),
    });
    let server = calm("--replicas 1 --workers 2", launcher.clone());
    let mut deaf = server.connect();
    deaf.send(&request_bytes("GET", "/large", &[], b"").repeat(8));
    wait_for("the first to be under way", || !launcher.seen().is_empty());
    for _ in 0..20 {
        assert_eq!(server.get("/quick").text(), "quick");
    }
    wait_for("only the deaf one's first request to be under way", || server.in_flight() == 1);
    let large = launcher.seen().iter().filter(|seen| seen.target == "/large").count();
    assert_eq!(large, 1, "its others wait for it");
    drop(deaf);
    wait_for("its worker to be free", || server.in_flight() == 0);
}

#[test]
fn connections_end_or_go_on_as_the_client_asked() {
    let (server, _asked) = recording("--replicas 1");
    for (version, fields, goes_on) in [
        ("1.1", "", true),
        ("1.1", "Connection: keep-alive\r\n", true),
        ("1.1", "Connection: close\r\n", false),
        ("1.1", "Connection: x, Close\r\n", false),
        ("1.1", "Connection: x\r\nConnection: close\r\n", false),
        ("1.0", "", false),
        ("1.0", "Connection: keep-alive\r\n", true),
        ("1.0", "Connection: Keep-Alive\r\n", true),
        ("1.0", "Connection: close\r\n", false),
    ] {
        // An answer of a replica, and one of the balancer's own.
        for path in ["/home", "/rep"] {
            let what = format!("{path} HTTP/{version} {fields:?}");
            let bytes = format!("GET {path} HTTP/{version}\r\nHost: a\r\n{fields}\r\n");
            let mut client = server.connect();
            let response = client.send(bytes.as_bytes()).answer(false);
            assert_eq!(response.status, 200, "{what}");
            match (goes_on, version) {
                (true, "1.0") => assert_eq!(response.header("connection"), Some("keep-alive"), "{what}"),
                (true, _) => assert_eq!(response.header("connection"), None, "{what}"),
                (false, _) => assert_eq!(response.header("connection"), Some("close"), "{what}"),
            }
            match goes_on {
                true => assert_eq!(client.send(bytes.as_bytes()).answer(false).status, 200, "{what}"),
                false => assert!(client.is_ended(), "{what}"),
            }
        }
    }
}

/// What `curl --http2` sends on plain HTTP: an offer that a server may pass over.
#[test]
fn a_request_that_offers_an_upgrade_is_served_without_one() {
    let launcher = FakeLauncher::with(|seen, _, stream| answer(stream, "200 OK", &[], &seen.body));
    let server = calm("--replicas 1", launcher.clone());
    let offer = [
        ("Connection", "Upgrade, HTTP2-Settings"),
        ("Upgrade", "h2c"),
        ("HTTP2-Settings", "AAMAAABkAAQCAAAA"),
    ];
    for (method, length) in [("GET", 0), ("POST", 5), ("POST", 2000), ("POST", 200 * 1024)] {
        let body = vec![b'x'; length];
        let response = server.connect().request(method, "/", &offer, &body);
        assert_eq!(response.status, 200, "{method} with {length} bytes: {}", response.text());
        assert!(response.body == body, "{method} with {length} bytes");
        let seen = launcher.seen().pop().unwrap();
        assert!(seen.header("upgrade").is_empty() && seen.header("http2-settings").is_empty(), "{seen:?}");
    }
    let listed = server.connect().request("POST", "/add", &offer, br#"{"n":1}"#).listed();
    assert_eq!(listed.len(), 2);
}

#[test]
fn a_body_may_come_byte_by_byte() {
    let launcher = FakeLauncher::with(|seen, _, stream| answer(stream, "200 OK", &[], &seen.body));
    let server = calm("", launcher);
    for (path, body) in [("/add", r#"{"n":1,"hostnames":["S1"]}"#), ("/home", "sent byte by byte")] {
        let mut client = server.connect();
        for byte in request_bytes("POST", path, &[], body.as_bytes()) {
            client.send(&[byte]);
        }
        let response = client.answer(false);
        match path {
            "/add" => assert_eq!(response.listed(), ["server_1", "server_2", "server_3", "S1"]),
            _ => assert_eq!(response.text(), body),
        }
    }
}
