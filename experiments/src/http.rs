//! As much of HTTP/1.1 as a client of small answers needs, on one keep-alive connection.

use std::io::{BufRead, BufReader, Error, ErrorKind, Read, Result, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::target::Target;

/// How long connecting, or a silence within an answer, may take: longer than a balancer takes to find that a replica
/// hangs, to start five at once, and to ask another.
const PATIENCE: Duration = Duration::from_secs(30);

/// Longest line of a head, and longest body; what comes from a balancer here is far shorter.
const LONGEST_LINE: u64 = 8 * 1024;
const LONGEST_BODY: usize = 4 * 1024 * 1024;

/// An open connection.
pub struct Client {
    stream: BufReader<TcpStream>,
    host: String,
}

/// An answer that was read to its end.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its body.
    pub body: Vec<u8>,
    /// Whether there is no further answer on this connection.
    pub closes: bool,
}

impl Answer {
    /// The body as text, for people.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl Client {
    /// Connects.
    ///
    /// # Errors
    /// Nobody is there.
    pub fn connect(target: &Target) -> Result<Client> {
        let stream = TcpStream::connect_timeout(&target.address, PATIENCE)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Client { stream: BufReader::with_capacity(2048, stream), host: target.host.clone() })
    }

    /// One GET.
    ///
    /// # Errors
    /// There was no whole answer.
    pub fn get(&mut self, path: &str) -> Result<Answer> {
        self.request("GET", path, "")
    }

    /// One request with a short body, or with none.
    ///
    /// # Errors
    /// There was no whole answer.
    pub fn request(&mut self, method: &str, path: &str, body: &str) -> Result<Answer> {
        let mut request = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\n", self.host);
        if !body.is_empty() {
            let length = body.len();
            request += &format!("Content-Type: application/json\r\nContent-Length: {length}\r\n");
        }
        request += "\r\n";
        request += body;
        self.stream.get_mut().write_all(request.as_bytes())?;
        read_answer(&mut self.stream, method == "HEAD")
    }
}

/// How the end of a body is known.
enum Framing {
    Length(usize),
    Chunks,
    UntilEnd,
}

fn read_answer(from: &mut impl BufRead, has_no_body: bool) -> Result<Answer> {
    let first = line(from)?;
    let word = first.strip_prefix("HTTP/1.").and_then(|rest| rest.split(' ').nth(1));
    let status: u16 = word.and_then(|word| word.parse().ok()).ok_or_else(|| not_understood(&first))?;
    let (mut framing, mut closes) = (Framing::UntilEnd, false);
    loop {
        let line = line(from)?;
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(':').ok_or_else(|| not_understood(&line))?;
        let value = value.trim();
        if name.eq_ignore_ascii_case("content-length") {
            framing = Framing::Length(value.parse().map_err(|_| not_understood(&line))?);
        } else if name.eq_ignore_ascii_case("transfer-encoding") && value.eq_ignore_ascii_case("chunked") {
            framing = Framing::Chunks;
        } else if name.eq_ignore_ascii_case("connection") {
            closes = value.eq_ignore_ascii_case("close");
        }
    }
    if has_no_body || matches!(status, 204 | 304) {
        return Ok(Answer { status, body: Vec::new(), closes });
    }
    let mut body = Vec::new();
    match framing {
        Framing::Length(length) => read_exactly(from, length, &mut body)?,
        Framing::Chunks => read_chunks(from, &mut body)?,
        Framing::UntilEnd => {
            from.take(LONGEST_BODY as u64).read_to_end(&mut body)?;
            closes = true;
        }
    }
    Ok(Answer { status, body, closes })
}

fn read_exactly(from: &mut impl BufRead, length: usize, body: &mut Vec<u8>) -> Result<()> {
    if length.saturating_add(body.len()) > LONGEST_BODY {
        return Err(not_understood("a body of many megabytes"));
    }
    let read = from.take(length as u64).read_to_end(body)?;
    if read == length { Ok(()) } else { Err(ErrorKind::UnexpectedEof.into()) }
}

fn read_chunks(from: &mut impl BufRead, body: &mut Vec<u8>) -> Result<()> {
    loop {
        let size = line(from)?;
        let digits = size.split(';').next().unwrap_or_default().trim();
        let size = usize::from_str_radix(digits, 16).map_err(|_| not_understood(&size))?;
        read_exactly(from, size, body)?;
        // Behind the last chunk there may be trailers; behind any other there is nothing.
        while !line(from)?.is_empty() {
            if size > 0 {
                return Err(not_understood("a chunk longer than it says"));
            }
        }
        if size == 0 {
            return Ok(());
        }
    }
}

fn line(from: &mut impl BufRead) -> Result<String> {
    let mut line = String::new();
    from.take(LONGEST_LINE).read_line(&mut line)?;
    if line.pop() != Some('\n') {
        return Err(Error::new(ErrorKind::UnexpectedEof, "the connection ended before the answer did"));
    }
    line.truncate(line.trim_end_matches('\r').len());
    Ok(line)
}

fn not_understood(what: &str) -> Error {
    Error::new(ErrorKind::InvalidData, format!("not understood: {what:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(wire: &str) -> (Result<Answer>, String) {
        let mut stream = wire.as_bytes();
        let answer = read_answer(&mut stream, false);
        (answer, String::from_utf8_lossy(stream).into_owned())
    }

    #[test]
    fn bodies_by_length_in_chunks_and_until_the_end() {
        for (wire, body, closes, rest) in [
            ("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabcnext", "abc", false, "next"),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\nx",
                "abc",
                false,
                "x",
            ),
            ("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", "", true, ""),
            ("HTTP/1.0 200 OK\r\n\r\nabc", "abc", true, ""),
        ] {
            let (answer, left) = read(wire);
            let answer = answer.unwrap();
            assert_eq!((answer.text().as_str(), answer.closes, left.as_str()), (body, closes, rest));
            assert_eq!(answer.status, 200);
        }
    }

    #[test]
    fn what_ends_early_is_an_error() {
        for wire in [
            "",
            "HTTP/1.1 200 OK\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabc",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n0\r\n\r\n",
            "nonsense\r\n\r\n",
        ] {
            assert!(read(wire).0.is_err(), "{wire:?}");
        }
    }
}
