//! The shapes of the admin API: what a change may ask for, and the envelope of every answer of ours.
//!
//! These are the contract's words, kept apart from the values the program works with.

use serde::Serialize;
use serde_json::{Map, Value};

use crate::fleet::{Phase, Replica};
use crate::quoting::shown;
use crate::replica::Hostname;
use crate::ring::Weight;

#[derive(Serialize)]
struct Envelope<M> {
    message: M,
    status: &'static str,
}

#[derive(Serialize)]
struct Listing<'a> {
    #[serde(rename = "N")]
    n: usize,
    replicas: Vec<&'a str>,
}

/// `{"message":{"N":…,"replicas":[…]},"status":"successful"}`.
pub(super) fn listing(hostnames: &[Hostname]) -> String {
    let replicas: Vec<&str> = hostnames.iter().map(Hostname::as_str).collect();
    successful(&Listing { n: replicas.len(), replicas })
}

/// `{"message":…,"status":"successful"}`.
pub(super) fn successful(message: &impl Serialize) -> String {
    render(&Envelope { message, status: "successful" })
}

/// `{"message":"<Error> …","status":"failure"}`, the body of every refusal and failure of the balancer's own.
pub(super) fn failure(text: &str) -> String {
    render(&Envelope { message: format!("<Error> {text}"), status: "failure" })
}

/// The same of a request that can be followed by its id.
pub(super) fn traced_failure(text: &str, request_id: &str) -> String {
    #[derive(Serialize)]
    struct Traced<'a> {
        #[serde(flatten)]
        envelope: Envelope<String>,
        request_id: &'a str,
    }
    let envelope = Envelope { message: format!("<Error> {text}"), status: "failure" };
    render(&Traced { envelope, request_id })
}

fn render(envelope: &impl Serialize) -> String {
    // Strings, integers and lists of strings cannot fail to serialise.
    serde_json::to_string(envelope).unwrap_or_default()
}

/// The states of a replica, as the status and the metrics name them.
pub(super) const STATES: [&str; 5] = ["starting", "serving", "draining", "failed", "crash loop"];

/// The state of a replica, one of [`STATES`].
pub(super) fn state(replica: &Replica) -> &'static str {
    match (replica.phase, &replica.trouble) {
        (Phase::Serving, _) => "serving",
        (Phase::Leaving, _) => "draining",
        (Phase::Joining, _) | (Phase::Down, None) => "starting",
        (Phase::Down, Some(trouble)) if trouble.is_crash_loop() => "crash loop",
        (Phase::Down, Some(_)) => "failed",
    }
}

/// What `/add` may be asked for.
pub(super) const ADDITION: [&str; 3] = ["n", "hostnames", "weights"];
/// What `/rm` may be asked for.
pub(super) const REMOVAL: [&str; 2] = ["n", "hostnames"];

/// What `/add` and `/rm` are asked.
#[derive(PartialEq, Eq, Debug)]
pub(super) struct Change {
    pub(super) n: usize,
    pub(super) hostnames: Vec<Hostname>,
    pub(super) weights: Vec<Weight>,
}

/// Reads the body of a change that may have these keys.
///
/// # Errors
/// A sentence that names the offending value.
pub(super) fn parse_change(body: &[u8], keys: &[&str]) -> Result<Change, String> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Err(r#"request body is missing: expected {"n":1,"hostnames":["name"]}"#.to_owned());
    }
    let value: Value =
        serde_json::from_slice(body).map_err(|error| format!("request body is not JSON: {error}"))?;
    let Value::Object(object) = value else {
        return Err(format!("request body is not a JSON object but {}", show(&value)));
    };
    if let Some(key) = object.keys().find(|key| !keys.contains(&key.as_str())) {
        return Err(format!("unknown key {}", show(&Value::from(key.as_str()))));
    }
    Ok(Change {
        n: parse_n(&object)?,
        hostnames: parse_hostnames(&object)?,
        weights: parse_weights(&object)?,
    })
}

fn parse_n(object: &Map<String, Value>) -> Result<usize, String> {
    let value = object.get("n").ok_or("'n' is missing")?;
    match value.as_u64().map(usize::try_from) {
        Some(Ok(0)) => Err("'n' must be at least 1, not 0".to_owned()),
        Some(Ok(n)) => Ok(n),
        _ if value.as_i64().is_some() => Err(format!("'n' must be at least 1, not {}", show(value))),
        _ => Err(format!("'n' must be an integer, not {}", show(value))),
    }
}

fn parse_hostnames(object: &Map<String, Value>) -> Result<Vec<Hostname>, String> {
    let Some(value) = object.get("hostnames") else {
        return Ok(Vec::new());
    };
    let Value::Array(names) = value else {
        return Err(format!("'hostnames' must be a list of strings, not {}", show(value)));
    };
    let parse = |name: &Value| match name {
        Value::String(text) => Hostname::parse(text),
        other => Err(format!("a hostname must be a string, not {}", show(other))),
    };
    names.iter().map(parse).collect()
}

