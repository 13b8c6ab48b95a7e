//! A replica in this process and a client that sees every byte.

#![allow(dead_code, reason = "every test file uses its part of this one")]
#![allow(clippy::unwrap_used, reason = "a fixture that fails has to fail its test")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use ringmaster_replica::{Replica, Settings};

/// How long a test waits for what has to happen: long enough for the slowest machine, since only a failing test waits
/// so long.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// Starts a replica that calls itself `S1`.
pub fn replica() -> Replica {
    Replica::start(settings(([127, 0, 0, 1], 0).into())).unwrap()
}

/// The settings of that replica for a given address.
pub fn settings(listen: SocketAddr) -> Settings {
    Settings { listen, server_id: "S1".into(), announce: false, end_with_stdin: false }
}

/// The answer to `GET /home` of that replica on a connection that stays open, byte by byte.
pub const HOME: &str = "HTTP/1.1 200 OK\r\n\
    Content-Type: application/json\r\n\
    Content-Length: 57\r\n\
    \r\n\
    {\"message\":\"Hello from Server: S1\",\"status\":\"successful\"}";

/// The answer to `GET /heartbeat` on a connection that stays open, byte by byte.
pub const HEARTBEAT: &str = "HTTP/1.1 200 OK\r\nX-Server-Id: S1\r\nContent-Length: 0\r\n\r\n";

/// One connection of a client; whatever it waits for, it waits until [`DEADLINE`].
pub struct Client {
    stream: BufReader<TcpStream>,
}

impl Client {
    /// Connects to a server.
    pub fn connect(addr: SocketAddr) -> Self {
        let stream = TcpStream::connect_timeout(&addr, DEADLINE).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.set_write_timeout(Some(DEADLINE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream: BufReader::new(stream) }
    }

    /// Sends bytes as they are.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.get_mut().write_all(bytes.as_ref()).unwrap();
    }

    /// Says that no more bytes will be sent.
    pub fn finish(&mut self) {
        self.stream.get_mut().shutdown(Shutdown::Write).unwrap();
    }

    /// Receives exactly `expected` next.
    #[track_caller]
    pub fn expect(&mut self, expected: &str) {
        let mut received = vec![0; expected.len()];
        self.stream.read_exact(&mut received).unwrap();
        assert_eq!(String::from_utf8_lossy(&received), expected);
    }

    /// Receives all that comes until the server closes the connection.
    #[track_caller]
    pub fn rest(&mut self) -> String {
        let mut received = String::new();
        self.stream.read_to_string(&mut received).unwrap();
        received
    }

    /// Receives one answer with a body, and returns its status and its body.
    #[track_caller]
    pub fn answer(&mut self) -> (u16, String) {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            self.stream.read_line(&mut line).unwrap();
            match line.strip_suffix("\r\n").unwrap() {
                "" => break,
                line => lines.push(line.to_owned()),
            }
        }
        let status = lines[0].split(' ').nth(1).unwrap().parse().unwrap();
        let length = lines.iter().find_map(|line| line.strip_prefix("Content-Length: ")).unwrap();
        let mut body = vec![0; length.parse().unwrap()];
        self.stream.read_exact(&mut body).unwrap();
        (status, String::from_utf8(body).unwrap())
    }
}
