//! What must hold when all is over. Facts in, findings out.

use std::collections::BTreeSet;
use std::fmt;

use anyhow::Result;

use super::faults::Being;
use super::status::{Replica, State, Status};
use crate::paced::Counts;

/// Whether something holds, and what was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What should hold.
    pub what: &'static str,
    /// Whether it does.
    pub holds: bool,
    /// What was seen.
    pub seen: String,
}

impl Finding {
    /// What was seen of `what`, and whether it is as it should be.
    pub fn new(what: &'static str, holds: bool, seen: String) -> Finding {
        Finding { what, holds, seen }
    }

    /// One that holds when nothing speaks against it; otherwise the first few of what does are shown.
    pub fn of_failures(what: &'static str, failures: &[String]) -> Finding {
        const SHOWN: usize = 10;
        let mut seen = failures.iter().take(SHOWN).cloned().collect::<Vec<_>>().join("\n        ");
        if failures.len() > SHOWN {
            seen.push_str(&format!("\n        and {} more", failures.len() - SHOWN));
        }
        Finding { what, holds: failures.is_empty(), seen }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Finding { what, holds, seen } = self;
        let word = if *holds { "ok    " } else { "FAILED" };
        match seen.is_empty() {
            true => write!(f, "{word}  {what}"),
            false => write!(f, "{word}  {what}: {seen}"),
        }
    }
}

/// As many replicas as the answers to changes said, for `/rep` and for the status.
pub fn number(wanted: usize, rep: Result<usize>, status: usize) -> Finding {
    let holds = rep.as_ref().is_ok_and(|&rep| rep == wanted && status == wanted);
    let rep = rep.map_or_else(|error| format!("{error:#}"), |rep| rep.to_string());
    let seen = format!("wanted {wanted}, /rep {rep}, status {status}");
    Finding::new("N is what was asked for", holds, seen)
}

/// Every replica takes requests.
pub fn states(status: &Status) -> Finding {
    let what = "every replica serves";
    let idle: Vec<String> =
        status.replicas.iter().filter(|it| it.state != State::Serving).map(idle).collect();
    match idle.is_empty() {
        true => Finding::new(what, !status.replicas.is_empty(), format!("{}", status.replicas.len())),
        false => Finding::of_failures(what, &idle),
    }
}

fn idle(replica: &Replica) -> String {
    let Replica { name, state, last_error, .. } = replica;
    format!("{name} is {state:?}, {}", last_error.as_deref().unwrap_or("no error is told"))
}

/// Every slot of the ring belongs to one that takes requests.
pub fn slots(status: &Status) -> Finding {
    let owned: usize = status.replicas.iter().map(|replica| replica.owned_slots).sum();
    let idle = status.replicas.iter().filter(|it| it.state != State::Serving && it.owned_slots > 0).count();
    let seen = format!("{owned} of {}, {idle} owners do not serve", status.slots);
    Finding::new("every slot has an owner that serves", owned == status.slots && idle == 0 && owned > 0, seen)
}

/// What runs is what the balancer says, one for one, and nothing else is there.
pub fn alive(keys: Vec<String>, beings: Result<Vec<Being>>) -> Finding {
    let what = "every replica is alive, and there is no other";
    let beings = match beings {
        Ok(beings) => beings,
        Err(error) => return Finding::new(what, false, format!("{error:#}")),
    };
    let number = beings.len();
    let known: BTreeSet<&String> = keys.iter().collect();
    let alive: BTreeSet<&String> = beings.iter().map(|being| &being.key).collect();
    let mut failures: Vec<String> =
        known.difference(&alive).map(|key| format!("{key} is not there")).collect();
    failures.extend(alive.difference(&known).map(|key| format!("{key} is not a replica's")));
    let dead = beings.iter().filter(|being| !being.runs);
    failures.extend(dead.map(|being| format!("{} is in state {}", being.key, being.state)));
    if failures.is_empty() && (number != keys.len() || known.len() != keys.len()) {
        failures.push(format!("{number} are there for {} replicas", keys.len()));
    }
    match failures.is_empty() {
        true => Finding::new(what, true, format!("{number}")),
        false => Finding::of_failures(what, &failures),
    }
}

/// Every request had a right answer, and there were some.
pub fn no_loss(load: &Counts) -> Finding {
    let what = "no request was lost";
    match (load.wrong, load.answers) {
        (0, 0) => Finding::new(what, false, "there was no answer at all".to_owned()),
        (0, _) => Finding::new(what, true, String::new()),
        (lost, _) => {
            Finding::new(what, false, format!("{lost} were\n        {}", load.failures.join("\n        ")))
        }
    }
}

/// No replica holds a request when nobody asks.
pub fn in_flight(status: &Status) -> Finding {
    let busy: Vec<String> = status
        .replicas
        .iter()
        .filter(|replica| replica.in_flight > 0)
        .map(|replica| format!("{} holds {}", replica.name, replica.in_flight))
        .collect();
    Finding::of_failures("no request is in flight after the load", &busy)
}

#[cfg(test)]
mod tests {
    use super::super::status::tests::fleet;
    use super::*;

    const UP: State = State::Serving;

    fn being(key: &str, state: &str) -> Being {
        Being { key: key.to_owned(), state: state.to_owned(), runs: state == "S" }
    }

    #[test]
    fn a_fleet_that_is_well() {
        let status = fleet(&[("a", UP, "1", 6), ("b", UP, "2", 4)]);
        assert!(number(2, Ok(2), status.n).holds);
        assert!(states(&status).holds && slots(&status).holds && in_flight(&status).holds);
        let keys = vec!["1".to_owned(), "2".to_owned()];
        assert!(alive(keys, Ok(vec![being("2", "S"), being("1", "S")])).holds);
    }

    #[test]
    fn what_is_wrong_is_found() {
        let status = fleet(&[("a", UP, "1", 6), ("b", State::Failed, "2", 4)]);
        assert!(!states(&status).holds && !slots(&status).holds);
        assert!(states(&status).seen.contains("b is Failed"), "{}", states(&status));
        assert!(!slots(&fleet(&[("a", UP, "1", 9)])).holds, "a slot belongs to nobody");
        assert!(!states(&fleet(&[])).holds && !slots(&Status::default()).holds);
        assert!(!number(2, Ok(3), 2).holds && !number(2, Ok(2), 3).holds);
        assert!(!number(2, Err(anyhow::anyhow!("no answer")), 2).holds);
        assert!(!no_loss(&Counts::default()).holds, "nobody asked");
        assert!(no_loss(&Counts { answers: 1, ..Counts::default() }).holds);
        assert!(!no_loss(&Counts { answers: 9, wrong: 1, ..Counts::default() }).holds);
        let mut busy = fleet(&[("a", UP, "1", 10)]);
        busy.replicas[0].in_flight = 1;
        assert!(!in_flight(&busy).holds);
    }

    #[test]
    fn what_lives_must_be_what_is_known() {
        let keys = || vec!["1".to_owned(), "2".to_owned()];
        for (beings, told) in [
            (vec![being("1", "S")], "2 is not there"),
            (vec![being("1", "S"), being("2", "T")], "2 is in state T"),
            (vec![being("1", "S"), being("2", "S"), being("3", "S")], "3 is not a replica's"),
            (vec![being("1", "S"), being("2", "S"), being("2", "S")], "3 are there for 2 replicas"),
        ] {
            let finding = alive(keys(), Ok(beings));
            assert!(!finding.holds && finding.seen.contains(told), "{finding}");
        }
        assert!(!alive(keys(), Err(anyhow::anyhow!("no engine"))).holds);
    }
}
