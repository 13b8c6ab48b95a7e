//! What a run comes to.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use super::{Run, Sample, WRONG};

/// Wrong answers that are shown.
const SHOWN: usize = 5;

/// Longest latency that is told from longer ones, in microseconds.
const LONGEST: u64 = 120_000_000;

/// Answers that are not what the contract says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wrong {
    /// How many.
    pub count: usize,
    /// The first few in words.
    pub first: Vec<String>,
}

impl Wrong {
    /// Takes some more.
    pub fn merge(&mut self, other: Wrong) {
        self.count += other.count;
        self.first.extend(other.first);
        self.first.truncate(SHOWN);
    }

    /// Takes one more.
    pub fn push(&mut self, why: String) {
        self.merge(Wrong { count: 1, first: vec![why] });
    }
}

/// How long answers took, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// Half were faster.
    pub p50_ms: f64,
    /// Of a hundred, 99 were faster.
    pub p99_ms: f64,
    /// The slowest.
    pub max_ms: f64,
}

impl Run {
    /// How many answers came from each of these, in their order.
    pub fn counts(&self, names: &[String]) -> Vec<u64> {
        let mut by_place = vec![0; self.names.len()];
        for place in self.samples.iter().filter_map(|sample| sample.replica) {
            by_place[place] += 1;
        }
        let count = |name| self.names.iter().position(|it| it == name).map_or(0, |place| by_place[place]);
        names.iter().map(count).collect()
    }

    /// The answers that were wrong, those from somebody whom the balancer does not list among them. They count for
    /// [`super::wrong_so_far`], so a run is judged once.
    pub fn wrong(&self, listed: &[String]) -> Wrong {
        let stranger = |place: usize| !listed.contains(&self.names[place]);
        let strangers: Vec<bool> = (0..self.names.len()).map(stranger).collect();
        let is_wrong = |replica: Option<usize>| replica.is_none_or(|place| strangers[place]);
        let count = self.missing + self.samples.iter().filter(|sample| is_wrong(sample.replica)).count();
        WRONG.fetch_add(count as u64, Relaxed);
        let unlisted = self.names.iter().zip(&strangers).filter(|(_, is_stranger)| **is_stranger);
        let unlisted = unlisted.map(|(name, _)| format!("an answer from '{name}', which /rep does not list"));
        let failures = self.failures.iter().map(|(k, why)| format!("request {k}: {why}"));
        let missing = (self.missing > 0).then(|| format!("{} requests that could not be sent", self.missing));
        let first = failures.chain(unlisted).chain(missing).take(SHOWN).collect();
        Wrong { count, first }
    }

    /// Answers per second, from the first request to the last answer.
    pub fn throughput(&self) -> f64 {
        let begin = self.samples.iter().map(|sample| sample.due).min().unwrap_or_default();
        let end = self.samples.iter().map(|sample| sample.done).max().unwrap_or_default();
        let seconds = end.saturating_sub(begin).as_secs_f64();
        if seconds > 0.0 { self.answered().count() as f64 / seconds } else { 0.0 }
    }

    /// How long answers took, each from when it was due.
    pub fn latency(&self) -> Latency {
        latency(self.answered().map(|sample| sample.done.saturating_sub(sample.due)))
    }

    /// Requests that got an answer, right or wrong: a connection that is refused at once says nothing of speed.
    fn answered(&self) -> impl Iterator<Item = &Sample> {
        self.samples.iter().filter(|sample| sample.status != 0)
    }
}

fn latency(times: impl Iterator<Item = Duration>) -> Latency {
    let ms = |us: u64| us as f64 / 1000.0;
    // Three digits up to two minutes are bounds that the crate takes.
    let Ok(mut histogram) = Histogram::<u64>::new_with_bounds(1, LONGEST, 3) else {
        unreachable!("constant bounds")
    };
    for time in times {
        histogram.saturating_record(u64::try_from(time.as_micros()).unwrap_or(LONGEST));
    }
    Latency {
        p50_ms: ms(histogram.value_at_quantile(0.5)),
        p99_ms: ms(histogram.value_at_quantile(0.99)),
        max_ms: ms(histogram.max()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::Sample;

    fn run(samples: &[(u64, u64, Option<usize>)]) -> Run {
        let ms = Duration::from_millis;
        let sample = |&(due, done, replica): &(u64, u64, Option<usize>)| Sample {
            due: ms(due),
            sent: ms(due),
            done: ms(done),
            status: if replica.is_some() { 200 } else { 0 },
            replica,
        };
        Run {
            missing: 0,
            samples: samples.iter().map(sample).collect(),
            names: vec!["b".to_owned(), "a".to_owned()],
            failures: vec![(3, "no".to_owned())],
        }
    }

    #[test]
    fn counts_follow_the_order_asked_for() {
        let run = run(&[(0, 1, Some(0)), (0, 2, Some(0)), (0, 3, Some(1)), (0, 4, None)]);
        let names = ["a", "b", "c"].map(str::to_owned);
        assert_eq!(run.counts(&names), [1, 2, 0]);
        assert_eq!(run.wrong(&names), Wrong { count: 1, first: vec!["request 3: no".to_owned()] });
        let wrong = run.wrong(&names[..1]);
        assert_eq!(wrong.count, 3);
        assert!(wrong.first[1].contains("'b'"), "{wrong:?}");
    }

    #[test]
    fn latency_counts_from_the_due_time() {
        let run = run(&[(0, 10, Some(0)), (5, 25, Some(0)), (10, 1010, Some(0)), (20, 30, Some(0))]);
        let latency = run.latency();
        assert!((latency.p50_ms - 10.0).abs() < 0.02, "{latency:?}");
        assert!((latency.max_ms - 1000.0).abs() < 1.0 && latency.p99_ms > 990.0, "{latency:?}");
        assert!((run.throughput() - 4.0 / 1.01).abs() < 0.01, "{}", run.throughput());
    }

    #[test]
    fn percentiles_of_a_thousand_times() {
        let latency = latency((1..=1000).map(Duration::from_millis));
        assert!((latency.p50_ms - 500.0).abs() < 1.0, "{latency:?}");
        assert!((latency.p99_ms - 990.0).abs() < 1.0, "{latency:?}");
    }

    #[test]
    fn only_a_few_wrong_answers_are_kept_in_words() {
        let mut wrong = Wrong::default();
        (0..9).for_each(|k| wrong.push(k.to_string()));
        assert_eq!((wrong.count, wrong.first.len()), (9, SHOWN));
    }
}
