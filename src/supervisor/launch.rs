//! Launching one replica: again after it failed, or for the first time.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::{Inner, RespawnName};
use crate::fleet::{Claim, Phase, Replica, ReplicaId};
use crate::heartbeat::{Heartbeat, Pulse};
use crate::launcher::{LaunchError, Order};
use crate::replica::{Hostname, Instance};

/// Pause between heartbeats to a replica that was just launched. Such a replica serves a few milliseconds after
/// its launch, and everybody waits for that.
const FIRST_HEARTBEAT_PAUSE: Duration = Duration::from_millis(10);

/// How a relaunch went that did not fail.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Relaunch {
    /// It serves.
    Serving(Stages),
    /// There was nothing to do, or somebody else does it.
    NotNeeded,
}

/// How long each stage of a launch took.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Stages {
    /// Until somebody had time for it.
    pub waited: Duration,
    /// Ending and removing what was left of the last life.
    pub removed: Duration,
    /// Starting the new instance.
    pub started: Duration,
    /// From then until its first good heartbeat.
    pub answered: Duration,
}

impl Inner {
    /// Launches a recruit or a replica that is down and waits for its first good heartbeat; leaves nothing running
    /// if that does not come. The caller holds the claim.
    pub(super) fn launch(&self, claim: &Claim) -> Result<Stages, LaunchError> {
        let (id, begun) = (claim.replica(), Instant::now());
        let (order, instance) = self.start(id)?;
        let started = begun.elapsed();
        let first = self.first_heartbeat(id, &order.hostname, &instance);
        first.map_err(|why| {
            let mut message = format!("'{}' started but {why}", order.hostname);
            if let Err(error) = self.stop_instance(id, &instance, None) {
                message += &format!("; and it could not be stopped: {error}");
            }
            LaunchError(message)
        })?;
        Ok(Stages { started, answered: begun.elapsed() - started, ..Stages::default() })
    }

    /// Has the launcher start a replica, and records what runs it.
    fn start(&self, id: ReplicaId) -> Result<(Order, Instance), LaunchError> {
        let order = self.order(id)?;
        let instance = self.launcher.start(&order).inspect_err(|_| self.suspect_stray(&order.hostname))?;
        self.fleet.set_instance(id, Some(instance.clone()));
        Ok((order, instance))
    }

    /// Has the launcher find a replica that is somebody else's, and records where it is.
    fn find(&self, id: ReplicaId) -> Result<(), LaunchError> {
        let instance = self.launcher.start(&self.order(id)?)?;
        self.fleet.locate(id, instance);
        Ok(())
    }

    fn order(&self, id: ReplicaId) -> Result<Order, LaunchError> {
        let Some(replica) = self.fleet.replica(id) else {
            return Err(LaunchError("the replica is gone".to_owned()));
        };
        let Replica { hostname, slots, weight, .. } = replica;
        Ok(Order { hostname, ring_id: id.ring_id, slots, weight })
    }

    fn first_heartbeat(&self, id: ReplicaId, hostname: &Hostname, instance: &Instance) -> Result<(), String> {
        let heartbeat = Heartbeat::new(&self.settings.heartbeat);
        let deadline = Instant::now() + self.settings.start_timeout;
        loop {
            let why = match self.pulse(&heartbeat, hostname, instance.address) {
                Pulse::Good(_) => return Ok(()),
                Pulse::Missed(miss) => miss.why,
                Pulse::Unknown(why) => why,
            };
            if self.ended.contains(&instance.key) {
                return Err("ended at once".to_owned());
            }
            if Instant::now() >= deadline {
                return Err(format!("does not answer after {:?}: {why}", self.settings.start_timeout));
            }
            if !self.is_wanted(id) {
                return Err("is not wanted any more".to_owned());
            }
            if self.shutdown.sleep(FIRST_HEARTBEAT_PAUSE) {
                return Err("the balancer is shutting down".to_owned());
            }
        }
    }

    /// One heartbeat of a replica, which must say to be itself if it is ours.
    pub(super) fn pulse(&self, heartbeat: &Heartbeat, hostname: &Hostname, address: SocketAddr) -> Pulse {
        let expected = Some(hostname.as_str()).filter(|_| !self.launcher.is_fixed());
        heartbeat.pulse(address, expected)
    }

    pub(super) fn stop_instance(
        &self,
        id: ReplicaId,
        instance: &Instance,
        grace: Option<Duration>,
    ) -> Result<(), LaunchError> {
        self.launcher.stop(&instance.key, grace).inspect_err(|_| {
            if let Some(replica) = self.fleet.watch(id) {
                self.suspect_stray(&replica.hostname);
            }
        })?;
        self.fleet.set_instance(id, None);
        Ok(())
    }

    /// Whether a replica is a member that is to be launched while it is down.
    pub(super) fn is_wanted(&self, id: ReplicaId) -> bool {
        self.fleet.watch(id).is_some_and(|replica| replica.phase != Phase::Leaving)
    }

    /// Launches a replica again that is down; `asked` is when that was wanted.
    pub(super) fn relaunch(&self, id: ReplicaId, asked: Instant) -> Result<Relaunch, LaunchError> {
        let Some(claim) = self.fleet.claim(id) else {
            return Ok(Relaunch::NotNeeded);
        };
        let Some(replica) = self.fleet.watch(id).filter(|replica| replica.phase == Phase::Down) else {
            return Ok(Relaunch::NotNeeded);
        };
        if self.shutdown.begun() {
            return Ok(Relaunch::NotNeeded);
        }
        if self.launcher.is_fixed() {
            // It has only been found; whether it is well its heartbeats will tell.
            return self.find(id).map(|()| Relaunch::NotNeeded);
        }
        let begun = Instant::now();
        let mut removed = Duration::ZERO;
        let launched = match (&replica.instance, self.settings.respawn_name) {
            (None, _) => self.launch_and_admit(&claim)?,
            (Some(old), RespawnName::Same) => {
                // The new one needs the name of the old.
                self.stop_instance(id, old, None)?;
                removed = begun.elapsed();
                self.launch_and_admit(&claim)?
            }
            (Some(old), RespawnName::Random) => {
                self.launch_before_removing(&claim, &replica.hostname, old)?
            }
        };
        Ok(launched.map_or(Relaunch::NotNeeded, |stages| {
            Relaunch::Serving(Stages { waited: begun - asked, removed, ..stages })
        }))
    }

    /// `None` for a replica that is not wanted any more.
    fn launch_and_admit(&self, claim: &Claim) -> Result<Option<Stages>, LaunchError> {
        let stages = self.launch(claim)?;
        Ok((self.fleet.admit(&[claim.replica()]) > 0).then_some(stages))
    }

    /// With a name of its own the new one need not wait until the old one is gone. If it does not come about, everything is
    /// as before: the old one may recover.
    fn launch_before_removing(
        &self,
        claim: &Claim,
        name: &Hostname,
        old: &Instance,
    ) -> Result<Option<Stages>, LaunchError> {
        let id = claim.replica();
        self.fleet.rename(id, Hostname::random(fastrand::u64(..))).map_err(LaunchError)?;
        let launched = self.launch_and_admit(claim).inspect_err(|_| {
            self.fleet.set_instance(id, Some(old.clone()));
            if let Err(why) = self.fleet.rename(id, name.clone()) {
                log::error!("ring id {} keeps its new name: {why}", id.ring_id);
            }
        })?;
        if let Err(error) = self.launcher.stop(&old.key, None) {
            self.suspect_stray(name);
            log::warn!("what is left of {name} could not be removed: {error}");
        }
        Ok(launched)
    }
}
