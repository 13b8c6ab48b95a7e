//! What the docker launcher says to the `docker` command line, and what it makes of what it hears: with a script in
//! the command's place, on machines without an engine too.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

use crate::support::program::{self, Program};
use crate::support::wait_for;

/// A folder with a `docker` in it that writes down its arguments, one call a line, and answers as a script says.
struct FakeDocker {
    folder: PathBuf,
}

impl FakeDocker {
    /// `cases` are branches of a shell `case` over the first two arguments.
    fn new(name: &str, cases: &str) -> FakeDocker {
        let folder = std::env::temp_dir().join(format!("ringmaster-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let calls = folder.join("calls");
        let script = format!(
            // One write for each call, since calls come side by side.
            "#!/bin/sh\nline=$(printf '%s\\037' \"$@\")\nprintf '%s\\n' \"$line\" >> {calls}\ncase \"$1 $2\" in\n{cases}\nesac\n",
            calls = calls.display()
        );
        let program = folder.join("docker");
        fs::write(&program, script).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        FakeDocker { folder }
    }

    /// The balancer with this `docker` before all others.
    fn balancer(&self, flags: &[&str]) -> Command {
        let mut args = vec!["--listen", "127.0.0.1:0", "--launcher", "docker"];
        args.extend(flags);
        let mut command = program::command(&args);
        let path = std::env::var("PATH").unwrap_or_default();
        command.env("PATH", format!("{}:{path}", self.folder.display()));
        command
    }

    /// The calls so far, as argument vectors.
    fn calls(&self) -> Vec<Vec<String>> {
        let text = fs::read_to_string(self.folder.join("calls")).unwrap_or_default();
        let words = |line: &str| line.split_terminator('\u{1f}').map(str::to_owned).collect();
        text.lines().map(words).collect()
    }
}

impl Drop for FakeDocker {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Everything is well but for the launch itself.
const NO_LAUNCH: &str = "'run '*) echo 'no space left on device' >&2; exit 125;;\n*) ;;";

#[test]
fn a_launch_is_one_argument_vector_with_the_image_behind_a_double_dash() {
    let docker = FakeDocker::new("argv", NO_LAUNCH);
    let balancer =
        Program::start_command(docker.balancer(&["--fleet", "f1", "--network", "n1", "--image", "i:1"]));
    let is_first = |call: &Vec<String>| call[0] == "run" && call.contains(&"server_1".to_owned());
    wait_for("a launch", || docker.calls().iter().any(is_first));
    let calls = docker.calls();
    let launch: Vec<&str> =
        calls.iter().find(|call| is_first(call)).unwrap().iter().map(String::as_str).collect();
    let slots = launch.iter().find(|word| word.starts_with("ringmaster.slots=")).unwrap();
    assert_eq!(slots.split_once(':').unwrap().0, "ringmaster.slots=even/512/9");
    assert_eq!(slots.split(',').count(), 9);
    let expected = [
        "run --detach --pull never --name server_1 --hostname server_1 --network n1 --network-alias server_1",
        "--env SERVER_ID=server_1 --label ringmaster.fleet=f1 --label ringmaster.ring-id=1 --label",
        slots,
        "--label ringmaster.weight=1",
        "--memory 64m --pids-limit 512 --cap-drop ALL --security-opt no-new-privileges --read-only -- i:1",
    ];
    assert_eq!(launch.join(" "), expected.join(" "));
    let is_positional =
        |call: &Vec<String>| matches!(call[0].as_str(), "rm" | "stop" | "container" | "network");
    for call in calls.iter().filter(|call| is_positional(call)) {
        assert!(call.contains(&"--".to_owned()), "{call:?}");
    }
    drop(balancer);
}

#[test]
fn what_the_engine_says_is_what_the_client_and_the_log_hear() {
    let docker = FakeDocker::new("words", NO_LAUNCH);
    let balancer = Program::start_command(docker.balancer(&[]));
    wait_for("the failure to be told", || {
        let told = |line: &String| {
            line.contains("cannot launch server_1") && line.contains("no space left on device")
        };
        balancer.log().iter().any(told)
    });
    let refused = balancer.admin("POST", "/add", r#"{"n":1,"hostnames":["S5"]}"#);
    assert_eq!(refused.status, 500);
    let error = refused.error();
    assert!(error.contains("'S5' did not start") && error.contains("no space left on device"), "{error}");
    assert_eq!(balancer.listed(), ["server_1", "server_2", "server_3"], "N does not waver");
}

#[test]
fn a_failed_launch_is_cleared_away_by_id_and_only_if_it_is_ours() {
    let id = "a".repeat(64);
    for (fleet, cleared) in [("ringmaster", true), ("another", false)] {
        // The listing asked for by name also holds one whose name merely begins alike.
        let cases = format!(
            "'run '*) touch $0.made; echo 'it broke' >&2; exit 125;;\n\
             'ps --all') case \"$*\" in *name=S5*) test -e $0.made && \
             printf '{other} S5x ringmaster\\n{id} S5 {fleet}\\n';; esac;;\n*) ;;",
            other = "b".repeat(64),
        );
        let docker = FakeDocker::new(&format!("clear-{fleet}"), &cases);
        let balancer = Program::start_command(docker.balancer(&["--replicas", "1"]));
        wait_for("the first launch to fail", || {
            !balancer.log().iter().all(|line| !line.contains("cannot launch"))
        });
        assert_eq!(balancer.admin("POST", "/add", r#"{"n":1,"hostnames":["S5"]}"#).status, 500);
        let removed = docker.calls().iter().any(|call| *call == ["rm", "--force", "--", id.as_str()]);
        assert_eq!(removed, cleared, "fleet {fleet}: {:?}", docker.calls());
        assert!(!docker.calls().iter().any(|call| call[0] == "rm" && call.contains(&"b".repeat(64))));
    }
}

#[test]
fn an_engine_that_cannot_work_ends_the_start_with_one_line() {
    for (name, cases, told) in [
        (
            "away",
            "*) echo 'Cannot connect to the Docker daemon' >&2; exit 1;;",
            "Cannot connect to the Docker daemon",
        ),
        (
            "image",
            "'image inspect') exit 1;;\n*) ;;",
            "the replicas' image 'ringmaster-server' is not on this engine",
        ),
        (
            "garbage",
            "'ps --all') echo 0123;;\n'container inspect') echo '{not json';;\n*) ;;",
            "cannot read its answer",
        ),
    ] {
        let docker = FakeDocker::new(name, cases);
        let output = docker.balancer(&[]).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{name}");
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(error.lines().count(), 1, "{name}: {error}");
        assert!(error.starts_with("ringmaster: ") && error.contains(told), "{name}: {error}");
    }
    let nothing = FakeDocker::new("nothing", "*) ;;");
    fs::remove_file(nothing.folder.join("docker")).unwrap();
    let mut command = nothing.balancer(&[]);
    command.env("PATH", &nothing.folder);
    let error = String::from_utf8_lossy(&command.output().unwrap().stderr).into_owned();
    assert!(error.contains("docker version: cannot run it"), "{error}");
}
