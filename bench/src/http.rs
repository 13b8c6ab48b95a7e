//! As much of HTTP/1.1 as both ends of a measurement need: heads, and bodies by length and in chunks.

use std::io::{BufRead, Error, ErrorKind, Read, Result, Write};

/// Longest line that is read of a head or a chunk; those of balancers and our own are far shorter.
const LONGEST_LINE: u64 = 8 * 1024;

/// What one needs to know of the head of a request or of an answer.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// The request line or the status line.
    pub first: String,
    /// The body's length if it is given.
    pub length: Option<u64>,
    /// Whether the body comes in chunks.
    pub is_chunked: bool,
    /// Whether the connection ends with this.
    pub closes: bool,
}

impl Head {
    /// The status of an answer.
    ///
    /// # Errors
    /// This is not the head of an answer.
    pub fn status(&self) -> Result<u16> {
        let word = self.first.strip_prefix("HTTP/1.").and_then(|rest| rest.split(' ').nth(1));
        word.and_then(|word| word.parse().ok()).ok_or_else(|| invalid(&self.first))
    }
}

fn invalid(what: &str) -> Error {
    Error::new(ErrorKind::InvalidData, format!("not understood: {what:?}"))
}

/// One line without its end; `None` at the end of the stream.
fn line(from: &mut impl BufRead) -> Result<Option<String>> {
    let mut line = String::new();
    if from.take(LONGEST_LINE).read_line(&mut line)? == 0 {
        return Ok(None);
    }
    if line.pop() != Some('\n') {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    line.truncate(line.trim_end_matches('\r').len());
    Ok(Some(line))
}

/// Reads a head; `None` when the stream ends before it begins.
///
/// # Errors
/// Reading failed, or this is no head.
pub fn read_head(from: &mut impl BufRead) -> Result<Option<Head>> {
    let Some(first) = line(from)? else { return Ok(None) };
    let mut head = Head { first, ..Head::default() };
    loop {
        let line = line(from)?.ok_or(ErrorKind::UnexpectedEof)?;
        if line.is_empty() {
            return Ok(Some(head));
        }
        let (name, value) = line.split_once(':').ok_or_else(|| invalid(&line))?;
        let value = value.trim();
        if name.eq_ignore_ascii_case("content-length") {
            head.length = Some(value.parse().map_err(|_| invalid(&line))?);
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            head.is_chunked = value.eq_ignore_ascii_case("chunked");
        } else if name.eq_ignore_ascii_case("connection") {
            head.closes = value.eq_ignore_ascii_case("close");
        }
    }
}

/// A body that is being read, as its head says; at its end the stream stands at the next head.
pub struct Body<'a, R> {
    from: &'a mut R,
    /// Bytes that are left, of the chunk or of all.
    left: u64,
    more_chunks: bool,
}

impl<'a, R: BufRead> Body<'a, R> {
    /// The body that follows `head`.
    pub fn new(head: &Head, from: &'a mut R) -> Body<'a, R> {
        let left = if head.is_chunked { 0 } else { head.length.unwrap_or(0) };
        Body { from, left, more_chunks: head.is_chunked }
    }

    fn next_chunk(&mut self) -> Result<()> {
        let size = line(self.from)?.ok_or(ErrorKind::UnexpectedEof)?;
        let digits = size.split(';').next().unwrap_or_default().trim();
        self.left = u64::from_str_radix(digits, 16).map_err(|_| invalid(&size))?;
        if self.left == 0 {
            self.more_chunks = false;
            while !line(self.from)?.ok_or(ErrorKind::UnexpectedEof)?.is_empty() {}
        }
        Ok(())
    }
}

impl<R: BufRead> Read for Body<'_, R> {
    fn read(&mut self, into: &mut [u8]) -> Result<usize> {
        if self.left == 0 && self.more_chunks {
            self.next_chunk()?;
        }
        if self.left == 0 || into.is_empty() {
            return Ok(0);
        }
        let most = usize::try_from(self.left).map_or(into.len(), |left| left.min(into.len()));
        let read = self.from.read(&mut into[..most])?;
        if read == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        self.left -= read as u64;
        if self.left == 0 && self.more_chunks {
            let end = line(self.from)?.ok_or(ErrorKind::UnexpectedEof)?;
            if !end.is_empty() {
                return Err(invalid(&end));
            }
        }
        Ok(read)
    }
}

/// Writes all of `body`, framed as chunks when told so.
///
/// # Errors
/// Reading or writing failed.
pub fn write_body(to: &mut impl Write, mut body: impl Read, in_chunks: bool) -> Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = body.read(&mut buffer)?;
        if in_chunks {
            write!(to, "{read:x}\r\n")?;
        }
        to.write_all(&buffer[..read])?;
        if in_chunks {
            to.write_all(b"\r\n")?;
        }
        if read == 0 {
            return to.flush();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_and_what_follows() {
        let mut bytes: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\nConnection: close\r\n\r\nabcdef";
        let head = read_head(&mut bytes).unwrap().unwrap();
        assert_eq!((head.status().unwrap(), head.length, head.closes), (200, Some(3), true));
        let mut body = String::new();
        Body::new(&head, &mut bytes).read_to_string(&mut body).unwrap();
        assert_eq!((body.as_str(), bytes), ("abc", b"def".as_slice()));
    }

    #[test]
    fn chunks_there_and_back() {
        let sent: Vec<u8> = (0..200_000_u32).map(|i| i as u8).collect();
        let mut wire = Vec::new();
        write_body(&mut wire, sent.as_slice(), true).unwrap();
        wire.extend_from_slice(b"next");
        let mut stream = wire.as_slice();
        let head = Head { is_chunked: true, ..Head::default() };
        let mut got = Vec::new();
        Body::new(&head, &mut stream).read_to_end(&mut got).unwrap();
        assert_eq!((got == sent, stream), (true, b"next".as_slice()));
    }

    #[test]
    fn what_ends_early_is_an_error() {
        for wire in ["5\r\nabc", "3\r\nabcd\r\n0\r\n\r\n", "x\r\n", "3\r\nabc\r\n0\r\n", ""] {
            let head = Head { is_chunked: true, ..Head::default() };
            let mut stream = wire.as_bytes();
            assert!(Body::new(&head, &mut stream).read_to_end(&mut Vec::new()).is_err(), "{wire:?}");
        }
        assert!(read_head(&mut b"".as_slice()).unwrap().is_none());
        assert!(read_head(&mut b"HTTP/1.1 200 OK\r\n".as_slice()).is_err());
    }
}
