//! Movement: how many keys change hands when a server joins or leaves, beside how many must. Only computed, on the
//! library's rings.

mod fleet;
mod history;
mod jump;
mod words;

use std::iter::repeat_with;

use anyhow::Result;
use indicatif::ProgressBar;
use ringmaster::ring::{REQUEST_IDS, RingId, Scheme};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::experiment::{Experiment, Findings, Lab};
use crate::interrupt;
use crate::load::Wrong;
use crate::options::Options;
use crate::progress;
use crate::results::About;
use fleet::{Moved, Way};
use history::History;

/// The sizes of fleets that one server joins or leaves.
const SIZES: [usize; 4] = [3, 10, 30, 100];

/// Keys that are followed.
const KEYS: usize = 200_000;

/// How many servers join, and how many leave, each time alone and the same fleet; a smaller fleet has fewer to leave.
const TRIES: usize = 10;

/// See the [module](self).
pub struct Movement;

#[derive(Debug, Serialize, Deserialize)]
struct Outcome {
    keys: usize,
    tries: usize,
    cases: Vec<Case>,
    histories: Vec<History>,
    wrong: Wrong,
}

/// One way to share keys with one size of fleet.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Case {
    way: String,
    n: usize,
    /// The ring, if there is one.
    measures: String,
    /// What came out, or why there is no such fleet.
    changes: Result<Changes, String>,
}

#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Changes {
    join: Change,
    leave: Change,
}

/// Means over all tries, as parts of all keys.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Change {
    moved: f64,
    /// Of those, what went from one who stayed to another who stayed.
    needless: f64,
    /// The even part of a joiner; what leavers had.
    ideal: f64,
}

impl Change {
    fn over_ideal(self) -> f64 {
        if self.ideal > 0.0 { self.moved / self.ideal } else { 0.0 }
    }
}

impl Experiment for Movement {
    fn name(&self) -> &'static str {
        "movement"
    }

    fn summary(&self) -> &'static str {
        "keys that move when a server joins or leaves, under every scheme, beside those that must"
    }

    fn about(&self, options: &Options) -> About {
        About::computed(options, "computed on rings of the library")
    }

    fn run(&self, lab: &Lab) -> Result<Findings> {
        let mut rng = fastrand::Rng::with_seed(lab.options.seed);
        let keys: Vec<u64> = repeat_with(|| rng.u64(REQUEST_IDS)).take(KEYS).collect();
        let ways = Way::all();
        let bar = progress::bar("movement", ways.len() * SIZES.len() + Scheme::ALL.len());
        let (mut cases, mut wrong) = (Vec::new(), Wrong::default());
        for &way in &ways {
            for n in SIZES {
                cases.push(case(way, n, &keys, &mut rng, &mut wrong)?);
                step(&bar)?;
            }
        }
        let mut histories = Vec::new();
        for scheme in Scheme::ALL {
            histories.push(history::of(scheme, lab.options.seed, &mut wrong)?);
            step(&bar)?;
        }
        bar.finish_and_clear();
        let outcome = Outcome { keys: KEYS, tries: TRIES, cases, histories, wrong };
        let mut findings = Findings::new(&outcome, &outcome.wrong)?;
        for (file, svg) in words::charts(&outcome) {
            findings = findings.file(file, svg);
        }
        Ok(findings)
    }

    fn section(&self, result: Value) -> Result<String> {
        Ok(words::section(&serde_json::from_value(result)?))
    }
}

fn step(bar: &ProgressBar) -> Result<()> {
    bar.inc(1);
    interrupt::check()
}

/// Servers 1 to `n` join, as the balancer numbers them; then each of some more joins them, and each of some of them
/// leaves.
fn case(way: Way, n: usize, keys: &[u64], rng: &mut fastrand::Rng, wrong: &mut Wrong) -> Result<Case> {
    let mut fleet = way.fleet(n)?;
    let mut members: Vec<RingId> = (1..=n as u32).map(RingId).collect();
    let mut case = Case { way: way.name(), n, measures: fleet.measures(), changes: Ok(Changes::default()) };
    for &id in &members {
        if let Err(error) = fleet.join(id) {
            case.changes = Err(error.to_string());
            return Ok(case);
        }
    }
    let before = fleet.owners(keys);
    let part = |count: usize| count as f64 / keys.len() as f64;
    let mut join = Change { ideal: 1.0 / (n + 1) as f64, ..Change::default() };
    for id in (n + 1..=n + TRIES).map(|id| RingId(id as u32)) {
        let mut larger = fleet.clone();
        if let Err(error) = larger.join(id) {
            case.changes = Err(error.to_string());
            return Ok(case);
        }
        let moved = Moved::between(&before, &larger.owners(keys), id);
        join.moved += part(moved.all) / TRIES as f64;
        join.needless += part(moved.needless) / TRIES as f64;
        judge(way, moved, &format!("{}, N = {n}, {id} joins", way.name()), wrong);
    }
    rng.shuffle(&mut members);
    members.truncate(TRIES);
    let mut leave = Change::default();
    for &id in &members {
        let mut smaller = fleet.clone();
        smaller.leave(id);
        let moved = Moved::between(&before, &smaller.owners(keys), id);
        let own = before.iter().filter(|owner| **owner == Some(id)).count();
        leave.moved += part(moved.all) / members.len() as f64;
        leave.needless += part(moved.needless) / members.len() as f64;
        leave.ideal += part(own) / members.len() as f64;
        judge(way, moved, &format!("{}, N = {n}, {id} leaves", way.name()), wrong);
    }
    case.changes = Ok(Changes { join, leave });
    Ok(case)
}

/// What breaks a promise is a wrong answer.
fn judge(way: Way, moved: Moved, when: &str, wrong: &mut Wrong) {
    if moved.lost > 0 {
        wrong.push(format!("{when}: {} keys belong to nobody", moved.lost));
    }
    if way.is_frugal() && moved.needless > 0 {
        wrong.push(format!("{when}: {} keys move between two that stay", moved.needless));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn case_of(way: Way, n: usize) -> (Changes, Wrong) {
        let (mut rng, mut wrong) = (fastrand::Rng::with_seed(1), Wrong::default());
        let keys: Vec<u64> = repeat_with(|| rng.u64(REQUEST_IDS)).take(20_000).collect();
        let case = case(way, n, &keys, &mut rng, &mut wrong).unwrap();
        (case.changes.unwrap(), wrong)
    }

    #[test]
    fn remainders_move_nearly_all_and_rendezvous_what_it_must() {
        let (all, _) = case_of(Way::Remainder, 3);
        assert!((all.join.moved - 0.75).abs() < 0.02 && (all.join.over_ideal() - 3.0).abs() < 0.1, "{all:?}");
        let (least, wrong) = case_of(Way::Ring(Scheme::Rendezvous), 3);
        assert!((least.join.moved - 0.25).abs() < 0.02 && least.join.needless == 0.0, "{least:?}");
        assert!((least.leave.over_ideal() - 1.0).abs() < 1e-9 && wrong.count == 0, "{least:?}");
    }

    #[test]
    fn a_broken_promise_is_a_wrong_answer() {
        let count = |way, moved| {
            let mut wrong = Wrong::default();
            judge(way, moved, "when", &mut wrong);
            wrong.count
        };
        let needless = Moved { all: 2, needless: 1, lost: 0 };
        assert_eq!(count(Way::Ring(Scheme::Even), needless), 1);
        assert_eq!(count(Way::Ring(Scheme::Maglev), needless), 0);
        assert_eq!(count(Way::Ring(Scheme::Maglev), Moved { lost: 3, ..needless }), 1);
    }
}
