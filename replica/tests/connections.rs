//! Many requests on one connection, and many connections at once.

mod support;

use support::{Client, HEARTBEAT, HOME, replica};

const GET_HOME: &str = "GET /home HTTP/1.1\r\nHost: replica\r\n\r\n";
const GET_HEARTBEAT: &str = "GET /heartbeat HTTP/1.1\r\nHost: replica\r\n\r\n";

#[test]
fn a_connection_stays_open_until_asked_to_close() {
    let replica = replica();
    let mut client = Client::connect(replica.addr());
    for _ in 0..3 {
        client.send(GET_HOME);
        client.expect(HOME);
    }
    client.send("GET /heartbeat HTTP/1.1\r\nConnection: close\r\n\r\n");
    assert_eq!(
        client.rest(),
        "HTTP/1.1 200 OK\r\nX-Server-Id: S1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    );
}

#[test]
fn after_a_close_nothing_more_is_answered() {
    let replica = replica();
    let mut client = Client::connect(replica.addr());
    client.send(format!("GET /heartbeat HTTP/1.1\r\nConnection: close\r\n\r\n{GET_HOME}"));
    assert_eq!(
        client.rest(),
        "HTTP/1.1 200 OK\r\nX-Server-Id: S1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    );
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let replica = replica();
    let mut client = Client::connect(replica.addr());
    let requests = format!("{GET_HOME}{GET_HEARTBEAT}GET /other HTTP/1.1\r\n\r\n{GET_HEARTBEAT}");
    client.send(requests.repeat(100));
    for _ in 0..100 {
        client.expect(HOME);
        client.expect(HEARTBEAT);
        assert_eq!(client.answer().0, 404);
        client.expect(HEARTBEAT);
    }
}

#[test]
fn a_request_may_come_byte_by_byte() {
    let replica = replica();
    let mut client = Client::connect(replica.addr());
    let chunked = "POST /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    for byte in format!("{GET_HOME}{chunked}{GET_HEARTBEAT}").bytes() {
        client.send([byte]);
    }
    client.expect(HOME);
    assert_eq!(client.answer().0, 404);
    client.expect(HEARTBEAT);
}

#[test]
fn a_body_is_not_taken_for_the_next_request() {
    let long = "x".repeat(300_000);
    let bodies = [
        "Content-Length: 0\r\n\r\n".to_owned(),
        format!("Content-Length: {}\r\n\r\n{GET_HOME}", GET_HOME.len()),
        format!("Content-Length: {}\r\n\r\n{long}", long.len()),
        "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n".to_owned(),
        format!(
            "Transfer-Encoding: chunked\r\n\r\n{:x};a=b\r\n{GET_HOME}\r\n0\r\nX: y\r\n\r\n",
            GET_HOME.len()
        ),
        format!("Transfer-Encoding: chunked\r\n\r\n{:X}\r\n{long}\r\n0\r\n\r\n", long.len()),
    ];
    let replica = replica();
    let mut client = Client::connect(replica.addr());
    for body in bodies {
        client.send(format!("GET /home HTTP/1.1\r\n{body}{GET_HEARTBEAT}"));
        client.expect(HOME);
        client.expect(HEARTBEAT);
    }
}

#[test]
fn a_client_that_waits_is_told_to_continue() {
    let replica = replica();
    let mut client = Client::connect(replica.addr());
    client.send("GET /home HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n");
    client.expect("HTTP/1.1 100 Continue\r\n\r\n");
    client.send("body");
    client.expect(HOME);
    client.send("GET /home HTTP/1.1\r\nExpect: 100-continue\r\n\r\n");
    client.expect(HOME);
}

#[test]
fn what_cannot_be_framed_is_refused_and_the_connection_closed() {
    let table = [
        ("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".to_owned(), 400),
        ("Content-Length: five\r\n\r\n".to_owned(), 400),
        ("Content-Length: -1\r\n\r\n".to_owned(), 400),
        ("Content-Length: 1\r\nContent-Length: 2\r\n\r\n".to_owned(), 400),
        ("Content-Length: 1000000000000\r\n\r\n".to_owned(), 413),
        ("Transfer-Encoding: gzip\r\n\r\n".to_owned(), 400),
        ("Transfer-Encoding: chunked\r\n\r\nfive\r\n".to_owned(), 400),
        ("No colon\r\n\r\n".to_owned(), 400),
        (format!("X: {}\r\n\r\n", "x".repeat(70_000)), 431),
        (format!("{}\r\n", "X: y\r\n".repeat(200)), 431),
    ];
    let replica = replica();
    for (headers, status) in table {
        let mut client = Client::connect(replica.addr());
        client.send(format!("GET /home HTTP/1.1\r\n{headers}{GET_HOME}"));
        let answer = client.rest();
        let start: String = headers.chars().take(60).collect();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{start:?}: {answer}");
        assert!(answer.contains("\r\nConnection: close\r\n"), "{start:?}: {answer}");
        assert!(answer.ends_with(r#","status":"failure"}"#), "{start:?}: {answer}");
        assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{start:?}: {answer}");
    }
}

#[test]
fn a_head_as_long_as_the_balancer_admits_is_read() {
    let replica = replica();
    let mut client = Client::connect(replica.addr());
    let request = format!("GET /home HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(64 * 1024));
    client.send(request.repeat(3));
    for _ in 0..3 {
        client.expect(HOME);
    }
}

/// The reason why this server is not built on a pool of threads: there, some of these are never answered.
#[test]
fn two_hundred_connections_that_stay_open_are_all_answered_twice() {
    let replica = replica();
    let mut clients: Vec<Client> = (0..200).map(|_| Client::connect(replica.addr())).collect();
    for _ in 0..2 {
        for client in &mut clients {
            client.send(GET_HOME);
        }
        for client in &mut clients {
            client.expect(HOME);
        }
    }
}

#[test]
fn a_silent_connection_holds_up_nobody() {
    let replica = replica();
    let mut silent = Client::connect(replica.addr());
    silent.send("GET /ho");
    let mut client = Client::connect(replica.addr());
    client.send(GET_HOME);
    client.expect(HOME);
    silent.send("me HTTP/1.1\r\n\r\n");
    silent.expect(HOME);
}
