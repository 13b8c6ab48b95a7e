//! Requests that are refused: each a 400 that says why, and nothing at all is changed.

use crate::asked;
use crate::engine::{Foreign, fleet_ids};
use crate::http::refusal;
use crate::stack::{REP_OF_THREE, Stack};

/// What `/add` refuses besides bad names, with a part of the text that has to say why.
const ADD: [(&str, &str); 17] = [
    ("", "body"),
    ("{", "JSON"),
    ("[1]", "object"),
    (r#"{"n":1,"colour":"red"}"#, "colour"),
    (r#"{"hostnames":["S5"]}"#, "n"),
    (r#"{"n":"1"}"#, "n"),
    (r#"{"n":1.5}"#, "n"),
    (r#"{"n":0}"#, "0"),
    (r#"{"n":-1}"#, "-1"),
    (r#"{"n":1000000}"#, "1000000"),
    (r#"{"n":1,"hostnames":"S5"}"#, "hostnames"),
    (r#"{"n":1,"hostnames":[5]}"#, "5"),
    (r#"{"n":2,"hostnames":["S5","S5"]}"#, "S5"),
    (r#"{"n":2,"hostnames":["S5","server_1"]}"#, "server_1"),
    (r#"{"n":2,"hostnames":["S5","-v"]}"#, "-v"),
    (r#"{"n":2,"hostnames":["S5","a b"]}"#, "a b"),
    (r#"{"n":2,"hostnames":["S5","S;reboot"]}"#, "S;reboot"),
];

/// What `/rm` refuses, likewise.
const RM: [(&str, &str); 6] = [
    ("", "body"),
    (r#"{"n":0}"#, "0"),
    (r#"{"n":4}"#, "4"),
    (r#"{"n":3}"#, "3"),
    (r#"{"n":1,"hostnames":["S99"]}"#, "S99"),
    (r#"{"n":2,"hostnames":["server_1","server_1"]}"#, "server_1"),
];

#[test]
fn a_refused_change_is_a_400_that_says_why_and_changes_nothing() {
    if !asked() {
        return;
    }
    let stack = Stack::up();
    let before = fleet_ids(stack.fleet());
    for (body, why) in ADD {
        check_refusal(&stack, "POST", "/add", body, why);
    }
    for (body, why) in RM {
        check_refusal(&stack, "DELETE", "/rm", body, why);
        check_refusal(&stack, "POST", "/rm", body, why);
    }
    assert_eq!(fleet_ids(stack.fleet()), before, "a refusal started or ended a container");
}

fn check_refusal(stack: &Stack, method: &str, path: &str, body: &str, why: &str) {
    let answer = stack.request(method, path, body);
    assert_eq!(answer.status, 400, "{method} {path} {body}: {}", answer.body);
    let message = answer.message();
    let text = message.as_str().expect("the reason as text");
    assert!(text.starts_with("<Error> ") && text.contains(why), "{method} {path} {body}: {text}");
    assert!(answer.body.ends_with(r#","status":"failure"}"#), "{}", answer.body);
    assert_eq!(stack.request("GET", "/rep", "").body, REP_OF_THREE, "{method} {path} {body}");
}

#[test]
fn a_list_longer_than_n_is_refused_in_the_contracts_words() {
    if !asked() {
        return;
    }
    let stack = Stack::up();
    let too_long = r#"{"n":1,"hostnames":["S5","S4"]}"#;
    let add = stack.request("POST", "/add", too_long);
    let expected = refusal("<Error> Length of hostname list is more than newly added instances");
    assert_eq!((add.status, add.body), (400, expected));
    let rm = stack.request("DELETE", "/rm", r#"{"n":1,"hostnames":["server_1","server_2"]}"#);
    let expected = refusal("<Error> Length of hostname list is more than removable instances");
    assert_eq!((rm.status, rm.body), (400, expected));
}

#[test]
fn the_name_of_a_container_that_is_not_ours_is_refused_and_the_container_lives_on() {
    if !asked() {
        return;
    }
    let stack = Stack::up();
    let name = format!("{}-foreign", stack.fleet());
    let foreign = Foreign::start(&name);
    check_refusal(&stack, "POST", "/add", &format!(r#"{{"n":2,"hostnames":["S5","{name}"]}}"#), &name);
    check_refusal(&stack, "DELETE", "/rm", &format!(r#"{{"n":1,"hostnames":["{name}"]}}"#), &name);
    foreign.assert_untouched();
    stack.down();
    foreign.assert_untouched();
}

#[test]
fn too_large_a_body_is_a_413_and_a_wrong_method_a_405() {
    if !asked() {
        return;
    }
    let stack = Stack::up();
    let large = format!(r#"{{"n":1,"hostnames":["{}"]}}"#, "x".repeat(65_536));
    assert_eq!(stack.request("POST", "/add", &large).status, 413);
    for (method, path, allowed) in
        [("GET", "/add", "POST"), ("POST", "/rep", "GET"), ("PUT", "/rm", "DELETE")]
    {
        let answer = stack.request(method, path, "");
        assert_eq!(answer.status, 405, "{method} {path}");
        let allow = answer.header("Allow").expect("a 405 says what is allowed");
        assert!(allow.contains(allowed), "{method} {path}: Allow: {allow}");
    }
    assert_eq!(stack.request("GET", "/rep", "").body, REP_OF_THREE);
}
