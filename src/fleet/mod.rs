//! The fleet: every replica, the ring they stand on, and the requests they hold, behind one mutex.
//!
//! Members, ring and in-flight counts are one truth and change together: choosing a replica and counting the request
//! on it is one step, so is taking it out of the ring and knowing what is still in flight on it.
//!
//! # About threads and cloning
//! [`Fleet`] is a handle; clones share the state. Each method takes the lock for microseconds at a time and does no I/O
//! under it; the guard never leaves this file. (Under `maglev`, and under `ketama` with hundreds of replicas, a change of
//! who serves takes up to some milliseconds: their tables are made anew under the lock.) Two methods wait on a condition
//! variable, which gives the lock back meanwhile: [`Fleet::wait_until_drained`] and [`Fleet::claim_within`].
//!
//! Invariant: nothing here starts, stops or asks a replica anything.

mod lease;
mod state;
mod view;

use std::net::SocketAddr;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

pub use lease::{Claim, Lease};
pub use view::{Overview, Phase, Recruit, Replica, ReplicaId, Trouble, Watched};

use crate::balance::Policy;
use crate::metrics::{Meter, Metrics};
use crate::replica::{Hostname, Instance};
use crate::ring::{Ring, RingId, Shape};
use crate::sync::{Condvar, Mutex, MutexGuard};
use state::State;

/// A handle on the shared state of the fleet.
#[derive(Clone)]
pub struct Fleet {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    metrics: Metrics,
    /// Told when something that a thread may wait for has happened: a leaving replica's last request ended, or a
    /// claim was given back.
    changed: Condvar,
}

impl Fleet {
    /// An empty fleet on a ring of this shape, whose requests go by this policy.
    pub fn new(shape: Shape, policy: Policy) -> Fleet {
        let metrics = Metrics::default();
        let state = State::new(Ring::new(shape), policy, Instant::now());
        Fleet { shared: Arc::new(Shared { state: Mutex::new(state), metrics, changed: Condvar::new() }) }
    }

    /// The instruments of the program that this is the fleet of; each replica's meter is one of them.
    pub fn metrics(&self) -> &Metrics {
        &self.shared.metrics
    }

    /// No operation on the state leaves it half changed by panicking between two writes, so a poisoned lock is as
    /// good as any; refusing it would end every worker.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // --- requests -------------------------------------------------------------------------------------------

    /// Chooses a serving replica for `request` that is not in `tried`, and counts the request on it.
    pub fn lease(&self, request: u64, tried: &[RingId]) -> Option<Lease> {
        let chosen = self.lock().choose_and_count(request, tried)?;
        Some(Lease::new(self.clone(), chosen))
    }

    /// The name of the replica that owns `request` on the ring, for those who explain a choice.
    pub fn owner(&self, request: u64) -> Option<Hostname> {
        self.lock().owner(request)
    }

    /// Gives the place of one request back; only a lease's `Drop` calls it.
    fn release(&self, id: ReplicaId) {
        let drained = self.lock().count_down(id);
        if drained {
            self.shared.changed.notify_all();
        }
    }

    // --- what there is --------------------------------------------------------------------------------------

    /// The names that make up N, oldest first: replicas that serve or are being brought back, without those of an
    /// addition under way or a removal under way.
    pub fn listing(&self) -> Vec<Hostname> {
        self.lock().listing()
    }

    /// Everything about every replica, oldest first.
    pub fn replicas(&self) -> Vec<Replica> {
        self.lock().replicas()
    }

    /// Everything about the fleet, as it is at one moment.
    pub fn overview(&self) -> Overview {
        self.lock().overview()
    }

    /// One replica as it is now; `None` when it has gone.
    pub fn replica(&self, id: ReplicaId) -> Option<Replica> {
        self.lock().replica(id)
    }

    /// What there is to watch, in no particular order: cheaper than [`Fleet::replicas`], for those who look often.
    pub fn watched(&self) -> Vec<Watched> {
        self.lock().watched()
    }

