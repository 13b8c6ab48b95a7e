//! What has happened lately: reads the instruments once a second and keeps the differences, for charts, and for
//! latencies that are those of the last minute and not of all time.

use std::collections::{HashMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::fleet::{Fleet, ReplicaId};
use crate::metrics::{Metrics, Reading};
use crate::shutdown::Shutdown;

/// Samples that are kept: five minutes.
const KEPT: usize = 300;

/// Time between two samples.
const SECOND: Duration = Duration::from_secs(1);

/// Samples between two readings of each replica's latencies. A reading is a kilobyte, and a minute of them is kept.
const EVERY: u64 = 5;

/// Readings of each replica that are kept, which span a minute.
const READINGS: usize = 13;

/// What happened in one second, or in several that had to be read together.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Sample {
    /// Seconds since the start, at its end.
    pub second: u64,
    /// How many seconds it is of: 1, or more after some in which nothing was read.
    pub span: u64,
    /// Requests that were answered, by replicas or in their place.
    pub requests: u64,
    /// Those of them whose answer was a 5xx.
    pub errors: u64,
    /// Attempts after which a request was tried again.
    pub retries: u64,
    /// The time within which half of them were answered to the end.
    pub p50: Option<Duration>,
    /// The same of 99 in 100.
    pub p99: Option<Duration>,
}

/// A handle on the history; clones share it.
#[derive(Clone, Default)]
pub struct History {
    book: Arc<Mutex<Book>>,
}

#[derive(Default)]
struct Book {
    samples: VecDeque<Sample>,
    second: u64,
    last: Sums,
    /// Per replica when its latencies were read, and what they were, oldest first.
    latencies: HashMap<ReplicaId, VecDeque<(Instant, Reading)>>,
}

/// All that was counted up to one moment.
#[derive(Clone, Default, Debug)]
pub struct Sums {
    /// Answers by class, from 1xx to 5xx.
    pub classes: [u64; 5],
    /// Attempts after which a request was tried again.
    pub retries: u64,
    /// How long they took.
    pub durations: Reading,
}

impl Sums {
    /// What has been counted so far.
    pub fn of(metrics: &Metrics) -> Sums {
        let all = metrics.totals();
        Sums { classes: all.answers.by_class(), retries: all.retries, durations: all.durations }
    }

    /// How many requests were answered.
    pub fn requests(&self) -> u64 {
        self.classes.iter().sum()
    }
}

impl History {
    /// Begins to take samples; ends when `shutdown` begins.
    ///
    /// # Errors
    /// The system has no thread for it.
    pub fn start(fleet: Fleet, shutdown: Shutdown) -> std::io::Result<(History, JoinHandle<()>)> {
        let history = History::default();
        let own = history.clone();
        let thread = thread::Builder::new().name("history".into()).spawn(move || {
            let begun = Instant::now();
            let mut due = begun + SECOND;
            while !shutdown.sleep(due.saturating_duration_since(Instant::now())) {
                let now = Instant::now();
                let second = now.saturating_duration_since(begun).as_secs();
                let sample = || own.take(&fleet, second, now);
                if catch_unwind(AssertUnwindSafe(sample)).is_err() {
                    log::error!("taking a sample of the counters panicked");
                }
                // Seconds that were slept through, with a machine that stood still, are not made up for.
                due = begun + Duration::from_secs(second + 1);
            }
        })?;
        Ok((history, thread))
    }

    fn take(&self, fleet: &Fleet, second: u64, now: Instant) {
        let sums = Sums::of(fleet.metrics());
        let replicas = fleet.watched();
        let mut book = self.lock();
        let is_due = second / EVERY > book.second / EVERY;
        book.sample(second, sums);
        book.latencies.retain(|id, _| replicas.iter().any(|replica| replica.id == *id));
        for replica in replicas {
            // Whoever is new had counted nothing a second ago.
            let begin = || VecDeque::from([(now, Reading::default())]);
            let readings = book.latencies.entry(replica.id).or_insert_with(begin);
            if !is_due {
                continue;
            }
            if readings.len() >= READINGS {
                readings.pop_front();
            }
            readings.push_back((now, replica.meter.latencies()));
        }
    }

    /// The samples after this second, oldest first.
    pub fn after(&self, second: u64) -> Vec<Sample> {
        self.lock().samples.iter().filter(|sample| sample.second > second).copied().collect()
    }

    /// The number of the last second that has a sample; 0 before the first.
    pub fn second(&self) -> u64 {
        self.lock().second
    }

