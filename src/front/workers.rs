//! Who answers what: requests are queued by kind, and each kind has threads of its own, so that admin calls never
//! wait behind traffic and traffic never waits for docker.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};
use http::StatusCode;
use http::header::AUTHORIZATION;

use super::exchange::{Exchange, Manners};
use super::incoming::arrives_later;
use super::ledger::Ledger;
use super::outbox::Outbox;
use super::turns::Arrival;
use super::warden::Surplus;
use super::{Counter, Settings, Side};
use crate::admin::{Admin, BODY_LIMIT, Endpoint, Lane, Need, Reply, Stream};
use crate::forward::{Answer, Failure, Forwarder};
use crate::metrics::Refused;
use crate::shutdown::Shutdown;

/// Admin requests that may wait, of each kind. Changes take seconds and come from people and scripts; more than this
/// is a script gone wrong.
const ADMIN_QUEUE: usize = 64;

/// Threads for what everybody may ask: whoever watches the balancer is not to wait behind those who want more of it.
const OPEN: usize = 4;

/// Threads for those who look. An answer that its client does not take at once is the outbox's.
const LISTERS: usize = 4;

/// Threads for changes. The supervisor makes one at a time; the others read bodies, so that a client that is slow to
/// send its own does not hold up the rest.
const CHANGERS: usize = 16;

/// How long the body of a change may take. Most come with their head; nobody should wait long for one that does not.
const BODY_DEADLINE: Duration = Duration::from_secs(5);

/// Threads that say no. Saying so takes microseconds, or, to a client that asks for ever more and reads nothing of what
/// it is told, a write timeout.
const REFUSERS: usize = 2;

/// Requests that may wait to be told no; beyond it their connections are ended without a word.
const REFUSAL_QUEUE: usize = 1024;

/// Streams of events that may be open at a time: each holds a thread of its own.
const MOST_STREAMS: usize = 16;

/// The ways into the queues.
pub(super) struct Queues {
    side: Side,
    ledger: Ledger,
    traffic: Sender<Arrival>,
    uploads: Sender<Arrival>,
    open: Sender<Arrival>,
    listings: Sender<Arrival>,
    changes: Sender<Arrival>,
    refusals: Sender<Arrival>,
    surplus: Surplus,
}

/// What the threads share.
struct Desk {
    admin: Admin,
    forwarder: Arc<Forwarder>,
    maps_404: bool,
    manners: Arc<Manners>,
    streams: Arc<AtomicUsize>,
}

/// Starts all threads. They end when the queues are dropped and what waits in them is answered.
///
/// # Errors
/// The system has no threads for it.
pub(super) fn start(
    settings: &Settings,
    counter: Counter,
    surplus: Surplus,
    shutdown: Shutdown,
) -> std::io::Result<Queues> {
    let Counter { admin, forwarder, ledger } = counter;
    let Settings { idle_timeout, maps_404, side, .. } = *settings;
    let outbox = Outbox::start()?;
    let manners = Arc::new(Manners { idle_timeout, shutdown, ledger: ledger.clone(), side, outbox });
    let desk = Arc::new(Desk { admin, forwarder, maps_404, manners, streams: Arc::default() });
    let (traffic, traffic_queue) = bounded(settings.queue);
    let (uploads, upload_queue) = bounded(settings.queue);
    let (open, open_queue) = bounded(ADMIN_QUEUE);
    let (listings, listing_queue) = bounded(ADMIN_QUEUE);
    let (changes, change_queue) = bounded(ADMIN_QUEUE);
    let (refusals, refusal_queue) = bounded(REFUSAL_QUEUE);
    if side != Side::Admin {
        let (traffic, uploads) = (traffic_queue.clone(), upload_queue.clone());
        ledger.metrics.watch_queue("traffic", move || traffic.len());
        ledger.metrics.watch_queue("uploads", move || uploads.len());
    }
    if side != Side::Traffic {
        let changes = change_queue.clone();
        ledger.metrics.watch_queue("changes", move || changes.len());
    }
    for (name, count, queue, serve) in [
        ("worker", settings.workers, traffic_queue, Desk::forward as fn(&Desk, Exchange)),
        // As many again, so that clients that are slow to send hold up only each other.
        ("uploader", settings.workers, upload_queue, Desk::forward),
        ("open", OPEN, open_queue, Desk::administer),
        ("listings", LISTERS, listing_queue, Desk::administer),
        ("changes", CHANGERS, change_queue, Desk::administer),
        ("refuser", REFUSERS, refusal_queue, Desk::refuse),
    ] {
        for k in 0..count {
            let (desk, queue) = (desk.clone(), queue.clone());
            let thread = thread::Builder::new().name(format!("{name}-{k}"));
            thread.spawn(move || desk.work(&queue, serve))?;
        }
    }
    Ok(Queues { side, ledger, traffic, uploads, open, listings, changes, refusals, surplus })
}

