//! The watchdog: asks every replica for a heartbeat, takes those that fail out of the ring, and has them relaunched
//! until they serve again.
//!
//! One thread holds all opinions and decides; it never waits for a replica or a launcher. Pulses are taken by
//! threads of their own, launches are the supervisor's, deaths are told by the launcher, and requests that cannot connect
//! by the forwarder; all of that comes back as events. So no health state needs a lock, and a replica that hangs delays
//! nobody.
//!
//! Invariant: whatever panics in a round, the next round takes place.

mod alarm;
mod health;
mod opinion;
mod pulses;
mod rounds;
mod schedule;
mod verdict;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crossbeam_channel::{Sender, bounded, unbounded};

pub use alarm::PanicThreshold;
pub use health::Threshold;

use crate::fleet::{Fleet, ReplicaId};
use crate::forward::{Lines, Unreached};
use crate::heartbeat;
use crate::journal::Journal;
use crate::launcher::{LaunchError, Notice, Watch};
use crate::shutdown::Shutdown;
use crate::supervisor::{Relaunch, Supervisor};
use pulses::{Pulses, Taken};
use rounds::Rounds;

/// Longest time between two looks at the fleet: how late a replica may be noticed that joined by an addition.
const LONGEST_WAIT: Duration = Duration::from_millis(100);

/// Suspicions that may wait. All requests that fail at the same time have the same to say; the rest is not missed.
const MOST_SUSPICIONS: usize = 256;

/// How the watchdog behaves.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Time between two heartbeats to the same replica.
    pub interval: Duration,
    /// How one is taken.
    pub heartbeat: heartbeat::Settings,
    /// How many make a change of opinion.
    pub threshold: Threshold,
    /// When too many fail together.
    pub panic: PanicThreshold,
    /// Longest pause between two launches of a replica that keeps failing.
    pub longest_pause: Duration,
    /// Most replicas there may be.
    pub max_replicas: usize,
}

/// Whom the watchdog has to do with.
pub struct Scene {
    /// The replicas.
    pub fleet: Fleet,
    /// Who launches them.
    pub supervisor: Supervisor,
    /// The connections to them, which are cut when one has failed.
    pub lines: Lines,
    /// Whether what runs may be replaced: not while a predecessor serves with it.
    pub is_in_charge: Arc<AtomicBool>,
    /// Told what has happened to replicas.
    pub journal: Journal,
}

/// What is told to the watchdog.
enum Event {
    Pulse(Taken),
    Relaunched(ReplicaId, Result<Relaunch, LaunchError>),
    Noticed(Notice),
    Stop,
}

/// The running watchdog.
pub struct Watchdog {
    events: Sender<Event>,
    suspicions: Sender<Unreached>,
    thread: JoinHandle<()>,
    /// Ends what the launcher tells.
    _watch: Option<Watch>,
}

impl Watchdog {
    /// Starts watching the fleet. While requests are finished after `shutdown` has begun, replicas that fail still leave
    /// the ring; none is relaunched.
    ///
    /// # Errors
    /// The system has no threads for it.
    pub fn start(scene: Scene, settings: Settings, shutdown: Shutdown) -> std::io::Result<Watchdog> {
        let (events, inbox) = unbounded();
        let (suspicions, suspected) = bounded(MOST_SUSPICIONS);
        let answers = events.clone();
        let answer = move |taken| {
            let _ = answers.send(Event::Pulse(taken));
        };
        let pulses = Pulses::start(settings.max_replicas, &settings.heartbeat, answer)?;
        let notices = events.clone();
        let watch = scene.supervisor.watch(move |notice| {
            let _ = notices.send(Event::Noticed(notice));
        });
        let mut rounds = Rounds::new(scene, settings, pulses, events.clone());
        let thread = thread::Builder::new().name("watchdog".into()).spawn(move || {
            while catch_unwind(AssertUnwindSafe(|| rounds.run(&inbox, &suspected))).is_err() {
                log::error!("a round of the watchdog panicked; beginning afresh");
                rounds.forget();
                if shutdown.sleep(LONGEST_WAIT) {
                    return;
                }
            }
        })?;
        Ok(Watchdog { events, suspicions, thread, _watch: watch })
    }

    /// Whom to tell of requests that could not connect: the replica leaves the ring if nobody listens there, and is asked
    /// for a heartbeat at once. Never waits.
    pub fn suspect(&self) -> impl Fn(Unreached) + Send + Sync + 'static {
        let suspicions = self.suspicions.clone();
        move |unreached| {
            let _ = suspicions.try_send(unreached);
        }
    }

    /// Ends the watch.
    pub fn stop(self) {
        let _ = self.events.send(Event::Stop);
        if self.thread.join().is_err() {
            log::error!("the watchdog's thread had panicked");
        }
    }
}