    /// What the histogram of a replica's latencies had counted when it was read first in the last minute, and when that
    /// was; `None` for one that was never read.
    pub fn minute_ago(&self, id: ReplicaId) -> Option<(Instant, Reading)> {
        self.lock().latencies.get(&id)?.front().cloned()
    }

    fn lock(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Book {
    fn sample(&mut self, second: u64, sums: Sums) {
        let lately = sums.durations.since(&self.last.durations);
        let span = second.saturating_sub(self.second).max(1);
        self.second = second;
        // Counts stay whole, whatever the span: a mean of few requests over many seconds would be rounded to nothing, or
        // to more than there were.
        let sample = Sample {
            second,
            span,
            requests: sums.requests().saturating_sub(self.last.requests()),
            errors: sums.classes[4].saturating_sub(self.last.classes[4]),
            retries: sums.retries.saturating_sub(self.last.retries),
            p50: lately.quantile(0.5),
            p99: lately.quantile(0.99),
        };
        if self.samples.len() >= KEPT {
            self.samples.pop_front();
        }
        self.samples.push_back(sample);
        self.last = sums;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::balance::Policy;
    use crate::fleet::Recruit;
    use crate::replica::Hostname;
    use crate::ring::Shape;
    use http::StatusCode;

    fn fleet(names: &[&str]) -> (Fleet, Vec<ReplicaId>) {
        let fleet = Fleet::new(Shape::default(), Policy::Hash);
        let recruits: Vec<Recruit> =
            names.iter().map(|name| Recruit::from(Hostname::parse(name).unwrap())).collect();
        let ids = fleet.recruit(&recruits).unwrap();
        (fleet, ids)
    }

    #[test]
    fn a_sample_is_what_happened_since_the_last() {
        let ((fleet, ids), history) = (fleet(&["s1", "s2"]), History::default());
        let meter = |at: usize| fleet.replica(ids[at]).unwrap().meter;
        meter(0).answered(StatusCode::OK, Duration::from_millis(1));
        meter(1).answered(StatusCode::BAD_GATEWAY, Duration::from_millis(4));
        fleet.metrics().own().answered(StatusCode::SERVICE_UNAVAILABLE, Duration::ZERO);
        fleet.metrics().admin().answered(StatusCode::OK, Duration::ZERO);
        history.take(&fleet, 1, Instant::now());
        let first = history.after(0)[0];
        assert_eq!((first.second, first.requests, first.errors, first.retries), (1, 3, 2, 0));
        meter(1).tried_again();
        // What it has counted is not lost with it, nor counted again.
        fleet.dismiss(ids[1]);
        history.take(&fleet, 2, Instant::now());
        let second = history.after(1)[0];
        assert_eq!((second.second, second.requests, second.errors, second.retries), (2, 0, 0, 1));
        assert_eq!((second.p50, second.p99), (None, None));
        assert_eq!((first.span, second.span), (1, 1));
        // Three seconds that were slept through: one sample of four, in which nothing is lost or made up.
        (0..9).for_each(|_| fleet.metrics().own().answered(StatusCode::OK, Duration::ZERO));
        history.take(&fleet, 6, Instant::now());
        let late = history.after(2)[0];
        assert_eq!((late.second, late.span, late.requests, history.second()), (6, 4, 9, 6));
    }

    #[test]
    fn the_first_seconds_of_a_replica_are_of_the_last_minute_too() {
        let ((fleet, ids), history) = (fleet(&["s1"]), History::default());
        let begin = Instant::now();
        let meter = fleet.replica(ids[0]).unwrap().meter;
        meter.began_to_answer(Duration::from_millis(1));
        for second in 1..30 {
            history.take(&fleet, u64::from(second), begin + SECOND * second);
            let (_, earlier) = history.minute_ago(ids[0]).unwrap();
            assert_eq!(meter.latencies().since(&earlier).count(), 1, "second {second}");
        }
    }

    #[test]
    fn five_minutes_are_kept_and_a_minute_of_latencies() {
        let ((fleet, ids), history) = (fleet(&["s1"]), History::default());
        let begin = Instant::now();
        for second in 1..=400 {
            history.take(&fleet, u64::from(second), begin + SECOND * second);
        }
        assert_eq!((history.after(0).len(), history.second(), history.after(399).len()), (KEPT, 400, 1));
        let (read, _) = history.minute_ago(ids[0]).unwrap();
        let age = begin + SECOND * 400 - read;
        assert!((Duration::from_secs(60)..Duration::from_secs(66)).contains(&age), "{age:?}");
        fleet.dismiss(ids[0]);
        history.take(&fleet, 401, begin);
        assert!(history.minute_ago(ids[0]).is_none());
    }
}
