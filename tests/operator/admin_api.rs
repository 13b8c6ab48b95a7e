//! The admin API, row by row of the contract: `/rep`, `/add`, `/rm`, and everything they refuse.

use crate::support::{FakeLauncher, TestServer};

const THREE: [&str; 3] = ["server_1", "server_2", "server_3"];

fn three() -> (TestServer, FakeLauncher) {
    let launcher = FakeLauncher::new();
    (TestServer::start("", launcher.clone()), launcher)
}

#[test]
fn rep_answers_byte_for_byte() {
    let (server, _launcher) = three();
    let response = server.get("/rep");
    assert_eq!(response.status, 200);
    assert_eq!(response.header("content-type"), Some("application/json"));
    assert_eq!(
        response.text(),
        r#"{"message":{"N":3,"replicas":["server_1","server_2","server_3"]},"status":"successful"}"#
    );
    assert_eq!(
        server.get("/rep?verbose=1").text(),
        response.text(),
        "the query does not change the endpoint"
    );
}

#[test]
fn add_lists_the_old_first_and_the_new_in_the_given_order_once_they_serve() {
    let (server, launcher) = three();
    let response = server.admin("POST", "/add", r#"{"n":4,"hostnames":["S5","S4","S10","S11"]}"#);
    assert_eq!(response.listed(), ["server_1", "server_2", "server_3", "S5", "S4", "S10", "S11"]);
    assert_eq!(server.serving(), 7);
    assert_eq!(launcher.running().len(), 7);
    assert_eq!(server.listed(), response.listed());
}

#[test]
fn add_names_those_that_nobody_named_with_the_lowest_free_numbers() {
    let (server, launcher) = three();
    launcher.take_name("server_5");
    let response = server.admin("POST", "/add", r#"{"n":4,"hostnames":["server_4"]}"#);
    assert_eq!(response.listed()[3..], ["server_4", "server_6", "server_7", "server_8"]);
    server.admin("DELETE", "/rm", r#"{"n":1,"hostnames":["server_2"]}"#).listed();
    let response = server.admin("POST", "/add", r#"{"n":1}"#);
    assert_eq!(response.listed().last().map(String::as_str), Some("server_2"));
}

#[test]
fn rm_takes_the_named_ones_and_then_any() {
    for method in ["DELETE", "POST"] {
        let (server, launcher) = three();
        server.admin("POST", "/add", r#"{"n":2,"hostnames":["S1","S10"]}"#).listed();
        let left = server.admin(method, "/rm", r#"{"n":3,"hostnames":["S1","server_2"]}"#).listed();
        assert_eq!(left.len(), 2);
        assert!(!left.contains(&"S1".to_owned()) && !left.contains(&"server_2".to_owned()), "{left:?}");
        assert_eq!(server.listed(), left);
        let mut running = left;
        running.sort();
        assert_eq!(launcher.running(), running);
    }
}

/// Every refusal: a 400 in the envelope that names the value, and nothing at all has changed.
#[test]
fn every_refusal_names_the_value_and_changes_nothing() {
    let (server, launcher) = three();
    launcher.take_name("postgres");
    let before = launcher.calls();
    for (method, path, body, message) in [
        ("POST", "/add", "", "request body is missing"),
        ("POST", "/add", "not json", "request body is not JSON"),
        ("POST", "/add", "[]", "not a JSON object but []"),
        ("POST", "/add", "7", "not a JSON object but 7"),
        ("POST", "/add", r#"{"n":1,"host":"S1"}"#, "unknown key \"host\""),
        ("POST", "/add", r#"{"hostnames":["S1"]}"#, "'n' is missing"),
        ("POST", "/add", r#"{"n":"two"}"#, "'n' must be an integer, not \"two\""),
        ("POST", "/add", r#"{"n":1.0}"#, "'n' must be an integer, not 1.0"),
        ("POST", "/add", r#"{"n":0}"#, "'n' must be at least 1, not 0"),
        ("POST", "/add", r#"{"n":-1}"#, "'n' must be at least 1, not -1"),
        ("POST", "/add", r#"{"n":54}"#, "cannot add 54 replicas to 3: at most 56 are allowed"),
        ("POST", "/add", r#"{"n":18446744073709551615}"#, "cannot add 18446744073709551615 replicas"),
        ("POST", "/add", r#"{"n":18446744073709551616}"#, "'n' must be an integer"),
        ("POST", "/add", r#"{"n":1,"hostnames":{}}"#, "'hostnames' must be a list of strings, not {}"),
        ("POST", "/add", r#"{"n":1,"hostnames":[1]}"#, "a hostname must be a string, not 1"),
        ("POST", "/add", r#"{"n":1,"hostnames":["a b"]}"#, "'a b' is not a legal hostname"),
        ("POST", "/add", r#"{"n":1,"hostnames":["-v"]}"#, "'-v' is not a legal hostname"),
        ("POST", "/add", r#"{"n":1,"hostnames":["$(reboot)"]}"#, "'$(reboot)' is not a legal hostname"),
        ("POST", "/add", r#"{"n":1,"hostnames":["x"]}"#, "'x' is not a legal hostname"),
        ("POST", "/add", r#"{"n":2,"hostnames":["S1","S1"]}"#, "hostname 'S1' is twice in the list"),
        (
            "POST",
            "/add",
            r#"{"n":2,"hostnames":["S1","server_2"]}"#,
            "hostname 'server_2' is taken by a replica",
        ),
        (
            "POST",
            "/add",
            r#"{"n":2,"hostnames":["S1","postgres"]}"#,
            "'postgres' is taken by another container",
        ),
        (
            "POST",
            "/add",
            r#"{"n":1,"hostnames":["S1","S2"]}"#,
            "<Error> Length of hostname list is more than newly added instances",
        ),
        ("DELETE", "/rm", "", "request body is missing"),
        ("DELETE", "/rm", "{", "request body is not JSON"),
        ("DELETE", "/rm", r#"{"n":0}"#, "'n' must be at least 1, not 0"),
        ("DELETE", "/rm", r#"{"n":3}"#, "cannot remove 3 of 3 replicas: at least 1 must be left"),
        ("DELETE", "/rm", r#"{"n":4}"#, "cannot remove 4 of 3 replicas: at least 1 must be left"),
        ("DELETE", "/rm", r#"{"n":1,"hostnames":["S9"]}"#, "hostname 'S9' is not a replica"),
        ("DELETE", "/rm", r#"{"n":1,"hostnames":["server_"]}"#, "hostname 'server_' is not a replica"),
        ("DELETE", "/rm", r#"{"n":2,"hostnames":["server_1","S9"]}"#, "hostname 'S9' is not a replica"),
        (
            "DELETE",
            "/rm",
            r#"{"n":2,"hostnames":["server_1","server_1"]}"#,
            "'server_1' is twice in the list",
        ),
        (
            "DELETE",
            "/rm",
            r#"{"n":1,"hostnames":["server_1","server_2"]}"#,
            "<Error> Length of hostname list is more than removable instances",
        ),
        ("POST", "/rm", r#"{"n":1,"hostnames":["S9"]}"#, "hostname 'S9' is not a replica"),
    ] {
        let response = server.admin(method, path, body);
        assert_eq!(response.status, 400, "{method} {path} {body}: {}", response.text());
        let error = response.error();
        assert!(error.starts_with("<Error> ") && error.contains(message), "{method} {path} {body}: {error}");
        assert_eq!(server.listed(), THREE, "{method} {path} {body}");
    }
    assert_eq!(launcher.calls(), before, "no refusal reached the launcher");
}

#[test]
fn the_texts_of_the_statement_are_exact() {
    let (server, _launcher) = three();
    for (method, path, body, text) in [
        (
            "POST",
            "/add",
            r#"{"n":1,"hostnames":["S1","S2"]}"#,
            "<Error> Length of hostname list is more than newly added instances",
        ),
        (
            "DELETE",
            "/rm",
            r#"{"n":1,"hostnames":["server_1","server_2"]}"#,
            "<Error> Length of hostname list is more than removable instances",
        ),
        ("GET", "/other?x=1", "", "<Error> '/other' endpoint does not exist in server replicas"),
    ] {
        let response = server.admin(method, path, body);
        assert_eq!(response.status, 400);
        assert_eq!(response.text(), format!(r#"{{"message":"{text}","status":"failure"}}"#));
    }
}

#[test]
fn a_body_over_the_limit_is_413_however_it_is_framed() {
    let (server, _launcher) = three();
    let body = format!(r#"{{"n":1,"hostnames":["{}"]}}"#, "x".repeat(70_000));
    let response = server.admin("POST", "/add", &body);
    assert_eq!(response.status, 413);
    assert!(response.error().contains("65536"), "{}", response.text());
    let mut client = server.connect();
    client.send(b"POST /add HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n");
    client.send(format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len()).as_bytes());
    assert_eq!(client.answer(false).status, 413);
    assert_eq!(server.listed(), THREE);
}

#[test]
fn a_wrong_method_is_405_and_says_which_are_right() {
    let (server, launcher) = three();
    let before = launcher.calls();
    for (method, path, allow) in [
        ("POST", "/rep", "GET, HEAD"),
        ("DELETE", "/rep", "GET, HEAD"),
        ("GET", "/add", "POST"),
        ("PUT", "/add", "POST"),
        ("GET", "/rm", "DELETE, POST"),
        ("PATCH", "/rm", "DELETE, POST"),
    ] {
        let response = server.admin(method, path, r#"{"n":1}"#);
        assert_eq!((response.status, response.header("allow")), (405, Some(allow)), "{method} {path}");
        assert!(response.error().contains(method));
    }
    assert_eq!(launcher.calls(), before);
    assert_eq!(server.connect().request("HEAD", "/rep", &[], b"").header("content-length"), Some("87"));
}

#[test]
fn paths_that_only_look_like_ours_are_the_replicas() {
    let (server, _launcher) = three();
    for path in ["/rep/", "/REP", "/repx", "/%72ep", "//rep", "/add/x"] {
        assert!(server.get(path).error().contains("does not exist in server replicas"), "{path}");
    }
}

#[test]
fn an_addition_of_which_one_does_not_start_is_rolled_back() {
    let (server, launcher) = three();
    launcher.fail_start("S2", 1);
    let response = server.admin("POST", "/add", r#"{"n":3,"hostnames":["S1","S2","S3"]}"#);
    assert_eq!(response.status, 500);
    let error = response.error();
    assert!(error.contains("'S2' did not start") && error.contains("nothing was added"), "{error}");
    assert_eq!(server.listed(), THREE);
    assert_eq!(launcher.running(), THREE, "what had started was stopped");
    let again = server.admin("POST", "/add", r#"{"n":3,"hostnames":["S1","S2","S3"]}"#);
    assert_eq!(again.listed().len(), 6, "names and slots are free again");
}

#[test]
fn a_replica_that_cannot_be_stopped_stays_one() {
    let (server, launcher) = three();
    launcher.fail_stop("server_2", 1);
    let response = server.admin("DELETE", "/rm", r#"{"n":2,"hostnames":["server_1","server_2"]}"#);
    assert_eq!(response.status, 500);
    assert!(response.error().contains("'server_2' did not stop"), "{}", response.text());
    let mut listed = server.listed();
    listed.sort();
    assert_eq!(listed, ["server_2", "server_3"]);
    assert_eq!(launcher.running(), listed);
    crate::support::wait_for("it to serve again", || server.serving() == 2);
}

#[test]
fn additions_start_side_by_side() {
    let (server, launcher) = three();
    launcher.delay_starts(std::time::Duration::from_millis(200));
    assert_eq!(server.admin("POST", "/add", r#"{"n":5}"#).listed().len(), 8);
    assert_eq!(launcher.most_starting(), 5);
}
