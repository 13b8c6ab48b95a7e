//! The way out of being root, on sockets that say who may use them. Only root can go it: elsewhere little is left to see.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::process::Command;

use crate::support::Program;
use crate::support::program::{BINARY, command};

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

    fn host(&self) -> String {
        format!("unix://{}", self.path.display())
    }

    /// A balancer that has stepped down before this socket.
    fn balancer(&self) -> Program {
        balancer(&self.host())
    }
}

const STEP_DOWN: [&str; 5] = ["step-down", "--listen", "127.0.0.1:0", "--replicas", "1"];

/// A balancer that has stepped down before the engine at `host`.
fn balancer(host: &str) -> Program {
    start(command(&STEP_DOWN), host)
}

fn start(mut command: Command, host: &str) -> Program {
    command.env("DOCKER_HOST", host);
    let program = Program::start_command(command);
    program.wait_until_all_serve();
    program
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
    of_status(&status, field)
}

fn of_status(status: &str, field: &str) -> Vec<String> {
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

#[test]
fn a_socket_that_everybody_may_use_needs_no_group() {
    if !is_root() {
        return;
    }
    let program = Socket::new("everybody", 4711, 0o666).balancer();
    assert_nobody(&program);
}

#[test]
fn where_there_is_no_socket_it_becomes_nobody_without_a_group() {
    if !is_root() {
        return;
    }
    assert_nobody(&balancer("tcp://engine.example:2375"));
    assert_nobody(&balancer("unix:///nowhere/ringmaster-no-such.sock"));
}

/// User 65534, in that group and no other.
fn assert_nobody(program: &Program) {
    assert_eq!(of(program, "Uid"), ["65534"; 4]);
    assert_eq!(of(program, "Gid"), ["65534"; 4]);
    assert_eq!(of(program, "Groups"), [""; 0]);
}

#[test]
fn without_the_capabilities_for_it_root_goes_on_untouched_and_says_why() {
    if !is_root() {
        return;
    }
    for missing in ["-setuid", "-setgid", "-setuid,-setgid"] {
        let mut command = Command::new("setpriv");
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.args(["--bounding-set", missing, BINARY]).args(STEP_DOWN);
        // A tool that is not everywhere, and that needs a capability itself.
        let probe = Command::new("setpriv").args(["--bounding-set", missing, "true"]).status();
        if !probe.is_ok_and(|status| status.success()) {
            println!("no setpriv that works: {missing} is not tried");
            continue;
        }
        let groups = of_status(&fs::read_to_string("/proc/self/status").unwrap(), "Groups");
        let program = start(command, "tcp://engine.example:2375");
        assert_eq!((of(&program, "Uid"), of(&program, "Gid")), (root(), root()), "{missing}");
        assert_eq!(of(&program, "Groups"), groups, "{missing}");
        let why = "ringmaster: goes on as root: it has not both of the capabilities SETUID and SETGID";
        assert_eq!(program.log().first().map(String::as_str), Some(why));
    }
}

/// Real, effective, saved, and for files.
fn root() -> Vec<String> {
    vec!["0".to_owned(); 4]
}

#[test]
fn a_program_that_nobody_may_run_ends_and_goes_on_as_nobody_else() {
    if !is_root() {
        return;
    }
    let own = std::env::temp_dir().join(format!("ringmaster-own-{}", std::process::id()));
    fs::copy(BINARY, &own).unwrap();
    fs::set_permissions(&own, fs::Permissions::from_mode(0o700)).unwrap();
    let mut command = Command::new(&own);
    let output =
        command.args(["step-down", "--version"]).env("DOCKER_HOST", "tcp://engine.example:2375").output();
    fs::remove_file(&own).unwrap();
    let output = output.unwrap();
    assert_eq!(output.status.code(), Some(127), "{output:?}");
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("cannot start the program anew as user 65534 in group 65534"), "{told}");
    assert!(!told.contains("goes on"), "{told}");
}
