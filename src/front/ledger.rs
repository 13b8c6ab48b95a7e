//! What is written down about each exchange when it is over: counters for the metrics, a line for the access log.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use http::header::{HeaderValue, REFERER, USER_AGENT};
use http::{HeaderName, StatusCode};

use super::admission::{Head, RawHead};
use super::respond::Broke;
use crate::access_log::{AccessLog, Line};
use crate::forward::{self, Answer};
use crate::journal::{Journal, Kind};
use crate::metrics::{Meter, Metrics, Miscarriage, Refused};
use crate::replica::Hostname;

/// Where exchanges are written down; clones share everything.
#[derive(Clone)]
pub struct Ledger {
    /// The instruments.
    pub metrics: Metrics,
    /// Whether each request is counted and timed.
    pub measures: bool,
    /// The access log, if there is one.
    pub log: Option<AccessLog>,
    /// What has happened, for requests that failed.
    pub journal: Journal,
}

/// Longest piece of a head that was refused that the log repeats: others have lines to write, too.
const LONGEST_SHOWN: usize = 2048;

/// One exchange, while it lasts.
pub(super) struct Entry {
    arrived: Instant,
    request_id: HeaderValue,
    /// The request as the log has it; only where there is one.
    said: Option<Box<Said>>,
    /// Who answered, if it was a replica.
    served: Option<(Hostname, Arc<Meter>)>,
    attempts: usize,
    is_admin: bool,
}

/// What a client has said.
struct Said {
    client: SocketAddr,
    method: String,
    target: String,
    version: &'static str,
    referer: Option<String>,
    user_agent: Option<String>,
}

/// How an exchange ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outcome {
    pub(super) status: StatusCode,
    /// Bytes of the body.
    pub(super) bytes: u64,
    /// Whether all of the answer was sent, as far as we know.
    pub(super) complete: bool,
}

impl Ledger {
    /// Opens an entry for an admitted request, before its fields are changed.
    pub(super) fn open(&self, client: SocketAddr, head: &Head, arrived: Instant) -> Entry {
        Entry {
            arrived,
            request_id: forward::identify(&head.headers),
            said: self.log.is_some().then(|| Box::new(Said::of(client, head))),
            served: None,
            attempts: 0,
            is_admin: false,
        }
    }

    /// Notes that a request could not be answered, and why.
    pub(super) fn failed(&self, entry: &Entry, refused: Option<Refused>, why: &str) {
        if let Some(refused) = refused {
            self.metrics.refused(refused);
        }
        self.journal.note_request(Kind::RequestFailed, why, entry.shown_id());
    }

    /// Notes that an answer ended before it was whole, and through whose fault.
    pub(super) fn broke_off(&self, entry: &Entry, broke: &Broke) {
        let (id, name) = (entry.shown_id(), entry.served.as_ref().map_or("-", |(name, _)| name.as_str()));
        match broke {
            Broke::Client(error) => {
                log::debug!("request {id}: the client takes no more of the answer: {error}")
            }
            Broke::Replica(error) => {
                log::debug!("request {id}: the answer of {name} broke off: {error}");
                if let Some((_, meter)) = &entry.served {
                    meter.miscarried(Miscarriage::CutOff);
                }
                let text = format!("the answer of {name} broke off: {error}");
                self.journal.note_request(Kind::RequestFailed, text, id);
            }
        }
    }

    /// Writes down an exchange that is over.
    pub(super) fn close(&self, entry: &Entry, outcome: Outcome) {
        let took = entry.arrived.elapsed();
        if self.measures {
            let meter = match &entry.served {
                Some((_, meter)) => meter,
                None if entry.is_admin => self.metrics.admin(),
                None => self.metrics.own(),
            };
            meter.answered(outcome.status, took);
        }
        if let (Some(log), Some(said)) = (&self.log, &entry.said) {
            log.note(&entry.line(said, outcome, took));
        }
    }

    /// Writes down a request that was turned away before it was admitted; its method and target are whatever came.
    pub(super) fn turned_away(
        &self,
        client: SocketAddr,
        head: &RawHead<'_>,
        request_id: &HeaderValue,
        Outcome { status, bytes, complete }: Outcome,
        waited: Duration,
        is_admin: bool,
    ) {
        self.metrics.refused(Refused::Malformed);
        if self.measures {
            let meter = if is_admin { self.metrics.admin() } else { self.metrics.own() };
            meter.answered(status, waited);
        }
        if let Some(log) = &self.log {
            log.note(&Line {
                time: SystemTime::now(),
                client: client.ip().to_canonical(),
                method: cut(head.method),
                target: cut(head.target),
                version: "-",
                status: status.as_u16(),
                bytes,
                complete,
                took: waited,
                request_id: request_id.to_str().unwrap_or("-"),
                ..Line::default()
            });
        }
    }
}

/// The beginning of what a client has sent.
fn cut(text: &str) -> &str {
    text.char_indices().nth(LONGEST_SHOWN).map_or(text, |(end, _)| &text[..end])
}

impl Said {
    fn of(client: SocketAddr, head: &Head) -> Said {
        let text = |name: HeaderName| {
            head.headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
        };
        Said {
            client,
            method: head.method.as_str().to_owned(),
            target: head.target.as_str().to_owned(),
            version: if head.is_old { "HTTP/1.0" } else { "HTTP/1.1" },
            referer: text(REFERER),
            user_agent: text(USER_AGENT),
        }
    }
}

impl Entry {
    /// What the request is told apart by.
    pub(super) fn request_id(&self) -> &HeaderValue {
        &self.request_id
    }

    /// The same for people.
    pub(super) fn shown_id(&self) -> &str {
        self.request_id.to_str().unwrap_or("-")
    }

    /// Notes that the request is the admin side's.
    pub(super) fn is_for_admin(&mut self) {
        self.is_admin = true;
    }

    /// Whether it is.
    pub(super) fn belongs_to_admin(&self) -> bool {
        self.is_admin
    }

    /// Notes on how many replicas the request was tried.
    pub(super) fn tried(&mut self, attempts: usize) {
        self.attempts = attempts;
    }

    /// Notes whose answer is given.
    pub(super) fn served_by(&mut self, answer: &Answer) {
        self.served = Some((answer.replica().clone(), answer.meter().clone()));
    }

    fn line<'a>(&'a self, said: &'a Said, outcome: Outcome, took: Duration) -> Line<'a> {
        let now = SystemTime::now();
        Line {
            time: now.checked_sub(took).unwrap_or(now),
            client: said.client.ip().to_canonical(),
            method: &said.method,
            target: &said.target,
            version: said.version,
            status: outcome.status.as_u16(),
            bytes: outcome.bytes,
            referer: said.referer.as_deref(),
            user_agent: said.user_agent.as_deref(),
            replica: self.served.as_ref().map(|(name, _)| name.as_str()),
            attempts: self.attempts,
            took,
            request_id: self.shown_id(),
            complete: outcome.complete,
        }
    }
}
