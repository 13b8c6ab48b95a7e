//! Changes to the fleet: the only caller of a launcher.
//!
//! Two things keep slow changes in order. Additions and removals, which alter who the members are, take one lock for
//! their whole length (seconds); no request ever takes it. Work on one replica's instance, a launch or a stop, needs
//! the claim on that replica, so the watchdog relaunches while an addition is under way, and nobody starts the same
//! replica twice.
//!
//! Every change is all or nothing: what is refused changed nothing, and what fails half way is rolled back.

mod adopt;
mod change;
mod crew;
mod ended;
mod launch;
mod strays;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

pub use change::ChangeError;
pub use launch::{Relaunch, Stages};

use crate::fleet::{Fleet, ReplicaId};
use crate::heartbeat;
use crate::journal::Journal;
use crate::launcher::{LaunchError, Launcher, Notice, Watch};
use crate::replica::Hostname;
use crate::ring::Weight;
use crate::shutdown::Shutdown;
use crate::sync::Mutex;
use crew::Crew;
use ended::Ended;
use strays::Strays;

/// How long a replica that is asked to stop has until it is killed, after it was drained.
const STOP_GRACE: Duration = Duration::from_secs(2);

/// Longest wait for a claim that somebody else holds: for a stop and a launch, and they give up early on a replica
/// that is leaving. An engine that needs longer for both is not answering.
const CLAIM_WAIT: Duration = Duration::from_secs(60);

/// What a replica is called after it was relaunched.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RespawnName {
    /// What it was called before.
    Same,
    /// A new random name.
    Random,
}

/// What becomes of the replicas when the balancer ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OnExit {
    /// They are drained and removed.
    Remove,
    /// They are left running, to be adopted by the next run.
    Keep,
}

/// How the supervisor behaves.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Fewest replicas that a removal may leave.
    pub min_replicas: usize,
    /// Most replicas that there may be.
    pub max_replicas: usize,
    /// How long a launched replica may take until its first good heartbeat.
    pub start_timeout: Duration,
    /// How a new replica's first heartbeats are taken.
    pub heartbeat: heartbeat::Settings,
    /// How long a leaving replica may take to finish the requests it holds.
    pub drain_timeout: Duration,
    /// Names of relaunched replicas.
    pub respawn_name: RespawnName,
    /// What becomes of the replicas in the end.
    pub on_exit: OnExit,
}

/// A handle on the supervisor; clones share everything.
#[derive(Clone)]
pub struct Supervisor {
    inner: Arc<Inner>,
}

struct Inner {
    fleet: Fleet,
    launcher: Box<dyn Launcher>,
    settings: Settings,
    /// Held for the whole of an addition, a removal, a search for strays, the opening and the closing.
    change: Mutex<()>,
    /// Does the work of additions and removals.
    crew: Crew,
    /// Relaunches, so that healing does not wait behind an addition.
    healers: Crew,
    strays: Mutex<Strays>,
    ended: Ended,
    /// Something of an earlier run is among the replicas.
    has_adopted: AtomicBool,
    journal: Journal,
    shutdown: Shutdown,
}

impl Supervisor {
    /// A supervisor of `fleet` that starts replicas through `launcher` and tells `journal` who comes and goes. Launches
    /// that wait for a first heartbeat give up when `shutdown` begins.
    ///
    /// # Errors
    /// The system has no threads for it.
    pub fn new(
        fleet: Fleet,
        launcher: Box<dyn Launcher>,
        settings: Settings,
        journal: Journal,
        shutdown: Shutdown,
    ) -> std::io::Result<Supervisor> {
        let (crew, healers) = (Crew::start("crew")?, Crew::start("healer")?);
        let has_adopted = AtomicBool::new(false);
        let (change, strays, ended) = (Mutex::new(()), Mutex::default(), Ended::default());
        let inner = Inner {
            fleet,
            launcher,
            settings,
            change,
            crew,
            healers,
            strays,
            ended,
            has_adopted,
            journal,
            shutdown,
        };
        Ok(Supervisor { inner: Arc::new(inner) })
    }

    /// The names that make up N.
    pub fn listing(&self) -> Vec<Hostname> {
        self.inner.fleet.listing()
    }

