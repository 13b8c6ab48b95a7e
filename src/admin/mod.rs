//! The admin API: `/rep`, `/add`, `/rm` and the status. Bytes in, status and JSON out; it knows nothing of connections.

mod reply;
mod status;
mod wire;

use std::time::Instant;

use http::{Method, StatusCode};

pub use reply::{ALLOW, Reply};

use crate::fleet::Fleet;
use crate::replica::Hostname;
use crate::supervisor::{ChangeError, Supervisor};
use status::Status;

/// Longest body of a change: room for a few hundred names of 63 bytes.
pub const BODY_LIMIT: u64 = 64 * 1024;

/// One of the paths that are the balancer's own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Endpoint {
    /// `/rep`: which replicas there are.
    Rep,
    /// `/add`: more of them.
    Add,
    /// `/rm`: fewer of them.
    Rm,
    /// `/_ringmaster/status`: how each of them is.
    Status,
}

impl Endpoint {
    /// The endpoint at `path` (without the query), if it is one of ours.
    pub fn at(path: &str) -> Option<Endpoint> {
        let all = [Endpoint::Rep, Endpoint::Add, Endpoint::Rm, Endpoint::Status];
        all.into_iter().find(|endpoint| endpoint.path() == path)
    }

    fn path(self) -> &'static str {
        match self {
            Endpoint::Rep => "/rep",
            Endpoint::Add => "/add",
            Endpoint::Rm => "/rm",
            Endpoint::Status => "/_ringmaster/status",
        }
    }

    /// Whether it changes the fleet, which takes seconds.
    pub fn is_slow(self) -> bool {
        matches!(self, Endpoint::Add | Endpoint::Rm)
    }

    /// The methods it takes, as the `Allow` field lists them.
    fn allowed(self) -> &'static str {
        match self {
            Endpoint::Rep | Endpoint::Status => "GET, HEAD",
            Endpoint::Add => "POST",
            Endpoint::Rm => "DELETE, POST",
        }
    }

    fn allows(self, method: &Method) -> bool {
        self.allowed().split(", ").any(|allowed| allowed == method.as_str())
    }
}

/// Answers admin requests.
#[derive(Clone)]
pub struct Admin {
    supervisor: Supervisor,
    fleet: Fleet,
}

impl Admin {
    /// An admin API that asks `supervisor` for changes and says how `fleet` is.
    pub fn new(supervisor: Supervisor, fleet: Fleet) -> Admin {
        Admin { supervisor, fleet }
    }

    /// The answer to a method that an endpoint does not take; `None` for one that it does.
    pub fn refusal(endpoint: Endpoint, method: &Method) -> Option<Reply> {
        let text = format!("method {method} is not allowed here, only {}", endpoint.allowed());
        let reply = Reply::failure(StatusCode::METHOD_NOT_ALLOWED, &text).with("Allow", endpoint.allowed());
        Some(reply).filter(|_| !endpoint.allows(method))
    }

    /// Does what a request asks for and answers it. Changes take seconds; only one at a time is under way.
    pub fn handle(&self, endpoint: Endpoint, body: &[u8]) -> Reply {
        let json = match endpoint {
            Endpoint::Rep => Ok(wire::listing(&self.supervisor.listing())),
            Endpoint::Status => Ok(wire::successful(&Status::of(&self.fleet, Instant::now()))),
            Endpoint::Add | Endpoint::Rm => {
                self.change(endpoint, body).map(|hostnames| wire::listing(&hostnames))
            }
        };
        match json {
            Ok(json) => Reply::json(json),
            Err(ChangeError::Refused(why)) => {
                log::warn!("{} refused: {why}", endpoint.path());
                Reply::failure(StatusCode::BAD_REQUEST, &why)
            }
            Err(ChangeError::Failed(why)) => {
                log::error!("{} failed: {why}", endpoint.path());
                Reply::failure(StatusCode::INTERNAL_SERVER_ERROR, &why)
            }
            Err(ChangeError::Stopping) => Reply::try_again("the balancer is shutting down"),
        }
    }

    fn change(&self, endpoint: Endpoint, body: &[u8]) -> Result<Vec<Hostname>, ChangeError> {
        let keys: &[&str] = if endpoint == Endpoint::Rm { &wire::REMOVAL } else { &wire::ADDITION };
        let change = wire::parse_change(body, keys).map_err(ChangeError::Refused)?;
        match endpoint {
            Endpoint::Rm => self.supervisor.remove(change.n, &change.hostnames),
            _ => self.supervisor.add(change.n, &change.hostnames, &change.weights),
        }
    }
}
