//! What the replica says: its endpoints, and an answer as bytes.

use serde::Serialize;

use crate::request::{Head, Refusal};

/// One answer, not yet fitted to the connection it goes to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    status: &'static str,
    /// Who answers, for heartbeats: an address may come to belong to another server.
    identity: Option<String>,
    /// The body; always JSON, unless empty.
    body: Vec<u8>,
}

/// What every body of this system looks like.
#[derive(Serialize)]
struct Envelope<'a> {
    message: &'a str,
    status: &'a str,
}

/// The endpoints.
pub(crate) fn answer_to(head: &Head, server_id: &str) -> Answer {
    let (method, path) = (head.method.as_str(), head.path.as_str());
    match (method, path) {
        ("GET" | "HEAD", "/home") => {
            Answer::json("200 OK", &format!("Hello from Server: {server_id}"), "successful")
        }
        ("GET" | "HEAD", "/heartbeat") => Answer::heartbeat(server_id),
        ("GET" | "HEAD", _) => not_found(path),
        _ => not_found(&format!("{method} {path}")),
    }
}

fn not_found(what: &str) -> Answer {
    let message = format!("<Error> '{what}' is not an endpoint of this server");
    Answer::json("404 Not Found", &message, "failure")
}

/// The answer to a request that could not be read to its end.
pub(crate) fn answer_to_refused(refusal: Refusal) -> Answer {
    let (status, message) = match refusal {
        Refusal::Malformed => ("400 Bad Request", "<Error> The request is not understood"),
        Refusal::HeadTooLarge => {
            ("431 Request Header Fields Too Large", "<Error> The request head is too large")
        }
        Refusal::BodyTooLarge => ("413 Content Too Large", "<Error> The request body is too large"),
    };
    Answer::json(status, message, "failure")
}

impl Answer {
    fn heartbeat(server_id: &str) -> Self {
        // What no field can hold is left out, as if the server did not know who it is.
        let is_sayable = !server_id.is_empty() && server_id.bytes().all(|byte| byte.is_ascii_graphic());
        let identity = is_sayable.then(|| server_id.to_owned());
        Self { status: "200 OK", identity, body: Vec::new() }
    }

    fn json(status: &'static str, message: &str, outcome: &str) -> Self {
        // Two strings always serialise; a body of nothing would be the mildest way to be wrong about that.
        let body = serde_json::to_vec(&Envelope { message, status: outcome }).unwrap_or_default();
        Self { status, identity: None, body }
    }

    /// Head and body in one buffer, so that they leave in one write and, mostly, in one packet.
    pub(crate) fn to_bytes(&self, head: &Head) -> Vec<u8> {
        let connection = match (head.keep_alive, head.http_1_0) {
            (false, _) => "Connection: close\r\n",
            (true, true) => "Connection: keep-alive\r\n",
            (true, false) => "",
        };
        self.encode(connection, head.method != "HEAD")
    }

    /// The same for the last answer of a connection, to a request of which there is no head.
    pub(crate) fn to_closing_bytes(&self) -> Vec<u8> {
        self.encode("Connection: close\r\n", true)
    }

    fn encode(&self, connection: &str, with_body: bool) -> Vec<u8> {
        let content_type = if self.body.is_empty() { "" } else { "Content-Type: application/json\r\n" };
        let (status, length) = (self.status, self.body.len());
        let identity = self.identity.as_ref().map_or(String::new(), |id| format!("X-Server-Id: {id}\r\n"));
        let head = format!(
            "HTTP/1.1 {status}\r\n{content_type}{identity}Content-Length: {length}\r\n{connection}\r\n"
        );
        let mut bytes = head.into_bytes();
        if with_body {
            bytes.extend_from_slice(&self.body);
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body_of(request_line: &str, server_id: &str) -> (&'static str, String) {
        let (head, _) = Head::parse(format!("{request_line} HTTP/1.1\r\n\r\n").as_bytes()).unwrap().unwrap();
        let answer = answer_to(&head, server_id);
        (answer.status, String::from_utf8(answer.body).unwrap())
    }

    #[test]
    fn endpoints() {
        let home = r#"{"message":"Hello from Server: S1","status":"successful"}"#;
        let quoted = r#"{"message":"Hello from Server: \"\n","status":"successful"}"#;
        let other = r#"{"message":"<Error> '/other' is not an endpoint of this server","status":"failure"}"#;
        let post =
            r#"{"message":"<Error> 'POST /home' is not an endpoint of this server","status":"failure"}"#;
        let table = [
            ("GET /home", "S1", "200 OK", home),
            ("HEAD /home", "S1", "200 OK", home),
            ("GET /home?x=/other", "S1", "200 OK", home),
            ("GET /home", "\"\n", "200 OK", quoted),
            ("GET /heartbeat", "S1", "200 OK", ""),
            ("GET /other", "S1", "404 Not Found", other),
            ("GET /other?home", "S1", "404 Not Found", other),
            ("POST /home", "S1", "404 Not Found", post),
        ];
        for (request_line, server_id, status, body) in table {
            assert_eq!(body_of(request_line, server_id), (status, body.to_owned()), "{request_line}");
        }
        for path in ["/", "/home/", "//home", "/HOME", "/Heartbeat", "*"] {
            assert_eq!(body_of(&format!("GET {path}"), "S1").0, "404 Not Found", "{path}");
        }
    }

    #[test]
    fn a_heartbeat_says_who_answers_if_a_field_can_hold_it() {
        let (head, _) = Head::parse(b"GET /heartbeat HTTP/1.1\r\n\r\n").unwrap().unwrap();
        let bytes = |id| String::from_utf8(answer_to(&head, id).to_bytes(&head)).unwrap();
        assert_eq!(bytes("S1"), "HTTP/1.1 200 OK\r\nX-Server-Id: S1\r\nContent-Length: 0\r\n\r\n");
        for id in ["", "a b", "a\r\nX: 1", "ä"] {
            assert_eq!(bytes(id), "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "{id:?}");
        }
    }
}
