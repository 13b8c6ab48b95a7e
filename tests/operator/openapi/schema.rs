//! A validator for exactly the part of JSON Schema that our description uses. A keyword that it does not know is an
//! error, so that nothing is taken for checked that is not.

use jiff::Timestamp;
use serde_json::{Map, Value};

/// What is wrong with `value` as an instance of `schema`, each with where; empty if it is one. References are to
/// places in `document`.
pub fn errors(document: &Value, schema: &Value, value: &Value) -> Vec<String> {
    let mut found = Vec::new();
    Check { document, found: &mut found }.value("$", schema, value);
    found
}

/// What a reference or the thing itself is.
pub fn resolve<'a>(document: &'a Value, mut thing: &'a Value) -> &'a Value {
    while let Some(target) = thing.get("$ref") {
        let pointer = target.as_str().and_then(|text| text.strip_prefix('#')).expect("a reference within");
        thing = document.pointer(pointer).unwrap_or_else(|| panic!("nothing at {pointer}"));
    }
    thing
}

struct Check<'a> {
    document: &'a Value,
    found: &'a mut Vec<String>,
}

impl Check<'_> {
    fn fail(&mut self, at: &str, what: impl AsRef<str>) {
        self.found.push(format!("{at}: {}", what.as_ref()));
    }

    fn value(&mut self, at: &str, schema: &Value, value: &Value) {
        let Some(keywords) = schema.as_object() else {
            return self.fail(at, format!("{schema} is no schema"));
        };
        for (keyword, argument) in keywords {
            match keyword.as_str() {
                "description" => {}
                "$ref" => {
                    let target = resolve(self.document, schema);
                    self.value(at, target, value);
                }
                "type" => self.kind(at, argument, value),
                "const" if argument != value => self.fail(at, format!("{value} is not {argument}")),
                "const" => {}
                "enum" => {
                    if !argument.as_array().unwrap().contains(value) {
                        self.fail(at, format!("{value} is none of {argument}"));
                    }
                }
                "anyOf" => {
                    let choices = argument.as_array().unwrap();
                    let wrong: Vec<_> =
                        choices.iter().map(|choice| errors(self.document, choice, value)).collect();
                    if wrong.iter().all(|wrong| !wrong.is_empty()) {
                        self.fail(at, format!("is nothing of what it may be: {wrong:?}"));
                    }
                }
                "minimum" | "maximum" => self.bound(at, keyword, argument, value),
                "minLength" | "maxLength" | "maxItems" => self.size(at, keyword, argument, value),
                "pattern" => self.pattern(at, argument, value),
                "format" => self.format(at, argument, value),
                "items" => {
                    for (k, item) in value.as_array().into_iter().flatten().enumerate() {
                        self.value(&format!("{at}[{k}]"), argument, item);
                    }
                }
                "required" => {
                    for name in argument.as_array().unwrap() {
                        if value
                            .as_object()
                            .is_some_and(|object| !object.contains_key(name.as_str().unwrap()))
                        {
                            self.fail(at, format!("{name} is missing"));
                        }
                    }
                }
                "properties" | "additionalProperties" => {}
                other => self.fail(at, format!("keyword '{other}' is not known here")),
            }
        }
        if let Some(object) = value.as_object() {
            self.object(at, keywords, object);
        }
    }

    fn object(&mut self, at: &str, keywords: &Map<String, Value>, object: &Map<String, Value>) {
        for (name, member) in object {
            let at = format!("{at}.{name}");
            match (
                keywords.get("properties").and_then(|all| all.get(name)),
                keywords.get("additionalProperties"),
            ) {
                (Some(schema), _) => self.value(&at, schema, member),
                (None, Some(Value::Bool(false))) => self.fail(&at, "is not described"),
                (None, Some(schema @ Value::Object(_))) => self.value(&at, schema, member),
                (None, None) => {}
                (None, Some(other)) => self.fail(&at, format!("additionalProperties is {other}")),
            }
        }
    }

    fn kind(&mut self, at: &str, kinds: &Value, value: &Value) {
        let is = |kind: &Value| match kind.as_str().unwrap() {
            "null" => value.is_null(),
            "boolean" => value.is_boolean(),
            "integer" => value.is_u64() || value.is_i64(),
            "number" => value.is_number(),
            "string" => value.is_string(),
            "array" => value.is_array(),
            "object" => value.is_object(),
            other => panic!("{at}: type {other}"),
        };
        let fits = kinds.as_array().map_or_else(|| is(kinds), |kinds| kinds.iter().any(is));
        if !fits {
            self.fail(at, format!("{value} is not of type {kinds}"));
        }
    }

    fn bound(&mut self, at: &str, keyword: &str, bound: &Value, value: &Value) {
        let (Some(number), Some(limit)) = (value.as_f64(), bound.as_f64()) else { return };
        let fits = if keyword == "minimum" { number >= limit } else { number <= limit };
        if !fits {
            self.fail(at, format!("{value}: {keyword} is {bound}"));
        }
    }

    fn size(&mut self, at: &str, keyword: &str, bound: &Value, value: &Value) {
        let limit = usize::try_from(bound.as_u64().unwrap()).unwrap();
        let fits = match (value, keyword) {
            (Value::String(text), "minLength") => text.chars().count() >= limit,
            (Value::String(text), "maxLength") => text.chars().count() <= limit,
            (Value::Array(items), "maxItems") => items.len() <= limit,
            _ => true,
        };
        if !fits {
            self.fail(at, format!("{keyword} is {bound}"));
        }
    }

    /// Only how a text begins is understood.
    fn pattern(&mut self, at: &str, pattern: &Value, value: &Value) {
        let beginning = pattern.as_str().and_then(|text| text.strip_prefix('^')).unwrap();
        assert!(!beginning.contains(['\\', '.', '*', '+', '?', '(', '[', '$', '|']), "pattern {pattern}");
        if value.as_str().is_some_and(|text| !text.starts_with(beginning)) {
            self.fail(at, format!("{value} does not begin with {beginning}"));
        }
    }

    fn format(&mut self, at: &str, format: &Value, value: &Value) {
        assert_eq!(format, "date-time", "{at}");
        if value.as_str().is_some_and(|text| !text.ends_with('Z') || text.parse::<Timestamp>().is_err()) {
            self.fail(at, format!("{value} is no time"));
        }
    }
}

