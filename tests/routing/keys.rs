//! What requests are hashed by, seen from outside: who has the same key reaches the same replica for as long as that lives,
//! but for the keys that a joiner takes over.

use std::collections::{BTreeMap, BTreeSet};

use crate::support::backend::answer;
use crate::support::{CALM, Client, FakeLauncher, TestServer, wait_for};

/// Values of a key: enough that every one of five replicas owns some.
const VALUES: usize = 60;

/// Five replicas that say who they are, whatever they are asked.
fn five(flags: &str) -> (TestServer, FakeLauncher) {
    let launcher = FakeLauncher::with(|_, name, stream| answer(stream, "200 OK", &[], name.as_bytes()));
    (TestServer::start(&format!("{CALM} --replicas 5 {flags}"), launcher.clone()), launcher)
}

fn who(client: &mut Client, path: &str, fields: &[(&str, &str)]) -> String {
    let response = client.request("GET", path, fields, b"");
    assert_eq!(response.status, 200);
    response.text()
}

/// A request as path and fields, made from one value of the key.
type Make = fn(&str) -> (String, Vec<(&'static str, String)>);

/// Asks with every value twice and tells who answered; twice the same.
fn owners(client: &mut Client, make: Make) -> BTreeMap<String, String> {
    let mut owners = BTreeMap::new();
    for round in 0..2 {
        for value in (0..VALUES).map(|k| format!("v{k}")) {
            let (path, fields) = make(&value);
            let fields: Vec<_> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
            let name = who(client, &path, &fields);
            let before = owners.insert(value, name.clone());
            assert!(round == 0 || before == Some(name), "the same key, another replica");
        }
    }
    owners
}

const KEYS: [(&str, Make); 8] = [
    ("path", |value| (format!("/{value}?x={}", fastrand::u32(..)), Vec::new())),
    ("uri", |value| (format!("/a?{value}"), Vec::new())),
    ("query:user", |value| (format!("/{}?a=1&user={value}", fastrand::u32(..)), Vec::new())),
    ("header:X-User", |value| (format!("/{}", fastrand::u32(..)), vec![("x-user", value.to_owned())])),
    // A field that the replica does not get is a key all the same.
    ("header:X-Hop", |value| {
        ("/".to_owned(), vec![("X-Hop", value.to_owned()), ("Connection", "X-Hop".to_owned())])
    }),
    ("cookie:sid", |value| {
        ("/".to_owned(), vec![("Cookie", format!("a={}; sid={value}", fastrand::u32(..)))])
    }),
    ("cookie:sid,path", |value| (format!("/{value}"), vec![("Cookie", "other=1".to_owned())])),
    ("client-ip --trusted-proxies 127.0.0.0/8", |value| {
        ("/".to_owned(), vec![("X-Forwarded-For", format!("6.6.6.6, 10.0.0.{}", &value[1..]))])
    }),
];

#[test]
fn the_same_key_reaches_the_same_replica_and_keys_are_spread() {
    for (key, make) in KEYS {
        let (server, _launcher) = five(&format!("--key {key}"));
        let owners = owners(&mut server.connect(), make);
        assert_eq!(
            owners.values().collect::<BTreeSet<_>>().len(),
            5,
            "{key}: everybody owns some of {VALUES}"
        );
    }
}

#[test]
fn only_the_keys_of_a_dead_replica_go_elsewhere_and_they_come_back() {
    let make: Make = |value| (format!("/{value}"), Vec::new());
    for scheme in ["even", "statement", "ketama", "rendezvous"] {
        let (server, launcher) =
            five(&format!("--key path --heartbeat-interval 50ms --rise 1 --scheme {scheme}"));
        let mut client = server.connect();
        let before = owners(&mut client, make);
        launcher.fail_all_starts(true);
        launcher.end("server_2");
        wait_for("it to be missed", || server.serving() == 4);
        for (value, now) in owners(&mut client, make) {
            let then = &before[&value];
            assert!(now == *then || then == "server_2", "{scheme}: {value} went from {then} to {now}");
            assert_ne!(now, "server_2");
        }
        launcher.fail_all_starts(false);
        wait_for("it to be back", || server.serving() == 5);
        assert_eq!(owners(&mut client, make), before, "{scheme}");
    }
}

#[test]
fn without_the_key_requests_are_spread() {
    for key in ["request-id", "cookie:sid", "query:user,header:x-user"] {
        let (server, _launcher) = five(&format!("--key {key}"));
        let mut client = server.connect();
        let met: BTreeSet<String> =
            (0..200).map(|_| who(&mut client, "/same?user=", &[("X-Other", "1")])).collect();
        assert_eq!(met.len(), 5, "{key}: but for a chance of 10^-18");
    }
}

#[test]
fn nobody_chooses_a_replica_by_claiming_to_be_another_client() {
    let (server, _launcher) = five("--key client-ip");
    let mut client = server.connect();
    let met: BTreeSet<String> =
        (0..50).map(|k| who(&mut client, "/", &[("X-Forwarded-For", &format!("10.0.0.{k}"))])).collect();
    assert_eq!(met.len(), 1, "all come from this machine: {met:?}");
}

#[test]
fn a_key_stays_with_its_owner_while_others_join_and_leave() {
    let make: Make = |value| (format!("/{value}"), Vec::new());
    let (server, _launcher) = five("--key path");
    let mut client = server.connect();
    let before = owners(&mut client, make);
    assert_eq!(server.admin("POST", "/add", r#"{"n":1,"hostnames":["S6"]}"#).status, 200);
    for (value, now) in owners(&mut client, make) {
        assert!(now == before[&value] || now == "S6", "{value} moved to {now}");
    }
    assert_eq!(server.admin("DELETE", "/rm", r#"{"n":1,"hostnames":["S6"]}"#).status, 200);
    assert_eq!(owners(&mut client, make), before);
}
