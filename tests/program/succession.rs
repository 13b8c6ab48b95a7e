//! A balancer that is worn out starts anew in its own place, and nobody who connects meanwhile is turned away.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};

use crate::support::backend::{Backend, answer};
use crate::support::{CALM, Client, Program, wait_for};

/// What tiny_http waits for itself over, for ever.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Threads of a process.
fn threads(pid: u32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/task")).map(Iterator::count).unwrap_or_default()
}

/// Opens a connection for something that tiny_http never lets go of, and leaves. On a busy machine it may be turned away
/// before it was read, and then it does not count: whoever waits for the effect of many goes on with this.
fn leak(program: &Program) {
    let mut stream = TcpStream::connect(program.address).unwrap();
    stream.write_all(PREFACE).unwrap();
}

fn restarts(program: &Program) -> usize {
    program.log().iter().filter(|line| line.contains("listening on ")).count() - 1
}

/// Asks on a new connection, which must be taken, for what must be answered.
fn ask(program: &Program) {
    let response = Client::connect(program.address).request("GET", "/x", &[], b"");
    assert_eq!(response.status, 200, "{}", response.text());
}

#[test]
fn http_2_prefaces_do_not_add_up_and_cost_nobody_an_answer() {
    let backend = Backend::start(std::sync::Arc::new(|_, stream| answer(stream, "200 OK", &[], b"")));
    let program = Program::start_early(&format!(
        "{CALM} --head-timeout 500ms --launcher static --backends {}",
        backend.address
    ));
    ask(&program);
    let (before, pid) = (threads(program.pid()), program.pid());
    for round in 1..=2 {
        // The second time there is a pause between, unless they are many.
        (0..if round == 1 { 1050 } else { 1100 }).for_each(|_| leak(&program));
        // Each of these is on its own connection, before, during and after the change.
        wait_for("the balancer to start anew", || {
            leak(&program);
            ask(&program);
            restarts(&program) == round
        });
        ask(&program);
    }
    assert_eq!(program.pid(), pid);
    assert!(threads(pid) < before + 100, "{} threads, {before} before", threads(pid));
}

#[test]
fn a_process_replica_is_there_again_when_the_balancer_has_started_anew() {
    let program = Program::start(&format!("{CALM} --head-timeout 500ms --replicas 1"));
    assert_eq!(program.admin("POST", "/add", r#"{"n":1}"#).status, 200);
    let first = program.replica("server_1").unwrap().pid;
    (0..1050).for_each(|_| leak(&program));
    wait_for("the balancer to start anew", || {
        leak(&program);
        restarts(&program) == 1
    });
    program.wait_until_all_serve();
    assert_eq!(program.listed(), ["server_1", "server_2"]);
    assert_ne!(program.replica("server_1").unwrap().pid, first);
    assert_eq!(program.children().len(), 2, "nothing of the first is left");
}

/// Where the admin side is now.
fn admin_address(program: &Program) -> SocketAddr {
    let log = program.log();
    let line = log.iter().rev().find_map(|line| line.split("admin side on ").nth(1)).unwrap();
    line.trim().parse().unwrap()
}

#[test]
fn an_admin_address_of_its_own_is_no_way_to_wear_the_balancer_out() {
    let flags = "--head-timeout 500ms --replicas 1 --admin-listen 127.0.0.1:0";
    let program = Program::start_early(&format!("{CALM} {flags}"));
    wait_for("the admin side", || program.log().iter().any(|line| line.contains("admin side on ")));
    let first = admin_address(&program);
    wait_for("the balancer to start anew", || {
        // Those that are turned away before they were read do not count, and in the end nobody listens there.
        for _ in 0..100 {
            let stream = TcpStream::connect(first);
            let _ = stream.and_then(|mut stream| stream.write_all(PREFACE));
        }
        restarts(&program) >= 1 && admin_address(&program) != first
    });
    let admin = admin_address(&program);
    assert_eq!(Client::connect(admin).request("GET", "/rep", &[], b"").listed(), ["server_1"]);
    assert!(threads(program.pid()) < 500);
}

/// A file that a successor would have to read may be gone: no reason to end.
#[test]
fn settings_that_can_no_longer_be_read_keep_the_balancer_as_it_is() {
    let file = std::env::temp_dir().join(format!("ringmaster-succession-{}", std::process::id()));
    std::fs::write(&file, "0123456789abcdef").unwrap();
    let backend = Backend::start(std::sync::Arc::new(|_, stream| answer(stream, "200 OK", &[], b"")));
    let program = Program::start_early(&format!(
        "{CALM} --head-timeout 500ms --launcher static --backends {} --admin-token-file {}",
        backend.address,
        file.display()
    ));
    ask(&program);
    std::fs::remove_file(&file).unwrap();
    (0..1050).for_each(|_| leak(&program));
    wait_for("the balancer to go on", || {
        leak(&program);
        ask(&program);
        restarts(&program) == 1
    });
    ask(&program);
    assert!(
        program
            .log()
            .iter()
            .any(|line| line.contains("going on as it is") && line.contains("admin-token-file"))
    );
    let status = |fields: &[(&str, &str)]| {
        Client::connect(program.address).request("GET", "/_ringmaster/status", fields, b"").status
    };
    assert_eq!(status(&[]), 401);
    assert_eq!(status(&[("Authorization", "Bearer 0123456789abcdef")]), 200);
}
