//! The fleet's state against a naive account of it, and each transition by itself.

use super::*;
use crate::balance::Bound;
use crate::ring::{REQUEST_IDS, Shape};

fn name(text: &str) -> Hostname {
    Hostname::parse(text).unwrap()
}

fn names(texts: &[&str]) -> Vec<Hostname> {
    texts.iter().map(|text| name(text)).collect()
}

fn instance(k: u16) -> Instance {
    Instance { key: format!("key-{k}").into(), address: SocketAddr::from(([127, 0, 0, 1], k)) }
}

fn recruits(hostnames: &[Hostname]) -> Vec<Recruit> {
    hostnames.iter().cloned().map(Recruit::from).collect()
}

fn measured(recruits: &[Recruit]) -> Vec<(Recruit, Arc<Meter>)> {
    recruits.iter().cloned().map(|recruit| (recruit, Arc::default())).collect()
}

/// What [`Fleet::restore`](crate::fleet::Fleet::restore) does.
fn restore(
    state: &mut State,
    recruit: impl Into<Recruit>,
    ring_id: RingId,
    slots: &[usize],
    instance: Option<Instance>,
) -> Result<ReplicaId, String> {
    state.restore((recruit.into(), Arc::default()), ring_id, slots, instance)
}

/// What [`Fleet::recruit`](crate::fleet::Fleet::recruit) does under two locks.
fn recruit(state: &mut State, hostnames: &[Hostname]) -> Result<Vec<ReplicaId>, String> {
    let recruits = &recruits(hostnames)[..];
    let (ids, ring) = state.survey(recruits)?;
    let found = crate::fleet::find_slots(ring, ids)?;
    state.enrol(measured(recruits), &found)
}

fn empty() -> State {
    of_policy(Policy::Hash)
}

fn of_policy(policy: Policy) -> State {
    State::new(Ring::new(Shape::default()), policy, Instant::now())
}

/// A fleet whose replicas serve.
fn serving(hostnames: &[&str]) -> (State, Vec<ReplicaId>) {
    let mut state = empty();
    let ids = recruit(&mut state, &names(hostnames)).unwrap();
    for (k, &id) in ids.iter().enumerate() {
        state.set_instance(id, Some(instance(k as u16 + 1)));
    }
    assert_eq!(state.admit(&ids), ids.len());
    (state, ids)
}

/// Who owns each of a sample of the request ids.
fn owners(state: &State) -> Vec<Option<RingId>> {
    REQUEST_IDS.step_by(997).map(|request| state.ring.owner(request)).collect()
}

fn listed(state: &State) -> Vec<String> {
    state.listing().iter().map(Hostname::to_string).collect()
}

#[test]
fn recruits_are_neither_listed_nor_routed_to_until_they_are_admitted_together() {
    let (mut state, _) = serving(&["S1"]);
    let before = owners(&state);
    let recruits = recruit(&mut state, &names(&["S2", "S3"])).unwrap();
    assert_eq!(listed(&state), ["S1"]);
    assert_eq!(owners(&state), before);
    for (k, &id) in recruits.iter().enumerate() {
        state.set_instance(id, Some(instance(50 + k as u16)));
    }
    assert_eq!(owners(&state), before);
    assert_eq!(state.admit(&recruits), 2);
    assert_eq!(listed(&state), ["S1", "S2", "S3"]);
    assert!(owners(&state).contains(&Some(recruits[1].ring_id)));
}

#[test]
fn a_recruitment_that_is_refused_changes_nothing() {
    let (mut state, _) = serving(&["S1", "S2"]);
    let before = (owners(&state), listed(&state));
    for (wanted, why) in [(&["S3", "S1"][..], "'S1' is taken"), (&["S3", "S3"], "'S3' is taken")] {
        let error = recruit(&mut state, &names(wanted)).unwrap_err();
        assert!(error.contains(why), "{error}");
    }
    let too_many: Vec<Hostname> = (10..70).map(Hostname::numbered).collect();
    assert!(recruit(&mut state, &too_many).is_err());
    assert_eq!((owners(&state), listed(&state)), before);
    assert_eq!(state.replicas().len(), 2);
}

