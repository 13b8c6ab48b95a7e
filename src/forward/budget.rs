//! How much may be tried again: retries make an outage worse if every request is sent several times.
//!
//! Of the requests of the last ten seconds at most a fifth may be sent a second time, and three in any case, so that a
//! quiet system may retry too. An attempt of which nothing was sent, or that went to a replica which has left the ring
//! since, costs those that serve nothing and is not counted.

use std::time::{Duration, Instant};

/// What time the budget looks back on, in this many parts.
const WINDOW: Duration = Duration::from_secs(10);
const PARTS: usize = 10;

/// One in so many requests may be sent again.
const ONE_IN: u64 = 5;

/// So many may in any case.
const LEAST: u64 = 3;

/// Counts requests and retries. Reads no clock.
#[derive(Debug)]
pub(super) struct Budget {
    begun: Instant,
    parts: [Part; PARTS],
}

#[derive(Clone, Copy, Default, Debug)]
struct Part {
    /// Which part of all time it counts.
    number: u64,
    requests: u64,
    retries: u64,
}

impl Budget {
    pub(super) fn new(now: Instant) -> Budget {
        Budget { begun: now, parts: [Part::default(); PARTS] }
    }

    /// A request has come.
    pub(super) fn request(&mut self, now: Instant) {
        self.part(now).requests += 1;
    }

    /// Whether a request may be sent again, which is counted then.
    pub(super) fn retry(&mut self, now: Instant) -> bool {
        let oldest = (self.number(now) + 1).saturating_sub(PARTS as u64);
        let recent = self.parts.iter().filter(|part| part.number >= oldest);
        let (requests, retries) = recent
            .fold((0, 0), |(requests, retries), part| (requests + part.requests, retries + part.retries));
        let may = retries < LEAST.max(requests / ONE_IN);
        self.part(now).retries += u64::from(may);
        may
    }

    fn number(&self, now: Instant) -> u64 {
        let part = WINDOW.as_millis() / PARTS as u128;
        u64::try_from(now.saturating_duration_since(self.begun).as_millis() / part).unwrap_or(u64::MAX)
    }

    fn part(&mut self, now: Instant) -> &mut Part {
        let number = self.number(now);
        let part = &mut self.parts[(number % PARTS as u64) as usize];
        if part.number != number {
            *part = Part { number, requests: 0, retries: 0 };
        }
        part
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn granted(budget: &mut Budget, now: Instant, asked: u32) -> u32 {
        (0..asked).filter(|_| budget.retry(now)).count() as u32
    }

    #[test]
    fn a_fifth_of_the_requests_and_three_in_any_case() {
        let begun = Instant::now();
        for (requests, retries) in [(0, 3), (15, 3), (16, 3), (20, 4), (1000, 200)] {
            let mut budget = Budget::new(begun);
            (0..requests).for_each(|_| budget.request(begun));
            assert_eq!(granted(&mut budget, begun, 2000), retries, "of {requests}");
        }
    }

    #[test]
    fn ten_seconds_later_everything_is_forgotten() {
        let begun = Instant::now();
        let mut budget = Budget::new(begun);
        (0..100).for_each(|_| budget.request(begun));
        assert_eq!(granted(&mut budget, begun, 100), 20);
        assert_eq!(granted(&mut budget, begun + Duration::from_millis(9_900), 100), 0);
        assert_eq!(granted(&mut budget, begun + Duration::from_secs(10), 100), 3);
        let much_later = begun + Duration::from_secs(86_400);
        (0..50).for_each(|_| budget.request(much_later));
        assert_eq!(granted(&mut budget, much_later, 100), 10);
    }
}
