//! The end: requests in flight are answered, then the replicas go, then the program.

use std::net::{TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use crate::support::backend::answer;
use crate::support::client::request_bytes;
use crate::support::program::{self, is_alive, process, signal};
use crate::support::{Client, FakeLauncher, Gate, Load, Program, TestServer, settings, wait_for};
use ringmaster::server::Server;

/// Replicas that let requests for `/slow` wait at the gate, and answer all others at once.
fn slow_replicas() -> (FakeLauncher, Gate) {
    let gate = Gate::default();
    let door = gate.clone();
    let launcher = FakeLauncher::with(move |seen, name, stream| {
        if seen.target == "/slow" {
            door.pass();
        }
        answer(stream, "200 OK", &[], name.as_bytes());
    });
    (launcher, gate)
}

#[test]
fn requests_in_flight_are_answered_before_any_replica_is_stopped() {
    let (launcher, gate) = slow_replicas();
    let server = TestServer::start("--drain-timeout 600s", launcher.clone());
    let address = server.address;
    let mut slow: Vec<_> = (0..8).map(|_| server.connect()).collect();
    for client in &mut slow {
        client.send(&request_bytes("GET", "/slow", &[], b""));
    }
    let mut idle = server.connect();
    assert_eq!(idle.request("GET", "/now", &[], b"").status, 200);
    wait_for("all requests to be there", || gate.waiting() == 8);
    thread::scope(|scope| {
        let stop = scope.spawn(|| server.stop());
        wait_for("new connections to be refused", || TcpStream::connect(address).is_err());
        let late = idle.request("GET", "/now", &[], b"");
        assert_eq!((late.status, late.header("connection")), (200, Some("close")));
        assert!(idle.is_ended(), "a connection that was told so is closed");
        assert_eq!(launcher.running().len(), 3);
        assert!(!launcher.calls().iter().any(|call| call.starts_with("stop")));
        assert!(!stop.is_finished());
        gate.open();
        for client in &mut slow {
            assert_eq!(client.answer(false).status, 200);
        }
        stop.join().unwrap();
    });
    assert!(launcher.running().is_empty());
    let mut stops = launcher.calls().split_off(3);
    stops.sort();
    assert_eq!(stops, ["stop server_1", "stop server_2", "stop server_3"]);
}

#[test]
fn an_answer_that_was_in_flight_says_that_the_connection_ends() {
    let (launcher, gate) = slow_replicas();
    let server = TestServer::start("--drain-timeout 600s", launcher);
    let address = server.address;
    let mut client = server.connect();
    client.send(&request_bytes("GET", "/slow", &[], b""));
    wait_for("the request to be there", || gate.waiting() == 1);
    thread::scope(|scope| {
        let stop = scope.spawn(|| server.stop());
        wait_for("new connections to be refused", || TcpStream::connect(address).is_err());
        gate.open();
        let answered = client.answer(false);
        assert_eq!((answered.status, answered.header("connection")), (200, Some("close")));
        assert!(client.is_ended());
        stop.join().unwrap();
    });
}

#[test]
fn who_has_connected_before_the_end_is_answered() {
    let (launcher, _) = slow_replicas();
    for _ in 0..5 {
        let server = TestServer::start("--drain-timeout 600s", launcher.clone());
        let mut clients: Vec<_> = (0..64).map(|_| server.connect()).collect();
        for client in &mut clients {
            client.send(&request_bytes("GET", "/now", &[], b""));
        }
        // Most of them wait in the socket's queue, or behind another for a thread.
        server.stop();
        for client in &mut clients {
            assert_eq!(client.answer(false).status, 200);
        }
    }
}

#[test]
fn a_client_that_pauses_is_told_that_the_connection_ends() {
    let (launcher, gate) = slow_replicas();
    let server = TestServer::start("--drain-timeout 600s", launcher);
    let address = server.address;
    let (mut slow, mut idle) = (server.connect(), server.connect());
    let mut silent = server.connect();
    for client in [&mut idle, &mut silent] {
        assert_eq!(client.request("GET", "/now", &[], b"").status, 200);
    }
    slow.send(&request_bytes("GET", "/slow", &[], b""));
    wait_for("the request to be there", || gate.waiting() == 1);
    thread::scope(|scope| {
        let stop = scope.spawn(|| server.stop());
        wait_for("new connections to be refused", || TcpStream::connect(address).is_err());
        let late = idle.request("POST", "/now", &[], b"x");
        assert_eq!((late.status, late.header("connection")), (200, Some("close")));
        gate.open();
        assert_eq!(slow.answer(false).header("connection"), Some("close"));
        // It never says anything, and does not hold up the end.
        assert!(silent.is_ended());
        stop.join().unwrap();
    });
}

#[test]
fn a_request_without_end_does_not_block_the_end() {
    let (launcher, gate) = slow_replicas();
    let server = TestServer::start("--drain-timeout 200ms", launcher.clone());
    let mut client = server.connect();
    client.send(&request_bytes("GET", "/slow", &[], b""));
    wait_for("the request to be there", || gate.waiting() == 1);
    server.stop();
    assert!(launcher.running().is_empty());
    gate.open();
}

#[test]
fn an_addition_under_way_ends_before_the_replicas_go() {
    let launcher = FakeLauncher::new();
    let server = TestServer::start("--start-timeout 600s", launcher.clone());
    launcher.fail_first_heartbeats(u32::MAX);
    thread::scope(|scope| {
        let address = server.address;
        let addition = scope.spawn(move || {
            let mut client = Client::connect(address);
            client.request("POST", "/add", &[], br#"{"n":2,"hostnames":["S4","S5"]}"#)
        });
        wait_for("the new ones to be launched", || launcher.running().len() == 5);
        server.stop();
        let answered = addition.join().unwrap();
        assert_eq!(answered.status, 503);
        assert!(answered.error().contains("shutting down"), "{}", answered.text());
    });
    assert!(launcher.running().is_empty(), "{:?}", launcher.running());
}

#[test]
fn under_load_no_answer_is_anything_but_200_when_the_signal_to_end_comes() {
    let mut program = Program::start("");
    let replicas = program.children();
    assert_eq!(replicas.len(), 3);
    let load = Load::start(program.address, 16);
    load.wait_for_answers(500);
    signal(program.pid(), "TERM");
    assert_eq!(program.end(), Some(0));
    assert!(!program.log().iter().any(|line| line.contains("ERROR")), "{:?}", program.log());
    let seen = load.finish();
    assert!(seen.failures.is_empty(), "{:?}", seen.failures);
    assert!(!replicas.iter().any(|replica| is_alive(replica.pid)));
    println!("{} requests answered; {} connections were cut without an answer", seen.total(), seen.cut);
}

/// A program whose only replica is stopped and whose only worker is busy with a request to it.
fn hung(flags: &str) -> Program {
    let program = Program::start(&format!("--replicas 1 --workers 1 --queue 1 {flags}"));
    let replica = program.replica("server_1").unwrap().pid;
    signal(replica, "STOP");
    wait_for("the replica to stop", || process(replica).unwrap().state == 'T');
    // One request is with the worker, one in the queue: when a third is refused, the first is under way.
    let (sender, refused) = mpsc::channel();
    for _ in 0..3 {
        let (sender, address) = (sender.clone(), program.address);
        thread::spawn(move || {
            let mut client = Client::connect(address);
            client.send(&request_bytes("GET", "/home", &[], b""));
            let status = client.try_answer(false).map(|answer| answer.status);
            let _ = sender.send(status.unwrap_or(0));
        });
    }
    assert_eq!(refused.recv(), Ok(503));
    program
}

#[test]
fn a_second_signal_ends_the_program_at_once_although_a_request_hangs() {
    let mut program = hung("--heartbeat-interval 60s --drain-timeout 600s");
    let replica = program.replica("server_1").unwrap().pid;
    signal(program.pid(), "TERM");
    wait_for("new connections to be refused", || TcpStream::connect(program.address).is_err());
    // Signals that come together are one, since some senders send each twice; after half a second it is another.
    wait_for("a second signal to be taken for one", || {
        signal(program.pid(), "TERM");
        !is_alive(program.pid())
    });
    assert_eq!(program.end(), Some(130), "{:?}", program.log());
    wait_for("the replica to end too", || !is_alive(replica));
}

#[test]
fn waiting_for_requests_costs_no_processor_time_also_when_a_replica_is_down() {
    // The replica fails while the balancer waits for the requests, not before.
    let program = hung("--heartbeat-interval 5s --heartbeat-timeout 200ms --fall 1 --drain-timeout 600s");
    signal(program.pid(), "TERM");
    wait_for("the replica to fail", || program.log().iter().any(|line| line.contains("server_1 failed")));
    let before = processor_time(program.pid());
    // Not a wait for something to happen, but the time over which is measured.
    thread::sleep(Duration::from_secs(1));
    let took = processor_time(program.pid()) - before;
    assert!(took < Duration::from_millis(300), "{took:?} of processor time in a second of waiting");
}

/// What a process has used of the processors.
fn processor_time(pid: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let after_name = &stat[stat.rfind(')').unwrap() + 1..];
    let fields = after_name.split_whitespace().skip(11).take(2);
    // In hundredths of a second on every Linux.
    fields.map(|ticks| Duration::from_millis(10 * ticks.parse::<u64>().unwrap())).sum()
}

#[test]
fn a_port_that_is_taken_ends_the_start_with_one_line_and_status_1() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = program::run(&["--listen", &address]);
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(error.lines().count(), 1, "{error}");
    assert!(error.contains(&format!("cannot listen on {address}")), "{error}");
    assert!(output.stdout.is_empty());
}

#[test]
fn no_replica_is_started_when_the_port_is_taken() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let launcher = FakeLauncher::new();
    let mut settings = settings("");
    settings.listen = taken.local_addr().unwrap();
    assert!(Server::start(&settings, Box::new(launcher.clone())).is_err());
    assert!(launcher.calls().is_empty());
}
