//! A request by chance, and what a replica must get of it.

use super::dice::Dice;
use super::fields::{self, Field, Fields};
use crate::support::backend::Seen;

/// Fields that the balancer writes itself, from what a client says or in spite of it.
const OURS: [&str; 5] = ["X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "Via", "X-Request-Id"];

const METHODS: [&str; 10] =
    ["GET", "GET", "HEAD", "POST", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"];

/// A request as it was sent.
pub struct Sent {
    pub method: String,
    /// What is asked for, without the host that an absolute target has.
    path: String,
    /// The one that is meant, if any is named.
    host: Option<String>,
    is_old: bool,
    /// All but `Host` and those that frame the body.
    fields: Vec<Field>,
    body: Vec<u8>,
    pub bytes: Vec<u8>,
}

impl Sent {
    pub fn by_chance(dice: &mut Dice) -> Sent {
        let method = if dice.once_in(4) { custom_method(dice) } else { dice.one_of(&METHODS).to_owned() };
        let path = path(dice);
        let is_old = dice.once_in(8);
        let host_field = (!is_old || dice.once_in(2)).then(|| host(dice));
        let url_host = dice.once_in(8).then(|| host(dice));
        let target = match &url_host {
            Some(host) => format!("{}://{host}{path}", dice.one_of(&["http", "HTTP", "https"])),
            None => path.clone(),
        };
        let mut fields = fields::any(dice, &OURS, false);
        add_sane_ids(dice, &mut fields);
        add_upgrade_or_expect(dice, &mut fields, is_old);
        let body = dice.body();
        let version = if is_old { "1.0" } else { "1.1" };
        let mut lines: Vec<Vec<u8>> = fields.iter().map(|(name, value)| dice.line(name, value)).collect();
        if let Some(host) = &host_field {
            let name = dice.spelling("host");
            lines.insert(dice.up_to(lines.len()), dice.line(&name, host));
        }
        let payload = framed(dice, &body, is_old, &mut lines);
        let head = format!("{method} {target} HTTP/{version}\r\n").into_bytes();
        let bytes = [head, lines.concat(), b"\r\n".to_vec(), payload].concat();
        Sent { method, path, host: url_host.or(host_field), is_old, fields, body, bytes }
    }

    /// Whether the connection must end with the answer.
    pub fn must_be_last(&self) -> bool {
        let options = fields::connection_options(&self.fields);
        let says = |wanted: &str| options.iter().any(|option| option == wanted);
        says("close") || (self.is_old && !says("keep-alive"))
    }

    /// Whether the connection may end with the answer. One that the client would have used for something else ends
    /// too, and HTTP/1.0 promises nothing.
    pub fn may_be_last(&self) -> bool {
        let upgrade = fields::connection_options(&self.fields).iter().any(|option| option == "upgrade");
        self.must_be_last() || upgrade || self.is_old
    }

    /// The client is told to go on once, if it has a body and asks.
    pub fn may_be_told_to_go_on(&self) -> bool {
        self.fields.iter().any(|(name, _)| name.eq_ignore_ascii_case("expect"))
    }

    /// Holds what a replica got against what was sent.
    pub fn check(&self, seen: &Seen) -> Result<(), String> {
        same("method", &self.method, &seen.method)?;
        same("target", &self.path, &seen.target)?;
        same("completeness", &true, &seen.complete)?;
        if self.body != seen.body {
            return Err(format!("{} bytes became {} others", self.body.len(), seen.body.len()));
        }
        let mut got = fields::collected(&seen.headers);
        let framings = got.remove("content-length").unwrap_or_default().len()
            + got.remove("transfer-encoding").unwrap_or_default().len();
        same("framed at most once", &true, &(framings <= 1))?;
        same("framed", &true, &(framings == 1 || self.body.is_empty()))?;
        self.check_host(got.remove("host"))?;
        self.check_id(got.remove("x-request-id"))?;
        self.check_way(got.remove("x-forwarded-for"))?;
        let expected = self.expected();
        for name in expected.keys().chain(got.keys()) {
            same(name, &expected.get(name), &got.get(name))?;
        }
        Ok(())
    }

    /// The fields that a replica must get, but those that have checks of their own.
    fn expected(&self) -> Fields {
        let mut expected = fields::passed_on(&self.fields);
        for name in ["expect", "x-request-id", "x-forwarded-for", "x-forwarded-host"] {
            expected.remove(name);
        }
        expected.insert("x-forwarded-proto".to_owned(), vec!["http".to_owned()]);
        if let Some(host) = &self.host {
            expected.insert("x-forwarded-host".to_owned(), vec![host.clone()]);
        }
        let via = if self.is_old { "1.0 ringmaster" } else { "1.1 ringmaster" };
        expected.entry("via".to_owned()).or_default().push(via.to_owned());
        expected
    }

    /// A replica is always told a host: the one the client named or, where it named none, any.
    fn check_host(&self, got: Option<Vec<String>>) -> Result<(), String> {
        let got = got.unwrap_or_default();
        same("hosts", &1, &got.len())?;
        self.host.as_ref().map_or(Ok(()), |host| same("host", host, &got[0]))
    }

    /// One id: the client's if it is a single plain word of at most 128 characters, and otherwise a new one.
    fn check_id(&self, got: Option<Vec<String>>) -> Result<(), String> {
        let got = got.unwrap_or_default();
        let sent = fields::passed_on(&self.fields).remove("x-request-id").unwrap_or_default();
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.:+/=@".contains(c);
        if sent.len() == 1 && (1..=128).contains(&sent[0].len()) && sent[0].chars().all(is_plain) {
            return same("request id", &sent, &got);
        }
        let is_new = got.len() == 1
            && got[0].len() == 32
            && got[0].chars().all(|c| c.is_ascii_digit() || ('a'..='f').contains(&c));
        same("a new request id", &true, &is_new)
    }

    /// One list: the client's and, behind it, the client.
    fn check_way(&self, got: Option<Vec<String>>) -> Result<(), String> {
        let mut way = fields::passed_on(&self.fields).remove("x-forwarded-for").unwrap_or_default();
        way.push("127.0.0.1".to_owned());
        same("the way it came", &vec![way.join(", ")], &got.unwrap_or_default())
    }
}

pub fn same<T: PartialEq + std::fmt::Debug>(what: &str, expected: &T, got: &T) -> Result<(), String> {
    if expected == got { Ok(()) } else { Err(format!("{what}: {got:?} instead of {expected:?}")) }
}

fn custom_method(dice: &mut Dice) -> String {
    let standard = dice.one_of(&METHODS).to_ascii_lowercase();
    let method = if dice.once_in(4) { standard } else { dice.token() };
    if method == "CONNECT" { "PURGE".to_owned() } else { method }
}

/// One that is not the balancer's own.
fn path(dice: &mut Dice) -> String {
    let path = dice.path_and_query();
    let is_own = ["/rep", "/add", "/rm", "/heartbeat"].contains(&path.split('?').next().unwrap_or_default());
    if is_own { format!("/x{path}") } else { path }
}

fn host(dice: &mut Dice) -> String {
    let name = dice.one_of(&["a", "Example.COM", "127.0.0.1", "[::1]", "x-y.z"]);
    let port = dice.one_of(&["", "", ":80", ":5000", ":65535"]);
    format!("{name}{port}")
}

/// Request ids that may stay, and some that are a little too much.
fn add_sane_ids(dice: &mut Dice, fields: &mut Vec<Field>) {
    if dice.once_in(3) {
        let length = dice.one_of(&[1, 36, 128, 129]);
        let id = (0..length).map(|_| dice.one_of(b"aZ09-_.:+/=@") as char).collect();
        fields.push(("X-Request-Id".to_owned(), id));
    }
}

fn add_upgrade_or_expect(dice: &mut Dice, fields: &mut Vec<Field>, is_old: bool) {
    if dice.once_in(15) {
        fields.push(("Upgrade".to_owned(), "h2c, websocket".to_owned()));
        let at = dice.up_to(fields.len());
        fields.insert(at, ("Connection".to_owned(), dice.one_of(&["Upgrade", "x, upgrade"]).to_owned()));
    }
    if !is_old && dice.once_in(10) {
        fields.push(("Expect".to_owned(), "100-continue".to_owned()));
    }
}

/// Adds the field that frames the body; returns the body as it goes over the wire.
fn framed(dice: &mut Dice, body: &[u8], is_old: bool, lines: &mut Vec<Vec<u8>>) -> Vec<u8> {
    let (name, value, payload) = match dice.below(2) {
        0 if !is_old => ("transfer-encoding", dice.spelling("chunked"), dice.chunked(body)),
        1 if body.is_empty() => return Vec::new(),
        _ => {
            let zeros = dice.one_of(&["", "", "", "00"]);
            ("content-length", format!("{zeros}{}", body.len()), body.to_vec())
        }
    };
    let name = dice.spelling(name);
    lines.insert(dice.up_to(lines.len()), dice.line(&name, &value));
    payload
}
