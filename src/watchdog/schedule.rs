//! When a replica is launched again: at once after the first failure, and after pauses that grow while it keeps failing.

use std::time::{Duration, Instant};

use super::health::FORGIVEN_AFTER;

/// The pauses before the launches of one replica: none at first, then 1, 2, 4 … seconds up to the longest, counted from
/// the failure before. A launch that fails and a replica that does not live long count alike; a minute of health
/// forgives everything. Reads no clock.
///
/// Kubernetes (10 s doubling to 300 s) and Swarm (5 s each) wait in the same way for the same reason: a replica that
/// cannot live must not keep the engine busy.
#[derive(Clone, Debug)]
pub struct Schedule {
    longest: Duration,
    failures: u32,
    not_before: Option<Instant>,
    serving_since: Option<Instant>,
}

impl Schedule {
    /// For a replica that has not failed yet.
    pub fn new(longest: Duration) -> Schedule {
        Schedule { longest, failures: 0, not_before: None, serving_since: None }
    }

    /// Whether a launch may be tried at `now`.
    pub fn is_due(&self, now: Instant) -> bool {
        self.not_before.is_none_or(|instant| now >= instant)
    }

    /// A replica that served has failed at `now`; returns how long to wait until it is launched.
    pub fn died(&mut self, now: Instant) -> Duration {
        if self
            .serving_since
            .take()
            .is_some_and(|since| now.saturating_duration_since(since) >= FORGIVEN_AFTER)
        {
            self.failures = 0;
        }
        self.pause(now)
    }

    /// A launch failed at `now`; returns how long to wait until the next.
    pub fn launch_failed(&mut self, now: Instant) -> Duration {
        // The pause of nothing was the one before this launch.
        self.failures = self.failures.max(1);
        self.serving_since = None;
        self.pause(now)
    }

    fn pause(&mut self, now: Instant) -> Duration {
        let pause = match self.failures {
            0 => Duration::ZERO,
            // 2^16 seconds are more than any longest pause.
            n => Duration::from_secs(1 << (n - 1).min(16)).min(self.longest),
        };
        self.failures = self.failures.saturating_add(1);
        self.not_before = Some(now + pause);
        pause
    }

    /// It serves, from `now` on.
    pub fn serves(&mut self, now: Instant) {
        self.serving_since.get_or_insert(now);
        self.not_before = None;
    }

    /// What stood in the way is said to be gone: the next launch need not wait.
    pub fn try_now(&mut self) {
        self.not_before = None;
    }

    /// Nothing is to be tried before `instant`; nothing failed.
    pub fn postpone(&mut self, instant: Instant) {
        self.not_before = Some(self.not_before.map_or(instant, |other| other.max(instant)));
    }

    /// How many failures in a row there were.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// When the next launch may be tried, if there is something to wait for.
    pub fn next(&self) -> Option<Instant> {
        self.not_before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONGEST: Duration = Duration::from_secs(60);

    #[test]
    fn pauses_grow_to_the_longest() {
        let mut now = Instant::now();
        let mut schedule = Schedule::new(LONGEST);
        assert!(schedule.is_due(now));
        for seconds in [0, 1, 2, 4, 8, 16, 32, 60, 60, 60] {
            let pause = schedule.died(now);
            assert_eq!(pause, Duration::from_secs(seconds));
            assert_eq!(schedule.is_due(now), seconds == 0);
            now += pause;
            assert!(schedule.is_due(now));
            schedule.serves(now);
            now += FORGIVEN_AFTER - Duration::from_millis(1);
        }
        schedule.serves(now);
        assert_eq!(schedule.died(now + FORGIVEN_AFTER), Duration::ZERO, "a minute of health forgives");
    }

    #[test]
    fn the_first_launch_waits_for_nothing_and_the_second_for_a_second() {
        let now = Instant::now();
        let mut new = Schedule::new(LONGEST);
        assert_eq!(new.launch_failed(now), Duration::from_secs(1));
        assert_eq!(new.launch_failed(now), Duration::from_secs(2));
        let mut died = Schedule::new(LONGEST);
        assert_eq!(died.died(now), Duration::ZERO);
        assert_eq!(died.launch_failed(now), Duration::from_secs(1));
        died.try_now();
        assert!(died.is_due(now));
        assert_eq!(died.launch_failed(now), Duration::from_secs(2), "what failed is not forgotten for that");
    }

    #[test]
    fn health_counts_in_one_piece() {
        let now = Instant::now();
        let mut schedule = Schedule::new(LONGEST);
        schedule.serves(now);
        schedule.serves(now + FORGIVEN_AFTER / 2);
        assert_eq!(schedule.died(now + FORGIVEN_AFTER), Duration::ZERO);
        for _ in 0..2 {
            schedule.serves(now + FORGIVEN_AFTER);
            schedule.died(now + FORGIVEN_AFTER * 3 / 2);
        }
        assert_eq!(schedule.failures(), 3, "two halves are no whole");
    }

    /// Against the rule in plain words, over random lives.
    #[test]
    fn random_lives_get_the_pauses_of_the_rule() {
        for seed in 0..300 {
            let mut random = fastrand::Rng::with_seed(seed);
            let longest = Duration::from_secs(random.u64(1..100));
            let mut now = Instant::now();
            let mut schedule = Schedule::new(longest);
            let mut pauses = Vec::new();
            for _ in 0..random.usize(1..60) {
                let lives = random.bool().then(|| Duration::from_secs(random.u64(0..90)));
                let pause = match lives {
                    Some(life) => {
                        schedule.serves(now);
                        now += life;
                        let forgiven = life >= FORGIVEN_AFTER;
                        if forgiven {
                            pauses.clear();
                        }
                        schedule.died(now)
                    }
                    None => {
                        if pauses.is_empty() {
                            pauses.push(Duration::ZERO);
                        }
                        schedule.launch_failed(now)
                    }
                };
                let expected = match pauses.last() {
                    None => Duration::ZERO,
                    Some(last) if last.is_zero() => Duration::from_secs(1).min(longest),
                    Some(last) => (*last * 2).min(longest),
                };
                assert_eq!(pause, expected, "seed {seed}");
                pauses.push(pause);
                assert!(schedule.next().is_some_and(|next| next == now + pause));
                now += pause;
            }
        }
    }
}
