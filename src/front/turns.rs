//! One request at a time for each connection.
//!
//! tiny_http reads ahead: a client that sends eight requests at once has eight of them handed out at once, and a
//! worker that answers the second waits, without end, for the answer to the first. So a request waits here, without
//! a worker, until those before it on its connection are answered.

use std::collections::{HashMap, HashSet, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::connection::Connection;
use super::ended::{Ended, Remembered};
use super::incoming::Incoming;

/// Requests that may wait behind one on the same connection. Browsers do not pipeline at all; tools that do send a
/// handful. A connection with more is ended.
const MOST_PARKED: usize = 32;

/// What takes a request whose turn it is.
pub(super) type Onward = Box<dyn Fn(Arrival) + Send + Sync>;

/// A request and the right to answer it. The order is that in which they are dropped: the next request on the
/// connection cannot be answered, or dropped, before this one is done with.
pub(super) struct Arrival {
    pub(super) incoming: Incoming,
    pub(super) turn: Turn,
}

/// Keeps the connections in order. The lock covers a look-up in a map.
pub(super) struct Turns {
    connections: Mutex<Connections>,
    /// Told when the last request under way has been answered.
    idle: Condvar,
    onward: Onward,
}

/// The connections that have a request under way or were ended a moment ago.
#[derive(Default)]
struct Connections {
    busy: HashMap<SocketAddr, Waiting>,
    ended: Ended,
    /// Requests that were taken in so far.
    arrived: u64,
}

/// What waits behind the request under way on one connection.
#[derive(Default)]
struct Waiting {
    parked: VecDeque<Incoming>,
    /// Nothing that waits is to be answered any more.
    ended: bool,
}

impl Turns {
    /// Hands each request to `onward` when its turn has come.
    pub(super) fn new(onward: Onward) -> Arc<Turns> {
        Arc::new(Turns { connections: Mutex::default(), idle: Condvar::new(), onward })
    }

    fn lock(&self) -> MutexGuard<'_, Connections> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in a request: it goes onward now, or when its turn comes, or nowhere if its connection was ended.
    pub(super) fn arrive(self: &Arc<Self>, mut incoming: Incoming) {
        let connection = incoming.connection();
        let mut connections = self.lock();
        connections.arrived += 1;
        match connections.ended.state(connection.peer(), Instant::now()) {
            Remembered::No => {}
            Remembered::Severed => {
                drop(connections);
                incoming.note_severed();
                return;
            }
            Remembered::Perhaps => {
                // The lock goes first: looking at a socket takes time, and so does dropping a request.
                drop(connections);
                let severed = connection.is_severed();
                connections = self.lock();
                if severed {
                    connections.ended.confirm(connection.peer(), Instant::now());
                    drop(connections);
                    incoming.note_severed();
                    return;
                }
                // Another connection from the same address and port.
                connections.ended.forget(connection.peer());
            }
        }
        if let Some(waiting) = connections.busy.get_mut(&connection.peer()) {
            let too_many = waiting.parked.len() >= MOST_PARKED && !waiting.ended;
            waiting.ended |= too_many;
            // Also when that was too many: dropping it now would wait for the answers before it. The severed
            // connection brings at most the few more that were read already.
            waiting.parked.push_back(incoming);
            drop(connections);
            if too_many {
                log::debug!("{} pipelines more than {MOST_PARKED} requests: ended", connection.peer());
                connection.sever();
            }
            return;
        }
        connections.busy.insert(connection.peer(), Waiting::default());
        drop(connections);
        (self.onward)(Arrival { incoming, turn: Turn { turns: self.clone(), connection } });
    }

    /// The clients that have a request under way.
    pub(super) fn busy(&self) -> HashSet<SocketAddr> {
        self.lock().busy.keys().copied().collect()
    }

    /// Waits until no request has been under way for a time of `quiet`, at most until `deadline`; returns how many
    /// connections still have one.
    pub(super) fn wait_until_quiet(&self, quiet: Duration, deadline: Instant) -> usize {
        let mut connections = self.lock();
        let (mut arrived, mut since) = (connections.arrived, Instant::now());
        loop {
            if !connections.busy.is_empty() || connections.arrived != arrived {
                (arrived, since) = (connections.arrived, Instant::now());
            }
            let now = Instant::now();
            if now >= deadline || now - since >= quiet {
                return connections.busy.len();
            }
            let wait = match connections.busy.is_empty() {
                true => (quiet - (now - since)).min(deadline - now),
                // Told of the end of the last one.
                false => deadline - now,
            };
            connections = self.idle.wait_timeout(connections, wait).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// The request under way on `connection` has been answered.
    fn finish(self: &Arc<Self>, connection: Connection) {
        let peer = connection.peer();
        let mut connections = self.lock();
        let next = match connections.busy.get_mut(&peer) {
            Some(waiting) if !waiting.ended => waiting.parked.pop_front(),
            _ => None,
        };
        if let Some(next) = next {
            drop(connections);
            (self.onward)(Arrival { incoming: next, turn: Turn { turns: self.clone(), connection } });
            return;
        }
        let mut abandoned = connections.busy.remove(&peer);
        if abandoned.as_ref().is_some_and(|waiting| waiting.ended) {
            connections.ended.remember(peer, Instant::now());
        }
        if connections.busy.is_empty() {
            self.idle.notify_all();
        }
        // The lock goes first: dropping requests touches their sockets.
        drop(connections);
        abandoned.iter_mut().flat_map(|waiting| &mut waiting.parked).for_each(Incoming::note_severed);
    }
}

/// The right to answer on a connection; dropping it is the next request's turn. It must outlive its request: the next
/// one's answer waits in tiny_http until this one's has been written or dropped.
pub(super) struct Turn {
    turns: Arc<Turns>,
    connection: Connection,
}

impl Turn {
    /// Nothing that was read from this connection after the current request is to be answered.
    pub(super) fn end_connection(&self) {
        if let Some(waiting) = self.turns.lock().busy.get_mut(&self.connection.peer()) {
            waiting.ended = true;
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.turns.finish(self.connection);
    }
}
