//! What launches that failed may have left behind, and the search for it.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::replica::Hostname;

/// How long after a failure strays are looked for. An engine that was given up on finishes what it had begun once it
/// comes to itself.
const SEARCH: Duration = Duration::from_secs(120);

/// Time between two searches: each is two calls of the engine.
const PAUSE: Duration = Duration::from_secs(5);

/// When to look for strays. Reads no clock.
#[derive(Default, Debug)]
pub(super) struct Strays {
    /// Names under which something may have been left.
    names: BTreeSet<Hostname>,
    until: Option<Instant>,
    next: Option<Instant>,
    /// A search is under way; the next waits for its end.
    searching: bool,
}

impl Strays {
    /// Something failed at `now` that may have left something under this name.
    pub(super) fn suspect(&mut self, name: Hostname, now: Instant) {
        self.names.insert(name);
        self.until = Some(now + SEARCH);
        self.next.get_or_insert(now + PAUSE);
    }

    /// What to look for.
    pub(super) fn names(&self) -> BTreeSet<Hostname> {
        self.names.clone()
    }

    /// Whether to look now; if so, the search counts as begun.
    pub(super) fn begin(&mut self, now: Instant) -> bool {
        let due = !self.searching && self.next.is_some_and(|next| now >= next);
        self.searching |= due;
        due
    }

    /// The search that was begun has ended at `now`.
    pub(super) fn end(&mut self, now: Instant) {
        self.searching = false;
        self.next = self.until.filter(|until| now < *until).map(|_| now + PAUSE);
        if self.next.is_none() {
            self.names.clear();
        }
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
        assert!(!strays.begin(at(0)), "nothing has failed");
        strays.suspect(Hostname::numbered(1), at(0));
        let mut looks = Vec::new();
        for second in 0..300 {
            if strays.begin(at(second)) {
                assert!(!strays.begin(at(second + 100)), "one at a time");
                strays.end(at(second));
                looks.push(second);
            }
        }
        assert_eq!(looks.first(), Some(&5));
        assert_eq!(looks.last(), Some(&120));
        assert!(looks.windows(2).all(|pair| pair[1] - pair[0] == 5));
        assert!(strays.names().is_empty());
        strays.suspect(Hostname::numbered(2), at(300));
        assert!(!strays.begin(at(301)) && strays.begin(at(305)));
    }
}
