//! A balancer that is worn out starts anew in its own place, and nobody who connects meanwhile is turned away.

use std::io::{self, Write};
use std::net::{SocketAddr, TcpStream};

use crate::support::backend::{Backend, answer};
use crate::support::client::request_bytes;
use crate::support::{CALM, Client, Program, Response, wait_for};

/// What tiny_http waits for itself over, for ever.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Threads of a process.
fn threads(pid: u32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/task")).map(Iterator::count).unwrap_or_default()
}

/// Opens a connection for something that tiny_http never lets go of, and leaves. On a busy machine it may be turned away
/// before it was read, and then it does not count: whoever waits for the effect of many goes on with this.
fn leak(program: &Program) {
    leak_at(program.address).unwrap();
}

fn leak_at(address: SocketAddr) -> io::Result<()> {
    TcpStream::connect(address)?.write_all(PREFACE)
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

/// Where the admin side is, each time that this was said.
fn admin_addresses(program: &Program) -> Vec<SocketAddr> {
    let log = program.log();
    log.iter().filter_map(|line| line.split_once("admin side on ")?.1.trim().parse().ok()).collect()
}

/// A balancer before one replica of ours, whose admin side has an address of its own.
fn with_an_admin_address(backend: &Backend) -> (Program, SocketAddr) {
    let flags = "--head-timeout 500ms --admin-listen 127.0.0.1:0 --launcher static --backends";
    let program = Program::start_early(&format!("{CALM} {flags} {}", backend.address));
    wait_for("the admin side", || !admin_addresses(&program).is_empty());
    let admin = admin_addresses(&program)[0];
    (program, admin)
}

/// Asks the admin side on a new connection, which must be taken.
fn ask_admin(admin: SocketAddr, path: &str) -> Response {
    let response = Client::connect(admin).request("GET", path, &[], b"");
    assert_eq!(response.status, 200, "{}", response.text());
    response
}

#[test]
fn an_admin_address_of_its_own_stays_the_same_and_refuses_nobody() {
    let backend = Backend::start(std::sync::Arc::new(|_, stream| answer(stream, "200 OK", &[], b"")));
    let (program, admin) = with_an_admin_address(&backend);
    (0..1050).for_each(|_| leak(&program));
    wait_for("the balancer to start anew", || {
        leak(&program);
        // Taken, whatever comes of it.
        TcpStream::connect(admin).unwrap();
        restarts(&program) == 1
    });
    wait_for("the admin side", || admin_addresses(&program).len() == 2);
    assert_eq!(admin_addresses(&program), [admin; 2]);
    assert_eq!(ask_admin(admin, "/rep").listed().len(), 1);
    ask(&program);
}

#[test]
fn a_start_anew_in_place_says_that_events_and_counters_begin_again() {
    let backend = Backend::start(std::sync::Arc::new(|_, stream| answer(stream, "200 OK", &[], b"")));
    let (program, admin) = with_an_admin_address(&backend);
    let started = || {
        let events = ask_admin(admin, "/_ringmaster/events").json();
        let events = events["message"]["events"].as_array().unwrap().clone();
        let of_start = events.iter().find(|event| event["kind"] == "started");
        of_start.map(|event| event["text"].as_str().unwrap().to_owned())
    };
    let is_anew =
        |text: &str| text.contains("anew in place") && text.contains("events, history and counters");
    wait_for("the first start", || started().is_some_and(|text| !is_anew(&text)));
    (0..1050).for_each(|_| leak(&program));
    wait_for("the balancer to start anew", || {
        leak(&program);
        restarts(&program) == 1
    });
    wait_for("the second start", || started().is_some_and(|text| is_anew(&text)));
    wait_for("a word in the log", || program.log().iter().any(|line| is_anew(line)));
}

#[test]
fn an_admin_address_of_its_own_is_no_way_to_wear_the_balancer_out() {
    let backend = Backend::start(std::sync::Arc::new(|_, stream| answer(stream, "200 OK", &[], b"")));
    let (program, admin) = with_an_admin_address(&backend);
    let before = threads(program.pid());
    // Those that are turned away before they were read do not count.
    (0..1050).for_each(|_| _ = leak_at(admin));
    wait_for("the balancer to start anew", || {
        (0..5).for_each(|_| _ = leak_at(admin));
        // Waits while it starts anew, so that not ever more come into the queue.
        let mut client = Client::connect(admin);
        let _ =
            client.try_send(&request_bytes("GET", "/rep", &[], b"")).and_then(|()| client.try_answer(false));
        restarts(&program) >= 1
    });
    assert_eq!(ask_admin(admin, "/rep").listed().len(), 1);
    assert!(admin_addresses(&program).iter().all(|address| *address == admin));
    assert!(threads(program.pid()) < before + 500);
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