#[test]
fn what_is_wrong_is_found() {
    let document = serde_json::json!({"it": {
        "type": "object",
        "properties": {
            "n": {"type": ["integer", "null"], "minimum": 1, "maximum": 9},
            "s": {"type": "string", "pattern": "^a", "minLength": 2, "maxLength": 3},
            "t": {"format": "date-time"},
            "l": {"type": "array", "items": {"enum": ["x", null]}, "maxItems": 2},
            "c": {"const": 1},
            "a": {"anyOf": [{"type": "null"}, {"type": "number"}]},
        },
        "required": ["n"],
        "additionalProperties": false,
    }});
    let schema = serde_json::json!({"$ref": "#/it"});
    for (text, sound) in [
        (r#"{"n":1,"s":"abc","t":"2026-11-21T15:19:03.1Z","l":["x",null],"c":1,"a":1.5}"#, true),
        (r#"{"n":null,"a":null}"#, true),
        (r#"{}"#, false),
        (r#"[]"#, false),
        (r#"{"n":0}"#, false),
        (r#"{"n":10}"#, false),
        (r#"{"n":1.0}"#, false),
        (r#"{"n":1,"s":"bc"}"#, false),
        (r#"{"n":1,"s":"a"}"#, false),
        (r#"{"n":1,"s":"abcd"}"#, false),
        (r#"{"n":1,"t":"yesterday"}"#, false),
        (r#"{"n":1,"l":["y"]}"#, false),
        (r#"{"n":1,"l":["x","x","x"]}"#, false),
        (r#"{"n":1,"c":2}"#, false),
        (r#"{"n":1,"a":"1"}"#, false),
        (r#"{"n":1,"more":1}"#, false),
    ] {
        let found = errors(&document, &schema, &serde_json::from_str(text).unwrap());
        assert_eq!(found.is_empty(), sound, "{text}: {found:?}");
    }
    let unknown = serde_json::json!({"multipleOf": 2});
    assert!(!errors(&document, &unknown, &Value::from(2)).is_empty());
}
