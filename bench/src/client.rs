//! A client on one keep-alive connection.

use std::io::{BufRead, BufReader, Error, ErrorKind, Read, Result, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::http::{self, Body, Head};

/// How long connecting, or a silence within an answer, may take: longer than a balancer takes to find that a replica
/// hangs, and to ask another.
const PATIENCE: Duration = Duration::from_secs(30);

/// Enough for a small answer; thousands of these are held at once.
const BUFFER: usize = 2 * 1024;

/// An open connection.
pub struct Client {
    stream: BufReader<TcpStream>,
}

/// An answer that was read to its end.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its body.
    pub body: Vec<u8>,
    /// Whether there is no further answer on this connection.
    pub closes: bool,
}

impl Client {
    /// Connects.
    ///
    /// # Errors
    /// Nobody is there.
    pub fn connect(address: SocketAddr) -> Result<Client> {
        Client::connect_with(address, PATIENCE)
    }

    /// Connects, for answers that may take as long as `patience`.
    ///
    /// # Errors
    /// Nobody is there.
    pub fn connect_with(address: SocketAddr, patience: Duration) -> Result<Client> {
        let stream = TcpStream::connect_timeout(&address, patience)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(patience))?;
        stream.set_write_timeout(Some(patience))?;
        Ok(Client { stream: BufReader::with_capacity(BUFFER, stream) })
    }

    /// One GET.
    ///
    /// # Errors
    /// There was no whole answer.
    pub fn get(&mut self, path: &str) -> Result<Answer> {
        self.send_get(path)?;
        self.answer()
    }

    /// One GET; `None` when the connection ends with not a single byte of an answer.
    ///
    /// # Errors
    /// There was no whole answer, or none in time.
    pub fn get_or_silence(&mut self, path: &str) -> Result<Option<Answer>> {
        let sent = self.send_get(path);
        match sent.and_then(|()| Ok(!self.stream.fill_buf()?.is_empty())) {
            Ok(true) => self.answer().map(Some),
            Ok(false) => Ok(None),
            Err(error) if is_end(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn send_get(&mut self, path: &str) -> Result<()> {
        self.send(&format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"))
    }

    /// One request with a short body.
    ///
    /// # Errors
    /// There was no whole answer.
    pub fn request(&mut self, method: &str, path: &str, body: &str) -> Result<Answer> {
        let length = body.len();
        self.send(&format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
             Content-Length: {length}\r\n\r\n{body}"
        ))?;
        self.answer()
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    /// The connection took them not.
    pub fn send(&mut self, bytes: &str) -> Result<()> {
        self.stream.get_mut().write_all(bytes.as_bytes())
    }

    /// Where a body may be written to.
    pub fn writer(&mut self) -> &mut TcpStream {
        self.stream.get_mut()
    }

    /// Reads an answer.
    ///
    /// # Errors
    /// There was no whole one.
    pub fn answer(&mut self) -> Result<Answer> {
        let mut body = Vec::new();
        let (head, mut reader) = self.begin_answer()?;
        reader.read_to_end(&mut body)?;
        Ok(Answer { status: head.status()?, body, closes: head.closes })
    }

    /// Reads an answer's head; its body can then be read piece by piece.
    ///
    /// # Errors
    /// There was no whole head.
    pub fn begin_answer(&mut self) -> Result<(Head, Body<'_, BufReader<TcpStream>>)> {
        let head = http::read_head(&mut self.stream)?.ok_or(ErrorKind::UnexpectedEof)?;
        if !head.is_chunked && head.length.is_none() {
            return Err(Error::new(ErrorKind::InvalidData, "an answer of unknown length"));
        }
        let body = Body::new(&head, &mut self.stream);
        Ok((head, body))
    }
}

/// Whether a connection that fails so is at its end, rather than slow.
fn is_end(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted | ErrorKind::BrokenPipe)
}
