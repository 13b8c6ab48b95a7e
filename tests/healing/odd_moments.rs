//! Replicas that die, hang, recover or cannot be stopped just when somebody is at work on them.

use std::collections::BTreeSet;
use std::thread;
use std::time::Duration;

use crate::support::{FakeLauncher, Gate, Hooked, Load, TestServer, wait_for};
use ringmaster::launcher::{LaunchError, Launcher, Order, Survivor, Tell, Watch};
use ringmaster::replica::{Hostname, Instance};
use ringmaster::ring::{RingId, Weight};

/// No heartbeat is due within a test, unless there is a reason to take one.
const NO_HEARTBEATS: &str = "--heartbeat-interval 60s --heartbeat-timeout 10s";

const QUICK: &str = "--heartbeat-interval 20ms --heartbeat-timeout 5s --longest-pause 1s";

/// Replicas that can be stopped but not removed, as when an engine fails in between; it may tell of the death or not.
struct HalfStopped(FakeLauncher, IsTold);

type IsTold = bool;

impl Launcher for HalfStopped {
    fn watch(&self, tell: Tell) -> Option<Watch> {
        self.0.watch(tell)
    }

    fn prepare(&self) -> Result<(), LaunchError> {
        self.0.prepare()
    }

    fn survivors(&self) -> Result<Vec<Survivor>, LaunchError> {
        self.0.survivors()
    }

    fn taken_names(&self) -> Result<BTreeSet<String>, LaunchError> {
        self.0.taken_names()
    }

    fn start(&self, order: &Order) -> Result<Instance, LaunchError> {
        self.0.start(order)
    }

    fn stop(&self, key: &str, grace: Option<Duration>) -> Result<(), LaunchError> {
        if grace.is_some() && self.0.count("start server_2") == 1 {
            match self.1 {
                true => self.0.end("server_2"),
                false => self.0.at("server_2", |backend| backend.kill()),
            }
            return Err(LaunchError("the container could not be removed".to_owned()));
        }
        self.0.stop(key, grace)
    }

    fn clean_up(&self) {}
}

