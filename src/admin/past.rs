//! `/_ringmaster/history`: the last minutes, second by second.

use serde::Serialize;

use super::clock::{Started, ms, written};
use crate::history::{History, Sample};

/// Samples, oldest first.
#[derive(Serialize)]
pub(super) struct Past {
    /// When this run of the balancer began: seconds are counted from there.
    started: String,
    /// Whether there are any samples: not with `--metrics off`.
    measured: bool,
    /// The last second that has a sample.
    now: u64,
    samples: Vec<Entry>,
}

#[derive(Serialize)]
struct Entry {
    second: u64,
    /// How many seconds it is of.
    span: u64,
    requests: u64,
    errors: u64,
    retries: u64,
    p50_ms: Option<f64>,
    p99_ms: Option<f64>,
}

impl Past {
    pub(super) fn after(history: Option<&History>, second: u64, started: Started) -> Past {
        let started = written(started.time);
        let Some(history) = history else {
            return Past { started, measured: false, now: 0, samples: Vec::new() };
        };
        let samples: Vec<Entry> = history.after(second).into_iter().map(Entry::of).collect();
        Past {
            started,
            measured: true,
            now: samples.last().map_or_else(|| history.second(), |last| last.second),
            samples,
        }
    }
}

impl Entry {
    fn of(sample: Sample) -> Entry {
        let Sample { second, span, requests, errors, retries, p50, p99 } = sample;
        Entry { second, span, requests, errors, retries, p50_ms: p50.map(ms), p99_ms: p99.map(ms) }
    }
}
