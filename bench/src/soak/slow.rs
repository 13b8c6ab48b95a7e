//! Clients that misbehave. None of them may cost the balancer more than its own connection.

use std::fmt;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::sys::socket::{setsockopt, sockopt};

/// How many of each kind there are at any time.
const OF_EACH: usize = 3;

/// Most time that one goes on; the balancer may end it sooner.
const LIFE: Duration = Duration::from_secs(50);

/// Pause between two steps, and how soon an end is noticed.
const STEP: Duration = Duration::from_millis(100);

/// Time between two bytes of a slow head, and between two pieces of a slow body.
const DRIP: Duration = Duration::from_secs(1);

/// Length that a slow body is said to have, the piece that is sent at a time, and where it stops for good.
const BODY: usize = 10_000;
const PIECE: usize = 500;
const BODY_STOPS: usize = BODY / 2;

/// Requests that one sends who reads nothing: more than the buffers on the way take answers of.
const PIPELINED: usize = 20_000;

/// What it lets the system keep of the answers; the least that there is.
const RECEIVE_BUFFER: usize = 4096;

const REQUEST: &str = "GET /home HTTP/1.1\r\nHost: bench\r\n\r\n";

/// A way to misbehave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A head, byte by byte.
    Drip,
    /// Nothing at all.
    Silent,
    /// A body that comes slowly, and stops half way.
    HalfBody,
    /// Many requests, and no interest in the answers.
    Deaf,
    /// A request, and a reset instead of waiting.
    Reset,
}

impl Kind {
    /// All there are, with the names that the command line has for them.
    const NAMES: [(&'static str, Kind); 5] = [
        ("drip", Kind::Drip),
        ("silent", Kind::Silent),
        ("half-body", Kind::HalfBody),
        ("deaf", Kind::Deaf),
        ("reset", Kind::Reset),
    ];

    /// Reads names separated by commas; `all` and `none` are names too.
    ///
    /// # Errors
    /// There is no such kind.
    pub fn parse(names: &str) -> Result<Vec<Kind>, String> {
        let kind = |name: &str| Kind::NAMES.iter().find(|(known, _)| *known == name).map(|&(_, kind)| kind);
        let unknown =
            |name| format!("there is no slow client '{name}', but drip, silent, half-body, deaf, reset");
        match names {
            "all" => Ok(Kind::NAMES.iter().map(|&(_, kind)| kind).collect()),
            "none" => Ok(Vec::new()),
            _ => names.split(',').map(|name| kind(name).ok_or_else(|| unknown(name))).collect(),
        }
    }
}

/// How many there were, and how they ended.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    opened: u64,
    ended_by_balancer: u64,
    not_let_in: u64,
}

impl Counts {
    /// Adds those of another time.
    pub fn add(&mut self, other: &Counts) {
        self.opened += other.opened;
        self.ended_by_balancer += other.ended_by_balancer;
        self.not_let_in += other.not_let_in;
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Counts { opened, ended_by_balancer, not_let_in } = self;
        write!(f, "{opened}, of which the balancer ended {ended_by_balancer}; {not_let_in} were not let in")
    }
}

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    opened: AtomicU64,
    ended: AtomicU64,
    not_let_in: AtomicU64,
}

/// Running slow clients; their connections end when this is dropped.
pub struct SlowClients {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl SlowClients {
    /// Starts some of each of these kinds, each followed by another of its kind when it ends.
    pub fn start(address: SocketAddr, kinds: &[Kind]) -> SlowClients {
        let shared = Arc::new(Shared::default());
        let kinds = kinds.iter().flat_map(|&kind| [kind; OF_EACH]);
        let client = |kind| {
            let shared = shared.clone();
            thread::spawn(move || shared.misbehave(kind, address))
        };
        let threads = kinds.map(client).collect();
        SlowClients { shared, threads }
    }

    /// Closes them all.
    pub fn stop(mut self) -> Counts {
        self.end();
        Counts {
            opened: self.shared.opened.load(SeqCst),
            ended_by_balancer: self.shared.ended.load(SeqCst),
            not_let_in: self.shared.not_let_in.load(SeqCst),
        }
    }

