//! What is told of servers that are somebody else's, and how often.

use std::sync::Arc;

use super::*;
use crate::balance::Policy;
use crate::fleet::{Fleet, Recruit};
use crate::journal::Event;
use crate::launcher::{Backend, Fixed};
use crate::ring::{RingId, Shape};
use crate::watchdog::rounds::tests::over;

const NAME: &str = "app:80";

/// A watchdog over one server that was not found at the start.
fn one_that_is_missing() -> (Rounds, ReplicaId) {
    let backend = Backend::parse(NAME).unwrap();
    let fleet = Fleet::new(Shape::default(), Policy::Hash);
    let recruit = Recruit::from(backend.name().clone());
    let id = fleet.restore(recruit, RingId(1), &[], None).unwrap();
    let (mut rounds, _questions) = over(fleet, 1, Fixed::new(vec![backend]));
    let replica = rounds.fleet.watch(id).unwrap();
    rounds.opinion(&replica, Instant::now());
    (rounds, id)
}

fn told(rounds: &Rounds) -> Vec<Arc<Event>> {
    rounds.journal.after(0)
}

fn last_error(rounds: &Rounds, id: ReplicaId) -> Option<String> {
    rounds.fleet.replica(id).unwrap().trouble.map(|trouble| trouble.last_error)
}

#[test]
fn one_that_is_not_found_is_told_of_when_the_reason_is_another() {
    let (mut rounds, id) = one_that_is_missing();
    let now = Instant::now();
    for (why, events) in [("no such name", 1), ("no such name", 1), ("no answer", 2), ("no answer", 2)] {
        rounds.note(id, Err(LaunchError(why.to_owned())), now);
        assert_eq!(told(&rounds).len(), events, "{why}");
        assert_eq!(last_error(&rounds, id).as_deref(), Some(why));
    }
    assert!(told(&rounds).iter().all(|event| event.kind == Kind::LaunchFailed));
    // What stood in the way is gone; whether it is well, heartbeats will tell.
    rounds.note(id, Ok(Relaunch::NotNeeded), now);
    assert_eq!((last_error(&rounds, id), told(&rounds).len()), (None, 2));
    rounds.note(id, Err(LaunchError("no answer".to_owned())), now);
    assert_eq!(told(&rounds).len(), 3, "it was found in between");
}
