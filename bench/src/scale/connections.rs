//! How many connections are opened on this machine, and when. That is how heartbeats are seen from outside, since each
//! opens one. So do the balancer's visits at its own door, about forty a second, and whoever else is at work in the same
//! network namespace.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::interrupt;

/// Where the system counts.
const COUNTERS: &str = "/proc/net/snmp";

/// Connections opened up to some moment.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// When, from the first sample on.
    pub at: Duration,
    /// How many, ever.
    pub opened: u64,
}

/// Looks every `period` until `done` says so; it is told the time since the first look.
///
/// # Errors
/// The system does not count, we are interrupted, or `done` fails.
pub fn sample(period: Duration, mut done: impl FnMut(Duration) -> Result<bool>) -> Result<Vec<Sample>> {
    let begin = Instant::now();
    let mut samples = Vec::new();
    loop {
        interrupt::check()?;
        let text = fs::read_to_string(COUNTERS).with_context(|| format!("read {COUNTERS}"))?;
        let opened =
            opened(&text).with_context(|| format!("there is no number of connections in {COUNTERS}"))?;
        let at = begin.elapsed();
        samples.push(Sample { at, opened });
        if done(at)? {
            return Ok(samples);
        }
        // To the period's next multiple, so that looks that take long do not shift those that follow.
        let next = period.mul_f64((begin.elapsed().as_secs_f64() / period.as_secs_f64()).floor() + 1.0);
        thread::sleep(next.saturating_sub(begin.elapsed()));
    }
}

/// The connections that were opened from here, of the system's counters: a line of names, and one of values.
fn opened(text: &str) -> Option<u64> {
    let mut lines = text.lines().filter_map(|line| line.strip_prefix("Tcp:"));
    let (names, values) = (lines.next()?, lines.next()?);
    let mut pairs = names.split_whitespace().zip(values.split_whitespace());
    pairs.find(|(name, _)| *name == "ActiveOpens")?.1.parse().ok()
}

/// All connections of the samples.
pub fn total(samples: &[Sample]) -> u64 {
    grown(samples).map(|(_, grown)| grown).sum()
}

/// The samples laid upon one another, one `interval` on the next: how many connections each of `slices` parts of it saw.
pub fn fold(samples: &[Sample], interval: Duration, slices: usize) -> Vec<u64> {
    let mut folded = vec![0; slices];
    for (at, grown) in grown(samples) {
        let place = (at.as_secs_f64() / interval.as_secs_f64()).fract();
        folded[((place * slices as f64) as usize).min(slices - 1)] += grown;
    }
    folded
}

/// How many connections each `interval` saw that the samples hold whole.
pub fn each(samples: &[Sample], interval: Duration) -> Vec<u64> {
    let time = samples.last().map_or(Duration::ZERO, |last| last.at);
    let mut counts = vec![0; (time.as_secs_f64() / interval.as_secs_f64()) as usize];
    for (at, grown) in grown(samples) {
        if let Some(count) = counts.get_mut((at.as_secs_f64() / interval.as_secs_f64()) as usize) {
            *count += grown;
        }
    }
    counts
}

/// What was opened between two looks, and when about: half way.
fn grown(samples: &[Sample]) -> impl Iterator<Item = (Duration, u64)> + '_ {
    samples
        .windows(2)
        .map(|pair| ((pair[0].at + pair[1].at) / 2, pair[1].opened.saturating_sub(pair[0].opened)))
}

/// The most over the mean: 1 where all is even, the number of slices where one has everything.
pub fn bunching(folded: &[u64]) -> f64 {
    let (most, all) = (folded.iter().max().copied().unwrap_or(0), folded.iter().sum::<u64>());
    if all == 0 { 0.0 } else { most as f64 * folded.len() as f64 / all as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_millis(500);

    fn samples(opened: &[(u64, u64)]) -> Vec<Sample> {
        let sample = |&(at, opened): &(u64, u64)| Sample { at: Duration::from_millis(at), opened };
        opened.iter().map(sample).collect()
    }

    #[test]
    fn the_systems_counters() {
        let text = "Ip: Forwarding DefaultTTL\nIp: 2 64\nTcp: RtoAlgorithm MaxConn ActiveOpens PassiveOpens\n\
                    Tcp: 1 -1 4711 9\nUdp: InDatagrams\nUdp: 3\n";
        assert_eq!(opened(text), Some(4711));
        assert_eq!(opened("Tcp: ActiveOpens\n"), None);
        assert!(sample(Duration::from_millis(1), |at| Ok(at > Duration::from_millis(3))).unwrap().len() > 1);
    }

    #[test]
    fn even_and_bunched() {
        let even: Vec<(u64, u64)> = (0..=200).map(|k| (k * 10, k * 2)).collect();
        let folded = fold(&samples(&even), INTERVAL, 50);
        assert_eq!(folded, [8; 50]);
        assert_eq!(bunching(&folded), 1.0);
        let bunched: Vec<(u64, u64)> = (0..=200).map(|k| (k * 10, (k + 20) / 50 * 100)).collect();
        assert_eq!(bunching(&fold(&samples(&bunched), INTERVAL, 50)), 50.0);
        assert_eq!(bunching(&[0; 50]), 0.0);
        assert_eq!(total(&samples(&bunched)), 400);
    }

    #[test]
    fn only_whole_intervals_count() {
        let opened = samples(&[(0, 7), (240, 9), (490, 10), (700, 13), (990, 13), (1100, 99)]);
        assert_eq!(each(&opened, INTERVAL), [3, 3]);
        assert!(each(&[], INTERVAL).is_empty());
    }
}
