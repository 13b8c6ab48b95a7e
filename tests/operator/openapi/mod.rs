//! The description of our paths and what they answer: what one says of the other, both ways.

mod document;
mod schema;
mod situations;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use ringmaster::admin::Endpoint;
use ringmaster::journal::Kind;
use ringmaster::metrics::Refused;
use serde_json::Value;

use crate::support::{FakeLauncher, TestServer};
use document::{Document, METHODS, walk};

fn committed() -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/admin/openapi.json")).unwrap()
}

fn document() -> Document {
    Document::new(serde_json::from_str(&committed()).unwrap())
}

#[test]
fn what_is_served_is_what_is_committed() {
    let server = TestServer::start("", FakeLauncher::new());
    let served = server.get("/_ringmaster/openapi.json");
    assert_eq!((served.status, served.header("content-type")), (200, Some("application/json")));
    assert_eq!(served.text(), committed());
    let json = served.json();
    assert_eq!(
        (&json["openapi"], &json["info"]["version"]),
        (&"3.1.0".into(), &env!("CARGO_PKG_VERSION").into())
    );
}

#[test]
fn every_path_and_method_is_described_and_no_other() {
    let described = document().operations();
    let paths: BTreeSet<&str> = Endpoint::ALL.iter().map(|endpoint| endpoint.path()).collect();
    assert_eq!(described.keys().map(String::as_str).collect::<BTreeSet<_>>(), paths);
    let server = TestServer::start("", FakeLauncher::new());
    for (path, methods) in &described {
        for method in METHODS.map(str::to_ascii_uppercase) {
            // A change without a body is refused for that.
            let answer = server.connect().request(&method, path, &[], b"");
            assert_eq!(answer.status == 405, !methods.contains(&method), "{method} {path}: {answer:?}");
            if answer.status == 405 {
                let allowed = answer.header("allow").unwrap().split(", ").map(str::to_owned).collect();
                assert_eq!(*methods, allowed, "{path}");
            }
        }
    }
}

#[test]
fn every_example_is_what_its_schema_says() {
    let document = document();
    let examples = document.examples();
    assert!(examples.len() > 30, "{}", examples.len());
    for (at, schema, example) in examples {
        let wrong = schema::errors(&document.json, schema, example);
        assert!(wrong.is_empty(), "{at}: {wrong:#?}");
    }
    for (at, content) in content_of(&document.json) {
        assert!(content.get("example").is_some(), "{at} has no example");
    }
}

fn content_of(json: &Value) -> Vec<(String, &Value)> {
    let mut found = Vec::new();
    walk(json, &mut String::new(), &mut |at, value| {
        for (kind, content) in value.get("content").and_then(Value::as_object).into_iter().flatten() {
            found.push((format!("{at} {kind}"), content));
        }
    });
    found
}

#[test]
fn everything_is_said_in_words_and_used_and_named_once() {
    let document = document();
    let used = document.references();
    for (kind, things) in document.json["components"].as_object().unwrap() {
        if kind == "securitySchemes" {
            continue;
        }
        for name in things.as_object().unwrap().keys() {
            assert!(
                used.contains(format!("#/components/{kind}/{name}").as_str()),
                "{kind} {name} is not used"
            );
        }
    }
    for target in &used {
        assert!(document.json.pointer(&target[1..]).is_some(), "{target}");
    }
    let mut operations = BTreeSet::new();
    walk(&document.json, &mut String::new(), &mut |at, value| {
        if let Some(id) = value.get("operationId") {
            assert!(operations.insert(id.as_str().unwrap()), "{id} is there twice");
            assert!(value["summary"].is_string(), "{at}");
            assert!(value["responses"].as_object().unwrap().len() > 1, "{at}");
        }
        for (name, schema) in value.get("properties").and_then(Value::as_object).into_iter().flatten() {
            let is_described = schema.get("description").is_some() || schema.get("$ref").is_some();
            assert!(is_described, "{at}: {name} is not described");
            let is_in_ms = schema["description"].as_str().is_none_or(|text| text.contains("milliseconds"));
            assert!(!name.ends_with("_ms") || is_in_ms, "{at}: {name} says no unit");
        }
        if value.get("properties").is_some_and(|it| it.is_object()) && value["type"] == "object" {
            assert_eq!(value["additionalProperties"], false, "{at}");
            let all = value["properties"].as_object().unwrap();
            let required = value["required"].as_array().unwrap();
            assert!(required.iter().all(|name| all.contains_key(name.as_str().unwrap())), "{at}");
        }
    });
    assert_eq!(operations.len(), document.operations().values().map(BTreeSet::len).sum::<usize>());
}

#[test]
fn the_words_for_kinds_and_reasons_are_those_of_the_program() {
    let document = document();
    let schemas = &document.json["components"]["schemas"];
    let kinds: Vec<&str> = Kind::ALL.iter().map(|kind| kind.as_str()).collect();
    assert_eq!(schemas["Event"]["properties"]["kind"]["enum"], serde_json::json!(kinds));
    let reasons: BTreeSet<&str> = Refused::ALL.iter().map(|why| why.as_str()).collect();
    let described = schemas["Totals"]["properties"]["refused"]["properties"].as_object().unwrap();
    assert_eq!(described.keys().map(String::as_str).collect::<BTreeSet<_>>(), reasons);
}

#[test]
fn every_answer_is_as_described() {
    let mut document = document();
    situations::all(&mut document);
    let all = document.json["components"]["responses"].as_object().unwrap();
    let unmet: Vec<&String> = all.keys().filter(|name| !document.met.contains(*name)).collect();
    // A queue that is full of looks, and a system without random numbers, are not to be had here.
    assert_eq!(unmet, ["Busy", "NoPage"]);
    for (path, methods) in document.operations() {
        for method in methods {
            let code = if path == "/_ringmaster" { 308 } else { 200 };
            assert!(document.met.contains(&format!("{method} {path} {code}")), "{method} {path}");
        }
    }
}
