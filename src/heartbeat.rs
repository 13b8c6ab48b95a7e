//! One pulse: is the server at this address alive, answering, and who we think it is?
//!
//! Every pulse opens a new connection, because a server that still answers on old connections but takes no new ones
//! is not well. Blocks for at most the timeout it was made with. Owns no thread and no lock.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use http::uri::PathAndQuery;
use ureq::unversioned::transport::{ConnectionDetails, Connector, TcpConnector};
use ureq::{Agent, Body};

use crate::dial::{self, Blame};

/// The field in which a replica may say its `SERVER_ID`. One that does not is believed to be the right one.
pub const IDENTITY: &str = "x-server-id";

/// How heartbeats are taken.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How long one may take altogether: connect, send, and the whole answer.
    pub timeout: Duration,
    /// What is asked for; `/heartbeat` in the contract.
    pub path: PathAndQuery,
}

/// What a heartbeat came back with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Pulse {
    /// A success (2xx; 200 in the contract), after this long.
    Good(Duration),
    /// Anything else.
    Missed(Miss),
    /// It could not be taken, for want of something on our side: says nothing about the server.
    Unknown(String),
}

/// A heartbeat that was missed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Miss {
    /// What went wrong.
    pub why: String,
    /// A connection came about, and whoever took it is not known to be another: a request may still be answered there.
    pub accepts: bool,
}

/// Takes pulses; one at a time.
pub struct Heartbeat {
    agent: Agent,
    path: PathAndQuery,
    connected: Arc<AtomicBool>,
}

impl Heartbeat {
    /// Heartbeats by these settings.
    pub fn new(settings: &Settings) -> Heartbeat {
        let config = dial::config()
            .timeout_global(Some(settings.timeout))
            .max_idle_connections(0)
            // A heartbeat's answer is a few lines; a server that sends more than this is not a replica.
            .input_buffer_size(8 * 1024)
            .output_buffer_size(1024)
            .max_response_header_size(8 * 1024)
            .build();
        let connected = Arc::default();
        let connector = Noting { inner: TcpConnector::default(), connected: Arc::clone(&connected) };
        let agent = Agent::with_parts(config, connector, dial::KnownAddress);
        Heartbeat { agent, path: settings.path.clone(), connected }
    }

    /// Asks the server at `address` once. If it says who it is, that must be `expected`, where something is expected:
    /// an address that was freed may have been given to another.
    pub fn pulse(&self, address: SocketAddr, expected: Option<&str>) -> Pulse {
        #[cfg(feature = "model")]
        if let Some(pulse) = model::answer(address) {
            return pulse;
        }
        let begun = Instant::now();
        self.connected.store(false, Relaxed);
        let call =
            self.agent.get(format!("http://{address}{}", self.path)).header("connection", "close").call();
        let missed = |why, accepts| Pulse::Missed(Miss { why, accepts });
        match call {
            Ok(answer) => match (another(&answer, expected), answer.status()) {
                (Some(other), _) => missed(format!("the heartbeat was answered by '{other}'"), false),
                (None, status) if status.is_success() => Pulse::Good(begun.elapsed()),
                (None, status) => missed(format!("heartbeat answered {}", status.as_u16()), true),
            },
            Err(error) => match dial::blame(&error, self.connected.load(Relaxed)) {
                Blame::Ours => Pulse::Unknown(dial::words(&error)),
                blame => {
                    missed(format!("heartbeat failed: {}", dial::words(&error)), blame == Blame::Accepts)
                }
            },
        }
    }
}

/// Heartbeats without a network, in a build for `tests/model`: what runs in there has no address.
#[cfg(feature = "model")]
pub mod model {
    use std::cell::RefCell;
    use std::net::SocketAddr;
    use std::rc::Rc;

    use super::Pulse;

    type Answer = Rc<dyn Fn(SocketAddr) -> Pulse>;

    thread_local! {
        // The checker runs all threads of a model on one thread of the system: each test has its own.
        static ANSWER: RefCell<Option<Answer>> = const { RefCell::new(None) };
    }

