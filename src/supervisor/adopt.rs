//! What is there already: replicas of an earlier run, and what failed launches have left.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, PoisonError};
use std::time::Instant;

use super::Inner;
use super::strays::Strays;
use crate::fleet::{Recruit, ReplicaId};
use crate::heartbeat::{Heartbeat, Pulse};
use crate::journal::Kind;
use crate::launcher::{LaunchError, Order, Survivor};
use crate::replica::Hostname;
use crate::ring::Weight;
use crate::sync::MutexGuard;

impl Inner {
    /// Adopts what an earlier run left and enlists as many new replicas as are missing from `wanted`.
    pub(super) fn fill(self: &Arc<Self>, wanted: usize, survivors: Vec<Survivor>) -> Result<(), LaunchError> {
        self.has_adopted.store(!survivors.is_empty(), Relaxed);
        self.adopt(self.one_of_each(survivors));
        let missing = wanted.saturating_sub(self.fleet.listing().len());
        let names = self.free_names(missing, &self.launcher.taken_names()?);
        let recruits: Vec<Recruit> = names.into_iter().map(Recruit::from).collect();
        let ids = self.fleet.recruit(&recruits).map_err(LaunchError)?;
        self.fleet.enlist(&ids);
        Ok(())
    }

    /// Of several with one ring identity, the one that runs: the others are lives of the same replica that were to be
    /// removed when the earlier run ended.
    fn one_of_each(&self, mut survivors: Vec<Survivor>) -> Vec<Survivor> {
        survivors.sort_by_key(|survivor| (survivor.order.ring_id, survivor.instance.is_none()));
        survivors.dedup_by(|other, first| {
            let is_same = other.order.ring_id == first.order.ring_id;
            if is_same {
                log::warn!(
                    "{} is another life of {}: not adopted",
                    other.order.hostname,
                    first.order.hostname
                );
                self.suspect_stray(&other.order.hostname);
            }
            is_same
        });
        survivors
    }

    /// Makes members of survivors; those that answer serve at once. One that is odd is never in the way of the rest.
    fn adopt(self: &Arc<Self>, survivors: Vec<Survivor>) {
        let adopted: Vec<_> = survivors.into_iter().filter_map(|survivor| self.adopt_one(survivor)).collect();
        let heartbeat = &self.settings.heartbeat;
        let running: Vec<_> = adopted
            .into_iter()
            .filter_map(|(id, hostname)| Some((id, hostname, self.fleet.watch(id)?.instance?)))
            .collect();
        let pulses = running.iter().map(|(_, hostname, instance)| {
            let (inner, address, hostname) = (self.clone(), instance.address, hostname.clone());
            let heartbeat = heartbeat.clone();
            move || inner.pulse(&Heartbeat::new(&heartbeat), &hostname, address)
        });
        let pulses = self.crew.run_all(pulses.collect());
        for ((id, hostname, instance), pulse) in running.into_iter().zip(pulses) {
            match pulse {
                Some(Pulse::Good(_)) => {
                    self.fleet.admit(&[id]);
                    // What is somebody else's is of no earlier run.
                    let (kind, found) = match self.launcher.is_fixed() {
                        true => (Kind::Joined, "found"),
                        false => (Kind::Adopted, "adopted"),
                    };
                    log::info!("{found} {hostname} at {}, ring id {}", instance.address, id.ring_id);
                    self.journal.note(kind, Some(&hostname), format!("at {}", instance.address));
                }
                // The watchdog will say so.
                _ if self.launcher.is_fixed() => {}
                _ => log::warn!("{hostname} of an earlier run does not answer"),
            }
        }
    }

    fn adopt_one(&self, survivor: Survivor) -> Option<(ReplicaId, Hostname)> {
        let Survivor { order: Order { hostname, ring_id, slots, weight }, instance, .. } = survivor;
        let recruit = Recruit { hostname: hostname.clone(), weight };
        if weight != Weight::ONE && !self.fleet.has_weights() {
            log::warn!(
                "{hostname} of an earlier run has weight {weight}, which has no effect with these settings"
            );
        }
        let restored =
            self.fleet.restore(recruit.clone(), ring_id, &slots, instance.clone()).or_else(|why| {
                // Its identity is another's, which only hands other than ours can have brought about. It keeps its name.
                log::warn!("{hostname} of an earlier run gets a new place on the ring: {why}");
                let id = self.fleet.recruit(std::slice::from_ref(&recruit))?[0];
                self.fleet.set_instance(id, instance.clone());
                self.fleet.enlist(&[id]);
                Ok::<_, String>(id)
            });
        match restored {
            Ok(id) => {
                // What is left of it is its record until the launch of its next life clears it away.
                if instance.is_none() && !self.launcher.is_fixed() {
                    log::info!("{hostname} of an earlier run has ended, it is launched again");
                }
                Some((id, hostname))
            }
            Err(why) => {
                log::error!(
                    "cannot adopt {hostname} of an earlier run; it will be removed in the end: {why}"
                );
                None
            }
        }
    }

    /// Notes that something failed that may have left something running under this name.
    pub(super) fn suspect_stray(&self, hostname: &Hostname) {
        if !self.launcher.is_fixed() {
            self.lock_strays().suspect(hostname.clone(), Instant::now());
        }
    }

    pub(super) fn lock_strays(&self) -> MutexGuard<'_, Strays> {
        self.strays.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Removes strays while no name can become a member's: an addition that took over what an earlier launch left would
    /// lose it again to a search that had found it before.
    pub(super) fn search_for_strays(&self) {
        let _change = self.lock_changes();
        // The end looks for them itself.
        if !self.shutdown.begun() {
            let suspects = self.lock_strays().names();
            self.remove_strays(|name| suspects.contains(name));
        }
    }

    /// Removes what carries our label, is no member and has one of these names: a launch that was given up on and came
    /// about after all. (What has another name may be the addition of another balancer, which is to take over.)
    pub(super) fn remove_strays(&self, is_suspect: impl Fn(&Hostname) -> bool) {
        let found = match self.launcher.survivors() {
            Ok(found) => found,
            Err(error) => return log::debug!("cannot look for strays: {error}"),
        };
        // In this order: whatever was found had been launched for a member, and is a stray only if that has gone.
        let members = self.our_names();
        let is_stray = |name: &Hostname| !members.contains(name) && is_suspect(name);
        for stray in found.iter().filter(|found| is_stray(&found.order.hostname)) {
            let name = &stray.order.hostname;
            match self.launcher.stop(&stray.key, None) {
                Ok(()) => log::warn!("removed {name}, left by a launch that had been given up"),
                Err(error) => {
                    log::warn!("cannot remove {name}, left by a launch that had been given up: {error}")
                }
            }
        }
    }
}
