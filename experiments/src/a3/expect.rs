//! What an answer must be.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::http::Answer;
use crate::load::hello;

/// An answer of the contract.
#[derive(Clone, Debug)]
pub enum Expect {
    /// 200 and exactly these replicas.
    Replicas(Vec<String>),
    /// 200 and so many replicas: these, and others with names that were made up.
    Grown(Vec<String>, usize),
    /// 200 and how each of these is, in any order.
    Status(Vec<String>),
    /// 200 and a greeting from one of these.
    Hello(Vec<String>),
    /// 200 and nothing else.
    Nothing,
    /// This status with a failure in the envelope, with this text where the contract fixes it.
    Failure(u16, Option<String>),
}

impl Expect {
    /// What it is, in words.
    pub fn describe(&self) -> String {
        match self {
            Expect::Replicas(names) => format!("200, N = {}: {}", names.len(), names.join(", ")),
            Expect::Grown(names, n) => format!("200, N = {n}, among them {}", names.join(", ")),
            Expect::Status(names) => format!("200, how each of {} is", names.join(", ")),
            Expect::Hello(names) => format!("200, a greeting from one of {}", names.join(", ")),
            Expect::Nothing => "200, an empty body".to_owned(),
            Expect::Failure(status, Some(text)) => format!("{status}, `{text}`"),
            Expect::Failure(status, None) => {
                format!("{status}, a failure with a text that begins with `<Error>`")
            }
        }
    }

    /// Compares.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn check(&self, answer: &Answer) -> Result<(), String> {
        let status = if let Expect::Failure(status, _) = self { *status } else { 200 };
        if answer.status != status {
            return Err(format!("the status is {}", answer.status));
        }
        match self {
            Expect::Nothing if answer.body.is_empty() => Ok(()),
            Expect::Nothing => Err("there is a body".to_owned()),
            Expect::Hello(names) => match hello(answer)? {
                name if names.iter().any(|it| it == name) => Ok(()),
                name => Err(format!("{name} is not listed")),
            },
            Expect::Replicas(names) => same(&envelope(answer)?, &listing(names)),
            Expect::Grown(names, n) => grown(&envelope(answer)?, names, *n),
            Expect::Status(names) => status_of(&envelope(answer)?, names),
            Expect::Failure(_, text) => failure(&envelope(answer)?, text.as_deref()),
        }
    }
}

fn envelope(answer: &Answer) -> Result<Value, String> {
    serde_json::from_slice(&answer.body).map_err(|error| format!("the body is not JSON: {error}"))
}

fn listing(names: &[String]) -> Value {
    json!({ "message": { "N": names.len(), "replicas": names }, "status": "successful" })
}

fn same(given: &Value, wanted: &Value) -> Result<(), String> {
    if given == wanted { Ok(()) } else { Err(format!("the body should be {wanted}")) }
}

fn grown(given: &Value, names: &[String], n: usize) -> Result<(), String> {
    let listed: Vec<String> =
        serde_json::from_value(given["message"]["replicas"].clone()).map_err(|_| "no list of replicas")?;
    same(given, &listing(&listed))?;
    if listed.len() != n {
        return Err(format!("there are {} replicas", listed.len()));
    }
    match names.iter().find(|name| !listed.contains(name)) {
        Some(name) => Err(format!("{name} is missing")),
        None => Ok(()),
    }
}

fn status_of(given: &Value, names: &[String]) -> Result<(), String> {
    let replicas = given["message"]["replicas"].as_array().ok_or("no list of replicas")?;
    let name = |replica: &Value| replica["name"].as_str().unwrap_or_default().to_owned();
    let listed: BTreeSet<String> = replicas.iter().map(name).collect();
    let wanted: BTreeSet<String> = names.iter().cloned().collect();
    match listed == wanted && given["status"] == "successful" {
        true => Ok(()),
        false => Err(format!("it is about {listed:?}")),
    }
}

fn failure(given: &Value, text: Option<&str>) -> Result<(), String> {
    let message = given["message"].as_str().unwrap_or_default();
    if text.is_some_and(|text| text != message) || !message.starts_with("<Error> ") {
        return Err(format!("the message is {message:?}"));
    }
    same(given, &json!({ "message": message, "status": "failure" }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(expect: &Expect, status: u16, body: &str) -> Result<(), String> {
        expect.check(&Answer { status, body: body.as_bytes().to_vec(), closes: false })
    }

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn what_is_right_and_what_is_not() {
        let listing = r#"{"message":{"N":2,"replicas":["a","b"]},"status":"successful"}"#;
        let refused = r#"{"message":"<Error> no","status":"failure"}"#;
        let status = r#"{"message":{"replicas":[{"name":"a"},{"name":"b"}]},"status":"successful"}"#;
        let hello = r#"{"message":"Hello from Server: a","status":"successful"}"#;
        let fails = |text: Option<&str>| Expect::Failure(400, text.map(str::to_owned));
        for (expect, status, body, is_right) in [
            (Expect::Replicas(names(&["a", "b"])), 200, listing, true),
            (Expect::Replicas(names(&["b", "a"])), 200, listing, false),
            (Expect::Replicas(names(&["a"])), 200, listing, false),
            (Expect::Replicas(names(&["a", "b"])), 201, listing, false),
            (Expect::Grown(names(&["b"]), 2), 200, listing, true),
            (Expect::Grown(names(&["b"]), 3), 200, listing, false),
            (Expect::Grown(names(&["c"]), 2), 200, listing, false),
            (Expect::Status(names(&["b", "a"])), 200, status, true),
            (Expect::Status(names(&["a"])), 200, status, false),
            (Expect::Status(names(&["a"])), 200, listing, false),
            (Expect::Hello(names(&["a"])), 200, hello, true),
            (Expect::Hello(names(&["b"])), 200, hello, false),
            (Expect::Nothing, 200, "", true),
            (Expect::Nothing, 200, "x", false),
            (fails(None), 400, refused, true),
            (fails(None), 500, refused, false),
            (fails(Some("<Error> no")), 400, refused, true),
            (fails(Some("<Error> yes")), 400, refused, false),
            (fails(None), 400, r#"{"message":"no","status":"failure"}"#, false),
            (fails(None), 400, r#"{"message":"<Error> no","status":"successful"}"#, false),
            (fails(None), 400, "no JSON", false),
        ] {
            assert_eq!(check(&expect, status, body).is_ok(), is_right, "{expect:?} {status} {body}");
        }
    }
}
