//! The admin side: the contract's `/rep`, `/add`, `/rm`, and what operators see below `/_ringmaster/`. A call in, a reply
//! out; it knows nothing of connections.
//!
//! Invariant: nothing is done, and nothing but `/rep`, health and readiness is told, before the `gate` has been asked.

mod clock;
mod endpoint;
mod events;
mod gate;
mod page;
mod past;
mod reply;
mod scrape;
mod status;
mod wire;

use std::sync::Arc;
use std::time::Instant;

use http::header::AUTHORIZATION;
use http::{HeaderMap, Method, StatusCode};

pub use endpoint::{Endpoint, Lane, Need};
pub use events::Stream;
pub use gate::{Rules, Token, Visitor};
pub use reply::{ALLOW, Reply};

use crate::access_log::AccessLog;
use crate::fleet::{Fleet, Phase};
use crate::history::History;
use crate::journal::{Journal, Kind};
use crate::metrics::Refused;
use crate::quoting::shown;
use crate::replica::Hostname;
use crate::shutdown::Shutdown;
use crate::supervisor::{ChangeError, Supervisor};
use clock::Started;
use gate::{Denied, Gate};

/// What a client that has no token is told.
const CHALLENGE: (&str, &str) = ("WWW-Authenticate", "Bearer realm=\"ringmaster\"");

/// Longest body of a change: room for a few hundred names of 63 bytes.
pub const BODY_LIMIT: u64 = 64 * 1024;

/// What the admin side is made of.
pub struct Parts {
    /// Asked for changes.
    pub supervisor: Supervisor,
    /// What is shown.
    pub fleet: Fleet,
    /// What has happened.
    pub journal: Journal,
    /// What happened lately; `None` if requests are not measured.
    pub history: Option<History>,
    /// The access log, if there is one.
    pub access_log: Option<AccessLog>,
    /// Who may.
    pub rules: Rules,
    /// The settings in force by name, for people; nothing secret among them.
    pub settings: Vec<(&'static str, String)>,
    /// Once it has begun, the balancer is not ready any more.
    pub shutdown: Shutdown,
}

/// One request to the admin side.
#[derive(Clone, Copy)]
pub struct Call<'a> {
    /// What is asked.
    pub endpoint: Endpoint,
    /// By which method.
    pub method: &'a Method,
    /// The query of the target, without its question mark.
    pub query: Option<&'a str>,
    /// Who asks.
    pub visitor: Visitor<'a>,
    /// What the request is told apart by.
    pub request_id: &'a str,
}

/// Answers admin requests; clones share everything.
#[derive(Clone)]
pub struct Admin {
    desk: Arc<Desk>,
}

struct Desk {
    parts: Parts,
    gate: Gate,
    started: Started,
}

impl Admin {
    /// An admin side of these parts.
    pub fn new(mut parts: Parts) -> Admin {
        let gate = Gate::new(std::mem::take(&mut parts.rules), Instant::now());
        Admin { desk: Arc::new(Desk { parts, gate, started: Started::now() }) }
    }

    /// What is to be said before anything is done, or the body of a change is read: the method is not one of the
    /// endpoint's, or the visitor may not. `None`: go on.
    pub fn refusal(&self, call: Call<'_>) -> Option<Reply> {
        let Call { endpoint, method, visitor, .. } = call;
        if !endpoint.allows(method) {
            let text = format!("method {method} is not allowed here, only {}", endpoint.allowed());
            let reply = Reply::failure(StatusCode::METHOD_NOT_ALLOWED, &text);
            return Some(not_to_be_kept(reply.with("Allow", endpoint.allowed())));
        }
        let gate = &self.desk.gate;
        let counted = || match endpoint.need() {
            Need::Changing => gate.count_change(Instant::now()),
            Need::Reading | Need::Nothing => Ok(()),
        };
        gate.check(endpoint, visitor)
            .and_then(|()| counted())
            .err()
            .map(|denied| self.turn_away(call, &denied))
    }

