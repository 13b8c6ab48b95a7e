//! What the watchdog thinks of one replica.

use std::time::{Duration, Instant};

use super::health::{Health, Standing, Threshold};
use super::schedule::Schedule;
use crate::fleet::{Phase, Trouble, Watched};
use crate::replica::{Hostname, Instance};

/// The part of a circle that spreads any number of points over it evenly, one after another: the golden section.
const GOLDEN: f64 = 0.618_033_988_749_895;

/// Replicas that are not beyond doubt are asked so many times as often.
const HASTE: u32 = 5;

/// Why a replica failed whose instance is known to have ended.
pub(super) const ENDED: &str = "it has ended";

/// An opinion; it lasts as long as the replica is a member, through all its relaunches.
pub(super) struct Opinion {
    pub(super) health: Health,
    /// Where it stood when it was looked at last.
    pub(super) phase: Phase,
    /// The incarnation that `health` is about.
    pub(super) instance: Option<Instance>,
    /// It is known to have ended.
    pub(super) ended: bool,
    /// Where in the interval its heartbeats are, from 0 to 1.
    place: f64,
    pub(super) next_pulse: Instant,
    last_pulse: Instant,
    /// A pulse is being taken.
    pub(super) asked: bool,
    /// It is being launched.
    pub(super) relaunching: bool,
    pub(super) schedule: Schedule,
    /// Why and since when it is down, if it was ever there.
    pub(super) failure: Option<Failure>,
    /// The failure that the launch under way is to end. Whatever fails meanwhile is what was launched.
    pub(super) in_repair: Option<Failure>,
    /// It has served in this run.
    pub(super) has_served: bool,
    /// Why a server of somebody else's could not be found, when it was looked for last.
    pub(super) not_found: Option<String>,
    /// It was taken out because it missed heartbeats, and is not known to be dead.
    pub(super) is_silent: bool,
    /// It has failed and is in the ring all the same, because too many have.
    pub(super) spared: bool,
    /// It is being replaced while others are spared.
    pub(super) replaced_in_panic: bool,
}

/// A failure, for whoever reads of its end.
pub(super) struct Failure {
    /// What the replica was called.
    pub(super) name: Hostname,
    pub(super) noticed: Instant,
    /// How long it had not been known to be well by then, if it ever was.
    pub(super) unwell_for: Option<Duration>,
    pub(super) why: String,
}

impl Opinion {
    /// Of a replica that is new here, the `k`th that there ever was.
    pub(super) fn new(k: u32, threshold: Threshold, longest_pause: Duration, now: Instant) -> Opinion {
        Opinion {
            health: Health::unknown(threshold, now),
            phase: Phase::Joining,
            instance: None,
            ended: false,
            place: (f64::from(k) * GOLDEN).fract(),
            next_pulse: now,
            last_pulse: now,
            asked: false,
            relaunching: false,
            schedule: Schedule::new(longest_pause),
            failure: None,
            in_repair: None,
            has_served: false,
            not_found: None,
            is_silent: false,
            spared: false,
            replaced_in_panic: false,
        }
    }

    /// Takes in what runs the replica now. A new incarnation starts with a clean slate: well if it serves, since it has
    /// just been asked, or else unknown.
    pub(super) fn meet(&mut self, replica: &Watched, threshold: Threshold, now: Instant) {
        self.phase = replica.phase;
        let serves = replica.phase == Phase::Serving;
        if self.instance != replica.instance {
            self.instance = replica.instance.clone();
            (self.ended, self.asked, self.spared, self.is_silent) = (false, false, false, false);
            self.doubt(now);
        }
        self.has_served |= serves;
        if serves && !self.spared && !self.ended && self.health.standing() != Standing::Well {
            self.health = Health::well(threshold, now);
            self.schedule.serves(now);
            self.replaced_in_panic = false;
        }
    }

    /// Nothing is known of it any more.
    pub(super) fn doubt(&mut self, now: Instant) {
        self.health.begin_anew(now);
        self.next_pulse = now;
    }

    /// A pulse is being taken, and the next is due in the next interval. Each replica has its own place in the interval,
    /// counted from `epoch`, so that heartbeats are spread over it and stay so.
    pub(super) fn ask(&mut self, interval: Duration, epoch: Instant, now: Instant) {
        self.asked = true;
        self.last_pulse = now;
        let soonest = (now + interval / 2).saturating_duration_since(epoch);
        let intervals = (soonest.as_secs_f64() / interval.as_secs_f64() - self.place).floor() + 1.0;
        self.next_pulse = epoch + interval.mul_f64((intervals + self.place).max(0.0));
    }

    /// One that is not beyond doubt is asked again sooner.
    pub(super) fn hurry(&mut self, interval: Duration, now: Instant) {
        let is_open = !self.health.is_sound() && self.health.standing() != Standing::Failed;
        if is_open || self.spared {
            self.next_pulse = self.next_pulse.min((self.last_pulse + interval / HASTE).max(now));
        }
    }

    /// What keeps it from serving, in the words of the fleet.
    pub(super) fn trouble(&self, last_error: &str) -> Trouble {
        let (failures, next_try) = (self.schedule.failures(), self.schedule.next());
        Trouble { failures, next_try, last_error: last_error.to_owned() }
    }
}
