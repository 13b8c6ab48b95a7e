//! Clients that behave: each asks for `/home` on a keep-alive connection, at its pace, and reads every answer.

use std::io::{ErrorKind, Result};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::client::{Answer, Client};

/// What they ask for.
const PATH: &str = "/home";

/// What a right answer contains.
const GREETING: &str = "Hello from Server";

/// Most failures that are remembered in words.
const MOST_FAILURES: usize = 10;

/// An answer that took longer is counted as slow: a replica that hangs is noticed in little more.
const SLOW: Duration = Duration::from_secs(2);

/// Pause after a failure, so that a balancer that is gone is not asked a million times.
const AFTER_FAILURE: Duration = Duration::from_millis(100);

/// What a client does when a connection that it has used before ends with not a single byte of an answer. The server
/// may have closed it while the request was under way, which no server can help; so clients send a GET once more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnSilence {
    /// The request counts as lost.
    Lose,
    /// The request is sent once more, on a new connection.
    SendAgain,
}

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
    /// Requests that were sent once more, see [`OnSilence`].
    pub sent_again: u64,
}

/// Running clients; they end when this is dropped.
pub struct Clients {
    stop: Arc<AtomicBool>,
    /// One for each client, so that they do not wait for each other.
    counts: Vec<Arc<Mutex<Counts>>>,
    threads: Vec<JoinHandle<()>>,
}

impl Clients {
    /// Starts so many, each of which asks once in `interval`, or without pause.
    pub fn start(
        address: SocketAddr,
        number: usize,
        interval: Option<Duration>,
        on_silence: OnSilence,
    ) -> Clients {
        let stop = Arc::new(AtomicBool::new(false));
        let counts: Vec<Arc<Mutex<Counts>>> = (0..number).map(|_| Arc::default()).collect();
        let (interval, begin) = (interval.unwrap_or_default(), Instant::now());
        let client = |counts: &Arc<Mutex<Counts>>| {
            let (stop, counts) = (stop.clone(), counts.clone());
            let mut client = Paced { address, on_silence, kept: None, begin };
            thread::spawn(move || client.ask_until(&stop, interval, &counts))
        };
        let threads = counts.iter().map(client).collect();
        Clients { stop, counts, threads }
    }

    /// What they saw so far.
    pub fn counts(&self) -> Counts {
        let mut all = Counts::default();
        for counts in &self.counts {
            let counts = counts.lock().unwrap_or_else(PoisonError::into_inner);
            all.answers += counts.answers;
            all.wrong += counts.wrong;
            all.slow += counts.slow;
            all.sent_again += counts.sent_again;
            all.slowest = all.slowest.max(counts.slowest);
            let room = MOST_FAILURES.saturating_sub(all.failures.len());
            all.failures.extend(counts.failures.iter().take(room).cloned());
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

/// One client.
struct Paced {
    address: SocketAddr,
    on_silence: OnSilence,
    /// The connection, once there is one that was used.
    kept: Option<Client>,
    begin: Instant,
}

/// A right answer.
struct Greeted {
    was_sent_again: bool,
}

impl Paced {
    fn ask_until(&mut self, stop: &AtomicBool, interval: Duration, counts: &Mutex<Counts>) {
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
            let outcome = self.ask();
            let mut counts = counts.lock().unwrap_or_else(PoisonError::into_inner);
            match outcome {
                Ok(Greeted { was_sent_again }) => {
                    counts.answers += 1;
                    counts.sent_again += u64::from(was_sent_again);
                    counts.slow += u64::from(asked.elapsed() > SLOW);
                    counts.slowest = counts.slowest.max(asked.elapsed());
                }
                Err(why) => {
                    counts.wrong += 1;
                    if counts.failures.len() < MOST_FAILURES {
                        let (at, took) = (self.begin.elapsed().as_secs_f64(), asked.elapsed().as_secs_f64());
                        counts.failures.push(format!("{at:.1} s into the load, after {took:.2} s: {why}"));
                    }
                    drop(counts);
                    self.kept = None;
                    thread::sleep(AFTER_FAILURE);
                }
            }
        }
    }

    /// One request.
    fn ask(&mut self) -> std::result::Result<Greeted, String> {
        let no_answer = |error| format!("no answer: {error}");
        let mut was_sent_again = false;
        let answer = match self.kept.take() {
            None => self.ask_anew(),
            Some(mut client) => match client.get_or_silence(PATH) {
                Ok(Some(answer)) => Ok(self.keep(client, answer)),
                Ok(None) if self.on_silence == OnSilence::SendAgain => {
                    was_sent_again = true;
                    self.ask_anew()
                }
                Ok(None) => Err(ErrorKind::UnexpectedEof.into()),
                Err(error) => Err(error),
            },
        };
        let answer = answer.map_err(no_answer)?;
        let text = String::from_utf8_lossy(&answer.body);
        match answer.status == 200 && text.contains(GREETING) {
            true => Ok(Greeted { was_sent_again }),
            false => Err(format!("{}: {text}", answer.status)),
        }
    }

    /// One request on a new connection.
    fn ask_anew(&mut self) -> Result<Answer> {
        let mut client = Client::connect(self.address)?;
        let answer = client.get(PATH)?;
        Ok(self.keep(client, answer))
    }

    fn keep(&mut self, client: Client, answer: Answer) -> Answer {
        self.kept = Some(client).filter(|_| !answer.closes);
        answer
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Write};
    use std::net::TcpListener;

    use super::*;

    /// What two requests of one client come to, when the server ends the first connection after one answer and
    /// `begun` of the next.
    fn second_outcome(on_silence: OnSilence, begun: &'static str) -> std::result::Result<bool, String> {
        const GOOD: &str = "HTTP/1.1 200 OK\r\nContent-Length: 17\r\n\r\nHello from Server";
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = thread::spawn(move || {
            for answers in [&[GOOD, begun][..], &[GOOD][..]] {
                let Ok((stream, _)) = listener.accept() else { return };
                let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
                for answer in answers {
                    while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
                    (&stream).write_all(answer.as_bytes()).unwrap();
                }
            }
        });
        let mut client = Paced { address, on_silence, kept: None, begin: Instant::now() };
        assert!(!client.ask().unwrap().was_sent_again);
        let outcome = client.ask().map(|greeted| greeted.was_sent_again);
        // Lets the server go, which may still wait for a connection.
        let _ = Client::connect(address);
        server.join().unwrap();
        outcome
    }

    #[test]
    fn only_silence_is_sent_again_and_only_by_those_who_do() {
        assert_eq!(second_outcome(OnSilence::SendAgain, ""), Ok(true));
        assert!(second_outcome(OnSilence::Lose, "").is_err());
        assert!(second_outcome(OnSilence::SendAgain, "HTTP/1.1 200").is_err());
    }
}