    /// Tells log, journal and metrics, and then the visitor.
    fn turn_away(&self, call: Call<'_>, denied: &Denied) -> Reply {
        let Denied { reason, why } = denied;
        // A browser has no way to send a token with the address of a page. The page holds no secret, and asks for the
        // token itself: so it comes all the same, and who only opens it has done nothing wrong.
        let is_page = *reason == Refused::Token && call.endpoint == Endpoint::Page;
        if !is_page || call.visitor.headers.contains_key(AUTHORIZATION) {
            self.note_refusal(*reason, call, why);
        }
        match reason {
            Refused::Token if is_page => self.page(StatusCode::UNAUTHORIZED).with(CHALLENGE.0, CHALLENGE.1),
            Refused::Token => {
                let reply = Reply::failure(StatusCode::UNAUTHORIZED, why);
                not_to_be_kept(reply.with(CHALLENGE.0, CHALLENGE.1))
            }
            Refused::TooManyChanges => {
                let reply = Reply::failure(StatusCode::TOO_MANY_REQUESTS, why);
                not_to_be_kept(reply.with("Retry-After", "1"))
            }
            _ => not_to_be_kept(Reply::failure(StatusCode::FORBIDDEN, why)),
        }
    }

    fn page(&self, status: StatusCode) -> Reply {
        not_to_be_kept(page::reply(status, self.desk.gate.wants_token()))
    }

    fn note_refusal(&self, reason: Refused, call: Call<'_>, why: &str) {
        let Parts { journal, fleet, .. } = &self.desk.parts;
        fleet.metrics().refused(reason);
        let text = format!("{} {} from {}: {why}", call.method, call.endpoint.path(), call.visitor.peer);
        // Whoever is refused may try as often as they like: the log is not theirs to fill.
        if journal.note_refusal(reason, text.as_str(), call.request_id) {
            log::warn!("refused: {text} (request {})", call.request_id);
        }
    }

    /// Answers what only looks.
    pub fn look(&self, call: Call<'_>) -> Reply {
        let Parts { supervisor, journal, .. } = &self.desk.parts;
        let reply = match call.endpoint {
            Endpoint::Rep => return Reply::json(wire::listing(&supervisor.listing())),
            Endpoint::Health => Reply::json(wire::successful(&"alive")),
            Endpoint::Ready => match self.is_ready() {
                true => Reply::json(wire::successful(&"ready")),
                false => Reply::try_again("no replica is serving"),
            },
            Endpoint::Status => Reply::json(wire::successful(&self.status(call.visitor))),
            Endpoint::Events => match after(call.query) {
                Ok(seq) => {
                    let list = events::List::after(journal, seq.unwrap_or(0), self.desk.started);
                    Reply::json(wire::successful(&list))
                }
                Err(why) => Reply::failure(StatusCode::BAD_REQUEST, &why),
            },
            Endpoint::History => match after(call.query) {
                Ok(second) => {
                    let history = self.desk.parts.history.as_ref();
                    let past = past::Past::after(history, second.unwrap_or(0), self.desk.started);
                    Reply::json(wire::successful(&past))
                }
                Err(why) => Reply::failure(StatusCode::BAD_REQUEST, &why),
            },
            Endpoint::Metrics => Reply::text(scrape::CONTENT_TYPE, self.scrape()),
            Endpoint::OpenApi => Reply::json(include_str!("openapi.json").to_owned()),
            Endpoint::Page => return self.page(StatusCode::OK),
            Endpoint::ToPage => {
                let status = StatusCode::PERMANENT_REDIRECT;
                Reply::json(String::new()).with_status(status).with("Location", Endpoint::Page.path())
            }
            Endpoint::Nothing | Endpoint::Add | Endpoint::Rm => {
                Reply::failure(StatusCode::NOT_FOUND, "there is nothing here: /_ringmaster/ is the page")
            }
        };
        not_to_be_kept(reply)
    }

    /// The events as they happen, for a call that asks for a stream of them and not for a list.
    ///
    /// # Errors
    /// What is wrong with the number after which they are to begin.
    pub fn stream(&self, call: Call<'_>) -> Option<Result<Stream, Reply>> {
        let headers = call.visitor.headers;
        if call.endpoint != Endpoint::Events
            || call.method != Method::GET
            || !events::is_stream_wanted(headers)
        {
            return None;
        }
        let Parts { journal, shutdown, .. } = &self.desk.parts;
        let run = self.desk.started;
        let begin = events::last_seen(headers, run).map_or_else(|| after(call.query), |seq| Ok(Some(seq)));
        let stream = begin.map(|seq| Stream::new(journal.clone(), shutdown.clone(), run, seq));
        Some(stream.map_err(|why| not_to_be_kept(Reply::failure(StatusCode::BAD_REQUEST, &why))))
    }