impl Queues {
    /// Puts a request where it belongs. Never waits.
    pub(super) fn put(&self, arrival: Arrival) {
        let Some(request) = arrival.incoming.request() else {
            return;
        };
        let queue = match self.side.endpoint(path_of(request.url())) {
            Some(endpoint) => match endpoint.lane() {
                Lane::Open => &self.open,
                Lane::Listings => &self.listings,
                Lane::Changes => &self.changes,
            },
            None if self.surplus.contains(arrival.incoming.connection().peer()) => {
                return self.refuse(arrival, Refused::TooManyConnections);
            }
            None if arrives_later(request) => &self.uploads,
            None => &self.traffic,
        };
        if let Err(full) = queue.try_send(arrival) {
            self.refuse(full.into_inner(), Refused::QueueFull);
        }
    }

    /// Has a client told to come again, or ends its connection where too many wait to be told that.
    fn refuse(&self, arrival: Arrival, why: Refused) {
        self.ledger.metrics.refused(why);
        if let Err(lost) = self.refusals.try_send(arrival) {
            lost.into_inner().turn.end_connection();
        }
    }
}

/// The path of a target that was not checked yet, in origin or absolute form.
fn path_of(target: &str) -> &str {
    let before_query = target.split('?').next().unwrap_or_default();
    match before_query.split_once("://") {
        Some((_, rest)) if !target.starts_with('/') => rest.find('/').map_or("/", |at| &rest[at..]),
        _ => before_query,
    }
}

impl Desk {
    fn work(&self, queue: &Receiver<Arrival>, serve: fn(&Desk, Exchange)) {
        for arrival in queue {
            // A panic ends one connection, never the thread.
            let served = catch_unwind(AssertUnwindSafe(|| {
                if let Some(exchange) = Exchange::admit(arrival, &self.manners) {
                    serve(self, exchange);
                }
            }));
            if served.is_err() {
                log::error!("serving a request panicked");
            }
        }
    }

    fn refuse(&self, mut exchange: Exchange) {
        let text = "too many requests are waiting";
        match self.manners.side.endpoint(exchange.path()) {
            Some(_) => exchange.entry().is_for_admin(),
            None => exchange.failed(None, &format!("503 {}: {text}", exchange.path())),
        }
        exchange.reply(&Reply::request_may_try_again(text));
    }

    fn administer(&self, mut exchange: Exchange) {
        exchange.entry().is_for_admin();
        let Some(endpoint) = self.manners.side.endpoint(exchange.path()) else {
            let text = "the target names one endpoint and looks like another";
            return exchange.reply(&Reply::failure(StatusCode::BAD_REQUEST, text));
        };
        // Before the body, which need not be waited for then.
        if let Some(reply) = self.admin.refusal(exchange.call(endpoint)) {
            return exchange.turn_away(&reply);
        }
        if endpoint.need() == Need::Changing {
            return self.change(endpoint, exchange);
        }
        match self.admin.stream(exchange.call(endpoint)) {
            // Its rest would be read in the end, for as long as the client likes.
            Some(_) if exchange.has_unread_body() => {
                let text = "a request for events has no body";
                exchange.reply(&Reply::failure(StatusCode::BAD_REQUEST, text));
            }
            Some(Ok(events)) => self.stream(exchange, events),
            Some(Err(reply)) => exchange.reply(&reply),
            None => {
                let reply = self.admin.look(exchange.call(endpoint));
                exchange.reply(&reply);
            }
        }
    }

    fn change(&self, endpoint: Endpoint, mut exchange: Exchange) {
        match exchange.small_body(BODY_LIMIT, Instant::now() + BODY_DEADLINE) {
            Ok(Some(body)) => {
                let reply = self.admin.change(exchange.call(endpoint), &body);
                exchange.reply(&reply);
            }
            Ok(None) => {
                let text = format!("the request body is longer than {BODY_LIMIT} bytes");
                exchange.reply(&Reply::failure(StatusCode::PAYLOAD_TOO_LARGE, &text));
            }
            Err(error) => exchange.reply_to_broken_body(&error),
        }
    }

    /// Gives a stream a thread of its own, if there is one to be had.
    fn stream(&self, exchange: Exchange, events: Stream) {
        let open = Open::one_more(&self.streams);
        if open.count > MOST_STREAMS {
            return exchange.reply(&self.admin.too_many_streams());
        }
        // An exchange that is dropped unanswered ends its connection; so does a panic in there.
        let spawned = thread::Builder::new().name("events".into()).spawn(move || {
            exchange.stream(events);
            drop(open);
        });
        if let Err(error) = spawned {
            log::warn!("no thread for a stream of events: {error}");
        }
    }

