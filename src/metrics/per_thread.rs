//! Counters of which each thread has its own, so that threads that count at the same time do not take turns over a line of
//! memory: with two threads that made 0.18 µs of what takes 0.03.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Threads beyond so many share. More would cost memory for each replica, fewer would meet more often.
const SEATS: usize = 16;

/// Hands out the seats in turn.
static NEXT: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// The seat of this thread, in all counters.
    static SEAT: usize = NEXT.fetch_add(1, Relaxed) % SEATS;
}

/// One `T` for each thread, or for a few of them, made when it is first used. Whoever reads puts them together.
#[derive(Debug)]
pub(super) struct PerThread<T> {
    seats: [OnceLock<Box<Apart<T>>>; SEATS],
}

/// Nothing else lies in its lines of memory, nor in those that processors fetch along with them.
#[derive(Default, Debug)]
#[repr(align(128))]
struct Apart<T>(T);

impl<T> Default for PerThread<T> {
    fn default() -> PerThread<T> {
        PerThread { seats: std::array::from_fn(|_| OnceLock::new()) }
    }
}

impl<T: Default> PerThread<T> {
    /// The one of this thread.
    pub fn mine(&self) -> &T {
        // A thread that is about to end may have lost its seat already; then it is a guest at the first.
        let seat = SEAT.try_with(|seat| *seat).unwrap_or_default();
        &self.seats[seat].get_or_init(Box::default).0
    }

    /// All that were made.
    pub fn all(&self) -> impl Iterator<Item = &T> {
        self.seats.iter().filter_map(|seat| seat.get().map(|apart| &apart.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicU64;
    use std::thread;

    #[test]
    fn nothing_is_lost_however_many_threads_count() {
        let counters = PerThread::<AtomicU64>::default();
        assert_eq!(counters.all().count(), 0, "none is made in vain");
        thread::scope(|scope| {
            for _ in 0..3 * SEATS {
                scope.spawn(|| (0..100).for_each(|_| _ = counters.mine().fetch_add(1, Relaxed)));
            }
        });
        let counts: Vec<u64> = counters.all().map(|counter| counter.load(Relaxed)).collect();
        assert_eq!(counts.iter().sum::<u64>(), 3 * 100 * SEATS as u64);
        assert!(counts.len() > 1, "{counts:?}");
    }

    #[test]
    fn a_thread_keeps_its_seat() {
        let counters = PerThread::<AtomicU64>::default();
        assert!(std::ptr::eq(counters.mine(), counters.mine()));
    }
}
