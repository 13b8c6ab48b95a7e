//! The HTTP clients: as many as requests are under way at once, each used by one request at a time.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ureq::Agent;

use super::Settings;
use super::lines::Lines;
use super::trip::{Progress, Trip};
use super::wire::Dialler;
use crate::dial;

/// Largest head of an answer; the client refuses larger ones, as most servers do.
const ANSWER_HEAD_LIMIT: usize = 64 * 1024;

/// How long a connection to a replica may be idle and still be used again. Shorter than the five seconds after which
/// several servers in wide use close theirs.
const IDLE_AGE: Duration = Duration::from_secs(4);

/// Largest head of a request, in the form it is forwarded in: twice what the front admits.
const REQUEST_HEAD_LIMIT: usize = 64 * 1024;

/// A stack of clients. A request checks one out, so no two requests share ureq's connection pool and its lock.
///
/// Last in, first out: the connections that were used last are used next, and few are open when few are needed.
/// The lock here covers a push or a pop.
pub(super) struct Agents {
    settings: Settings,
    lines: Lines,
    idle: Arc<Mutex<Vec<Carrier>>>,
}

#[derive(Clone)]
struct Carrier {
    agent: Agent,
    trip: Trip,
}

impl Agents {
    pub(super) fn new(settings: &Settings, lines: Lines) -> Agents {
        Agents { settings: settings.clone(), lines, idle: Arc::default() }
    }

    /// A client like those of [`Agents::check_out`], but without any connection yet.
    pub(super) fn check_out_new(&self, begun: Instant, deadline: Instant, streams: bool) -> CheckedOut {
        // In the place of another, so that there are never more than are needed at once.
        drop(self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop());
        self.hand_out(self.carrier(), begun, deadline, streams)
    }

    /// A client that nobody else uses, for a request that is under way since `begun`, whose answer must have begun at `deadline`; `streams` if its body
    /// comes as it is forwarded.
    pub(super) fn check_out(&self, begun: Instant, deadline: Instant, streams: bool) -> CheckedOut {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        self.hand_out(idle.unwrap_or_else(|| self.carrier()), begun, deadline, streams)
    }

    fn carrier(&self) -> Carrier {
        Carrier::new(&self.settings, self.lines.clone())
    }

    fn hand_out(&self, carrier: Carrier, begun: Instant, deadline: Instant, streams: bool) -> CheckedOut {
        carrier.trip.begin(begun, deadline, streams);
        CheckedOut { carrier, home: self.idle.clone() }
    }
}

impl Carrier {
    fn new(settings: &Settings, lines: Lines) -> Carrier {
        // The wire keeps the limits of time.
        let config = dial::config()
            .allow_non_standard_methods(true)
            .max_response_header_size(ANSWER_HEAD_LIMIT)
            .input_buffer_size(ANSWER_HEAD_LIMIT)
            .output_buffer_size(REQUEST_HEAD_LIMIT)
            // One request at a time needs one connection to each replica.
            .max_idle_connections_per_host(1)
            .max_idle_connections(settings.max_replicas)
            .max_idle_age(IDLE_AGE)
            .build();
        let trip = Trip::new(settings);
        let dialler = Dialler::new(trip.clone(), settings.connect_timeout, lines);
        Carrier { agent: Agent::with_parts(config, dialler, dial::KnownAddress), trip }
    }
}

/// A client that goes back to the others when this is dropped.
pub(super) struct CheckedOut {
    carrier: Carrier,
    home: Arc<Mutex<Vec<Carrier>>>,
}

impl CheckedOut {
    pub(super) fn agent(&self) -> &Agent {
        &self.carrier.agent
    }

    /// The request that it carries.
    pub(super) fn trip(&self) -> &Trip {
        &self.carrier.trip
    }

    /// How far the request got that this client was checked out for.
    pub(super) fn progress(&self) -> Progress {
        self.carrier.trip.progress()
    }
}

impl Drop for CheckedOut {
    fn drop(&mut self) {
        self.home.lock().unwrap_or_else(PoisonError::into_inner).push(self.carrier.clone());
    }
}