    fn forward(&self, mut exchange: Exchange) {
        // The server itself (OPTIONS *), which is us.
        if exchange.path() == "*" {
            return exchange.reply(&Reply::options());
        }
        if self.manners.side == Side::Admin {
            exchange.entry().is_for_admin();
            let text = "only the admin side is served here: /_ringmaster/ is the page";
            return exchange.reply(&Reply::failure(StatusCode::NOT_FOUND, text));
        }
        match self.answer_to(&mut exchange) {
            Ok(answer) if answer.status == StatusCode::SWITCHING_PROTOCOLS => {
                let text = "the replica changed the protocol, which nobody had asked it to";
                exchange.failed(None, text);
                exchange.reply(&Reply::about_request(StatusCode::BAD_GATEWAY, text));
            }
            Ok(answer) if self.maps_404 && answer.status == StatusCode::NOT_FOUND => {
                exchange.entry().served_by(&answer);
                let reply = missing_endpoint(exchange.path(), answer);
                exchange.reply(&reply);
            }
            Ok(answer) => exchange.relay(answer),
            Err(Failure::Client(error)) => exchange.reply_to_broken_body(&error),
            Err(failure) => {
                let reply = reply_to(&failure);
                if reply.status.is_server_error() {
                    let why = format!("{} {}: {}", reply.status.as_u16(), exchange.path(), failure.reason());
                    exchange.failed(refused_for(&failure), &why);
                }
                exchange.reply(&reply);
            }
        }
    }

    fn answer_to(&self, exchange: &mut Exchange) -> Result<Answer, Failure> {
        let mut outbound = exchange.outbound().map_err(Failure::Client)?;
        // Sent here by mistake: no replica is to learn it.
        if self.admin.is_token_in(&outbound.headers) {
            outbound.headers.remove(AUTHORIZATION);
        }
        let outcome = self.forwarder.forward(&mut outbound);
        let (spent, attempts) = (outbound.body.is_spent(), outbound.attempts);
        drop(outbound);
        exchange.entry().tried(attempts);
        if spent {
            exchange.body_was_read();
        }
        outcome
    }
}

/// The contract's answer to a path that the replicas do not have.
fn missing_endpoint(path: &str, mut answer: Answer) -> Reply {
    // Read to its end, so that the connection to the replica can be used again; a replica that has more to say about
    // a missing page than this loses the connection.
    const MOST: u64 = 64 * 1024;
    let _ = std::io::copy(&mut std::io::Read::take(&mut answer.body, MOST), &mut std::io::sink());
    let text = format!("'{path}' endpoint does not exist in server replicas");
    Reply::failure(StatusCode::BAD_REQUEST, &text)
}

/// What a client is told when there is no answer; addresses stay in the log.
fn reply_to(failure: &Failure) -> Reply {
    let because = Reply::about_request;
    match failure {
        Failure::NoReplica => Reply::request_may_try_again("no replica is serving"),
        Failure::WaitedTooLong => Reply::request_may_try_again("no worker came free in time"),
        Failure::Unreachable(_) => because(StatusCode::BAD_GATEWAY, "no replica answered the request"),
        Failure::TimedOut(_) => because(StatusCode::GATEWAY_TIMEOUT, "the replica did not answer in time"),
        Failure::Unsendable(why) => {
            because(StatusCode::BAD_REQUEST, &format!("the request cannot be forwarded: {why}"))
        }
        Failure::Client(_) => because(StatusCode::BAD_REQUEST, "the request body is broken"),
    }
}

/// As what a failure counts that is no replica's.
fn refused_for(failure: &Failure) -> Option<Refused> {
    match failure {
        Failure::NoReplica => Some(Refused::NoReplica),
        Failure::WaitedTooLong => Some(Refused::WaitedTooLong),
        _ => None,
    }
}

/// One of the open streams, which counts as long as it lives.
struct Open {
    streams: Arc<AtomicUsize>,
    /// How many there were with this one when it was opened.
    count: usize,
}

impl Open {
    fn one_more(streams: &Arc<AtomicUsize>) -> Open {
        Open { streams: streams.clone(), count: streams.fetch_add(1, Relaxed) + 1 }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.streams.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_queued_by_the_path_that_admission_will_see() {
        for (target, path) in [
            ("/rep", "/rep"),
            ("/rep?x=/add", "/rep"),
            ("/", "/"),
            ("/a://b/rep", "/a://b/rep"),
            ("http://a/rep?x", "/rep"),
            ("http://a:80/add", "/add"),
            ("http://a", "/"),
            ("http://a?x/rep", "/"),
            ("", ""),
            ("*", "*"),
        ] {
            assert_eq!(path_of(target), path, "{target}");
        }
    }
}
