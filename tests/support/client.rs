//! An HTTP client that sends exactly the bytes it is given and reads exactly one answer.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};

use super::PATIENCE;

/// One connection.
pub struct Client {
    stream: TcpStream,
    /// What was received and not yet part of an answer.
    buffer: Vec<u8>,
}

/// One answer.
#[derive(Clone, Debug)]
pub struct Response {
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Response {
    /// The value of a field that is there once.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut found = self.headers.iter().filter(|(field, _)| field == name);
        let value = found.next().map(|(_, value)| value.as_str());
        assert!(found.next().is_none(), "{name} is there twice");
        value
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }

    /// The names in the answer of `/rep`, `/add` or `/rm`.
    pub fn listed(&self) -> Vec<String> {
        assert_eq!(self.status, 200, "{}", self.text());
        let json = self.json();
        let names: Vec<String> = serde_json::from_value(json["message"]["replicas"].clone()).unwrap();
        assert_eq!(json["message"]["N"], names.len());
        names
    }

    /// The message of a failure, checked to be in the envelope.
    pub fn error(&self) -> String {
        let json = self.json();
        assert_eq!(json["status"], "failure", "{json}");
        assert_eq!(self.header("content-type"), Some("application/json"));
        json["message"].as_str().unwrap().to_owned()
    }
}

impl Client {
    pub fn connect(address: SocketAddr) -> Client {
        Client::try_connect(address).unwrap()
    }

    /// Connects, or the error with which nobody let it in.
    pub fn try_connect(address: SocketAddr) -> io::Result<Client> {
        Ok(Client::over(TcpStream::connect(address)?))
    }

    /// Connects from this port, which may have been used a moment ago; from any if it is 0. Fails where the system
    /// does not give the port out again yet.
    pub fn connect_from(port: u16, address: SocketAddr) -> io::Result<Client> {
        use nix::sys::socket::{self, AddressFamily, SockFlag, SockType, SockaddrIn, sockopt};
        use std::os::fd::AsRawFd;
        let SocketAddr::V4(address) = address else { panic!("{address} is not IPv4") };
        let end = socket::socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
        socket::setsockopt(&end, sockopt::ReuseAddr, &true)?;
        socket::bind(end.as_raw_fd(), &SockaddrIn::new(127, 0, 0, 1, port))?;
        socket::connect(end.as_raw_fd(), &SockaddrIn::from(address))?;
        Ok(Client::over(TcpStream::from(end)))
    }

    /// The port it is connected from.
    pub fn port(&self) -> u16 {
        self.stream.local_addr().unwrap().port()
    }

    fn over(stream: TcpStream) -> Client {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Client { stream, buffer: Vec::new() }
    }

    /// Sends these bytes.
    pub fn send(&mut self, bytes: &[u8]) -> &mut Client {
        self.stream.write_all(bytes).unwrap();
        self
    }

    /// Sends these bytes, or the error with which the connection ended.
    pub fn try_send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Whether no part of a further answer has come.
    pub fn has_nothing_received(&self) -> bool {
        self.buffer.is_empty()
    }

