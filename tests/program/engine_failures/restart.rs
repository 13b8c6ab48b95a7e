//! The balancer ends without a word, and another takes over; and several share an engine.

use super::events::follower;
use super::{CLIENTS, FLAGS, Stage, logged, places, serving, status_of};
use crate::support::fake_docker::{Container, FakeEngine};
use crate::support::program::{is_alive, signal};
use crate::support::{Load, Program, wait_for};

/// Kills the balancer, does `meanwhile`, and starts another.
fn take_over(stage: Stage, meanwhile: impl Fn(&FakeEngine)) -> Stage {
    let follower = follower(&stage.engine, "ringmaster");
    let Stage { engine, mut program, load, places } = stage;
    let seen = load.stop();
    assert!(seen.failures.is_empty() && seen.cut == 0, "{seen:?}");
    signal(program.pid(), "KILL");
    assert_eq!(program.end(), None);
    wait_for("what follows the events to end", || !is_alive(follower));
    meanwhile(&engine);
    let program = Program::start_command(engine.balancer(FLAGS));
    let load = Load::light(program.address, CLIENTS);
    Stage { load, program, places, engine }
}

/// The names in all calls that launched, or tried to.
fn launches(engine: &FakeEngine) -> Vec<String> {
    let name = |call: &Vec<String>| call[call.iter().position(|word| word == "--name").unwrap() + 1].clone();
    engine.calls().iter().filter(|call| call[0] == "run").map(name).collect()
}

#[test]
fn a_balancer_adopts_the_replicas_of_one_that_was_killed() {
    let stage = Stage::set();
    stage.engine.put_container("server_4");
    let (before, launched) = (stage.engine.containers(), launches(&stage.engine));
    let stage = take_over(stage, |_| {});
    assert_eq!(serving(&stage.program), 3, "those that answer serve at once");
    stage.wait_until_whole();
    assert_eq!(stage.logged("adopted server_"), 3);
    assert_eq!((stage.engine.containers(), launches(&stage.engine)), (before, launched));
    follower(&stage.engine, "ringmaster");
    stage.end_unharmed();
}

#[test]
fn a_replica_that_died_while_there_was_no_balancer_is_launched_again() {
    let stage = Stage::set();
    stage.engine.put_container("server_4");
    let (before, launched) = (stage.engine.containers(), launches(&stage.engine));
    let stage = take_over(stage, |engine| engine.kill("server_3"));
    stage.wait_until_whole();
    let since = launches(&stage.engine).split_off(launched.len());
    assert!(!since.is_empty() && since.iter().all(|name| name == "server_3"), "{since:?}");
    let others = |containers: Vec<Container>| -> Vec<Container> {
        containers.into_iter().filter(|container| container.name != "server_3").collect()
    };
    assert_eq!(others(stage.engine.containers()), others(before));
    stage.end_unharmed();
}

#[test]
fn two_fleets_on_one_engine_leave_each_other_alone() {
    let engine = FakeEngine::new();
    let start = |fleet: &str| {
        let flags = format!("{FLAGS} --fleet {fleet} --network {fleet}-net");
        let program = Program::start_command(engine.balancer(&flags));
        wait_for("all three to serve", || serving(&program) == 3);
        program
    };
    let mut one = start("one");
    let other = start("other");
    let load = Load::light(other.address, CLIENTS);
    assert_eq!(one.listed(), ["server_1", "server_2", "server_3"]);
    assert_eq!(other.listed(), ["server_4", "server_5", "server_6"]);
    let taken = other.admin("POST", "/add", r#"{"n":1,"hostnames":["server_1"]}"#);
    assert_eq!(
        (taken.status, taken.error().as_str()),
        (400, "<Error> hostname 'server_1' is taken by another container")
    );

    // Each heals its own.
    let others_places = places(&other);
    for name in ["server_1", "server_5"] {
        engine.kill(name);
        let program = if name == "server_1" { &one } else { &other };
        wait_for("it to be launched again", || logged(program, &format!("{name} relaunched: ")) == 1);
    }
    for (program, foreign) in [(&one, "server_5"), (&other, "server_1 ")] {
        let lines: Vec<String> = program.log().into_iter().filter(|line| line.contains(foreign)).collect();
        assert!(lines.is_empty(), "{lines:?}");
    }
    let others: Vec<Container> = engine.containers().split_off(3);
    assert!(others.iter().all(|container| container.fleet == "other" && container.pid.is_some()));

    // The end of the one is none of the other's.
    signal(one.pid(), "TERM");
    assert_eq!(one.end(), Some(0));
    assert_eq!(engine.containers(), others);
    assert_eq!((engine.network("one-net"), engine.network("other-net").as_deref()), (None, Some("other")));
    assert_eq!((engine.followers("one").len(), engine.followers("other").len()), (0, 1));
    other.wait_until_all_serve();
    assert_eq!((serving(&other), places(&other)), (3, others_places));
    load.wait_for_answers(30);
    let seen = load.stop();
    assert!(seen.failures.is_empty() && seen.cut == 0, "{seen:?}");
}

#[test]
fn weights_are_part_of_the_record() {
    let engine = FakeEngine::new();
    let flags = format!("{FLAGS} --scheme rendezvous");
    let mut program = Program::start_command(engine.balancer(&flags));
    program.wait_until_all_serve();
    assert_eq!(program.admin("POST", "/add", r#"{"n":1,"hostnames":["heavy"],"weights":[7]}"#).status, 200);
    signal(program.pid(), "KILL");
    assert_eq!(program.end(), None);
    let program = Program::start_command(engine.balancer(&flags));
    program.wait_until_all_serve();
    let weight = |name| status_of(&program, name)["weight"].as_u64();
    assert_eq!((weight("heavy"), weight("server_1")), (Some(7), Some(1)));
}
