//! The driver: many keep-alive connections, each with a thread of its own, and an eye on every answer.

mod answers;
mod summary;
mod worker;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::failure::Failure;
use crate::http::Client;
use crate::interrupt;
use crate::target::Target;
use worker::Work;

pub use answers::hello;
pub use summary::{Latency, Wrong};

/// Stack of a connection's thread, which does little; there may be hundreds.
const STACK: usize = 256 * 1024;

/// Time between two looks at how far it is.
const LOOK: Duration = Duration::from_millis(50);

/// When requests are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// When the connection has had its last answer: a balancer that slows down is asked less.
    Closed,
    /// So many per second, at times that were fixed before. A request that starts late, because all connections
    /// wait, is late from its due time on: a stall is counted for all whom it would have met.
    Open(u32),
}

impl Pace {
    /// When request number `k` is due.
    fn due(self, k: u64) -> Option<Duration> {
        match self {
            Pace::Closed => None,
            Pace::Open(rate) => Some(Duration::from_secs_f64(k as f64 / f64::from(rate))),
        }
    }

    /// In words.
    pub fn describe(self) -> String {
        match self {
            Pace::Closed => "closed".to_owned(),
            Pace::Open(rate) => format!("open, {rate}/s"),
        }
    }
}

/// How much.
#[derive(Clone, Copy)]
pub enum Amount<'a> {
    /// So many requests.
    Requests(u64),
    /// Until this becomes true.
    Until(&'a AtomicBool),
}

/// What to send: `GET /home`, over and over.
pub struct Plan<'a> {
    /// Where to.
    pub target: &'a Target,
    /// Over how many connections.
    pub connections: usize,
    /// When.
    pub pace: Pace,
    /// How much.
    pub amount: Amount<'a>,
    /// Times count from here.
    pub start: Instant,
    /// What the progress bar calls it.
    pub label: &'a str,
}

/// One request and what became of it. Times count from the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// When it should have been sent.
    pub due: Duration,
    /// When it was.
    pub sent: Duration,
    /// When its answer was there.
    pub done: Duration,
    /// The answer's status; 0 for none.
    pub status: u16,
    /// Who answered, as a place in the list of names, if this was an answer as the contract has it.
    pub replica: Option<usize>,
}

/// All that was sent.
#[derive(Debug, Default)]
pub struct Run {
    /// The requests, in order of their answers.
    pub samples: Vec<Sample>,
    /// Who answered.
    pub names: Vec<String>,
    /// Some of the answers that were not as the contract has them: the request's number and what was wrong.
    pub failures: Vec<(u64, String)>,
    /// Requests that were to be sent and were not.
    pub missing: usize,
}

/// Sends everything and waits for the answers. Wrong answers are no error here: they are in the result.
///
/// # Errors
/// There is nobody to send to, or we are interrupted.
pub fn run(plan: &Plan) -> Result<Run> {
    let clients = connect(plan)?;
    let (next, done) = (AtomicU64::new(0), AtomicU64::new(0));
    let bar = bar(plan);
    let parts = thread::scope(|scope| {
        let spawn = |client| {
            let work = Work { plan, next: &next, done: &done };
            thread::Builder::new().stack_size(STACK).spawn_scoped(scope, move || work.run(client))
        };
        let threads: Vec<_> = clients.into_iter().map(spawn).collect::<std::io::Result<_>>()?;
        while threads.iter().any(|thread| !thread.is_finished()) {
            bar.set_position(done.load(Relaxed));
            thread::sleep(LOOK);
        }
        let panicked = |_| std::io::Error::other("one of them panicked");
        threads
            .into_iter()
            .map(|thread| thread.join().map_err(panicked))
            .collect::<std::io::Result<Vec<Run>>>()
    });
    bar.finish_and_clear();
    let mut run = merge(parts.context("run a thread for each connection")?);
    run.missing = missing(plan, &run);
    interrupt::check()?;
    Ok(run)
}

/// Requests that were to be sent and were not, because nobody took connections any more.
fn missing(plan: &Plan, run: &Run) -> usize {
    match plan.amount {
        Amount::Requests(total) => {
            usize::try_from(total).unwrap_or(usize::MAX).saturating_sub(run.samples.len())
        }
        Amount::Until(_) => 0,
    }
}

/// Wrong answers of all runs that were judged so far: see [`Run::wrong`].
static WRONG: AtomicU64 = AtomicU64::new(0);

/// How many wrong answers there were in this process, so that an error that comes later does not hide them.
pub fn wrong_so_far() -> u64 {
    WRONG.load(Relaxed)
}

fn connect(plan: &Plan) -> Result<Vec<Client>> {
    let connect = |_| Client::connect(plan.target);
    let clients: std::io::Result<Vec<Client>> = (0..plan.connections).map(connect).collect();
    clients.map_err(|error| {
        let url = plan.target.url();
        Failure::Unreachable(format!("cannot open {} connections to {url}: {error}", plan.connections)).into()
    })
}

/// Draws nothing when standard error is not a terminal.
fn bar(plan: &Plan) -> ProgressBar {
    let total = match plan.amount {
        Amount::Requests(total) => Some(total),
        Amount::Until(_) => None,
    };
    let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr());
    let template = match total {
        Some(_) => "{msg:<14} {bar:40} {pos}/{len} {per_sec}",
        None => "{msg:<14} {pos} answers {per_sec}",
    };
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar.with_message(plan.label.to_owned())
}

fn merge(parts: Vec<Run>) -> Run {
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    let mut whole = Run::default();
    for part in parts {
        let place = |name: &String| {
            *places.entry(name.clone()).or_insert_with(|| {
                whole.names.push(name.clone());
                whole.names.len() - 1
            })
        };
        let here: Vec<usize> = part.names.iter().map(place).collect();
        let moved = |sample: Sample| Sample { replica: sample.replica.map(|at| here[at]), ..sample };
        whole.samples.extend(part.samples.into_iter().map(moved));
        whole.failures.extend(part.failures);
    }
    whole.samples.sort_by_key(|sample| sample.done);
    whole.failures.sort();
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_requests_are_due_at_even_times() {
        assert_eq!(Pace::Open(200).due(3), Some(Duration::from_millis(15)));
        assert_eq!(Pace::Closed.due(3), None);
    }

    #[test]
    fn parts_agree_on_names_and_lie_in_order_of_time() {
        let sample = |ms, replica| {
            let at = Duration::from_millis(ms);
            Sample { due: at, sent: at, done: at, status: 200, replica }
        };
        let part = |names: [&str; 2], samples| Run {
            missing: 0,
            samples,
            names: names.map(str::to_owned).to_vec(),
            failures: Vec::new(),
        };
        let whole = merge(vec![
            part(["a", "b"], vec![sample(1, Some(0)), sample(4, Some(1))]),
            part(["b", "c"], vec![sample(2, Some(0)), sample(3, None), sample(5, Some(1))]),
        ]);
        assert_eq!(whole.names, ["a", "b", "c"]);
        let who: Vec<_> = whole.samples.iter().map(|sample| sample.replica).collect();
        assert_eq!(who, [Some(0), Some(1), None, Some(1), Some(2)]);
    }
}
