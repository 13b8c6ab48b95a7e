//! The listening socket and the tiny_http servers on it.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::socket::{Backlog, listen};
use tiny_http::{Request, Server};

use super::incoming::Incoming;
use super::survey::Survey;
use super::turns::Turns;
use crate::listening;

/// Descriptors that must be free before accepting begins: a server without them would stop at its first client.
const SPARE_DESCRIPTORS: usize = 4;

/// How long those who have come before the end may take to be let in: a queue that is full takes a fraction of it, a
/// client far away a few hundred milliseconds to complete its connection. One that never does (a port scan) is not
/// waited for any longer.
const LAST_ADMISSIONS: Duration = Duration::from_secs(1);

/// Pause between two looks whether anybody is left.
const LOOK: Duration = Duration::from_millis(1);

/// Receives requests from one socket for as long as the program runs.
pub(super) struct Listener {
    /// A second descriptor of the listening socket: outlives a tiny_http server that ends by itself.
    socket: TcpListener,
    address: SocketAddr,
    turns: Arc<Turns>,
    /// Accepting ends, and is not to begin again.
    ending: AtomicBool,
    /// Every server that was started. One that no longer accepts still serves the connections it has.
    servers: Mutex<Vec<Arc<Server>>>,
    lost: AtomicBool,
}

impl Listener {
    /// Starts receiving on `socket`; requests go to `turns`.
    ///
    /// # Errors
    /// The socket cannot be set up, or the system has no thread.
    pub(super) fn start(
        socket: TcpListener,
        idle_timeout: Duration,
        turns: Arc<Turns>,
    ) -> io::Result<(Arc<Listener>, JoinHandle<()>)> {
        let socket = tune(socket, idle_timeout)?;
        raise_descriptor_limit();
        let address = socket.local_addr()?;
        let (ending, lost) = (AtomicBool::new(false), AtomicBool::new(false));
        let listener = Arc::new(Listener { socket, address, turns, ending, servers: Mutex::default(), lost });
        let receiver = listener.clone().open()?;
        Ok((listener, receiver))
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

    /// Lets in who has come already and nobody else. Closing the socket at once would cut off those who wait in its
    /// queue, and whose requests may have arrived.
    pub(super) fn hold_off(&self) {
        self.ending.store(true, Relaxed);
        if let Err(error) = listening::hold_off(&self.socket) {
            log::debug!("clients that come in this moment may be cut off: {error}");
        }
        let (survey, deadline) = (Survey::of(self.own_door()), Instant::now() + LAST_ADMISSIONS);
        let is_coming = || survey.as_ref().is_ok_and(|survey| survey.sees_handshakes().unwrap_or(false));
        // In this order: who is no longer on the way is in the queue.
        while (is_coming() || self.has_queue()) && Instant::now() < deadline {
            thread::sleep(LOOK);
        }
    }

    /// Whether connections wait to be accepted.
    fn has_queue(&self) -> bool {
        let mut looked_at = [PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)];
        poll(&mut looked_at, PollTimeout::ZERO).is_ok_and(|ready| ready > 0)
    }

    /// Takes no new connections; those that there are go on being served.
    pub(super) fn close(&self) {
        self.ending.store(true, Relaxed);
        let halves = self.socket.try_clone().map(|socket| TcpStream::from(OwnedFd::from(socket)));
        if let Err(error) = halves.and_then(|socket| socket.shutdown(std::net::Shutdown::Read)) {
            log::warn!("cannot close the listening socket: {error}");
        }
    }

    /// Accepts no more, but leaves the socket open: who comes now waits in its queue for a successor.
    ///
    /// tiny_http ends accepting at the first error, and a socket that does not wait gives one as soon as nobody is there.
    pub(super) fn pause(&self) -> io::Result<TcpListener> {
        self.ending.store(true, Relaxed);
        self.socket.set_nonblocking(true)?;
        // Wakes the call that is waiting.
        drop(TcpStream::connect(self.own_door()));
        self.socket.try_clone()
    }

    /// Lets the receiving threads end.
    pub(super) fn release(&self) {
        self.servers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
            .for_each(|server| server.unblock());
    }

    /// Starts a tiny_http server on the socket and a thread that receives from it.
    fn open(self: Arc<Self>) -> io::Result<JoinHandle<()>> {
        // A server that is started accepts for ever; so what else is needed comes first: some descriptors, and a thread.
        let _room =
            (0..SPARE_DESCRIPTORS).map(|_| self.socket.try_clone()).collect::<io::Result<Vec<_>>>()?;
        let (hand, take) = mpsc::channel::<Arc<Server>>();
        let listener = self.clone();
        let receiver = thread::Builder::new().name("receiver".into()).spawn(move || {
            if let Ok(server) = take.recv() {
                listener.receive(&server);
            }
        })?;
        let server = Server::from_listener(self.socket.try_clone()?, None).map_err(io::Error::other)?;
        let server = Arc::new(server);
        self.servers.lock().unwrap_or_else(PoisonError::into_inner).push(server.clone());
        let _ = hand.send(server);
        Ok(receiver)
    }

    fn receive(self: &Arc<Self>, server: &Server) {
        loop {
            match server.recv() {
                Ok(request) => self.take_in(request),
                // tiny_http has no error kind of its own for being released.
                Err(error) if error.to_string() == "thread unblocked" => return,
                Err(_) if self.ending.load(Relaxed) => {}
                Err(error) => {
                    log::warn!("accepting connections failed: {error}");
                    self.lost.store(true, Relaxed);
                }
            }
        }
    }

    /// A panic in here would end the receiving thread, and with it the front.
    fn take_in(&self, request: Request) {
        let arrive = || {
            if let Some(incoming) = Incoming::new(request, self.address.port()) {
                self.turns.arrive(incoming);
            }
        };
        if catch_unwind(AssertUnwindSafe(arrive)).is_err() {
            log::error!("taking in a request panicked");
        }
    }

    /// Starts a new tiny_http server on the same socket: tiny_http stops accepting after any error of `accept`, and
    /// without a word when it cannot duplicate a socket. The old one goes on with the connections it has.
    pub(super) fn reopen(self: &Arc<Self>) {
        if self.ending.load(Relaxed) {
            return;
        }
        log::warn!("connections are no longer accepted: beginning again");
        self.lost.store(false, Relaxed);
        if let Err(error) = self.clone().open() {
            log::error!("cannot begin to accept connections: {error}");
            self.lost.store(true, Relaxed);
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
pub(super) fn raise_descriptor_limit() {
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
