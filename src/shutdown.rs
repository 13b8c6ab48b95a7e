//! The end of the program, as every loop sees it: a sleep that can be cut short.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A flag that is raised once and wakes everyone who sleeps on it.
///
/// Clones share the flag. The lock inside covers one boolean and is held for no longer than reading it.
#[derive(Clone, Default, Debug)]
pub struct Shutdown {
    shared: Arc<(Mutex<bool>, Condvar)>,
}

impl Shutdown {
    /// Raises the flag, for good.
    pub fn begin(&self) {
        *self.shared.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.shared.1.notify_all();
    }

    /// Whether the flag is up.
    pub fn begun(&self) -> bool {
        *self.shared.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sleeps for `time`, or until the flag is raised if that is sooner; returns whether it is up.
    pub fn sleep(&self, time: Duration) -> bool {
        let deadline = Instant::now() + time;
        let mut begun = self.shared.0.lock().unwrap_or_else(PoisonError::into_inner);
        while !*begun {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            begun = self.shared.1.wait_timeout(begun, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        *begun
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sleep_ends_early_when_the_end_begins() {
        let shutdown = Shutdown::default();
        let sleeper = shutdown.clone();
        let thread = std::thread::spawn(move || sleeper.sleep(Duration::from_secs(600)));
        shutdown.begin();
        assert!(thread.join().unwrap());
        assert!(shutdown.begun());
    }

    #[test]
    fn a_sleep_of_nothing_returns_at_once() {
        assert!(!Shutdown::default().sleep(Duration::ZERO));
    }
}
