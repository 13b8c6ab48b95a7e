//! One pulse: is the server at this address alive and answering?
//!
//! Every pulse opens a new connection, because a server that still answers on old connections but takes no new ones
//! is not well. Blocks for at most the timeout it was made with. Owns no thread and no lock.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use http::uri::PathAndQuery;
use ureq::Agent;
use ureq::unversioned::transport::TcpConnector;

use crate::dial;

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
    /// Anything else; says what.
    Missed(String),
}

/// Takes pulses.
pub struct Heartbeat {
    agent: Agent,
    path: PathAndQuery,
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
        let agent = Agent::with_parts(config, TcpConnector::default(), dial::KnownAddress);
        Heartbeat { agent, path: settings.path.clone() }
    }

    /// Asks the server at `address` once.
    pub fn pulse(&self, address: SocketAddr) -> Pulse {
        let begun = Instant::now();
        match self.agent.get(format!("http://{address}{}", self.path)).header("connection", "close").call() {
            Ok(answer) if answer.status().is_success() => Pulse::Good(begun.elapsed()),
            Ok(answer) => Pulse::Missed(format!("heartbeat answered {}", answer.status().as_u16())),
            Err(error) => Pulse::Missed(format!("heartbeat failed: {error}")),
        }
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
            assert!(matches!(heartbeat.pulse(once(answer)), Pulse::Good(_)));
        }
        for (answer, why) in [
            (&b"HTTP/1.1 500 X\r\nContent-Length: 0\r\n\r\n"[..], "answered 500"),
            (b"HTTP/1.1 302 X\r\nLocation: /home\r\nContent-Length: 0\r\n\r\n", "answered 302"),
            (b"SSH-2.0-x\r\n\r\n", "failed"),
            (b"", "failed"),
        ] {
            let pulse = heartbeat.pulse(once(answer));
            assert!(matches!(&pulse, Pulse::Missed(reason) if reason.contains(why)), "{pulse:?}");
        }
    }

    #[test]
    fn a_closed_port_and_a_silent_server_are_misses() {
        let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        assert!(matches!(heartbeat(Duration::from_secs(10)).pulse(closed), Pulse::Missed(_)));
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let pulse = heartbeat(Duration::from_millis(50)).pulse(silent.local_addr().unwrap());
        assert!(matches!(&pulse, Pulse::Missed(reason) if reason.contains("timeout")), "{pulse:?}");
    }
}
