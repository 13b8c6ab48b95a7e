//! The real program in a process of its own.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};

use super::{Client, Response, wait_for};

/// Where the program is.
pub const BINARY: &str = env!("CARGO_BIN_EXE_ringmaster");

/// The program with none of the settings that the environment of the tests may hold.
pub fn command(args: &[&str]) -> Command {
    let mut command = Command::new(BINARY);
    for (name, _) in std::env::vars_os() {
        let ours = name.to_string_lossy().starts_with("RINGMASTER_");
        if ours || name == "RUST_LOG" {
            command.env_remove(name);
        }
    }
    command.args(args);
    command
}

/// Runs the program to its end.
pub fn run(args: &[&str]) -> Output {
    command(args).stdin(Stdio::null()).output().unwrap()
}

/// A running balancer with replicas that are processes; killed when it is dropped.
pub struct Program {
    child: Child,
    pub address: SocketAddr,
    log: Arc<Mutex<Vec<String>>>,
}

impl Program {
    /// Starts one with `flags` on a port of the system's choice, and waits until every replica has answered.
    pub fn start(flags: &str) -> Program {
        let program = Program::start_early(flags);
        program.wait_until_all_serve();
        program
    }

    /// Starts one and does not wait for replicas.
    pub fn start_early(flags: &str) -> Program {
        let mut args = vec!["--listen", "127.0.0.1:0"];
        args.extend(flags.split_whitespace());
        Program::start_command(command(&args))
    }

    /// Starts what `command` makes of it; it must become the balancer.
    pub fn start_command(mut command: Command) -> Program {
        let mut child = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let log: Arc<Mutex<Vec<String>>> = Arc::default();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let lines = log.clone();
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                lines.lock().unwrap().push(line);
            }
        });
        let mut address = None;
        wait_for("the balancer to say where it listens", || {
            let log = log.lock().unwrap();
            address = log
                .iter()
                .find_map(|line| line.split_once("listening on "))
                .and_then(|(_, text)| text.trim().parse().ok());
            address.is_some()
        });
        let address = address.unwrap();
        Program { child, address, log }
    }

    /// Waits until every replica that is listed has answered a request.
    pub fn wait_until_all_serve(&self) {
        let listed: BTreeSet<String> = self.listed().into_iter().collect();
        let mut client = Client::connect(self.address);
        let mut heard = BTreeSet::new();
        wait_for("every replica to answer", || {
            let answer = client.request("GET", "/home", &[], b"");
            if answer.status == 200 {
                heard.insert(server_of(&answer));
            }
            heard == listed
        });
    }

    /// One request of the admin API.
    pub fn admin(&self, method: &str, path: &str, body: &str) -> Response {
        Client::connect(self.address).request(method, path, &[], body.as_bytes())
    }

    /// The names that `/rep` lists.
    pub fn listed(&self) -> Vec<String> {
        self.admin("GET", "/rep", "").listed()
    }

    /// What it logged so far.
    pub fn log(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its child processes.
    pub fn children(&self) -> Vec<Process> {
        processes().into_iter().filter(|process| process.parent == self.pid()).collect()
    }

    /// The process that is the replica called `name`.
    pub fn replica(&self, name: &str) -> Option<Process> {
        self.children().into_iter().find(|process| process.args.iter().any(|arg| arg == name))
    }

    /// Waits for its end; `None` for an end by a signal that it did not handle.
    pub fn end(&mut self) -> Option<i32> {
        let mut status = None;
        wait_for("the balancer to end", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap().code()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The replica that gave an answer to `/home`.
pub fn server_of(answer: &Response) -> String {
    assert_eq!(answer.status, 200, "{}", answer.text());
    let text = answer.json()["message"].as_str().unwrap().to_owned();
    text.strip_prefix("Hello from Server: ").unwrap().to_owned()
}

/// A process of this machine.
#[derive(Clone, Debug)]
pub struct Process {
    pub pid: u32,
    pub parent: u32,
    /// As `/proc` has it: `R` and `S` run, `T` is stopped, `Z` is dead and not waited for.
    pub state: char,
    pub args: Vec<String>,
}

/// The process `pid`, if there is one, dead or alive.
pub fn process(pid: u32) -> Option<Process> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in brackets may hold anything.
    let mut fields = stat.get(stat.rfind(')')? + 1..)?.split_whitespace();
    let state = fields.next()?.chars().next()?;
    let parent = fields.next()?.parse().ok()?;
    let args = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let args = args.split(|&byte| byte == 0).map(|arg| String::from_utf8_lossy(arg).into_owned()).collect();
    Some(Process { pid, parent, state, args })
}

/// All processes of this machine.
pub fn processes() -> Vec<Process> {
    fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(process)
        .collect()
}

/// Whether `pid` runs, stopped or not.
pub fn is_alive(pid: u32) -> bool {
    process(pid).is_some_and(|process| !matches!(process.state, 'Z' | 'X'))
}

/// Sends a signal, such as `KILL`.
pub fn signal(pid: u32, name: &str) {
    // The shell's own `kill`, since not every system has it as a program.
    let script = format!("kill -{name} {pid}");
    assert!(Command::new("sh").args(["-c", &script]).status().unwrap().success());
}
