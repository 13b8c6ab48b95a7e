//! The two waits of the fleet, in all the orders that there are: what is waited for is never missed.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use ringmaster::balance::Policy;
use ringmaster::fleet::{Fleet, ReplicaId};
use ringmaster::replica::{Hostname, Instance};
use ringmaster::ring::{Probing, RingId, Scheme, Shape};
use ringmaster::sync::thread;

use super::orders::exhaust;

fn never() -> Instant {
    Instant::now() + Duration::from_secs(24 * 3600)
}

/// A fleet of one replica that serves.
fn fleet() -> (Fleet, ReplicaId) {
    let fleet = Fleet::new(Shape::new(Scheme::Statement(Probing::Linear), 4, 1).unwrap(), Policy::Hash);
    let instance = Instance { key: "key".into(), address: SocketAddr::from(([10, 0, 0, 1], 1)) };
    let id = fleet.restore(Hostname::numbered(1).into(), RingId(1), &[0], Some(instance)).unwrap();
    assert_eq!(fleet.admit(&[id]), 1);
    (fleet, id)
}

#[test]
fn a_claim_that_is_given_back_is_had_by_those_who_wait_until_the_replica_has_gone() {
    exhaust(|| {
        let (fleet, id) = fleet();
        let claim = fleet.claim(id).unwrap();
        let wait = move |fleet: &Fleet| {
            let claim = fleet.claim_within(id, never());
            claim.inspect(|claim| fleet.dismiss(claim.replica())).is_some()
        };
        let other = fleet.clone();
        let other = thread::spawn(move || wait(&other));
        drop(claim);
        let had = [wait(&fleet), other.join().unwrap()];
        assert_eq!(
            had.iter().filter(|had| **had).count(),
            1,
            "one has it, the other learns that it has gone"
        );
    });
}

#[test]
fn a_replica_that_leaves_has_drained_when_its_last_request_has_ended() {
    exhaust(|| {
        let (fleet, id) = fleet();
        let requests = [fleet.lease(0, &[]).unwrap(), fleet.lease(1, &[]).unwrap()];
        let requests = requests.map(|lease| thread::spawn(move || drop(lease)));
        assert_eq!(fleet.leave(1, &[], 0), Ok(vec![id]));
        assert_eq!(fleet.wait_until_drained(&[id], never()), 0);
        requests.into_iter().for_each(|request| request.join().unwrap());
    });
}
