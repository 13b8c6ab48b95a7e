//! What is done with what is known: the rounds of the watchdog.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, select};

use super::health::Standing;
use super::opinion::{ENDED, Opinion};
use super::pulses::{Pulses, Question};
use super::{Event, LONGEST_WAIT, Scene, Settings};
use crate::fleet::{Fleet, Phase, ReplicaId, Watched};
use crate::forward::{Lines, Unreached};
use crate::journal::{Journal, Kind};
use crate::launcher::Notice;
use crate::replica::Instance;
use crate::supervisor::Supervisor;

/// Looks at the fleet within one heartbeat interval at most: each costs time for every replica, and heartbeats are no
/// more punctual than this.
const LOOKS: u32 = 25;

/// Soonest look after an event that gives something to do.
const SOON: Duration = Duration::from_millis(1);

pub(super) struct Rounds {
    pub(super) fleet: Fleet,
    pub(super) supervisor: Supervisor,
    pub(super) lines: Lines,
    pub(super) journal: Journal,
    is_in_charge: Arc<AtomicBool>,
    pub(super) settings: Settings,
    pulses: Pulses,
    events: Sender<Event>,
    pub(super) opinions: HashMap<ReplicaId, Opinion>,
    /// Replicas met so far, for spreading their heartbeats over the interval.
    met: u32,
    epoch: Instant,
    pub(super) in_panic: bool,
}

impl Rounds {
    pub(super) fn new(scene: Scene, settings: Settings, pulses: Pulses, events: Sender<Event>) -> Rounds {
        let Scene { fleet, supervisor, lines, is_in_charge, journal } = scene;
        Rounds {
            fleet,
            supervisor,
            lines,
            journal,
            is_in_charge,
            settings,
            pulses,
            events,
            opinions: HashMap::new(),
            met: 0,
            epoch: Instant::now(),
            in_panic: false,
        }
    }

    /// Watches until told to stop.
    pub(super) fn run(&mut self, inbox: &Receiver<Event>, suspected: &Receiver<Unreached>) {
        let mut next = Instant::now();
        loop {
            let has_news = select! {
                recv(inbox) -> event => match event {
                    Ok(Event::Stop) | Err(_) => return,
                    Ok(event) => self.take_in(event, Instant::now()),
                },
                recv(suspected) -> suspicion => {
                    suspicion.is_ok_and(|suspicion| self.suspect(&suspicion, Instant::now()))
                }
                default(next.saturating_duration_since(Instant::now())) => false,
            };
            let now = Instant::now();
            if has_news {
                next = next.min(now + SOON);
            }
            if now >= next {
                self.supervisor.look_for_strays(now);
                next = self.look(now);
            }
        }
    }

    /// Begins afresh: what was waited for may have been lost.
    pub(super) fn forget(&mut self) {
        self.opinions.clear();
    }

    /// Does what an event asks for; whether that gives something to do.
    fn take_in(&mut self, event: Event, now: Instant) -> bool {
        match event {
            // Most pulses are good and give nothing to do.
            Event::Pulse(taken) => return self.weigh(&taken, now),
            Event::Relaunched(id, outcome) => self.note(id, outcome, now),
            Event::Noticed(Notice::Ended(key)) => self.bury(&key, now),
            Event::Noticed(Notice::Back) => self.opinions.values_mut().for_each(|it| it.schedule.try_now()),
            Event::Stop => {}
        }
        true
    }

    /// Does what is due for each replica; returns when something will be due again.
    fn look(&mut self, now: Instant) -> Instant {
        let replicas = self.fleet.watched();
        let members: HashSet<ReplicaId> = replicas.iter().map(|replica| replica.id).collect();
        self.opinions.retain(|id, _| members.contains(id));
        let mut next = now + LONGEST_WAIT;
        for replica in &replicas {
            let due = match replica.phase {
                // It ended while it was put into the ring.
                Phase::Serving if self.opinion(replica, now).ended => {
                    self.take_out(replica, ENDED.to_owned(), now);
                    Some(now)
                }
                Phase::Serving => self.heartbeat(replica, now),
                // If it hangs, the requests that it holds are not to be waited for.
                Phase::Leaving if !replica.claimed => self.heartbeat(replica, now),
                Phase::Down if !replica.claimed => self.revive(replica, now),
                Phase::Down | Phase::Joining | Phase::Leaving => None,
            };
            next = due.map_or(next, |due| next.min(due));
        }
        self.judge_the_spared(&replicas, now);
        next.max(now + (self.settings.interval / LOOKS).min(LONGEST_WAIT))
    }

    /// The opinion of a replica, about what runs it now.
    pub(super) fn opinion(&mut self, replica: &Watched, now: Instant) -> &mut Opinion {
        let Settings { threshold, longest_pause, .. } = self.settings;
        let met = &mut self.met;
        let opinion = self.opinions.entry(replica.id).or_insert_with(|| {
            *met = met.wrapping_add(1);
            Opinion::new(*met, threshold, longest_pause, now)
        });
        opinion.meet(replica, threshold, now);
        opinion
    }

