//! A request as tiny_http hands it over, made safe to drop.

use std::mem;
use std::time::{Duration, Instant};

use tiny_http::{Header, Request};

use super::connection::Connection;

/// Largest body that a request may announce. tiny_http, when it drops a request whose body was not read, allocates
/// the rest of the announced length in one piece; more memory than the machine has, and the process is aborted. Up
/// to this size the allocation is harmless, because untouched memory costs nothing.
pub(super) const LARGEST_BODY: u64 = 1 << 30;

/// Whether a request has a body that may still be on its way: tiny_http has read a body of up to a kilobyte before it hands
/// the request over, unless the client waits to be asked for it.
pub(super) fn arrives_later(request: &Request) -> bool {
    let is_late = |header: &Header| header.field.equiv("Transfer-Encoding") || header.field.equiv("Expect");
    request.body_length().is_some_and(|length| length > 1024) || request.headers().iter().any(is_late)
}

/// A request that has arrived, with the connection it came over.
pub(super) struct Incoming {
    /// There until it is taken or dropped.
    request: Option<Request>,
    connection: Connection,
    /// The connection has been ended already.
    severed: bool,
    arrived: Instant,
}

impl Incoming {
    /// Takes a request in. `None` for one whose client is unknown, which TCP connections never bring.
    pub(super) fn new(request: Request, local_port: u16) -> Option<Incoming> {
        let peer = *request.remote_addr()?;
        let connection = Connection::new(peer, local_port);
        Some(Incoming { request: Some(request), connection, severed: false, arrived: Instant::now() })
    }

    /// Where it came from.
    pub(super) fn connection(&self) -> Connection {
        self.connection
    }

    /// The request, to look at.
    pub(super) fn request(&self) -> Option<&Request> {
        self.request.as_ref()
    }

    /// When it arrived.
    pub(super) fn arrived(&self) -> Instant {
        self.arrived
    }

    /// How long it has been here.
    pub(super) fn age(&self) -> Duration {
        self.arrived.elapsed()
    }

    /// Notes that the connection has been ended, which is then not done again.
    pub(super) fn note_severed(&mut self) {
        self.severed = true;
    }

    /// The request, once it has been found safe to drop.
    pub(super) fn into_request(mut self) -> Option<Request> {
        self.request.take()
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        let Some(request) = self.request.take() else {
            return;
        };
        // The client gets no answer any more; without this, tiny_http would wait for the rest of the body.
        if !self.severed {
            self.connection.sever();
        }
        if request.body_length().is_some_and(|length| length as u64 > LARGEST_BODY) {
            // Costs a thread and two descriptors for good; dropping it would cost the process.
            log::warn!("a request from {} announces an absurd body: left to leak", self.connection.peer());
            mem::forget(request);
        }
    }
}
