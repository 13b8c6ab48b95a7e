//! Connections that are held without being used, and more of them than may be.

use std::thread;
use std::time::{Duration, Instant};

use crate::support::{CALM, Client, FakeLauncher, TestServer, wait_for};

const GET: &[u8] = b"GET /home HTTP/1.1\r\nHost: a\r\n\r\n";

fn one_replica(flags: &str) -> TestServer {
    TestServer::start(&format!("{CALM} --replicas 1 {flags}"), FakeLauncher::new())
}

#[test]
fn a_head_that_drips_ends_its_connection_and_nobody_elses() {
    let server = one_replica("--head-timeout 500ms");
    let mut idle = server.connect();
    assert_eq!(idle.send(GET).answer(false).status, 200);
    for before in [0, 1] {
        let mut client = server.connect();
        (0..before).for_each(|_| assert_eq!(client.send(GET).answer(false).status, 200));
        let begun = Instant::now();
        let mut dripping = b"GET /home HTTP/1.1\r\nHost: a\r\nX: ".iter().chain(std::iter::repeat(&b'x'));
        wait_for("the connection to be ended", || {
            thread::sleep(Duration::from_millis(20));
            client.try_send(&[*dripping.next().unwrap()]).is_err()
        });
        assert!(begun.elapsed() >= Duration::from_millis(500), "after {before}: too early");
        assert!(client.is_ended());
    }
    assert_eq!(idle.send(GET).answer(false).status, 200, "one that says nothing may stay");
}

#[test]
fn what_never_becomes_a_request_does_not_stay() {
    let server = one_replica("--head-timeout 300ms");
    for bytes in [
        &b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..],
        b"GET /home HTTP/2.0\r\nHost: a\r\n\r\n",
        b"GET /home HTTP/1.1\nHost: a\n\n",
        b"\x16\x03\x01\x02\x00\x01\x00",
    ] {
        let mut client = server.connect();
        assert!(client.send(bytes).is_ended(), "{:?}", String::from_utf8_lossy(bytes));
    }
}

#[test]
fn more_connections_than_may_be_are_refused_but_admin_requests_served() {
    let server = one_replica("--max-connections 4");
    let mut regular: Vec<Client> = (0..4).map(|_| server.connect()).collect();
    // Those that come within one look of each other cannot be told apart by age.
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(600) {
        regular.iter_mut().for_each(|client| assert_eq!(client.send(GET).answer(false).status, 200));
    }
    let mut refused = None;
    wait_for("the balancer to notice that four are there", || {
        regular.iter_mut().for_each(|client| assert_eq!(client.send(GET).answer(false).status, 200));
        let mut client = server.connect();
        match client.send(GET).try_answer(false) {
            Ok(response) if response.status == 200 => false,
            other => {
                refused = other.ok();
                true
            }
        }
    });
    if let Some(response) = refused {
        assert_eq!((response.status, response.header("retry-after")), (503, Some("1")));
    }
    assert_eq!(server.listed().len(), 1);
    let mut silent = server.connect();
    assert!(silent.is_ended(), "who says nothing has to go");
    regular.iter_mut().for_each(|client| assert_eq!(client.send(GET).answer(false).status, 200));
    regular.clear();
    wait_for("there to be room again", || {
        let mut client = server.connect();
        let answer = client.send(GET).try_answer(false);
        thread::sleep(Duration::from_millis(300));
        answer.is_ok_and(|answer| answer.status == 200)
            && client.try_send(GET).is_ok()
            && client.try_answer(false).is_ok_and(|answer| answer.status == 200)
    });
}
