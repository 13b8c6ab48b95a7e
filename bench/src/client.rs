//! A client on one keep-alive connection.

use std::io::{BufReader, Error, ErrorKind, Read, Result, Write};
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
        let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Client { stream: BufReader::with_capacity(BUFFER, stream) })
    }

    /// One GET.
    ///
    /// # Errors
    /// There was no whole answer.
    pub fn get(&mut self, path: &str) -> Result<Answer> {
        self.send(&format!("GET {path} HTTP/1.1\r\nHost: bench\r\n\r\n"))?;
        self.answer()
    }

    /// One request with a short body.
    ///
    /// # Errors
    /// There was no whole answer.
    pub fn request(&mut self, method: &str, path: &str, body: &str) -> Result<Answer> {
        let length = body.len();
        self.send(&format!(
            "{method} {path} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n\
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
