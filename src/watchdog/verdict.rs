//! What is concluded from what is told: who has failed, who is well again, how a launch went.

use std::time::{Duration, Instant, SystemTime};

use super::LONGEST_WAIT;
use super::health::{Standing, Transition};
use super::opinion::{ENDED, Failure};
use super::pulses::Taken;
use super::rounds::Rounds;
use crate::fleet::{Phase, ReplicaId, Watched};
use crate::forward::Unreached;
use crate::heartbeat::{Miss, Pulse};
use crate::journal::Kind;
use crate::launcher::LaunchError;
use crate::replica::Hostname;
use crate::supervisor::{Relaunch, Stages};

/// How long to wait before a server of somebody else's that could not be found is looked for again.
const FIXED_PAUSE: Duration = Duration::from_secs(5);

impl Rounds {
    /// Takes in a pulse, unless it is about an incarnation that has been replaced meanwhile; whether that gives something
    /// to do.
    pub(super) fn weigh(&mut self, taken: &Taken, now: Instant) -> bool {
        let Some(replica) = self.fleet.watch(taken.id) else {
            return false;
        };
        let interval = self.settings.interval;
        let Some(opinion) = self.opinions.get_mut(&taken.id) else {
            return false;
        };
        if opinion.instance.as_ref() != Some(&taken.instance) {
            return false;
        }
        opinion.asked = false;
        let meter = &replica.meter;
        match &taken.pulse {
            Pulse::Good(latency) => meter.beat_well(*latency, now),
            Pulse::Missed(miss) => meter.beat_missed(&miss.why, now),
            Pulse::Unknown(_) => meter.beat_unknown(),
        }
        if opinion.relaunching || opinion.ended {
            return false;
        }
        if let Pulse::Unknown(why) = &taken.pulse {
            log::debug!("{} could not be asked for a heartbeat: {why}", replica.hostname);
        }
        let was_sound = opinion.health.is_sound();
        let transition = opinion.health.observe(&taken.pulse, now);
        opinion.hurry(interval, now);
        match transition {
            Some(Transition::Fell { miss, .. }) => self.fell(&replica, &miss, now),
            Some(Transition::Rose) => self.rose(&replica, now),
            None => {
                let accepts = !matches!(&taken.pulse, Pulse::Missed(miss) if !miss.accepts);
                if !accepts && opinion.spared {
                    self.take_out(&replica, "it does not accept connections any more".to_owned(), now);
                }
                return !was_sound || !matches!(taken.pulse, Pulse::Good(_));
            }
        }
        true
    }

    /// A replica has missed too many heartbeats: it leaves the ring, unless too many have.
    fn fell(&mut self, replica: &Watched, miss: &Miss, now: Instant) {
        if replica.phase == Phase::Serving && miss.accepts && self.is_panic() {
            if !self.in_panic {
                let text = format!(
                    "more than {} % of the replicas miss heartbeats together; those that accept connections stay in the ring",
                    self.settings.panic.percent
                );
                log::warn!("panic: {text}");
                self.journal.note(Kind::Panic, None, text);
                self.set_panic(true);
            }
            log::warn!("{} does not answer, and stays in the ring for now: {}", replica.hostname, miss.why);
            if let Some(opinion) = self.opinions.get_mut(&replica.id) {
                opinion.spared = true;
            }
            return;
        }
        if replica.phase == Phase::Leaving {
            // One that is being stopped does not answer either.
            if !replica.claimed {
                log::warn!("{} does not answer any more while it leaves: {}", replica.hostname, miss.why);
                self.cut_off(replica);
            }
            return;
        }
        self.take_out(replica, miss.why.clone(), now);
        if let Some(opinion) = self.opinions.get_mut(&replica.id) {
            opinion.is_silent = miss.accepts;
        }
    }

    /// Sets the requests free that wait for a replica which will not answer them. Somebody else's may answer yet.
    fn cut_off(&self, replica: &Watched) {
        if let Some(instance) = replica.instance.as_ref().filter(|_| !self.supervisor.is_fixed()) {
            let cut = self.lines.cut(instance.address);
            log::debug!("{cut} connections to {} cut", replica.hostname);
        }
    }

    fn rose(&mut self, replica: &Watched, now: Instant) {
        if let Some(opinion) = self.opinions.get_mut(&replica.id) {
            opinion.failure = None;
            (opinion.spared, opinion.is_silent, opinion.replaced_in_panic) = (false, false, false);
            opinion.schedule.serves(now);
        }
        if self.fleet.admit(&[replica.id]) > 0 {
            self.fleet.set_trouble(replica.id, None);
            self.welcome(replica);
        } else {
            log::info!("{} answers again", replica.hostname);
        }
    }

