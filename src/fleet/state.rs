//! What the fleet's mutex guards: a plain value that knows no locks, no threads and no clock.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use super::lease::Chosen;
use super::view::{Overview, Phase, Recruit, Replica, ReplicaId, Trouble, Watched};
use crate::balance::{Balance, Policy};
use crate::metrics::Meter;
use crate::replica::{Hostname, Instance};
use crate::ring::{Ring, RingId, Shape, Weight};

struct Member {
    serial: u64,
    hostname: Hostname,
    phase: Phase,
    /// Since when.
    since: Instant,
    instance: Option<Instance>,
    /// Its address, since it has become another's.
    lost: Option<SocketAddr>,
    weight: Weight,
    claimed: bool,
    trouble: Option<Trouble>,
    meter: Arc<Meter>,
}

impl Member {
    fn enter(&mut self, phase: Phase, now: Instant) {
        (self.phase, self.since) = (phase, now);
    }
}

pub(super) struct State {
    ring: Ring,
    /// How many requests each member has in flight, and whose turn it is.
    balance: Balance,
    members: BTreeMap<RingId, Member>,
    next_serial: u64,
    /// When the change that is being made is made.
    now: Instant,
    /// Replicas that have failed are in the ring, because too many have.
    pub(super) in_panic: bool,
}

impl State {
    pub(super) fn new(ring: Ring, policy: Policy, now: Instant) -> State {
        let balance = Balance::new(policy);
        State { ring, balance, members: BTreeMap::new(), next_serial: 0, now, in_panic: false }
    }

    /// The state, told what time it is; for changes of who stands where.
    pub(super) fn at(&mut self, now: Instant) -> &mut State {
        self.now = now;
        self
    }

    pub(super) fn shape(&self) -> Shape {
        self.ring.shape()
    }

    pub(super) fn policy(&self) -> Policy {
        self.balance.policy()
    }

    pub(super) fn has_weights(&self) -> bool {
        !self.policy().is_hashed() || self.shape().scheme().has_weights()
    }

    fn member(&self, id: ReplicaId) -> Option<&Member> {
        self.members.get(&id.ring_id).filter(|member| member.serial == id.serial)
    }

    fn member_mut(&mut self, id: ReplicaId) -> Option<&mut Member> {
        self.members.get_mut(&id.ring_id).filter(|member| member.serial == id.serial)
    }

    /// Every member with its id, oldest first.
    fn by_age(&self) -> Vec<(ReplicaId, &Member)> {
        let with_id = |(&ring_id, member): (&RingId, _)| {
            let member: &Member = member;
            (ReplicaId { ring_id, serial: member.serial }, member)
        };
        let mut all: Vec<_> = self.members.iter().map(with_id).collect();
        all.sort_by_key(|(id, _)| id.serial);
        all
    }

    // --- requests -------------------------------------------------------------------------------------------

    pub(super) fn choose_and_count(&mut self, request: u64, tried: &[RingId]) -> Option<Chosen> {
        let ring_id = self.balance.take(&self.ring, request, tried)?;
        let member = self.members.get(&ring_id);
        let chosen = member.and_then(|member| {
            let address = member.instance.as_ref()?.address;
            let (hostname, meter) = (member.hostname.clone(), member.meter.clone());
            Some(Chosen { id: ReplicaId { ring_id, serial: member.serial }, address, hostname, meter })
        });
        if chosen.is_none() {
            self.balance.give_back(ring_id);
        }
        chosen
    }

    /// Who owns a request, whatever else counts.
    pub(super) fn owner(&self, request: u64) -> Option<Hostname> {
        let owner = self.ring.owner(request)?;
        self.members.get(&owner).map(|member| member.hostname.clone())
    }

    /// Returns whether this was the last request of a replica that is leaving.
    pub(super) fn count_down(&mut self, id: ReplicaId) -> bool {
        let Some(phase) = self.member(id).map(|member| member.phase) else {
            return false;
        };
        self.balance.give_back(id.ring_id) == 0 && phase == Phase::Leaving
    }

    pub(super) fn in_flight(&self, ids: &[ReplicaId]) -> usize {
        let ours = ids.iter().filter(|id| self.member(**id).is_some());
        ours.map(|id| self.balance.in_flight(id.ring_id)).sum()
    }

