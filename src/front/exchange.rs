//! One request that was admitted, and the one way to answer it.

use std::io::{self, Read, Write};
use std::mem;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chunked_transfer::Decoder;
use http::StatusCode;
use tiny_http::Request;

use super::Side;
use super::admission::{self, Framing, Head, RawHead, Refusal};
use super::connection::{Connection, Parting};
use super::ledger::{Entry, Ledger, Outcome};
use super::pace::Paced;
use super::respond::{self, Fate};
use super::turns::{Arrival, Turn};
use crate::admin::{ALLOW, Call, Endpoint, Reply, Stream, Visitor};
use crate::forward::{Answer, Body, Outbound};
use crate::metrics::Refused;
use crate::shutdown::Shutdown;

/// A request whose head is sound, with the right to answer it. Dropping it unanswered ends the connection.
pub(super) struct Exchange {
    /// There until the answer is written.
    request: Option<Request>,
    head: Head,
    connection: Connection,
    /// Whether the body, if there is one, has been read to its end. Only then can the connection go on.
    body_read: bool,
    /// tiny_http ends the connection by itself after this request.
    closes_itself: bool,
    /// tiny_http leaves the body as it is on the wire.
    is_raw: bool,
    /// How long it waited for a thread.
    waited: Duration,
    manners: Arc<Manners>,
    /// What is written down of it.
    entry: Entry,
    /// Last, because fields are dropped in order: the next request's turn comes when this one is done with.
    turn: Turn,
}

/// What an exchange needs to know of the front it takes place in.
pub(super) struct Manners {
    /// How long a client may have us wait.
    pub(super) idle_timeout: Duration,
    /// Once it has begun, connections end with their answers.
    pub(super) shutdown: Shutdown,
    /// Where exchanges are written down.
    pub(super) ledger: Ledger,
    /// What is served there.
    pub(super) side: Side,
}

impl Exchange {
    /// Admits a request, or answers that it is not admitted and ends its connection.
    pub(super) fn admit(mut arrival: Arrival, manners: &Arc<Manners>) -> Option<Exchange> {
        let connection = arrival.incoming.connection();
        let checked = arrival.incoming.request().map(|request| {
            admission::admit(&raw_head(request)).map(|head| (head, closes_itself(request), is_raw(request)))
        });
        match checked? {
            Ok((head, closes_itself, is_raw)) => {
                let Arrival { incoming, turn } = arrival;
                let body_read = head.framing == Framing::None;
                let waited = incoming.age();
                let entry = manners.ledger.open(connection.peer(), &head, incoming.arrived());
                let request = Some(incoming.into_request()?);
                let manners = manners.clone();
                Some(Exchange {
                    request,
                    head,
                    connection,
                    body_read,
                    closes_itself,
                    is_raw,
                    waited,
                    manners,
                    entry,
                    turn,
                })
            }
            Err(Refusal { status, why }) => {
                log::debug!("request from {} refused: {status}: {why}", connection.peer());
                arrival.turn.end_connection();
                let reply = Reply::failure(status, &why);
                // Only CONNECT is refused for its method.
                let reply = match status {
                    StatusCode::METHOD_NOT_ALLOWED => reply.with(ALLOW.0, ALLOW.1),
                    _ => reply,
                };
                let raw =
                    arrival.incoming.request().map_or(("-", "-"), |raw| (raw.method().as_str(), raw.url()));
                let without_body = raw.0 == "HEAD";
                let bytes = if without_body { 0 } else { reply.body.len() as u64 };
                let outcome = Outcome { status, bytes, complete: true };
                let (waited, is_admin) = (arrival.incoming.age(), manners.side == Side::Admin);
                manners.ledger.turned_away(connection.peer(), raw, outcome, waited, is_admin);
                let rendered = respond::render(&reply, Fate::Close, without_body);
                connection.send_and_sever(&rendered, parting(status));
                arrival.incoming.note_severed();
                None
            }
        }
    }

    /// The path without the query.
    pub(super) fn path(&self) -> &str {
        self.head.target.path()
    }