    /// Makes a fleet of `wanted` replicas: adopts what an earlier run left, and enlists as many new ones as are
    /// missing. Adopted replicas that answer serve when this returns; all others are down, for the watchdog to
    /// bring up.
    ///
    /// # Errors
    /// The launcher cannot work at all, or the ring has no room.
    pub fn open(&self, wanted: usize) -> Result<(), LaunchError> {
        let _change = self.inner.lock_changes();
        let prepared = self.inner.launcher.prepare();
        // What lives is served with, also where nothing could be launched at the moment.
        let survivors = match prepared {
            Ok(()) => self.inner.launcher.survivors(),
            Err(why) => match self.inner.launcher.survivors() {
                Ok(survivors) if survivors.iter().any(|survivor| survivor.instance.is_some()) => {
                    log::error!("nothing can be launched: {why}");
                    Ok(survivors)
                }
                _ => return Err(why),
            },
        };
        let filled = survivors.and_then(|survivors| self.inner.fill(wanted, survivors));
        filled.inspect_err(|_| self.inner.launcher.clean_up())
    }

    /// Ends a start that failed: what an earlier run had left goes on running, everything else ends as in
    /// [`Supervisor::close`].
    pub fn give_up(&self, deadline: Instant) {
        match self.inner.has_adopted.load(Relaxed) {
            true => self.hand_over(deadline),
            false => self.close(deadline),
        }
    }

    /// Tells `tell` what the launcher notices, see [`Launcher::watch`]. Launches that wait for the first heartbeat of an
    /// instance that has ended give up on it.
    pub fn watch(&self, tell: impl Fn(Notice) + Send + Sync + 'static) -> Option<Watch> {
        let ended = self.inner.ended.clone();
        self.inner.launcher.watch(Arc::new(move |notice| {
            if let Notice::Ended(key) = &notice {
                ended.note(key.clone());
            }
            tell(notice);
        }))
    }

    /// Whether the replicas are somebody else's, see [`Launcher::is_fixed`].
    pub fn is_fixed(&self) -> bool {
        self.inner.launcher.is_fixed()
    }

    /// Adds `n` replicas, those named first and the rest with names of our own, and returns the new listing once
    /// all of them serve. The first of them get these weights, the rest weight one.
    ///
    /// # Errors
    /// Nothing was added, because the request was refused or because one of them did not start.
    pub fn add(
        &self,
        n: usize,
        hostnames: &[Hostname],
        weights: &[Weight],
    ) -> Result<Vec<Hostname>, ChangeError> {
        let _change = self.inner.lock_changes();
        self.inner.add(n, hostnames, weights)
    }

    /// Removes `n` replicas, those named and then others at random, and returns the new listing once they have
    /// finished what they held and are stopped.
    ///
    /// # Errors
    /// Nothing was removed, because the request was refused; or some could not be stopped and are members still.
    pub fn remove(&self, n: usize, hostnames: &[Hostname]) -> Result<Vec<Hostname>, ChangeError> {
        let _change = self.inner.lock_changes();
        self.inner.remove(n, hostnames)
    }

    /// Launches a replica that is down, in the background, and tells `done` how that went: how long each stage took, or
    /// why it failed. Does nothing and says so when the replica is being worked on, serves or is gone. Tells `done`
    /// whatever happens.
    pub fn relaunch(&self, id: ReplicaId, done: impl FnOnce(Result<Relaunch, LaunchError>) + Send + 'static) {
        let (inner, asked) = (self.inner.clone(), Instant::now());
        self.inner.healers.run(move || {
            let outcome = catch_unwind(AssertUnwindSafe(|| inner.relaunch(id, asked)));
            let outcome = outcome.unwrap_or_else(|_| Err(LaunchError("the launch panicked".to_owned())));
            done(match outcome {
                Err(_) if inner.shutdown.begun() || !inner.is_wanted(id) => Ok(Relaunch::NotNeeded),
                other => other,
            });
        });
    }

    /// Looks for what failed launches left behind, in the background, if the time for that has come.
    pub fn look_for_strays(&self, now: Instant) {
        if self.inner.lock_strays().begin(now) {
            let inner = self.inner.clone();
            self.inner.healers.run(move || {
                let search = catch_unwind(AssertUnwindSafe(|| inner.search_for_strays()));
                if search.is_err() {
                    log::error!("a search for what failed launches left panicked");
                }
                inner.lock_strays().end(Instant::now());
            });
        }
    }

    /// Leaves the fleet to a successor: replicas that can be found again go on running, the others end as in
    /// [`Supervisor::close`].
    pub fn hand_over(&self, deadline: Instant) {
        let _change = self.inner.lock_changes();
        if !self.inner.launcher.outlives_balancer() {
            self.inner.stop_everything(deadline);
        }
    }

    /// Ends the fleet: with [`OnExit::Remove`] every replica is drained, until `deadline` at most, and stopped.
    pub fn close(&self, deadline: Instant) {
        let _change = self.inner.lock_changes();
        if self.inner.settings.on_exit == OnExit::Remove && !self.is_fixed() {
            self.inner.stop_everything(deadline);
        }
    }
}
