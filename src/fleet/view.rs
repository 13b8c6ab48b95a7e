//! What the fleet shows of a replica to those outside.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use crate::balance::Policy;
use crate::metrics::Meter;
use crate::replica::{Hostname, Instance};
use crate::ring::{RingId, Shape, Weight};

/// One replica, for as long as it is a member: through relaunches and changes of name, and never used again.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ReplicaId {
    /// Its identity on the ring; free for another replica once this one has gone.
    pub ring_id: RingId,
    /// Counts all replicas that this process ever had, so that two that followed each other on the same ring
    /// identity are told apart.
    pub(super) serial: u64,
}

/// Where a replica stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Phase {
    /// Part of an addition that is not complete: not listed, not routed to, ours to take back.
    Joining,
    /// A member that does not serve: not launched yet, failed, or being relaunched.
    Down,
    /// A member in the ring.
    Serving,
    /// Out of the ring for good, finishing what it holds.
    Leaving,
}

/// What a replica is to be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Recruit {
    /// What it is called.
    pub hostname: Hostname,
    /// How large its share is beside those of others; without effect under a policy and scheme that have no weights.
    pub weight: Weight,
}

impl From<Hostname> for Recruit {
    /// One of weight one.
    fn from(hostname: Hostname) -> Recruit {
        Recruit { hostname, weight: Weight::ONE }
    }
}

/// A replica as it was at one moment.
#[derive(Clone, Debug)]
pub struct Replica {
    /// Who it is.
    pub id: ReplicaId,
    /// What it is called.
    pub hostname: Hostname,
    /// Where it stands.
    pub phase: Phase,
    /// What runs it, if anything does.
    pub instance: Option<Instance>,
    /// Requests it holds.
    pub in_flight: usize,
    /// How large its share is beside those of others.
    pub weight: Weight,
    /// Whether somebody holds the claim on it.
    pub claimed: bool,
    /// Its slots on the ring, in the order of its virtual servers.
    pub slots: Vec<usize>,
    /// How many slots of the ring it answers for at the moment: its own, and those before them whose replicas are away.
    pub owned_slots: usize,
    /// What keeps it from serving, if it failed lately.
    pub trouble: Option<Trouble>,
    /// Since when it stands there.
    pub since: Instant,
    /// What is counted and noted of it.
    pub meter: Arc<Meter>,
}

/// All that there is to know of a fleet, as it was at one moment.
#[derive(Clone, Debug)]
pub struct Overview {
    /// Every replica, oldest first.
    pub replicas: Vec<Replica>,
    /// The part of all requests that each one in the ring may expect: under a policy that hashes, if every routing key is
    /// as likely as any other.
    pub spread: BTreeMap<RingId, f64>,
    /// Replicas are in the ring that have failed, because too many have.
    pub in_panic: bool,
    /// The measures of the ring.
    pub shape: Shape,
    /// How a replica is chosen for a request.
    pub policy: Policy,
}

/// Why a replica is down, and what will be done about it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Trouble {
    /// Failures in a row, without a minute of health between them.
    pub failures: u32,
    /// When it is launched again, or looked for if it is somebody else's, if that is not under way already.
    pub next_try: Option<Instant>,
    /// What went wrong last.
    pub last_error: String,
}

impl Trouble {
    /// Whether it has failed again and again, so that its launches are put off.
    pub fn is_crash_loop(&self) -> bool {
        self.failures > 1
    }
}

/// What whoever watches a replica has to know of it.
#[derive(Clone, Debug)]
pub struct Watched {
    /// Who it is.
    pub id: ReplicaId,
    /// What it is called.
    pub hostname: Hostname,
    /// Where it stands.
    pub phase: Phase,
    /// What runs it, if anything does.
    pub instance: Option<Instance>,
    /// Where it was until another was launched there; nothing runs it since.
    pub lost: Option<SocketAddr>,
    /// Whether somebody holds the claim on it.
    pub claimed: bool,
    /// What is counted and noted of it.
    pub meter: Arc<Meter>,
}
