//! The command line of the real program: what it prints, where, and with which status.

use std::process::Output;

use crate::support::program::{Program, command, run};
use crate::support::{FakeLauncher, TestServer, dead_addr};

fn words(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// The one line of an error, checked to be all that was said.
#[track_caller]
fn error_line(output: &Output, status: i32) -> String {
    let error = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(output.status.code(), Some(status), "{error}");
    assert!(output.stdout.is_empty(), "{}", stdout(output));
    assert_eq!(error.lines().count(), 1, "{error}");
    error.trim_end().to_owned()
}

/// What went well, checked to have said nothing on stderr.
#[track_caller]
fn told(output: &Output) -> String {
    let error = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!((output.status.code(), error.as_str()), (Some(0), ""));
    stdout(output)
}

#[test]
fn a_bad_value_ends_the_start_with_one_line_that_names_flag_value_and_what_is_allowed() {
    for (line, parts) in [
        ("--replicas 0", ["--replicas", "'0'", "a number from 1 to 56"]),
        ("--replicas many", ["--replicas", "'many'", "a number from 1 to 56"]),
        ("--replicas 57", ["--replicas", "'57'", "a number from 1 to 56"]),
        ("--replicas 99999999999999999999", ["--replicas", "'99999999999999999999'", "1 to 56"]),
        ("--min-replicas 4", ["--min-replicas", "'4'", "a number from 1 to 3"]),
        ("--listen 5000", ["--listen", "'5000'", "127.0.0.1:5000"]),
        ("--listen localhost:5000", ["--listen", "'localhost:5000'", "an address and port"]),
        ("--launcher podman", ["--launcher", "'podman'", "process or docker"]),
        ("--scheme md5", ["--scheme", "'md5'", "even or statement or ketama"]),
        ("--workers 0", ["--workers", "'0'", "a number from 1 to"]),
        ("--fall 0", ["--fall", "'0'", "a number from 1 to 100"]),
        ("--heartbeat-interval 500", ["--heartbeat-interval", "'500'", "500ms, 2s or 1m"]),
        ("--heartbeat-interval 1ms", ["--heartbeat-interval", "'1ms'", "from 10ms to 60s"]),
        ("--heartbeat-timeout=-1s", ["--heartbeat-timeout", "'-1s'", "a time from"]),
        ("--respawn-name other", ["--respawn-name", "'other'", "same or random"]),
        ("--on-exit nothing", ["--on-exit", "'nothing'", "remove or keep"]),
        ("--image --privileged", ["--image", "'--privileged'", "letters, digits"]),
        ("--network a;reboot", ["--network", "'a;reboot'", "letters, digits"]),
        ("--fleet=$(reboot)", ["--fleet", "'$(reboot)'", "letters, digits"]),
        ("--color", ["--color", "unknown", "--help"]),
        ("-q", ["-q", "unknown", "--help"]),
        ("start", ["start", "unknown command", "--help"]),
        ("serve now", ["now", "unexpected", "--help"]),
        ("--replicas", ["--replicas", "needs", "value"]),
        ("--json", ["--json", "ringmaster ring", "goes with"]),
        ("serve --svg ring.svg", ["--svg", "ringmaster ring", "goes with"]),
        ("ring --svg", ["--svg", "needs", "value"]),
        ("ring --svg -", ["--svg", "'-'", "the name of a file"]),
    ] {
        let error = error_line(&run(&words(line)), 2);
        assert!(error.starts_with("ringmaster: "), "{line}: {error}");
        for part in parts {
            assert!(error.contains(part), "{line}: no {part} in: {error}");
        }
    }
}

#[test]
fn a_bad_value_in_the_environment_is_named_by_its_variable() {
    for (variable, value, allowed) in [
        ("RINGMASTER_REPLICAS", "none", "a number from 1 to 56"),
        ("RINGMASTER_HEARTBEAT_TIMEOUT", "soon", "500ms, 2s or 1m"),
        ("RINGMASTER_LAUNCHER", "swarm", "process or docker"),
    ] {
        let error = error_line(&command(&[]).env(variable, value).output().unwrap(), 2);
        assert!(error.contains(&format!("{variable}: '{value}' is not ")), "{error}");
        assert!(error.contains(allowed), "{error}");
    }
}

#[test]
fn a_flag_is_stronger_than_the_environment_and_an_empty_variable_is_none() {
    let told_by = |variable: &str, line: &str| {
        let output = command(&words(line)).env("RINGMASTER_REPLICAS", variable).output().unwrap();
        let json: serde_json::Value = serde_json::from_str(&told(&output)).unwrap();
        json["replicas"].as_array().unwrap().len()
    };
    assert_eq!(told_by("4", "ring --json"), 4);
    assert_eq!(told_by("4", "ring --json --replicas 2"), 2);
    assert_eq!(told_by("", "ring --json"), 3);
}

#[test]
fn help_names_every_command_and_the_contracts_defaults() {
    for line in ["--help", "-h", "serve --help", "ring --help"] {
        let help = told(&run(&words(line)));
        for part in [
            "ringmaster ring",
            "ringmaster health",
            "ringmaster status",
            "ringmaster top",
            "ringmaster replica",
            "RINGMASTER_LISTEN",
            "--listen ADDR:PORT",
            "[127.0.0.1:5000]",
            "--slots N",
            "auto: 512, maglev 65537",
            "--virtual-servers N",
            "auto: 9, ketama 160",
            "--network NAME",
            "[net1]",
        ] {
            assert!(help.contains(part), "{line}: no {part} in {help}");
        }
        assert!(help.lines().all(|line| line.chars().count() <= 110), "{help}");
    }
}

#[test]
fn version_is_that_of_the_package() {
    let version = format!("ringmaster {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(told(&run(&["--version"])), version);
    assert_eq!(told(&run(&["-V"])), version);
}

#[test]
fn the_ring_of_the_statement_is_shown_with_its_shares() {
    let shown = told(&run(&words("ring --replicas 3 --scheme statement")));
    assert!(shown.starts_with("statement/linear, 512 slots, 9 virtual servers each\n"), "{shown}");
    assert!(shown.contains("26:1 29:1 30:2 32:2 34:1 35:3"), "{shown}");
    let shares: Vec<&str> = shown
        .lines()
        .skip_while(|line| !line.starts_with("server "))
        .skip(1)
        .map_while(|line| line.split_whitespace().nth(2))
        .collect();
    assert_eq!(shares, ["84.37", "4.69", "10.94"]);
}

#[test]
fn the_ring_as_json_adds_up() {
    let shown = told(&run(&words("ring --replicas 6 --json")));
    let json: serde_json::Value = serde_json::from_str(&shown).unwrap();
    let replicas = json["replicas"].as_array().unwrap();
    assert_eq!(
        (replicas.len(), json["slots"].as_u64(), json["virtual_servers"].as_u64()),
        (6, Some(512), Some(9))
    );
    let sum: u64 = replicas.iter().map(|replica| replica["requests"].as_u64().unwrap()).sum();
    assert_eq!(sum, 900_000);
    assert!(json["max_over_mean"].as_f64().unwrap() <= 1.10);
}

#[test]
fn the_ring_is_drawn_into_a_file_beside_what_is_printed() {
    let file = std::env::temp_dir().join(format!("ringmaster-cli-{}.svg", std::process::id()));
    let path = file.to_str().unwrap();
    for line in ["ring --replicas 3 --scheme statement", "ring --replicas 3 --scheme statement --json"] {
        let args = words(line);
        let shown = told(&run(&[&args[..], &["--svg", path]].concat()));
        assert_eq!(shown, told(&run(&args)), "the same is printed");
        let svg = std::fs::read_to_string(&file).unwrap();
        assert!(
            svg.starts_with("<svg xmlns=\"http://www.w3.org/2000/svg\"") && svg.ends_with("</svg>\n"),
            "{svg}"
        );
        for part in [">statement/linear, 512 slots, 9 virtual servers each<", ">84.37 %<", "87 of 512 slots"]
        {
            assert!(svg.contains(part), "no {part} in {svg}");
        }
        std::fs::remove_file(&file).unwrap();
    }
}

#[test]
fn a_picture_that_cannot_be_written_is_named_and_nothing_is_printed() {
    let missing = std::env::temp_dir().join("ringmaster-no-such-folder").join("ring.svg");
    let path = missing.to_str().unwrap();
    let error = error_line(&run(&["ring", "--svg", path]), 1);
    assert!(error.contains(&format!("cannot write '{path}': No such file")), "{error}");
}

#[test]
fn more_servers_than_the_ring_holds_are_refused_with_their_number() {
    let error = error_line(&run(&words("ring --replicas 57")), 2);
    assert!(error.contains("57") && error.contains("56"), "{error}");
    let error = error_line(&run(&words("ring --replicas 40 --scheme statement --probing quadratic")), 2);
    assert!(error.contains("40"), "{error}");
}

#[test]
fn health_is_0_before_a_replica_that_answers_and_1_otherwise() {
    let server = TestServer::start("", FakeLauncher::new());
    let address = server.address.to_string();
    told(&run(&["health", "--listen", &address]));
    let dead = dead_addr().to_string();
    let error = error_line(&run(&["health", "--listen", &dead]), 1);
    assert!(error.contains("heartbeat failed"), "{error}");
    let error = error_line(&run(&["health", "--listen", "nowhere"]), 2);
    assert!(error.contains("--listen: 'nowhere' is not"), "{error}");
}

#[test]
fn health_is_1_while_no_replica_serves() {
    let launcher = FakeLauncher::new();
    launcher.fail_first_heartbeats(u32::MAX);
    let server = TestServer::start_early("--replicas 1", launcher);
    let address = server.address.to_string();
    let error = error_line(&run(&["health", "--listen", &address]), 1);
    assert!(error.contains("503"), "{error}");
}

#[test]
fn the_program_is_a_replica_too() {
    let help = told(&run(&words("replica --help")));
    assert!(help.contains("ringmaster replica") && help.contains("--server-id"), "{help}");
    let error = error_line(&run(&words("replica --listen nowhere")), 2);
    assert!(error.contains("nowhere"), "{error}");
}

#[test]
fn the_settings_in_force_say_what_is_logged_whoever_asked_for_it() {
    let told = |flags: &[&str], variable: &str| {
        let mut command = command(&[&["--listen", "127.0.0.1:0", "--replicas", "1"], flags].concat());
        let program = Program::start_command({
            command.env("RUST_LOG", variable);
            command
        });
        let status = program.admin("GET", "/_ringmaster/status", "").json();
        status["message"]["settings"]["log-level"].as_str().unwrap().to_owned()
    };
    assert_eq!(told(&[], "debug,ringmaster=info"), "debug,ringmaster=info");
    assert_eq!(told(&["--log-level", "info"], "warn"), "info");
}
