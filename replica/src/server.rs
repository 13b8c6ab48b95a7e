//! The server as a value: a listener, one thread that accepts, and one thread for every connection.
//!
//! The mutex around [`Open`] is the only lock; it is held to enter or leave a connection, never while one is served.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::connection;
use crate::settings::Settings;

/// The most connections at a time. A balancer keeps tens of them; this many threads are still no burden, and more
/// would rather be a leak than load.
const MAX_CONNECTIONS: usize = 4096;

/// The stack of a connection's thread. The deepest call holds a read buffer of 8 KiB and 4 KiB of headers; the default
/// of 2 MiB would reserve 8 GiB of addresses at [`MAX_CONNECTIONS`].
const STACK_SIZE: usize = 128 * 1024;

/// The pause after an accept that failed. Mostly the process is out of file descriptors then, and asking again before
/// a connection has ended would only spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A running replica. Dropping it stops it.
#[derive(Debug)]
pub struct Replica {
    addr: SocketAddr,
    connections: Connections,
    /// `None` once joined.
    acceptor: Option<JoinHandle<()>>,
}

impl Replica {
    /// Binds the address and starts to serve. When the call returns, clients can connect.
    ///
    /// # Errors
    ///
    /// When the address cannot be bound or the accepting thread not be started.
    pub fn start(settings: Settings) -> io::Result<Self> {
        let listener = TcpListener::bind(settings.listen)?;
        let addr = listener.local_addr()?;
        let connections = Connections::new(MAX_CONNECTIONS);
        let acceptor = thread::Builder::new().name("accept".into()).spawn({
            let connections = connections.clone();
            let server_id: Arc<str> = settings.server_id.into();
            move || accept(&listener, &connections, &server_id)
        })?;
        Ok(Self { addr, connections, acceptor: Some(acceptor) })
    }

    /// The address it listens on, with the port that the system chose if that was left to it.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Stops to accept and cuts the open connections. When the call returns, connecting to the address is refused.
    pub fn stop(self) {
        drop(self);
    }

    /// Blocks for as long as the replica accepts connections.
    pub(crate) fn wait(mut self) {
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        self.connections.close();
        let Some(acceptor) = self.acceptor.take() else {
            return;
        };
        // Nothing but a connection wakes a thread out of accept. One attempt can fail, for example for want of a file
        // descriptor until the connections that were just cut are gone.
        while !acceptor.is_finished() {
            let _ = TcpStream::connect_timeout(&reachable(self.addr), ACCEPT_PAUSE);
            thread::sleep(Duration::from_millis(1));
        }
        let _ = acceptor.join();
    }
}

/// The address at which this machine reaches a listener bound to `addr`.
fn reachable(addr: SocketAddr) -> SocketAddr {
    let ip = match addr.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    (ip, addr.port()).into()
}

fn accept(listener: &TcpListener, connections: &Connections, server_id: &Arc<str>) {
    while !connections.closed() {
        let Ok((stream, _)) = listener.accept() else {
            thread::sleep(ACCEPT_PAUSE);
            continue;
        };
        let Some(connection) = connections.enter(stream) else {
            continue;
        };
        let server_id = Arc::clone(server_id);
        // A connection that gets no thread, or whose thread panics, is closed by the drop of `connection`. How one
        // ends is its client's concern alone, so its outcome is not looked at.
        let _ = thread::Builder::new().name("connection".into()).stack_size(STACK_SIZE).spawn(move || {
            let _ = connection::serve(&connection.stream, &server_id);
        });
    }
}

/// The connections that are open now.
#[derive(Clone, Debug)]
struct Connections {
    limit: usize,
    open: Arc<Mutex<Open>>,
}

#[derive(Debug, Default)]
struct Open {
    /// Set for good when the replica stops; nothing enters after that.
    closed: bool,
    next_key: u64,
    streams: HashMap<u64, Arc<TcpStream>>,
}

/// An open connection; its drop closes it and makes room for another.
#[derive(Debug)]
struct Connection {
    key: u64,
    stream: Arc<TcpStream>,
    connections: Connections,
}

impl Connections {
    fn new(limit: usize) -> Self {
        Self { limit, open: Arc::default() }
    }

    /// Counts a connection in, or drops it, and so closes it, when there are too many or the replica stops.
    fn enter(&self, stream: TcpStream) -> Option<Connection> {
        let mut open = self.lock();
        if open.closed || open.streams.len() >= self.limit {
            return None;
        }
        let (key, stream) = (open.next_key, Arc::new(stream));
        open.next_key += 1;
        open.streams.insert(key, Arc::clone(&stream));
        Some(Connection { key, stream, connections: self.clone() })
    }

    /// Cuts all connections and lets none enter any more.
    fn close(&self) {
        let mut open = self.lock();
        open.closed = true;
        for stream in open.streams.values() {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    fn closed(&self) -> bool {
        self.lock().closed
    }

    /// A panic elsewhere leaves the map whole, since no change to it is made in two steps.
    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.connections.lock().streams.remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_limited_and_leave_their_place() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = || TcpStream::connect(listener.local_addr().unwrap()).unwrap();

        let connections = Connections::new(2);
        let first = connections.enter(stream()).unwrap();
        let second = connections.enter(stream()).unwrap();
        assert!(connections.enter(stream()).is_none());
        drop(first);
        let third = connections.enter(stream()).unwrap();

        connections.close();
        drop((second, third));
        assert!(connections.enter(stream()).is_none());
    }

    #[test]
    fn a_panic_in_a_connection_closes_it_and_leaves_its_place() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = || TcpStream::connect(listener.local_addr().unwrap()).unwrap();

        let connections = Connections::new(1);
        let connection = connections.enter(stream()).unwrap();
        let thread = thread::Builder::new().stack_size(STACK_SIZE).spawn(move || {
            let _connection = connection;
            panic!("on purpose");
        });
        assert!(thread.unwrap().join().is_err());
        assert!(connections.enter(stream()).is_some());
    }
}
