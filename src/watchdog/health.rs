//! The opinion on one replica's health: facts in, transitions out.
//!
//! ```text
//!          fall misses in a row
//!   well ───────────────────────▶ failed
//!    │ ▲                           ▲ │
//!    │ └──── rise good ones ───┐   │ │ rise good ones, twice as many
//!    └──── a request could ──▶ doubted ─┘ after each relapse
//!          not connect          fall misses
//! ```
//!
//! What is doubted or has failed gets no requests. It has to hold before it does again, and longer each time that it
//! did not last: so a replica that flaps does not make the ring flap.

use std::time::{Duration, Instant};

use crate::heartbeat::{Miss, Pulse};

/// How long a replica has to be well until its earlier failures are forgotten.
pub const FORGIVEN_AFTER: Duration = Duration::from_secs(60);

/// Most times that the number of good heartbeats is doubled: with the defaults 128 of them, which take a minute.
const MOST_DOUBLINGS: u32 = 6;

/// How many heartbeats make a change of opinion.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Threshold {
    /// Missed ones in a row until a replica has failed.
    pub fall: u32,
    /// Good ones in a row until one that was not well is again.
    pub rise: u32,
}

/// What is thought of a replica.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    /// It answers.
    Well,
    /// Nothing is known yet, or something else than a heartbeat said that it does not answer.
    Doubted,
    /// It has missed too many heartbeats.
    Failed,
}

/// A change of opinion, reported once.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Transition {
    /// The replica has failed.
    Fell {
        /// What the last heartbeat came back with.
        miss: Miss,
        /// How long ago the replica was last known to be well, if it ever was.
        unwell_for: Option<Duration>,
    },
    /// The replica is well again.
    Rose,
}

/// Judges a replica by its heartbeats. Reads no clock.
#[derive(Clone, Debug)]
pub struct Health {
    threshold: Threshold,
    standing: Standing,
    /// Misses or good heartbeats in a row, whichever the last was.
    misses: u32,
    goods: u32,
    /// `None` before the first good one.
    last_good: Option<Instant>,
    /// Since when it has been well.
    well_since: Instant,
    /// How often it was well for less than [`FORGIVEN_AFTER`].
    relapses: u32,
}

impl Health {
    /// A replica that has just answered.
    pub fn well(threshold: Threshold, now: Instant) -> Health {
        let standing = Standing::Well;
        Health {
            threshold,
            standing,
            misses: 0,
            goods: 0,
            last_good: Some(now),
            well_since: now,
            relapses: 0,
        }
    }

    /// A replica of which nothing is known.
    pub fn unknown(threshold: Threshold, now: Instant) -> Health {
        Health { standing: Standing::Doubted, last_good: None, ..Health::well(threshold, now) }
    }

    /// Begins anew, as one of which nothing is known but when it was last well.
    pub fn begin_anew(&mut self, now: Instant) {
        *self = Health { last_good: self.last_good, ..Health::unknown(self.threshold, now) };
    }

    /// What is thought of it now.
    pub fn standing(&self) -> Standing {
        self.standing
    }

    /// Whether it is beyond doubt: well, and its last heartbeat was good.
    pub fn is_sound(&self) -> bool {
        self.standing == Standing::Well && self.misses == 0
    }

    /// Heartbeats that were missed in a row.
    pub fn misses(&self) -> u32 {
        self.misses
    }

    /// How long ago it was known to be well, if it ever was.
    pub fn unwell_for(&self, now: Instant) -> Option<Duration> {
        self.last_good.map(|last_good| now.saturating_duration_since(last_good))
    }

    /// How many good heartbeats in a row it takes to be well again.
    pub fn needed(&self) -> u32 {
        self.threshold.rise.saturating_mul(1 << self.relapses.min(MOST_DOUBLINGS))
    }

    /// Something else than a heartbeat says that it does not answer, which counts as a miss.
    pub fn doubt(&mut self, miss: Miss, now: Instant) -> Option<Transition> {
        if self.standing == Standing::Well {
            self.leave_well(now, Standing::Doubted);
        }
        self.observe(&Pulse::Missed(miss), now)
    }

    /// It is known to have ended.
    pub fn ended(&mut self, now: Instant) {
        if self.standing == Standing::Well {
            self.leave_well(now, Standing::Failed);
        }
        self.standing = Standing::Failed;
        self.goods = 0;
    }

    /// Takes in what a heartbeat came back with at `now`; returns the transition if this one made the difference.
    pub fn observe(&mut self, pulse: &Pulse, now: Instant) -> Option<Transition> {
        match pulse {
            Pulse::Unknown(_) => None,
            Pulse::Good(_) => self.good(now),
            Pulse::Missed(miss) => self.missed(miss, now),
        }
    }

    fn good(&mut self, now: Instant) -> Option<Transition> {
        self.misses = 0;
        self.last_good = Some(now);
        if self.standing == Standing::Well {
            if now.saturating_duration_since(self.well_since) >= FORGIVEN_AFTER {
                self.relapses = 0;
            }
            return None;
        }
        self.goods = self.goods.saturating_add(1);
        if self.goods < self.needed() {
            return None;
        }
        (self.standing, self.well_since) = (Standing::Well, now);
        Some(Transition::Rose)
    }

    fn missed(&mut self, miss: &Miss, now: Instant) -> Option<Transition> {
        self.goods = 0;
        self.misses = self.misses.saturating_add(1);
        if self.misses < self.threshold.fall || self.standing == Standing::Failed {
            return None;
        }
        match self.standing {
            Standing::Well => self.leave_well(now, Standing::Failed),
            _ => self.standing = Standing::Failed,
        }
        Some(Transition::Fell { miss: miss.clone(), unwell_for: self.unwell_for(now) })
    }

    fn leave_well(&mut self, now: Instant, standing: Standing) {
        let lasted = now.saturating_duration_since(self.well_since) >= FORGIVEN_AFTER;
        self.relapses = if lasted { 0 } else { self.relapses.saturating_add(1) };
        (self.standing, self.goods) = (standing, 0);
    }
}

#[cfg(test)]
#[path = "health_tests.rs"]
mod tests;
