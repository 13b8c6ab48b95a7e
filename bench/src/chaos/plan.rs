//! What happens when: an endless sequence of steps that follows from a seed alone.

use std::fmt;
use std::time::Duration;

use fastrand::Rng;

/// Pauses between two steps, in milliseconds: from one fault upon another to about the time that a fleet needs to heal.
const PAUSES: std::ops::RangeInclusive<u64> = 100..=1200;

/// How long an engine fails, in milliseconds: shorter and longer than the balancer waits between two tries.
const FAILURES: std::ops::RangeInclusive<u64> = 1000..=4000;

/// What can befall a fleet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A replica is killed.
    Kill,
    /// A container is removed behind the balancer's back.
    Remove,
    /// A replica stops for good, with its connections open.
    Hang,
    /// A replica stops for a moment.
    Slow,
    /// The balancer is asked for one replica more.
    Add,
    /// The balancer is asked for one replica less.
    Rm,
    /// The container engine is away for a while, and a replica is killed.
    Engine(Mode),
}

/// How the `docker` command behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mode {
    /// As the real one.
    Ok,
    /// It fails at once.
    Fail,
    /// It does not end.
    Hang,
    /// It succeeds with an answer that makes no sense.
    Garbage,
}

/// What befalls replicas that are processes, each so often in a round.
const PROCESS_ROUND: [Kind; 6] = [Kind::Kill, Kind::Kill, Kind::Hang, Kind::Slow, Kind::Add, Kind::Rm];

/// What befalls replicas that are containers in a round, beside one failure of the engine.
const DOCKER_ROUND: [Kind; 7] =
    [Kind::Kill, Kind::Kill, Kind::Remove, Kind::Hang, Kind::Slow, Kind::Add, Kind::Rm];

/// How an engine can fail.
const FAILURE_MODES: [Mode; 3] = [Mode::Fail, Mode::Hang, Mode::Garbage];

/// One step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The pause before it.
    pub pause: Duration,
    /// What happens.
    pub kind: Kind,
    /// A number that picks the victim among those that there are then.
    pub number: u64,
    /// How long it lasts, if it is a failure of the engine.
    pub lasts: Duration,
}

/// The steps of a run, without end. Kinds are dealt like cards: a round holds each of them, in an order of its own, so
/// that short runs see them all.
pub struct Plan {
    rng: Rng,
    has_engine: bool,
    round: Vec<Kind>,
}

impl Plan {
    /// The plan of `seed`, for containers or for processes.
    pub fn new(seed: u64, has_engine: bool) -> Plan {
        Plan { rng: Rng::with_seed(seed), has_engine, round: Vec::new() }
    }

    fn deal(&mut self) -> Vec<Kind> {
        let mut round = match self.has_engine {
            true => DOCKER_ROUND.to_vec(),
            false => PROCESS_ROUND.to_vec(),
        };
        if self.has_engine {
            round.extend(self.rng.choice(FAILURE_MODES).map(Kind::Engine));
        }
        self.rng.shuffle(&mut round);
        round
    }
}

impl Iterator for Plan {
    type Item = Step;

    fn next(&mut self) -> Option<Step> {
        if self.round.is_empty() {
            self.round = self.deal();
        }
        let kind = self.round.pop()?;
        let pause = Duration::from_millis(self.rng.u64(PAUSES));
        let lasts = Duration::from_millis(self.rng.u64(FAILURES));
        Some(Step { pause, kind, number: self.rng.u64(..), lasts })
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Kill => "kill",
            Kind::Remove => "remove",
            Kind::Hang => "hang",
            Kind::Slow => "slow",
            Kind::Add => "add",
            Kind::Rm => "rm",
            Kind::Engine(Mode::Ok) => "engine works",
            Kind::Engine(Mode::Fail) => "engine fails",
            Kind::Engine(Mode::Hang) => "engine hangs",
            Kind::Engine(Mode::Garbage) => "engine babbles",
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn steps(seed: u64, has_engine: bool) -> Vec<Step> {
        Plan::new(seed, has_engine).take(200).collect()
    }

    #[test]
    fn a_seed_is_a_plan() {
        assert_eq!(steps(7, true), steps(7, true));
        assert_ne!(steps(7, true), steps(8, true));
    }

    #[test]
    fn every_kind_comes_and_those_of_an_engine_only_with_one() {
        let kinds = |has_engine| -> BTreeSet<Kind> {
            steps(1, has_engine).into_iter().map(|step| step.kind).collect()
        };
        let mut all: BTreeSet<Kind> = PROCESS_ROUND.into();
        assert_eq!(kinds(false), all);
        all.extend(DOCKER_ROUND);
        all.extend(FAILURE_MODES.map(Kind::Engine));
        assert_eq!(kinds(true), all);
    }

    #[test]
    fn a_round_holds_them_all() {
        let round: BTreeSet<Kind> = Plan::new(3, false).take(6).map(|step| step.kind).collect();
        assert_eq!(round, PROCESS_ROUND.into());
    }
}
