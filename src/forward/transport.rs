//! The wire to a replica, which notes whether anything went out on it: the retry rule asks that.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use ureq::Error;
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, NextTimeout, TcpConnector, Transport,
};

/// Whether the current request has put anything on the wire. One agent carries one request at a time, so a flag for
/// each agent is a flag for each request.
#[derive(Clone, Default, Debug)]
pub(super) struct Sent(Arc<AtomicBool>);

impl Sent {
    pub(super) fn reset(&self) {
        self.0.store(false, Relaxed);
    }

    pub(super) fn anything(&self) -> bool {
        self.0.load(Relaxed)
    }
}

/// Connects like [`TcpConnector`] and hands out wires that report to one [`Sent`].
#[derive(Debug)]
pub(super) struct CountingConnector {
    tcp: TcpConnector,
    sent: Sent,
}

impl CountingConnector {
    pub(super) fn new(sent: Sent) -> CountingConnector {
        CountingConnector { tcp: TcpConnector::default(), sent }
    }
}

impl Connector for CountingConnector {
    type Out = Wire<<TcpConnector as Connector>::Out>;

    fn connect(&self, details: &ConnectionDetails, chained: Option<()>) -> Result<Option<Self::Out>, Error> {
        let wire = <TcpConnector as Connector>::connect(&self.tcp, details, chained)?;
        Ok(wire.map(|wire| Wire { wire, sent: self.sent.clone() }))
    }
}

/// A connection to a replica.
#[derive(Debug)]
pub(super) struct Wire<T> {
    wire: T,
    sent: Sent,
}

impl<T: Transport> Transport for Wire<T> {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.wire.buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        // Set before the write: one that fails may have sent a part.
        if amount > 0 {
            self.sent.0.store(true, Relaxed);
        }
        self.wire.transmit_output(amount, timeout)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        self.wire.await_input(timeout)
    }

    fn is_open(&mut self) -> bool {
        self.wire.is_open()
    }
}
