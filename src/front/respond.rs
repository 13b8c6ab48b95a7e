//! The answer on the wire: framed anew for the client, head and body in as few writes as there are parts.

use std::io::{self, Read, Write};

use http::StatusCode;

use crate::admin::Reply;
use crate::forward::Answer;

/// How much of a body is held at a time, and written at a time.
const BUFFER: usize = 64 * 1024;

/// Room for a head: few are larger, and the buffer grows.
const HEAD: usize = 1024;

/// What becomes of the connection after an answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fate {
    /// It may be used again.
    KeepAlive,
    /// It may be used again, and an HTTP/1.0 client has to be told so.
    KeepAliveOld,
    /// It ends.
    Close,
}

impl Fate {
    fn field(self) -> &'static str {
        match self {
            Fate::KeepAlive => "",
            Fate::KeepAliveOld => "Connection: keep-alive\r\n",
            Fate::Close => "Connection: close\r\n",
        }
    }
}

/// How the client learns where the body ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Framing {
    None,
    Length(u64),
    Chunked,
    UntilClose,
}

/// A reply of the balancer's own, whole.
pub(super) fn render(reply: &Reply, fate: Fate, without_body: bool) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(512 + reply.body.len());
    push_status(&mut bytes, reply.status);
    if !reply.body.is_empty() {
        bytes.extend_from_slice(format!("Content-Type: {}\r\n", reply.content_type).as_bytes());
    }
    bytes.extend_from_slice(b"Content-Length: ");
    bytes.extend_from_slice(reply.body.len().to_string().as_bytes());
    bytes.extend_from_slice(b"\r\n");
    for (name, value) in &reply.fields {
        bytes.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
    }
    bytes.extend_from_slice(fate.field().as_bytes());
    bytes.extend_from_slice(b"\r\n");
    if !without_body {
        bytes.extend_from_slice(reply.body.as_bytes());
    }
    bytes
}

/// The head of a stream of events, which goes on until one of both sides ends it.
pub(super) fn stream_head(request_id: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\n\
         X-Content-Type-Options: nosniff\r\nX-Request-Id: {request_id}\r\nConnection: close\r\n\r\n"
    )
    .into_bytes()
}

fn push_status(bytes: &mut Vec<u8>, status: StatusCode) {
    bytes.extend_from_slice(b"HTTP/1.1 ");
    bytes.extend_from_slice(status.as_str().as_bytes());
    bytes.push(b' ');
    bytes.extend_from_slice(status.canonical_reason().unwrap_or_default().as_bytes());
    bytes.extend_from_slice(b"\r\n");
}

/// Who ended an answer before it was whole.
#[derive(Debug)]
pub(super) enum Broke {
    /// The replica.
    Replica(io::Error),
    /// The client, who does not take it.
    Client(io::Error),
}

/// Writes a replica's answer as it arrives, counts the bytes of its body in `passed`, and returns what becomes of the
/// connection.
///
/// # Errors
/// The replica broke off, or the client does not take it; what was written is not a whole answer then.
pub(super) fn relay(
    writer: &mut dyn Write,
    mut answer: Answer,
    fate: Fate,
    (without_body, is_old): (bool, bool),
    passed: &mut u64,
) -> Result<Fate, Broke> {
    let framing = framing(&answer, without_body, is_old);
    // A body that ends with the connection needs the connection to end.
    let fate = if framing == Framing::UntilClose { Fate::Close } else { fate };
    let mut buffer = Vec::with_capacity(HEAD);
    push_head(&mut buffer, &answer, framing, fate, without_body);
    copy(writer, &mut buffer, &mut answer.body, framing, passed)?;
    Ok(fate)
}

