//! The whole main job with replicas that are processes: the real program, its real children, real signals.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::program::{is_alive, process, server_of, signal};
use crate::support::{Client, Load, Program, wait_for};

/// Far more than any recovery may take; what it does take is printed.
const SLOWEST_RECOVERY: Duration = Duration::from_secs(10);

#[test]
fn the_whole_main_job() {
    let mut program = Program::start("");
    assert_eq!(program.listed(), ["server_1", "server_2", "server_3"]);
    let mut client = Client::connect(program.address);
    let used: BTreeSet<String> =
        (0..200).map(|_| server_of(&client.request("GET", "/home", &[], b""))).collect();
    assert_eq!(used.into_iter().collect::<Vec<_>>(), program.listed());

    let more = program.admin("POST", "/add", r#"{"n":2,"hostnames":["S5","S4"]}"#).listed();
    assert_eq!(more, ["server_1", "server_2", "server_3", "S5", "S4"]);
    assert_eq!(program.children().len(), 5);
    program.wait_until_all_serve();
    let fewer = program.admin("DELETE", "/rm", r#"{"n":3,"hostnames":["server_1","S5"]}"#).listed();
    assert_eq!(fewer.len(), 2);
    assert_eq!(program.children().len(), 2);
    assert!(fewer.iter().all(|name| program.replica(name).is_some()), "{fewer:?}");
    program.wait_until_all_serve();
    let missing = client.request("GET", "/other", &[], b"");
    assert_eq!(
        (missing.status, missing.error().as_str()),
        (400, "<Error> '/other' endpoint does not exist in server replicas")
    );

    let children = program.children();
    signal(program.pid(), "TERM");
    assert_eq!(program.end(), Some(0));
    assert!(!children.iter().any(|child| is_alive(child.pid)));
}

/// How long it takes from a signal to the replica `name` until a request is answered by that name again, by a process
/// that is another one.
fn recovery(program: &Program, name: &str, signal_name: &str, state: &[char]) -> Duration {
    let (old, listed) = (program.replica(name).unwrap(), program.listed());
    let begun = Instant::now();
    signal(old.pid, signal_name);
    // From here on it cannot answer.
    wait_for("the signal to take effect", || {
        process(old.pid).is_none_or(|process| state.contains(&process.state))
    });
    let back = AtomicBool::new(false);
    let took = Mutex::new(None);
    thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                let mut client = Client::connect(program.address);
                while !back.load(SeqCst) && begun.elapsed() < crate::support::PATIENCE {
                    if server_of(&client.request("GET", "/home", &[], b"")) == name {
                        took.lock().unwrap().get_or_insert(begun.elapsed());
                        back.store(true, SeqCst);
                    }
                }
            });
        }
    });
    assert_eq!(program.listed(), listed, "N and the names are as before");
    assert_ne!(program.replica(name).unwrap().pid, old.pid);
    assert!(!is_alive(old.pid));
    took.into_inner().unwrap().expect("an answer from the replica that failed")
}

/// Ten replicas, each of which fails once: who fails again within a minute has to wait.
fn recovers_ten_times(signal_name: &str, state: &[char]) {
    const TIMES: usize = 10;
    let program = Program::start(&format!("--replicas {TIMES}"));
    let names = program.listed();
    let mut times: Vec<Duration> =
        names.iter().map(|name| recovery(&program, name, signal_name, state)).collect();
    times.sort();
    let (median, worst) = (times[TIMES / 2], times[TIMES - 1]);
    println!("SIG{signal_name} to serving again: median {median:.2?}, worst {worst:.2?} of {TIMES}");
    for line in program.log().iter().filter(|line| line.contains(" relaunched: ")) {
        println!("  {}", line.split_once("] ").map_or(line.as_str(), |(_, told)| told));
    }
    assert!(worst < SLOWEST_RECOVERY, "{times:?}");
    assert!(program.children().iter().all(|child| child.state != 'Z'), "a child was not waited for");
    assert_eq!(program.children().len(), TIMES);
}

