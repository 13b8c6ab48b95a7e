//! One line: as Apache and nginx write it, with more at the end, or as a JSON object.

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use jiff::fmt::strtime;
use serde::Serialize;

/// How lines are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    /// The combined format of Apache and nginx, and then replica, attempts, seconds and request id.
    Combined,
    /// One JSON object a line.
    Json,
}

/// What there is to say of one request. Texts are the client's and may hold anything.
#[derive(Clone, Debug)]
pub struct Line<'a> {
    /// When it arrived.
    pub time: SystemTime,
    /// Who sent it.
    pub client: IpAddr,
    /// Its method.
    pub method: &'a str,
    /// Its target, as it was sent.
    pub target: &'a str,
    /// `HTTP/1.1` or `HTTP/1.0`.
    pub version: &'a str,
    /// What it was answered.
    pub status: u16,
    /// Bytes of the answer's body.
    pub bytes: u64,
    /// Field `Referer`.
    pub referer: Option<&'a str>,
    /// Field `User-Agent`.
    pub user_agent: Option<&'a str>,
    /// The replica that answered; `None` for the balancer itself.
    pub replica: Option<&'a str>,
    /// On how many replicas it was tried.
    pub attempts: usize,
    /// From its arrival to the end of the answer.
    pub took: Duration,
    /// Its `X-Request-Id`.
    pub request_id: &'a str,
    /// Whether the client has got the whole answer, as far as can be known.
    pub complete: bool,
}

impl Default for Line<'_> {
    fn default() -> Self {
        Line {
            time: SystemTime::UNIX_EPOCH,
            client: Ipv4Addr::LOCALHOST.into(),
            method: "GET",
            target: "/",
            version: "HTTP/1.1",
            status: 200,
            bytes: 0,
            referer: None,
            user_agent: None,
            replica: None,
            attempts: 0,
            took: Duration::ZERO,
            request_id: "-",
            complete: true,
        }
    }
}

#[derive(Serialize)]
struct Object<'a> {
    time: String,
    client: IpAddr,
    method: &'a str,
    target: &'a str,
    version: &'a str,
    status: u16,
    bytes: u64,
    referer: Option<&'a str>,
    user_agent: Option<&'a str>,
    replica: Option<&'a str>,
    attempts: usize,
    took_ms: f64,
    request_id: &'a str,
    complete: bool,
}

impl Line<'_> {
    /// The line with its end.
    pub(super) fn render(&self, format: Format) -> String {
        match format {
            Format::Combined => self.combined(),
            Format::Json => self.json(),
        }
    }

    fn combined(&self) -> String {
        let mut line = String::with_capacity(256);
        // Writing to a string cannot fail.
        let _ = write!(line, "{} - - [{}] \"", self.client, clf_time(self.time));
        for (at, part) in [self.method, self.target, self.version].into_iter().enumerate() {
            line.push_str(if at == 0 { "" } else { " " });
            push_escaped(&mut line, part);
        }
        let _ = write!(line, "\" {} {}", self.status, self.bytes);
        for field in [self.referer, self.user_agent] {
            line.push_str(" \"");
            push_escaped(&mut line, field.unwrap_or("-"));
            line.push('"');
        }
        let (replica, seconds) = (self.replica.unwrap_or("-"), self.took.as_secs_f64());
        let _ = writeln!(line, " {replica} {} {seconds:.6} {}", self.attempts, self.request_id);
        line
    }

    fn json(&self) -> String {
        let object = Object {
            time: format!("{:.3}", timestamp(self.time)),
            client: self.client,
            method: self.method,
            target: self.target,
            version: self.version,
            status: self.status,
            bytes: self.bytes,
            referer: self.referer,
            user_agent: self.user_agent,
            replica: self.replica,
            attempts: self.attempts,
            took_ms: self.took.as_micros() as f64 / 1000.0,
            request_id: self.request_id,
            complete: self.complete,
        };
        // Texts and numbers cannot fail to serialise.
        let mut line = serde_json::to_string(&object).unwrap_or_default();
        if !line.bytes().all(|byte| byte < 0x7f) {
            line = escaped_further(&line);
        }
        line.push('\n');
        line
    }
}

