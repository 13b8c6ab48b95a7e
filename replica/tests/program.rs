//! The real binary: what it prints, what ends it, and with which status.

#![allow(clippy::unwrap_used, reason = "a fixture that fails has to fail its test")]

mod support;

use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use support::{Client, DEADLINE, HOME};

const BINARY: &str = env!("CARGO_BIN_EXE_ringmaster-replica");

fn binary() -> Command {
    let mut command = Command::new(BINARY);
    command.env_remove("PORT").env_remove("SERVER_ID");
    command
}

/// A replica in a process of its own, killed at the end of the test if it still runs.
struct Program {
    child: Child,
    addr: SocketAddr,
}

impl Program {
    /// Runs a command with `--announce` in it and waits for the announcement.
    fn start(command: &mut Command) -> Self {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let addr = line.strip_prefix("listening on ").and_then(|rest| rest.strip_suffix('\n'));
        let addr = addr.unwrap_or_else(|| panic!("announced {line:?}")).parse().unwrap();
        Self { child, addr }
    }

    #[track_caller]
    fn answers_home(&self) {
        let mut client = Client::connect(self.addr);
        client.send("GET /home HTTP/1.1\r\n\r\n");
        client.expect(HOME);
    }

    fn signal(&self, name: &str) {
        // The shell's own `kill`, since not every system has it as a program.
        let script = format!("kill -{name} {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &script]).status().unwrap().success());
    }

    /// The exit status once the program has ended; `None` for an end by a signal that it did not handle.
    #[track_caller]
    fn end(&mut self) -> Option<i32> {
        let deadline = Instant::now() + DEADLINE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(Instant::now() < deadline, "the program did not end");
            thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn announces_the_port_that_the_system_chose() {
    let mut program =
        Program::start(binary().args(["--listen", "127.0.0.1:0", "--announce", "--server-id", "S1"]));
    assert_eq!(program.addr.ip().to_string(), "127.0.0.1");
    assert_ne!(program.addr.port(), 0);
    program.answers_home();
    program.signal("TERM");
    program.end();
    let mut more = String::new();
    program.child.stdout.take().unwrap().read_to_string(&mut more).unwrap();
    assert_eq!(more, "");
}

#[test]
fn takes_its_name_and_its_port_from_the_environment() {
    let mut program = Program::start(binary().env("SERVER_ID", "S1").env("PORT", "0").arg("--announce"));
    assert_eq!(program.addr.ip().to_string(), "0.0.0.0");
    program.addr.set_ip([127, 0, 0, 1].into());
    program.answers_home();
}

#[test]
fn a_signal_ends_it_at_once_with_status_0() {
    for signal in ["TERM", "INT"] {
        let mut program =
            Program::start(binary().args(["--listen", "127.0.0.1:0", "--announce", "--server-id", "S1"]));
        program.answers_home();
        let mut open = Client::connect(program.addr);
        open.send("GET /ho");
        program.signal(signal);
        assert_eq!(program.end(), Some(0), "{signal}");
    }
}

#[test]
fn the_end_of_standard_input_ends_it_only_if_so_set() {
    let mut program =
        Program::start(binary().args(["--listen=127.0.0.1:0", "--announce", "--end-with-stdin"]));
    let mut client = Client::connect(program.addr);
    client.send("GET /heartbeat HTTP/1.1\r\n\r\n");
    assert_eq!(client.answer().0, 200);
    drop(program.child.stdin.take());
    assert_eq!(program.end(), Some(0));

    let mut program = Program::start(binary().args(["--listen=127.0.0.1:0", "--announce", "--server-id=S1"]));
    drop(program.child.stdin.take());
    program.answers_home();
}

#[test]
fn accepting_goes_on_after_file_descriptors_ran_out() {
    // Sixteen descriptors are enough for the program itself and five connections, and too few for fifty.
    let script = r#"ulimit -n 16 && exec "$0" --listen 127.0.0.1:0 --announce --server-id S1"#;
    let program = Program::start(Command::new("sh").args(["-c", script, BINARY]));
    let mut crowd: Vec<Client> = (0..50).map(|_| Client::connect(program.addr)).collect();
    for client in crowd.iter_mut().take(5) {
        client.send("GET /home HTTP/1.1\r\n\r\n");
        client.expect(HOME);
    }
    drop(crowd);
    program.answers_home();
}

/// Runs the program to its end, which has to be soon.
fn run(command: &mut Command) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = command.stdin(Stdio::null()).output().unwrap();
    (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

#[test]
fn bad_settings_end_it_with_status_2_and_one_line() {
    let runs = [
        (run(binary().args(["--listen", "nowhere"])), "--listen"),
        (run(binary().arg("--frobnicate")), "--frobnicate"),
        (run(binary().env("PORT", "http")), "PORT"),
    ];
    for ((status, stdout, stderr), word) in runs {
        assert_eq!((status, stdout.as_str(), stderr.lines().count()), (Some(2), "", 1), "{stderr}");
        assert!(stderr.starts_with("ringmaster-replica: ") && stderr.contains(word), "{stderr}");
    }
}

#[test]
fn an_address_in_use_ends_it_with_status_1_and_one_line() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap().to_string();
    let (status, stdout, stderr) = run(binary().args(["--announce", "--listen", &addr]));
    assert_eq!((status, stdout.as_str(), stderr.lines().count()), (Some(1), "", 1), "{stderr}");
    assert!(stderr.contains(&addr), "{stderr}");
}

#[test]
fn help_and_version_go_to_standard_output() {
    let (status, stdout, stderr) = run(binary().arg("--help"));
    assert_eq!((status, stderr.as_str()), (Some(0), ""));
    for flag in ["--listen", "--server-id", "--announce", "--end-with-stdin", "--help", "--version", "PORT"] {
        assert!(stdout.contains(flag), "{flag} is missing in {stdout}");
    }
    let version = format!("ringmaster-replica {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(run(binary().arg("--version")), (Some(0), version, String::new()));
}
