//! Carries one request to a replica and brings the answer's head back; the body follows as it is read.
//!
//! # The retry rule
//! Nothing sent yet: another replica, any method. Sent and no answer: another replica only for idempotent methods
//! with a body that can be sent again, and only as far as the `budget` allows, so that an outage does not multiply
//! load. Answer begun: never; whoever reads the answer sees it end too early. A client that went away is nobody's
//! fault. Each attempt goes to a replica that was not tried before, and all of them together have one deadline. (If there
//! is no other, and the connection that failed was an old one, the replica gets it once more on a new one.)

mod agents;
mod attempt;
mod body;
mod budget;
mod headers;
mod key;
mod lines;
mod request_id;
mod trip;
mod wire;

use std::io::{ErrorKind, Read};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use ureq::BodyReader;

use crate::fleet::{Fleet, Lease, ReplicaId};
use crate::metrics::{Meter, Miscarriage};
use crate::replica::Hostname;
use agents::{Agents, CheckedOut};
use attempt::{Failed, Retry, attempt};
pub use body::{Body, REPLAYABLE, Stream};
use budget::Budget;
pub use key::RoutingKey;
pub use lines::Lines;
pub use request_id::{X_REQUEST_ID, identify};
use trip::Trip;

/// Most living replicas that one request is tried on. Two failures in a row are a bad moment, three are an outage, and an
/// outage must not triple the load on what still lives.
const MOST_ATTEMPTS: usize = 3;

/// Most replicas that one request is tried on, those included that could not be reached or have left the ring since: they
/// are not loaded by it, and there may be several of them before the first that lives. More are an outage as well.
const MOST_TRIED: usize = 10;

/// Bounds on the way to a replica.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How long a connection to a replica may take to come about.
    pub connect_timeout: Duration,
    /// How long it may take altogether until an answer begins, on however many replicas; with a body that is forwarded
    /// as it comes, from the last of that body.
    pub request_timeout: Duration,
    /// How long one replica may take to begin its answer.
    pub first_byte_timeout: Duration,
    /// How long a replica may stall while it takes a request or answers.
    pub stall_timeout: Duration,
    /// What requests are hashed by.
    pub key: RoutingKey,
    /// Most replicas there may be: so many idle connections are worth keeping.
    pub max_replicas: usize,
    /// Whether it is counted how long replicas take to answer.
    pub measures: bool,
}

/// A request to be forwarded. The header fields are the client's.
pub struct Outbound<'a> {
    /// Any method.
    pub method: Method,
    /// Path and query, forwarded as they are.
    pub target: PathAndQuery,
    /// The client's fields.
    pub headers: HeaderMap,
    /// Who sent the request.
    pub client: IpAddr,
    /// It came as HTTP/1.0.
    pub is_old: bool,
    /// How long it has waited to be forwarded.
    pub waited: Duration,
    /// What it is told apart by in logs: its `X-Request-Id`, which is among its fields.
    pub id: HeaderValue,
    /// On how many replicas it was tried; counted here.
    pub attempts: usize,
    /// What comes after the head.
    pub body: Body<'a>,
}

/// The answer of a replica. Dropping it ends the request on the replica's count; the connection is used again only
/// if the body was read to its end.
pub struct Answer {
    /// The replica's status.
    pub status: StatusCode,
    /// The replica's fields, without those that are about its connection.
    pub headers: HeaderMap,
    /// The length that the replica declared, also where no body follows (HEAD, 304).
    pub declared_length: Option<u64>,
    /// How many bytes `body` holds, where that is known.
    pub length: Option<u64>,
    /// The body; ends with an error if the replica ends it too early.
    pub body: AnswerBody,
    _agent: CheckedOut,
    lease: Lease,
}

/// The body of an answer, as it arrives.
pub struct AnswerBody {
    reader: BodyReader<'static>,
    trip: Trip,
}