#[test]
fn a_replica_that_is_killed_serves_again_under_the_same_name() {
    recovers_ten_times("KILL", &['Z', 'X']);
}

#[test]
fn a_replica_that_is_stopped_by_a_signal_serves_again_under_the_same_name() {
    recovers_ten_times("STOP", &['T', 'Z', 'X']);
}

#[test]
fn children_end_with_a_balancer_that_is_killed_also_one_that_was_stopped() {
    // So long a pause between heartbeats that the stopped one is not replaced.
    let mut program = Program::start("--heartbeat-interval 60s");
    let replicas = program.children();
    assert_eq!(replicas.len(), 3);
    let stopped = program.replica("server_2").unwrap().pid;
    signal(stopped, "STOP");
    wait_for("it to stop", || process(stopped).unwrap().state == 'T');
    signal(program.pid(), "KILL");
    assert_eq!(program.end(), None);
    for replica in replicas {
        wait_for("the replica to end", || !is_alive(replica.pid));
    }
}

#[test]
fn the_signal_to_end_ends_the_balancer_and_its_children_also_one_that_was_stopped() {
    let mut program = Program::start("--heartbeat-interval 60s");
    let replicas = program.children();
    let stopped = program.replica("server_2").unwrap().pid;
    signal(stopped, "STOP");
    wait_for("it to stop", || process(stopped).unwrap().state == 'T');
    signal(program.pid(), "TERM");
    assert_eq!(program.end(), Some(0), "{:?}", program.log());
    assert!(!replicas.iter().any(|replica| is_alive(replica.pid)));
}

#[test]
fn a_signal_from_the_terminal_does_not_reach_the_replicas_before_the_balancer_has_drained_them() {
    let program = Program::start("");
    for replica in program.children() {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", replica.pid)).unwrap();
        let group = stat[stat.rfind(')').unwrap() + 1..].split_whitespace().nth(2).unwrap().to_owned();
        assert_eq!(group, replica.pid.to_string(), "a process group of its own");
    }
}

#[test]
fn ten_thousand_requests_from_a_hundred_connections_are_all_answered() {
    let program = Program::start("");
    let begun = Instant::now();
    let seen = Load::limited(program.address, 100, 100).finish();
    let took = begun.elapsed();
    assert!(seen.failures.is_empty() && seen.cut == 0, "{:?}, {} cut", seen.failures, seen.cut);
    assert_eq!(seen.total(), 10_000);
    assert_eq!(seen.answers.len(), 3);
    println!("10000 requests from 100 connections, all 200, in {took:.2?}: {:?}", seen.answers);
}

#[test]
fn fifty_clients_see_nothing_but_200_while_a_replica_process_is_killed() {
    let program = Program::start("");
    let load = Load::start(program.address, 50);
    for name in ["server_1", "server_2", "server_3"] {
        load.wait_for_answers(500);
        let old = program.replica(name).unwrap().pid;
        signal(old, "KILL");
        wait_for("another process", || program.replica(name).is_some_and(|new| new.pid != old));
        let before = load.seen().answers[name];
        wait_for("it to serve", || load.seen().answers[name] > before + 10);
    }
    let seen = load.stop();
    assert!(seen.failures.is_empty() && seen.cut == 0, "{:?}, {} cut", seen.failures, seen.cut);
}

#[test]
fn five_replicas_at_once_are_added_and_removed_within_seconds() {
    let program = Program::start("");
    let begun = Instant::now();
    assert_eq!(program.admin("POST", "/add", r#"{"n":5}"#).listed().len(), 8);
    let added = begun.elapsed();
    let begun = Instant::now();
    assert_eq!(program.admin("DELETE", "/rm", r#"{"n":5}"#).listed().len(), 3);
    println!("/add of 5: {added:.2?}; /rm of 5: {:.2?}", begun.elapsed());
}