#[test]
fn slots_that_somebody_took_meanwhile_are_not_given_twice() {
    let (mut state, _) = serving(&["S1"]);
    let (ids, ring) = state.survey(&recruits(&names(&["S2"]))).unwrap();
    let found = crate::fleet::find_slots(ring, ids).unwrap();
    recruit(&mut state, &names(&["S3"])).unwrap();
    assert!(state.enrol(measured(&recruits(&names(&["S2"]))), &found).is_err());
    assert_eq!(state.replicas().len(), 2);
}

#[test]
fn nobody_without_an_instance_is_admitted() {
    let mut state = empty();
    let ids = recruit(&mut state, &names(&["S1"])).unwrap();
    assert_eq!(state.admit(&ids), 0);
    assert_eq!(state.ring.owner(123_456), None);
}

#[test]
fn a_failed_replica_keeps_its_slots_and_gets_its_keys_back() {
    let (mut state, ids) = serving(&["S1", "S2", "S3"]);
    let (before, slots) = (owners(&state), state.replica(ids[1]).unwrap().slots);
    assert!(!state.fail(ids[1], &instance(99)), "another incarnation's failure is not this one's");
    assert!(state.fail(ids[1], &instance(2)));
    assert!(!state.fail(ids[1], &instance(2)), "a failure is taken in once");
    assert_eq!(listed(&state), ["S1", "S2", "S3"], "N does not waver");
    for (now, then) in owners(&state).into_iter().zip(&before) {
        assert!(now != Some(ids[1].ring_id));
        assert!(*then == Some(ids[1].ring_id) || now == *then, "only the failed one's keys move");
    }
    state.set_instance(ids[1], Some(instance(77)));
    assert_eq!(state.admit(&ids[1..2]), 1);
    assert_eq!(owners(&state), before);
    assert_eq!(state.replica(ids[1]).unwrap().slots, slots);
}

/// An engine gives the address of a dead container to the next one at once. The dead one's heartbeats would then be
/// answered by the other for ever.
#[test]
fn a_replica_whose_address_is_given_to_another_is_down() {
    let (mut state, ids) = serving(&["S1", "S2"]);
    let recruit = recruit(&mut state, &names(&["S3"])).unwrap()[0];
    state.set_instance(recruit, Some(Instance { key: "new".into(), ..instance(2) }));
    let dead = state.replica(ids[1]).unwrap();
    assert_eq!((dead.phase, dead.instance), (Phase::Down, None));
    assert!(owners(&state).iter().all(|owner| *owner == Some(ids[0].ring_id)));
    assert_eq!(*state.replica(recruit).unwrap().instance.unwrap().key, *"new");
    assert_eq!(listed(&state), ["S1", "S2"]);
    assert_eq!(state.watch(ids[1]).unwrap().lost, Some(instance(2).address), "so that it can be told");
    state.set_instance(ids[1], Some(instance(77)));
    assert_eq!(state.watch(ids[1]).unwrap().lost, None);
}

/// Names of one server would take its address from each other for ever.
#[test]
fn two_of_somebody_elses_may_be_at_one_address() {
    let (mut state, ids) = serving(&["S1", "S2"]);
    state.locate(ids[0], Some(Instance { key: "another-name".into(), ..instance(2) }));
    let both: Vec<Replica> = ids.iter().map(|&id| state.replica(id).unwrap()).collect();
    assert!(both.iter().all(|replica| replica.phase == Phase::Serving && replica.instance.is_some()));
    assert!(ids.iter().all(|&id| state.watch(id).unwrap().lost.is_none()));
}

