//! Carries one request to a replica and brings the answer's head back; the body follows as it is read.
//!
//! # The retry rule
//! Nothing sent yet: another replica, any method. Sent and no answer: another replica only for idempotent methods
//! with a body that can be sent again, and only as far as the `budget` allows, so that an outage does not multiply
//! load. Answer begun: never; whoever reads the answer sees it end too early. A client that went away is nobody's
//! fault. Each attempt goes to a replica that was not tried before, and all of them together have one deadline. (If there
//! is no other, and the connection that failed was an old one, the replica gets it once more on a new one.)

mod agents;
mod body;
mod budget;
mod headers;
mod trip;
mod wire;

use std::io::{ErrorKind, Read};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use http::header::{CONTENT_LENGTH, HeaderValue, TRANSFER_ENCODING};
use http::uri::{PathAndQuery, Scheme, Uri};
use http::{HeaderMap, Method, Request, StatusCode, Version};
use ureq::{BodyReader, SendBody};

use crate::balance;
use crate::fleet::{Fleet, Lease, Phase, ReplicaId};
use agents::{Agents, CheckedOut};
pub use body::{Body, REPLAYABLE, Stream};
use budget::Budget;
use trip::{Progress, Trip};

/// Most replicas that one request is tried on. Two failures in a row are a bad moment, three are an outage, and an
/// outage must not triple the load on what still lives.
const MOST_ATTEMPTS: usize = 3;

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
    /// Most replicas there may be: so many idle connections are worth keeping.
    pub max_replicas: usize,
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
    _lease: Lease,
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

/// Carries requests; shared by all workers.
pub struct Forwarder {
    fleet: Fleet,
    agents: Agents,
    request_timeout: Duration,
    /// Locked for the nanoseconds of a count.
    budget: Mutex<Budget>,
}

/// An attempt that brought no answer.
struct Failed {
    failure: Failure,
    retry: Retry,
    /// It was on a connection that had been used before: the replica may be well.
    stale: bool,
}

/// Whether a request may be tried on another replica.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Retry {
    No,
    /// No replica has seen anything of it.
    Free,
    /// A replica may have worked on it: see [`Budget`].
    AtCost,
}

