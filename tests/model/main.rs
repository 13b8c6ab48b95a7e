//! The real fleet and the real supervisor, run in thousands of orders of their threads over an engine that keeps the
//! books: whatever the order of additions, removals, relaunches and the end, no replica is lost, started twice or left
//! running, and nobody waits for ever.
//!
//! ```sh
//! cargo test --features model --target-dir target/model --test model
//! RINGMASTER_MODEL_SCHEDULES=100000 SHUTTLE_RANDOM_SEED=$RANDOM cargo test --release --features model --target-dir target/model --test model
//! ```
//!
//! No clock runs in here and no wait ends by its timeout: where only a timeout would help, the checker says `deadlock`.
//! A failure prints the order that led there, as a block of digits; put into a file, it is run again by
//! `RINGMASTER_MODEL_REPLAY=FILE cargo test --features model --target-dir target/model --test model NAME_OF_THE_TEST`. With
//! SHUTTLE_CAPTURE_BACKTRACE=1 a deadlock says where everybody waits.

// Without the checker there is nothing to run.
#![cfg(feature = "model")]
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod engine;
mod handle;
mod house;
mod orders;

use ringmaster::launcher::LaunchError;
use ringmaster::supervisor::{ChangeError, Relaunch, RespawnName};
use ringmaster::sync::thread;

use engine::{Mishap, take_time};
use house::{Answer, Healing, House, host};
use orders::{explore, repeat};

/// How many replicas an answer means there are more or fewer.
fn counted(answer: &Answer) -> usize {
    usize::from(answer.is_ok())
}

fn outcome(healing: &Healing) -> Result<Relaunch, LaunchError> {
    healing.recv().expect("a relaunch always says what came of it")
}

fn serves(healing: &Healing) -> bool {
    matches!(outcome(healing), Ok(Relaunch::Serving(_)))
}

#[test]
fn an_addition_and_a_relaunch() {
    explore(|| {
        let house = House::new(RespawnName::Same);
        let dead = house.dead("S1", 1);
        house.engine.plan("S1", Mishap::ServesLate);
        let healing = house.relaunch(dead);
        let addition = house.add(2, &["S8"]);
        let listing = addition.join().unwrap().unwrap();
        assert_eq!(listing, [host("S1"), host("S8"), host("server_1")]);
        assert!(serves(&healing));
        house.check(3);
    });
}

#[test]
fn a_removal_and_the_relaunch_of_the_same_replica() {
    for late in [false, true] {
        explore(move || {
            let house = House::new(RespawnName::Same);
            let (hung, _) = (house.hung("S1", 1), house.serving("S2", 2));
            if late {
                house.engine.plan("S1", Mishap::ServesLate);
            }
            let healing = house.relaunch(hung);
            let removal = house.remove(1, &["S1"]);
            assert_eq!(removal.join().unwrap(), Ok(vec![host("S2")]));
            let _ = outcome(&healing);
            house.check(1);
        });
    }
}

#[test]
fn a_removal_and_the_launch_of_a_replica_that_never_answers() {
    explore(|| {
        let house = House::new(RespawnName::Same);
        let dead = house.dead("S1", 1);
        house.engine.plan("S1", Mishap::NeverServes);
        let healing = house.relaunch(dead);
        assert_eq!(house.remove(1, &["S1"]).join().unwrap(), Ok(Vec::new()));
        assert!(!serves(&healing));
        house.check(0);
    });
}

#[test]
fn a_removal_and_an_addition_of_the_same_name() {
    explore(|| {
        let house = House::new(RespawnName::Same);
        house.serving("S1", 1);
        let (addition, removal) = (house.add(1, &["S1"]), house.remove(1, &["S1"]));
        let added = addition.join().unwrap();
        assert!(removal.join().unwrap().is_ok());
        assert!(matches!(added, Ok(_) | Err(ChangeError::Refused(_))), "{added:?}");
        house.check(counted(&added));
    });
}

