//! Clients that ask without pause, or at a pace, until they are told to stop, and keep count of what they hear.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::engine::wait_for;
use crate::http::Connection;

/// Longest wait of a client for one answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is known of one kind of answer.
#[derive(Clone)]
struct Heard {
    count: usize,
    /// When the latest request that got this answer was sent.
    asked: Instant,
}

/// All answers so far, by status and body, or by error.
#[derive(Clone, Default)]
pub struct Tally {
    heard: BTreeMap<String, Heard>,
    pub connections: usize,
    pub slowest: Duration,
}

impl Tally {
    fn note(&mut self, outcome: String, asked: Instant) {
        self.slowest = self.slowest.max(asked.elapsed());
        let heard = self.heard.entry(outcome).or_insert(Heard { count: 0, asked });
        heard.count += 1;
        heard.asked = heard.asked.max(asked);
    }

    /// Number of answers.
    pub fn total(&self) -> usize {
        self.heard.values().map(|heard| heard.count).sum()
    }

    /// How often each answer was heard.
    pub fn counts(&self) -> BTreeMap<&str, usize> {
        self.heard.iter().map(|(outcome, heard)| (outcome.as_str(), heard.count)).collect()
    }

    /// Fails when any request got anything but a 200.
    pub fn assert_all_200(&self) {
        let counts = self.counts();
        let bad: Vec<_> = counts.iter().filter(|(outcome, _)| !outcome.starts_with("200 ")).collect();
        assert!(bad.is_empty(), "answers other than 200: {bad:?}, of {} in all", self.total());
    }
}

/// One client: a connection that is kept as long as the server keeps it.
pub struct Client {
    address: SocketAddr,
    connection: Option<Connection>,
    pub tally: Arc<Mutex<Tally>>,
}

impl Client {
    /// A client that is not connected yet and counts into `tally`.
    pub fn new(address: SocketAddr, tally: &Arc<Mutex<Tally>>) -> Client {
        Client { address, connection: None, tally: Arc::clone(tally) }
    }

    /// Connects, unless it is connected.
    pub fn connect(&mut self) -> std::io::Result<&mut Connection> {
        if self.connection.is_none() {
            self.connection = Some(Connection::open(self.address, PATIENCE)?);
            self.tally.lock().expect("no client panics").connections += 1;
        }
        self.connection.as_mut().ok_or_else(|| std::io::Error::other("just connected"))
    }

    /// Sends one GET and counts the answer.
    pub fn get(&mut self, path: &str) {
        let asked = Instant::now();
        let outcome = match self.connect().and_then(|connection| connection.send("GET", path, "")) {
            Ok(answer) => format!("{} {}", answer.status, answer.body),
            Err(error) => format!("error: {error}"),
        };
        self.connection.take_if(|connection| !connection.is_usable());
        self.tally.lock().expect("no client panics").note(outcome, asked);
    }
}

/// Some clients at work, each in a thread of its own.
pub struct Clients {
    stop: Arc<AtomicBool>,
    tally: Arc<Mutex<Tally>>,
    threads: Vec<JoinHandle<()>>,
}

impl Clients {
    /// Starts `count` clients that GET `path`, each with a pause of `pace` after an answer.
    pub fn start(address: SocketAddr, count: usize, path: &'static str, pace: Duration) -> Clients {
        let stop = Arc::new(AtomicBool::new(false));
        let tally = Arc::new(Mutex::new(Tally::default()));
        let threads = (0..count).map(|_| {
            let (stop, mut client) = (Arc::clone(&stop), Client::new(address, &tally));
            thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    client.get(path);
                    thread::park_timeout(pace);
                }
            })
        });
        let threads = threads.collect();
        Clients { stop, tally, threads }
    }

    /// A copy of the counts so far.
    pub fn tally(&self) -> Tally {
        self.tally.lock().expect("no client panics").clone()
    }

    /// Waits for a 200 with this body to a request that was sent after `since`.
    pub fn wait_for_answer(&self, body: &str, since: Instant, patience: Duration) {
        let outcome = format!("200 {body}");
        wait_for(&outcome, patience, || {
            self.tally().heard.get(&outcome).filter(|heard| heard.asked > since).map(|_| ())
        });
    }

    /// Lets every client finish its request and returns the counts.
    pub fn stop(mut self) -> Tally {
        self.end();
        self.tally()
    }

    fn end(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            thread.thread().unpark();
            // A client that panicked has said so itself.
            let _ = thread.join();
        }
    }
}

impl Drop for Clients {
    fn drop(&mut self) {
        self.end();
    }
}
