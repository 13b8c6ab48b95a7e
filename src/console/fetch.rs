//! Asking a balancer what it says of itself: one GET on a connection of its own, within bounds of time and size.
//!
//! Whatever fails is one line that says whom was asked and, where it can be known, what to do about it.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;
use ureq::Agent;
use ureq::unversioned::transport::TcpConnector;

use super::answer::{Events, Status};
use super::text;
use crate::admin::Token;
use crate::dial;

/// How long an answer may take, to its last byte: an operator does not wait longer before asking why.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Longest answer; a status with the most replicas and all their slots is a tenth of it.
const MOST_BYTES: u64 = 8 * 1024 * 1024;

/// How much of a server's message an error repeats.
const SHOWN: usize = 300;

const STATUS: &str = "/_ringmaster/status";

/// A balancer to ask, and what to bring.
pub struct Remote {
    agent: Agent,
    address: SocketAddr,
    token: Option<Token>,
}

/// Every answer of a balancer's own.
#[derive(Deserialize)]
struct Envelope {
    message: Value,
    status: String,
}

impl Remote {
    /// The balancer that listens at `address`, asked with `token` if it wants one.
    pub fn new(address: SocketAddr, token: Option<Token>) -> Remote {
        let config = dial::config()
            .timeout_global(Some(TIMEOUT))
            // One connection each time: what has been restarted meanwhile is asked anew, not reported as broken.
            .max_idle_connections(0)
            .build();
        let agent = Agent::with_parts(config, TcpConnector::default(), dial::KnownAddress);
        Remote { agent, address: reachable(address), token }
    }

    /// Where it is asked.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its status as far as it is shown.
    pub(super) fn status(&self) -> Result<Status, String> {
        serde_json::from_value(self.status_as_sent()?)
            .map_err(|error| self.no_ringmaster(&format!("its status is odd: {error}")))
    }

    /// All of its status.
    pub(super) fn status_as_sent(&self) -> Result<Value, String> {
        let message = self.message(STATUS)?;
        match message["replicas"].is_array() {
            true => Ok(message),
            false => Err(self.no_ringmaster("its status has no replicas")),
        }
    }

    /// What has happened since the event with the number `after`.
    pub(super) fn events(&self, after: u64) -> Result<Events, String> {
        let message = self.message(&format!("/_ringmaster/events?after={after}"))?;
        serde_json::from_value(message).map_err(|error| format!("odd events: {error}"))
    }

    /// What the envelope at `path` holds.
    fn message(&self, path: &str) -> Result<Value, String> {
        let (code, body) = self.get(path).map_err(|error| self.unreached(&error))?;
        let envelope: Result<Envelope, _> = serde_json::from_slice(&body);
        match (code, envelope) {
            (200, Ok(Envelope { message, status })) if status == "successful" => Ok(message),
            (200, Ok(_)) => Err(self.no_ringmaster("its answer says that it failed")),
            (200, Err(error)) => Err(self.no_ringmaster(&format!("its answer is none of ours: {error}"))),
            (_, envelope) => Err(self.refused(code, envelope.ok().as_ref().and_then(message_text))),
        }
    }

    fn get(&self, path: &str) -> Result<(u16, Vec<u8>), ureq::Error> {
        let mut request = self
            .agent
            .get(format!("http://{}{path}", self.address))
            .header("accept", "application/json")
            .header("connection", "close");
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {}", token.reveal()));
        }
        let mut answer = request.call()?;
        let body = answer.body_mut().with_config().limit(MOST_BYTES).read_to_vec()?;
        Ok((answer.status().as_u16(), body))
    }

    /// Why there is no answer.
    fn unreached(&self, error: &ureq::Error) -> String {
        let address = self.address;
        match error {
            ureq::Error::Io(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                format!("nothing listens at {address}")
            }
            ureq::Error::Timeout(_) => format!("{address} does not answer within {TIMEOUT:?}"),
            ureq::Error::BodyExceedsLimit(_) => {
                self.no_ringmaster(&format!("its answer is longer than {} MiB", MOST_BYTES >> 20))
            }
            ureq::Error::Protocol(error) => self.no_ringmaster(&format!("no HTTP: {error}")),
            error => format!("{address} cannot be asked: {}", text::plain(&error.to_string())),
        }
    }

    /// What an answer means that is no success, with its own words if it has some.
    fn refused(&self, code: u16, message: Option<String>) -> String {
        let address = self.address;
        match (code, message) {
            (401, _) if self.token.is_some() => format!("{address} does not accept this token"),
            (401, _) => {
                format!("{address} does not tell everybody: it wants a token: --admin-token-file FILE")
            }
            (400 | 404, Some(message)) => self.no_ringmaster(&format!("it says '{message}'")),
            (400 | 404, None) => self.no_ringmaster(&format!("it says {code}")),
            (_, Some(message)) => format!("{address} refuses ({code}): {message}"),
            (403, None) => format!("{address} refuses (403)"),
            (_, None) => self.no_ringmaster(&format!("it says {code}")),
        }
    }

    /// Somebody is there who is not what was asked for.
    fn no_ringmaster(&self, why: &str) -> String {
        format!(
            "no Ringmaster answers at {}: {}; if its admin side is elsewhere: --admin-listen ADDR:PORT",
            self.address,
            text::cut(&text::plain(why), SHOWN)
        )
    }
}

/// The text of a failure, for a person.
fn message_text(envelope: &Envelope) -> Option<String> {
    let message = envelope.message.as_str()?;
    Some(text::cut(&text::plain(message.trim_start_matches("<Error> ")), SHOWN))
}

/// An address that stands for all of a machine's own is reached on loopback.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        _ => return address,
    };
    SocketAddr::new(ip, address.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_of_no_place_is_asked_on_loopback() {
        for (given, asked) in [
            ("0.0.0.0:5000", "127.0.0.1:5000"),
            ("[::]:5001", "[::1]:5001"),
            ("10.0.0.7:80", "10.0.0.7:80"),
            ("[2001:db8::1]:80", "[2001:db8::1]:80"),
        ] {
            assert_eq!(Remote::new(given.parse().unwrap(), None).address().to_string(), asked);
        }
    }

    #[test]
    fn a_refusal_says_what_to_do() {
        let remote = |token: Option<&str>| {
            Remote::new(([127, 0, 0, 1], 1).into(), token.map(|token| Token::new(token).unwrap()))
        };
        for (token, code, message, part) in [
            (None, 401, None, "wants a token: --admin-token-file FILE"),
            (Some("0123456789abcdef"), 401, None, "does not accept this token"),
            (None, 403, Some("only from this machine"), "127.0.0.1:1 refuses (403): only from this machine"),
            (None, 404, None, "no Ringmaster answers at 127.0.0.1:1: it says 404; if its admin side"),
            (None, 400, Some("'/x' is not there"), "it says ''/x' is not there'; if its admin side"),
            (None, 503, Some("too many wait"), "127.0.0.1:1 refuses (503): too many wait"),
            (None, 302, None, "no Ringmaster answers at 127.0.0.1:1: it says 302"),
        ] {
            let error = remote(token).refused(code, message.map(str::to_owned));
            assert!(error.contains(part), "{error}");
        }
    }
}