    /// Sends a request with a `Host` and, where there is a body, its length; reads the answer.
    pub fn request(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Response {
        self.send(&request_bytes(method, path, headers, body));
        self.answer(method == "HEAD")
    }

    /// Reads one answer; `without_body` for the answer to HEAD.
    pub fn answer(&mut self, without_body: bool) -> Response {
        self.try_answer(without_body).unwrap()
    }

    /// Reads one answer, or the error with which the connection ended before it was whole.
    pub fn try_answer(&mut self, without_body: bool) -> io::Result<Response> {
        let end = loop {
            if let Some(at) = self.buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                break at + 4;
            }
            self.receive()?;
        };
        let head: Vec<u8> = self.buffer.drain(..end).collect();
        // Latin-1, so that any byte of a value can be seen.
        let head: String = head.iter().map(|&byte| byte as char).collect();
        // White space is space and tab: the others that Latin-1 has are part of a value.
        let mut lines = head.trim_end_matches("\r\n").split("\r\n");
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers: Vec<(String, String)> = lines
            .map(|line| line.split_once(':').unwrap())
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim_matches([' ', '\t']).to_owned()))
            .collect();
        let mut response = Response { status, headers, body: Vec::new() };
        if without_body || matches!(status, 100..=199 | 204 | 304) {
            return Ok(response);
        }
        response.body = match (response.header("transfer-encoding"), response.header("content-length")) {
            (Some("chunked"), None) => self.chunks()?,
            (None, Some(length)) => self.take(length.parse().unwrap())?,
            (None, None) => self.rest()?,
            framing => panic!("answer framed by {framing:?}"),
        };
        Ok(response)
    }

    fn chunks(&mut self) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let line = loop {
                if let Some(at) = self.buffer.windows(2).position(|window| window == b"\r\n") {
                    break self.take(at + 2)?;
                }
                self.receive()?;
            };
            let size = usize::from_str_radix(std::str::from_utf8(&line).unwrap().trim(), 16).unwrap();
            body.extend(self.take(size)?);
            assert_eq!(self.take(2)?, b"\r\n");
            if size == 0 {
                return Ok(body);
            }
        }
    }

    fn take(&mut self, length: usize) -> io::Result<Vec<u8>> {
        while self.buffer.len() < length {
            self.receive()?;
        }
        Ok(self.buffer.drain(..length).collect())
    }

    fn rest(&mut self) -> io::Result<Vec<u8>> {
        loop {
            match self.receive() {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    return Ok(std::mem::take(&mut self.buffer));
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn receive(&mut self) -> io::Result<()> {
        let mut part = [0; 64 * 1024];
        match self.stream.read(&mut part) {
            // A signal came, to nobody's harm.
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
            Err(error) => Err(error),
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(n) => {
                self.buffer.extend_from_slice(&part[..n]);
                Ok(())
            }
        }
    }

    /// How long to wait for bytes before it counts as an error.
    pub fn set_patience(&mut self, patience: std::time::Duration) {
        self.stream.set_read_timeout(Some(patience)).unwrap();
    }

    /// Says that nothing more will be sent.
    pub fn finish_sending(&mut self) -> &mut Client {
        self.stream.shutdown(std::net::Shutdown::Write).unwrap();
        self
    }

    /// Whether the other side ends the connection without sending anything more.
    pub fn is_ended(&mut self) -> bool {
        self.buffer.is_empty() && self.rest_or_reset().is_some_and(|rest| rest.is_empty())
    }

    /// What comes up to and with `end`, or the error with which the connection ended before that.
    pub fn until(&mut self, end: &str) -> io::Result<String> {
        loop {
            if let Some(at) = self.buffer.windows(end.len()).position(|window| window == end.as_bytes()) {
                return Ok(String::from_utf8(self.take(at + end.len())?).unwrap());
            }
            self.receive()?;
        }
    }

    /// Everything until the connection ends, which it must.
    pub fn everything(&mut self) -> String {
        String::from_utf8(self.rest_or_reset().expect("an end")).unwrap()
    }

    /// Everything until the end of the connection; `None` when it does not end.
    fn rest_or_reset(&mut self) -> Option<Vec<u8>> {
        match self.rest() {
            Ok(rest) => Some(rest),
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {
                Some(std::mem::take(&mut self.buffer))
            }
            Err(_) => None,
        }
    }
}

/// A request as it goes over the wire.
pub fn request_bytes(method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut bytes = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n").into_bytes();
    for (name, value) in headers {
        bytes.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
    }
    if !body.is_empty() {
        bytes.extend_from_slice(format!("Content-Length: {}\r\n", body.len()).as_bytes());
    }
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(body);
    bytes
}
