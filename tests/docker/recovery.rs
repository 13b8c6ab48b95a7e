//! Replicas fail in every way there is, and clients hardly hear of it.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::asked;
use crate::clients::Clients;
use crate::engine::{FLEET_LABEL, docker, fleet_ids, inspect, started_at, wait_for};
use crate::http::hello;
use crate::stack::{REP_OF_THREE, Stack, median_and_worst};

const DAY: Duration = Duration::from_secs(24 * 3600);

/// Every replica has to serve again within this time; it takes one to three seconds.
const DEADLINE: Duration = Duration::from_secs(15);

/// Ways for a replica to fail: by its own process, by somebody's cleaning up, and by hanging.
const FAULTS: [&[&str]; 3] = [&["kill"], &["rm", "--force"], &["pause"]];

/// Clients that ask all the while, each on a connection that it keeps.
const CLIENTS: usize = 64;

/// How many replicas each fault happens to, one after another. Each fails only once: who fails again within a minute has
/// to wait.
const TIMES_EACH: usize = 10;

#[test]
fn killed_removed_and_paused_replicas_serve_again_and_n_never_wavers() {
    if !asked() {
        return;
    }
    let stack = Stack::up();
    let clients = Clients::start(stack.address(), CLIENTS, "/home", Duration::from_millis(50));
    for fault in FAULTS {
        let names: Vec<String> = (0..TIMES_EACH).map(|k| format!("{}-{k}", fault[0])).collect();
        change(&stack, "POST", "/add", &names);
        let observer = Clients::start(stack.address(), 1, "/rep", Duration::from_millis(10));
        let begin = time_of_day();
        let times: Vec<Duration> =
            names.iter().map(|name| break_and_recover(&clients, fault, name)).collect();
        println!("docker {}: serves again after {}", fault.join(" "), median_and_worst(times));
        if fault != ["pause"] {
            let out = deaths_to_out_of_the_ring(&stack, &names, begin);
            println!("  from the death to out of the ring {}", median_and_worst(out));
        }
        assert_eq!(observer.stop().counts().len(), 1, "what /rep said never changed");
        change(&stack, "DELETE", "/rm", &names);
    }
    print_breakdown(&stack);
    let heard = clients.stop();
    println!("clients meanwhile: {:?}, slowest {:.1?}", heard.total(), heard.slowest);
    heard.assert_all_200();
    assert_eq!(stack.request("GET", "/rep", "").body, REP_OF_THREE);
    assert_eq!(fleet_ids(stack.fleet()).len(), 3, "no container is left over");
}

fn change(stack: &Stack, method: &str, path: &str, names: &[String]) {
    let body = format!(r#"{{"n":{},"hostnames":{}}}"#, names.len(), serde_json::json!(names));
    let answer = stack.request(method, path, &body);
    assert_eq!(answer.status, 200, "{path}: {}", answer.body);
}

/// Breaks one replica and returns after how long a client got an answer of its next life.
fn break_and_recover(clients: &Clients, fault: &[&str], victim: &str) -> Duration {
    let life = started_at(victim);
    let begin = Instant::now();
    docker(&[fault, &[victim]].concat());
    clients.wait_for_answer(&hello(victim), Instant::now(), DEADLINE);
    let recovered = begin.elapsed();
    let state = &inspect(victim)["State"];
    assert_eq!((&state["Running"], &state["Paused"]), (&true.into(), &false.into()));
    assert_ne!(started_at(victim), life, "the answer came from the life that was to end");
    recovered
}

/// Milliseconds since midnight, UTC.
fn time_of_day() -> Duration {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    Duration::from_nanos((now.as_nanos() % DAY.as_nanos()) as u64)
}

/// From what the engine says of when each container died to what the balancer says of when it left the ring. Both tell
/// the time by the same clock.
fn deaths_to_out_of_the_ring(stack: &Stack, names: &[String], since: Duration) -> Vec<Duration> {
    let ages = time_of_day().saturating_sub(since) + Duration::from_secs(1);
    let (since, label) =
        (format!("{}s", ages.as_secs() + 1), format!("label={FLEET_LABEL}={}", stack.fleet()));
    let format = "{{.TimeNano}} {{.Actor.Attributes.name}}";
    let filters = ["--filter", "event=die", "--filter", &label, "--format", format];
    let events = docker(&[&["events", "--since", &since, "--until", "0s"], &filters[..]].concat());
    let log = stack.log();
    let left = |name: &str| {
        let line = log.lines().find(|line| line.contains(&format!("{name} failed,")))?;
        let clock = line.split_once('T')?.1.split_once('Z')?.0;
        let mut parts = clock.split(':').map(|part| part.parse::<f64>().ok());
        let seconds = parts.next()?? * 3600.0 + parts.next()?? * 60.0 + parts.next()??;
        Some(Duration::from_secs_f64(seconds))
    };
    let died = |line: &str| {
        let (nanos, name) = line.split_once(' ')?;
        let died = Duration::from_nanos((nanos.parse::<u128>().ok()? % DAY.as_nanos()) as u64);
        names.iter().any(|it| it == name).then_some(())?;
        Some(left(name)?.saturating_sub(died))
    };
    events.lines().filter_map(died).collect()
}

/// Where the time of the relaunches went, as the log has it.
fn print_breakdown(stack: &Stack) {
    let log = stack.log();
    let relaunches: Vec<&str> = log.lines().filter(|line| line.contains(" relaunched: ")).collect();
    for line in &relaunches {
        println!("  {}", line.split_once("] ").map_or(*line, |(_, told)| told));
    }
    assert!(relaunches.len() >= FAULTS.len() * TIMES_EACH, "each relaunch has its line");
}

#[test]
fn fifty_clients_hear_only_200_while_a_replica_is_killed() {
    if !asked() {
        return;
    }
    let stack = Stack::up();
    let clients = Clients::start(stack.address(), 50, "/home", Duration::ZERO);
    clients.wait_for_answer(&hello("server_2"), Instant::now(), DEADLINE);
    let recovered = break_and_recover(&clients, &["kill"], "server_2");
    let heard = clients.stop();
    println!(
        "killed under 50 clients: serves again after {recovered:.2?}; {} answers, slowest {:.1?}: {:?}",
        heard.total(),
        heard.slowest,
        heard.counts()
    );
    heard.assert_all_200();
}

#[test]
fn five_replicas_join_and_leave_at_once() {
    if !asked() {
        return;
    }
    let stack = Stack::up();
    let clients = Clients::start(stack.address(), 4, "/home", Duration::from_millis(10));

    let begin = Instant::now();
    let added = stack.request("POST", "/add", r#"{"n":5,"hostnames":["A1","A2","A3","A4","A5"]}"#);
    println!("/add of 5 answered after {:.2?}", begin.elapsed());
    assert_eq!((added.status, &added.message()["N"]), (200, &8.into()));
    let served = Instant::now();
    for name in ["A1", "A2", "A3", "A4", "A5"] {
        clients.wait_for_answer(&hello(name), served, DEADLINE);
    }

    let begin = Instant::now();
    let removed = stack.request("DELETE", "/rm", r#"{"n":5,"hostnames":["A1","A2","A3","A4","A5"]}"#);
    println!("/rm of 5 answered after {:.2?}", begin.elapsed());
    assert_eq!((removed.status, removed.body.as_str()), (200, REP_OF_THREE));
    clients.stop().assert_all_200();
    wait_for("three containers", DEADLINE, || (fleet_ids(stack.fleet()).len() == 3).then_some(()));
}