    /// Who is in the ring is known there and to the balance, and both learn of it here.
    fn set_serving(&mut self, ids: &[RingId], serving: bool) {
        self.ring.set_all_serving(ids, serving);
        self.balance.set_serving(ids, serving);
    }

    // --- what there is --------------------------------------------------------------------------------------

    pub(super) fn listing(&self) -> Vec<Hostname> {
        let counts = |phase| matches!(phase, Phase::Down | Phase::Serving);
        self.by_age().into_iter().filter(|(_, m)| counts(m.phase)).map(|(_, m)| m.hostname.clone()).collect()
    }

    pub(super) fn replicas(&self) -> Vec<Replica> {
        let owned = self.ring.owned_slots();
        let owned = |id: RingId| owned.get(&id).copied().unwrap_or_default();
        self.by_age().into_iter().map(|(id, member)| self.describe(id, member, owned(id.ring_id))).collect()
    }

    pub(super) fn replica(&self, id: ReplicaId) -> Option<Replica> {
        let owned = || self.ring.owned_slots().get(&id.ring_id).copied().unwrap_or_default();
        self.member(id).map(|member| self.describe(id, member, owned()))
    }

    /// The part of all requests that each replica in the ring may expect.
    fn spread(&self) -> BTreeMap<RingId, f64> {
        if self.policy().is_hashed() { self.ring.spread() } else { self.balance.spread() }
    }

    pub(super) fn overview(&self) -> Overview {
        let State { in_panic, .. } = *self;
        let (replicas, spread) = (self.replicas(), self.spread());
        Overview { replicas, spread, in_panic, shape: self.shape(), policy: self.policy() }
    }

    /// Whether a replica is in the ring, as what serves at this address.
    pub(super) fn serves_at(&self, id: ReplicaId, address: SocketAddr) -> bool {
        let same = |member: &Member| member.instance.as_ref().is_some_and(|it| it.address == address);
        self.member(id).is_some_and(|member| member.phase == Phase::Serving && same(member))
    }

    pub(super) fn watched(&self) -> Vec<Watched> {
        let watched = |(&ring_id, member): (&RingId, &Member)| {
            watch(ReplicaId { ring_id, serial: member.serial }, member)
        };
        self.members.iter().map(watched).collect()
    }

    pub(super) fn run_by(&self, key: &str) -> Option<Watched> {
        let has_key = |member: &Member| member.instance.as_ref().is_some_and(|it| *it.key == *key);
        let (&ring_id, member) = self.members.iter().find(|(_, member)| has_key(member))?;
        Some(watch(ReplicaId { ring_id, serial: member.serial }, member))
    }

    pub(super) fn watch(&self, id: ReplicaId) -> Option<Watched> {
        self.member(id).map(|member| watch(id, member))
    }

    pub(super) fn set_trouble(&mut self, id: ReplicaId, trouble: Option<Trouble>) {
        let now = self.now;
        let standing = |trouble: &Option<Trouble>| trouble.as_ref().map(Trouble::is_crash_loop);
        if let Some(member) = self.member_mut(id) {
            // Failed is another state than starting, and a crash loop than both.
            if member.phase == Phase::Down && standing(&member.trouble) != standing(&trouble) {
                member.since = now;
            }
            member.trouble = trouble;
        }
    }

    fn describe(&self, id: ReplicaId, member: &Member, owned_slots: usize) -> Replica {
        Replica {
            id,
            hostname: member.hostname.clone(),
            phase: member.phase,
            instance: member.instance.clone(),
            in_flight: self.balance.in_flight(id.ring_id),
            weight: member.weight,
            claimed: member.claimed,
            slots: self.ring.slots_of(id.ring_id).map(<[usize]>::to_vec).unwrap_or_default(),
            owned_slots,
            trouble: member.trouble.clone(),
            since: member.since,
            meter: member.meter.clone(),
        }
    }

    // --- joining --------------------------------------------------------------------------------------------

    /// Ring identities for new replicas of these names, and a copy of the ring to find slots on.
    pub(super) fn survey(&self, recruits: &[Recruit]) -> Result<(Vec<RingId>, Ring), String> {
        recruits.iter().try_for_each(|recruit| self.check_free(&recruit.hostname))?;
        let free = (1..).map(RingId).filter(|id| !self.members.contains_key(id));
        Ok((free.take(recruits.len()).collect(), self.ring.draft()))
    }

