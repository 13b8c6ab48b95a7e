//! Our description, and whether an answer is as it says.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::schema::{errors, resolve};
use crate::support::Response;

/// Methods as they are written in a description.
pub const METHODS: [&str; 8] = ["get", "head", "post", "put", "patch", "delete", "options", "trace"];

/// Fields that are about the message, not about what it says.
const OF_MESSAGE: [&str; 4] = ["content-type", "content-length", "connection", "transfer-encoding"];

/// Refusals of unsound requests that are described together.
const UNSOUND: [u16; 5] = [413, 414, 431, 501, 505];

pub struct Document {
    pub json: Value,
    /// The named responses that an answer was compared with, and all others by place.
    pub met: BTreeSet<String>,
}

impl Document {
    pub fn new(json: Value) -> Document {
        Document { json, met: BTreeSet::new() }
    }

    /// The described methods of each path, as `Allow` writes them.
    pub fn operations(&self) -> BTreeMap<String, BTreeSet<String>> {
        let methods = |item: &Value| -> BTreeSet<String> {
            item.as_object().unwrap().keys().map(|method| method.to_ascii_uppercase()).collect()
        };
        let paths = self.json["paths"].as_object().unwrap();
        paths.iter().map(|(path, item)| (path.clone(), methods(item))).collect()
    }

    /// Fails unless the answer to `method` at `target` is as described.
    pub fn check(&mut self, method: &str, target: &str, answer: &Response) {
        let path = target.split('?').next().unwrap();
        let item = &self.json["paths"][path];
        assert!(item.is_object(), "{path} is not described");
        // What is said of a method that is none of the path's stands with those that are.
        let operation = item.get(method.to_ascii_lowercase()).unwrap_or_else(|| {
            assert_eq!(answer.status, 405, "{method} {target} is not described");
            item.as_object().unwrap().values().next().unwrap()
        });
        let code = answer.status.to_string();
        let responses = &operation["responses"];
        let (place, response) = match responses.get(&code) {
            Some(response) => (format!("{method} {path} {code}"), response),
            None => {
                assert!(UNSOUND.contains(&answer.status), "{method} {target}: {code} is not described");
                (format!("{method} {path} default"), &responses["default"])
            }
        };
        let place =
            response["$ref"].as_str().map_or(place, |name| name.rsplit('/').next().unwrap().to_owned());
        let wrong = self.wrong_with(method, resolve(&self.json, response), answer);
        assert!(
            wrong.is_empty(),
            "{method} {target} as {place}: {wrong:#?}\n{:?}\n{:.2000}",
            answer.headers,
            answer.text()
        );
        self.met.insert(place);
    }

    fn wrong_with(&self, method: &str, response: &Value, answer: &Response) -> Vec<String> {
        let mut wrong = self.wrong_headers(response, answer);
        let described = response.get("content").and_then(Value::as_object);
        let Some(kind) = answer.header("content-type") else {
            if described.is_some() || !answer.body.is_empty() {
                wrong.push("a body is described, or is there and not described".to_owned());
            }
            return wrong;
        };
        let Some(content) = described.and_then(|content| content.get(kind)) else {
            wrong.push(format!("{kind} is not described"));
            return wrong;
        };
        if method == "HEAD" {
            if !answer.body.is_empty() {
                wrong.push("the answer to HEAD has a body".to_owned());
            }
            return wrong;
        }
        let body = match kind {
            "application/json" => answer.json(),
            _ => Value::from(answer.text()),
        };
        wrong.extend(errors(&self.json, &content["schema"], &body));
        wrong
    }

    fn wrong_headers(&self, response: &Value, answer: &Response) -> Vec<String> {
        let mut wrong = Vec::new();
        let none = serde_json::Map::new();
        let described = response.get("headers").and_then(Value::as_object).unwrap_or(&none);
        for (name, header) in described {
            let header = resolve(&self.json, header);
            match answer.header(&name.to_ascii_lowercase()) {
                None if header["required"] == true => wrong.push(format!("{name} is missing")),
                None => {}
                Some(text) => {
                    let value = text.parse::<u64>().map_or_else(|_| Value::from(text), Value::from);
                    wrong.extend(errors(&self.json, &header["schema"], &value));
                }
            }
        }
        for (name, _) in &answer.headers {
            let is_described = described.keys().any(|known| known.eq_ignore_ascii_case(name));
            if !is_described && !OF_MESSAGE.contains(&name.as_str()) {
                wrong.push(format!("{name} is not described"));
            }
        }
        wrong
    }

    /// Every place where a value stands beside its schema as an example.
    pub fn examples(&self) -> Vec<(String, &Value, &Value)> {
        let mut found = Vec::new();
        walk(&self.json, &mut String::new(), &mut |at, value| {
            if let (Some(example), Some(schema)) = (value.get("example"), value.get("schema")) {
                found.push((at.to_owned(), schema, example));
            }
        });
        found
    }

    /// Every reference.
    pub fn references(&self) -> BTreeSet<&str> {
        let mut found = BTreeSet::new();
        walk(&self.json, &mut String::new(), &mut |_, value| {
            found.extend(value.get("$ref").and_then(Value::as_str));
        });
        found
    }
}

/// Shows every object with its place.
pub fn walk<'a>(value: &'a Value, at: &mut String, see: &mut impl FnMut(&str, &'a Value)) {
    let mut go = |name: &str, value: &'a Value| {
        let length = at.len();
        *at += "/";
        *at += name;
        walk(value, at, see);
        at.truncate(length);
    };
    match value {
        Value::Object(members) => {
            members.iter().for_each(|(name, member)| go(name, member));
            see(at, value);
        }
        Value::Array(items) => items.iter().enumerate().for_each(|(k, item)| go(&k.to_string(), item)),
        _ => {}
    }
}
