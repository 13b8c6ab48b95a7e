//! The watchdog: asks every replica for a heartbeat, takes those that fail out of the ring, and has them relaunched
//! until they serve again.
//!
//! One thread holds all opinions and decides; it never waits for a replica or a launcher. Pulses are taken by
//! threads of their own, launches are the supervisor's, and both come back as events. So no health state needs a
//! lock, and a replica that hangs delays nobody.
//!
//! Invariant: whatever panics in a round, the next round takes place.

mod health;
mod pulses;
mod schedule;

use std::collections::{HashMap, HashSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, unbounded};

use crate::fleet::{Fleet, Phase, Replica, ReplicaId};
use crate::heartbeat::{self, Pulse};
use crate::launcher::LaunchError;
use crate::replica::Instance;
use crate::shutdown::Shutdown;
use crate::supervisor::{Relaunch, Supervisor};
use health::Health;
use pulses::{Pulses, Taken};
use schedule::Schedule;

/// Longest time between two looks at the fleet: how late a replica may be noticed that joined by an addition.
const LONGEST_WAIT: Duration = Duration::from_millis(100);

/// How the watchdog behaves.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Time between two heartbeats to the same replica.
    pub interval: Duration,
    /// How one is taken.
    pub heartbeat: heartbeat::Settings,
    /// Missed heartbeats in a row that make a failure.
    pub fall: u32,
    /// Most replicas there may be.
    pub max_replicas: usize,
}

enum Event {
    Pulse(Taken),
    Relaunched(ReplicaId, Result<Relaunch, LaunchError>),
    Stop,
}

/// The running watchdog.
pub struct Watchdog {
    events: Sender<Event>,
    thread: JoinHandle<()>,
}

impl Watchdog {
    /// Starts watching `fleet`. While requests are finished after `shutdown` has begun, replicas that fail still leave
    /// the ring; none is relaunched.
    ///
    /// # Errors
    /// The system has no threads for it.
    pub fn start(
        fleet: Fleet,
        supervisor: Supervisor,
        settings: Settings,
        shutdown: Shutdown,
    ) -> std::io::Result<Watchdog> {
        let (events, inbox) = unbounded();
        let answers = events.clone();
        let answer = move |taken| {
            let _ = answers.send(Event::Pulse(taken));
        };
        let pulses = Pulses::start(settings.max_replicas, &settings.heartbeat, answer)?;
        let mut rounds = Rounds {
            fleet,
            supervisor,
            settings,
            pulses,
            events: events.clone(),
            opinions: HashMap::new(),
            shutdown,
        };
        let thread = thread::Builder::new().name("watchdog".into()).spawn(move || {
            while catch_unwind(AssertUnwindSafe(|| rounds.run(&inbox))).is_err() {
                log::error!("a round of the watchdog panicked; beginning afresh");
                // What it waited for may have been lost on the way.
                rounds.opinions.clear();
                if rounds.shutdown.sleep(LONGEST_WAIT) {
                    return;
                }
            }
        })?;
        Ok(Watchdog { events, thread })
    }

    /// Ends the watch.
    pub fn stop(self) {
        let _ = self.events.send(Event::Stop);
        if self.thread.join().is_err() {
            log::error!("the watchdog's thread had panicked");
        }
    }
}

/// What the watchdog thinks of one replica.
struct Opinion {
    health: Health,
    /// The incarnation that `health` is about.
    instance: Option<Instance>,
    next_pulse: Instant,
    asked: bool,
    relaunching: bool,
    schedule: Schedule,
    /// Since when it is known to have failed; `None` for one that was never up.
    failed: Option<Instant>,
    /// It may be well again, or never have been unwell: it is asked before it is replaced.
    ask_first: bool,
}

struct Rounds {
    fleet: Fleet,
    supervisor: Supervisor,
    settings: Settings,
    pulses: Pulses,
    events: Sender<Event>,
    opinions: HashMap<ReplicaId, Opinion>,
    shutdown: Shutdown,
}

impl Rounds {
    /// Watches until told to stop.
    fn run(&mut self, inbox: &Receiver<Event>) {
        let mut next = Instant::now();
        loop {
            match inbox.recv_timeout(next.saturating_duration_since(Instant::now())) {
                Ok(Event::Stop) | Err(RecvTimeoutError::Disconnected) => return,
                Ok(Event::Pulse(taken)) => {
                    // Most pulses are good and give nothing to do.
                    if !self.weigh(taken, Instant::now()) {
                        continue;
                    }
                }
                Ok(Event::Relaunched(id, outcome)) => self.note(id, outcome, Instant::now()),
                Err(RecvTimeoutError::Timeout) => self.supervisor.look_for_strays(Instant::now()),
            }
            next = self.look(Instant::now());
        }
    }

    /// Does what is due for each replica; returns when something will be due again.
    fn look(&mut self, now: Instant) -> Instant {
        let replicas = self.fleet.replicas();
        let members: HashSet<ReplicaId> = replicas.iter().map(|replica| replica.id).collect();
        self.opinions.retain(|id, _| members.contains(id));
        let mut next = now + LONGEST_WAIT;
        for replica in replicas {
            match replica.phase {
                Phase::Serving => next = next.min(self.heartbeat(&replica, now)),
                Phase::Down if !replica.claimed => self.revive(&replica, now),
                Phase::Down | Phase::Joining | Phase::Leaving => {}
            }
        }
        next
    }

