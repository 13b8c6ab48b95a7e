//! The end of the program, as every loop sees it: a sleep that can be cut short.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use crate::sync::{Condvar, Mutex};

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
    #[cfg(not(feature = "model"))]
    pub fn sleep(&self, time: Duration) -> bool {
        let begun = self.shared.0.lock().unwrap_or_else(PoisonError::into_inner);
        let woken = self.shared.1.wait_timeout_while(begun, time, |begun| !*begun);
        *woken.unwrap_or_else(PoisonError::into_inner).0
    }

    /// In the model no clock runs: a sleep is over whenever the checker goes on with this thread.
    #[cfg(feature = "model")]
    pub fn sleep(&self, _time: Duration) -> bool {
        crate::sync::thread::yield_now();
        self.begun()
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
