//! The engine's events end, or are nonsense.

use super::{Stage, assert_containers, logged, serving};
use crate::support::Program;
use crate::support::fake_docker::FakeEngine;
use crate::support::program::{is_alive, signal};
use crate::support::wait_for;

/// Heartbeats so rare that only events tell of a death.
const RARE: &str = "--longest-pause 1s --heartbeat-interval 60s --connect-timeout 15s --start-timeout 30s";

/// The process that follows the events of `fleet`.
pub fn follower(engine: &FakeEngine, fleet: &str) -> u32 {
    let mut pid = None;
    wait_for("the events to be followed", || {
        pid = engine.followers(fleet).first().map(|process| process.pid);
        pid.is_some()
    });
    pid.unwrap()
}

/// Kills a replica, of whose end nobody can know but from the engine.
fn assert_death_is_told(engine: &FakeEngine, program: &Program, name: &str) {
    let line = format!("{name} relaunched: ");
    let relaunches = logged(program, &line);
    engine.kill(name);
    wait_for("it to be launched again", || logged(program, &line) > relaunches);
    let failures: Vec<String> =
        program.log().into_iter().filter(|line| line.contains(&format!("{name} failed"))).collect();
    assert!(failures.last().unwrap().ends_with("it has ended"), "{failures:?}");
}

#[test]
fn events_that_end_are_followed_again() {
    let engine = FakeEngine::new();
    let program = Program::start_command(engine.balancer(RARE));
    wait_for("all three to serve", || serving(&program) == 3);
    assert_death_is_told(&engine, &program, "server_1");
    for round in 1..=2 {
        let old = follower(&engine, "ringmaster");
        signal(old, "KILL");
        wait_for("its end to be logged", || logged(&program, "the engine's events ended") == round);
        wait_for("another to be logged", || logged(&program, "following the engine's events again") == round);
        assert_ne!(follower(&engine, "ringmaster"), old);
        assert!(!is_alive(old));
        assert_death_is_told(&engine, &program, ["server_2", "server_3"][round - 1]);
    }
    assert_eq!(engine.followers("ringmaster").len(), 1);
    assert_containers(&engine, "ringmaster", &["server_1", "server_2", "server_3"]);
}

#[test]
fn nonsense_among_the_events_is_ignored() {
    let Stage { engine, program, load, .. } = Stage::with(RARE);
    let follower = self::follower(&engine, "ringmaster");
    let containers = engine.containers();
    let id = &containers[0].id;
    let long = "a".repeat(100_000);
    let nonsense =
        ["", "server_1", "{\"status\":\"die\"}", "\0\u{7}\u{fffd}", &id[..63], &format!("{id}{id}"), &long];
    for line in nonsense.into_iter().chain([&*"g".repeat(64), &*"0".repeat(64)]) {
        engine.tell("ringmaster", line);
    }
    load.wait_for_answers(30);
    // Requests would notice a death too.
    let seen = load.stop();
    assert!(seen.failures.is_empty() && seen.cut == 0, "{seen:?}");
    // What comes after it is heard all the same, by the same.
    assert_death_is_told(&engine, &program, "server_3");
    assert_eq!(self::follower(&engine, "ringmaster"), follower);
    assert_eq!(engine.containers()[..2], containers[..2], "somebody was relaunched who lived");
    assert_eq!(logged(&program, "events ended"), 0);
    program.wait_until_all_serve();
}