    /// Makes members of recruits with the identities and slots that were found for them, all or none.
    pub(super) fn enrol(
        &mut self,
        recruits: Vec<(Recruit, Arc<Meter>)>,
        found: &[(RingId, Vec<usize>)],
    ) -> Result<Vec<ReplicaId>, String> {
        let mut enrolled = Vec::with_capacity(recruits.len());
        for ((recruit, meter), (ring_id, slots)) in recruits.into_iter().zip(found) {
            let weight = self.ring_weight(recruit.weight);
            let take = |ring: &mut Ring| ring.restore(*ring_id, slots, weight).map_err(|e| e.to_string());
            if let Err(why) = self.check_free(&recruit.hostname).and_then(|()| take(&mut self.ring)) {
                enrolled.into_iter().for_each(|id| self.dismiss(id));
                return Err(why);
            }
            enrolled.push(self.insert((recruit, meter), *ring_id, Phase::Joining, None));
        }
        Ok(enrolled)
    }

    /// A weight as the ring is told it: policies that do not ask the ring have weights under every scheme.
    fn ring_weight(&self, weight: Weight) -> Weight {
        if self.ring.shape().scheme().has_weights() { weight } else { Weight::ONE }
    }

    pub(super) fn restore(
        &mut self,
        (recruit, meter): (Recruit, Arc<Meter>),
        ring_id: RingId,
        slots: &[usize],
        instance: Option<Instance>,
    ) -> Result<ReplicaId, String> {
        self.check_free(&recruit.hostname)?;
        if self.members.contains_key(&ring_id) {
            return Err(format!("ring identity {ring_id} is taken"));
        }
        // Slots of a ring of another shape mean nothing on this one: the identity then gets new ones.
        let weight = self.ring_weight(recruit.weight);
        if self.ring.restore(ring_id, slots, weight).is_err() {
            self.ring.place_weighted(ring_id, weight).map_err(|full| full.to_string())?;
        }
        Ok(self.insert((recruit, meter), ring_id, Phase::Down, instance))
    }

    fn insert(
        &mut self,
        (Recruit { hostname, weight }, meter): (Recruit, Arc<Meter>),
        ring_id: RingId,
        phase: Phase,
        instance: Option<Instance>,
    ) -> ReplicaId {
        let serial = self.next_serial;
        self.next_serial += 1;
        let (since, lost, claimed, trouble) = (self.now, None, false, None);
        let member =
            Member { serial, hostname, phase, since, instance, lost, weight, claimed, trouble, meter };
        self.members.insert(ring_id, member);
        // One that was recorded under other settings is kept, for the next that have weights, and does not count.
        self.balance.add(ring_id, if self.has_weights() { weight } else { Weight::ONE });
        ReplicaId { ring_id, serial }
    }

    fn check_free(&self, hostname: &Hostname) -> Result<(), String> {
        match self.members.values().any(|member| member.hostname == *hostname) {
            true => Err(format!("hostname '{hostname}' is taken by a replica")),
            false => Ok(()),
        }
    }

    pub(super) fn admit(&mut self, ids: &[ReplicaId]) -> usize {
        let now = self.now;
        let mut admitted = Vec::with_capacity(ids.len());
        for &id in ids {
            let ready =
                |m: &&mut Member| m.instance.is_some() && matches!(m.phase, Phase::Joining | Phase::Down);
            if let Some(member) = self.member_mut(id).filter(ready) {
                member.enter(Phase::Serving, now);
                admitted.push(id.ring_id);
            }
        }
        self.set_serving(&admitted, true);
        admitted.len()
    }

    pub(super) fn enlist(&mut self, ids: &[ReplicaId]) {
        let now = self.now;
        for &id in ids {
            if let Some(member) = self.member_mut(id).filter(|member| member.phase == Phase::Joining) {
                member.enter(Phase::Down, now);
            }
        }
    }

    // --- failing and coming back ----------------------------------------------------------------------------

    pub(super) fn fail(&mut self, id: ReplicaId, instance: &Instance) -> bool {
        let now = self.now;
        let same = |m: &&mut Member| m.phase == Phase::Serving && m.instance.as_ref() == Some(instance);
        let Some(member) = self.member_mut(id).filter(same) else {
            return false;
        };
        member.enter(Phase::Down, now);
        self.set_serving(&[id.ring_id], false);
        true
    }

