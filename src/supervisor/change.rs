//! Who the members are: additions, removals and the end, all or nothing.

use std::collections::BTreeSet;
use std::iter::repeat;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use super::{CLAIM_WAIT, Inner, STOP_GRACE};
use crate::fleet::{Recruit, Replica, ReplicaId};
use crate::journal::Kind;
use crate::launcher::LaunchError;
use crate::replica::Hostname;
use crate::ring::Weight;
use crate::sync::MutexGuard;

/// Why a change did not come about. The text names the value or the replica concerned.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ChangeError {
    /// What was asked for is not possible; nothing was attempted.
    Refused(String),
    /// It was attempted and failed; what had been done was undone.
    Failed(String),
    /// The balancer is shutting down.
    Stopping,
}

impl From<LaunchError> for ChangeError {
    fn from(error: LaunchError) -> ChangeError {
        ChangeError::Failed(error.0)
    }
}

impl Inner {
    pub(super) fn lock_changes(&self) -> MutexGuard<'_, ()> {
        self.change.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The names of all replicas, also of those that are coming or going.
    pub(super) fn our_names(&self) -> BTreeSet<Hostname> {
        self.fleet.watched().into_iter().map(|replica| replica.hostname).collect()
    }

    /// The first `n` names `server_<k>` that nobody has.
    pub(super) fn free_names(&self, n: usize, taken: &BTreeSet<String>) -> Vec<Hostname> {
        let ours = self.our_names();
        let free = |name: &Hostname| !ours.contains(name) && !taken.contains(name.as_str());
        (1..).map(Hostname::numbered).filter(free).take(n).collect()
    }

    pub(super) fn add(
        self: &Arc<Self>,
        n: usize,
        hostnames: &[Hostname],
        weights: &[Weight],
    ) -> Result<Vec<Hostname>, ChangeError> {
        let names = self.names_for(n, hostnames)?;
        self.check_weights(n, weights)?;
        let weights = weights.iter().copied().chain(repeat(Weight::ONE));
        let recruits: Vec<Recruit> = names
            .iter()
            .zip(weights)
            .map(|(name, weight)| Recruit { hostname: name.clone(), weight })
            .collect();
        let ids = self.fleet.recruit(&recruits).map_err(ChangeError::Refused)?;
        let launches = ids.iter().map(|&id| {
            let inner = self.clone();
            move || match inner.fleet.claim(id) {
                Some(claim) => inner.launch(&claim).map(drop),
                None => Err(LaunchError("somebody else works on it".to_owned())),
            }
        });
        let begun = Instant::now();
        let outcomes = self.crew.run_all(launches.collect());
        // The first may have died while the last was starting.
        let lives = |id: ReplicaId| match self.fleet.watch(id).and_then(|replica| replica.instance) {
            Some(instance) if !self.ended.contains(&instance.key) => Ok(()),
            // It may have lost its address to another already.
            _ => Err(LaunchError("it has ended".to_owned())),
        };
        let outcomes =
            ids.iter().zip(outcomes).map(|(&id, outcome)| outcome.map(|outcome| outcome.and(lives(id))));
        let failures: Vec<String> = names
            .iter()
            .zip(outcomes)
            .filter_map(|(name, outcome)| failure(name, "start", outcome))
            .collect();
        if !failures.is_empty() {
            self.roll_back(&ids);
            if self.shutdown.begun() {
                return Err(ChangeError::Stopping);
            }
            return Err(ChangeError::Failed(format!("{}; nothing was added", failures.join("; "))));
        }
        self.fleet.admit(&ids);
        for name in &names {
            let after = format!("{:.2} s after it was asked for", begun.elapsed().as_secs_f64());
            log::info!("{name} joined, {after}");
            self.journal.note(Kind::Joined, Some(name), after);
        }
        Ok(self.fleet.listing())
    }

    fn check_weights(&self, n: usize, weights: &[Weight]) -> Result<(), ChangeError> {
        if weights.len() > n {
            let why = "Length of weights list is more than newly added instances";
            return Err(ChangeError::Refused(why.to_owned()));
        }
        match weights.iter().find(|weight| **weight != Weight::ONE && !self.fleet.has_weights()) {
            Some(weight) => {
                let (scheme, policy) = (self.fleet.shape().scheme(), self.fleet.policy());
                let why = format!(
                    "weight {weight} would have no effect: scheme {scheme} has no weights (policy {policy})"
                );
                Err(ChangeError::Refused(why))
            }
            None => Ok(()),
        }
    }

    /// The names of `n` new replicas: those asked for, then free ones of our own.
    fn names_for(&self, n: usize, hostnames: &[Hostname]) -> Result<Vec<Hostname>, ChangeError> {
        self.check(n, hostnames, "Length of hostname list is more than newly added instances")?;
        let total = self.fleet.listing().len();
        let max = self.settings.max_replicas;
        if n > max.saturating_sub(total) {
            let why = format!("cannot add {n} replicas to {total}: at most {max} are allowed");
            return Err(ChangeError::Refused(why));
        }
        let ours = self.our_names();
        if let Some(name) = hostnames.iter().find(|name| ours.contains(name)) {
            return Err(ChangeError::Refused(format!("hostname '{name}' is taken by a replica")));
        }
        let taken = self.launcher.taken_names()?;
        if let Some(name) = hostnames.iter().find(|name| taken.contains(name.as_str())) {
            return Err(ChangeError::Refused(format!("hostname '{name}' is taken by another container")));
        }
        let mut reserved = taken;
        reserved.extend(hostnames.iter().map(|name| name.as_str().to_owned()));
        let mut names = hostnames.to_vec();
        names.extend(self.free_names(n - hostnames.len(), &reserved));
        Ok(names)
    }

