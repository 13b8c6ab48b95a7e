//! The engine itself fails, in every way there is: requests go on flowing to what lives, changes that cannot be made are
//! refused in words and leave nothing half done, and once the engine works again so does the fleet, without help.
//!
//! The real program with real replicas, over an engine that is a script.

mod calls;
mod crash_loop;
mod daemon;
mod events;
mod launches;
mod restart;
mod take_over;

use std::collections::{BTreeMap, BTreeSet};

use crate::support::fake_docker::Container;
use crate::support::load::Seen;
use crate::support::{FakeEngine, Load, Program, wait_for};
use serde_json::Value;

/// Failures are noticed and healed fast, and nobody who lives is taken for dead however busy the machine is.
const FLAGS: &str = "--longest-pause 1s --heartbeat-interval 100ms --heartbeat-timeout 15s --connect-timeout 15s \
                     --start-timeout 30s";

/// How many clients ask all the time.
const CLIENTS: usize = 3;

/// The replicas of a fleet: by name, the identity on the ring and the slots.
type Places = BTreeMap<String, (u64, Value)>;

/// A fleet of three that serves a light load.
struct Stage {
    load: Load,
    // Before the engine, which ends what it runs.
    program: Program,
    places: Places,
    engine: FakeEngine,
}

impl Stage {
    fn set() -> Stage {
        Stage::with(FLAGS)
    }

    fn with(flags: &str) -> Stage {
        let engine = FakeEngine::new();
        let program = Program::start_command(engine.balancer(flags));
        wait_for("all three to serve", || serving(&program) == 3);
        events::follower(&engine, "ringmaster");
        let load = Load::light(program.address, CLIENTS);
        load.wait_for_answers(30);
        let places = places(&program);
        assert_eq!(places.keys().collect::<Vec<_>>(), ["server_1", "server_2", "server_3"]);
        Stage { load, program, places, engine }
    }

    /// An addition, or a removal, cannot be made: the refusal has `words` in it, and everything is as before.
    fn assert_refused(&self, method: &str, path: &str, body: &str, words: &str) {
        let containers = self.others();
        let refusal = self.program.admin(method, path, body);
        assert!(matches!(refusal.status, 400 | 500), "{}: {}", refusal.status, refusal.text());
        let error = refusal.error();
        assert!(error.contains(words), "{path}: {error}");
        self.assert_listed();
        assert_eq!(self.others(), containers, "{path} left something, or took it away");
    }

    /// All containers but that of server_2, which may be coming and going where that is what is killed.
    fn others(&self) -> Vec<Container> {
        self.engine.containers().into_iter().filter(|container| container.name != "server_2").collect()
    }

    fn assert_add_refused(&self, words: &str) {
        self.assert_refused("POST", "/add", r#"{"n":1,"hostnames":["S5"]}"#, words);
    }

    fn assert_rm_refused(&self, words: &str) {
        self.assert_refused("DELETE", "/rm", r#"{"n":1,"hostnames":["server_1"]}"#, words);
    }

    /// N does not waver.
    fn assert_listed(&self) {
        assert_eq!(self.program.listed(), ["server_1", "server_2", "server_3"]);
    }

    /// Waits until the status says of a replica what is wanted.
    fn wait_for_status(&self, name: &str, what: &str, holds: impl Fn(&Value) -> bool) {
        wait_for(what, || {
            self.assert_listed();
            holds(&status_of(&self.program, name))
        });
    }

    /// Waits until the launches of a replica fail again and again, with `words` as the reason.
    fn wait_for_failing_launches(&self, name: &str, words: &str) {
        self.wait_for_status(name, "launches to fail", |status| {
            let error = status["last_error"].as_str().unwrap_or_default();
            status["state"] == "crash loop" && error.contains(words)
        });
    }

    /// Requests are answered now.
    fn assert_flowing(&self) {
        self.load.wait_for_answers(30);
        self.assert_unharmed();
    }

    fn assert_unharmed(&self) {
        let Seen { failures, cut, .. } = self.load.seen();
        assert!(failures.is_empty() && cut == 0, "{cut} cut, {failures:?}");
    }

    /// Waits until three serve, and checks that they are who they were, in containers of their own and no others.
    fn wait_until_whole(&self) {
        wait_for("all three to serve again", || serving(&self.program) == 3);
        assert_eq!(places(&self.program), self.places, "somebody has another place than before");
        self.program.wait_until_all_serve();
        self.assert_containers("ringmaster", &["server_1", "server_2", "server_3"]);
        assert!(
            status(&self.program)["replicas"].as_array().unwrap().iter().all(|it| it["last_error"].is_null())
        );
    }

    /// Exactly these containers of a fleet are there and run.
    fn assert_containers(&self, fleet: &str, names: &[&str]) {
        assert_containers(&self.engine, fleet, names);
    }

    /// Whole again, and no client has heard of anything.
    fn end_unharmed(self) {
        self.wait_until_whole();
        self.assert_flowing();
        let seen = self.load.stop();
        assert!(seen.failures.is_empty() && seen.cut == 0, "{seen:?}");
    }

    fn logged(&self, words: &str) -> usize {
        logged(&self.program, words)
    }
}

fn assert_containers(engine: &FakeEngine, fleet: &str, names: &[&str]) {
    let containers: Vec<_> =
        engine.containers().into_iter().filter(|container| container.fleet == fleet).collect();
    let running: BTreeSet<&str> = containers.iter().map(|container| container.name.as_str()).collect();
    assert_eq!(running.into_iter().collect::<Vec<_>>(), names);
    assert!(containers.iter().all(|container| container.pid.is_some()), "{containers:?}");
}

fn logged(program: &Program, words: &str) -> usize {
    program.log().iter().filter(|line| line.contains(words)).count()
}

fn status(program: &Program) -> Value {
    program.admin("GET", "/_ringmaster/status", "").json()["message"].take()
}

fn status_of(program: &Program, name: &str) -> Value {
    let status = status(program);
    status["replicas"].as_array().unwrap().iter().find(|it| it["name"] == name).unwrap().clone()
}

fn serving(program: &Program) -> u64 {
    status(program)["serving"].as_u64().unwrap()
}

fn places(program: &Program) -> Places {
    let status = status(program);
    let place = |it: &Value| {
        let name = it["name"].as_str().unwrap().to_owned();
        (name, (it["ring_id"].as_u64().unwrap(), it["slots"].clone()))
    };
    status["replicas"].as_array().unwrap().iter().map(place).collect()
}