#[test]
fn the_last_one_that_serves_is_not_removed_from_beside_those_that_are_down() {
    let (mut state, ids) = serving(&["S1", "S2", "S3"]);
    assert!(state.fail(ids[0], &instance(1)) && state.fail(ids[1], &instance(2)));
    let error = state.leave(1, &names(&["S3"]), 1).unwrap_err();
    assert!(error.contains("none of those left is serving"), "{error}");
    assert_eq!(listed(&state), ["S1", "S2", "S3"]);
    assert_eq!(state.leave(1, &names(&["S1"]), 1).unwrap(), ids[..1]);
}

#[test]
fn chance_never_takes_the_last_one_that_serves() {
    for _ in 0..100 {
        let (mut state, ids) = serving(&["S1", "S2", "S3"]);
        assert!(state.fail(ids[0], &instance(1)) && state.fail(ids[1], &instance(2)));
        let left = state.leave(2, &[], 1).unwrap();
        assert_eq!(left.len(), 2);
        assert_eq!(listed(&state), ["S3"]);
    }
}

#[test]
fn the_claim_on_a_replica_is_had_once() {
    let (mut state, ids) = serving(&["S1"]);
    assert!(state.claim(ids[0]));
    assert!(!state.claim(ids[0]));
    state.unclaim(ids[0]);
    assert!(state.claim(ids[0]));
    state.dismiss(ids[0]);
    assert!(!state.claim(ids[0]), "nobody claims what is gone");
}

#[test]
fn a_lease_of_a_replica_that_is_gone_touches_nobody_else() {
    let (mut state, ids) = serving(&["S1", "S2"]);
    let held = state.choose_and_count(123_456, &[]).unwrap().id;
    let other = *ids.iter().find(|id| **id != held).unwrap();
    state.dismiss(held);
    let again = recruit(&mut state, &names(&["S9"])).unwrap()[0];
    assert_eq!(again.ring_id, held.ring_id, "the identity is free again");
    assert!(!state.count_down(held));
    assert_eq!((state.in_flight(&[again]), state.in_flight(&[other])), (0, 0));
}

#[test]
fn a_recorded_weight_has_no_effect_where_there_are_none() {
    let bounded = Policy::HashBounded(Bound::new(1.25).unwrap());
    let mut state = of_policy(bounded);
    let ids: Vec<ReplicaId> = (1..=3)
        .map(|k: u16| {
            let weight = Weight::new(if k == 1 { 100 } else { 1 }).unwrap();
            let recruit = Recruit { hostname: Hostname::numbered(k.into()), weight };
            restore(&mut state, recruit, RingId(k.into()), &[], Some(instance(k))).unwrap()
        })
        .collect();
    state.admit(&ids);
    for request in REQUEST_IDS.step_by(9_001).take(90) {
        state.choose_and_count(request, &[]).unwrap();
    }
    assert!(state.replicas().iter().all(|replica| replica.in_flight <= 38), "1.25 × 90 / 3");
    assert_eq!(state.replica(ids[0]).unwrap().weight.get(), 100, "the record stays");
}

#[test]
fn shares_are_those_of_the_policy() {
    for (policy, share) in [(Policy::Hash, 1.0 / 2.0), (Policy::RoundRobin, 3.0 / 4.0)] {
        let mut state = of_policy(policy);
        let weigh =
            |(hostname, weight)| Recruit { hostname: name(hostname), weight: Weight::new(weight).unwrap() };
        let recruits = [("S1", 3), ("S2", 1)].map(weigh);
        let (ids, ring) = state.survey(&recruits).unwrap();
        let found = crate::fleet::find_slots(ring, ids).unwrap();
        let ids = state.enrol(measured(&recruits), &found).unwrap();
        (1..).zip(&ids).for_each(|(k, &id)| state.set_instance(id, Some(instance(k))));
        state.admit(&ids);
        assert!((state.overview().spread[&ids[0].ring_id] - share).abs() < 0.01, "{policy}");
    }
}