    /// What additions and removals have in common to refuse.
    fn check(&self, n: usize, hostnames: &[Hostname], too_many: &str) -> Result<(), ChangeError> {
        if self.shutdown.begun() {
            return Err(ChangeError::Stopping);
        }
        if self.launcher.is_fixed() {
            let why =
                "the replicas are not the balancer's to add or remove: it was started with --launcher static";
            return Err(ChangeError::Refused(why.to_owned()));
        }
        if hostnames.len() > n {
            return Err(ChangeError::Refused(too_many.to_owned()));
        }
        let mut seen = BTreeSet::new();
        match hostnames.iter().find(|name| !seen.insert(*name)) {
            Some(name) => Err(ChangeError::Refused(format!("hostname '{name}' is twice in the list"))),
            None => Ok(()),
        }
    }

    fn roll_back(self: &Arc<Self>, ids: &[ReplicaId]) {
        for failure in self.stop_and_dismiss(ids, None) {
            log::error!("rolling back an addition: {failure}");
        }
        // One that could not even be stopped is no member all the same: the addition has failed as a whole.
        ids.iter().for_each(|&id| self.fleet.dismiss(id));
    }

    pub(super) fn remove(
        self: &Arc<Self>,
        n: usize,
        hostnames: &[Hostname],
    ) -> Result<Vec<Hostname>, ChangeError> {
        self.check(n, hostnames, "Length of hostname list is more than removable instances")?;
        let leaving =
            self.fleet.leave(n, hostnames, self.settings.min_replicas).map_err(ChangeError::Refused)?;
        let mut gone = Vec::with_capacity(leaving.len());
        for replica in leaving.iter().filter_map(|&id| self.fleet.replica(id)) {
            let Replica { hostname, in_flight, .. } = replica;
            log::info!("{hostname} left the ring, {in_flight} requests in flight");
            gone.push((hostname, in_flight));
        }
        self.drain(&leaving, Instant::now() + self.settings.drain_timeout);
        let failures = self.stop_and_dismiss(&leaving, Some(STOP_GRACE));
        let ours = self.our_names();
        for (hostname, in_flight) in gone.iter().filter(|(hostname, _)| !ours.contains(hostname)) {
            let text = format!("it had {in_flight} requests in flight when it left the ring");
            self.journal.note(Kind::Left, Some(hostname), text);
        }
        if failures.is_empty() {
            return Ok(self.fleet.listing());
        }
        leaving.iter().for_each(|&id| self.fleet.take_back(id));
        Err(ChangeError::Failed(format!(
            "{}; what could not be stopped stays a replica",
            failures.join("; ")
        )))
    }

    pub(super) fn stop_everything(self: &Arc<Self>, deadline: Instant) {
        let everyone: Vec<ReplicaId> = self.fleet.replicas().iter().map(|replica| replica.id).collect();
        match self.fleet.leave(self.fleet.listing().len(), &[], 0) {
            Ok(leaving) => self.drain(&leaving, deadline),
            Err(why) => log::warn!("stopping without draining: {why}"),
        }
        let failures = self.stop_and_dismiss(&everyone, Some(STOP_GRACE));
        failures.iter().for_each(|failure| log::error!("{failure}"));
        self.remove_strays(|_| true);
        self.launcher.clean_up();
    }

    fn drain(&self, ids: &[ReplicaId], deadline: Instant) {
        let left = self.fleet.wait_until_drained(ids, deadline);
        if left > 0 {
            log::warn!(
                "{left} requests are still in flight on leaving replicas at the end of the drain timeout"
            );
        }
    }

    /// Stops replicas side by side and forgets those that were stopped; returns what went wrong with the others.
    fn stop_and_dismiss(self: &Arc<Self>, ids: &[ReplicaId], grace: Option<Duration>) -> Vec<String> {
        let replicas: Vec<_> = ids.iter().filter_map(|&id| self.fleet.watch(id)).collect();
        let stops = replicas.iter().map(|replica| {
            let (inner, id, hostname) = (self.clone(), replica.id, replica.hostname.clone());
            move || -> Result<(), LaunchError> {
                let busy = || LaunchError("somebody else works on it".to_owned());
                let _claim = inner.fleet.claim_within(id, Instant::now() + CLAIM_WAIT).ok_or_else(busy)?;
                match inner.fleet.watch(id).and_then(|replica| replica.instance) {
                    Some(instance) => inner.stop_instance(id, &instance, grace)?,
                    // The remains of an earlier life may be there still.
                    None => inner.suspect_stray(&hostname),
                }
                inner.fleet.dismiss(id);
                log::info!("{hostname} stopped");
                Ok(())
            }
        });
        let outcomes = self.crew.run_all(stops.collect());
        replicas
            .iter()
            .zip(outcomes)
            .filter_map(|(r, outcome)| failure(&r.hostname, "stop", outcome))
            .collect()
    }
}

/// What to say of one replica's part in a change, if it failed.
fn failure(name: &Hostname, what: &str, outcome: Option<Result<(), LaunchError>>) -> Option<String> {
    match outcome {
        Some(Ok(())) => None,
        Some(Err(error)) => Some(format!("'{name}' did not {what}: {error}")),
        None => Some(format!("'{name}' did not {what}: the work on it panicked")),
    }
}