#[test]
fn one_whose_removal_failed_half_way_is_launched_again_before_it_gets_requests() {
    for is_told in [true, false] {
        let launcher = FakeLauncher::new();
        // One miss is enough, so that no second heartbeat has to be waited for.
        let flags = format!("{NO_HEARTBEATS} --fall 1");
        let server = TestServer::start(&flags, HalfStopped(launcher.clone(), is_told));
        let refused = server.admin("DELETE", "/rm", r#"{"n":1,"hostnames":["server_2"]}"#);
        assert_eq!(refused.status, 500);
        assert!(refused.error().contains("'server_2' did not stop"), "{}", refused.text());
        wait_for("it to be launched again", || {
            launcher.count("start server_2") == 2 && server.serving() == 3
        });
        assert_eq!(launcher.early_requests(), 0);
    }
}

#[test]
fn an_addition_of_which_one_has_died_meanwhile_is_none() {
    let (launcher, gate) = (FakeLauncher::new(), Gate::default());
    let door = gate.clone();
    let hooked = Hooked::new(&launcher, move |name| {
        if name == "S6" {
            door.pass();
        }
    });
    let server = TestServer::start(NO_HEARTBEATS, hooked);
    thread::scope(|scope| {
        let addition = scope.spawn(|| server.admin("POST", "/add", r#"{"n":2,"hostnames":["S5","S6"]}"#));
        wait_for("the other launch", || gate.waiting() == 1);
        let answers =
            || launcher.count("start S5") == 1 && launcher.at("S5", |backend| backend.heartbeats()) > 0;
        wait_for("the first to be up", answers);
        launcher.end("S5");
        gate.open();
        let refused = addition.join().unwrap();
        assert_eq!(refused.status, 500, "{}", refused.text());
        assert!(refused.error().contains("'S5' did not start: it has ended"), "{}", refused.text());
    });
    assert_eq!(launcher.running(), ["server_1", "server_2", "server_3"]);
}

/// What was launched later may get the address of what has died meanwhile.
#[test]
fn an_addition_of_which_one_has_lost_its_address_to_another_is_none() {
    let (launcher, gate) = (FakeLauncher::new(), Gate::default());
    let door = gate.clone();
    let hooked = Hooked::new(&launcher, move |name| {
        if name == "S6" {
            door.pass();
        }
    });
    let server = TestServer::start(NO_HEARTBEATS, hooked);
    thread::scope(|scope| {
        let addition = scope.spawn(|| server.admin("POST", "/add", r#"{"n":2,"hostnames":["S5","S6"]}"#));
        wait_for("the other launch", || gate.waiting() == 1);
        let answers =
            || launcher.count("start S5") == 1 && launcher.at("S5", |backend| backend.heartbeats()) > 0;
        wait_for("the first to be up", answers);
        launcher.pass_address_on("S5");
        gate.open();
        let refused = addition.join().unwrap();
        assert_eq!(refused.status, 500, "{}", refused.text());
        assert!(refused.error().contains("'S5' did not start: it has ended"), "{}", refused.text());
    });
    assert_eq!(server.listed(), ["server_1", "server_2", "server_3"]);
}

/// What panic is for: everything stood still for a while, and then goes on. Numbers of heartbeats stand for times here,
/// and so many of them that a test which is held up for a moment does not miss its turn.
#[test]
fn those_that_recover_from_a_panic_are_left_alone() {
    const MANY: u32 = 100;
    let launcher = FakeLauncher::new();
    let server =
        TestServer::start(&format!("{QUICK} --replicas 5 --fall {MANY} --rise {MANY}"), launcher.clone());
    let load = Load::start(server.address, 2);
    let names = server.listed();
    let sick = |names: &[String], times| {
        names.iter().for_each(|name| launcher.at(name, |backend| backend.fail_heartbeats(times)));
    };
    let beats = |name: &String| launcher.at(name, |backend| backend.heartbeats());
    sick(&names, u32::MAX);
    let before: Vec<u32> = names.iter().map(&beats).collect();
    wait_for("all of them to have failed", || {
        names.iter().zip(&before).all(|(name, before)| beats(name) > before + MANY + 2)
    });
    let in_panic = || server.get("/_ringmaster/status").json()["message"]["panic"] == true;
    assert!(in_panic());
    let starts = || names.iter().map(|name| launcher.count(&format!("start {name}"))).sum::<usize>();
    let started = starts();
    // Three are on their way to being well when the others begin: the panic is over before those are.
    sick(&names[..3], 0);
    let begun = beats(&names[0]);
    wait_for("them to answer for a while", || beats(&names[0]) > begun + MANY / 5);
    sick(&names[3..], 0);
    wait_for("the end of the panic", || !in_panic() && server.serving() == 5);
    // One may have been on its way out for having missed twice as many.
    assert!(starts() <= started + 1, "{:?}", launcher.calls());
    let seen = load.stop();
    assert!(seen.failures.is_empty() && seen.cut == 0, "{:?}, {} cut", seen.failures, seen.cut);
}

#[test]
fn one_that_cannot_be_launched_keeps_its_name_and_may_recover() {
    let launcher = FakeLauncher::new();
    let server = TestServer::start(&format!("{QUICK} --respawn-name random"), launcher.clone());
    let names = server.listed();
    launcher.fail_all_starts(true);
    launcher.at("server_2", |backend| backend.fail_heartbeats(40));
    wait_for("it to leave the ring", || server.serving() == 2);
    wait_for("it to be back without a launch", || server.serving() == 3);
    assert_eq!(server.listed(), names);
    assert_eq!(launcher.running(), names, "nobody has stopped it");
}

#[test]
fn of_two_lives_of_one_replica_one_is_adopted() {
    let launcher = FakeLauncher::new();
    for (name, id) in [("server_1", 1), ("server_new", 2), ("server_2", 2), ("server_3", 3)] {
        let order = Order {
            hostname: Hostname::parse(name).unwrap(),
            ring_id: RingId(id),
            slots: Vec::new(),
            weight: Weight::ONE,
        };
        launcher.leave_survivor(Survivor { order, key: name.into(), instance: None });
    }
    let server = TestServer::start(QUICK, launcher.clone());
    assert_eq!(server.listed().len(), 3, "{:?}", server.listed());
    assert_eq!(server.serving(), 3);
}

#[test]
fn a_removal_during_a_launch_is_no_failure_of_the_launch() {
    let launcher = FakeLauncher::new();
    let server = TestServer::start(&format!("{NO_HEARTBEATS} --start-timeout 600s"), launcher.clone());
    launcher.fail_first_heartbeats(u32::MAX);
    launcher.end("server_2");
    wait_for("the launch", || launcher.count("start server_2") == 2);
    let left = server.admin("DELETE", "/rm", r#"{"n":1,"hostnames":["server_2"]}"#).listed();
    assert_eq!(left, ["server_1", "server_3"]);
    launcher.fail_first_heartbeats(0);
    assert_eq!(server.admin("POST", "/add", r#"{"n":1,"hostnames":["server_2"]}"#).listed().len(), 3);
    let status = server.get("/_ringmaster/status").json();
    let replicas = status["message"]["replicas"].as_array().unwrap().clone();
    assert!(replicas.iter().all(|replica| replica["last_error"].is_null()), "{status}");
}
