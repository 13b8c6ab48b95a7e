//! Starting and stopping replicas: what a launcher promises, and the three that ship.
//!
//! A launcher is slow (docker takes a good part of a second) and may fail or hang up to its deadlines. Only the
//! supervisor calls one. Launchers know nothing of the fleet: they are told a name and a ring identity, and record
//! both where they survive the balancer, if they have such a place.

mod command;
mod docker;
mod fixed;
mod process;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

pub use docker::{Docker, DockerSettings};
pub use fixed::{Backend, Fixed};
pub use process::Processes;

use crate::replica::{Hostname, Instance};
use crate::ring::{RingId, Weight};

/// What a launcher has to know of a replica to start it.
#[derive(Clone, Debug)]
pub struct Order {
    /// Its name.
    pub hostname: Hostname,
    /// Its identity on the ring.
    pub ring_id: RingId,
    /// Its slots on the ring, to be recorded with it.
    pub slots: Vec<usize>,
    /// Its weight, to be recorded with it.
    pub weight: Weight,
}

/// A replica of an earlier run that a launcher found.
#[derive(Clone, Debug)]
pub struct Survivor {
    /// What it was started as. The slots are empty where the record could not be read.
    pub order: Order,
    /// What it is stopped by.
    pub key: Arc<str>,
    /// What runs it; `None` when it has exited or cannot be reached where replicas are.
    pub instance: Option<Instance>,
}

/// What a launcher notices by itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Notice {
    /// The instance with this key has ended, whoever ended it.
    Ended(Arc<str>),
    /// What launches need works again after it did not: those that failed may be tried at once.
    Back,
}

/// Whoever is told what a launcher notices. Called from threads of the launcher's; must not wait.
pub type Tell = Arc<dyn Fn(Notice) + Send + Sync>;

/// Goes on telling until it is dropped.
pub type Watch = Box<dyn Send + Sync>;

/// Why a launcher could not do what it was asked: what was attempted, on what, and what went wrong.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LaunchError(pub String);

impl fmt::Display for LaunchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for LaunchError {}

/// Starts and stops replicas. Calls may come from several threads at once, for different replicas.
pub trait Launcher: Send + Sync {
    /// Whether the replicas are somebody else's: nothing is ever started, stopped, added or removed then, and one that
    /// fails is waited for.
    fn is_fixed(&self) -> bool {
        false
    }

    /// Whether replicas go on running when the balancer ends without stopping them, and are found by the next one.
    fn outlives_balancer(&self) -> bool {
        true
    }

    /// Tells from now on what is noticed, as soon as it happens, for as long as the returned value lives. `None` from one
    /// that notices nothing. What is told is news, not a promise: heartbeats find out what was not told.
    fn watch(&self, _tell: Tell) -> Option<Watch> {
        None
    }

    /// Makes ready what all replicas need, before the first launch; fails when no launch could succeed.
    ///
    /// # Errors
    /// What is missing and how to get it.
    fn prepare(&self) -> Result<(), LaunchError>;

    /// Replicas of this fleet that an earlier run left behind, running or exited.
    ///
    /// # Errors
    /// The record cannot be read.
    fn survivors(&self) -> Result<Vec<Survivor>, LaunchError>;

    /// Names that a new replica cannot have, whoever has them.
    ///
    /// # Errors
    /// They cannot be found out.
    fn taken_names(&self) -> Result<BTreeSet<String>, LaunchError>;

    /// Starts a replica. When this returns it runs, but need not serve yet; when it fails, what it may have left is
    /// removed as far as that can be done at once, and found again among the survivors otherwise. A replica of this name
    /// and ring identity that runs already, because somebody else has started it since, is taken as it is.
    ///
    /// # Errors
    /// Why it did not start.
    fn start(&self, order: &Order) -> Result<Instance, LaunchError>;

    /// Ends a replica and frees its name. With `grace` it is asked first and given that long; without, it ends at
    /// once, hung or not. One that is gone already is no error.
    ///
    /// # Errors
    /// It may still be running.
    fn stop(&self, key: &str, grace: Option<Duration>) -> Result<(), LaunchError>;

    /// Undoes [`Launcher::prepare`] as far as it is ours to undo, after the last replica was stopped.
    fn clean_up(&self);
}
