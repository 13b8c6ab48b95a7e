//! How many workers serve at a time, and the requests that wait for one.
//!
//! There are many workers, so that many slow replicas can be waited for; but when replicas are fast, a few workers that
//! never sleep serve more than many that are woken for each request, since being woken is what costs most. So only a
//! team of them receives requests, as many as are needed to keep the processors busy; the others rest. The team grows
//! with the time that replicas take to answer.
//!
//! One lock for who does what, so that no request is put away unseen while a worker goes to receive or to rest.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Condvar, LazyLock, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use super::turns::Arrival;

/// Smallest team for each processor: a worker waits for its replica for most of the time, so one is too few.
const FEWEST_PER_PROCESSOR: usize = 4;

/// Requests per millisecond that the team is to be large enough for. By Little's law, that many times the milliseconds
/// that one takes are under way at once. Two processors that also run clients and replicas do about 25.
const RATE_PER_MS: u64 = 16;

/// How fast the average of the waits follows: a request counts one part in so many.
const MEMORY: u64 = 64;

/// How long nobody must have received anything until the stand-in does.
const STAND_BACK: Duration = Duration::from_millis(2);

/// How long replicas take to answer, on average. Clones share it.
#[derive(Clone, Default, Debug)]
pub(super) struct Waits(Arc<AtomicU64>);

impl Waits {
    /// Takes in how long one took.
    pub(super) fn note(&self, wait: Duration) {
        let us = u64::try_from(wait.as_micros()).unwrap_or(u64::MAX).min(u64::MAX / (2 * MEMORY));
        // Two at the same time may lose one of the two, which an average can bear.
        let average = self.0.load(Relaxed);
        self.0.store((average * (MEMORY - 1) + us) / MEMORY, Relaxed);
    }

    fn average_us(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// Workers and what waits for them.
pub(super) struct Team {
    state: Mutex<State>,
    /// Told when a worker that rests is wanted.
    wanted: Condvar,
    /// Told when the last worker has stopped receiving.
    unattended: Condvar,
    /// Most requests that may wait.
    most_waiting: usize,
    workers: usize,
    waits: Waits,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Arrival>,
    /// Workers that receive or serve.
    working: usize,
    /// Those of them that receive.
    receiving: usize,
    resting: usize,
    /// Counts what was received.
    received: u64,
    stand_in_waits: bool,
    closed: bool,
}

/// What a worker is to do next.
#[expect(
    clippy::large_enum_variant,
    reason = "lives for a moment; a box would cost every request an allocation"
)]
pub(super) enum Task {
    /// Serve this.
    Serve(Arrival),
    /// Receive, and then call [`Team::end_receiving`].
    Receive,
    /// Go home.
    End,
}

/// Who will take what was put away.
pub(super) enum Taker {
    /// A worker that is receiving, and has to be told.
    Receiver,
    /// A worker that is free or will be.
    Other,
}

