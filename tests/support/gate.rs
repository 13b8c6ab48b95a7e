//! Ways to hold up what the balancer does, so that a test can look at the middle of it.

use std::collections::BTreeSet;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use ringmaster::launcher::{LaunchError, Launcher, Order, Survivor, Tell, Watch};
use ringmaster::replica::Instance;

use super::{FakeLauncher, PATIENCE};

/// Holds up whoever comes to it until it is opened. Clones are the same gate.
#[derive(Clone, Default)]
pub struct Gate {
    shared: Arc<(Mutex<State>, Condvar)>,
}

#[derive(Default)]
struct State {
    open: bool,
    waiting: usize,
}

impl Gate {
    /// Waits until the gate is open. Gives up after [`PATIENCE`], so that a test that fails also ends.
    pub fn pass(&self) {
        let mut state = self.shared.0.lock().unwrap();
        state.waiting += 1;
        let closed = |state: &mut State| !state.open;
        state = self.shared.1.wait_timeout_while(state, PATIENCE, closed).unwrap().0;
        state.waiting -= 1;
    }

    /// Lets everybody through, from now on.
    pub fn open(&self) {
        self.shared.0.lock().unwrap().open = true;
        self.shared.1.notify_all();
    }

    /// Holds up whoever comes from now on.
    pub fn close(&self) {
        self.shared.0.lock().unwrap().open = false;
    }

    /// How many wait.
    pub fn waiting(&self) -> usize {
        self.shared.0.lock().unwrap().waiting
    }
}

/// A fake launcher that does something before each launch, such as waiting at a gate or panicking, or before each stop.
pub struct Hooked {
    inner: FakeLauncher,
    before_start: Box<dyn Fn(&str) + Send + Sync>,
    before_stop: Box<dyn Fn() + Send + Sync>,
}

impl Hooked {
    /// `before_start` is told the name of the replica.
    pub fn new(inner: &FakeLauncher, before_start: impl Fn(&str) + Send + Sync + 'static) -> Hooked {
        Hooked { inner: inner.clone(), before_start: Box::new(before_start), before_stop: Box::new(|| ()) }
    }

    /// The same, before stops that leave no time.
    pub fn before_stops(inner: &FakeLauncher, before_stop: impl Fn() + Send + Sync + 'static) -> Hooked {
        Hooked { before_stop: Box::new(before_stop), ..Hooked::new(inner, |_| ()) }
    }
}

impl Launcher for Hooked {
    fn watch(&self, tell: Tell) -> Option<Watch> {
        self.inner.watch(tell)
    }

    fn prepare(&self) -> Result<(), LaunchError> {
        self.inner.prepare()
    }

    fn survivors(&self) -> Result<Vec<Survivor>, LaunchError> {
        self.inner.survivors()
    }

    fn taken_names(&self) -> Result<BTreeSet<String>, LaunchError> {
        self.inner.taken_names()
    }

    fn start(&self, order: &Order) -> Result<Instance, LaunchError> {
        (self.before_start)(order.hostname.as_str());
        self.inner.start(order)
    }

    fn stop(&self, key: &str, grace: Option<Duration>) -> Result<(), LaunchError> {
        if grace.is_none() {
            (self.before_stop)();
        }
        self.inner.stop(key, grace)
    }

    fn clean_up(&self) {
        self.inner.clean_up();
    }
}
