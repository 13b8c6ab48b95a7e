//! What launches that failed may have left behind, and the search for it.

use std::time::{Duration, Instant};

/// How long after a failure strays are looked for. An engine that was given up on finishes what it had begun once it
/// comes to itself.
const SEARCH: Duration = Duration::from_secs(120);

/// Time between two searches: each is two calls of the engine.
const PAUSE: Duration = Duration::from_secs(5);

/// When to look for strays. Reads no clock.
#[derive(Default, Debug)]
pub(super) struct Strays {
    until: Option<Instant>,
    next: Option<Instant>,
}

impl Strays {
    /// Something failed at `now` that may have left something.
    pub(super) fn suspect(&mut self, now: Instant) {
        self.until = Some(now + SEARCH);
        self.next.get_or_insert(now + PAUSE);
    }

    /// Whether to look now; if so, the next look is due after a pause.
    pub(super) fn is_due(&mut self, now: Instant) -> bool {
        if self.next.is_none_or(|next| now < next) {
            return false;
        }
        self.next = self.until.filter(|until| now < *until).map(|_| now + PAUSE);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strays_are_looked_for_for_a_while_after_a_failure_and_then_no_more() {
        let begin = Instant::now();
        let at = |seconds| begin + Duration::from_secs(seconds);
        let mut strays = Strays::default();
        assert!(!strays.is_due(at(0)), "nothing has failed");
        strays.suspect(at(0));
        let looks: Vec<u64> = (0..300).filter(|&second| strays.is_due(at(second))).collect();
        assert_eq!(looks.first(), Some(&5));
        assert_eq!(looks.last(), Some(&120));
        assert!(looks.windows(2).all(|pair| pair[1] - pair[0] == 5));
        strays.suspect(at(300));
        assert!(!strays.is_due(at(301)) && strays.is_due(at(305)));
    }
}