    /// Asks for a pulse if one is due; returns when the next will be.
    fn heartbeat(&mut self, replica: &Watched, now: Instant) -> Option<Instant> {
        let (interval, epoch) = (self.settings.interval, self.epoch);
        let opinion = self.opinion(replica, now);
        let instance = replica.instance.clone().filter(|_| !opinion.asked)?;
        if now < opinion.next_pulse {
            return Some(opinion.next_pulse);
        }
        opinion.ask(interval, epoch, now);
        let next = opinion.next_pulse;
        self.ask(replica, instance);
        Some(next)
    }

    fn ask(&self, replica: &Watched, instance: Instance) {
        let expected = Some(replica.hostname.clone()).filter(|_| !self.supervisor.is_fixed());
        self.pulses.ask(Question { id: replica.id, instance, expected });
    }

    /// Has a replica that is down launched, if it has failed and that is due. As long as something runs it is asked for
    /// pulses too: it was adopted or taken back after a removal that failed, a request could not connect, its relaunch is
    /// put off and it recovers meanwhile, or it is somebody else's.
    fn revive(&mut self, replica: &Watched, now: Instant) -> Option<Instant> {
        let is_fixed = self.supervisor.is_fixed();
        let is_in_charge = self.is_in_charge.load(Relaxed);
        let opinion = self.opinion(replica, now);
        if opinion.relaunching {
            return None;
        }
        if let Some(address) = replica.lost.filter(|_| opinion.failure.is_none()) {
            self.take_out(replica, format!("its address {address} has become another's"), now);
            return Some(now);
        }
        let has_failed = replica.instance.is_none() || opinion.health.standing() == Standing::Failed;
        let may_replace = is_in_charge || replica.instance.is_none() || opinion.ended;
        let is_forever = is_fixed && replica.instance.is_some();
        if opinion.health.standing() == Standing::Well {
            // It was well when it left, and has been taken back: nothing is known of it since.
            opinion.doubt(now);
        } else if has_failed && may_replace && !is_forever && opinion.schedule.is_due(now) {
            opinion.relaunching = true;
            opinion.in_repair = opinion.failure.take();
            let events = self.events.clone();
            let id = replica.id;
            self.supervisor.relaunch(id, move |outcome| {
                let _ = events.send(Event::Relaunched(id, outcome));
            });
            return None;
        }
        let due = opinion.schedule.next().filter(|due| *due > now);
        let asks = replica.instance.is_some() && !opinion.ended;
        let pulse = if asks { self.heartbeat(replica, now) } else { None };
        due.into_iter().chain(pulse).min()
    }

    /// Whether so many miss heartbeats together that it is not believed of each. Those that are known to be dead do not
    /// count: they are away for reasons of their own.
    pub(super) fn is_panic(&self) -> bool {
        let (mut all, mut sick) = (0, 0);
        for opinion in self.opinions.values() {
            let is_sick = match opinion.phase {
                Phase::Serving => !opinion.health.is_sound(),
                Phase::Down if opinion.is_silent && !opinion.ended => true,
                Phase::Down | Phase::Joining | Phase::Leaving => continue,
            };
            all += 1;
            sick += usize::from(is_sick);
        }
        self.settings.panic.is_exceeded(sick, all)
    }

    /// Those that are in the ring though they have failed leave it when the panic is over. While it lasts they are
    /// replaced too, if they go on missing heartbeats, but one after another: those that hang have to be healed, and if
    /// they do not hang after all, little is lost.
    fn judge_the_spared(&mut self, replicas: &[Watched], now: Instant) {
        let panics = self.is_panic();
        if self.in_panic && !panics {
            let text = "replicas that do not answer leave the ring again";
            log::info!("the panic is over: {text}");
            self.journal.note(Kind::PanicOver, None, text);
            self.set_panic(false);
        }
        // One that has begun to answer again is left alone until it is well, or misses again.
        let fall = self.settings.threshold.fall;
        let has_failed = |opinion: &Opinion| opinion.spared && opinion.health.misses() >= fall;
        let mut spared: Vec<(u32, &Watched)> = replicas
            .iter()
            .filter_map(|replica| Some((replica, self.opinions.get(&replica.id)?)))
            .filter(|(_, opinion)| has_failed(opinion))
            .map(|(replica, opinion)| (opinion.health.misses(), replica))
            .collect();
        if panics {
            let is_replaced = |opinion: &Opinion| opinion.replaced_in_panic || opinion.relaunching;
            let one_is_replaced = self.opinions.values().any(is_replaced);
            let enough = fall.saturating_mul(2);
            spared.retain(|(misses, _)| *misses >= enough && !one_is_replaced && !self.supervisor.is_fixed());
            spared.sort_by_key(|(misses, _)| std::cmp::Reverse(*misses));
            spared.truncate(1);
        }
        for (misses, replica) in spared {
            self.take_out(replica, format!("{misses} heartbeats missed"), now);
            if let Some(opinion) = self.opinions.get_mut(&replica.id) {
                (opinion.replaced_in_panic, opinion.is_silent) = (panics, true);
            }
        }
    }

    pub(super) fn set_panic(&mut self, panics: bool) {
        self.in_panic = panics;
        self.fleet.set_panic(panics);
    }
}

#[cfg(test)]
#[path = "rounds_tests.rs"]
pub(super) mod tests;