    /// A replica whose address is now another's is gone, whatever answers there.
    fn forget_address(&mut self, id: ReplicaId, address: SocketAddr) {
        let same = |member: &Member| member.instance.as_ref().is_some_and(|old| old.address == address);
        let mut gone = Vec::new();
        for (&ring_id, member) in &mut self.members {
            if ring_id != id.ring_id && same(member) {
                (member.instance, member.lost) = (None, Some(address));
                if member.phase == Phase::Serving {
                    member.enter(Phase::Down, self.now);
                    gone.push(ring_id);
                }
            }
        }
        self.set_serving(&gone, false);
    }

    pub(super) fn set_instance(&mut self, id: ReplicaId, instance: Option<Instance>) {
        if let Some(new) = &instance {
            self.forget_address(id, new.address);
        }
        self.locate(id, instance);
    }

    pub(super) fn locate(&mut self, id: ReplicaId, instance: Option<Instance>) {
        if let Some(member) = self.member_mut(id) {
            (member.instance, member.lost) = (instance, None);
        }
    }

    pub(super) fn rename(&mut self, id: ReplicaId, hostname: Hostname) -> Result<(), String> {
        self.check_free(&hostname)?;
        if let Some(member) = self.member_mut(id) {
            member.hostname = hostname;
        }
        Ok(())
    }

    pub(super) fn claim(&mut self, id: ReplicaId) -> bool {
        let Some(member) = self.member_mut(id).filter(|member| !member.claimed) else {
            return false;
        };
        member.claimed = true;
        true
    }

    pub(super) fn unclaim(&mut self, id: ReplicaId) {
        if let Some(member) = self.member_mut(id) {
            member.claimed = false;
        }
    }

    // --- leaving --------------------------------------------------------------------------------------------

    pub(super) fn leave(
        &mut self,
        n: usize,
        named: &[Hostname],
        min: usize,
    ) -> Result<Vec<ReplicaId>, String> {
        let mut others: Vec<(ReplicaId, Hostname)> = self
            .by_age()
            .into_iter()
            .filter(|(_, member)| matches!(member.phase, Phase::Down | Phase::Serving))
            .map(|(id, member)| (id, member.hostname.clone()))
            .collect();
        let total = others.len();
        if n > total || total - n < min {
            return Err(format!("cannot remove {n} of {total} replicas: at least {min} must be left"));
        }
        let mut chosen = Vec::with_capacity(n);
        for hostname in named {
            let at = others.iter().position(|(_, name)| name == hostname);
            let at = at.ok_or_else(|| format!("hostname '{hostname}' is not a replica"))?;
            chosen.push(others.remove(at).0);
        }
        // One that serves is kept out of the draw, so that chance alone never takes the last.
        let serves = |id: &ReplicaId| self.member(*id).is_some_and(|m| m.phase == Phase::Serving);
        let serving: Vec<usize> = (0..others.len()).filter(|&at| serves(&others[at].0)).collect();
        let kept = (min > 0).then(|| fastrand::choice(serving)).flatten().map(|at| others.swap_remove(at));
        while chosen.len() < n && !others.is_empty() {
            chosen.push(others.swap_remove(fastrand::usize(..others.len())).0);
        }
        others.extend(kept);
        if min > 0 && chosen.iter().any(serves) && !others.iter().any(|(id, _)| serves(id)) {
            return Err(format!("cannot remove {n} of {total} replicas: none of those left is serving"));
        }
        let leaving: Vec<RingId> = chosen.iter().map(|id| id.ring_id).collect();
        self.set_serving(&leaving, false);
        let now = self.now;
        for &id in &chosen {
            if let Some(member) = self.member_mut(id) {
                member.enter(Phase::Leaving, now);
            }
        }
        Ok(chosen)
    }

    pub(super) fn take_back(&mut self, id: ReplicaId) {
        let now = self.now;
        if let Some(member) = self.member_mut(id).filter(|member| member.phase == Phase::Leaving) {
            member.enter(Phase::Down, now);
        }
    }

    pub(super) fn dismiss(&mut self, id: ReplicaId) {
        if self.member(id).is_some() {
            self.members.remove(&id.ring_id);
            self.ring.remove(id.ring_id);
            self.balance.remove(id.ring_id);
        }
    }
}

fn watch(id: ReplicaId, member: &Member) -> Watched {
    let Member { phase, lost, claimed, .. } = *member;
    let (hostname, instance, meter) =
        (member.hostname.clone(), member.instance.clone(), member.meter.clone());
    Watched { id, hostname, phase, instance, lost, claimed, meter }
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
