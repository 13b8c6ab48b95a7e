//! One balancer after another on the same address, and nobody who asks there notices.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::support::backend::{Backend, answer};
use crate::support::client::request_bytes;
use crate::support::load::Habit;
use crate::support::program::{run, signal};
use crate::support::{CALM, Client, Gate, Load, Program, dead_addr, wait_for};

/// Starts a balancer beside the one at `address`; it serves when this returns.
fn relieve(address: SocketAddr, flags: &str) -> Program {
    Program::start_early(&format!("{flags} --listen {address} --take-over yes"))
}

/// Ends a balancer and checks that it ends well.
fn end(program: Program) {
    signal(program.pid(), "TERM");
    check_end(program);
}

/// Waits for the end of a balancer that was told to end, and checks that it ends well.
fn check_end(mut program: Program) {
    assert_eq!(program.end(), Some(0), "{:?}", program.log());
    let bad = |line: &String| line.contains("ERROR") || line.contains("WARN");
    assert!(!program.log().iter().any(bad), "{:?}", program.log());
}

#[test]
fn balancers_relieve_each_other_under_load_and_no_request_fails() {
    let mut serving = Program::start(CALM);
    let address = serving.address;
    let load = Load::of(Habit::Return, address, 64);
    let passers_by = Load::of(Habit::MakeNew, address, 4);
    for round in 0..6 {
        load.wait_for_answers(500);
        let other = relieve(address, CALM);
        load.wait_for_answers(500);
        // Now and then it is the new one that goes again.
        let (stays, goes) = if round % 3 == 2 { (serving, other) } else { (other, serving) };
        end(goes);
        serving = stays;
        load.wait_for_answers(500);
        passers_by.wait_for_answers(10);
    }
    for seen in [load.stop(), passers_by.stop()] {
        assert!(seen.failures.is_empty(), "{:?}", seen.failures);
        // A client that the system gives no time for longer than a silent connection is kept has to ask once more.
        println!("{} answers, {} requests sent once more", seen.total(), seen.cut);
    }
    end(serving);
}

#[test]
fn a_second_balancer_that_is_not_told_to_take_over_does_not_start() {
    let mut first = Program::start(CALM);
    let taken = first.address.to_string();
    for round in 0..2 {
        let output = run(&["--listen", &taken]);
        assert_eq!(output.status.code(), Some(1), "{round}");
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(error.lines().count(), 1, "{error}");
        assert!(error.contains(&format!("cannot listen on {taken}: Address already in use")), "{error}");
        // The same behind one that has taken over.
        let second = relieve(first.address, CALM);
        end(std::mem::replace(&mut first, second));
    }
}

#[test]
fn a_balancer_without_replicas_relieves_nobody() {
    let first = Program::start(CALM);
    let (taken, dead) = (first.address.to_string(), dead_addr().to_string());
    let output = run(&[
        "--listen",
        &taken,
        "--take-over",
        "yes",
        "--launcher",
        "static",
        "--backends",
        &dead,
        "--start-timeout",
        "300ms",
    ]);
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("no replica serves, so nobody is relieved"), "{error}");
    for _ in 0..20 {
        assert_eq!(Client::connect(first.address).request("GET", "/home", &[], b"").status, 200);
    }
}

#[test]
fn who_takes_over_from_nobody_serves() {
    let program = Program::start(&format!("{CALM} --take-over yes"));
    assert_eq!(program.admin("GET", "/home", "").status, 200);
    end(program);
}

#[test]
fn posts_in_flight_are_answered_by_the_one_that_goes() {
    let gate = Gate::default();
    let door = gate.clone();
    let backend = Backend::start(Arc::new(move |seen, stream| {
        if seen.method == "POST" {
            door.pass();
        }
        answer(stream, "200 OK", &[], &seen.body);
    }));
    let flags = format!("{CALM} --drain-timeout 600s --launcher static --backends {}", backend.address);
    let first = Program::start_early(&flags);
    let address = first.address;
    let mut posts: Vec<Client> = (0..8).map(|_| Client::connect(address)).collect();
    for (k, client) in posts.iter_mut().enumerate() {
        client.send(&request_bytes("POST", "/x", &[], k.to_string().as_bytes()));
    }
    wait_for("all to be under way", || gate.waiting() == 8);
    let mut with_first = Client::connect(address);
    assert_eq!(with_first.request("GET", "/x", &[], b"").status, 200);
    let second = relieve(address, &flags);
    signal(first.pid(), "TERM");
    wait_for("the first to say that it goes", || {
        // Who comes now is served, by either.
        assert_eq!(Client::connect(address).request("GET", "/x", &[], b"").status, 200);
        with_first.request("GET", "/x", &[], b"").header("connection") == Some("close")
    });
    gate.open();
    for (k, client) in posts.iter_mut().enumerate() {
        let answered = client.answer(false);
        assert_eq!((answered.status, answered.header("connection")), (200, Some("close")));
        assert_eq!(answered.text(), k.to_string());
        assert!(client.is_ended());
    }
    check_end(first);
    end(second);
}
