//! Balance: how evenly ten servers share, by how many virtual servers each has. Only computed, on the library's rings.

mod words;

use anyhow::{Result, anyhow};
use ringmaster::ring::{REQUEST_IDS, Ring, RingId, Scheme, Shape};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::experiment::{Experiment, Findings, Lab};
use crate::interrupt;
use crate::load::Wrong;
use crate::options::Options;
use crate::progress;
use crate::results::About;
use crate::stats::Spread;

/// Servers of a fleet.
const SERVERS: u32 = 10;

/// Points of one server under `ketama`.
const POINTS: [usize; 8] = [1, 3, 9, 30, 100, 160, 300, 1000];

/// Virtual servers of one server under `even`.
const PLACED: [usize; 7] = [1, 2, 3, 5, 9, 15, 30];

/// Slots under `even`: enough that a slot more or less is no matter.
const SLOTS: usize = 4096;

/// Fleets of servers with other numbers, where places follow from those.
const FLEETS: u32 = 20;

/// How far the numbers of two fleets are apart.
const APART: u32 = 1000;

/// See the [module](self).
pub struct Balance;

#[derive(Debug, Serialize, Deserialize)]
struct Outcome {
    servers: u32,
    keys: u64,
    cases: Vec<Case>,
    wrong: Wrong,
}

/// What came out under a scheme with so many virtual servers.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Case {
    scheme: String,
    /// 0 under a scheme without.
    virtual_servers: usize,
    measures: String,
    fleets: u32,
    /// Means over all fleets.
    max_over_mean: f64,
    min_over_mean: f64,
    /// The standard deviation over the mean; its square is the mean over all fleets.
    deviation: f64,
}

impl Experiment for Balance {
    fn name(&self) -> &'static str {
        "balance"
    }

    fn summary(&self) -> &'static str {
        "how evenly ten servers share, by how many virtual servers each has"
    }

    fn about(&self, options: &Options) -> About {
        About::computed(options, "computed on rings of the library")
    }

    fn run(&self, _lab: &Lab) -> Result<Findings> {
        let shapes = shapes().map_err(|why| anyhow!(why))?;
        let bar = progress::bar("balance", shapes.len());
        let (mut cases, mut wrong) = (Vec::new(), Wrong::default());
        for shape in shapes {
            cases.push(case(shape, &mut wrong)?);
            bar.inc(1);
            interrupt::check()?;
        }
        bar.finish_and_clear();
        let keys = REQUEST_IDS.count() as u64;
        let outcome = Outcome { servers: SERVERS, keys, cases, wrong };
        let mut findings = Findings::new(&outcome, &outcome.wrong)?;
        for (file, chart) in words::charts(&outcome) {
            findings = findings.file(file, chart.svg());
        }
        Ok(findings)
    }

    fn section(&self, result: Value) -> Result<String> {
        Ok(words::section(&serde_json::from_value(result)?))
    }
}

fn shapes() -> Result<Vec<Shape>, String> {
    let ketama = POINTS.into_iter().map(|points| Shape::new(Scheme::Ketama, 0, points));
    let even = PLACED.into_iter().map(|placed| Shape::new(Scheme::Even, SLOTS, placed));
    let others = [Scheme::Maglev, Scheme::Rendezvous].map(|scheme| Ok(Shape::of(scheme)));
    ketama.chain(even).chain(others).collect()
}

/// What lies nowhere is a wrong answer.
fn case(shape: Shape, wrong: &mut Wrong) -> Result<Case> {
    // Places under `even` follow from the order of joining alone.
    let fleets = if shape.scheme() == Scheme::Even { 1 } else { FLEETS };
    let mut spreads = Vec::new();
    for fleet in 0..fleets {
        let loads = loads(shape, fleet)?;
        let (owned, keys) = (loads.iter().sum::<u64>(), REQUEST_IDS.count() as u64);
        if owned != keys {
            wrong.push(format!("{shape}, fleet {fleet}: {} keys belong to nobody", keys - owned));
        }
        spreads.push(Spread::of(&loads));
    }
    let mean = |value: fn(&Spread) -> f64| spreads.iter().map(value).sum::<f64>() / f64::from(fleets);
    Ok(Case {
        scheme: shape.scheme().to_string(),
        virtual_servers: shape.virtual_servers(),
        measures: shape.to_string(),
        fleets,
        max_over_mean: mean(|spread| spread.max_over_mean),
        min_over_mean: mean(|spread| spread.min_over_mean),
        deviation: mean(|spread| (spread.deviation / spread.mean).powi(2)).sqrt(),
    })
}

/// How many of all six-digit request ids each server of a fleet gets. The first fleet is numbered from 1 on, as the
/// balancer does it.
fn loads(shape: Shape, fleet: u32) -> Result<Vec<u64>> {
    let mut ring = Ring::new(shape);
    let ids: Vec<RingId> = (1..=SERVERS).map(|id| RingId(fleet * APART + id)).collect();
    for &id in &ids {
        ring.place(id)?;
    }
    ring.set_all_serving(&ids, true);
    Ok(ring.shares(REQUEST_IDS).into_values().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_shapes_are_possible() {
        assert_eq!(shapes().unwrap().len(), POINTS.len() + PLACED.len() + 2);
    }

    #[test]
    fn loads_are_all_keys_and_differ_from_fleet_to_fleet() {
        let shape = Shape::new(Scheme::Ketama, 0, 3).unwrap();
        let (one, other) = (loads(shape, 0).unwrap(), loads(shape, 1).unwrap());
        assert_eq!((one.len(), one.iter().sum::<u64>()), (10, 900_000));
        assert_ne!(one, other);
    }

    #[test]
    fn placing_is_better_than_luck() {
        let mut wrong = Wrong::default();
        let of =
            |scheme, slots, wrong: &mut Wrong| case(Shape::new(scheme, slots, 9).unwrap(), wrong).unwrap();
        let (even, ketama) = (of(Scheme::Even, SLOTS, &mut wrong), of(Scheme::Ketama, 0, &mut wrong));
        assert!(even.max_over_mean < 1.1 && ketama.max_over_mean > 1.3, "{even:?} {ketama:?}");
        assert_eq!(wrong, Wrong::default());
    }
}