    /// From now on every heartbeat that is taken on this thread of the system comes back with what `answer` says.
    pub fn answer_with(answer: impl Fn(SocketAddr) -> Pulse + 'static) {
        ANSWER.set(Some(Rc::new(answer)));
    }

    pub(super) fn answer(address: SocketAddr) -> Option<Pulse> {
        let answer = ANSWER.with_borrow(Clone::clone);
        answer.map(|answer| answer(address))
    }
}

/// Who answered, if that is not who was expected to.
fn another(answer: &http::Response<Body>, expected: Option<&str>) -> Option<String> {
    let told = answer.headers().get(IDENTITY)?;
    let is_expected = expected.is_none_or(|expected| told.as_bytes() == expected.as_bytes());
    (!is_expected).then(|| String::from_utf8_lossy(told.as_bytes()).escape_debug().to_string())
}

/// Connects and says that it did.
#[derive(Debug)]
struct Noting {
    inner: TcpConnector,
    connected: Arc<AtomicBool>,
}

impl Connector for Noting {
    type Out = <TcpConnector as Connector>::Out;

    fn connect(
        &self,
        details: &ConnectionDetails,
        chained: Option<()>,
    ) -> Result<Option<Self::Out>, ureq::Error> {
        let connection = self.inner.connect(details, chained)?;
        self.connected.store(connection.is_some(), Relaxed);
        Ok(connection)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::TcpListener;

    fn heartbeat(timeout: Duration) -> Heartbeat {
        Heartbeat::new(&Settings { timeout, path: PathAndQuery::from_static("/heartbeat") })
    }

    /// A server that answers its first connection with `answer`, then is gone.
    fn once(answer: &'static [u8]) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0; 1024]);
            let _ = stream.write_all(answer);
        });
        address
    }

    #[test]
    fn only_a_success_is_good() {
        let heartbeat = heartbeat(Duration::from_secs(10));
        for answer in
            [&b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"[..], b"HTTP/1.1 204 No Content\r\n\r\n"]
        {
            assert!(matches!(heartbeat.pulse(once(answer), None), Pulse::Good(_)));
        }
        for (answer, why) in [
            (&b"HTTP/1.1 500 X\r\nContent-Length: 0\r\n\r\n"[..], "answered 500"),
            (b"HTTP/1.1 302 X\r\nLocation: /home\r\nContent-Length: 0\r\n\r\n", "answered 302"),
            (b"SSH-2.0-x\r\n\r\n", "failed"),
            (b"", "failed"),
        ] {
            let pulse = heartbeat.pulse(once(answer), None);
            assert!(
                matches!(&pulse, Pulse::Missed(miss) if miss.why.contains(why) && miss.accepts),
                "{pulse:?}"
            );
        }
    }

    #[test]
    fn who_says_to_be_another_is_not_the_one_that_was_asked_for() {
        let heartbeat = heartbeat(Duration::from_secs(10));
        let answer = b"HTTP/1.1 200 OK\r\nX-Server-Id: server_2\r\nContent-Length: 0\r\n\r\n";
        for expected in [None, Some("server_2")] {
            assert!(matches!(heartbeat.pulse(once(answer), expected), Pulse::Good(_)));
        }
        for expected in ["server_22", "server_", "SERVER_2", ""] {
            let pulse = heartbeat.pulse(once(answer), Some(expected));
            let Pulse::Missed(miss) = pulse else { panic!("{expected}: {pulse:?}") };
            assert!(miss.why.contains("answered by 'server_2'") && !miss.accepts, "{miss:?}");
        }
    }

    #[test]
    fn a_closed_port_and_a_silent_server_are_misses() {
        let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let pulse = heartbeat(Duration::from_secs(10)).pulse(closed, None);
        assert!(matches!(&pulse, Pulse::Missed(miss) if !miss.accepts), "{pulse:?}");
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let pulse = heartbeat(Duration::from_millis(50)).pulse(silent.local_addr().unwrap(), None);
        let is_timeout = |miss: &Miss| miss.why.contains("no answer in time") && miss.accepts;
        assert!(matches!(&pulse, Pulse::Missed(miss) if is_timeout(miss)), "{pulse:?}");
    }
}
