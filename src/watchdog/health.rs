//! The opinion on one replica's health: facts in, transitions out.

use std::time::{Duration, Instant};

use crate::heartbeat::Pulse;

/// A change of opinion, reported once.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failed {
    /// What the last heartbeat came back with.
    pub reason: String,
    /// How long ago the replica was last known to be well.
    pub unwell_for: Duration,
}

/// Judges a replica by its heartbeats: it has failed when so many in a row were missed. Reads no clock.
#[derive(Clone, Debug)]
pub struct Health {
    fall: u32,
    misses: u32,
    last_good: Instant,
}

impl Health {
    /// A replica that is well at `now`, and will have failed after `fall` missed heartbeats in a row.
    pub fn new(fall: u32, now: Instant) -> Health {
        Health { fall, misses: 0, last_good: now }
    }

    /// Takes in what a heartbeat came back with at `now`; returns the transition if this one made the difference.
    pub fn observe(&mut self, pulse: &Pulse, now: Instant) -> Option<Failed> {
        match pulse {
            Pulse::Good(_) => {
                self.misses = 0;
                self.last_good = now;
                None
            }
            Pulse::Missed(reason) => {
                self.misses = self.misses.saturating_add(1);
                (self.misses == self.fall)
                    .then(|| Failed { reason: reason.clone(), unwell_for: now - self.last_good })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds `g`ood and `m`issed pulses, 500 ms apart, and returns at which of them a transition came out.
    fn transitions(fall: u32, pulses: &str) -> Vec<usize> {
        let mut now = Instant::now();
        let mut health = Health::new(fall, now);
        let mut seen = Vec::new();
        for (at, kind) in pulses.chars().enumerate() {
            now += Duration::from_millis(500);
            let pulse = match kind {
                'g' => Pulse::Good(Duration::from_millis(1)),
                _ => Pulse::Missed(format!("miss {at}")),
            };
            if let Some(failed) = health.observe(&pulse, now) {
                assert_eq!(failed.reason, format!("miss {at}"));
                assert_eq!(failed.unwell_for, Duration::from_millis(500) * fall);
                seen.push(at);
            }
        }
        seen
    }

    #[test]
    fn only_misses_in_a_row_make_a_failure_and_it_is_told_once() {
        assert!(transitions(2, "ggmgmgmg").is_empty());
        assert_eq!(transitions(2, "gmmmmmm"), [2]);
        assert_eq!(transitions(2, "mmgmmg"), [1, 4]);
        assert_eq!(transitions(1, "mgm"), [0, 2]);
        assert_eq!(transitions(3, "mmgmmm"), [5]);
    }
}