#[test]
fn whoever_is_dismissed_is_chosen_by_no_policy() {
    for policy in
        [Policy::Hash, Policy::RoundRobin, Policy::LeastConnections, Policy::TwoChoices, Policy::Random]
    {
        let mut state = of_policy(policy);
        let ids = recruit(&mut state, &names(&["S1", "S2"])).unwrap();
        (1..).zip(&ids).for_each(|(k, &id)| state.set_instance(id, Some(instance(k))));
        state.admit(&ids);
        state.dismiss(ids[0]);
        for request in REQUEST_IDS.step_by(90_001) {
            assert_eq!(
                state.choose_and_count(request, &[]).map(|chosen| chosen.id),
                Some(ids[1]),
                "{policy:?}"
            );
        }
    }
}

#[test]
fn leaving_takes_the_named_first_and_never_more_than_may_go() {
    for (n, named, min, outcome) in [
        (1, &["S10"][..], 1, Ok(1)),
        (2, &["S10"], 1, Ok(2)),
        (3, &[], 1, Ok(3)),
        (4, &[], 0, Ok(4)),
        (4, &[], 1, Err("at least 1 must be left")),
        (3, &["S1"], 2, Err("at least 2 must be left")),
        (usize::MAX, &[], 0, Err("cannot remove")),
        (1, &["S1000"], 1, Err("'S1000' is not a replica")),
        (2, &["S1", "nobody"], 1, Err("'nobody' is not a replica")),
    ] {
        let (mut state, _) = serving(&["S1", "S10", "S100", "S2"]);
        let before = (owners(&state), listed(&state));
        match (state.leave(n, &names(named), min), outcome) {
            (Ok(left), Ok(count)) => {
                assert_eq!(left.len(), count);
                assert_eq!(listed(&state).len(), 4 - count);
                assert!(named.iter().all(|gone| !listed(&state).contains(&gone.to_string())));
                let still = |owner: &Option<RingId>| left.iter().any(|id| Some(id.ring_id) == *owner);
                assert!(!owners(&state).iter().any(still), "no key goes to one that leaves");
            }
            (Err(error), Err(why)) => {
                assert!(error.contains(why), "{error}");
                assert_eq!((owners(&state), listed(&state)), before);
            }
            (got, wanted) => panic!("{n} {named:?} {min}: {got:?}, wanted {wanted:?}"),
        }
    }
}

#[test]
fn the_rest_of_a_removal_is_drawn_from_all() {
    let mut drawn = std::collections::BTreeSet::new();
    for _ in 0..400 {
        let (mut state, _) = serving(&["S1", "S2", "S3"]);
        drawn.insert(state.leave(1, &[], 1).unwrap()[0].ring_id);
    }
    assert_eq!(drawn.len(), 3, "each of three is drawn once in 400 times, but for a chance of 10^-70");
}

#[test]
fn one_that_could_not_leave_is_down_and_comes_back_to_its_keys() {
    let (mut state, ids) = serving(&["S1", "S2"]);
    let before = owners(&state);
    state.leave(1, &names(&["S2"]), 1).unwrap();
    assert_eq!(listed(&state), ["S1"]);
    state.take_back(ids[1]);
    assert_eq!(listed(&state), ["S1", "S2"]);
    assert_eq!(state.admit(&ids[1..]), 1);
    assert_eq!(owners(&state), before);
}

#[test]
fn what_was_recorded_is_restored_to_the_slot() {
    let (state, ids) = serving(&["S1", "S2", "S3"]);
    let mut again = empty();
    // In another order, and with one missing: recorded slots do not depend on either.
    for &id in [&ids[2], &ids[0]] {
        let replica = state.replica(id).unwrap();
        let back =
            restore(&mut again, replica.hostname, id.ring_id, &replica.slots, replica.instance).unwrap();
        assert_eq!(again.replica(back).unwrap().slots, replica.slots);
        assert_eq!(again.replica(back).unwrap().phase, Phase::Down);
    }
    assert!(restore(&mut again, name("S1"), RingId(9), &[], None).is_err(), "the name is taken");
    assert!(restore(&mut again, name("S4"), ids[0].ring_id, &[], None).is_err(), "the identity is taken");
    let new = restore(&mut again, name("S4"), RingId(9), &[1, 2], None).unwrap();
    assert_eq!(again.replica(new).unwrap().slots.len(), 9, "a record of another ring gets new slots");
}