    /// This as a call of the admin side.
    pub(super) fn call(&self, endpoint: Endpoint) -> Call<'_> {
        let visitor = Visitor::new(self.connection.peer().ip(), &self.head.headers);
        Call { endpoint, method: &self.head.method, query: self.head.target.query(), visitor }
    }

    /// What is written down of it.
    pub(super) fn entry(&mut self) -> &mut Entry {
        &mut self.entry
    }

    /// The request as it is to be forwarded. A short body is read now.
    ///
    /// # Errors
    /// The client's, when it does not send the body it announced.
    pub(super) fn outbound(&mut self) -> io::Result<Outbound<'_>> {
        let headers = mem::take(&mut self.head.headers);
        let (method, target) = (self.head.method.clone(), self.head.target.clone());
        let client = self.connection.peer().ip();
        let (connection, patience) = (self.connection, self.manners.idle_timeout);
        let body = match (self.head.framing, self.request.as_mut()) {
            (Framing::None, _) | (_, None) => Body::Empty,
            (Framing::Length(length), Some(request)) => {
                Body::read(Box::new(Paced::new(request.as_reader(), patience)), Some(length))?
            }
            (Framing::Chunked, Some(request)) => {
                let chunks = Paced::new(chunks(request, self.is_raw), patience);
                Body::read(Box::new(ChunkedBody { chunks, connection }), None)?
            }
        };
        let (is_old, waited, id) = (self.head.is_old, self.waited, self.entry.request_id().clone());
        Ok(Outbound { method, target, headers, client, is_old, waited, id, attempts: 0, body })
    }

    /// The whole body, if it is at most `limit` bytes long; `None` if it is longer.
    ///
    /// # Errors
    /// The client's, when it does not send the body it announced, or takes until after `deadline`.
    pub(super) fn small_body(&mut self, limit: u64, deadline: Instant) -> io::Result<Option<Vec<u8>>> {
        let (announced, connection) = (self.head.framing, self.connection);
        let (patience, is_raw) = (self.manners.idle_timeout, self.is_raw);
        let Some(request) = self.request.as_mut().filter(|_| announced != Framing::None) else {
            return Ok(Some(Vec::new()));
        };
        let mut body: Box<dyn Read> = match announced {
            Framing::Length(length) if length > limit => return Ok(None),
            Framing::Length(length) => Box::new(request.as_reader().take(length)),
            _ => Box::new(
                ChunkedBody { chunks: Paced::new(chunks(request, is_raw), patience), connection }
                    .take(limit + 1),
            ),
        };
        let (mut bytes, mut part) = (Vec::new(), [0; 4096]);
        loop {
            let n = body.read(&mut part)?;
            bytes.extend_from_slice(&part[..n]);
            if n == 0 {
                break;
            }
            if Instant::now() > deadline {
                return Err(io::ErrorKind::TimedOut.into());
            }
        }
        drop(body);
        let read = bytes.len() as u64;
        if matches!(announced, Framing::Length(length) if length != read) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.body_read = read <= limit;
        Ok(Some(bytes).filter(|_| read <= limit))
    }

    /// Notes that the body has been read to its end.
    pub(super) fn body_was_read(&mut self) {
        self.body_read = true;
    }

    /// Notes that the request could not be answered, and why.
    pub(super) fn failed(&self, refused: Option<Refused>, why: &str) {
        self.manners.ledger.failed(&self.entry, refused, why);
    }

    fn close(&self, outcome: Outcome) {
        self.manners.ledger.close(&self.entry, outcome);
    }

    /// Answers with something of our own.
    pub(super) fn reply(mut self, reply: &Reply) {
        let fate = self.fate();
        let reply = &*reply.traced(self.entry.shown_id());
        let without_body = self.head.method == http::Method::HEAD;
        let bytes = respond::render(reply, fate, without_body);
        let sent = if without_body { 0 } else { reply.body.len() as u64 };
        let outcome = Outcome { status: reply.status, bytes: sent, complete: true };
        if !self.body_read {
            // tiny_http would first wait for the rest of the body, or take what is left of it for a request.
            self.turn.end_connection();
            self.close(outcome);
            self.connection.send_and_sever(&bytes, Parting::Gently);
            // Taken, so that it does not count as unanswered.
            drop(self.request.take());
            return;
        }
        let Some(request) = self.request.take() else {
            return;
        };
        let mut writer = request.into_writer();
        let complete = writer.write_all(&bytes).and_then(|()| writer.flush()).is_ok();
        self.close(Outcome { complete, ..outcome });
        self.leave(fate, writer);
    }

    /// Whether the request has a body that was not read to its end.
    pub(super) fn has_unread_body(&self) -> bool {
        !self.body_read
    }

    /// Answers and ends the connection: who is turned away gets no second answer on it.
    pub(super) fn turn_away(mut self, reply: &Reply) {
        self.head.keeps_alive = false;
        self.reply(reply);
    }

    /// Answers with events as they happen, until they end or the client goes.
    pub(super) fn stream(mut self, mut events: Stream) {
        let Some(request) = self.request.take() else {
            return;
        };
        self.turn.end_connection();
        let mut writer = Paced::new(request.into_writer(), self.manners.idle_timeout);
        let mut bytes = 0;
        let mut write = |text: &[u8]| writer.write_all(text).and_then(|()| writer.flush());
        let mut complete = write(respond::stream_head()).is_ok();
        while complete && let Some(part) = events.next_part() {
            complete = write(part.as_bytes()).is_ok();
            bytes += part.len() as u64;
        }
        self.close(Outcome { status: StatusCode::OK, bytes, complete });
        self.connection.sever();
    }

    /// Answers that the client's body did not arrive.
    pub(super) fn reply_to_broken_body(self, error: &io::Error) {
        let reply = match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
                Reply::about_request(StatusCode::REQUEST_TIMEOUT, "the request body did not arrive in time")
            }
            _ => {
                Reply::about_request(StatusCode::BAD_REQUEST, "the request body is broken or ended too early")
            }
        };
        self.reply(&reply);
    }

    /// Answers with what a replica answered. An answer that breaks off ends the connection, so that the client can
    /// see that it is not whole.
    pub(super) fn relay(mut self, answer: Answer) {
        self.entry.served_by(&answer);
        if !self.body_read {
            return self.relay_early(answer);
        }
        let (fate, status) = (self.fate(), answer.status);
        let shape = (self.head.method == http::Method::HEAD, self.head.is_old);
        let Some(request) = self.request.take() else {
            return;
        };
        let mut writer = Paced::new(request.into_writer(), self.manners.idle_timeout);
        let mut bytes = 0;
        let relayed = respond::relay(&mut writer, answer, fate, shape, &mut bytes);
        self.close(Outcome { status, bytes, complete: relayed.is_ok() });
        match relayed {
            Ok(fate) => self.leave(fate, writer),
            Err(broke) => {
                self.manners.ledger.broke_off(&self.entry, &broke);
                self.turn.end_connection();
                self.connection.sever();
            }
        }
    }

    /// The replica has answered while the client is still sending. tiny_http would first read the rest; so the answer goes
    /// past it, and the connection ends, because what follows on it is not to be told from the rest of this request.
    fn relay_early(mut self, answer: Answer) {
        self.turn.end_connection();
        let shape = (self.head.method == http::Method::HEAD, self.head.is_old);
        if let Some(socket) = self.connection.socket() {
            let mut socket = Paced::new(socket, self.manners.idle_timeout);
            let (status, mut bytes) = (answer.status, 0);
            let relayed = respond::relay(&mut socket, answer, Fate::Close, shape, &mut bytes);
            self.close(Outcome { status, bytes, complete: relayed.is_ok() });
            if let Err(broke) = &relayed {
                self.manners.ledger.broke_off(&self.entry, broke);
            }
            let parting = if relayed.is_ok() { Parting::Gently } else { Parting::AtOnce };
            socket.into_inner().sever(parting);
        }
        // Taken, so that it does not count as unanswered.
        drop(self.request.take());
    }

    fn fate(&self) -> Fate {
        match (
            self.closes_itself || self.manners.shutdown.begun() || !self.body_read || !self.head.keeps_alive,
            self.head.is_old,
        ) {
            (true, _) => Fate::Close,
            (false, true) => Fate::KeepAliveOld,
            (false, false) => Fate::KeepAlive,
        }
    }

    /// Ends the connection after the answer, if that was announced and tiny_http does not do it.
    fn leave(&self, fate: Fate, writer: impl Write) {
        if fate == Fate::Close && !self.closes_itself {
            self.turn.end_connection();
            self.connection.sever();
        }
        // Held until here: it keeps the connection's descriptors open.
        drop(writer);
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        // Whoever dropped it unanswered (a panic) has left the client waiting.
        if self.request.is_some() {
            self.turn.end_connection();
            self.connection.sever();
        }
    }
}

