//! The admin side: the contract's `/rep`, `/add`, `/rm`, and what operators see below `/_ringmaster/`. A call in, a reply
//! out; it knows nothing of connections.

mod clock;
mod endpoint;
mod events;
mod page;
mod past;
mod reply;
mod scrape;
mod status;
mod wire;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use http::{HeaderMap, Method, StatusCode};

pub use endpoint::Endpoint;
pub use events::Stream;
pub use reply::{ALLOW, Reply};

use crate::access_log::AccessLog;
use crate::fleet::{Fleet, Phase};
use crate::history::History;
use crate::journal::{Journal, Kind};
use crate::metrics::Refused;
use crate::replica::Hostname;
use crate::shutdown::Shutdown;
use crate::supervisor::{ChangeError, Supervisor};
use clock::Started;

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
    /// The settings in force by name, for people; nothing secret among them.
    pub settings: Vec<(&'static str, String)>,
    /// Once it has begun, the balancer is not ready any more.
    pub shutdown: Shutdown,
}

/// Who asks.
#[derive(Clone, Copy)]
pub struct Visitor<'a> {
    /// Where the connection comes from.
    pub peer: IpAddr,
    /// What the request says.
    pub headers: &'a HeaderMap,
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
}

/// Answers admin requests; clones share everything.
#[derive(Clone)]
pub struct Admin {
    desk: Arc<Desk>,
}

struct Desk {
    parts: Parts,
    started: Started,
}

impl Admin {
    /// An admin side of these parts.
    pub fn new(parts: Parts) -> Admin {
        Admin { desk: Arc::new(Desk { parts, started: Started::now() }) }
    }

    /// What is to be said before anything is done, or the body of a change is read: the method is not one of the
    /// endpoint's.
    pub fn refusal(&self, call: Call<'_>) -> Option<Reply> {
        let Call { endpoint, method, .. } = call;
        let text = format!("method {method} is not allowed here, only {}", endpoint.allowed());
        let reply = Reply::failure(StatusCode::METHOD_NOT_ALLOWED, &text);
        let reply = not_to_be_kept(reply.with("Allow", endpoint.allowed()));
        Some(reply).filter(|_| !endpoint.allows(method))
    }

    fn page(&self, status: StatusCode) -> Reply {
        not_to_be_kept(page::reply(status, false))
    }

    fn note_refusal(&self, reason: Refused, text: String) {
        let Parts { journal, fleet, .. } = &self.desk.parts;
        fleet.metrics().refused(reason);
        // Whoever is refused may try as often as they like: the log is not theirs to fill.
        if journal.note(Kind::Refused, None, text.as_str()) {
            log::warn!("refused: {text}");
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
            Endpoint::Status => Reply::json(wire::successful(&self.status())),
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
                self.note_refusal(Refused::Change, format!("{path} from {}: {why}", call.visitor.peer));
                Reply::failure(StatusCode::BAD_REQUEST, &why)
            }
            Err(ChangeError::Failed(why)) => {
                log::error!("{path} failed: {why}");
                self.desk.parts.journal.note(Kind::ChangeFailed, None, format!("{path}: {why}"));
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

    fn status(&self) -> status::Status<'_> {
        let Desk { parts, started } = &*self.desk;
        let access = status::Access { token_wanted: false, may_change: !parts.supervisor.is_fixed() };
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
        Some((_, text)) => text.parse().map(Some).map_err(|_| {
            let shown: String = text.chars().take(80).collect();
            format!("'after' must be a number, not '{}'", shown.escape_debug())
        }),
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
