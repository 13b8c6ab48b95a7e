//! The listening socket and the tiny_http servers on it.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::atomic::{
    AtomicBool, AtomicUsize,
    Ordering::{Relaxed, SeqCst},
};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::socket::{Backlog, listen};
use tiny_http::{Request, Server};

use super::incoming::Incoming;
use crate::shutdown::Shutdown;

/// A tiny_http server on the socket. One that no longer accepts still serves the connections it has.
pub(super) struct Generation {
    server: Server,
    /// Threads that are receiving from it.
    receiving: AtomicUsize,
}

impl Generation {
    /// Wakes those who receive from it until all have gone. New ones must not come any more.
    fn dismiss_receivers(&self) {
        loop {
            let receiving = self.receiving.load(SeqCst);
            if receiving == 0 {
                return;
            }
            // One that has not begun to wait yet finds its call later.
            (0..receiving).for_each(|_| self.server.unblock());
            thread::sleep(Duration::from_millis(1));
        }
    }
}

/// One thread's being about to receive from a generation.
struct Receiving(Arc<Generation>);

impl Receiving {
    fn new(generation: Arc<Generation>) -> Receiving {
        generation.receiving.fetch_add(1, SeqCst);
        Receiving(generation)
    }
}

impl Drop for Receiving {
    fn drop(&mut self) {
        self.0.receiving.fetch_sub(1, SeqCst);
    }
}

/// What receiving brought.
#[expect(
    clippy::large_enum_variant,
    reason = "lives for a moment; a box would cost every request an allocation"
)]
pub(super) enum Received {
    /// A request.
    Request(Incoming),
    /// Nothing: there may be other things to do.
    Nothing,
    /// The listener was released.
    End,
}

/// Receives requests from one socket for as long as the program runs.
pub(super) struct Listener {
    /// A second descriptor of the listening socket: outlives a tiny_http server that ends by itself.
    socket: TcpListener,
    address: SocketAddr,
    /// The last one is that which accepts.
    generations: Mutex<Vec<Arc<Generation>>>,
    shutdown: Shutdown,
    lost: AtomicBool,
    released: AtomicBool,
}

impl Listener {
    /// Listens on `socket`.
    ///
    /// # Errors
    /// The socket cannot be set up.
    pub(super) fn new(
        socket: TcpListener,
        idle_timeout: Duration,
        shutdown: Shutdown,
    ) -> io::Result<Listener> {
        let socket = tune(socket, idle_timeout)?;
        raise_descriptor_limit();
        let listener = Listener {
            address: socket.local_addr()?,
            socket,
            generations: Mutex::default(),
            shutdown,
            lost: AtomicBool::new(false),
            released: AtomicBool::new(false),
        };
        listener.open()?;
        Ok(listener)
    }

