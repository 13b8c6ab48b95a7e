//! The part in which things happen: takes the steps of the plan one after the other, and then waits until the fleet
//! has healed.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::balancer::Balancer;
use super::changes::{Changes, Listing, Outcome};
use super::invariants::{self, Finding};
use super::plan::{Kind, Plan, Step};
use super::status::{self, Replica};
use super::watch::Watch;
use crate::interrupt;

/// Replicas that serve beside the one that is hurt: when everything dies there is nobody left to answer, which is no
/// fault of the balancer's.
const OTHERS: usize = 2;

/// How long a fleet may take until that many serve again. An engine that hangs for four seconds costs up to 20 s for a
/// call and 20 s for the next one that was begun in time.
const HEAL: Duration = Duration::from_secs(60);

/// How long everything may take to be well in the end.
const HEAL_ALL: Duration = Duration::from_secs(90);

/// Fewest replicas that a removal may leave.
const FEWEST: usize = 4;

/// How many more there may be than in the beginning.
const MORE: usize = 3;

/// Time between two looks at what goes on by itself.
const LOOK: Duration = Duration::from_millis(10);

/// A run, while things happen.
pub struct Run<'a> {
    balancer: &'a mut Balancer,
    watch: &'a Watch,
    changes: Changes,
    begin: Instant,
    /// How many replicas changes may make of the fleet.
    bounds: RangeInclusive<usize>,
    /// How often each kind of fault came about.
    pub counts: BTreeMap<Kind, u64>,
    /// What should not have gone so, in words.
    pub failures: Vec<String>,
}

