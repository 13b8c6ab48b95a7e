//! Clients that mean harm, or that behave as if: what they do must cost nobody else anything.

use std::net::TcpStream;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::backend::answer;
use crate::support::client::request_bytes;
use crate::support::program::Program;
use crate::support::{CALM, Client, FakeLauncher, PATIENCE, TestServer, wait_for};

fn calm(flags: &str, launcher: FakeLauncher) -> TestServer {
    TestServer::start(&format!("{CALM} {flags}"), launcher)
}

/// Before, the worker that refused such a request waited for itself: the parked ones were dropped before it was.
#[test]
fn requests_behind_a_refused_one_are_neither_served_nor_in_the_way() {
    let launcher = FakeLauncher::new();
    let server = calm("--workers 2", launcher.clone());
    for followers in (1..=12).chain([31, 32, 33, 40, 2000]) {
        let mut bytes = b"GET /refused HTTP/1.1\r\n\r\n".to_vec();
        for _ in 0..followers {
            bytes.extend(request_bytes("POST", "/add", &[], br#"{"n":1}"#));
        }
        let mut client = server.connect();
        // It may be ended before all is sent.
        let _ = client.try_send(&bytes);
        drop(client);
        assert_eq!(server.get("/home").status, 200, "after {followers} requests behind a refused one");
    }
    assert_eq!(server.listed().len(), 3, "nothing that was smuggled was done");
    assert_eq!(launcher.seen().iter().filter(|seen| seen.target != "/home").count(), 0);
}

#[test]
fn a_chunked_upload_that_breaks_off_in_a_chunk_never_looks_complete() {
    let launcher = FakeLauncher::with(|seen, _, stream| answer(stream, "200 OK", &[], &seen.body));
    let server = calm("", launcher.clone());
    for sent in ["50\r\nhello".to_owned(), format!("20000\r\n{}", "x".repeat(100_000))] {
        let mut client = server.connect();
        client
            .send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
            .send(sent.as_bytes());
        client.finish_sending();
        if let Ok(response) = client.try_answer(false) {
            assert_eq!(response.status, 400, "{}", response.text());
        }
        assert!(launcher.seen().iter().all(|seen| !seen.complete), "{} bytes sent", sent.len());
    }
    let mut client = server.connect();
    client.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n");
    assert_eq!(client.answer(false).text(), "hello", "a whole one is as welcome as ever");
}

#[test]
fn clients_that_are_slow_to_send_a_change_hold_up_nobody_for_long() {
    let server = calm("", FakeLauncher::new());
    let mut listing = server.connect();
    listing.send(b"GET /rep HTTP/1.1\r\nHost: a\r\nContent-Length: 5000\r\n\r\n{");
    assert_eq!(listing.answer(false).status, 200, "a body that nobody needs is not waited for");
    // More of them than there are threads that read changes.
    let mut slow: Vec<Client> = (0..6).map(|_| server.connect()).collect();
    for client in &mut slow {
        client.send(b"POST /add HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5000\r\n\r\n{");
    }
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let dripping = scope.spawn(|| {
            // A byte now and then, for as long as the others take; each is told in the end that it took too long.
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                slow.iter_mut().for_each(|client| drop(client.try_send(b" ")));
                std::thread::sleep(Duration::from_millis(50));
            }
        });
        assert_eq!(server.get("/rep").status, 200);
        assert_eq!(server.admin("POST", "/add", r#"{"n":1}"#).listed().len(), 4);
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        dripping.join().unwrap();
    });
    assert_eq!(server.listed().len(), 4);
}

/// tiny_http's accepting thread ends without a word when a socket cannot be duplicated.
#[test]
fn when_descriptors_run_out_the_front_is_back_soon_after_they_are_there_again() {
    for limit in [100, 101] {
        let mut command = Command::new("sh");
        let program = env!("CARGO_BIN_EXE_ringmaster");
        let script = format!("ulimit -n {limit} && exec {program} --listen 127.0.0.1:0 {CALM}");
        command.args(["-c", &script]).process_group(0);
        let program = Program::start_command(command);
        let clients: Vec<TcpStream> =
            (0..limit).map_while(|_| TcpStream::connect_timeout(&program.address, PATIENCE).ok()).collect();
        wait_for("descriptors to run out", || descriptors(program.pid()) + 3 >= limit);
        drop(clients);
        wait_for("the front to answer again", || answers(&program));
    }
}

fn descriptors(pid: u32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/fd")).map(Iterator::count).unwrap_or_default()
}

fn answers(program: &Program) -> bool {
    let mut client = Client::connect(program.address);
    client.set_patience(Duration::from_millis(500));
    let _ = client.try_send(&request_bytes("GET", "/rep", &[], b""));
    let begun = Instant::now();
    client.try_answer(false).is_ok_and(|response| response.status == 200) && begun.elapsed() < PATIENCE
}
