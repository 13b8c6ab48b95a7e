//! How long things took, in buckets that are never reset: what happened lately is the difference of two readings.

use std::iter::zip;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// The bounds within one power of ten: close enough that a quantile is off by a quarter at most, and with 1, 2.5 and 5
/// among them, which are what dashboards are used to.
const STEPS: [u64; 14] = [100, 125, 150, 175, 200, 250, 300, 350, 400, 500, 600, 700, 800, 900];

/// From ten microseconds to a hundred seconds, beyond every timeout that a request has by default.
const DECADES: usize = 7;

/// How many bounds there are.
const BOUNDS: usize = STEPS.len() * DECADES + 1;

/// Upper bounds of the buckets in nanoseconds, which belong to them; a last bucket has none.
const UPPER_NS: [u64; BOUNDS] = {
    let mut bounds = [0; BOUNDS];
    let (mut at, mut unit) = (0, 100);
    while at < BOUNDS {
        bounds[at] = STEPS[at % STEPS.len()] * unit;
        at += 1;
        if at % STEPS.len() == 0 {
            unit *= 10;
        }
    }
    bounds
};

/// Counts durations. Recording one is a search among a hundred bounds and two additions, and never waits.
#[derive(Debug)]
pub struct Histogram {
    buckets: [AtomicU64; BOUNDS + 1],
    sum_ns: AtomicU64,
}

impl Default for Histogram {
    fn default() -> Histogram {
        Histogram { buckets: std::array::from_fn(|_| AtomicU64::new(0)), sum_ns: AtomicU64::new(0) }
    }
}

impl Histogram {
    /// Counts one that took so long.
    pub fn record(&self, took: Duration) {
        let ns = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        let bucket = UPPER_NS.partition_point(|upper| *upper < ns);
        self.buckets[bucket].fetch_add(1, Relaxed);
        self.sum_ns.fetch_add(ns, Relaxed);
    }

    /// What has been counted so far.
    pub fn read(&self) -> Reading {
        let mut reading = Reading::default();
        self.add_to(&mut reading);
        reading
    }

    /// Adds what has been counted so far to a reading of others.
    pub(super) fn add_to(&self, reading: &mut Reading) {
        zip(&mut reading.buckets, &self.buckets).for_each(|(sum, count)| *sum += count.load(Relaxed));
        reading.sum_ns = reading.sum_ns.saturating_add(self.sum_ns.load(Relaxed));
    }
}

/// What a histogram had counted at one moment, or between two.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reading {
    /// One count per bucket.
    buckets: Vec<u64>,
    sum_ns: u64,
}

impl Default for Reading {
    fn default() -> Reading {
        Reading { buckets: vec![0; BOUNDS + 1], sum_ns: 0 }
    }
}

impl Reading {
    /// What was counted after `earlier`, a reading of the same histogram.
    pub fn since(&self, earlier: &Reading) -> Reading {
        let grown = |(now, then): (&u64, &u64)| now.saturating_sub(*then);
        let buckets = zip(&self.buckets, &earlier.buckets).map(grown).collect();
        Reading { buckets, sum_ns: self.sum_ns.saturating_sub(earlier.sum_ns) }
    }

    /// Adds another's counts.
    pub fn add(&mut self, other: &Reading) {
        zip(&mut self.buckets, &other.buckets).for_each(|(own, count)| *own += count);
        self.sum_ns = self.sum_ns.saturating_add(other.sum_ns);
    }

    /// How many were counted.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// How long all of them took together, in seconds.
    pub fn sum_seconds(&self) -> f64 {
        self.sum_ns as f64 / 1e9
    }

    /// The time within which the part `q` (0 to 1) of them was done; `None` while nothing was counted. It lies in the right
    /// bucket, at a place that takes its durations for spread evenly; beyond the last bound it is that bound. Of a single
    /// one it is the time that this took.
    pub fn quantile(&self, q: f64) -> Option<Duration> {
        let count = self.count();
        if count == 1 && self.sum_is_of_its_bucket() {
            return Some(Duration::from_nanos(self.sum_ns));
        }
        let rank = (q.clamp(0.0, 1.0) * count as f64).max(1.0);
        let mut before = 0.0;
        for (at, &here) in self.buckets.iter().enumerate().filter(|(_, here)| **here > 0) {
            let here = here as f64;
            if before + here >= rank || before + here >= count as f64 {
                let lower = if at == 0 { 0 } else { UPPER_NS[at - 1] };
                let upper = UPPER_NS.get(at).copied().unwrap_or(lower);
                let part = ((rank - before) / here).clamp(0.0, 1.0);
                return Some(Duration::from_nanos(lower + ((upper - lower) as f64 * part) as u64));
            }
            before += here;
        }
        None
    }

