//! Clients that hold on to what is answered to them, more of them than there are threads, and what others notice of it.

use std::io::Write;
use std::net::TcpStream;

use nix::sys::socket::{setsockopt, sockopt};
use socket2::{Domain, Socket, Type};

use crate::support::client::request_bytes;
use crate::support::{CALM, Client, FakeLauncher, TestServer, wait_for};

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// Several times as many as there are threads of any kind on the admin side.
const MANY: usize = 128;

fn with_token() -> TestServer {
    TestServer::start(&format!("{CALM} --admin-token {TOKEN}"), FakeLauncher::new())
}

/// Asks until there is room for one more: so many at once may find a queue full.
fn assert_answered(server: &TestServer, path: &str) {
    let token = format!("Bearer {TOKEN}");
    let ask = || server.connect().request("GET", path, &[("Authorization", &token)], b"").status;
    wait_for(path, || match ask() {
        503 => false,
        status => {
            assert_eq!(status, 200, "{path}");
            true
        }
    });
}

/// Before, each thread waited two seconds for such a client to go.
#[test]
fn clients_that_stay_when_they_were_answered_hold_up_nobody() {
    let server = with_token();
    let late = "Transfer-Encoding: chunked\r\n\r\n";
    for (head, status) in [
        ("GET /rep HTTP/1.1", 200),
        ("GET /_ringmaster/health HTTP/1.1", 200),
        ("GET /_ringmaster/status HTTP/1.1", 401),
        ("PUT /_ringmaster/status HTTP/1.1", 405),
        ("POST /add HTTP/1.1", 401),
    ] {
        let mut stay: Vec<Client> = (0..MANY).map(|_| server.connect()).collect();
        let request = format!("{head}\r\nHost: localhost\r\n{late}");
        stay.iter_mut().for_each(|client| _ = client.send(request.as_bytes()));
        assert_answered(&server, "/_ringmaster/status");
        assert_answered(&server, "/rep");
        for client in &mut stay {
            let told = client.answer(false).status;
            // Some queues are shorter.
            assert!(told == status || told == 503, "{head}: {told}");
        }
        drop(stay);
    }
}

/// A client that takes next to nothing: its window is as small as the system has it, and its segments, so that the
/// other side keeps little for it.
fn narrow(server: &TestServer) -> TcpStream {
    let client = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    client.set_recv_buffer_size(1024).unwrap();
    setsockopt(&client, sockopt::TcpMaxSeg, &536).unwrap();
    client.connect(&server.address.into()).unwrap();
    client.into()
}

/// The page, which comes without a token too, is longer than what such a client's connection holds.
#[test]
fn clients_that_do_not_read_hold_up_nobody() {
    let server = with_token();
    let unread: Vec<TcpStream> = (0..MANY)
        .map(|_| {
            let mut client = narrow(&server);
            for _ in 0..30 {
                // It may be ended before all is asked.
                let _ = client.write_all(&request_bytes("GET", "/_ringmaster/", &[], b""));
            }
            client
        })
        .collect();
    assert_answered(&server, "/_ringmaster/metrics");
    assert_answered(&server, "/_ringmaster/health");
    drop(unread);
}

/// Each answer is small, but nobody takes any of them.
#[test]
fn clients_that_ask_for_ever_and_read_nothing_hold_up_nobody() {
    let server = with_token();
    let unread: Vec<TcpStream> = (0..8)
        .map(|_| {
            let mut client = narrow(&server);
            client.set_nonblocking(true).unwrap();
            let asking = request_bytes("GET", "/rep", &[], b"");
            // As much as the connection takes: it is ended when nothing of the answers is.
            (0..20_000).for_each(|_| _ = client.write(&asking));
            client
        })
        .collect();
    for _ in 0..10 {
        assert_answered(&server, "/_ringmaster/health");
        assert_answered(&server, "/rep");
    }
    drop(unread);
}

/// Whatever is answered while a body waits to be read comes whole, and the connection goes on if the body was there.
#[test]
fn a_long_answer_to_a_request_with_a_body_is_whole() {
    let server = TestServer::start(CALM, FakeLauncher::new());
    let plain = server.get("/_ringmaster/openapi.json");
    let mut client = server.connect();
    for _ in 0..2 {
        let same = client.request("GET", "/_ringmaster/openapi.json", &[], b"hello");
        assert!(same.status == 200 && same.body == plain.body, "{} bytes", same.body.len());
    }
    let mut client = server.connect();
    client
        .send(b"GET /_ringmaster/openapi.json HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5000\r\n\r\n{");
    assert!(client.answer(false).body == plain.body);
    assert!(client.is_ended());
}

/// The socket's own patience would be an hour.
#[test]
fn the_body_of_a_change_that_does_not_come_is_not_waited_for() {
    let server = TestServer::start(&format!("{CALM} --idle-timeout 3600s"), FakeLauncher::new());
    let mut nothing = server.connect();
    nothing.send(b"POST /add HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5000\r\n\r\n");
    let mut half = server.connect();
    half.send(b"POST /add HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n8\r\n{\"n\"");
    for client in [&mut nothing, &mut half] {
        let response = client.answer(false);
        assert_eq!(response.status, 408, "{}", response.text());
    }
    assert_eq!(server.listed().len(), 3);
}

/// Changes whose bodies do not come: more than there is room for, and no traffic.
#[test]
fn admin_requests_that_find_no_room_are_no_traffic() {
    let server = TestServer::start(CALM, FakeLauncher::new());
    let head = b"POST /add HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5000\r\n\r\n";
    let mut changes: Vec<Client> = (0..120).map(|_| server.connect()).collect();
    changes.iter_mut().for_each(|client| _ = client.send(head));
    let refused = || {
        let metrics = server.get("/_ringmaster/metrics").text();
        let line =
            metrics.lines().find(|line| line.contains("refusals_total{reason=\"queue_full\"}")).unwrap();
        line.rsplit(' ').next().unwrap().parse::<u32>().unwrap()
    };
    wait_for("some to be refused", || refused() > 0);
    drop(changes);
    let status = server.get("/_ringmaster/status").json();
    assert_eq!(status["message"]["totals"]["requests"], 0, "{}", status["message"]["totals"]);
    let events = server.get("/_ringmaster/events").text();
    assert!(!events.contains("request failed"), "{events}");
}