    /// Tells of one that serves without a launch.
    fn welcome(&mut self, replica: &Watched) {
        let opinion = self.opinions.get_mut(&replica.id);
        let has_served = opinion.is_none_or(|opinion| std::mem::replace(&mut opinion.has_served, true));
        let (kind, text) = match has_served {
            true => (Kind::Recovered, "serves again, without a relaunch"),
            false => (Kind::Joined, "serves for the first time in this run"),
        };
        log::info!("{} {text}", replica.hostname);
        self.journal.note(kind, Some(&replica.hostname), text);
    }

    /// A replica has failed: it is out of the ring, or was, and is launched again after the pause that is its due.
    pub(super) fn take_out(&mut self, replica: &Watched, why: String, now: Instant) {
        if let Some(instance) = &replica.instance {
            self.fleet.fail(replica.id, instance);
        }
        // Only now, or its requests would come again.
        self.cut_off(replica);
        let Some(opinion) = self.opinions.get_mut(&replica.id) else {
            return;
        };
        (opinion.spared, opinion.phase) = (false, Phase::Down);
        let unwell_for = opinion.health.unwell_for(now);
        let name = &replica.hostname;
        let text = format!("{}: {why}", last_well(unwell_for));
        log::warn!("{name} failed, {text}");
        // It may have left the ring before it was known to have failed, and has been told of then.
        let earlier = opinion.failure.take();
        if earlier.is_none() {
            self.journal.note(Kind::Failed, Some(name), text);
        }
        let pause = match self.supervisor.is_fixed() {
            // It is waited for, however often it fails.
            true => Duration::ZERO,
            false => opinion.schedule.died(now),
        };
        if !pause.is_zero() {
            let text = format!("next try in {} s, last error: {why}", pause.as_secs());
            log::warn!("{name} is in a crash loop, {text}");
            self.journal.note(Kind::CrashLoop, Some(name), text);
        }
        self.fleet.set_trouble(replica.id, Some(opinion.trouble(&why)));
        opinion.failure = Some(match earlier {
            Some(earlier) => Failure { why, ..earlier },
            None => Failure { name: name.clone(), noticed: now, unwell_for, why },
        });
    }

    /// A request could not connect; whether that gives something to do.
    pub(super) fn suspect(&mut self, suspicion: &Unreached, now: Instant) -> bool {
        let serves = |replica: &Watched| {
            replica.phase == Phase::Serving
                && replica.instance.as_ref().is_some_and(|instance| instance.address == suspicion.address)
        };
        let Some(replica) = self.fleet.watch(suspicion.id).filter(serves) else {
            return false;
        };
        let opinion = self.opinion(&replica, now);
        opinion.next_pulse = now;
        if !suspicion.is_gone {
            // It may only have more to do than it can; its heartbeat will tell.
            return true;
        }
        let miss = Miss { why: format!("a request could not connect: {}", suspicion.why), accepts: false };
        let transition = opinion.health.doubt(miss.clone(), now);
        if transition.is_some() || opinion.spared {
            self.take_out(&replica, miss.why, now);
            return true;
        }
        let (needed, unwell_for) = (opinion.health.needed(), opinion.health.unwell_for(now));
        let (name, why) = (replica.hostname.clone(), miss.why.clone());
        opinion.failure = Some(Failure { name, noticed: now, unwell_for, why });
        let trouble = opinion.trouble(&miss.why);
        let left = replica.instance.as_ref().is_some_and(|instance| self.fleet.fail(replica.id, instance));
        if left {
            let text = format!("out of the ring until it has answered {needed} heartbeats: {}", miss.why);
            log::warn!("{} is {text}", replica.hostname);
            self.journal.note(Kind::Failed, Some(&replica.hostname), text);
            self.fleet.set_trouble(replica.id, Some(trouble));
        }
        true
    }

    /// An instance has ended.
    pub(super) fn bury(&mut self, key: &str, now: Instant) {
        let Some(replica) = self.fleet.run_by(key) else {
            return;
        };
        let opinion = self.opinion(&replica, now);
        let is_news = opinion.health.standing() != Standing::Failed || opinion.spared;
        opinion.health.ended(now);
        opinion.ended = true;
        // What somebody holds the claim on is being launched or stopped by them, and they find out; what joins or leaves
        // is looked after by whoever adds or removes it.
        if is_news && !replica.claimed && matches!(replica.phase, Phase::Serving | Phase::Down) {
            self.take_out(&replica, ENDED.to_owned(), now);
        }
    }

