//! The front: one HTTP request in, one answer out. The only place that knows tiny_http, and where its faults are
//! made good, so that nothing further in has to know of them.
//!
//! A request comes from the `listener`, waits for its turn on its connection (`turns`), is queued by kind
//! (`workers`), checked (`admission`), and answered (`exchange`, `respond`; what a client does not take at once waits in
//! the `outbox`). The `doorman` sees to it that
//! no connection is forgotten on the way in, the `warden` that none stays without using it.
//!
//! Invariant: nothing here decides which replica serves a request.

mod admission;
mod body;
mod connection;
mod doorman;
mod ended;
mod exchange;
mod farewell;
#[doc(hidden)]
pub mod fuzzing;
mod incoming;
mod ledger;
mod listener;
mod outbox;
mod pace;
mod respond;
mod survey;
mod turns;
mod unsound;
mod warden;
mod workers;

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::Sender;

pub use ledger::Ledger;

use crate::admin::{Admin, Endpoint};
use crate::forward::Forwarder;
use crate::shutdown::Shutdown;
use listener::Listener;
use turns::Turns;
use warden::{Limits, Post, Surplus};

/// How long a client that has a connection may be silent at the end until the connection is ended. Clients that are
/// busy send again at once; this covers their pauses, and the time that a request is on its way.
const GRACE: Duration = Duration::from_millis(500);

/// The same when a successor takes over in place: new clients have to wait meanwhile.
const SHORT_GRACE: Duration = Duration::from_millis(100);

/// What is served at an address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Side {
    /// Everything.
    Both,
    /// Requests for replicas; every path is theirs.
    Traffic,
    /// The balancer's own paths.
    Admin,
}

impl Side {
    /// The endpoint of the admin side at `path`, if it is served here.
    fn endpoint(self, path: &str) -> Option<Endpoint> {
        Endpoint::at(path).filter(|_| self != Side::Traffic)
    }
}

/// Who answers, and where that is written down.
#[derive(Clone)]
pub struct Counter {
    /// The admin side.
    pub admin: Admin,
    /// The way to the replicas.
    pub forwarder: Arc<Forwarder>,
    /// What is written down of each exchange.
    pub ledger: Ledger,
}

/// How the front behaves.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What is served.
    pub side: Side,
    /// Threads that carry requests to replicas: so many requests are under way at most.
    pub workers: usize,
    /// Requests that may wait for a worker; over it, clients are asked to come again.
    pub queue: usize,
    /// Whether a replica's 404 becomes the contract's 400.
    pub maps_404: bool,
    /// How long a client may say nothing, or not read, before its connection ends.
    pub idle_timeout: Duration,
    /// How long the head of a request may take from its first byte to its last.
    pub head_timeout: Duration,
    /// Connections at a time; `None` for as many as the descriptors allow.
    pub max_connections: Option<usize>,
}

impl Settings {
    /// How many connections there may be at a time; the limit of descriptors is raised first, which this may depend on.
    pub fn most_connections(&self) -> usize {
        self.max_connections.unwrap_or_else(|| {
            listener::raise_descriptor_limit();
            listener::room_for_connections(self.workers)
        })
    }
}

/// The open front.
pub struct Front {
    listener: Arc<Listener>,
    turns: Arc<Turns>,
    receiver: JoinHandle<()>,
    doorman: JoinHandle<()>,
    warden: JoinHandle<()>,
    /// Ends the doorman, who lets people in until nobody comes any more.
    closed: Shutdown,
    shutdown: Shutdown,
}

impl Front {
    /// Opens the front on a socket, which listens from now on if it did not before. `worn_out` is told when it has lost so
    /// many threads to connections that tiny_http never lets go of that a successor should take over.
    ///
    /// # Errors
    /// The socket cannot be set up, or the system has no threads for it.
    pub fn open(
        socket: TcpListener,
        counter: Counter,
        settings: &Settings,
        shutdown: Shutdown,
        worn_out: Sender<()>,
    ) -> io::Result<Front> {
        let surplus = Surplus::default();
        let metrics = counter.ledger.metrics.clone();
        let queues = workers::start(settings, counter, surplus.clone(), shutdown.clone())?;
        let turns = Turns::new(Box::new(move |arrival| queues.put(arrival)));
        let (listener, receiver) = Listener::start(socket, settings.idle_timeout, turns.clone())?;
        let closed = Shutdown::default();
        let (asked, told) = (listener.clone(), listener.clone());
        let doorman = doorman::start(
            listener.own_door(),
            closed.clone(),
            move || asked.is_lost(),
            move || told.reopen(),
        )?;
        let limits = Limits { head_timeout: settings.head_timeout, most: settings.most_connections() };
        let is_counted = settings.side != Side::Admin;
        let count = Box::new(move |connections| {
            if is_counted {
                metrics.set_connections(connections);
            }
        });
        let post = Post { door: listener.own_door(), turns: turns.clone(), surplus, count, worn_out };
        let warden = warden::start(post, limits, closed.clone())?;
        Ok(Front { listener, turns, receiver, doorman, warden, closed, shutdown })
    }

    /// Lets nobody new in, without turning anybody away yet; who has come already is let in before this returns. It
    /// comes before `shutdown`, so that clients who are told to come anew do not meet a door about to close.
    pub fn stop_admitting(&self) {
        // Whoever tiny_http has forgotten: afterwards the doorman cannot come in either.
        doorman::let_in(self.listener.own_door());
        self.listener.hold_off();
    }

    /// Leaves the front to a successor: the socket stays open, and who comes meanwhile waits in its queue. What was
    /// accepted is answered, until `deadline`. `shutdown` must have begun.
    ///
    /// # Errors
    /// The socket cannot be kept; the front is closed then.
    pub fn hand_over(self, deadline: Instant) -> io::Result<TcpListener> {
        let _standby = doorman::stand_by(self.listener.own_door());
        let socket = self.listener.pause();
        // The standby are clients that keep silent: they are ended with the others.
        self.finish(SHORT_GRACE, deadline);
        socket
    }

    /// Closes the front: no new connections, and whoever is connected is served until told that this is the end, or
    /// silent, or until `deadline`. `shutdown` must have begun.
    pub fn close(self, deadline: Instant) {
        self.listener.close();
        self.finish(GRACE, deadline);
    }

    fn finish(self, grace: Duration, deadline: Instant) {
        debug_assert!(self.shutdown.begun(), "the front closes when the program ends");
        let port = self.listener.own_door().port();
        let busy = farewell::serve_to_the_end(&self.turns, port, grace, deadline);
        if busy > 0 {
            log::warn!("{busy} requests are still under way at the end of the drain timeout");
        }
        self.closed.begin();
        self.listener.release();
        for thread in [self.receiver, self.doorman, self.warden] {
            if thread.join().is_err() {
                log::error!("a thread of the front had panicked");
            }
        }
    }
}
