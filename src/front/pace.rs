//! How slowly a client may send or read a body until it is taken to be stalling.
//!
//! The socket's own timeout ends a call in which nothing moves at all. A client that moves one byte just before that
//! would hold a worker for as long as it likes; so the time spent waiting for it is counted, and measured against what
//! has moved.

use std::io::{self, ErrorKind, Read, Write};
use std::time::{Duration, Instant};

/// Slowest rate, in bytes for each second of waiting, once the first patience is used up. A modem of 1990 was faster.
const SLOWEST: u64 = 1024;

/// Waiting for one client.
#[derive(Debug)]
pub(super) struct Pace {
    patience: Duration,
    waited: Duration,
    moved: u64,
}

impl Pace {
    /// A client that may have us wait for `patience`, and one second more for each [`SLOWEST`] bytes.
    pub(super) fn new(patience: Duration) -> Pace {
        Pace { patience, waited: Duration::ZERO, moved: 0 }
    }

    /// Notes that `bytes` moved in `time`; an error when that is too slow by now.
    fn note(&mut self, bytes: usize, time: Duration) -> io::Result<()> {
        self.moved += bytes as u64;
        self.waited += time;
        let allowed = self.patience + Duration::from_secs(self.moved / SLOWEST);
        if self.waited <= allowed { Ok(()) } else { Err(ErrorKind::TimedOut.into()) }
    }

    fn timed(&mut self, act: impl FnOnce() -> io::Result<usize>) -> io::Result<usize> {
        let begun = Instant::now();
        let moved = act()?;
        self.note(moved, begun.elapsed())?;
        Ok(moved)
    }
}

/// A way to or from a client that fails with [`ErrorKind::TimedOut`] when the client is too slow.
pub(super) struct Paced<T> {
    way: T,
    pace: Pace,
}

impl<T> Paced<T> {
    pub(super) fn new(way: T, patience: Duration) -> Paced<T> {
        Paced { way, pace: Pace::new(patience) }
    }

    pub(super) fn into_inner(self) -> T {
        self.way
    }
}

impl<T: Read> Read for Paced<T> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Paced { way, pace } = self;
        pace.timed(|| way.read(buffer))
    }
}

impl<T: Write> Write for Paced<T> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let Paced { way, pace } = self;
        pace.timed(|| way.write(buffer))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.way.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slow_is_not_too_slow_until_patience_and_rate_are_used_up() {
        let second = Duration::from_secs(1);
        let mut pace = Pace::new(10 * second);
        for _ in 0..100 {
            assert!(pace.note(1024, second).is_ok(), "at the slowest rate for ever");
        }
        for k in 0..=10 {
            assert_eq!(pace.note(1, second).is_ok(), k < 10, "a byte a second, {k}");
        }
    }

    #[test]
    fn waiting_for_nobody_costs_nothing() {
        let mut pace = Pace::new(Duration::ZERO);
        assert!(pace.note(0, Duration::ZERO).is_ok());
        assert!(pace.note(0, Duration::from_millis(1)).is_err());
    }
}