    /// The same of one replica; `None` when it has gone.
    pub fn watch(&self, id: ReplicaId) -> Option<Watched> {
        self.lock().watch(id)
    }

    /// The same of the one that is run by the instance with this key.
    pub fn run_by(&self, key: &str) -> Option<Watched> {
        self.lock().run_by(key)
    }

    /// Whether a replica is in the ring, as what serves at this address.
    pub fn serves_at(&self, id: ReplicaId, address: SocketAddr) -> bool {
        self.lock().serves_at(id, address)
    }

    // --- joining --------------------------------------------------------------------------------------------

    /// Gives each recruit a replica with a ring identity and slots of its own, all or none. They are [`Phase::Joining`]:
    /// not listed, not routed to.
    ///
    /// # Errors
    /// A sentence that names what stands in the way: a name taken, no free slots.
    pub fn recruit(&self, recruits: &[Recruit]) -> Result<Vec<ReplicaId>, String> {
        let (ids, ring) = self.lock().survey(recruits)?;
        // Finding slots may take milliseconds. It is done on a copy, so that no request waits; taking them is quick,
        // and fails if somebody else took one meanwhile.
        let found = find_slots(ring, ids)?;
        let recruits = recruits.iter().map(|recruit| self.measured(recruit.clone())).collect();
        self.lock().at(Instant::now()).enrol(recruits, &found)
    }

    /// A recruit with its meter. Those who sum all meters up keep others from making one, so none is made under the lock
    /// that requests wait for.
    fn measured(&self, recruit: Recruit) -> (Recruit, Arc<Meter>) {
        (recruit, self.shared.metrics.meter())
    }

    /// Takes back a replica that an earlier run of the balancer recorded, with the ring identity and, where they can
    /// be had again, exactly the slots it had. It is [`Phase::Down`] until it is admitted.
    ///
    /// # Errors
    /// A sentence that says why it cannot be: name or ring identity taken, no free slots.
    pub fn restore(
        &self,
        recruit: Recruit,
        ring_id: RingId,
        slots: &[usize],
        instance: Option<Instance>,
    ) -> Result<ReplicaId, String> {
        let recruit = self.measured(recruit);
        self.lock().at(Instant::now()).restore(recruit, ring_id, slots, instance)
    }

    /// Puts replicas into service together, in one step: from now on they are listed and routed to. Those that are
    /// gone, are leaving, or have no running instance are passed over; returns how many it put into service.
    pub fn admit(&self, ids: &[ReplicaId]) -> usize {
        self.lock().at(Instant::now()).admit(ids)
    }

    /// Makes replicas that were recruited ordinary members that are down, so that the watchdog brings them up.
    pub fn enlist(&self, ids: &[ReplicaId]) {
        self.lock().at(Instant::now()).enlist(ids);
    }

    // --- failing and coming back ----------------------------------------------------------------------------

    /// Takes a serving replica out of the ring if `instance` is still what runs it; keeps its slots for it.
    /// Returns whether it did.
    pub fn fail(&self, id: ReplicaId, instance: &Instance) -> bool {
        self.lock().at(Instant::now()).fail(id, instance)
    }

    /// Records what runs a replica now, or that nothing does. A replica that was at the same address has ended, see
    /// [`Watched::lost`].
    pub fn set_instance(&self, id: ReplicaId, instance: Option<Instance>) {
        self.lock().at(Instant::now()).set_instance(id, instance);
    }

    /// Records where a replica of somebody else's is. Several may be at one address: it may have more names than one.
    pub fn locate(&self, id: ReplicaId, instance: Instance) {
        self.lock().at(Instant::now()).locate(id, Some(instance));
    }

    /// Notes what keeps a replica from serving, for those who ask; `None` when nothing does any more.
    pub fn set_trouble(&self, id: ReplicaId, trouble: Option<Trouble>) {
        self.lock().at(Instant::now()).set_trouble(id, trouble);
    }