#[test]
fn two_relaunches_of_the_same_replica() {
    explore(|| {
        let house = House::new(RespawnName::Same);
        let hung = house.hung("S1", 1);
        let healings = [house.relaunch(hung), house.relaunch(hung)];
        assert_eq!(healings.iter().filter(|healing| serves(healing)).count(), 1);
        house.check(1);
    });
}

#[test]
fn an_addition_that_fails_half_way_and_a_removal() {
    explore(|| {
        let house = House::new(RespawnName::Same);
        house.serving("S1", 1);
        house.serving("S2", 2);
        house.engine.plan("S9", Mishap::StartFails);
        let (addition, removal) = (house.add(2, &["S8", "S9"]), house.remove(1, &["S2"]));
        assert!(matches!(addition.join().unwrap(), Err(ChangeError::Failed(_))));
        assert_eq!(removal.join().unwrap(), Ok(vec![host("S1")]));
        house.check(1);
    });
}

#[test]
fn removals_by_chance_and_relaunches() {
    explore(|| {
        let house = House::new(RespawnName::Same);
        let (dead, hung) = (house.dead("S1", 1), house.hung("S2", 2));
        house.serving("S3", 3);
        house.serving("S4", 4);
        let healings = [house.relaunch(dead), house.relaunch(hung)];
        let removals = [house.remove(2, &[]), house.remove(1, &["S4"])];
        let removed = removals.map(|removal| removal.join().unwrap());
        assert!(removed[0].is_ok(), "{removed:?}");
        healings.iter().for_each(|healing| assert!(outcome(healing).is_ok()));
        house.check(2 - counted(&removed[1]));
    });
}

#[test]
fn a_removal_and_requests() {
    explore(|| {
        let house = House::new(RespawnName::Same);
        house.serving("S1", 1);
        house.serving("S2", 2);
        let requests = [3, 4].map(|request| {
            let house = house.clone();
            thread::spawn(move || {
                let lease = house.fleet.lease(request, &[]).expect("one of them always serves");
                take_time();
                let holder =
                    house.fleet.replica(lease.replica()).expect("a member as long as it holds a request");
                assert!(
                    house.engine.running().contains(&holder.instance.unwrap().key),
                    "stopped under a request"
                );
            })
        });
        assert_eq!(house.remove(1, &["S1"]).join().unwrap(), Ok(vec![host("S2")]));
        requests.into_iter().for_each(|request| request.join().unwrap());
        house.check(1);
    });
}

#[test]
fn everything_and_the_end() {
    explore(everything_and_then_the_end);
}

/// Whatever else is read than the order (a clock, the system's dice, an address) would make a failure unrepeatable.
#[test]
fn an_order_can_be_repeated() {
    repeat(everything_and_then_the_end);
}

fn everything_and_then_the_end() {
    let house = House::new(RespawnName::Same);
    let (dead, hung) = (house.dead("S1", 1), house.hung("S2", 2));
    house.serving("S3", 3);
    house.engine.plan("S1", Mishap::ServesLate);
    let healings = [house.relaunch(dead), house.relaunch(hung)];
    let (addition, removal) = (house.add(1, &["S9"]), house.remove(1, &["S3"]));
    house.close();
    let (added, removed) = (addition.join().unwrap(), removal.join().unwrap());
    assert!(matches!(added, Ok(_) | Err(ChangeError::Stopping)), "{added:?}");
    assert!(matches!(removed, Ok(_) | Err(ChangeError::Stopping)), "{removed:?}");
    healings.iter().for_each(|healing| assert!(outcome(healing).is_ok()));
    house.check_closed();
}