    /// Takes in how a relaunch went.
    pub(super) fn note(&mut self, id: ReplicaId, outcome: Result<Relaunch, LaunchError>, now: Instant) {
        let Some(opinion) = self.opinions.get_mut(&id) else {
            return;
        };
        (opinion.relaunching, opinion.replaced_in_panic) = (false, false);
        let repaired = opinion.in_repair.take();
        let Some(replica) = self.fleet.watch(id) else {
            return;
        };
        if let Ok(Relaunch::Serving(stages)) = outcome {
            return self.tell_of_launch(&replica, repaired, stages, now);
        }
        opinion.failure = opinion.failure.take().or(repaired);
        match outcome {
            Err(error) if self.supervisor.is_fixed() => self.tell_of_vain_search(&replica, error.0, now),
            Err(error) => self.tell_of_failed_launch(&replica, &error.0, now),
            Ok(_) => {
                // Somebody else is at it, or the program is ending: no reason to ask again at once.
                opinion.schedule.postpone(now + LONGEST_WAIT);
                if opinion.not_found.take().is_some() {
                    self.fleet.set_trouble(id, None);
                }
            }
        }
    }

    /// One was launched and served; it may have ended again before this is told.
    fn tell_of_launch(&mut self, replica: &Watched, repaired: Option<Failure>, stages: Stages, now: Instant) {
        let serves = replica.phase == Phase::Serving;
        if let Some(opinion) = self.opinions.get_mut(&replica.id) {
            opinion.has_served = true;
            if serves {
                opinion.schedule.serves(now);
            }
        }
        if serves {
            self.fleet.set_trouble(replica.id, None);
        }
        let name = &replica.hostname;
        let (kind, mut text) = match repaired {
            Some(failure) => {
                let took = now.saturating_duration_since(failure.noticed);
                self.fleet.metrics().relaunch_durations().record(took);
                replica.meter.relaunched(&failure.why, took, SystemTime::now());
                (Kind::Relaunched, life_story(&failure, name, stages, now))
            }
            None => (Kind::Joined, format!("launched in {:.2} s", total(stages).as_secs_f64())),
        };
        if !serves {
            text += "; it is out of the ring again";
        }
        log::info!("{name} {}: {text}", kind.as_str());
        self.journal.note(kind, Some(name), text);
    }

    fn tell_of_failed_launch(&mut self, replica: &Watched, why: &str, now: Instant) {
        let Some(opinion) = self.opinions.get_mut(&replica.id) else {
            return;
        };
        let name = &replica.hostname;
        let pause = opinion.schedule.launch_failed(now).as_secs();
        self.fleet.set_trouble(replica.id, Some(opinion.trouble(why)));
        replica.meter.launch_failed(why, SystemTime::now());
        let text = format!("next try in {pause} s, last error: {why}");
        log::error!("cannot launch {name}: crash loop, {text}");
        self.journal.note(Kind::LaunchFailed, Some(name), text);
    }

    /// A server of somebody else's is not to be found. It is looked for again and again, and told of when there is news.
    fn tell_of_vain_search(&mut self, replica: &Watched, why: String, now: Instant) {
        let Some(opinion) = self.opinions.get_mut(&replica.id) else {
            return;
        };
        opinion.schedule.postpone(now + FIXED_PAUSE);
        self.fleet.set_trouble(replica.id, Some(opinion.trouble(&why)));
        if opinion.not_found.as_ref() == Some(&why) {
            return;
        }
        let (name, pause) = (&replica.hostname, FIXED_PAUSE.as_secs());
        let text = format!("looked for again every {pause} s, last error: {why}");
        log::warn!("{name} is not to be had, {text}");
        self.journal.note(Kind::LaunchFailed, Some(name), text);
        opinion.not_found = Some(why);
    }
}

fn total(stages: Stages) -> Duration {
    stages.waited + stages.removed + stages.started + stages.answered
}

/// When it was well, for people.
fn last_well(unwell_for: Option<Duration>) -> String {
    match unwell_for {
        Some(time) => format!("last well {:.2} s ago", time.as_secs_f64()),
        None => "never well".to_owned(),
    }
}

/// Where the time went between the last good heartbeat of one life and the first request of the next, in which it has
/// this name.
fn life_story(failure: &Failure, name: &Hostname, stages: Stages, now: Instant) -> String {
    let seconds = |time: Duration| format!("{:.3}", time.as_secs_f64());
    let was = if failure.name == *name { String::new() } else { format!("(was {}) ", failure.name) };
    let noticed = match failure.unwell_for {
        Some(time) => format!("noticed {} s after it was last well", seconds(time)),
        None => "it was never well".to_owned(),
    };
    format!(
        "{was}{noticed} ({}), waited {} s, removed {} s, started {} s, first heartbeat {} s; {} s out of the ring",
        failure.why,
        seconds(stages.waited),
        seconds(stages.removed),
        seconds(stages.started),
        seconds(stages.answered),
        seconds(now.saturating_duration_since(failure.noticed)),
    )
}

#[cfg(test)]
#[path = "verdict_tests.rs"]
mod tests;
