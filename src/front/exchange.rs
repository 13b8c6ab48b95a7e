//! One request that was admitted, and the one way to answer it.

use std::io::{self, Read, Write};
use std::mem;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::StatusCode;
use tiny_http::Request;

use super::admission::{self, Framing, Head, RawHead};
use super::body::{ChunkedBody, chunks, closes_itself, is_raw};
use super::connection::{Connection, Socket};
use super::incoming::arrives_later;
use super::ledger::{Entry, Ledger, Outcome};
use super::outbox::{After, Delivery, Errand, Outbox};
use super::pace::Paced;
use super::respond::{self, Fate};
use super::turns::{Arrival, Turn};
use super::{Side, unsound};
use crate::admin::{Call, Endpoint, Reply, Stream, Visitor};
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
    /// What clients do not take at once waits there.
    pub(super) outbox: Outbox,
}

impl Exchange {
    /// Admits a request, or answers that it is not admitted and ends its connection.
    pub(super) fn admit(arrival: Arrival, manners: &Arc<Manners>) -> Option<Exchange> {
        let connection = arrival.incoming.connection();
        let checked = arrival.incoming.request().map(|request| {
            admission::admit(&RawHead::of(request))
                .map(|head| (head, closes_itself(request), is_raw(request)))
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
            Err(refusal) => {
                unsound::turn_away(arrival, &refusal, manners);
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
        let (method, query) = (&self.head.method, self.head.target.query());
        Call { endpoint, method, query, visitor, request_id: self.entry.shown_id() }
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
        // Each read has the patience of the socket; all of them together have until then.
        let socket = arrives_later(request).then(|| connection.socket()).flatten();
        let curfew = socket.map(|socket| self.manners.outbox.end_reading_at(deadline, socket));
        let mut body: Box<dyn Read> = match announced {
            Framing::Length(length) if length > limit => return Ok(None),
            Framing::Length(length) => Box::new(request.as_reader().take(length)),
            _ => Box::new(
                ChunkedBody { chunks: Paced::new(chunks(request, is_raw), patience), connection }
                    .take(limit + 1),
            ),
        };
        let mut bytes = Vec::new();
        let copied = body.read_to_end(&mut bytes);
        drop(body);
        let read = bytes.len() as u64;
        // Also a body that seems whole: a chunked one ends wherever nothing more is read.
        if curfew.is_some() && Instant::now() >= deadline {
            return Err(io::ErrorKind::TimedOut.into());
        }
        copied?;
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
        self.take_what_has_come();
        let fate = self.fate();
        let reply = reply.traced(self.entry.shown_id());
        let without_body = self.head.method == http::Method::HEAD;
        let bytes = respond::render(&reply, fate, without_body);
        let sent = if without_body { 0 } else { reply.body.len() as u64 };
        let outcome = Outcome { status: reply.status, bytes: sent, complete: true };
        if !self.body_read {
            // tiny_http would first wait for the rest of the body, or take what is left of it for a request.
            return match self.connection.socket() {
                Some(socket) => self.deliver(socket, bytes, outcome, After::EndGently),
                None => self.give_up(outcome),
            };
        }
        if self.entry.belongs_to_admin()
            && let Some(socket) = self.connection.socket()
        {
            let ends = fate == Fate::Close && !self.closes_itself;
            return self.deliver(socket, bytes, outcome, if ends { After::End } else { After::Next });
        }
        let Some(request) = self.request.take() else {
            return;
        };
        let mut writer = Paced::new(request.into_writer(), self.manners.idle_timeout);
        let complete = writer.write_all(&bytes).and_then(|()| writer.flush()).is_ok();
        self.close(Outcome { complete, ..outcome });
        self.leave(fate, writer);
    }

    /// Reads a body that tiny_http has in memory already, so that the connection can go on whatever the answer is.
    fn take_what_has_come(&mut self) {
        if let Some(request) = self.request.as_mut().filter(|_| !self.body_read)
            && !self.is_raw
            && !arrives_later(request)
        {
            self.body_read = io::copy(request.as_reader(), &mut io::sink()).is_ok();
        }
    }

    /// Sends an answer past tiny_http, so that no thread waits for its client.
    fn deliver(mut self, socket: Socket, bytes: Vec<u8>, outcome: Outcome, after: After) {
        if after != After::Next {
            self.turn.end_connection();
        }
        // A request whose body was not read must not be dropped before its connection has ended.
        let writer = self.request.take_if(|_| self.body_read).map(Request::into_writer);
        let (outbox, answered) = (self.manners.outbox.clone(), Answered { exchange: self, writer, outcome });
        outbox.deliver(Delivery::new(socket, bytes, after, Box::new(answered)));
    }

    /// The client has gone, and what was to be said finds nobody.
    fn give_up(mut self, outcome: Outcome) {
        self.turn.end_connection();
        self.close(Outcome { bytes: 0, complete: false, ..outcome });
        // Taken, so that it does not count as unanswered.
        drop(self.request.take());
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
        let mut complete = write(&respond::stream_head(self.entry.shown_id())).is_ok();
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
        let (status, mut bytes) = (answer.status, 0);
        let Some(socket) = self.connection.socket() else {
            return self.give_up(Outcome { status, bytes, complete: false });
        };
        let mut socket = Paced::new(socket, self.manners.idle_timeout);
        let relayed = respond::relay(&mut socket, answer, Fate::Close, shape, &mut bytes);
        let outcome = Outcome { status, bytes, complete: relayed.is_ok() };
        match relayed {
            // All is sent already; what is left is the client's time to read it.
            Ok(_) => self.deliver(socket.into_inner(), Vec::new(), outcome, After::EndGently),
            Err(broke) => {
                self.close(outcome);
                self.manners.ledger.broke_off(&self.entry, &broke);
                socket.into_inner().sever();
                // Taken, so that it does not count as unanswered.
                drop(self.request.take());
            }
        }
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

/// An exchange whose answer is on its way.
struct Answered {
    exchange: Exchange,
    /// Held until the answer is sent: it keeps the connection's descriptors open.
    writer: Option<Box<dyn Write + Send>>,
    outcome: Outcome,
}

impl Errand for Answered {
    fn sent(&mut self, complete: bool) {
        self.exchange.close(Outcome { complete: complete && self.outcome.complete, ..self.outcome });
    }
}

impl Drop for Answered {
    fn drop(&mut self) {
        drop(self.writer.take());
        // Taken, so that it does not count as unanswered.
        drop(self.exchange.request.take());
    }
}