    /// Notes whether replicas stay in the ring though they have failed, because too many have.
    pub fn set_panic(&self, in_panic: bool) {
        self.lock().in_panic = in_panic;
    }

    /// How replicas are chosen.
    pub fn policy(&self) -> Policy {
        self.lock().policy()
    }

    /// Whether weights have any effect: they have with schemes that know them and policies that do not ask the ring.
    pub fn has_weights(&self) -> bool {
        self.lock().has_weights()
    }

    /// The measures of the ring.
    pub fn shape(&self) -> Shape {
        self.lock().shape()
    }

    /// Gives a replica another name.
    ///
    /// # Errors
    /// The name is taken.
    pub fn rename(&self, id: ReplicaId, hostname: Hostname) -> Result<(), String> {
        self.lock().rename(id, hostname)
    }

    /// Claims a replica for slow work on its instance (a launch, a stop). `None` when somebody else has the claim or
    /// the replica is gone: no two threads ever start or stop the same replica.
    pub fn claim(&self, id: ReplicaId) -> Option<Claim> {
        self.lock().claim(id).then(|| Claim::new(self.clone(), id))
    }

    /// Like [`Fleet::claim`], but waits for another's claim to be given back, at most until `deadline`.
    pub fn claim_within(&self, id: ReplicaId, deadline: Instant) -> Option<Claim> {
        let mut state = self.lock();
        while !state.claim(id) {
            state.watch(id)?;
            let left = time_left(deadline)?;
            state = self.wait(state, left);
        }
        Some(Claim::new(self.clone(), id))
    }

    /// Gives a claim back; only a claim's `Drop` calls it.
    fn unclaim(&self, id: ReplicaId) {
        self.lock().unclaim(id);
        self.shared.changed.notify_all();
    }

    // --- leaving --------------------------------------------------------------------------------------------

    /// Takes `n` replicas out of the ring, those named and then others at random, all or none. They keep their slots
    /// and finish what they hold until [`Fleet::dismiss`] or [`Fleet::take_back`].
    ///
    /// # Errors
    /// A sentence that names what stands in the way: an unknown name, more than there are, fewer than `min` left, or,
    /// while some serve, none that does.
    pub fn leave(&self, n: usize, named: &[Hostname], min: usize) -> Result<Vec<ReplicaId>, String> {
        self.lock().at(Instant::now()).leave(n, named, min)
    }

    /// Waits until none of `ids` holds a request any more, at most until `deadline`; returns how many requests are
    /// in flight on them at the end.
    pub fn wait_until_drained(&self, ids: &[ReplicaId], deadline: Instant) -> usize {
        let mut state = self.lock();
        loop {
            let in_flight = state.in_flight(ids);
            match time_left(deadline) {
                Some(left) if in_flight > 0 => state = self.wait(state, left),
                _ => return in_flight,
            }
        }
    }

    /// A leaving replica that could not be stopped is a member again; it is down until a heartbeat says otherwise.
    pub fn take_back(&self, id: ReplicaId) {
        self.lock().at(Instant::now()).take_back(id);
    }

    /// Forgets a replica and frees its slots and its name.
    pub fn dismiss(&self, id: ReplicaId) {
        self.lock().dismiss(id);
        self.shared.changed.notify_all();
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>, time: Duration) -> MutexGuard<'a, State> {
        self.shared.changed.wait_timeout(state, time).unwrap_or_else(PoisonError::into_inner).0
    }
}

/// Slots for each of `ids`, one after another, on a ring that is only tried out.
fn find_slots(mut ring: Ring, ids: Vec<RingId>) -> Result<Vec<(RingId, Vec<usize>)>, String> {
    let find = |id| match ring.place(id) {
        Ok(slots) => Ok((id, slots.to_vec())),
        Err(full) => Err(full.to_string()),
    };
    ids.into_iter().map(find).collect()
}

fn time_left(deadline: Instant) -> Option<Duration> {
    Some(deadline.saturating_duration_since(Instant::now())).filter(|left| !left.is_zero())
}