    fn end(&mut self) {
        self.shared.stop.store(true, SeqCst);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

impl Drop for SlowClients {
    fn drop(&mut self) {
        self.end();
    }
}

impl Shared {
    fn misbehave(&self, kind: Kind, address: SocketAddr) {
        while !self.stop.load(SeqCst) {
            match TcpStream::connect(address) {
                Ok(stream) => {
                    self.opened.fetch_add(1, SeqCst);
                    // Errors are how the balancer ends it.
                    let _ = self.one(kind, stream);
                }
                Err(_) => {
                    self.not_let_in.fetch_add(1, SeqCst);
                }
            }
            thread::sleep(STEP);
        }
    }

    fn one(&self, kind: Kind, mut stream: TcpStream) -> std::io::Result<()> {
        stream.set_read_timeout(Some(STEP))?;
        stream.set_write_timeout(Some(STEP))?;
        match kind {
            Kind::Drip => {
                stream.write_all(b"GET /home HTTP/1.1\r\nX-Slow: ")?;
                self.wait(&mut stream, DRIP, |stream| stream.write_all(b"a"))
            }
            Kind::Silent => self.wait(&mut stream, LIFE, |_| Ok(())),
            Kind::HalfBody => {
                write!(stream, "POST /home HTTP/1.1\r\nHost: bench\r\nContent-Length: {BODY}\r\n\r\n")?;
                let mut sent = 0;
                self.wait(&mut stream, DRIP, |stream| {
                    if sent < BODY_STOPS {
                        sent += PIECE;
                        stream.write_all(&[b'b'; PIECE])?;
                    }
                    Ok(())
                })
            }
            Kind::Deaf => {
                setsockopt(&stream, sockopt::RcvBuf, &RECEIVE_BUFFER)?;
                let many = REQUEST.repeat(PIPELINED);
                // As much as goes; reading would spoil it.
                let _ = stream.write_all(many.as_bytes());
                self.sleep(LIFE / 2);
                stream.write_all(REQUEST.as_bytes()).inspect_err(|error| {
                    if !is_timeout(error) {
                        self.count_end();
                    }
                })
            }
            Kind::Reset => {
                stream.write_all(REQUEST.as_bytes())?;
                let at_once = nix::libc::linger { l_onoff: 1, l_linger: 0 };
                setsockopt(&stream, sockopt::Linger, &at_once)?;
                Ok(())
            }
        }
    }

    /// Takes a step each `pause` until its time is over or the balancer ends the connection.
    fn wait(
        &self,
        stream: &mut TcpStream,
        pause: Duration,
        mut step: impl FnMut(&mut TcpStream) -> std::io::Result<()>,
    ) -> std::io::Result<()> {
        let end = Instant::now() + LIFE;
        let mut next = Instant::now();
        let mut heard = [0; 1024];
        while !self.stop.load(SeqCst) && Instant::now() < end {
            if Instant::now() >= next {
                next += pause;
                step(stream).inspect_err(|_| self.count_end())?;
            }
            // This is also the pause.
            match stream.read(&mut heard) {
                Ok(1..) => {}
                Err(error) if is_timeout(&error) => {}
                _ => {
                    self.count_end();
                    break;
                }
            }
        }
        Ok(())
    }

    fn count_end(&self) {
        self.ended.fetch_add(1, SeqCst);
    }

    fn sleep(&self, time: Duration) {
        let end = Instant::now() + time;
        while !self.stop.load(SeqCst) && Instant::now() < end {
            thread::sleep(STEP);
        }
    }
}

fn is_timeout(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        assert_eq!(Kind::parse("all").unwrap().len(), 5);
        assert_eq!(Kind::parse("none").unwrap(), []);
        assert_eq!(Kind::parse("deaf,drip").unwrap(), [Kind::Deaf, Kind::Drip]);
        assert!(Kind::parse("deaf,dumb").is_err());
    }
}
