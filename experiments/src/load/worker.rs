//! One connection's part of the work.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use super::{Amount, Plan, Run, Sample, answers};
use crate::http::{Answer, Client};
use crate::interrupt;

/// Failures that one connection keeps in words.
const KEPT: usize = 3;

/// Connections that may fail one after another; then nobody is there any more.
const GIVES_UP: u32 = 20;

/// Time before the next try to connect.
const PAUSE: Duration = Duration::from_millis(10);

/// A connection that was silent for longer may have been closed by a balancer in good faith.
const FRESH: Duration = Duration::from_secs(20);

/// What all connections share.
pub struct Work<'a> {
    /// What to send.
    pub plan: &'a Plan<'a>,
    /// The number of the next request.
    pub next: &'a AtomicU64,
    /// Requests that are over.
    pub done: &'a AtomicU64,
}

impl Work<'_> {
    /// Sends requests until there are none left.
    pub fn run(self, client: Client) -> Run {
        // By then all connections are open: otherwise the first requests would wait for that.
        interrupt::sleep_until(self.plan.start);
        let mut run = Run::default();
        let mut line = Line { plan: self.plan, client: Some(client), used: Instant::now(), refusals: 0 };
        while let Some(k) = self.take() {
            let due = self.plan.pace.due(k);
            if let Some(due) = due {
                interrupt::sleep_until(self.plan.start + due);
                if self.is_over(k) {
                    break;
                }
            }
            let sent = self.plan.start.elapsed();
            let answer = line.get();
            let done = self.plan.start.elapsed();
            run.record(k, Sample { due: due.unwrap_or(sent), sent, done, status: 0, replica: None }, answer);
            self.done.fetch_add(1, Relaxed);
            if line.refusals >= GIVES_UP {
                break;
            }
        }
        run
    }

    fn take(&self) -> Option<u64> {
        let k = self.next.fetch_add(1, Relaxed);
        Some(k).filter(|k| !self.is_over(*k))
    }

    fn is_over(&self, k: u64) -> bool {
        interrupt::is_asked()
            || match self.plan.amount {
                Amount::Requests(total) => k >= total,
                Amount::Until(stop) => stop.load(Relaxed),
            }
    }
}

/// A connection that is opened again when it is needed and not there.
struct Line<'a> {
    plan: &'a Plan<'a>,
    client: Option<Client>,
    used: Instant,
    /// Connections in a row that were not to be had.
    refusals: u32,
}

impl Line<'_> {
    fn get(&mut self) -> io::Result<Answer> {
        let fresh = self.client.take().filter(|_| self.used.elapsed() < FRESH);
        let mut client = match fresh {
            Some(client) => client,
            None => self.connect()?,
        };
        let answer = client.get("/home")?;
        self.used = Instant::now();
        self.client = Some(client).filter(|_| !answer.closes);
        Ok(answer)
    }

    fn connect(&mut self) -> io::Result<Client> {
        let connected = Client::connect(self.plan.target);
        if connected.is_ok() {
            self.refusals = 0;
        } else {
            self.refusals += 1;
            thread::sleep(PAUSE);
        }
        connected
    }
}

impl Run {
    fn record(&mut self, k: u64, mut sample: Sample, answer: io::Result<Answer>) {
        let verdict = match &answer {
            Ok(answer) => {
                sample.status = answer.status;
                answers::hello(answer).map(|name| self.place(name))
            }
            Err(error) => Err(format!("no whole answer: {error}")),
        };
        match verdict {
            Ok(place) => sample.replica = Some(place),
            Err(why) if self.failures.len() < KEPT => self.failures.push((k, why)),
            Err(_) => {}
        }
        self.samples.push(sample);
    }

    fn place(&mut self, name: &str) -> usize {
        let found = self.names.iter().position(|it| it == name);
        found.unwrap_or_else(|| {
            self.names.push(name.to_owned());
            self.names.len() - 1
        })
    }
}
