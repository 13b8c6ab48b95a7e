//! A fleet and a supervisor over the engine of the model, and what has to hold of them.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::uri::PathAndQuery;
use ringmaster::balance::Policy;
use ringmaster::fleet::{Fleet, Phase, ReplicaId};
use ringmaster::heartbeat::{self, Miss, Pulse};
use ringmaster::journal::Journal;
use ringmaster::launcher::LaunchError;
use ringmaster::replica::{Hostname, Instance};
use ringmaster::ring::{Probing, RingId, Scheme, Shape};
use ringmaster::shutdown::Shutdown;
use ringmaster::supervisor::{ChangeError, OnExit, Relaunch, RespawnName, Settings, Supervisor};
use ringmaster::sync::{mpsc, thread};
use shuttle::rand::{Rng, thread_rng};

use super::engine::{Engine, take_time};

/// Deadlines are so far away that no clock ever decides anything.
const NEVER: Duration = Duration::from_secs(24 * 3600);

/// What became of a change.
pub type Answer = Result<Vec<Hostname>, ChangeError>;

/// A change under way on a thread of its own.
pub type Change = thread::JoinHandle<Answer>;

/// What a relaunch will be told to have come to.
pub type Healing = mpsc::Receiver<Result<Relaunch, LaunchError>>;

/// Everything that is there in one run.
#[derive(Clone)]
pub struct House {
    pub fleet: Fleet,
    pub supervisor: Supervisor,
    pub engine: Engine,
    pub shutdown: Shutdown,
}

