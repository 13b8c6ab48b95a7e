//! The wire to a replica, which notes whether anything went out on it or came in: the retry rule asks that.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use ureq::Error;
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, NextTimeout, TcpConnector, Transport,
};

/// What has passed the wire for the current request. One agent carries one request at a time, so flags for each agent
/// are flags for each request.
#[derive(Clone, Default, Debug)]
pub(super) struct Passed(Arc<Flags>);

#[derive(Default, Debug)]
struct Flags {
    sent: AtomicBool,
    received: AtomicBool,
}

impl Passed {
    pub(super) fn reset(&self) {
        self.0.sent.store(false, Relaxed);
        self.0.received.store(false, Relaxed);
    }

    /// How far the request got.
    pub(super) fn progress(&self) -> Progress {
        match (self.0.sent.load(Relaxed), self.0.received.load(Relaxed)) {
            (false, _) => Progress::NothingSent,
            (true, false) => Progress::Sent,
            (true, true) => Progress::AnswerBegun,
        }
    }
}

/// How far a request got, in the words of the retry rule.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Progress {
    /// No byte of it has left.
    NothingSent,
    /// Something may have reached the replica; nothing has come back.
    Sent,
    /// Something has come back.
    AnswerBegun,
}

/// Connects like [`TcpConnector`] and hands out wires that report to one [`Passed`].
#[derive(Debug)]
pub(super) struct CountingConnector {
    tcp: TcpConnector,
    passed: Passed,
}

impl CountingConnector {
    pub(super) fn new(passed: Passed) -> CountingConnector {
        CountingConnector { tcp: TcpConnector::default(), passed }
    }
}

impl Connector for CountingConnector {
    type Out = Wire<<TcpConnector as Connector>::Out>;

    fn connect(&self, details: &ConnectionDetails, chained: Option<()>) -> Result<Option<Self::Out>, Error> {
        let wire = <TcpConnector as Connector>::connect(&self.tcp, details, chained)?;
        Ok(wire.map(|wire| Wire { wire, passed: self.passed.clone() }))
    }
}

/// A connection to a replica.
#[derive(Debug)]
pub(super) struct Wire<T> {
    wire: T,
    passed: Passed,
}

impl<T: Transport> Transport for Wire<T> {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.wire.buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        // Set before the write: one that fails may have sent a part.
        if amount > 0 {
            self.passed.0.sent.store(true, Relaxed);
        }
        self.wire.transmit_output(amount, timeout)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        let input = self.wire.await_input(timeout)?;
        if input {
            self.passed.0.received.store(true, Relaxed);
        }
        Ok(input)
    }

    fn is_open(&mut self) -> bool {
        self.wire.is_open()
    }
}