fn parse_weights(object: &Map<String, Value>) -> Result<Vec<Weight>, String> {
    let Some(value) = object.get("weights") else {
        return Ok(Vec::new());
    };
    let most = Weight::MAX;
    let Value::Array(weights) = value else {
        return Err(format!("'weights' must be a list of integers from 1 to {most}, not {}", show(value)));
    };
    let parse = |weight: &Value| {
        let legal = weight.as_u64().and_then(|weight| u32::try_from(weight).ok()).and_then(Weight::new);
        legal.ok_or_else(|| format!("a weight must be an integer from 1 to {most}, not {}", show(weight)))
    };
    weights.iter().map(parse).collect()
}

/// A value of a client's as a message repeats it.
fn show(value: &Value) -> String {
    match value {
        Value::String(text) => format!("\"{}\"", shown(text)),
        other => shown(&other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_compact_and_in_the_envelope() {
        let names = [Hostname::numbered(1), Hostname::parse("S5").unwrap()];
        assert_eq!(
            listing(&names),
            r#"{"message":{"N":2,"replicas":["server_1","S5"]},"status":"successful"}"#
        );
        assert_eq!(failure(r#"a "b""#), r#"{"message":"<Error> a \"b\"","status":"failure"}"#);
    }

    #[test]
    fn reads_what_the_contract_allows() {
        let names = |list: &[&str]| list.iter().map(|name| Hostname::parse(name).unwrap()).collect();
        for (body, n, hostnames) in [
            (r#"{"n":4,"hostnames":["S5","S4"]}"#, 4, names(&["S5", "S4"])),
            (r#"{"n":1}"#, 1, names(&[])),
            (r#" { "hostnames" : [] , "n" : 2 } "#, 2, names(&[])),
            (r#"{"n":1,"hostnames":["S5","S4"]}"#, 1, names(&["S5", "S4"])),
        ] {
            assert_eq!(
                parse_change(body.as_bytes(), &ADDITION),
                Ok(Change { n, hostnames, weights: Vec::new() })
            );
        }
    }

    #[test]
    fn weights_belong_to_additions() {
        let body = br#"{"n":3,"weights":[3,100]}"#;
        let weights = parse_change(body, &ADDITION).unwrap().weights;
        assert_eq!(weights.iter().map(|weight| weight.get()).collect::<Vec<_>>(), [3, 100]);
        assert!(parse_change(body, &REMOVAL).unwrap_err().contains("unknown key \"weights\""));
    }

    #[test]
    fn every_refusal_names_the_value() {
        let long = format!(r#"{{"n":1,"hostnames":["{}"]}}"#, "x".repeat(10_000));
        for (body, named) in [
            ("", "missing"),
            (" \n", "missing"),
            ("{", "not JSON"),
            ("{'n':1}", "not JSON"),
            ("\u{feff}{}", "not JSON"),
            ("[1]", "not a JSON object but [1]"),
            ("\"n\"", "not a JSON object but \"n\""),
            ("null", "not a JSON object but null"),
            ("{}", "'n' is missing"),
            (r#"{"hostnames":["S1"]}"#, "'n' is missing"),
            (r#"{"n":1,"hosts":[]}"#, "unknown key \"hosts\""),
            ("{\"n\":1,\"\u{202e}\u{9b}\":[]}", "unknown key \"\\u{202e}\\u{9b}\""),
            (r#"{"n":"1"}"#, "integer, not \"1\""),
            (r#"{"n":1.5}"#, "integer, not 1.5"),
            (r#"{"n":1e99}"#, "integer, not 1e+99"),
            (r#"{"n":null}"#, "integer, not null"),
            (r#"{"n":true}"#, "integer, not true"),
            (r#"{"n":0}"#, "at least 1, not 0"),
            (r#"{"n":-3}"#, "at least 1, not -3"),
            (r#"{"n":1,"hostnames":"S1"}"#, "list of strings, not \"S1\""),
            (r#"{"n":1,"hostnames":null}"#, "list of strings, not null"),
            (r#"{"n":1,"hostnames":[5]}"#, "must be a string, not 5"),
            (r#"{"n":1,"hostnames":[""]}"#, "'' is not a legal hostname"),
            (r#"{"n":1,"hostnames":["a; reboot"]}"#, "'a; reboot' is not a legal hostname"),
            (r#"{"n":1,"hostnames":["--privileged"]}"#, "'--privileged' is not a legal hostname"),
            (&long, "is not a legal hostname"),
            (r#"{"n":1,"weights":3}"#, "list of integers from 1 to 100, not 3"),
            (r#"{"n":1,"weights":[0]}"#, "integer from 1 to 100, not 0"),
            (r#"{"n":1,"weights":[101]}"#, "integer from 1 to 100, not 101"),
            (r#"{"n":1,"weights":[2.5]}"#, "integer from 1 to 100, not 2.5"),
            (r#"{"n":1,"weights":[-1]}"#, "integer from 1 to 100, not -1"),
            (r#"{"n":1,"weights":["2"]}"#, "integer from 1 to 100, not \"2\""),
            (r#"{"n":1,"weights":[4294967297]}"#, "not 4294967297"),
        ] {
            let error = parse_change(body.as_bytes(), &ADDITION).unwrap_err();
            assert!(error.contains(named) && error.len() < 300, "{body:.60}: {error}");
        }
        assert!(parse_change(&[0xff, 0xfe], &ADDITION).unwrap_err().contains("not JSON"));
    }
}
