//! The requests of one connection, one after the other, each found where the one before it ends.

use std::io::{self, Read};

use crate::request::{Framing, Head, MAX_BODY, Refusal};

/// How much one read asks for: nearly every request is smaller than this, and it lies on a small stack.
const READ_SIZE: usize = 8 * 1024;

/// The longest line between chunks: a size is 16 digits, and extensions, which nobody uses, may follow it; a trailer
/// is a line too.
const MAX_LINE: usize = 4 * 1024;

/// Why no further request comes from a connection.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The client has gone, or was silent too long: there is nobody to answer.
    Gone,
    /// The request is answered with a refusal.
    Refused(Refusal),
}

impl From<io::Error> for End {
    fn from(_: io::Error) -> Self {
        Self::Gone
    }
}

impl From<Refusal> for End {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// The receiving side of a connection.
pub(crate) struct Incoming<R> {
    source: R,
    /// Received and not used yet: the start of what comes next.
    received: Vec<u8>,
}

impl<R: Read> Incoming<R> {
    pub(crate) fn new(source: R) -> Self {
        Self { source, received: Vec::new() }
    }

    /// Waits for the head of the next request. Its body has to be skipped before the next call.
    pub(crate) fn head(&mut self) -> Result<Head, End> {
        loop {
            if let Some((head, length)) = Head::parse(&self.received)? {
                self.received.drain(..length);
                return Ok(head);
            }
            self.receive()?;
        }
    }

    /// Reads a body to its end and throws it away.
    pub(crate) fn skip_body(&mut self, framing: Framing) -> Result<(), End> {
        match framing {
            Framing::Length(length) => self.skip(length),
            Framing::Chunked => self.skip_chunks(),
        }
    }

    fn skip_chunks(&mut self) -> Result<(), End> {
        let mut left = MAX_BODY;
        loop {
            let line = self.line(&mut left)?;
            let size = chunk_size(&line).ok_or(Refusal::Malformed)?;
            if size == 0 {
                break;
            }
            take(&mut left, size)?;
            self.skip(size)?;
            if !self.line(&mut left)?.is_empty() {
                return Err(Refusal::Malformed.into());
            }
        }
        while !self.line(&mut left)?.is_empty() {}
        Ok(())
    }

    /// Takes one line, counts it against `left`, and returns it without its end, which has to be a full CR LF.
    fn line(&mut self, left: &mut u64) -> Result<Vec<u8>, End> {
        loop {
            let end = self.received.iter().take(MAX_LINE).position(|byte| *byte == b'\n');
            if let Some(end) = end {
                let mut line: Vec<u8> = self.received.drain(..=end).collect();
                take(left, line.len() as u64)?;
                line.pop();
                return if line.pop() == Some(b'\r') { Ok(line) } else { Err(Refusal::Malformed.into()) };
            }
            if self.received.len() >= MAX_LINE {
                return Err(Refusal::Malformed.into());
            }
            self.receive()?;
        }
    }

    fn skip(&mut self, mut length: u64) -> Result<(), End> {
        loop {
            let here = length.min(self.received.len() as u64);
            self.received.drain(..here as usize);
            length -= here;
            if length == 0 {
                return Ok(());
            }
            self.receive()?;
        }
    }

    /// Waits for at least one more byte.
    fn receive(&mut self) -> Result<(), End> {
        let mut buffer = [0; READ_SIZE];
        let length = loop {
            match self.source.read(&mut buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                outcome => break outcome?,
            }
        };
        if length == 0 {
            return Err(End::Gone);
        }
        self.received.extend_from_slice(&buffer[..length]);
        Ok(())
    }
}

fn take(left: &mut u64, amount: u64) -> Result<(), Refusal> {
    *left = left.checked_sub(amount).ok_or(Refusal::BodyTooLarge)?;
    Ok(())
}

/// Hexadecimal digits, and after a semicolon whatever the client likes.
fn chunk_size(line: &[u8]) -> Option<u64> {
    let digits = line.split(|byte| *byte == b';').next()?.trim_ascii_end();
    let text = str::from_utf8(digits).ok()?;
    text.bytes().all(|byte| byte.is_ascii_hexdigit()).then(|| u64::from_str_radix(text, 16).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hands out one byte at a time, so that every place where a read may end is met.
    struct Drip<'a>(&'a [u8]);

    impl Read for Drip<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let Some((first, rest)) = self.0.split_first() else {
                return Ok(0);
            };
            self.0 = rest;
            buffer[0] = *first;
            Ok(1)
        }
    }

    /// The end of skipping `text` as a chunked body, and what is left behind it.
    fn skip(text: &str) -> (Result<(), End>, String) {
        let mut whole = Incoming::new(text.as_bytes());
        let outcome = whole.skip_body(Framing::Chunked);
        let mut dripping = Incoming::new(Drip(text.as_bytes()));
        assert_eq!(dripping.skip_body(Framing::Chunked), outcome, "{text:?} byte by byte");
        (outcome, String::from_utf8(whole.received).unwrap())
    }

    #[test]
    fn chunked_bodies_end_where_they_end() {
        let bodies = [
            "0\r\n\r\n",
            "5\r\nhello\r\n0\r\n\r\n",
            "5;name=value\r\nhello\r\n00A \r\n0123456789\r\n000\r\n\r\n",
            "a\r\n0\r\n\r\nGET /\r\n0\r\nTrailer: x\r\nOther: y\r\n\r\n",
        ];
        for body in bodies {
            assert_eq!(skip(&format!("{body}GET /next")), (Ok(()), "GET /next".to_owned()), "{body:?}");
            for end in 0..body.len() {
                assert_eq!(skip(&body[..end]).0, Err(End::Gone), "{:?}", &body[..end]);
            }
        }
    }

    #[test]
    fn chunk_framing_is_understood_or_refused() {
        let long = format!("5;{}\r\nhello\r\n0\r\n\r\n", "x".repeat(MAX_LINE));
        let table = [
            ("\r\n", Refusal::Malformed),
            ("5\nhello\r\n0\r\n\r\n", Refusal::Malformed),
            ("5\r\nhello0\r\n\r\n", Refusal::Malformed),
            ("4\r\nhello\r\n0\r\n\r\n", Refusal::Malformed),
            ("+5\r\nhello\r\n0\r\n\r\n", Refusal::Malformed),
            ("0x5\r\nhello\r\n0\r\n\r\n", Refusal::Malformed),
            ("10000000000000000\r\n", Refusal::Malformed),
            ("40000000\r\n", Refusal::BodyTooLarge),
            ("ffffffffffffffff\r\n", Refusal::BodyTooLarge),
            (&long, Refusal::Malformed),
        ];
        for (text, refusal) in table {
            assert_eq!(skip(text).0, Err(End::Refused(refusal)), "{text:?}");
        }
    }
}