impl Read for AnswerBody {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        match self.reader.read(buffer)? {
            // ureq takes a reset for the end of a body that ends with its connection.
            0 if !buffer.is_empty() && self.trip.was_reset() => Err(ErrorKind::ConnectionReset.into()),
            n => Ok(n),
        }
    }
}

/// Why there is no answer.
#[derive(Debug)]
pub enum Failure {
    /// No replica serves.
    NoReplica,
    /// Its time was over before anybody had time for it.
    WaitedTooLong,
    /// The replicas that were tried did not answer.
    Unreachable(String),
    /// A replica took too long.
    TimedOut(String),
    /// The client's body ended too early or stalled.
    Client(std::io::Error),
    /// The request cannot be expressed on the wire.
    Unsendable(String),
}

/// A replica that could not be connected to.
#[derive(Clone, Debug)]
pub struct Unreached {
    /// The replica.
    pub id: ReplicaId,
    /// Where it was tried.
    pub address: SocketAddr,
    /// Nobody listens there; or else it only took too long.
    pub is_gone: bool,
    /// What went wrong.
    pub why: String,
}

/// Who is told of replicas that could not be connected to; must not wait.
pub type Report = Box<dyn Fn(Unreached) + Send + Sync>;

impl Failure {
    /// What went wrong, for logs.
    pub fn reason(&self) -> String {
        match self {
            Failure::Unreachable(why) | Failure::TimedOut(why) | Failure::Unsendable(why) => why.clone(),
            Failure::Client(error) => error.to_string(),
            Failure::NoReplica => "no replica is serving".to_owned(),
            Failure::WaitedTooLong => "no worker came free in time".to_owned(),
        }
    }
}

/// Carries requests; shared by all workers.
pub struct Forwarder {
    fleet: Fleet,
    report: Report,
    agents: Agents,
    key: RoutingKey,
    request_timeout: Duration,
    measures: bool,
    /// Locked for the nanoseconds of a count.
    budget: Mutex<Budget>,
}

impl Forwarder {
    /// A forwarder to the replicas of `fleet`, which enters its connections in `lines` and tells `report` of replicas that
    /// it cannot connect to.
    pub fn new(fleet: Fleet, settings: &Settings, lines: Lines, report: Report) -> Forwarder {
        Forwarder {
            fleet,
            report,
            agents: Agents::new(settings, lines),
            key: settings.key.clone(),
            request_timeout: settings.request_timeout,
            measures: settings.measures,
            budget: Mutex::new(Budget::new(Instant::now())),
        }
    }

    fn budget(&self) -> MutexGuard<'_, Budget> {
        self.budget.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forwards `request` by the retry rule.
    ///
    /// # Errors
    /// Why there is no answer.
    pub fn forward(&self, request: &mut Outbound<'_>) -> Result<Answer, Failure> {
        let begun = Instant::now();
        let Some(left) = self.request_timeout.checked_sub(request.waited) else {
            return Err(Failure::WaitedTooLong);
        };
        let deadline = begun + left;
        self.budget().request(begun);
        let request_id = self.key.request_id(&request.target, &request.headers, request.client);
        let id = request.id.clone();
        headers::for_replica(&mut request.headers, request.client, request.is_old, id);
        let mut tried = Vec::new();
        let mut blamed: Option<Arc<Meter>> = None;
        let mut last = Failed::of(Failure::NoReplica, Retry::Free);
        let mut attempts = 0;
        while attempts < MOST_ATTEMPTS && tried.len() < MOST_TRIED && last.retry != Retry::No {
            let chosen = Instant::now();
            let (lease, new) = match self.fleet.lease(request_id, &tried) {
                Some(lease) => (Some(lease), false),
                // The only replica may have closed the connection just when the request was sent on it.
                None if last.stale && tried.len() == 1 => (self.fleet.lease(request_id, &[]), true),
                None => (None, false),
            };
            let Some(lease) = lease.filter(|_| tried.is_empty() || self.affords(last.retry, deadline)) else {
                break;
            };
            tried.push(lease.replica().ring_id);
            request.attempts += 1;
            if let Some(blamed) = blamed.replace(lease.meter().clone()) {
                blamed.tried_again();
            }
            if log::log_enabled!(log::Level::Debug) {
                self.explain(request, &lease, request_id);
            }
            let streams = matches!(request.body, Body::Stream(_));
            let agent = match new {
                true => self.agents.check_out_new(chosen, deadline, streams),
                false => self.agents.check_out(chosen, deadline, streams),
            };
            let (replica, address) = (lease.replica(), lease.address());
            match attempt(agent, lease, request) {
                Ok(answer) => {
                    self.note(&answer, chosen);
                    return Ok(answer);
                }
                Err(failed) => last = failed,
            }
            if let (Some(meter), Some(why)) = (&blamed, last.miscarriage()) {
                meter.miscarried(why);
            }
            if let Some(is_gone) = last.unreached {
                let why = last.failure.reason();
                (self.report)(Unreached { id: replica, address, is_gone, why });
            }
            // One that has left the ring will not answer it, nor be loaded by it.
            if last.retry == Retry::AtCost && !self.fleet.serves_at(replica, address) {
                last.retry = Retry::Free;
            }
            attempts += usize::from(last.retry != Retry::Free);
        }
        Err(last.failure)
    }

