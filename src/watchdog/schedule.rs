//! When a launch that failed is tried again.

use std::time::{Duration, Instant};

/// Longest pause between two tries. An operator who has mended what was wrong should not wait longer than this.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Pauses of one replica's launches: none before the first, then 1, 2, 4 … 60 s after each that failed. Reads no
/// clock.
#[derive(Clone, Default, Debug)]
pub struct Schedule {
    failures: u32,
    not_before: Option<Instant>,
}

impl Schedule {
    /// Whether a launch may be tried at `now`.
    pub fn is_due(&self, now: Instant) -> bool {
        self.not_before.is_none_or(|instant| now >= instant)
    }

    /// A launch failed at `now`; returns how long to wait until the next.
    pub fn failed(&mut self, now: Instant) -> Duration {
        let pause = Duration::from_secs(1 << self.failures.min(6)).min(LONGEST_PAUSE);
        self.failures += 1;
        self.not_before = Some(now + pause);
        pause
    }

    /// Nothing is to be tried before `instant`; no launch failed.
    pub fn postpone(&mut self, instant: Instant) {
        self.not_before = Some(instant);
    }

    /// A launch succeeded: the next failure starts from the beginning.
    pub fn succeeded(&mut self) {
        *self = Schedule::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_minute_and_start_afresh_after_a_success() {
        let mut now = Instant::now();
        let mut schedule = Schedule::default();
        assert!(schedule.is_due(now));
        for seconds in [1, 2, 4, 8, 16, 32, 60, 60, 60] {
            let pause = schedule.failed(now);
            assert_eq!(pause, Duration::from_secs(seconds));
            assert!(!schedule.is_due(now));
            assert!(!schedule.is_due(now + pause - Duration::from_millis(1)));
            now += pause;
            assert!(schedule.is_due(now));
        }
        schedule.succeeded();
        assert!(schedule.is_due(now));
        assert_eq!(schedule.failed(now), Duration::from_secs(1));
    }

    #[test]
    fn any_number_of_failures_is_counted() {
        let mut schedule = Schedule { failures: u32::MAX - 1, not_before: None };
        assert_eq!(schedule.failed(Instant::now()), LONGEST_PAUSE);
    }
}
