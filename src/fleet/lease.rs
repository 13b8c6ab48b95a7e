//! Holds on a replica that cannot be forgotten: dropping them gives back what they took.

use std::net::SocketAddr;

use super::{Fleet, ReplicaId};

/// One request's hold on a replica: it counts as in flight there until this is dropped.
pub struct Lease {
    fleet: Fleet,
    id: ReplicaId,
    address: SocketAddr,
}

impl Lease {
    pub(super) fn new(fleet: Fleet, id: ReplicaId, address: SocketAddr) -> Lease {
        Lease { fleet, id, address }
    }

    /// The replica that was chosen.
    pub fn replica(&self) -> ReplicaId {
        self.id
    }

    /// Where it served when it was chosen.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.fleet.release(self.id);
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
