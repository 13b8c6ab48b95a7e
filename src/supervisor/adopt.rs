//! What is there already: replicas of an earlier run, and what failed launches have left.

use std::sync::{Arc, PoisonError};
use std::time::Instant;

use super::Inner;
use super::strays::Strays;
use crate::fleet::ReplicaId;
use crate::heartbeat::{Heartbeat, Pulse};
use crate::launcher::{LaunchError, Order, Survivor};
use crate::replica::Hostname;
use crate::sync::MutexGuard;

impl Inner {
    /// Adopts what an earlier run left and enlists as many new replicas as are missing from `wanted`.
    pub(super) fn fill(self: &Arc<Self>, wanted: usize) -> Result<(), LaunchError> {
        self.adopt(self.launcher.survivors()?);
        let missing = wanted.saturating_sub(self.fleet.listing().len());
        let names = self.free_names(missing, &self.launcher.taken_names()?);
        let ids = self.fleet.recruit(&names).map_err(LaunchError)?;
        self.fleet.enlist(&ids);
        Ok(())
    }

    /// Makes members of survivors; those that answer serve at once. One that is odd is never in the way of the rest.
    fn adopt(self: &Arc<Self>, mut survivors: Vec<Survivor>) {
        survivors.sort_by_key(|survivor| survivor.order.ring_id);
        let adopted: Vec<_> = survivors.into_iter().filter_map(|survivor| self.adopt_one(survivor)).collect();
        let heartbeat = &self.settings.heartbeat;
        let running: Vec<_> = adopted
            .into_iter()
            .filter_map(|(id, hostname)| Some((id, hostname, self.fleet.replica(id)?.instance?)))
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
                    log::info!("adopted {hostname} at {}, ring id {}", instance.address, id.ring_id);
                }
                // The watchdog will say so.
                _ if self.launcher.is_fixed() => {}
                _ => log::warn!("{hostname} of an earlier run does not answer"),
            }
        }
    }

    fn adopt_one(&self, survivor: Survivor) -> Option<(ReplicaId, Hostname)> {
        let Survivor { order: Order { hostname, ring_id, slots }, instance, .. } = survivor;
        let restored =
            self.fleet.restore(hostname.clone(), ring_id, &slots, instance.clone()).or_else(|why| {
                // Its identity is another's, which only hands other than ours can have brought about. It keeps its name.
                log::warn!("{hostname} of an earlier run gets a new place on the ring: {why}");
                let id = self.fleet.recruit(std::slice::from_ref(&hostname))?[0];
                self.fleet.set_instance(id, instance.clone());
                self.fleet.enlist(&[id]);
                Ok::<_, String>(id)
            });
        match restored {
            Ok(id) => {
                // What is left of it is its record until the launch of its next life clears it away.
                if instance.is_none() {
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

    /// Notes that something failed that may have left something running.
    pub(super) fn suspect_strays(&self) {
        self.lock_strays().suspect(Instant::now());
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
            self.remove_strays();
        }
    }

    /// Removes what carries our label and is no member: a launch that was given up on and came about after all.
    pub(super) fn remove_strays(&self) {
        let found = match self.launcher.survivors() {
            Ok(found) => found,
            Err(error) => return log::debug!("cannot look for strays: {error}"),
        };
        // In this order: whatever was found had been launched for a member, and is a stray only if that has gone.
        let members = self.our_names();
        for stray in found.iter().filter(|found| !members.contains(&found.order.hostname)) {
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
