//! The start, the end, and the crash of the whole stack.

use std::time::{Duration, Instant};

use crate::asked;
use crate::engine::{FLEET_LABEL, docker, fleet_ids, inspect, started_at};
use crate::stack::{FIRST_THREE, REP_OF_THREE, Stack, ids_of};

#[test]
fn compose_up_with_nothing_set_gives_what_the_contract_names_and_down_leaves_nothing() {
    if !asked() {
        return;
    }
    let stack = Stack::up_with_defaults();
    assert_eq!(stack.address().port(), 5000);
    assert_eq!(stack.request("GET", "/rep", "").body, REP_OF_THREE);
    for name in FIRST_THREE {
        let replica = inspect(name);
        assert_eq!(replica["Config"]["Labels"][FLEET_LABEL], "ringmaster");
        assert!(replica["NetworkSettings"]["Networks"]["net1"].is_object(), "{name} is not on net1");
    }
    let took = stack.down();
    println!("compose down with three replicas took {took:.2?}");
    stack.assert_gone();
    // Compose kills what outlives its grace period; the balancer must not need that.
    assert!(took < Duration::from_secs(30));
}

#[test]
fn a_balancer_that_crashed_finds_its_replicas_again_and_starts_none_twice() {
    if !asked() {
        return;
    }
    let stack = Stack::up();
    stack.request("POST", "/add", r#"{"n":1,"hostnames":["S4"]}"#);
    let names = ["server_1", "server_2", "server_3", "S4"];
    let before = (ids_of(&names), names.map(started_at), stack.request("GET", "/rep", "").body);

    let balancer = stack.balancer();
    docker(&["kill", &balancer]);
    assert_eq!(fleet_ids(stack.fleet()).len(), 4, "replicas outlive a crash");
    let begin = Instant::now();
    docker(&["start", &balancer]);
    stack.wait_until_serving(&names);
    println!("after a crash all four replicas served again {:.2?} after the start", begin.elapsed());

    let after = (ids_of(&names), names.map(started_at), stack.request("GET", "/rep", "").body);
    assert_eq!(after, before, "the same containers in the same life");
    assert_eq!(fleet_ids(stack.fleet()).len(), 4, "none was started twice");
    stack.down();
    stack.assert_gone();
}

#[test]
fn a_replica_that_died_while_the_balancer_was_down_is_relaunched_and_the_others_stay() {
    if !asked() {
        return;
    }
    let stack = Stack::up();
    let before = ids_of(&FIRST_THREE);
    let balancer = stack.balancer();
    docker(&["kill", &balancer]);
    docker(&["kill", "server_2"]);
    docker(&["start", &balancer]);
    stack.wait_until_serving(&FIRST_THREE);
    let after = ids_of(&FIRST_THREE);
    assert_eq!((&after[0], &after[2]), (&before[0], &before[2]), "those that lived are the same");
    assert_eq!(stack.request("GET", "/rep", "").body, REP_OF_THREE);
    assert_eq!(fleet_ids(stack.fleet()).len(), 3);
}
