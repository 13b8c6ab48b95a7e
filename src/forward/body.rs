//! The body of a request on its way through: what was read already, and the rest as it comes.

use std::io::{self, Read};

use super::trip::Trip;

/// Longest body that is read before it is forwarded, so that it can be sent again to another replica. A worker holds
/// one, so this times the workers is the memory that replaying may cost.
pub const REPLAYABLE: usize = 64 * 1024;

/// A request's body.
pub enum Body<'a> {
    /// There is none.
    Empty,
    /// All of it, as often as needed.
    Whole(Vec<u8>),
    /// What was read already, then what is still to come; can be sent once. The length is that of both together, or
    /// `None` when it is not known before the end.
    Stream(Stream<'a>),
}

impl<'a> Body<'a> {
    /// A body of `length` bytes of `source`, or all of it where no length is given. A short one is read at once, a
    /// long one as it is forwarded. Nothing past the length is read.
    ///
    /// # Errors
    /// The source's, when it fails before it is known whether the body is short.
    pub fn read(mut source: Box<dyn Read + 'a>, length: Option<u64>) -> io::Result<Body<'a>> {
        let mut head = Vec::new();
        if length.is_none_or(|length| length <= REPLAYABLE as u64) {
            source.by_ref().take(length.unwrap_or(REPLAYABLE as u64 + 1)).read_to_end(&mut head)?;
            if let Some(length) = length.filter(|&length| length != head.len() as u64) {
                return Err(short(head.len() as u64, length));
            }
            if head.len() <= REPLAYABLE {
                return Ok(Body::Whole(head));
            }
        }
        Ok(Body::Stream(Stream {
            head,
            at: 0,
            rest: source,
            length,
            seen: 0,
            failed: None,
            touched: false,
            ended: false,
            trip: None,
        }))
    }

    /// Whether it can be sent again after it was sent, or is known not to have been read from.
    pub(super) fn can_be_sent(&self) -> bool {
        match self {
            Body::Empty | Body::Whole(_) => true,
            Body::Stream(stream) => !stream.touched,
        }
    }

    /// Whether the client's side of it was read to its end.
    pub fn is_spent(&self) -> bool {
        match self {
            Body::Empty | Body::Whole(_) => true,
            Body::Stream(stream) => stream.ended,
        }
    }

    /// The error with which the client's side of the body failed, if it did.
    pub(super) fn client_error(&mut self) -> Option<io::Error> {
        match self {
            Body::Empty | Body::Whole(_) => None,
            Body::Stream(stream) => stream.failed.take(),
        }
    }
}

/// A body that is forwarded as it arrives.
pub struct Stream<'a> {
    head: Vec<u8>,
    at: usize,
    rest: Box<dyn Read + 'a>,
    /// How long the body is in all, if that is known.
    pub(super) length: Option<u64>,
    seen: u64,
    failed: Option<io::Error>,
    touched: bool,
    ended: bool,
    /// The way that it is on at the moment.
    trip: Option<Trip>,
}

impl Stream<'_> {
    /// Sets out; where the replica wants no more of it, the rest is made up and goes nowhere.
    pub(super) fn set_out(&mut self, trip: Trip) {
        self.trip = Some(trip);
    }
}

impl Read for Stream<'_> {
    /// Ends only where the body does: a source that ends earlier is an error, or else the replica would take a part
    /// for the whole, and ureq would ask for the missing bytes for ever.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.touched = true;
        let left = self.length.map_or(u64::MAX, |length| length - self.seen);
        let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        let buffer = &mut buffer[..wanted];
        if self.trip.as_ref().is_some_and(Trip::is_cut) {
            // ureq insists on the announced length; what it takes for it is thrown away by the wire. A body of unknown
            // length may simply end.
            let made_up = if self.length.is_some() { wanted } else { 0 };
            self.seen += made_up as u64;
            return Ok(made_up);
        }
        let read = match self.head.len() - self.at {
            _ if wanted == 0 => Ok(0),
            0 => self.rest.read(buffer),
            _ => (&self.head[self.at..]).read(buffer).inspect(|n| self.at += n),
        };
        let read = read.and_then(|n| match self.length {
            Some(length) if n == 0 && self.seen < length && !buffer.is_empty() => {
                Err(short(self.seen, length))
            }
            _ => Ok(n),
        });
        match read {
            Ok(n) => {
                self.seen += n as u64;
                self.ended |= self.length == Some(self.seen) || (n == 0 && !buffer.is_empty());
                Ok(n)
            }
            Err(error) => {
                let kind = error.kind();
                self.failed = Some(error);
                Err(kind.into())
            }
        }
    }
}

fn short(seen: u64, length: u64) -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, format!("the body ended after {seen} of {length} bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_bodies_are_whole_and_long_ones_stream() {
        for (size, length, whole) in [
            (0, Some(0), true),
            (5, Some(5), true),
            (REPLAYABLE, Some(REPLAYABLE as u64), true),
            (REPLAYABLE + 1, Some(REPLAYABLE as u64 + 1), false),
            (5, None, true),
            (REPLAYABLE, None, true),
            (3 * REPLAYABLE, None, false),
        ] {
            let sent: Vec<u8> = (0..size).map(|k| k as u8).collect();
            let source = &sent[..];
            let got = match Body::read(Box::new(source), length).unwrap() {
                Body::Whole(bytes) if whole => bytes,
                Body::Stream(mut stream) if !whole => {
                    let mut bytes = Vec::new();
                    stream.read_to_end(&mut bytes).unwrap();
                    bytes
                }
                _ => panic!("{size} bytes, length {length:?}"),
            };
            assert!(got == sent, "{size} bytes, length {length:?}");
        }
    }

    #[test]
    fn a_body_that_ends_early_never_looks_complete() {
        let source = &b"abc"[..];
        assert!(Body::read(Box::new(source), Some(5)).is_err());
        let long = vec![0; 70_000];
        let source = &long[..];
        let mut body = Body::read(Box::new(source), Some(80_000)).unwrap();
        assert!(body.can_be_sent());
        let Body::Stream(stream) = &mut body else { panic!("a long body streams") };
        let error = io::copy(stream, &mut io::sink()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        assert!(!body.can_be_sent());
        assert!(body.client_error().unwrap().to_string().contains("70000 of 80000"));
    }
}