    /// An address at which this process itself reaches the socket.
    pub(super) fn own_door(&self) -> SocketAddr {
        let ip = match self.address.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
            ip => ip,
        };
        SocketAddr::new(ip, self.address.port())
    }

    fn generations(&self) -> MutexGuard<'_, Vec<Arc<Generation>>> {
        self.generations.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Accepts no more, but leaves the socket open: who comes now waits in its queue for a successor.
    ///
    /// tiny_http ends accepting at the first error, and a socket that does not wait gives one as soon as nobody is there.
    pub(super) fn pause(&self) -> io::Result<TcpListener> {
        self.socket.set_nonblocking(true)?;
        // Wakes the call that is waiting.
        drop(TcpStream::connect(self.own_door()));
        self.socket.try_clone()
    }

    /// The generation that accepts. Whoever has this counts as receiving from it, so that nobody is forgotten there when
    /// it is replaced.
    fn current(&self) -> Option<Receiving> {
        self.generations().last().cloned().map(Receiving::new)
    }

    /// Starts a tiny_http server on the socket; returns the one that was accepting before.
    fn open(&self) -> io::Result<Option<Arc<Generation>>> {
        let server = Server::from_listener(self.socket.try_clone()?, None).map_err(io::Error::other)?;
        let mut generations = self.generations();
        let old = generations.last().cloned();
        generations.push(Arc::new(Generation { server, receiving: AtomicUsize::new(0) }));
        Ok(old)
    }

    /// Waits for a request.
    pub(super) fn receive(&self) -> Received {
        match self.current() {
            Some(current) => self.receive_from(&current.0),
            None => Received::End,
        }
    }

    /// Waits for a request from this generation.
    pub(super) fn receive_from(&self, generation: &Generation) -> Received {
        if self.released.load(SeqCst) {
            return Received::End;
        }
        self.understand(generation.server.recv())
    }

    /// Waits for a request for at most `time`.
    pub(super) fn receive_within(&self, time: Duration) -> Option<Incoming> {
        self.taken(self.current()?.0.server.recv_timeout(time).transpose()?)
    }

    /// The request that waits, if there is one.
    pub(super) fn receive_now(&self) -> Option<Incoming> {
        self.taken(self.current()?.0.server.try_recv().transpose()?)
    }

    fn taken(&self, received: io::Result<Request>) -> Option<Incoming> {
        match self.understand(received) {
            Received::Request(incoming) => Some(incoming),
            Received::Nothing | Received::End => None,
        }
    }

    fn understand(&self, received: io::Result<Request>) -> Received {
        match received {
            Ok(request) => {
                Incoming::new(request, self.address.port()).map_or(Received::Nothing, Received::Request)
            }
            Err(_) if self.released.load(SeqCst) => Received::End,
            // tiny_http has no error kind of its own for being woken.
            Err(error) if self.shutdown.begun() || error.to_string() == "thread unblocked" => {
                Received::Nothing
            }
            Err(error) => {
                log::warn!("accepting connections failed: {error}");
                self.lost.store(true, Relaxed);
                Received::Nothing
            }
        }
    }

    /// Has one of those who receive find nothing.
    pub(super) fn wake_one(&self) {
        if let Some(current) = self.generations().last() {
            current.server.unblock();
        }
    }

    /// Takes no new connections; those that there are go on being served.
    pub(super) fn close(&self) {
        let halves = self.socket.try_clone().map(|socket| TcpStream::from(OwnedFd::from(socket)));
        if let Err(error) = halves.and_then(|socket| socket.shutdown(std::net::Shutdown::Read)) {
            log::warn!("cannot close the listening socket: {error}");
        }
    }

    /// Lets everybody who receives go.
    pub(super) fn release(&self) {
        self.released.store(true, SeqCst);
        let generations = self.generations().clone();
        generations.iter().for_each(|generation| generation.dismiss_receivers());
    }

    /// Starts a new tiny_http server on the same socket and returns the old one, which goes on with the connections it
    /// has: tiny_http stops accepting after any error of `accept`, and without a word when it cannot duplicate a
    /// socket.
    pub(super) fn reopen(&self) -> Option<Arc<Generation>> {
        if self.shutdown.begun() {
            return None;
        }
        log::warn!("connections are no longer accepted: beginning again");
        self.lost.store(false, Relaxed);
        match self.open() {
            Ok(old) => {
                // They receive from the new one then.
                old.iter().for_each(|old| old.dismiss_receivers());
                old
            }
            Err(error) => {
                log::error!("cannot begin to accept connections: {error}");
                self.lost.store(true, Relaxed);
                None
            }
        }
    }

    /// Whether a server has said that it accepts no more, and none was started since.
    pub(super) fn is_lost(&self) -> bool {
        self.lost.load(Relaxed)
    }
}

/// How many connections the process has descriptors for: two for each, an eighth of them on top that are turned away,
/// the ways to the replicas, and some for everything else. At most ten thousand, each of which costs a thread.
pub(super) fn room_for_connections(workers: usize) -> usize {
    const MOST: u64 = 10_000;
    const EVERYTHING_ELSE: u64 = 256;
    let limit = getrlimit(Resource::RLIMIT_NOFILE).map_or(0, |(soft, _)| soft);
    let free = limit.saturating_sub(4 * workers as u64 + EVERYTHING_ELSE);
    (free * 4 / 9).clamp(16, MOST) as usize
}

/// Lets the process have as many descriptors as the system allows: each client takes two, and tiny_http does not
/// survive their running out.
fn raise_descriptor_limit() {
    match getrlimit(Resource::RLIMIT_NOFILE) {
        Ok((soft, hard)) if soft < hard => {
            if let Err(error) = setrlimit(Resource::RLIMIT_NOFILE, hard, hard) {
                log::warn!("cannot raise the limit of descriptors from {soft} to {hard}: {error}");
            }
        }
        Ok(_) => {}
        Err(error) => log::warn!("cannot see the limit of descriptors: {error}"),
    }
}

/// Sets what tiny_http has no setting for. Connections inherit it from the listening socket (Linux): a read or a
/// write that stalls ends after `idle_timeout`, and small answers are not held back to be sent with later ones.
fn tune(socket: TcpListener, idle_timeout: Duration) -> io::Result<TcpListener> {
    // std listens with a queue of 128, and clients beyond it wait a second to be noticed.
    listen(&socket, Backlog::MAXCONN)?;
    let socket = TcpStream::from(OwnedFd::from(socket));
    // One that was handed over does not wait.
    socket.set_nonblocking(false)?;
    socket.set_read_timeout(Some(idle_timeout))?;
    socket.set_write_timeout(Some(idle_timeout))?;
    socket.set_nodelay(true)?;
    Ok(TcpListener::from(OwnedFd::from(socket)))
}
