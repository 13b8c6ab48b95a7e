//! Everything that the balancer asks of the engine in a life with all that may happen in it, against the table that
//! `SECURITY.md` gives to those who put a filter before the socket: no call is missing there, and none is there for
//! nothing.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::support::fake_docker::{FakeEngine, Mode};
use crate::support::program::signal;
use crate::support::{Program, wait_for};

/// Quick to notice and to try again, and none who lives is taken for dead however busy the machine is.
const FLAGS: &str = "--fleet the-fleet --network the-network --longest-pause 1s --heartbeat-interval 100ms \
                     --heartbeat-timeout 15s --connect-timeout 15s --start-timeout 30s";

/// Names that replicas get here.
const NAMES: [&str; 4] = ["server_1", "server_2", "server_3", "S5"];

/// A call as the table has it: what differs from one to the next is a word in capitals.
fn shape(call: &[String]) -> String {
    let mut words: Vec<String> = Vec::new();
    for word in call {
        let next = match words.last().map(String::as_str) {
            Some("-t") => "SECONDS".to_owned(),
            _ => placeholders(word),
        };
        // Several are inspected in one call.
        if next != "ID" || words.last().is_none_or(|last| last != "ID") {
            words.push(next);
        }
    }
    words.join(" ")
}

fn placeholders(word: &str) -> String {
    if word.len() == 64 && word.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return "ID".to_owned();
    }
    if let Some((label @ ("ringmaster.ring-id" | "ringmaster.slots" | "ringmaster.weight"), _)) =
        word.split_once('=')
    {
        return format!("{label}=…");
    }
    let word = word.replace("the-fleet", "FLEET").replace("the-network", "NETWORK");
    let word = NAMES.iter().fold(word, |word, name| word.replace(name, "NAME"));
    match word.as_str() {
        "ringmaster-server" => "IMAGE".to_owned(),
        _ => word,
    }
}

/// A start, a death, an addition, one that fails, a removal, a crash of the balancer and its return, and the end.
fn a_life(engine: &FakeEngine) {
    let start = || {
        let program = Program::start_command(engine.balancer(FLAGS));
        program.wait_until_all_serve();
        wait_for("the events to be followed", || engine.followers("the-fleet").len() == 1);
        program
    };
    let add = r#"{"n":1,"hostnames":["S5"]}"#;
    let mut program = start();
    let first = engine.container("server_2");
    engine.kill("server_2");
    wait_for("another life of server_2", || {
        let now = engine.container("server_2");
        now.as_ref().is_some_and(|it| it.pid.is_some()) && now != first
    });
    program.wait_until_all_serve();
    engine.set_mode(Mode::DiskFull);
    assert_eq!(program.admin("POST", "/add", add).status, 500);
    engine.set_mode(Mode::Works);
    assert_eq!(program.admin("POST", "/add", add).status, 200);
    assert_eq!(program.admin("DELETE", "/rm", add).status, 200);

    signal(program.pid(), "KILL");
    assert_eq!(program.end(), None);
    wait_for("what followed the events to end", || engine.followers("the-fleet").is_empty());
    engine.kill("server_3");
    let mut program = start();
    signal(program.pid(), "TERM");
    assert_eq!(program.end(), Some(0));
    assert!(engine.containers().is_empty() && engine.network("the-network").is_none());
}

/// The calls of the table: what stands in backticks in the first cell of its rows.
fn documented() -> BTreeSet<String> {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("SECURITY.md")).unwrap();
    let call = |line: &str| Some(line.strip_prefix("| `docker ")?.split_once("` |")?.0.to_owned());
    text.lines().filter_map(call).collect()
}

#[test]
fn the_table_of_calls_is_what_the_balancer_asks_of_the_engine() {
    let engine = FakeEngine::new();
    a_life(&engine);
    let made: BTreeSet<String> = engine.calls().iter().map(|call| shape(call)).collect();
    let documented = documented();
    let missing: Vec<_> = made.difference(&documented).collect();
    let idle: Vec<_> = documented.difference(&made).collect();
    assert!(missing.is_empty(), "calls that the table in SECURITY.md lacks:\n{missing:#?}");
    assert!(idle.is_empty(), "calls of the table in SECURITY.md that nobody made:\n{idle:#?}");
}

/// The first words of the paths of the engine's interface that the table names.
fn sections() -> BTreeSet<String> {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("SECURITY.md")).unwrap();
    let rows = text.lines().filter(|line| line.starts_with("| `docker "));
    let endpoints = rows.flat_map(|row| row.rsplit('|').nth(1).unwrap().split('`').skip(1).step_by(2));
    endpoints.map(|it| it.split_once(" /").unwrap().1.split('/').next().unwrap().to_owned()).collect()
}

/// It knows no more of a path than that: what else it lets through is in SECURITY.md.
#[test]
fn the_filter_before_the_socket_is_open_for_the_first_words_of_the_tables_paths_alone() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docker-compose.proxy.yml");
    let text = fs::read_to_string(file).unwrap();
    let allowed = text.lines().filter_map(|line| {
        let (name, value) = line.trim().split_once(": ")?;
        let is_switch = value.starts_with('1') && name.bytes().all(|byte| byte.is_ascii_uppercase());
        is_switch.then(|| name.to_lowercase())
    });
    // The command asks for a ping before each call.
    let mut needed = sections();
    needed.extend(["post".to_owned(), "ping".to_owned()]);
    assert_eq!(allowed.collect::<BTreeSet<_>>(), needed);
}

/// Where the engine is, is said to the command in the environment: the balancer keeps nothing of it back.
#[test]
fn the_command_hears_where_the_engine_is() {
    let engine = FakeEngine::new();
    let mut command = engine.balancer("--replicas 1");
    command.env("DOCKER_HOST", "tcp://engine.example:2376").env("DOCKER_TLS_VERIFY", "1");
    let program = Program::start_command(command);
    wait_for("the events to be followed", || engine.followers("ringmaster").len() == 1);
    // The one call that goes on, so that it can be looked at.
    let follower = engine.followers("ringmaster")[0].pid;
    let environment = fs::read(format!("/proc/{follower}/environ")).unwrap();
    let has = |wanted: &str| environment.split(|byte| *byte == 0).any(|word| word == wanted.as_bytes());
    assert!(has("DOCKER_HOST=tcp://engine.example:2376") && has("DOCKER_TLS_VERIFY=1"));
    drop(program);
}
