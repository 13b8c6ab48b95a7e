//! Bodies on their way: answers that come early, answers that break off, and clients that take too long.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::thread;

use crate::support::{CALM, FakeLauncher, Gate, PATIENCE, TestServer, settings, wait_for};
use nix::sys::socket::{self, sockopt};

/// A replica that does with each connection, once the head of a request has come, what `serve` does. Heartbeats are
/// answered.
fn raw_replica(serve: impl Fn(&str, &mut TcpStream) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let serve = Arc::new(serve);
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let serve = serve.clone();
            thread::spawn(move || {
                // A byte at a time, so that nothing of the body is taken with the head.
                let mut reader = BufReader::with_capacity(1, stream.try_clone().unwrap());
                let mut line = String::new();
                let mut head = String::new();
                while reader.read_line(&mut line).is_ok_and(|n| n > 2) {
                    head.push_str(&line);
                    line.clear();
                }
                if head.starts_with("GET /heartbeat ") {
                    let _ = stream
                        .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
                } else if !head.is_empty() {
                    serve(&head, &mut stream);
                }
            });
        }
    });
    address
}

fn before(replica: SocketAddr, flags: &str) -> TestServer {
    let settings = settings(&format!("{CALM} --launcher static --backends {replica} {flags}"));
    TestServer::as_set(&settings)
}

#[test]
fn a_replica_that_refuses_while_the_client_still_sends_is_heard() {
    const SIZE: usize = 20 << 20;
    let read = Arc::new(AtomicU64::new(0));
    let taken = read.clone();
    let replica = raw_replica(move |_, stream| {
        let mut some = [0; 100_000];
        stream.read_exact(&mut some).unwrap();
        taken.fetch_add(some.len() as u64, SeqCst);
        let _ = stream.write_all(
            b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 8\r\nConnection: close\r\n\r\ntoo long",
        );
        let _ = stream.shutdown(Shutdown::Write);
        // Until the balancer has left.
        let rest = std::io::copy(stream, &mut std::io::sink()).unwrap_or_default();
        taken.fetch_add(rest, SeqCst);
    });
    let server = before(replica, "");
    for framing in [format!("Content-Length: {SIZE}"), "Transfer-Encoding: chunked".to_owned()] {
        let mut client = server.connect();
        client.send(format!("POST /up HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n").as_bytes());
        let piece = vec![b'x'; 0x10000];
        let chunk = [b"10000\r\n", piece.as_slice(), b"\r\n"].concat();
        for _ in 0..SIZE / piece.len() {
            // The balancer ends the connection when it has answered; what is sent after that is lost.
            if client.try_send(if framing.starts_with('T') { &chunk } else { &piece }).is_err() {
                break;
            }
        }
        let response = client.answer(false);
        assert_eq!((response.status, response.text().as_str()), (413, "too long"), "{framing}");
        assert_eq!(response.header("connection"), Some("close"));
        assert!(client.is_ended());
    }
    let read = read.load(SeqCst);
    assert!(read < SIZE as u64, "{read} bytes went to a replica that had answered");
}

/// One that answers 200 at once may need all of the request for what it has still to say.
#[test]
fn a_replica_that_begins_its_answer_early_gets_the_whole_request() {
    const SIZE: usize = 3_000_000;
    let replica = raw_replica(|_, stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nearly\r\n");
        let read = std::io::copy(&mut Read::by_ref(stream).take(SIZE as u64), &mut std::io::sink()).unwrap();
        let _ = stream.write_all(format!("7\r\n{read}\r\n0\r\n\r\n").as_bytes());
    });
    let server = before(replica, "");
    let mut client = server.connect();
    for _ in 0..2 {
        let response = client.request("PUT", "/up", &[], &vec![b'x'; SIZE]);
        assert_eq!((response.status, response.text()), (200, format!("early{SIZE}")));
    }
}

/// What ureq would take for chunks, or hand out with its chunks.
#[test]
fn an_answer_in_a_coding_that_is_not_understood_is_none() {
    for (version, coding) in [
        ("1.1", "gzip, chunked"),
        ("1.1", "gzip"),
        ("1.0", "chunked"),
        ("1.1", "chunked\r\nTransfer-Encoding: x"),
    ] {
        let replica = raw_replica(move |_, stream| {
            let head = format!("HTTP/{version} 200 OK\r\nTransfer-Encoding: {coding}\r\n\r\n");
            let _ = stream.write_all(head.as_bytes());
            let _ = stream.write_all(b"5\r\nhello\r\n0\r\n\r\n");
        });
        let server = before(replica, "");
        assert_eq!(server.get("/x").status, 502, "HTTP/{version}, {coding}");
    }
}

/// Server-sent events: each is there before the replica has sent the next, whatever frames them.
#[test]
fn events_arrive_as_they_are_sent() {
    for (framing, parts) in [
        ("Transfer-Encoding: chunked\r\n", ["9\r\ndata: 1\n\n\r\n", "9\r\ndata: 2\n\n\r\n0\r\n\r\n"]),
        ("", ["data: 1\n\n", "data: 2\n\n"]),
    ] {
        let gate = Gate::default();
        let door = gate.clone();
        let replica = raw_replica(move |_, stream| {
            let head = format!("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n{framing}\r\n");
            stream.write_all(head.as_bytes()).unwrap();
            for part in parts {
                stream.write_all(part.as_bytes()).unwrap();
                door.pass();
            }
            let _ = stream.shutdown(Shutdown::Both);
        });
        let server = before(replica, "");
        let mut stream = TcpStream::connect(server.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(b"GET /events HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        let mut got = String::new();
        let mut read_until = |text: &str| {
            while !got.contains(text) {
                let mut part = [0; 1024];
                let n = stream.read(&mut part).unwrap();
                assert!(n > 0, "{got}");
                got.push_str(std::str::from_utf8(&part[..n]).unwrap());
            }
        };
        read_until("data: 1\n\n");
        wait_for("the replica to wait", || gate.waiting() == 1);
        gate.open();
        read_until("data: 2\n\n");
    }
}

#[test]
fn a_body_that_ends_by_a_reset_is_not_whole() {
    let replica = raw_replica(|_, stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\nbegun");
        thread::sleep(std::time::Duration::from_millis(50));
        let now = nix::libc::linger { l_onoff: 1, l_linger: 0 };
        socket::setsockopt(stream, sockopt::Linger, &now).unwrap();
    });
    let server = before(replica, "");
    let result = server.connect().send(b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n").try_answer(false);
    assert!(result.is_err(), "{result:?}");
}

#[test]
fn a_body_that_drips_is_given_up() {
    let server = TestServer::start(&format!("{CALM} --replicas 1 --idle-timeout 1s"), FakeLauncher::new());
    for framing in ["Content-Length: 5000", "Transfer-Encoding: chunked"] {
        let mut client = server.connect();
        client.send(format!("POST /home HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n").as_bytes());
        wait_for("the balancer to give up", || {
            thread::sleep(std::time::Duration::from_millis(100));
            let bytes: &[u8] = if framing.starts_with('T') { b"1\r\nx\r\n" } else { b"x" };
            client.try_send(bytes).is_err()
        });
        assert_eq!(client.answer(false).status, 408, "{framing}");
    }
}