    /// Whether the sum fits the only one that was counted: counts and sum are not read in one moment, so that one of
    /// another duration may be in the sum and not yet among the counts, or the other way round.
    fn sum_is_of_its_bucket(&self) -> bool {
        let bucket = UPPER_NS.partition_point(|upper| *upper < self.sum_ns);
        self.buckets[bucket] == 1
    }

    /// The counts as Prometheus has them: for each of a few bounds in seconds, how many took at most that long.
    pub fn cumulative(&self) -> impl Iterator<Item = (f64, u64)> + '_ {
        let mut total = 0;
        let running = zip(UPPER_NS, &self.buckets).map(move |(upper, count)| {
            total += count;
            (upper, total)
        });
        running.filter(|(upper, _)| is_shown(*upper)).map(|(upper, total)| (upper as f64 / 1e9, total))
    }
}

/// 100 µs, 250 µs, 500 µs, 1 ms … 100 s: nineteen of the bounds, since each is a series for every replica.
fn is_shown(upper_ns: u64) -> bool {
    let mut digits = upper_ns;
    while digits >= 1000 {
        digits /= 10;
    }
    upper_ns >= 100_000 && matches!(digits, 100 | 250 | 500)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn micros(count: u64) -> Duration {
        Duration::from_micros(count)
    }

    #[test]
    fn bounds_rise_and_belong_to_their_bucket() {
        assert!(UPPER_NS.is_sorted_by(|a, b| a < b));
        assert_eq!((UPPER_NS[0], UPPER_NS[BOUNDS - 1]), (10_000, 100_000_000_000));
        let histogram = Histogram::default();
        histogram.record(micros(100));
        histogram.record(Duration::from_nanos(100_001));
        let shown: Vec<(f64, u64)> = histogram.read().cumulative().collect();
        assert_eq!(shown[..2], [(0.0001, 1), (0.00025, 2)]);
        assert_eq!((shown.len(), *shown.last().unwrap()), (19, (100.0, 2)));
    }

    #[test]
    fn quantiles_are_in_the_bucket_of_the_sorted_list() {
        let mut random = fastrand::Rng::with_seed(7);
        for count in [1, 2, 10, 1000] {
            let histogram = Histogram::default();
            let mut all: Vec<u64> =
                (0..count).map(|_| 10_u64.pow(random.u32(1..7)) + random.u64(..900)).collect();
            all.iter().for_each(|&took| histogram.record(micros(took)));
            all.sort_unstable();
            for q in [0.0, 0.5, 0.9, 0.99, 1.0] {
                let rank = ((q * count as f64).ceil() as usize).clamp(1, all.len());
                let exact = all[rank - 1] as f64;
                let found = histogram.read().quantile(q).unwrap().as_secs_f64() * 1e6;
                assert!((found / exact - 1.0).abs() <= 0.26, "{count} {q}: {found} for {exact}");
            }
        }
        assert_eq!(Histogram::default().read().quantile(0.5), None);
    }

    #[test]
    fn what_takes_too_long_is_counted_and_nothing_overflows() {
        let histogram = Histogram::default();
        histogram.record(Duration::from_secs(1000));
        histogram.record(Duration::MAX);
        let reading = histogram.read();
        assert_eq!((reading.count(), reading.cumulative().last().unwrap().1), (2, 0));
        assert_eq!(reading.quantile(0.5), Some(Duration::from_secs(100)));
    }

    #[test]
    fn one_alone_is_told_exactly_unless_its_sum_is_that_of_another() {
        let only = |took: Duration| {
            let histogram = Histogram::default();
            histogram.record(took);
            histogram.read()
        };
        for took in [Duration::ZERO, micros(100), micros(3_303_000), Duration::from_secs(1000)] {
            for q in [0.0, 0.5, 0.99, 1.0] {
                assert_eq!(only(took).quantile(q), Some(took));
            }
        }
        // It was read between the two additions of a second one.
        let torn = Reading { sum_ns: 9_000_000, ..only(micros(3000)) };
        assert_eq!(torn.quantile(0.5), Some(micros(3000)));
        let torn = Reading { sum_ns: 0, ..only(micros(3200)) };
        assert_eq!(torn.quantile(0.5), Some(micros(3500)));
    }

    #[test]
    fn what_happened_lately_is_a_difference() {
        let histogram = Histogram::default();
        histogram.record(micros(50));
        let earlier = histogram.read();
        histogram.record(micros(5000));
        let lately = histogram.read().since(&earlier);
        assert_eq!((lately.count(), lately.sum_seconds()), (1, 0.005));
        assert!(lately.quantile(0.5).unwrap() > micros(4000));
        // Of one alone the time itself is known, wherever it lies in its bucket.
        assert_eq!((lately.quantile(0.5), lately.quantile(0.99)), (Some(micros(5000)), Some(micros(5000))));
        let mut both = lately.clone();
        both.add(&earlier);
        assert_eq!(both, histogram.read());
    }
}