    fn opinion(&mut self, replica: &Replica, now: Instant) -> &mut Opinion {
        let fall = self.settings.fall;
        let fresh = || Opinion {
            health: Health::new(fall, now),
            instance: None,
            next_pulse: now,
            asked: false,
            relaunching: false,
            schedule: Schedule::default(),
            failed: None,
            ask_first: true,
        };
        let opinion = self.opinions.entry(replica.id).or_insert_with(fresh);
        if opinion.instance != replica.instance {
            opinion.instance = replica.instance.clone();
            opinion.health = Health::new(fall, now);
            opinion.asked = false;
        }
        opinion
    }

    /// Asks for a pulse if one is due; returns when the next will be.
    fn heartbeat(&mut self, replica: &Replica, now: Instant) -> Instant {
        let interval = self.settings.interval;
        let opinion = self.opinion(replica, now);
        let Some(instance) = replica.instance.clone().filter(|_| !opinion.asked) else {
            return now + interval;
        };
        if now < opinion.next_pulse {
            return opinion.next_pulse;
        }
        opinion.asked = true;
        opinion.next_pulse = now + interval;
        let next = opinion.next_pulse;
        self.pulses.ask(replica.id, instance);
        next
    }

    /// Has a replica that is down launched, if that is due; one that is somebody else's is asked for pulses instead. One that something runs and that has not just been seen to
    /// fail is asked for a pulse first: it was adopted, or taken back after a removal that failed, or a relaunch failed
    /// and it has recovered meanwhile.
    fn revive(&mut self, replica: &Replica, now: Instant) {
        let (id, is_fixed, interval) = (replica.id, self.supervisor.is_fixed(), self.settings.interval);
        let opinion = self.opinion(replica, now);
        if opinion.relaunching || opinion.asked || !opinion.schedule.is_due(now) {
            return;
        }
        match replica.instance.clone().filter(|_| opinion.ask_first || is_fixed) {
            Some(instance) => {
                opinion.asked = true;
                if is_fixed {
                    opinion.schedule.postpone(now + interval);
                }
                self.pulses.ask(id, instance);
            }
            None => {
                opinion.relaunching = true;
                let events = self.events.clone();
                self.supervisor.relaunch(id, move |outcome| {
                    let _ = events.send(Event::Relaunched(id, outcome));
                });
            }
        }
    }

    /// Takes in a pulse, unless it is about an incarnation that has been replaced meanwhile; whether it changed
    /// anything.
    fn weigh(&mut self, taken: Taken, now: Instant) -> bool {
        let Some(replica) = self.fleet.replica(taken.id) else {
            return false;
        };
        let Some(opinion) = self.opinions.get_mut(&taken.id) else {
            return false;
        };
        if opinion.instance.as_ref() != Some(&taken.instance) {
            return false;
        }
        opinion.asked = false;
        let name = &replica.hostname;
        match (replica.phase, &taken.pulse) {
            (Phase::Serving, pulse) => {
                let Some(failed) = opinion.health.observe(pulse, now) else {
                    return false;
                };
                if self.fleet.fail(taken.id, &taken.instance) {
                    let unwell = failed.unwell_for.as_secs_f64();
                    log::warn!("{name} failed, last well {unwell:.2} s ago: {}", failed.reason);
                    (opinion.failed, opinion.ask_first) = (Some(now), false);
                }
            }
            (Phase::Down, Pulse::Good(_)) => {
                self.fleet.admit(&[taken.id]);
                opinion.health = Health::new(self.settings.fall, now);
                opinion.schedule.succeeded();
                opinion.failed = None;
                log::info!("{name} serves again, without a relaunch");
            }
            (Phase::Down, Pulse::Missed(why)) => {
                if opinion.failed.is_none() {
                    log::warn!("{name} is down: {why}");
                }
                opinion.failed.get_or_insert(now);
                opinion.ask_first = false;
            }
            _ => {}
        }
        true
    }

    /// Takes in how a relaunch went.
    fn note(&mut self, id: ReplicaId, outcome: Result<Relaunch, LaunchError>, now: Instant) {
        let Some(opinion) = self.opinions.get_mut(&id) else {
            return;
        };
        opinion.relaunching = false;
        let replica = self.fleet.replica(id);
        let name = replica.map(|replica| replica.hostname.to_string()).unwrap_or_default();
        match outcome {
            Ok(Relaunch::Serving(took)) => {
                opinion.schedule.succeeded();
                opinion.ask_first = true;
                let took = took.as_secs_f64();
                match opinion.failed.take() {
                    Some(since) => {
                        let out = (now - since).as_secs_f64();
                        log::info!("{name} relaunched in {took:.2} s, back in the ring after {out:.2} s");
                    }
                    None => log::info!("{name} joined, launched in {took:.2} s"),
                }
            }
            // Somebody else is at it, or the program is ending: no reason to ask again at once.
            Ok(Relaunch::NotNeeded) => opinion.schedule.postpone(now + LONGEST_WAIT),
            Err(error) => {
                let pause = opinion.schedule.failed(now);
                opinion.ask_first = true;
                log::error!("cannot launch {name}: {error}; next try in {} s", pause.as_secs());
            }
        }
    }
}
