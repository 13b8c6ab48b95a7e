//! What runs of wrk found, round by round, and their medians.

use serde::Serialize;

use crate::quiet;

/// One run of wrk against one subject; or, figure by figure, the median of several.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Measurement {
    /// Requests answered in a second.
    pub requests_per_second: f64,
    /// MiB received in a second.
    pub mib_per_second: f64,
    /// Median time of a request.
    pub p50_ms: f64,
    /// Time that 99 of 100 requests keep.
    pub p99_ms: f64,
    /// Processor time of the balancer, with its children; `None` for the backend alone.
    pub cpu_ms_per_1000_requests: Option<f64>,
    /// Answers of 400 and more, failed connections, and requests slower than 2 s; the sum of all rounds.
    pub errors: u64,
    /// Share of the machine that others used meanwhile, from 0 to 1; the largest of all rounds.
    pub others: f64,
}

impl Measurement {
    /// The median of each figure, and all errors.
    fn median_of(rounds: &[Measurement]) -> Measurement {
        let of = |figure: fn(&Measurement) -> f64| median(rounds.iter().map(figure).collect());
        let has_cpu = rounds.iter().all(|round| round.cpu_ms_per_1000_requests.is_some());
        let cpu = of(|round| round.cpu_ms_per_1000_requests.unwrap_or(0.0));
        Measurement {
            requests_per_second: of(|round| round.requests_per_second),
            mib_per_second: of(|round| round.mib_per_second),
            p50_ms: of(|round| round.p50_ms),
            p99_ms: of(|round| round.p99_ms),
            cpu_ms_per_1000_requests: has_cpu.then_some(cpu),
            errors: rounds.iter().map(|round| round.errors).sum(),
            others: rounds.iter().map(|round| round.others).fold(0.0, f64::max),
        }
    }
}

/// The median; of an even number the mean of the middle two, of none 0.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => 0.0,
        n if n % 2 == 1 => values[n / 2],
        n => f64::midpoint(values[n / 2 - 1], values[n / 2]),
    }
}

/// What one subject did under one kind of load.
#[derive(Clone, Debug, Serialize)]
pub struct Results {
    /// Of all rounds.
    pub median: Measurement,
    /// Each round.
    pub rounds: Vec<Measurement>,
}

impl Results {
    /// Puts rounds together.
    pub fn new(rounds: Vec<Measurement>) -> Results {
        Results { median: Measurement::median_of(&rounds), rounds }
    }
}

/// A figure for a table; `-` where there is none.
pub fn optional(value: Option<f64>, digits: usize) -> String {
    value.map_or("-".to_owned(), |value| format!("{value:.digits$}"))
}

/// What to tell of measurements that went wrong or were disturbed: how many errors there were, and for each measurement the
/// share of the machine that others used.
pub fn warnings(errors: u64, others: &[f64]) -> Vec<String> {
    let mut warnings = Vec::new();
    if errors > 0 {
        warnings.push(format!("WARNING: {errors} errors; figures beside errors mean little."));
    }
    let disturbed = others.iter().filter(|&&share| share > quiet::TOLERATED).count();
    if disturbed > 0 {
        warnings.push(format!(
            "WARNING: others used more than {:.0} % of the machine during {disturbed} of {} measurements.",
            100.0 * quiet::TOLERATED,
            others.len()
        ));
    }
    warnings
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// A measurement with this throughput and this p99.
    pub fn measurement(requests_per_second: f64, p99_ms: f64) -> Measurement {
        let cpu_ms_per_1000_requests = Some(20.0);
        let mib_per_second = requests_per_second;
        let p50_ms = p99_ms / 2.0;
        Measurement {
            requests_per_second,
            mib_per_second,
            p50_ms,
            p99_ms,
            cpu_ms_per_1000_requests,
            errors: 1,
            others: 0.01,
        }
    }

    #[test]
    fn medians() {
        assert_eq!(median(vec![]), 0.0);
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), 2.5);
        let rounds = [measurement(10.0, 5.0), measurement(30.0, 1.0), measurement(20.0, 9.0)];
        let median = Measurement::median_of(&rounds);
        assert_eq!((median.requests_per_second, median.p99_ms, median.errors), (20.0, 5.0, 3));
    }

    #[test]
    fn what_was_disturbed_is_said() {
        assert!(warnings(0, &[0.0, quiet::TOLERATED]).is_empty());
        let found = warnings(3, &[0.01, 0.5, 0.09]);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].contains("3 errors") && found[1].contains("2 of 3"), "{found:?}");
    }
}
