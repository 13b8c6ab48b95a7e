//! What is said at the start: settings that open the admin side by mistake end it, or are warned of.

use std::fs;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use super::TOKEN;
use crate::support::program::{command, signal};
use crate::support::{PATIENCE, Program, dead_addr, wait_for};

/// Runs the program to its end, which must come.
fn run(args: &[&str]) -> Output {
    run_command(command(args))
}

fn run_command(mut command: Command) -> Output {
    // Should it serve all the same, then not where something else does.
    command.env("RINGMASTER_LISTEN", "127.0.0.1:0").stdin(Stdio::null());
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let deadline = Instant::now() + PATIENCE;
    while child.try_wait().unwrap().is_none() {
        if Instant::now() > deadline {
            child.kill().unwrap();
            break;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    child.wait_with_output().unwrap()
}

/// The one line with which the program ends.
#[track_caller]
fn complaint(output: &Output, status: i32) -> String {
    let text = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(output.status.code(), Some(status), "{text}");
    assert!(output.stdout.is_empty());
    text
}

#[test]
fn a_token_that_is_none_ends_the_start_and_is_not_repeated() {
    const SHORT: &str = "hunter2-geheim";
    let long = format!("geheim{}", "x".repeat(1025));
    for value in ["", SHORT, "geheim with spaces in it", "geheim-mit-ümlaut-und-so", &long] {
        let flag = complaint(&run(&["--admin-token", value]), 2);
        assert!(flag.lines().count() == 1 && flag.starts_with("ringmaster: --admin-token: "), "{flag}");
        assert!(!flag.contains("geheim"), "{flag}");
        // Also an empty one: what was to set it may be missing.
        let mut command = command(&[]);
        command.env("RINGMASTER_ADMIN_TOKEN", value);
        let variable = complaint(&run_command(command), 2);
        assert!(variable.contains("RINGMASTER_ADMIN_TOKEN: "), "{variable}");
        assert!(!variable.contains("geheim"), "{variable}");
    }
    let folder = std::env::temp_dir().join(format!("ringmaster-start-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let name = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    fs::write(name("short"), SHORT).unwrap();
    fs::write(name("empty"), "").unwrap();
    fs::write(name("lines"), format!("{TOKEN}\ngeheim\n")).unwrap();
    fs::write(name("binary"), b"geheim-\xff\xfe-0123456789abcdef").unwrap();
    for file in [name("short"), name("empty"), name("lines"), name("binary"), name("missing"), name("")] {
        let line = complaint(&run(&["--admin-token-file", &file]), 2);
        assert!(line.lines().count() == 1 && line.contains("--admin-token-file: "), "{line}");
        assert!(!line.contains("geheim") && !line.contains(TOKEN), "{line}");
    }
    // A likely slip: the token where its file is to be named.
    let slip = complaint(&run(&["--admin-token-file", TOKEN]), 2);
    assert!(slip.contains("--admin-token-file: ") && !slip.contains(TOKEN), "{slip}");
    for file in [name("short"), TOKEN.to_owned()] {
        let both = complaint(&run(&["--admin-token", TOKEN, "--admin-token-file", &file]), 2);
        assert!(both.contains("--admin-token-file") && !both.contains(TOKEN), "{both}");
    }
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn one_address_for_both_ends_the_start() {
    let address = dead_addr().to_string();
    // Also where one is every address of this machine, and so the other's as well.
    let all = address.replace("127.0.0.1", "0.0.0.0");
    for (traffic, admin) in [(&address, &address), (&all, &address), (&address, &all), (&all, &all)] {
        let line = complaint(&run(&["--listen", traffic, "--admin-listen", admin]), 2);
        let told = format!("ringmaster: --admin-listen: '{admin}' is not an address beside that of --listen");
        assert_eq!(line.trim_end(), told, "beside {traffic}");
    }
}

#[test]
fn an_open_admin_side_is_warned_of_and_no_other() {
    let token = format!("--admin-token {TOKEN}");
    for (flags, warns) in [
        ("--listen 0.0.0.0:0", true),
        ("--listen 127.0.0.1:0", false),
        (&format!("--listen 0.0.0.0:0 {token}"), false),
        ("--listen 0.0.0.0:0 --admin-listen 127.0.0.1:0", false),
        ("--listen 127.0.0.1:0 --admin-listen 0.0.0.0:0", true),
    ] {
        let mut program = Program::start_early(&format!("--replicas 1 {flags}"));
        signal(program.pid(), "TERM");
        assert_eq!(program.end(), Some(0));
        wait_for("the end of the log", || program.log().iter().any(|line| line.contains("stopped")));
        let warned = program.log().into_iter().filter(|line| line.contains("no --admin-token"));
        let warned: Vec<String> = warned.collect();
        assert_eq!(warned.len(), usize::from(warns), "{flags}: {warned:?}");
        assert!(warned.iter().all(|line| line.contains("WARN")), "{warned:?}");
    }
}