#[test]
fn a_stop_that_fails_and_a_relaunch() {
    explore(|| {
        let house = House::new(RespawnName::Same);
        let hung = house.hung("S1", 1);
        house.engine.plan("S1", Mishap::StopFails);
        let (removal, healing) = (house.remove(1, &["S1"]), house.relaunch(hung));
        let (removed, _) = (removal.join().unwrap(), outcome(&healing));
        assert!(matches!(removed, Ok(_) | Err(ChangeError::Failed(_))), "{removed:?}");
        house.check(1 - counted(&removed));
    });
}

#[test]
fn an_addition_whose_undoing_fails_and_another_of_the_same_name() {
    explore(|| {
        let house = House::new(RespawnName::Same);
        house.engine.plan("S8", Mishap::StopFails);
        house.engine.plan("S9", Mishap::EndsAtOnce);
        let additions = [house.add(2, &["S8", "S9"]), house.add(1, &["S8"])];
        let added = additions.map(|addition| addition.join().unwrap());
        house.look_for_strays();
        house.check(2 * counted(&added[0]) + counted(&added[1]));
    });
}

#[test]
fn replicas_that_end_while_they_are_launched() {
    explore(|| {
        let house = House::new(RespawnName::Same);
        let dead = house.dead("S1", 1);
        house.engine.plan("S1", Mishap::EndsAtOnce);
        house.engine.plan("S9", Mishap::EndsAtOnce);
        let (healing, addition) = (house.relaunch(dead), house.add(1, &["S9"]));
        assert!(matches!(addition.join().unwrap(), Err(ChangeError::Failed(_))));
        assert!(outcome(&healing).is_err());
        house.check(1);
    });
}

#[test]
fn a_search_for_strays_and_an_addition_of_the_same_name() {
    explore(|| {
        let house = House::new(RespawnName::Same);
        house.engine.plan("S9", Mishap::StartComesLate);
        assert!(house.add(1, &["S9"]).join().unwrap().is_err());
        house.look_for_strays();
        let added = house.add(1, &["S9"]).join().unwrap();
        assert!(matches!(added, Ok(_) | Err(ChangeError::Refused(_))), "{added:?}");
        house.check(counted(&added));
    });
}

#[test]
fn a_search_for_strays_and_a_relaunch() {
    explore(|| {
        let house = House::new(RespawnName::Same);
        let dead = house.dead("S1", 1);
        house.engine.plan("S1", Mishap::StartComesLate);
        let first = house.relaunch(dead);
        let removal = house.remove(1, &["S1"]);
        let _ = outcome(&first);
        house.look_for_strays();
        let second = house.relaunch(dead);
        let removed = removal.join().unwrap();
        let _ = outcome(&second);
        house.check(1 - counted(&removed));
    });
}

#[test]
fn a_relaunch_under_a_new_name_and_changes_to_the_old_one() {
    explore(|| {
        let house = House::new(RespawnName::Random);
        let hung = house.hung("S1", 1);
        let healing = house.relaunch(hung);
        let (addition, removal) = (house.add(1, &["S1"]), house.remove(1, &["S1"]));
        let (added, removed) = (addition.join().unwrap(), removal.join().unwrap());
        let _ = outcome(&healing);
        house.check(1 + counted(&added) - counted(&removed));
    });
}

#[test]
fn a_relaunch_under_a_new_name_and_a_search_for_strays() {
    explore(|| {
        let house = House::new(RespawnName::Random);
        let hung = house.hung("S1", 1);
        house.engine.plan("S9", Mishap::StartFails);
        assert!(house.add(1, &["S9"]).join().unwrap().is_err());
        house.look_for_strays();
        assert!(serves(&house.relaunch(hung)));
        house.check(1);
    });
}

#[test]
fn a_relaunch_under_a_new_name_and_the_end() {
    explore(|| {
        let house = House::new(RespawnName::Random);
        let (hung, dead) = (house.hung("S1", 1), house.dead("S2", 2));
        let healings = [house.relaunch(hung), house.relaunch(dead)];
        house.close();
        healings.iter().for_each(|healing| assert!(outcome(healing).is_ok()));
        house.check_closed();
    });
}
