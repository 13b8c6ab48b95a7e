//! Clients that behave: each asks for `/home` on a keep-alive connection, at its pace, and reads every answer.

use std::io::Result;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::client::{Answer, Client};

/// What a right answer contains.
const GREETING: &str = "Hello from Server";

/// Most failures that are remembered in words.
const MOST_FAILURES: usize = 10;

/// An answer that took longer is counted as slow: a replica that hangs is noticed in little more.
const SLOW: Duration = Duration::from_secs(2);

/// Pause after a failure, so that a balancer that is gone is not asked a million times.
const AFTER_FAILURE: Duration = Duration::from_millis(100);

/// What clients saw.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    /// Right answers.
    pub answers: u64,
    /// Wrong answers, and requests that got none.
    pub wrong: u64,
    /// The first of the wrong ones, in words.
    pub failures: Vec<String>,
    /// The longest that a right answer took.
    pub slowest: Duration,
    /// Right answers that took longer than two seconds.
    pub slow: u64,
}

/// Running clients; they end when this is dropped.
pub struct Clients {
    stop: Arc<AtomicBool>,
    /// One for each client, so that they do not wait for each other.
    counts: Vec<Arc<Mutex<Counts>>>,
    threads: Vec<JoinHandle<()>>,
    begin: Instant,
}

impl Clients {
    /// Starts so many, each of which asks once in `interval`, or without pause.
    pub fn start(address: SocketAddr, number: usize, interval: Option<Duration>) -> Clients {
        let stop = Arc::new(AtomicBool::new(false));
        let counts: Vec<Arc<Mutex<Counts>>> = (0..number).map(|_| Arc::default()).collect();
        let client = |counts: &Arc<Mutex<Counts>>| {
            let (stop, counts) = (stop.clone(), counts.clone());
            thread::spawn(move || ask_until(&stop, address, interval.unwrap_or_default(), &counts))
        };
        let threads = counts.iter().map(client).collect();
        Clients { stop, counts, threads, begin: Instant::now() }
    }

    /// What they saw so far.
    pub fn counts(&self) -> Counts {
        let mut all = Counts::default();
        for counts in &self.counts {
            let counts = counts.lock().unwrap_or_else(PoisonError::into_inner);
            all.answers += counts.answers;
            all.wrong += counts.wrong;
            all.slow += counts.slow;
            all.slowest = all.slowest.max(counts.slowest);
            let when = |failure: &String| format!("after at most {:?}: {failure}", self.begin.elapsed());
            let room = MOST_FAILURES.saturating_sub(all.failures.len());
            all.failures.extend(counts.failures.iter().take(room).map(when));
        }
        all
    }

    /// Lets each finish its request, and says what they saw.
    pub fn stop(mut self) -> Counts {
        self.end();
        self.counts()
    }

    fn end(&mut self) {
        self.stop.store(true, SeqCst);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

impl Drop for Clients {
    fn drop(&mut self) {
        self.end();
    }
}

fn ask_until(stop: &AtomicBool, address: SocketAddr, interval: Duration, counts: &Mutex<Counts>) {
    let mut client = None;
    // Not all at the same moment.
    let mut due = Instant::now() + interval.mul_f64(fastrand::f64());
    while !stop.load(SeqCst) {
        let now = Instant::now();
        if due > now {
            thread::sleep(due - now);
        }
        // Who is late asks at once, and does not make up for what was missed.
        due = (due + interval).max(now);
        let asked = Instant::now();
        let outcome = ask(&mut client, address);
        let mut counts = counts.lock().unwrap_or_else(PoisonError::into_inner);
        match outcome {
            Ok(()) => {
                counts.answers += 1;
                counts.slow += u64::from(asked.elapsed() > SLOW);
                counts.slowest = counts.slowest.max(asked.elapsed());
            }
            Err(why) => {
                counts.wrong += 1;
                if counts.failures.len() < MOST_FAILURES {
                    counts.failures.push(why);
                }
                drop(counts);
                client = None;
                thread::sleep(AFTER_FAILURE);
            }
        }
    }
}

/// One request on the connection that is there, or on a new one.
fn ask(kept: &mut Option<Client>, address: SocketAddr) -> std::result::Result<(), String> {
    let answer = answer(kept, address).map_err(|error| format!("no answer: {error}"))?;
    let text = String::from_utf8_lossy(&answer.body);
    match answer.status == 200 && text.contains(GREETING) {
        true => Ok(()),
        false => Err(format!("{}: {text}", answer.status)),
    }
}

fn answer(kept: &mut Option<Client>, address: SocketAddr) -> Result<Answer> {
    let mut client = match kept.take() {
        Some(client) => client,
        None => Client::connect(address)?,
    };
    let answer = client.get("/home")?;
    if !answer.closes {
        *kept = Some(client);
    }
    Ok(answer)
}
