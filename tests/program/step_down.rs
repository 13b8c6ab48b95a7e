//! The way out of being root, on sockets that say who may use them. Only root can go it: elsewhere little is left to see.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;

use crate::support::Program;
use crate::support::program::command;

/// A socket in the engine's place; gone with the value.
struct Socket {
    path: PathBuf,
    _listener: UnixListener,
}

impl Socket {
    fn new(name: &str, gid: u32, mode: u32) -> Socket {
        let path = std::env::temp_dir().join(format!("ringmaster-{name}-{}.sock", std::process::id()));
        let _listener = UnixListener::bind(&path).unwrap();
        chown(&path, Some(0), Some(gid)).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        Socket { path, _listener }
    }

    /// A balancer that has stepped down before this socket.
    fn balancer(&self) -> Program {
        let mut command = command(&["step-down", "--listen", "127.0.0.1:0", "--replicas", "1"]);
        command.env("DOCKER_HOST", format!("unix://{}", self.path.display()));
        let program = Program::start_command(command);
        program.wait_until_all_serve();
        program
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

fn is_root() -> bool {
    let is = fs::metadata("/proc/self").unwrap().uid() == 0;
    if !is {
        println!("not root: nobody to step down from");
    }
    is
}

/// The words of a line of the kernel's about a process.
fn of(program: &Program, field: &str) -> Vec<String> {
    let status = fs::read_to_string(format!("/proc/{}/status", program.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':')).unwrap();
    line.split_whitespace().map(str::to_owned).collect()
}

#[test]
fn whoever_it_is_becomes_the_program_with_its_arguments() {
    let mut command = command(&["step-down", "--version"]);
    let output = command.env("DOCKER_HOST", "tcp://engine.example:2375").output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(
        String::from_utf8(output.stdout).unwrap(),
        format!("ringmaster {}\n", env!("CARGO_PKG_VERSION"))
    );
}

#[test]
fn root_becomes_nobody_in_the_group_of_the_socket_and_in_no_other() {
    if !is_root() {
        return;
    }
    let socket = Socket::new("group", 4711, 0o660);
    let program = socket.balancer();
    assert_eq!(of(&program, "Uid"), ["65534"; 4]);
    assert_eq!(of(&program, "Gid"), ["4711"; 4]);
    assert_eq!(of(&program, "Groups"), [""; 0]);
    for set in ["CapPrm", "CapEff"] {
        assert_eq!(of(&program, set), ["0000000000000000"], "{set}");
    }
}

#[test]
fn where_only_root_may_use_the_socket_it_stays_root_and_says_why() {
    if !is_root() {
        return;
    }
    let socket = Socket::new("owner", 0, 0o600);
    let program = socket.balancer();
    assert_eq!(of(&program, "Uid"), ["0"; 4]);
    let why = "ringmaster: goes on as root: the engine's socket is for user 0 alone (mode 600, group 0)";
    assert_eq!(program.log().first().map(String::as_str), Some(why));
}