    /// Whether a request brings the token, which is nobody else's business.
    pub fn is_token_in(&self, headers: &HeaderMap) -> bool {
        self.desk.gate.is_token_in(headers)
    }

    /// What is said when as many streams are open as may be.
    pub fn too_many_streams(&self) -> Reply {
        self.desk.parts.fleet.metrics().refused(Refused::TooManyStreams);
        not_to_be_kept(Reply::try_again("too many streams of events are open"))
    }

    /// Makes a change. It takes seconds; only one at a time is under way.
    pub fn change(&self, call: Call<'_>, body: &[u8]) -> Reply {
        let path = call.endpoint.path();
        match self.make_change(call.endpoint, body) {
            Ok(hostnames) => Reply::json(wire::listing(&hostnames)),
            Err(ChangeError::Refused(why)) => {
                self.note_refusal(Refused::Change, call, &why);
                Reply::failure(StatusCode::BAD_REQUEST, &why)
            }
            Err(ChangeError::Failed(why)) => {
                log::error!("{path} failed: {why} (request {})", call.request_id);
                let text = format!("{path}: {why}");
                self.desk.parts.journal.note_request(Kind::ChangeFailed, text, call.request_id);
                Reply::failure(StatusCode::INTERNAL_SERVER_ERROR, &why)
            }
            Err(ChangeError::Stopping) => Reply::try_again("the balancer is shutting down"),
        }
    }

    fn make_change(&self, endpoint: Endpoint, body: &[u8]) -> Result<Vec<Hostname>, ChangeError> {
        let supervisor = &self.desk.parts.supervisor;
        let keys: &[&str] = if endpoint == Endpoint::Rm { &wire::REMOVAL } else { &wire::ADDITION };
        let change = wire::parse_change(body, keys).map_err(ChangeError::Refused)?;
        match endpoint {
            Endpoint::Rm => supervisor.remove(change.n, &change.hostnames),
            _ => supervisor.add(change.n, &change.hostnames, &change.weights),
        }
    }

    fn is_ready(&self) -> bool {
        let Parts { fleet, shutdown, .. } = &self.desk.parts;
        !shutdown.begun() && fleet.watched().iter().any(|replica| replica.phase == Phase::Serving)
    }

    fn status(&self, visitor: Visitor<'_>) -> status::Status<'_> {
        let Desk { parts, gate, started } = &*self.desk;
        let may_change = gate.check(Endpoint::Add, visitor).is_ok() && !parts.supervisor.is_fixed();
        let access = status::Access { token_wanted: gate.wants_token(), may_change };
        status::Status::of(parts, access, *started, Instant::now())
    }

    fn scrape(&self) -> String {
        scrape::page(&self.desk.parts, self.desk.started)
    }
}

/// What it says is true now, and is what it says it is.
fn not_to_be_kept(reply: Reply) -> Reply {
    reply.with("Cache-Control", "no-store").with("X-Content-Type-Options", "nosniff")
}

/// The number after `after=` in a query, if it is there.
fn after(query: Option<&str>) -> Result<Option<u64>, String> {
    let mut pairs = query.unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='));
    match pairs.find(|(name, _)| *name == "after") {
        None => Ok(None),
        Some((_, text)) => {
            text.parse().map(Some).map_err(|_| format!("'after' must be a number, not '{}'", shown(text)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_says_after_what() {
        for (query, number) in [
            (None, Ok(None)),
            (Some(""), Ok(None)),
            (Some("after=17"), Ok(Some(17))),
            (Some("x=1&after=18446744073709551615"), Ok(Some(u64::MAX))),
            (Some("after="), Err("'after' must be a number, not ''")),
            (Some("after=-1"), Err("'after' must be a number, not '-1'")),
            (Some("before=x"), Ok(None)),
        ] {
            assert_eq!(after(query), number.map_err(str::to_owned), "{query:?}");
        }
    }
}