/// A chunked body that does not pass for whole when the client ended in the middle of a chunk, which tiny_http's
/// decoder takes for the end of the body. (A client that ends its side right behind the last chunk is refused too.)
struct ChunkedBody<'a> {
    chunks: Paced<Box<dyn Read + 'a>>,
    connection: Connection,
}

impl Read for ChunkedBody<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.chunks.read(buffer)? {
            0 if !buffer.is_empty() && self.connection.has_ended() => {
                Err(io::ErrorKind::UnexpectedEof.into())
            }
            n => Ok(n),
        }
    }
}

/// A client that is told that its body is too large is probably sending it.
fn parting(status: StatusCode) -> Parting {
    if status == StatusCode::PAYLOAD_TOO_LARGE { Parting::Gently } else { Parting::AtOnce }
}

fn raw_head(request: &Request) -> RawHead<'_> {
    let version = request.http_version();
    RawHead {
        method: request.method().as_str(),
        target: request.url(),
        version: (version.0, version.1),
        fields: request.headers().iter().map(|h| (h.field.as_str().as_str(), h.value.as_str())).collect(),
    }
}

/// What the first `Connection` field says, the only one tiny_http looks at.
fn first_connection_field(request: &Request) -> String {
    let field = request.headers().iter().find(|header| header.field.equiv("Connection"));
    field.map(|header| header.value.as_str().to_ascii_lowercase()).unwrap_or_default()
}

fn closes_itself(request: &Request) -> bool {
    let options = first_connection_field(request);
    let is_old = *request.http_version() == tiny_http::HTTPVersion(1, 0);
    options.contains("close") || options.contains("upgrade") || (is_old && !options.contains("keep-alive"))
}

/// tiny_http hands out the bare connection as the body of a request that asks for an upgrade. Who asks for one here is
/// served without it.
fn is_raw(request: &Request) -> bool {
    first_connection_field(request).contains("upgrade")
}

/// The chunks of a body as what they hold.
fn chunks<'a>(request: &'a mut Request, is_raw: bool) -> Box<dyn Read + 'a> {
    match is_raw {
        true => Box::new(Decoder::new(request.as_reader())),
        false => Box::new(request.as_reader()),
    }
}
