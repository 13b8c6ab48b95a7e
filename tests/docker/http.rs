//! An HTTP client for one raw connection, so that a test knows which bytes went over which connection.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

/// Longest wait for a change of the fleet; far above what one takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// One answer, read to its end.
pub struct Answer {
    pub status: u16,
    pub body: String,
    headers: Vec<(String, String)>,
}

impl Answer {
    /// The first header of this name, in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The `message` of the envelope.
    pub fn message(&self) -> Value {
        let mut body: Value = serde_json::from_str(&self.body).expect("a JSON body");
        body["message"].take()
    }

    /// Whether the server keeps this connection for a next request.
    fn keeps_connection(&self) -> bool {
        !self.header("Connection").is_some_and(|value| value.eq_ignore_ascii_case("close"))
    }
}

/// One client connection, kept open between requests.
pub struct Connection {
    stream: BufReader<TcpStream>,
    host: String,
    usable: bool,
}

impl Connection {
    /// Connects; no read will last longer than `patience`.
    pub fn open(address: SocketAddr, patience: Duration) -> io::Result<Connection> {
        let stream = TcpStream::connect_timeout(&address, patience)?;
        stream.set_read_timeout(Some(patience))?;
        stream.set_nodelay(true)?;
        Ok(Connection { stream: BufReader::new(stream), host: address.to_string(), usable: true })
    }

    /// Whether the connection may carry another request.
    pub fn is_usable(&self) -> bool {
        self.usable
    }

    /// Sends one request in one write and reads the answer whole.
    pub fn send(&mut self, method: &str, path: &str, body: &str) -> io::Result<Answer> {
        self.usable = false;
        let (host, length) = (&self.host, body.len());
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {host}\r\n\
             Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        self.stream.get_mut().write_all(request.as_bytes())?;
        let answer = self.read_answer()?;
        self.usable = answer.keeps_connection();
        Ok(answer)
    }

    fn read_answer(&mut self) -> io::Result<Answer> {
        let status_line = self.read_line()?;
        let status = status_line.split(' ').nth(1).and_then(|code| code.parse().ok());
        let status = status.ok_or_else(|| invalid(&status_line))?;
        let headers = self.read_headers()?;
        let length = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("Content-Length"));
        let length =
            length.and_then(|(_, value)| value.parse().ok()).ok_or_else(|| invalid("no Content-Length"))?;
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body)?;
        let body = String::from_utf8(body).map_err(|_| invalid("the body is not UTF-8"))?;
        Ok(Answer { status, body, headers })
    }

    fn read_headers(&mut self) -> io::Result<Vec<(String, String)>> {
        let mut headers = Vec::new();
        loop {
            let line = self.read_line()?;
            if line.is_empty() {
                return Ok(headers);
            }
            let (name, value) = line.split_once(':').ok_or_else(|| invalid(&line))?;
            headers.push((name.to_owned(), value.trim().to_owned()));
        }
    }

    fn read_line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        match line.strip_suffix("\r\n") {
            Some(line) => Ok(line.to_owned()),
            None => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the server closed the connection")),
        }
    }
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_owned())
}

/// One request on a connection of its own.
pub fn try_request(address: SocketAddr, method: &str, path: &str, body: &str) -> io::Result<Answer> {
    Connection::open(address, PATIENCE)?.send(method, path, body)
}

/// One request on a connection of its own, which has to be answered.
pub fn request(address: SocketAddr, method: &str, path: &str, body: &str) -> Answer {
    try_request(address, method, path, body).unwrap_or_else(|error| panic!("{method} {path}: {error}"))
}

/// What a replica of this name says at `/home`, byte for byte.
pub fn hello(hostname: &str) -> String {
    format!(r#"{{"message":"Hello from Server: {hostname}","status":"successful"}}"#)
}

/// The body of a refusal with this text, byte for byte.
pub fn refusal(text: &str) -> String {
    format!(r#"{{"message":"{text}","status":"failure"}}"#)
}