fn framing(answer: &Answer, without_body: bool, is_old: bool) -> Framing {
    let has_none = without_body
        || answer.status.is_informational()
        || matches!(answer.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    match answer.length {
        _ if has_none => Framing::None,
        Some(length) => Framing::Length(length),
        None if is_old => Framing::UntilClose,
        None => Framing::Chunked,
    }
}

fn push_head(bytes: &mut Vec<u8>, answer: &Answer, framing: Framing, fate: Fate, without_body: bool) {
    push_status(bytes, answer.status);
    for (name, value) in &answer.headers {
        bytes.extend_from_slice(name.as_str().as_bytes());
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    let length = match framing {
        Framing::Length(length) => Some(length),
        // The length that a GET would have brought.
        Framing::None if answer.status == StatusCode::NO_CONTENT => None,
        Framing::None if without_body || answer.status == StatusCode::NOT_MODIFIED => answer.declared_length,
        _ => None,
    };
    if let Some(length) = length {
        bytes.extend_from_slice(format!("content-length: {length}\r\n").as_bytes());
    }
    if framing == Framing::Chunked {
        bytes.extend_from_slice(b"transfer-encoding: chunked\r\n");
    }
    bytes.extend_from_slice(fate.field().as_bytes());
    bytes.extend_from_slice(b"\r\n");
}

/// Writes what is in `buffer`, the head, together with the first of the body, and then the rest as it comes.
fn copy(
    writer: &mut dyn Write,
    buffer: &mut Vec<u8>,
    body: &mut dyn Read,
    framing: Framing,
    passed: &mut u64,
) -> Result<(), Broke> {
    let mut part = match framing {
        // One byte more than the body: there must be room to read its end.
        Framing::Length(length) => vec![0; length.saturating_add(1).min(BUFFER as u64) as usize],
        Framing::None => Vec::new(),
        Framing::Chunked | Framing::UntilClose => vec![0; BUFFER],
    };
    // Also the end is read: only then does the connection to the replica go back to be used again.
    let mut ended = framing == Framing::None;
    while !ended {
        let n = match body.read(&mut part) {
            Ok(n) => n,
            Err(error) => {
                // What has come so far reaches the client before the connection ends.
                let _ = writer.write_all(buffer).and_then(|()| writer.flush());
                return Err(Broke::Replica(error));
            }
        };
        *passed += n as u64;
        ended = n == 0;
        match framing {
            Framing::Chunked if ended => buffer.extend_from_slice(b"0\r\n\r\n"),
            Framing::Chunked => push_chunk(buffer, &part[..n]),
            _ => buffer.extend_from_slice(&part[..n]),
        }
        // The last part of a body of known length is written with its end.
        if !ended && framing != Framing::Length(*passed) {
            flush(writer, buffer).map_err(Broke::Client)?;
        }
    }
    flush(writer, buffer).map_err(Broke::Client)
}

fn push_chunk(buffer: &mut Vec<u8>, data: &[u8]) {
    buffer.extend_from_slice(format!("{:x}\r\n", data.len()).as_bytes());
    buffer.extend_from_slice(data);
    buffer.extend_from_slice(b"\r\n");
}

fn flush(writer: &mut dyn Write, buffer: &mut Vec<u8>) -> io::Result<()> {
    writer.write_all(buffer)?;
    buffer.clear();
    writer.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_is_one_message_with_its_length() {
        let reply = Reply::try_again("no");
        let text = String::from_utf8(render(&reply, Fate::Close, false)).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert_eq!(body, r#"{"message":"<Error> no","status":"failure"}"#);
        assert_eq!(
            head.split("\r\n").collect::<Vec<_>>(),
            [
                "HTTP/1.1 503 Service Unavailable",
                "Content-Type: application/json",
                &format!("Content-Length: {}", body.len()),
                "Retry-After: 1",
                "Connection: close",
            ]
        );
        assert!(render(&reply, Fate::KeepAlive, true).ends_with(b"Retry-After: 1\r\n\r\n"));
    }

    fn copied(framing: Framing, parts: &'static [&'static str]) -> String {
        struct Parts(std::slice::Iter<'static, &'static str>);
        impl Read for Parts {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                self.0.next().map_or(Ok(0), |part| part.as_bytes().read(buffer))
            }
        }
        let mut out = Vec::new();
        copy(&mut out, &mut b"H".to_vec(), &mut Parts(parts.iter()), framing, &mut 0).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn bodies_are_framed_as_announced() {
        assert_eq!(copied(Framing::None, &["never read"]), "H");
        assert_eq!(copied(Framing::Length(5), &["abc", "de"]), "Habcde");
        assert_eq!(
            copied(Framing::Chunked, &["abc", "0123456789abcdef"]),
            "H3\r\nabc\r\n10\r\n0123456789abcdef\r\n0\r\n\r\n"
        );
        assert_eq!(copied(Framing::Chunked, &[]), "H0\r\n\r\n");
        assert_eq!(copied(Framing::UntilClose, &["abc"]), "Habc");
    }

    #[test]
    fn a_body_that_breaks_off_is_not_ended() {
        struct Breaks(bool);
        impl Read for Breaks {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                if std::mem::replace(&mut self.0, true) {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                b"abc".as_slice().read(buffer)
            }
        }
        let mut out = Vec::new();
        assert!(copy(&mut out, &mut b"H".to_vec(), &mut Breaks(false), Framing::Chunked, &mut 0).is_err());
        assert_eq!(out, b"H3\r\nabc\r\n");
    }
}
