//! Which replica takes a request. Pure: the ring, the loads and what was tried go in, a choice comes out, and it is counted
//! in the same step, so that two requests that come at once cannot both find the same replica idle.
//!
//! | policy | who is chosen | cost |
//! |---|---|---|
//! | `hash` | the owner of the request's key | that of the ring's lookup |
//! | `hash-bounded` | the owner, unless it has more than its part of all requests in flight: then the next one | the same; for those that overflow a walk, up to microseconds |
//! | `round-robin` | each in its turn, smoothly by weight | grows with N |
//! | `least-connections` | whoever has the fewest in flight for its weight | grows with N |
//! | `two-choices` | the less loaded of two drawn by chance | constant with equal weights |
//! | `random` | any, by weight | constant with equal weights |

mod bounded;
mod hash;
mod least_connections;
mod loads;
mod random;
mod round_robin;
mod two_choices;

use std::collections::BTreeMap;
use std::fmt;

pub use bounded::Bound;
pub use hash::random_request_id;
use loads::Loads;

use crate::ring::{Ring, RingId, Weight};

/// How a replica is chosen for a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Policy {
    /// The owner of the request's key.
    Hash,
    /// The owner of the request's key, unless it is too busy.
    HashBounded(Bound),
    /// Each in its turn.
    RoundRobin,
    /// Whoever has the fewest requests in flight.
    LeastConnections,
    /// The less busy of two.
    TwoChoices,
    /// Anyone.
    Random,
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Policy::Hash => "hash",
            Policy::HashBounded(_) => "hash-bounded",
            Policy::RoundRobin => "round-robin",
            Policy::LeastConnections => "least-connections",
            Policy::TwoChoices => "two-choices",
            Policy::Random => "random",
        })
    }
}

impl Policy {
    /// Whether it asks the ring, and so the request's key.
    pub fn is_hashed(self) -> bool {
        matches!(self, Policy::Hash | Policy::HashBounded(_))
    }
}

/// A policy with what it has to know: how busy each replica is, and whose turn it is.
#[derive(Clone, Debug)]
pub struct Balance {
    policy: Policy,
    loads: Loads,
}

impl Balance {
    /// A balance of nobody.
    pub fn new(policy: Policy) -> Balance {
        Balance { policy, loads: Loads::default() }
    }

    /// How replicas are chosen.
    pub fn policy(&self) -> Policy {
        self.policy
    }

    /// Enters a replica, which does not serve yet.
    pub fn add(&mut self, id: RingId, weight: Weight) {
        self.loads.add(id, weight);
    }

    /// Forgets a replica and what it has in flight.
    pub fn remove(&mut self, id: RingId) {
        self.loads.remove(id);
    }

    /// Lets replicas be chosen, or not any more; what they have in flight stays counted.
    pub fn set_serving(&mut self, ids: &[RingId], serving: bool) {
        self.loads.set_serving(ids, serving);
    }

    /// Chooses a serving replica that is not in `tried` and counts the request on it. `None` if there is none.
    pub fn take(&mut self, ring: &Ring, request: u64, tried: &[RingId]) -> Option<RingId> {
        let loads = &mut self.loads;
        let chosen = match self.policy {
            Policy::Hash => hash::choose(ring, request, tried),
            Policy::HashBounded(bound) => bounded::choose(bound, loads, ring, request, tried),
            Policy::RoundRobin => round_robin::choose(loads, tried),
            Policy::LeastConnections => least_connections::choose(loads, tried),
            Policy::TwoChoices => two_choices::choose(loads, tried),
            Policy::Random => random::choose(loads, tried),
        }?;
        loads.begin(chosen);
        Some(chosen)
    }

    /// Counts one request down; returns how many the replica has left.
    pub fn give_back(&mut self, id: RingId) -> usize {
        self.loads.end(id)
    }

    /// The part of all requests that each one that serves gets by its weight.
    pub fn spread(&self) -> BTreeMap<RingId, f64> {
        let all = self.loads.total_weight() as f64;
        self.loads.serving().iter().map(|load| (load.id, f64::from(load.weight) / all)).collect()
    }

    /// How many requests a replica has in flight.
    pub fn in_flight(&self, id: RingId) -> usize {
        self.loads.in_flight(id)
    }
}