impl House {
    /// An empty one, whose relaunched replicas are named like this.
    pub fn new(respawn_name: RespawnName) -> House {
        // What is drawn in there is another every time, and the same again when an order is repeated.
        fastrand::seed(thread_rng().r#gen());
        let fleet = Fleet::new(Shape::new(Scheme::Statement(Probing::Linear), 16, 2).unwrap(), Policy::Hash);
        let (engine, shutdown) = (Engine::new(fleet.clone()), Shutdown::default());
        let answering = engine.clone();
        heartbeat::model::answer_with(move |address| {
            take_time();
            match answering.answers(address) {
                true => Pulse::Good(Duration::ZERO),
                false => Pulse::Missed(Miss { why: "no answer".to_owned(), accepts: false }),
            }
        });
        let settings = Settings {
            min_replicas: 0,
            max_replicas: 8,
            start_timeout: NEVER,
            heartbeat: heartbeat::Settings { timeout: NEVER, path: PathAndQuery::from_static("/") },
            drain_timeout: NEVER,
            respawn_name,
            on_exit: OnExit::Remove,
        };
        let launcher = Box::new(engine.clone());
        let supervisor =
            Supervisor::new(fleet.clone(), launcher, settings, Journal::default(), shutdown.clone()).unwrap();
        assert!(supervisor.watch(|_| {}).is_none());
        House { fleet, supervisor, engine, shutdown }
    }

    fn member(&self, name: &str, k: u32, runs: bool) -> (ReplicaId, Instance) {
        let instance = self.engine.furnish(name, RingId(k), runs);
        let slots = [2 * k as usize, 2 * k as usize + 1];
        let restored = self.fleet.restore(host(name).into(), RingId(k), &slots, Some(instance.clone()));
        (restored.unwrap(), instance)
    }

    /// A member that serves, on ring identity `k`.
    pub fn serving(&self, name: &str, k: u32) -> ReplicaId {
        let (id, _) = self.member(name, k, true);
        assert_eq!(self.fleet.admit(&[id]), 1);
        id
    }

    /// A member whose process has ended; its record is there.
    pub fn dead(&self, name: &str, k: u32) -> ReplicaId {
        self.member(name, k, false).0
    }

    /// A member that runs, and was taken out of the ring because it does not answer.
    pub fn hung(&self, name: &str, k: u32) -> ReplicaId {
        self.member(name, k, true).0
    }

    pub fn add(&self, n: usize, names: &[&str]) -> Change {
        let (supervisor, names) = (self.supervisor.clone(), hosts(names));
        thread::spawn(move || {
            take_time();
            supervisor.add(n, &names, &[])
        })
    }

    pub fn remove(&self, n: usize, names: &[&str]) -> Change {
        let (supervisor, names) = (self.supervisor.clone(), hosts(names));
        thread::spawn(move || {
            take_time();
            supervisor.remove(n, &names)
        })
    }

    pub fn relaunch(&self, id: ReplicaId) -> Healing {
        let (tell, healing) = mpsc::channel();
        take_time();
        self.supervisor.relaunch(id, move |outcome| {
            let _ = tell.send(outcome);
        });
        healing
    }

    /// Ends the fleet as the program does.
    pub fn close(&self) {
        take_time();
        self.shutdown.begin();
        self.supervisor.close(Instant::now() + NEVER);
    }

    /// What has to hold once all that was asked for has been answered: `n` members, none of them in between, all
    /// claims given back. Then does what the watchdog would do, and every member serves, and nothing else runs.
    pub fn check(&self, n: usize) {
        let members = self.fleet.replicas();
        let resting = |phase| matches!(phase, Phase::Down | Phase::Serving);
        assert!(members.iter().all(|member| resting(member.phase)), "members in between: {members:?}");
        assert_eq!(members.len(), n, "N is wrong: {members:?}");
        self.check_truth();
        self.engine.recover();
        self.engine.catch_up();
        assert!(self.engine.may_leave_strays() || self.strays_are_gone(), "no member's, and runs");
        let down = members.iter().filter(|member| member.phase == Phase::Down);
        let healings: Vec<Healing> = down.map(|member| self.relaunch(member.id)).collect();
        for healing in healings {
            let outcome = healing.recv().unwrap();
            assert!(matches!(outcome, Ok(Relaunch::Serving(_))), "a member cannot be healed: {outcome:?}");
        }
        self.clear_away();
        self.check_truth();
        let members = self.fleet.replicas();
        assert!(members.iter().all(|member| member.phase == Phase::Serving), "a member is lost: {members:?}");
        let theirs: BTreeSet<Arc<str>> =
            members.iter().filter_map(|member| Some(member.instance.as_ref()?.key.clone())).collect();
        assert_eq!(self.engine.running(), theirs, "what runs, and what the members are");
    }

    /// What has to hold at the end of the program.
    pub fn check_closed(&self) {
        self.check_truth();
        let members = self.fleet.replicas();
        assert!(members.is_empty(), "members are left: {members:?}");
        let running = self.engine.running();
        assert!(running.is_empty(), "left running: {running:?}");
    }

    /// What holds whenever nobody is at work.
    fn check_truth(&self) {
        let faults = self.engine.faults();
        assert!(faults.is_empty(), "{faults:?}");
        let (members, running) = (self.fleet.replicas(), self.engine.running());
        for member in &members {
            assert!(!member.claimed, "a claim was kept: {member:?}");
            let runs = member.instance.as_ref().is_some_and(|instance| running.contains(&instance.key));
            assert!(runs || member.phase != Phase::Serving, "serves and does not run: {member:?}");
        }
    }

    /// Looks for strays until there are none. What nobody ever looks for shows as a run without an end.
    fn clear_away(&self) {
        while !self.strays_are_gone() {
            self.look_for_strays();
            thread::yield_now();
        }
    }

    /// A search for strays, if there is reason for one.
    pub fn look_for_strays(&self) {
        self.supervisor.look_for_strays(Instant::now() + NEVER);
    }

    fn strays_are_gone(&self) -> bool {
        let members = self.fleet.watched();
        let known = |key: &Arc<str>| {
            members.iter().any(|it| it.instance.as_ref().is_some_and(|instance| instance.key == *key))
        };
        self.engine.running().iter().all(known)
    }
}

/// A name that is known to be legal.
pub fn host(name: &str) -> Hostname {
    Hostname::parse(name).unwrap()
}

fn hosts(names: &[&str]) -> Vec<Hostname> {
    names.iter().map(|name| host(name)).collect()
}