/// Random histories of everything, checked after each step against what must always hold.
#[test]
fn whatever_happens_every_key_has_a_serving_owner_and_every_count_is_right() {
    for seed in 0..60 {
        let mut random = fastrand::Rng::with_seed(seed);
        let (mut state, _) = serving(&["S1", "S2", "S3"]);
        let mut held: Vec<ReplicaId> = Vec::new();
        for step in 0..200u16 {
            let all = state.replicas();
            let pick = |random: &mut fastrand::Rng| random.choice(&all).cloned();
            match random.u8(0..9) {
                0 if all.len() < 40 => {
                    let name = Hostname::numbered(1000 + usize::from(step));
                    let id = recruit(&mut state, &[name]).unwrap()[0];
                    state.set_instance(id, Some(instance(step)));
                }
                1 => {
                    let joining: Vec<ReplicaId> = all.iter().map(|replica| replica.id).collect();
                    state.admit(&joining);
                }
                2 => {
                    let failing = pick(&mut random).and_then(|r| Some((r.id, r.instance?)));
                    failing.map(|(id, instance)| state.fail(id, &instance));
                }
                3 => drop(state.leave(1, &[], 1)),
                4 => {
                    let leaving = all.iter().find(|replica| replica.phase == Phase::Leaving);
                    leaving.into_iter().for_each(|replica| state.dismiss(replica.id));
                }
                5 if !held.is_empty() => {
                    let lease = held.swap_remove(random.usize(..held.len()));
                    state.count_down(lease);
                }
                _ => {
                    held.extend(state.choose_and_count(random.u64(REQUEST_IDS), &[]).map(|chosen| chosen.id))
                }
            }
            check(&state, &held);
        }
    }
}

fn check(state: &State, held: &[ReplicaId]) {
    let all = state.replicas();
    let serves = |id| all.iter().any(|replica| replica.id.ring_id == id && replica.phase == Phase::Serving);
    match all.iter().any(|replica| replica.phase == Phase::Serving) {
        true => assert!(owners(state).into_iter().all(|owner| owner.is_some_and(serves))),
        false => assert!(owners(state).iter().all(Option::is_none)),
    }
    for replica in &all {
        let count = held.iter().filter(|lease| **lease == replica.id).count();
        assert_eq!(replica.in_flight, count);
        assert_eq!(replica.slots.len(), 9);
    }
}

#[test]
fn since_when_a_replica_stands_where_it_does_is_known() {
    let (mut state, ids) = serving(&["s1"]);
    let begin = Instant::now();
    let at = |seconds| begin + std::time::Duration::from_secs(seconds);
    let since = |state: &State| state.replica(ids[0]).unwrap().since;
    assert!(state.at(at(1)).fail(ids[0], &instance(1)));
    assert_eq!(since(&state), at(1));
    assert_eq!(state.at(at(2)).admit(&ids), 1);
    assert_eq!(since(&state), at(2));
    // Nothing changes: it serves already.
    assert_eq!(state.at(at(3)).admit(&ids), 0);
    assert_eq!(since(&state), at(2));
    assert_eq!(state.at(at(4)).leave(1, &[], 0).unwrap(), ids);
    assert_eq!(since(&state), at(4));
    state.at(at(5)).take_back(ids[0]);
    assert_eq!(since(&state), at(5));
    // It is down; that it has failed is another state than that, and a crash loop than both.
    let trouble = |failures| Some(Trouble { failures, next_try: None, last_error: String::new() });
    for (seconds, trouble, expected) in
        [(6, trouble(1), 6), (7, trouble(1), 6), (8, trouble(2), 8), (9, trouble(3), 8), (10, None, 10)]
    {
        state.at(at(seconds)).set_trouble(ids[0], trouble);
        assert_eq!(since(&state), at(expected), "{seconds}");
    }
}
