//! `/_ringmaster/status`: what there is, replica by replica, and what is being done about those that are down.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Instant;

use serde::Serialize;

use crate::fleet::{Fleet, Overview, Phase, Replica};
use crate::ring::RingId;

/// The whole of it.
#[derive(Serialize)]
pub(super) struct Status {
    version: &'static str,
    /// Members, as `/rep` counts them.
    #[serde(rename = "N")]
    n: usize,
    /// Those of them that are in the ring.
    serving: usize,
    /// Replicas are in the ring that have failed, because too many have.
    panic: bool,
    /// How a replica is chosen for a request.
    policy: String,
    /// How keys find their replicas.
    scheme: String,
    /// Slots of the ring, or entries of its lookup table; 0 for none.
    slots: usize,
    replicas: Vec<Entry>,
}

/// One replica, also one that is joining or leaving.
#[derive(Serialize)]
struct Entry {
    name: String,
    ring_id: u32,
    state: &'static str,
    address: Option<SocketAddr>,
    /// What runs it: the full container id, or a number that the launcher gave it.
    instance: Option<String>,
    /// How large its share is beside those of others.
    weight: u32,
    /// The part of all requests that it may expect at the moment; under a policy that hashes, if each routing key is as
    /// likely as any other.
    share: f64,
    /// Requests that it holds.
    in_flight: usize,
    /// Its slots, in the order of its virtual servers.
    slots: Vec<usize>,
    /// Slots whose requests it gets at the moment; of all that serve together, every slot of the ring.
    owned_slots: usize,
    /// In a row, without a minute of health between them.
    failures: u32,
    /// Until it is launched again, if that is not under way.
    next_try_ms: Option<u64>,
    last_error: Option<String>,
}

impl Status {
    /// As it is at `now`.
    pub(super) fn of(fleet: &Fleet, now: Instant) -> Status {
        let Overview { replicas, spread, in_panic, shape, policy } = fleet.overview();
        let count =
            |phases: &[Phase]| replicas.iter().filter(|replica| phases.contains(&replica.phase)).count();
        Status {
            version: env!("CARGO_PKG_VERSION"),
            n: count(&[Phase::Down, Phase::Serving]),
            serving: count(&[Phase::Serving]),
            panic: in_panic,
            policy: policy.to_string(),
            scheme: shape.scheme().to_string(),
            slots: shape.slots(),
            replicas: replicas.into_iter().map(|replica| Entry::of(replica, &spread, now)).collect(),
        }
    }
}

impl Entry {
    fn of(replica: Replica, spread: &BTreeMap<RingId, f64>, now: Instant) -> Entry {
        let state = state(&replica);
        let Replica { id, hostname, instance, weight, in_flight, slots, owned_slots, trouble, .. } = replica;
        let next_try = trouble.as_ref().and_then(|trouble| trouble.next_try).filter(|next| *next > now);
        let left = next_try.map(|next| next.saturating_duration_since(now).as_millis());
        Entry {
            name: hostname.to_string(),
            ring_id: id.ring_id.0,
            state,
            address: instance.as_ref().map(|instance| instance.address),
            instance: instance.map(|instance| instance.key.to_string()),
            weight: weight.get(),
            share: spread.get(&id.ring_id).copied().unwrap_or(0.0),
            in_flight,
            slots,
            owned_slots,
            failures: trouble.as_ref().map_or(0, |trouble| trouble.failures),
            next_try_ms: left.map(|ms| u64::try_from(ms).unwrap_or(u64::MAX)),
            last_error: trouble.map(|trouble| trouble.last_error),
        }
    }
}

fn state(replica: &Replica) -> &'static str {
    match replica.phase {
        Phase::Joining => "joining",
        Phase::Down if replica.trouble.as_ref().is_some_and(|trouble| trouble.is_crash_loop()) => {
            "crash loop"
        }
        Phase::Down => "down",
        Phase::Serving => "serving",
        Phase::Leaving => "leaving",
    }
}