impl<'a> Run<'a> {
    /// Of a balancer that was started with so many replicas.
    pub fn new(balancer: &'a mut Balancer, watch: &'a Watch, replicas: usize) -> Run<'a> {
        let changes = Changes::new(balancer.address, replicas);
        let bounds = FEWEST..=replicas + MORE;
        let (counts, failures) = (BTreeMap::new(), Vec::new());
        Run { balancer, watch, changes, begin: Instant::now(), bounds, counts, failures }
    }

    /// Takes steps for so long, or until the fleet does not heal.
    ///
    /// # Errors
    /// The balancer has ended, or we are interrupted.
    pub fn live_for(&mut self, time: Duration, plan: Plan) -> Result<()> {
        for step in plan {
            self.wait_until(step.pause, |_| Ok(false))?;
            if self.begin.elapsed() >= time || !self.take(&step)? {
                return Ok(());
            }
        }
        Ok(())
    }

    /// How many changes failed because the engine did.
    pub fn excused(&self) -> u64 {
        self.changes.excused
    }

    /// Takes one step; false when the fleet does not heal enough for it.
    fn take(&mut self, step: &Step) -> Result<bool> {
        let kind = step.kind;
        if let Some(why) = self.is_not_now(kind) {
            self.say(&format!("({kind}: not now, {why})"));
            return Ok(true);
        }
        let mut victim = None;
        let found = self.wait_until(HEAL, |run| {
            victim = run.victim(step.number);
            Ok(victim.is_some() && !run.must_wait_for_engine(kind))
        })?;
        let Some(victim) = victim.filter(|_| found) else {
            let (hurting, serving) = (self.watch.hurting(), self.watch.status().serving().len());
            let seen = format!("{serving} serve, waiting for {}", hurting.join(", "));
            self.failures.push(format!("not healed after {} s: {seen}", HEAL.as_secs()));
            return Ok(false);
        };
        match kind {
            Kind::Add | Kind::Rm => {
                self.happened(self.begin.elapsed(), kind, "");
                self.changes.begin(kind);
            }
            _ => self.hurt(step, &victim)?,
        }
        Ok(true)
    }

    /// Why a change cannot be asked for.
    fn is_not_now(&self, kind: Kind) -> Option<String> {
        let wanted = self.changes.wanted;
        let is_out = match kind {
            Kind::Add => wanted >= *self.bounds.end(),
            Kind::Rm => wanted <= *self.bounds.start(),
            _ => return None,
        };
        match self.changes.is_idle() {
            false => Some("the change before is under way".to_owned()),
            true => is_out.then(|| format!("N is {wanted}")),
        }
    }

    /// Whom a number picks, if enough others serve.
    fn victim(&self, number: u64) -> Option<Replica> {
        let mut sound = self.watch.sound();
        // Fewer than 2^32 replicas.
        let at = number.checked_rem(sound.len() as u64)? as usize;
        (sound.len() > OTHERS).then(|| sound.swap_remove(at))
    }

    /// Whether a failure of the engine has to wait for the end of another.
    fn must_wait_for_engine(&mut self, kind: Kind) -> bool {
        matches!(kind, Kind::Engine(_)) && self.engine_fails()
    }

    fn engine_fails(&mut self) -> bool {
        self.balancer.replicas.docker().is_some_and(|docker| docker.is_failing())
    }

    fn hurt(&mut self, step: &Step, victim: &Replica) -> Result<()> {
        let Step { kind, lasts, .. } = *step;
        let (heals, at) = (kind != Kind::Slow, self.begin.elapsed());
        if heals {
            self.watch.hurt(victim, kind);
        }
        let replicas = &mut self.balancer.replicas;
        if let (Kind::Engine(mode), Some(docker)) = (kind, replicas.docker()) {
            docker.disturb(mode, lasts)?;
        }
        let done = match kind {
            Kind::Remove => replicas.remove(victim),
            Kind::Hang => replicas.hang(victim),
            Kind::Slow => replicas.slow(victim),
            _ => replicas.kill(victim),
        };
        let name = &victim.name;
        match done {
            Ok(()) if matches!(kind, Kind::Engine(_)) => {
                self.happened(at, kind, &format!(" for {:.1} s, kill {name}", lasts.as_secs_f64()));
            }
            Ok(()) => self.happened(at, kind, &format!(" {name}")),
            Err(error) => {
                if heals {
                    self.watch.unhurt(victim);
                }
                self.say(&format!("({kind} {name}: {error:#})"));
            }
        }
        Ok(())
    }

    /// Waits until everything is well; what was found in the end.
    ///
    /// # Errors
    /// The balancer has ended, or we are interrupted.
    pub fn heal(&mut self) -> Result<Vec<Finding>> {
        let begin = Instant::now();
        let is_well = self.wait_until(HEAL_ALL, |run| {
            let is_quiet = run.changes.is_idle() && run.watch.hurting().is_empty() && !run.engine_fails();
            Ok(is_quiet && run.findings()?.iter().all(|finding| finding.holds))
        })?;
        if is_well {
            self.say(&format!("all is well, {:.1} s after the last fault", begin.elapsed().as_secs_f64()));
        } else if !self.changes.is_idle() {
            self.failures.push("a change is still under way".to_owned());
        }
        self.findings()
    }

    fn findings(&self) -> Result<Vec<Finding>> {
        let rep = self.balancer.get("/rep").and_then(|answer| status::message::<Listing>(&answer.body));
        let status = self.watch.status();
        let mut findings = vec![
            invariants::number(self.changes.wanted, rep.map(|listing| listing.n), status.n),
            invariants::states(&status),
            invariants::slots(&status),
        ];
        let keys = status.replicas.iter().map(|replica| self.balancer.replicas.key(replica)).collect();
        findings.push(invariants::alive(keys, self.balancer.replicas.beings()));
        Ok(findings)
    }

    /// Looks after what goes on by itself until `done` says yes; returns whether it did within `time`.
    fn wait_until(
        &mut self,
        time: Duration,
        mut done: impl FnMut(&mut Self) -> Result<bool>,
    ) -> Result<bool> {
        let until = Instant::now() + time;
        loop {
            self.look_after()?;
            if done(self)? {
                return Ok(true);
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(false);
            }
            interrupt::pause(left.min(LOOK))?;
        }
    }

    /// Lets the engine work again when it is time, and takes in the answer to a change.
    fn look_after(&mut self) -> Result<()> {
        self.balancer.check()?;
        let mut docker = self.balancer.replicas.docker();
        if let Some(docker) = docker.as_mut().filter(|docker| docker.is_due()) {
            docker.restore()?;
            print_line(self.begin.elapsed(), "engine works");
        }
        let is_to_blame = |begun| docker.as_ref().is_some_and(|docker| docker.is_to_blame(begun));
        let outcome = self.changes.collect(is_to_blame);
        match outcome {
            None => {}
            Some((kind, Outcome::Done(n))) => self.say(&format!("{kind} is done, N is {n}")),
            Some((_, Outcome::Excused(said))) => self.say(&format!("(while the engine failed: {said})")),
            Some((_, Outcome::Wrong(said))) => {
                self.say(&format!("WRONG: {said}"));
                self.failures.push(said);
            }
        }
        Ok(())
    }

    /// Counts what was begun at `at`: calls of an engine take their time.
    fn happened(&mut self, at: Duration, kind: Kind, what: &str) {
        *self.counts.entry(kind).or_default() += 1;
        print_line(at, &format!("{kind}{what}"));
    }

    fn say(&self, what: &str) {
        print_line(self.begin.elapsed(), what);
    }
}

fn print_line(at: Duration, what: &str) {
    println!("{:6.1} s  {what}", at.as_secs_f64());
}
