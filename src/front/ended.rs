//! The connections that we have ended a moment ago, from which tiny_http may still hand out requests.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// How long a connection that was ended is remembered. What had arrived of it was thrown away but for what tiny_http had
/// read by then; that comes out within milliseconds and may look like requests.
const REMEMBERED: Duration = Duration::from_secs(10);

/// How long it is taken to be ended still, once a look at its socket has shown that it is. A look takes up to
/// milliseconds, and a client that had sent thousands of requests at once would have us look for each of them.
const CONFIRMED: Duration = Duration::from_millis(20);

/// What is known of a client's connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Remembered {
    /// It was not ended by us.
    No,
    /// It is one that we have ended.
    Severed,
    /// We have ended one from that address and port; whether it is this one, a look at the socket tells.
    Perhaps,
}

/// Ended connections by client. Reads no clock.
#[derive(Default)]
pub(super) struct Ended {
    /// When each was ended, and when that was last seen at its socket.
    by_peer: HashMap<SocketAddr, (Instant, Option<Instant>)>,
    swept: Option<Instant>,
}

impl Ended {
    /// What is known of the connection from `peer`.
    pub(super) fn state(&mut self, peer: SocketAddr, now: Instant) -> Remembered {
        if self.by_peer.is_empty() {
            return Remembered::No;
        }
        // Now and then, so that thousands of them are not gone through for each request.
        if self.swept.is_none_or(|swept| now - swept >= REMEMBERED / 10) {
            self.by_peer.retain(|_, (since, _)| now - *since < REMEMBERED);
            self.swept = Some(now);
        }
        match self.by_peer.get(&peer) {
            None => Remembered::No,
            Some((_, Some(seen))) if now - *seen < CONFIRMED => Remembered::Severed,
            Some(_) => Remembered::Perhaps,
        }
    }

    /// The connection from `peer` was ended.
    pub(super) fn remember(&mut self, peer: SocketAddr, now: Instant) {
        self.by_peer.insert(peer, (now, None));
    }

    /// A look at the socket has shown that it is the one that was ended.
    pub(super) fn confirm(&mut self, peer: SocketAddr, now: Instant) {
        if let Some((_, seen)) = self.by_peer.get_mut(&peer) {
            *seen = Some(now);
        }
    }

    /// Another connection comes from that address and port now.
    pub(super) fn forget(&mut self, peer: SocketAddr) {
        self.by_peer.remove(&peer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_looked_at_once_in_a_while_and_forgotten_in_the_end() {
        let (peer, other) = (([192, 0, 2, 1], 1).into(), ([192, 0, 2, 1], 2).into());
        let begun = Instant::now();
        let at = |ms| begun + Duration::from_millis(ms);
        let mut ended = Ended::default();
        assert_eq!(ended.state(peer, at(0)), Remembered::No);
        ended.remember(peer, at(0));
        assert_eq!(ended.state(peer, at(1)), Remembered::Perhaps);
        ended.confirm(peer, at(1));
        assert_eq!(ended.state(peer, at(20)), Remembered::Severed);
        assert_eq!(ended.state(other, at(20)), Remembered::No);
        assert_eq!(ended.state(peer, at(21)), Remembered::Perhaps);
        ended.forget(peer);
        assert_eq!(ended.state(peer, at(21)), Remembered::No);
        ended.remember(peer, at(100));
        assert_eq!(ended.state(peer, at(10_000)), Remembered::Perhaps);
        assert_eq!(ended.state(peer, at(11_200)), Remembered::No);
    }
}