    /// Counts an answer that has begun, of a replica that was chosen then.
    fn note(&self, answer: &Answer, chosen: Instant) {
        if answer.status == StatusCode::SWITCHING_PROTOCOLS {
            // No request of ours asks for that, so it is none, and the client gets a 502.
            answer.meter().miscarried(Miscarriage::Broken);
        } else if self.measures {
            answer.meter().began_to_answer(chosen.elapsed());
        }
    }

    /// Says which replica a request is tried on, and why on that one.
    fn explain(&self, request: &Outbound<'_>, lease: &Lease, key: u64) {
        let (id, attempt, name) = (shown(&request.id), request.attempts, lease.hostname());
        let policy = self.fleet.policy();
        let owner = self.fleet.owner(key).filter(|_| policy.is_hashed());
        let why = match owner {
            Some(owner) if owner == *name => format!("owner of {} {key}", self.key),
            Some(owner) if attempt > 1 => format!("next after {owner}, owner of {} {key}", self.key),
            Some(owner) => format!("in place of {owner}, owner of {} {key}", self.key),
            None => "by its turn, load or chance".to_owned(),
        };
        log::debug!(
            "request {id}: attempt {attempt} at {name} ({}), policy {policy}: {why}",
            lease.address()
        );
    }

    fn affords(&self, retry: Retry, deadline: Instant) -> bool {
        let now = Instant::now();
        now < deadline && (retry != Retry::AtCost || self.budget().retry(now))
    }
}

/// A request id for people.
fn shown(id: &HeaderValue) -> &str {
    id.to_str().unwrap_or("-")
}

impl Answer {
    fn new(answer: http::Response<ureq::Body>, agent: CheckedOut, lease: Lease) -> Answer {
        let (mut head, body) = answer.into_parts();
        // A length beside a transfer coding is not one (RFC 9112 section 6.3).
        let declared_length = match head.headers.contains_key(TRANSFER_ENCODING) {
            true => None,
            false => {
                head.headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.trim().parse().ok())
            }
        };
        headers::for_client(&mut head.headers);
        Answer {
            status: head.status,
            headers: head.headers,
            declared_length,
            // ureq knows no length of a body that is empty.
            length: body.content_length().or(declared_length.filter(|length| *length == 0)),
            body: AnswerBody { reader: body.into_reader(), trip: agent.trip().clone() },
            _agent: agent,
            lease,
        }
    }

    /// Who answered.
    pub fn replica(&self) -> &Hostname {
        self.lease.hostname()
    }

    /// What is counted of who answered.
    pub fn meter(&self) -> &Arc<Meter> {
        self.lease.meter()
    }
}
