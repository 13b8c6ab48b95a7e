//! Holds on a replica that cannot be forgotten: dropping them gives back what they took.

use std::net::SocketAddr;
use std::sync::Arc;

use super::{Fleet, ReplicaId};
use crate::metrics::Meter;
use crate::replica::Hostname;

/// The replica that was chosen for a request.
pub(super) struct Chosen {
    pub(super) id: ReplicaId,
    pub(super) address: SocketAddr,
    pub(super) hostname: Hostname,
    pub(super) meter: Arc<Meter>,
}

/// One request's hold on a replica: it counts as in flight there until this is dropped.
pub struct Lease {
    fleet: Fleet,
    chosen: Chosen,
}

impl Lease {
    pub(super) fn new(fleet: Fleet, chosen: Chosen) -> Lease {
        Lease { fleet, chosen }
    }

    /// The replica that was chosen.
    pub fn replica(&self) -> ReplicaId {
        self.chosen.id
    }

    /// Where it served when it was chosen.
    pub fn address(&self) -> SocketAddr {
        self.chosen.address
    }

    /// What it was called when it was chosen.
    pub fn hostname(&self) -> &Hostname {
        &self.chosen.hostname
    }

    /// What is counted of it.
    pub fn meter(&self) -> &Arc<Meter> {
        &self.chosen.meter
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.fleet.release(self.chosen.id);
    }
}

/// The right to launch or stop one replica: nobody else has it while this lives.
pub struct Claim {
    fleet: Fleet,
    id: ReplicaId,
}

impl Claim {
    pub(super) fn new(fleet: Fleet, id: ReplicaId) -> Claim {
        Claim { fleet, id }
    }

    /// The replica that is claimed.
    pub fn replica(&self) -> ReplicaId {
        self.id
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.fleet.unclaim(self.id);
    }
}
