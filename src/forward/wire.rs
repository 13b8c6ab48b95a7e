//! The wire to a replica: a TCP connection below ureq that keeps the time limits of a proxy, notes how far the request
//! got, and lets a replica answer before it has the whole request.
//!
//! It also spends fewer system calls than ureq's own: a limit that is as good as set is not set again, and whether an
//! idle connection is still open is asked once, with a peek that does not wait, when it is to be used again.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recv};
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, LazyBuffers, NextTimeout, Transport,
};
use ureq::{Error, Timeout};

use super::lines::{Line, Lines};
use super::trip::{Progress, Trip};

/// Makes connections that report to one [`Trip`].
#[derive(Debug)]
pub(super) struct Dialler {
    trip: Trip,
    connect_timeout: Duration,
    lines: Lines,
}

impl Dialler {
    pub(super) fn new(trip: Trip, connect_timeout: Duration, lines: Lines) -> Dialler {
        Dialler { trip, connect_timeout, lines }
    }
}

impl Connector for Dialler {
    type Out = Wire;

    fn connect(&self, details: &ConnectionDetails, _: Option<()>) -> Result<Option<Wire>, Error> {
        let address = details.addrs.first().ok_or(Error::HostNotFound)?;
        let limit = self.connect_timeout.min(self.trip.left());
        if limit.is_zero() {
            return Err(Error::Timeout(Timeout::Connect));
        }
        let stream = match TcpStream::connect_timeout(address, limit) {
            Ok(stream) => stream,
            Err(error) if is_timeout(&error) => return Err(Error::Timeout(Timeout::Connect)),
            Err(error) => return Err(error.into()),
        };
        stream.set_nodelay(true)?;
        self.trip.connected();
        let config = details.config;
        let buffers = LazyBuffers::new(config.input_buffer_size(), config.output_buffer_size());
        Ok(Some(Wire {
            line: self.lines.enter(*address, stream, self.trip.begun()),
            buffers,
            trip: self.trip.clone(),
            read_limit: Duration::MAX,
            write_limit: Duration::MAX,
            used: true,
            failed: None,
        }))
    }
}

/// A connection to a replica.
#[derive(Debug)]
pub(super) struct Wire {
    line: Arc<Line>,
    buffers: LazyBuffers,
    trip: Trip,
    /// What the system was told last.
    read_limit: Duration,
    write_limit: Duration,
    /// It has carried something since it was asked last whether it is open.
    used: bool,
    /// The error with which the replica stopped taking the request. It may have answered before that.
    failed: Option<io::Error>,
}

impl Wire {
    /// What a look at the socket says that takes nothing and does not wait.
    fn peek(&self, start: &mut [u8]) -> Result<usize, Errno> {
        recv(self.line.stream.as_raw_fd(), start, MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT)
    }

    /// Whether the replica has said that it does not want the request (300 and above), or ended the connection. News that
    /// an answer will come (1xx) do not say that, and one that begins early (2xx) may need all of the request.
    fn has_declined(&self) -> bool {
        let mut start = [0; b"HTTP/1.1 3".len()];
        match self.peek(&mut start) {
            Ok(n) if n == start.len() => start[n - 1] >= b'3',
            Ok(n) => n == 0,
            Err(error) => error != Errno::EAGAIN,
        }
    }

    fn limit_read(&mut self, limit: Duration) -> io::Result<()> {
        if !is_as_good_as(self.read_limit, limit) {
            self.line.stream.set_read_timeout(Some(limit))?;
            self.read_limit = limit;
        }
        Ok(())
    }

    fn limit_write(&mut self, limit: Duration) -> io::Result<()> {
        if !is_as_good_as(self.write_limit, limit) {
            self.line.stream.set_write_timeout(Some(limit))?;
            self.write_limit = limit;
        }
        Ok(())
    }

    fn read(&mut self) -> io::Result<usize> {
        loop {
            match (&self.line.stream).read(self.buffers.input_append_buf()) {
                // Not the end of an answer, but ours.
                Ok(0) if self.line.was_cut() => return Err(ErrorKind::ConnectionReset.into()),
                // Reads with a limit are not restarted after a signal.
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                other => return other,
            }
        }
    }
}

impl Transport for Wire {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, _: NextTimeout) -> Result<(), Error> {
        self.used = true;
        if self.trip.is_under_way() && self.has_declined() {
            // There is no use in sending the rest.
            self.trip.cut();
        }
        if self.trip.is_cut() {
            return Ok(());
        }
        let limit = self.trip.sending();
        self.limit_write(limit)?;
        let output = &self.buffers.output()[..amount];
        match (&self.line.stream).write_all(output) {
            Ok(()) => self.trip.sent(),
            Err(error) if is_timeout(&error) => return Err(Error::Timeout(Timeout::SendBody)),
            Err(error) => {
                self.trip.cut();
                self.failed = Some(error);
            }
        }
        Ok(())
    }

    fn await_input(&mut self, _: NextTimeout) -> Result<bool, Error> {
        self.used = true;
        let limit = self.trip.patience();
        if limit.is_zero() {
            return Err(Error::Timeout(Timeout::RecvResponse));
        }
        self.limit_read(limit)?;
        let read = self.read();
        if let Ok(n) = read
            && n > 0
        {
            self.buffers.input_appended(n);
            self.trip.received();
            return Ok(true);
        }
        // Nothing came; if the request could not be sent whole, that is why.
        match (self.failed.take(), read) {
            // It had answered before that, and this is the end of it.
            (Some(_), Ok(_)) if self.trip.progress() == Progress::AnswerBegun => Ok(false),
            (Some(error), _) => Err(error.into()),
            (None, Ok(_)) => Ok(false),
            (None, Err(error)) if is_timeout(&error) => Err(Error::Timeout(Timeout::RecvResponse)),
            (None, Err(error)) => {
                self.trip.reset();
                Err(error.into())
            }
        }
    }

    /// ureq asks when an answer has been read, and again when the connection is to be used for another request. Right after
    /// use the answer is known, so only the second costs a look.
    fn is_open(&mut self) -> bool {
        if self.failed.is_some() || self.trip.is_cut() {
            return false;
        }
        std::mem::take(&mut self.used) || self.peek(&mut [0]) == Err(Errno::EAGAIN)
    }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

/// Whether a limit that is set need not be set again: it is never shorter, and later by a sixteenth at most.
fn is_as_good_as(set: Duration, wanted: Duration) -> bool {
    set >= wanted && set - wanted <= wanted / 16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_set_again_only_when_it_makes_a_difference() {
        let ms = Duration::from_millis;
        for (set, wanted, good) in
            [(1000, 1000, true), (1000, 950, true), (1000, 900, false), (1000, 1001, false), (1000, 1, false)]
        {
            assert_eq!(is_as_good_as(ms(set), ms(wanted)), good, "{set} for {wanted}");
        }
        assert!(!is_as_good_as(Duration::MAX, ms(1)));
    }
}