impl Forwarder {
    /// A forwarder to the replicas of `fleet`.
    pub fn new(fleet: Fleet, settings: &Settings) -> Forwarder {
        Forwarder {
            fleet,
            agents: Agents::new(settings),
            request_timeout: settings.request_timeout,
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
        headers::for_replica(&mut request.headers, request.client, request.is_old);
        let request_id = balance::random_request_id();
        let mut tried = Vec::new();
        let mut last = Failed { failure: Failure::NoReplica, retry: Retry::Free, stale: false };
        while tried.len() < MOST_ATTEMPTS && last.retry != Retry::No {
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
            let streams = matches!(request.body, Body::Stream(_));
            let agent = match new {
                true => self.agents.check_out_new(deadline, streams),
                false => self.agents.check_out(deadline, streams),
            };
            let (replica, address) = (lease.replica(), lease.address());
            match attempt(agent, lease, request) {
                Ok(answer) => return Ok(answer),
                Err(failed) => last = failed,
            }
            // One that has left the ring will not answer it, nor be loaded by it.
            if last.retry == Retry::AtCost && !self.serves(replica, address) {
                last.retry = Retry::Free;
            }
        }
        Err(last.failure)
    }

    /// Whether a replica is still in the ring, as the incarnation that it was.
    fn serves(&self, replica: ReplicaId, address: SocketAddr) -> bool {
        let now = self.fleet.replica(replica);
        now.is_some_and(|now| {
            now.phase == Phase::Serving && now.instance.is_some_and(|instance| instance.address == address)
        })
    }

    fn affords(&self, retry: Retry, deadline: Instant) -> bool {
        let now = Instant::now();
        now < deadline && (retry != Retry::AtCost || self.budget().retry(now))
    }
}

fn attempt(agent: CheckedOut, lease: Lease, request: &mut Outbound<'_>) -> Result<Answer, Failed> {
    let answer = head_for(&lease, request)
        .and_then(|head| run(&agent, head, &mut request.body).map_err(|error| failure_of(error, &agent)));
    let answer = answer.and_then(|answer| match is_understood(&answer) {
        true => Ok(answer),
        false => {
            Err(Failure::Unreachable("the answer has a transfer coding that is not understood".to_owned()))
        }
    });
    match answer {
        Ok(answer) => Ok(Answer::new(answer, agent, lease)),
        Err(failure) => {
            let progress = agent.progress();
            log::debug!("attempt at {} failed, {progress:?}: {failure:?}", lease.address());
            let stale = agent.trip().was_on_old_connection();
            Err(Failed { stale, ..judge(failure, progress, request) })
        }
    }
}

/// The retry rule.
fn judge(failure: Failure, progress: Progress, request: &mut Outbound<'_>) -> Failed {
    if let Some(error) = request.body.client_error() {
        return Failed { failure: Failure::Client(error), retry: Retry::No, stale: false };
    }
    let retry = match (&failure, progress) {
        _ if !request.body.can_be_sent() => Retry::No,
        (Failure::Unreachable(_) | Failure::TimedOut(_), Progress::NothingSent) => Retry::Free,
        (Failure::Unreachable(_), Progress::Sent) if request.method.is_idempotent() => Retry::AtCost,
        // Somebody who was waited for for so long is not asked again elsewhere: the client's patience is at an end.
        (Failure::TimedOut(_), Progress::Sent) => Retry::No,
        (Failure::Unreachable(_), Progress::Sent) => Retry::No,
        (_, Progress::AnswerBegun) => Retry::No,
        (_, Progress::NothingSent | Progress::Sent) => Retry::No,
    };
    Failed { failure, retry, stale: false }
}

/// The head of the request to one replica.
fn head_for(lease: &Lease, request: &Outbound<'_>) -> Result<http::request::Parts, Failure> {
    let unsendable = |error: http::Error| Failure::Unsendable(error.to_string());
    let uri = Uri::builder()
        .scheme(Scheme::HTTP)
        .authority(lease.address().to_string())
        .path_and_query(request.target.clone())
        .build()
        .map_err(unsendable)?;
    let built = Request::builder().method(request.method.clone()).uri(uri).body(()).map_err(unsendable)?;
    let (mut head, ()) = built.into_parts();
    head.headers = request.headers.clone();
    let length = match &request.body {
        // Methods that usually have a body get an explicit length, or ureq would send an empty chunked one.
        Body::Empty => matches!(request.method, Method::POST | Method::PUT | Method::PATCH).then_some(0),
        Body::Whole(bytes) => Some(bytes.len() as u64),
        Body::Stream(stream) => stream.length,
    };
    if let Some(length) = length {
        head.headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    Ok(head)
}

fn run(
    client: &CheckedOut,
    head: http::request::Parts,
    body: &mut Body<'_>,
) -> Result<http::Response<ureq::Body>, ureq::Error> {
    let agent = client.agent();
    match body {
        Body::Empty => agent.run(Request::from_parts(head, ())),
        Body::Whole(bytes) => {
            agent.run(Request::from_parts(head, SendBody::from_reader(&mut bytes.as_slice())))
        }
        Body::Stream(stream) => {
            stream.set_out(client.trip().clone());
            agent.run(Request::from_parts(head, SendBody::from_reader(stream)))
        }
    }
}

/// Whether ureq has read the body as it was framed: it takes any transfer coding for chunked, and none in HTTP/1.0.
fn is_understood(answer: &http::Response<ureq::Body>) -> bool {
    let mut codings = answer.headers().get_all(TRANSFER_ENCODING).iter();
    match (codings.next(), codings.next()) {
        (None, _) => true,
        (Some(coding), None) => {
            answer.version() == Version::HTTP_11 && coding.as_bytes().eq_ignore_ascii_case(b"chunked")
        }
        (Some(_), Some(_)) => false,
    }
}

fn failure_of(error: ureq::Error, agent: &CheckedOut) -> Failure {
    match error {
        ureq::Error::Timeout(_) => Failure::TimedOut(error.to_string()),
        ureq::Error::Io(_) | ureq::Error::ConnectionFailed | ureq::Error::HostNotFound => {
            Failure::Unreachable(error.to_string())
        }
        // Refused by ureq itself before anything was sent: no replica would take it.
        _ if agent.progress() == Progress::NothingSent => Failure::Unsendable(error.to_string()),
        _ => Failure::Unreachable(error.to_string()),
    }
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
            _lease: lease,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outbound(method: Method, body: Body<'_>) -> Outbound<'_> {
        let target = PathAndQuery::from_static("/");
        Outbound {
            method,
            target,
            headers: HeaderMap::new(),
            client: IpAddr::from([127, 0, 0, 1]),
            is_old: false,
            waited: Duration::ZERO,
            body,
        }
    }

    fn unreachable() -> Failure {
        Failure::Unreachable(String::new())
    }

    fn timed_out() -> Failure {
        Failure::TimedOut(String::new())
    }

    /// The retry rule as a table: what failed, whether anything was sent, and which methods may try another replica.
    #[test]
    fn only_what_was_not_sent_or_is_idempotent_is_tried_again() {
        let methods = [Method::GET, Method::PUT, Method::DELETE, Method::POST, Method::PATCH];
        let (no, free, at_cost) = ([Retry::No; 5], [Retry::Free; 5], Retry::AtCost);
        for (failure, progress, retries) in [
            (unreachable as fn() -> Failure, Progress::NothingSent, free),
            (unreachable, Progress::Sent, [at_cost, at_cost, at_cost, Retry::No, Retry::No]),
            (unreachable, Progress::AnswerBegun, no),
            (timed_out, Progress::NothingSent, free),
            (timed_out, Progress::Sent, no),
            (|| Failure::Unsendable(String::new()), Progress::NothingSent, no),
        ] {
            for (method, retry) in methods.iter().zip(retries) {
                let mut request = outbound(method.clone(), Body::Whole(b"x".to_vec()));
                let failed = judge(failure(), progress, &mut request);
                assert_eq!(failed.retry, retry, "{method}, {progress:?}, {:?}", failed.failure);
            }
        }
    }

    #[test]
    fn a_streamed_body_is_sent_once() {
        let long = vec![0; REPLAYABLE + 1];
        let source = long.as_slice();
        let body = Body::read(Box::new(source), Some(long.len() as u64)).unwrap();
        let mut request = outbound(Method::PUT, body);
        let untouched = judge(unreachable(), Progress::NothingSent, &mut request);
        assert_eq!(untouched.retry, Retry::Free, "nobody has read from it yet");
        if let Body::Stream(stream) = &mut request.body {
            std::io::copy(stream, &mut std::io::sink()).unwrap();
        }
        assert_eq!(judge(unreachable(), Progress::NothingSent, &mut request).retry, Retry::No);
    }

    #[test]
    fn a_client_that_broke_off_is_the_clients_fault() {
        let source = &b"short"[..];
        let body = Body::read(Box::new(source), Some(REPLAYABLE as u64 * 2)).unwrap();
        let mut request = outbound(Method::PUT, body);
        if let Body::Stream(stream) = &mut request.body {
            assert!(std::io::copy(stream, &mut std::io::sink()).is_err());
        }
        let failed = judge(unreachable(), Progress::Sent, &mut request);
        assert!(failed.retry == Retry::No && matches!(failed.failure, Failure::Client(_)));
    }
}
