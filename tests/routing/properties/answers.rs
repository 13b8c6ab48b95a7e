//! An answer by chance, and what a client must get of it.

use super::dice::Dice;
use super::fields::{self, Field};
use super::requests::same;
use crate::support::Response;

/// What a client asks for, as far as it matters to the answer.
pub struct Asked {
    pub method: &'static str,
    pub is_old: bool,
    stays: bool,
}

impl Asked {
    pub fn by_chance(dice: &mut Dice) -> Asked {
        Asked {
            method: dice.one_of(&["GET", "GET", "GET", "HEAD", "POST"]),
            is_old: dice.once_in(4),
            stays: !dice.once_in(5),
        }
    }

    pub fn bytes(&self, target: &str) -> Vec<u8> {
        let version = if self.is_old { "1.0" } else { "1.1" };
        let option = if self.stays { "keep-alive" } else { "close" };
        let method = self.method;
        format!("{method} {target} HTTP/{version}\r\nHost: a\r\nConnection: {option}\r\n\r\n").into_bytes()
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Framing {
    /// Neither field, and no body either.
    Nothing,
    Length,
    Chunked,
    UntilClose,
}

/// An answer as a replica sends it.
#[derive(Clone)]
pub struct Planned {
    status: u16,
    fields: Vec<Field>,
    framing: Framing,
    body: Vec<u8>,
    pub bytes: Vec<u8>,
    /// The replica ends its connection behind it.
    pub closes: bool,
}

impl Planned {
    pub fn by_chance(dice: &mut Dice, asked: &Asked) -> Planned {
        let status = match dice.below(3) {
            0 => dice.one_of(&[200, 204, 205, 206, 301, 302, 304, 400, 401, 404, 407, 500, 502, 503]),
            _ => 200 + dice.below(400) as u16,
        };
        let bodiless = asked.method == "HEAD" || matches!(status, 204 | 304);
        let framing = match (status, bodiless) {
            (204, _) => Framing::Nothing,
            (205, _) => Framing::Length,
            (_, true) => dice.one_of(&[Framing::Nothing, Framing::Length, Framing::Chunked]),
            _ => dice.one_of(&[Framing::Length, Framing::Length, Framing::Chunked, Framing::UntilClose]),
        };
        let body = if status == 205 { Vec::new() } else { dice.body() };
        let is_old = framing != Framing::Chunked && dice.once_in(6);
        let closes = framing == Framing::UntilClose || is_old || dice.once_in(8);
        let mut planned =
            Planned { status, fields: some_fields(dice), framing, body, bytes: Vec::new(), closes };
        planned.bytes = planned.on_the_wire(dice, bodiless, is_old);
        planned
    }

    fn on_the_wire(&mut self, dice: &mut Dice, bodiless: bool, is_old: bool) -> Vec<u8> {
        let says_so = is_old && !fields::connection_options(&self.fields).iter().any(|it| it == "keep-alive");
        if self.closes && !says_so {
            self.fields.push(("Connection".to_owned(), "close".to_owned()));
        }
        let mut lines: Vec<Vec<u8>> =
            self.fields.iter().map(|(name, value)| dice.line(name, value)).collect();
        let framing = match self.framing {
            Framing::Length => Some(("content-length", self.body.len().to_string())),
            Framing::Chunked => Some(("transfer-encoding", dice.spelling("chunked"))),
            Framing::Nothing | Framing::UntilClose => None,
        };
        if let Some((name, value)) = framing {
            let name = dice.spelling(name);
            lines.insert(dice.up_to(lines.len()), dice.line(&name, &value));
        }
        let payload = match self.framing {
            _ if bodiless => Vec::new(),
            Framing::Chunked => dice.chunked(&self.body),
            _ => self.body.clone(),
        };
        let version = if is_old { "1.0" } else { "1.1" };
        let reason = dice.one_of(&["", "OK", "Not In Any Table"]);
        let head = format!("HTTP/{version} {} {reason}\r\n", self.status).into_bytes();
        [head, lines.concat(), b"\r\n".to_vec(), payload].concat()
    }

    /// Whether the client's connection must end behind it.
    pub fn must_be_last(&self, asked: &Asked) -> bool {
        let bodiless = asked.method == "HEAD" || matches!(self.status, 204 | 304);
        let length_is_known = bodiless || matches!(self.framing, Framing::Length);
        !asked.stays || (asked.is_old && !length_is_known)
    }

    /// Holds what a client got against what was planned.
    pub fn check(&self, asked: &Asked, got: &Response) -> Result<(), String> {
        same("status", &self.status, &got.status)?;
        let bodiless = asked.method == "HEAD" || matches!(self.status, 204 | 304);
        let body = if bodiless { &[] } else { self.body.as_slice() };
        if body != got.body {
            return Err(format!("{} bytes became {} others", body.len(), got.body.len()));
        }
        let mut fields = fields::collected(&got.headers);
        let length = fields.remove("content-length");
        let coding = fields.remove("transfer-encoding");
        let declared = (self.framing == Framing::Length).then(|| vec![self.body.len().to_string()]);
        same("length", &declared, &length)?;
        let is_chunked = !bodiless && !asked.is_old && declared.is_none();
        same("coding", &is_chunked.then(|| vec!["chunked".to_owned()]), &coding)?;
        let connection = match (self.must_be_last(asked), asked.is_old) {
            (true, _) => Some(vec!["close".to_owned()]),
            (false, true) => Some(vec!["keep-alive".to_owned()]),
            (false, false) => None,
        };
        same("connection", &connection, &fields.remove("connection"))?;
        let mut expected = fields::passed_on(&self.fields);
        expected.entry("via".to_owned()).or_default().push("1.1 ringmaster".to_owned());
        for name in expected.keys().chain(fields.keys()) {
            same(name, &expected.get(name), &fields.get(name))?;
        }
        Ok(())
    }
}

/// Fields of any kind, and several cookies among them.
fn some_fields(dice: &mut Dice) -> Vec<Field> {
    const USUAL: [&str; 6] = ["Set-Cookie", "Set-Cookie", "Vary", "Via", "X-Request-Id", "Link"];
    let mut fields = fields::any(dice, &USUAL, true);
    for _ in 0..dice.up_to(3) {
        let at = dice.up_to(fields.len());
        fields.insert(at, ("set-cookie".to_owned(), dice.value(true)));
    }
    // Whether the replica's connection ends is decided elsewhere.
    for (name, value) in &mut fields {
        if name.eq_ignore_ascii_case("connection") {
            *value = value.to_ascii_lowercase().replace("close", "x-close");
        }
    }
    fields
}
