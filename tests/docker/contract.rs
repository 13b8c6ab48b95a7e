//! Every row of the contract that succeeds, over HTTP.

use std::time::Duration;

use crate::asked;
use crate::engine::{Foreign, fleet_ids, try_docker, wait_for};
use crate::http::{hello, refusal};
use crate::stack::{FIRST_THREE, REP_OF_THREE, Stack};

#[test]
fn rep_lists_the_replicas_and_other_paths_reach_them() {
    if !asked() {
        return;
    }
    let stack = Stack::up();

    let rep = stack.request("GET", "/rep", "");
    assert_eq!((rep.status, rep.body.as_str()), (200, REP_OF_THREE));
    assert_eq!(rep.header("Content-Type"), Some("application/json"));

    let home = stack.request("GET", "/home", "");
    assert_eq!(home.status, 200);
    assert!(FIRST_THREE.iter().any(|name| home.body == hello(name)), "nobody's answer: {}", home.body);
    assert_eq!(home.header("Content-Type"), Some("application/json"));

    let heartbeat = stack.request("GET", "/heartbeat", "");
    assert_eq!((heartbeat.status, heartbeat.body.as_str()), (200, ""));
}

#[test]
fn a_path_that_replicas_do_not_know_is_a_400_that_names_it() {
    if !asked() {
        return;
    }
    let stack = Stack::up();
    let expected = refusal("<Error> '/other' endpoint does not exist in server replicas");
    for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] {
        for path in ["/other", "/other?a=b"] {
            let answer = stack.request(method, path, "");
            assert_eq!((answer.status, &answer.body), (400, &expected), "{method} {path}");
        }
    }
}

#[test]
fn replicas_are_added_by_name_and_removed_by_name_and_at_random() {
    if !asked() {
        return;
    }
    let stack = Stack::up();

    let added = stack.request("POST", "/add", r#"{"n":4,"hostnames":["S5","S4","S10","S11"]}"#);
    let all = concat!(
        r#"{"message":{"N":7,"replicas":["server_1","server_2","server_3","S5","S4","S10","S11"]},"#,
        r#""status":"successful"}"#
    );
    assert_eq!((added.status, added.body.as_str()), (200, all));
    assert_eq!(stack.request("GET", "/rep", "").body, all);
    stack.wait_until_serving(&["S5", "S4", "S10", "S11", "server_1", "server_2", "server_3"]);

    let removed = stack.request("DELETE", "/rm", r#"{"n":3,"hostnames":["S5","S4"]}"#);
    assert_eq!(removed.status, 200);
    assert_eq!(removed.message()["N"], 4);
    let left = stack.replicas();
    assert!(!left.iter().any(|name| name == "S5" || name == "S4"), "named, yet still there: {left:?}");
    assert_eq!(removed.message()["replicas"], serde_json::json!(left));

    let removed = stack.request("POST", "/rm", r#"{"n":1}"#);
    assert_eq!(removed.message()["N"], 3);
    assert_only_these_have_containers(&stack, &stack.replicas());
}

/// The containers of those that left are gone, soon if not at once.
fn assert_only_these_have_containers(stack: &Stack, names: &[String]) {
    let seconds = Duration::from_secs(10);
    wait_for("as many containers as replicas", seconds, || {
        (fleet_ids(stack.fleet()).len() == names.len()).then_some(())
    });
    for name in names {
        try_docker(&["container", "inspect", name]).expect("each replica has a container of its name");
    }
}

#[test]
fn replicas_without_a_name_get_the_lowest_one_that_no_container_has() {
    if !asked() {
        return;
    }
    let stack = Stack::up();
    let foreign = Foreign::start("server_4");
    let added = stack.request("POST", "/add", r#"{"n":3,"hostnames":["S1"]}"#);
    assert_eq!(added.status, 200, "{}", added.body);
    assert_eq!(stack.replicas(), ["server_1", "server_2", "server_3", "S1", "server_5", "server_6"]);
    stack.wait_until_serving(&["S1", "server_5", "server_6"]);
    foreign.assert_untouched();
}