/// JSON lets control characters beyond ASCII stand as they are, which some terminals obey. Beyond ASCII there is nothing but
/// what is inside a string.
fn escaped_further(json: &str) -> String {
    let mut line = String::with_capacity(json.len() + 16);
    for c in json.chars() {
        match c {
            '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' => _ = write!(line, "\\u{:04x}", u32::from(c)),
            c => line.push(c),
        }
    }
    line
}

fn timestamp(time: SystemTime) -> Timestamp {
    Timestamp::try_from(time).unwrap_or_default()
}

/// `21/Nov/2026:15:19:03 +0000`.
fn clf_time(time: SystemTime) -> String {
    strtime::format("%d/%b/%Y:%H:%M:%S +0000", timestamp(time)).unwrap_or_default()
}

/// As Apache escapes: quotes and backslashes by a backslash, everything that is not printable ASCII as `\xhh`. So a
/// client can neither end a field nor begin a line, nor drive the terminal of whoever reads.
fn push_escaped(line: &mut String, text: &str) {
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => line.extend(['\\', char::from(byte)]),
            b' '..=b'~' => line.push(char::from(byte)),
            _ => _ = write!(line, "\\x{byte:02x}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line() -> Line<'static> {
        Line {
            time: SystemTime::UNIX_EPOCH + Duration::from_millis(1_795_274_343_123),
            target: "/home?a=b",
            bytes: 59,
            replica: Some("server_1"),
            attempts: 1,
            took: Duration::from_micros(1234),
            request_id: "abc",
            ..Line::default()
        }
    }

    #[test]
    fn combined_is_what_readers_of_logs_know() {
        let user_agent = Some("curl/8.0");
        assert_eq!(
            Line { user_agent, ..line() }.render(Format::Combined),
            "127.0.0.1 - - [21/Nov/2026:15:19:03 +0000] \"GET /home?a=b HTTP/1.1\" 200 59 \"-\" \"curl/8.0\" server_1 1 \
             0.001234 abc\n"
        );
        let own = Line { replica: None, attempts: 0, ..line() }.render(Format::Combined);
        assert!(own.ends_with("\"-\" \"-\" - 0 0.001234 abc\n"), "{own}");
    }

    #[test]
    fn json_is_one_object_a_line() {
        let text = line().render(Format::Json);
        assert!(text.ends_with("}\n") && text.matches('\n').count() == 1, "{text}");
        let object: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(object["time"], "2026-11-21T15:19:03.123Z");
        assert_eq!((&object["took_ms"], &object["replica"]), (&1.234.into(), &"server_1".into()));
        assert!(object["referer"].is_null());
    }

    /// Whatever a client sends, a line stays one line, its quotes stay quotes, and a terminal is left alone.
    #[test]
    fn nothing_a_client_sends_gets_out_of_its_field() {
        for hostile in ["a\" 200 \"", "a\nb", "a\r\n\x1b[2J", "\u{85}\u{2028}ü", "\\", "\0", "\x7f\u{9b}31m"]
        {
            let hostile =
                Line { target: hostile, referer: Some(hostile), user_agent: Some(hostile), ..line() };
            let text = hostile.render(Format::Combined);
            assert!(text.trim_end_matches('\n').bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{text}");
            let unescaped = text.replace("\\\\", "").replace("\\\"", "");
            assert_eq!(unescaped.matches('"').count(), 6, "{text}");
            let json = hostile.render(Format::Json);
            assert!(!json.trim_end_matches('\n').contains(char::is_control), "{json}");
            let object: serde_json::Value = serde_json::from_str(&json).unwrap();
            assert_eq!(object["target"], hostile.target);
        }
    }
}