impl Team {
    /// A team of at most `workers`, for which at most `most_waiting` requests wait.
    pub(super) fn new(workers: usize, most_waiting: usize, waits: Waits) -> Team {
        Team {
            state: Mutex::default(),
            wanted: Condvar::new(),
            unattended: Condvar::new(),
            most_waiting,
            workers,
            waits,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Workers that may be working, while replicas take as long as they do.
    fn size(&self) -> usize {
        static PROCESSORS: LazyLock<usize> =
            LazyLock::new(|| thread::available_parallelism().map_or(2, usize::from));
        size_for(self.waits.average_us(), *PROCESSORS).min(self.workers)
    }

    /// What the calling worker is to do; `was_working` unless it comes for the first time.
    pub(super) fn next_task(&self, was_working: bool) -> Task {
        let size = self.size();
        let mut state = self.lock();
        state.working -= usize::from(was_working);
        loop {
            if state.closed {
                return Task::End;
            }
            if let Some(arrival) = state.waiting.pop_front() {
                state.working += 1;
                return Task::Serve(arrival);
            }
            if state.working < size {
                state.working += 1;
                state.receiving += 1;
                // The team has grown by more than this worker.
                if state.working < size && state.resting > 0 {
                    self.wanted.notify_one();
                }
                return Task::Receive;
            }
            state.resting += 1;
            state = self.wanted.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.resting -= 1;
        }
    }

    /// The next of what was put away while the caller, who is about to receive, waited for the baton.
    pub(super) fn take(&self) -> Option<Arrival> {
        self.lock().waiting.pop_front()
    }

    /// The calling worker has received something, or was called back.
    pub(super) fn end_receiving(&self) {
        let mut state = self.lock();
        state.receiving -= 1;
        state.received += 1;
        if state.receiving == 0 && state.stand_in_waits {
            drop(state);
            self.unattended.notify_one();
        }
    }

    /// Puts a request away for the next worker, or gives it back when as many wait as may.
    #[expect(clippy::result_large_err, reason = "it is the request itself")]
    pub(super) fn put(&self, arrival: Arrival) -> Result<Taker, Arrival> {
        let mut state = self.lock();
        if state.waiting.len() >= self.most_waiting {
            return Err(arrival);
        }
        state.waiting.push_back(arrival);
        if state.resting > 0 {
            self.wanted.notify_one();
            return Ok(Taker::Other);
        }
        Ok(if state.receiving > 0 { Taker::Receiver } else { Taker::Other })
    }

    /// Whether no worker is receiving.
    pub(super) fn nobody_receives(&self) -> bool {
        let state = self.lock();
        state.receiving == 0 && !state.closed
    }

    /// Waits until nobody has received anything for [`STAND_BACK`], because all who should are busy; `false` when the
    /// front has been closed.
    pub(super) fn wait_until_unattended(&self) -> bool {
        let mut state = self.lock();
        loop {
            while state.receiving > 0 && !state.closed {
                state.stand_in_waits = true;
                state = self.unattended.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            state.stand_in_waits = false;
            let received = state.received;
            if state.closed {
                return false;
            }
            drop(state);
            thread::sleep(STAND_BACK);
            state = self.lock();
            if state.receiving == 0 && state.received == received {
                return !state.closed;
            }
        }
    }

    /// Sends everybody home.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.wanted.notify_all();
        self.unattended.notify_all();
    }
}

/// A team that keeps `RATE_PER_MS` going, and no fewer than keep the processors busy.
fn size_for(wait_us: u64, processors: usize) -> usize {
    let needed = usize::try_from(wait_us.saturating_mul(RATE_PER_MS) / 1000).unwrap_or(usize::MAX);
    needed.max(FEWEST_PER_PROCESSOR * processors)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_team_grows_with_the_time_that_replicas_take() {
        for (wait_us, processors, size) in
            [(0, 2, 8), (300, 2, 8), (1000, 2, 16), (3000, 2, 48), (100_000, 2, 1600), (0, 16, 64)]
        {
            assert_eq!(size_for(wait_us, processors), size, "{wait_us} µs");
        }
        assert!(size_for(u64::MAX, 1) > 1_000_000);
    }

    #[test]
    fn the_average_follows_in_some_hundred_requests() {
        let waits = Waits::default();
        (0..300).for_each(|_| waits.note(Duration::from_millis(3)));
        assert!((2800..=3000).contains(&waits.average_us()), "{waits:?}");
        (0..1000).for_each(|_| waits.note(Duration::from_micros(100)));
        assert!((30..=110).contains(&waits.average_us()), "{waits:?}");
        (0..10_000).for_each(|_| waits.note(Duration::MAX));
    }

    #[test]
    fn the_first_workers_receive_and_the_others_rest_until_they_are_wanted() {
        let team = Team::new(2, 1, Waits::default());
        for _ in 0..2 {
            assert!(matches!(team.next_task(false), Task::Receive));
        }
        assert!(!team.nobody_receives());
        team.end_receiving();
        team.end_receiving();
        assert!(team.nobody_receives());
        assert!(team.wait_until_unattended());
        assert!(matches!(team.next_task(true), Task::Receive));
        team.close();
        assert!(matches!(team.next_task(true), Task::End) && !team.wait_until_unattended());
    }
}
