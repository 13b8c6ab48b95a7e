//! How Ringmaster's HTTP client is set up wherever it is used: everything that ureq does by default for a program
//! that talks to the web, and that is wrong between a balancer and its replicas, is off.

use std::io;
use std::net::{IpAddr, SocketAddr};

use ureq::config::{Config, ConfigBuilder};
use ureq::http::Uri;
use ureq::typestate::AgentScope;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

/// A client configuration that adds, follows and interprets nothing: no proxy from the environment, no headers of
/// its own, no redirects, and a 4xx or 5xx is an answer like any other.
pub fn config() -> ConfigBuilder<AgentScope> {
    ureq::Agent::config_builder()
        .proxy(None)
        .http_status_as_error(false)
        .max_redirects(0)
        .user_agent("")
        .accept("")
        .accept_encoding("")
}

/// What a failure says about the server that was called.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Blame {
    /// Nobody listens there, or there is no way there.
    Gone,
    /// No connection came about in time: it is gone, hangs, or has more to do than it can.
    Silent,
    /// A connection came about; what failed came after.
    Accepts,
    /// This process has no descriptors, ports or memory left, or did not call at all: nothing was learned about the server.
    Ours,
}

/// Whom a failed call is to be blamed on. `connected` is whether a connection had come about.
pub fn blame(error: &ureq::Error, connected: bool) -> Blame {
    // Numbers of errors that std has no kind for: EMFILE, ENFILE, ENOBUFS, ENOMEM, as Linux has them everywhere.
    const OUT_OF_SOMETHING: [i32; 4] = [24, 23, 105, 12];
    match error {
        ureq::Error::Io(error) if error.raw_os_error().is_some_and(|n| OUT_OF_SOMETHING.contains(&n)) => {
            Blame::Ours
        }
        ureq::Error::Io(error) if error.kind() == io::ErrorKind::AddrNotAvailable => Blame::Ours,
        _ if connected => Blame::Accepts,
        ureq::Error::Timeout(_) => Blame::Silent,
        ureq::Error::Io(_) | ureq::Error::ConnectionFailed => Blame::Gone,
        // Refused by the HTTP client before it called anybody.
        _ => Blame::Ours,
    }
}

/// What went wrong, for people: the HTTP client's words for a timeout name a part of its own.
pub fn words(error: &ureq::Error) -> String {
    match error {
        ureq::Error::Timeout(_) => "no answer in time".to_owned(),
        ureq::Error::Io(error) => error.to_string(),
        other => other.to_string(),
    }
}

/// A resolver for addresses that are known.
///
/// ureq's own starts a thread for each request as soon as a timeout applies to resolving. Replicas are reached by
/// address, so there is nothing to look up and nothing to wait for.
#[derive(Debug)]
pub struct KnownAddress;

impl Resolver for KnownAddress {
    fn resolve(&self, uri: &Uri, _: &Config, _: NextTimeout) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let authority = uri.authority().ok_or(ureq::Error::HostNotFound)?;
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        let ip: IpAddr = host.parse().map_err(|_| ureq::Error::HostNotFound)?;
        let mut addresses = self.empty();
        addresses.push(SocketAddr::new(ip, authority.port_u16().unwrap_or(80)));
        Ok(addresses)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ureq::Timeout;

    #[test]
    fn a_failure_is_blamed_on_whoever_it_says_something_about() {
        let io = |number| ureq::Error::Io(io::Error::from_raw_os_error(number));
        const EMFILE: i32 = 24;
        const EADDRNOTAVAIL: i32 = 99;
        const ECONNRESET: i32 = 104;
        const ECONNREFUSED: i32 = 111;
        const EHOSTUNREACH: i32 = 113;
        for (error, connected, blame) in [
            (io(ECONNREFUSED), false, Blame::Gone),
            (io(EHOSTUNREACH), false, Blame::Gone),
            (ureq::Error::Timeout(Timeout::Connect), false, Blame::Silent),
            (ureq::Error::Timeout(Timeout::Global), true, Blame::Accepts),
            (io(ECONNRESET), true, Blame::Accepts),
            // Whoever has no descriptors left has learned nothing.
            (io(EMFILE), false, Blame::Ours),
            (io(EMFILE), true, Blame::Ours),
            (io(EADDRNOTAVAIL), false, Blame::Ours),
            (ureq::Error::BadUri("x".to_owned()), false, Blame::Ours),
        ] {
            assert_eq!(super::blame(&error, connected), blame, "{error:?}, {connected}");
        }
    }
}
