//! What a long life does to a fleet: its evenness after many joins and leaves, beside that of one that is new.

use std::collections::BTreeSet;

use anyhow::Result;
use ringmaster::ring::{REQUEST_IDS, RingId, Scheme};
use serde::{Deserialize, Serialize};

use super::fleet::{Fleet, Moved, Way};
use super::judge;
use crate::load::Wrong;

/// Joins and leaves of one life.
const CHANGES: usize = 200;

/// Lives.
const LIVES: u64 = 5;

/// Within which a fleet grows and shrinks.
const SIZES: std::ops::RangeInclusive<usize> = 5..=15;

/// How large it is at the beginning.
const BEGIN: u32 = 10;

/// One key of so many is followed through the lives.
const EVERY: usize = 450;

/// What came out under one scheme: the busiest server over the mean.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct History {
    /// Which.
    pub scheme: String,
    /// Joins and leaves of one life.
    pub changes: usize,
    /// How many lives.
    pub lives: u64,
    /// On average over all moments of all lives.
    pub mean: f64,
    /// At the worst moment.
    pub most: f64,
    /// On average at the ends.
    pub end: f64,
    /// The same fleets as they were at the ends, but new: joined in order of their numbers.
    pub fresh: f64,
}

/// Lives under one scheme. What breaks a promise is a wrong answer, and so is a fleet whose places depend on its life
/// where they must not.
///
/// # Errors
/// A server finds no place.
pub fn of(scheme: Scheme, seed: u64, wrong: &mut Wrong) -> Result<History> {
    let (mut moments, mut ends, mut fresh) = (Vec::new(), Vec::new(), Vec::new());
    let keys: Vec<u64> = REQUEST_IDS.step_by(EVERY).collect();
    for life in 0..LIVES {
        let (old, members) = live(scheme, seed.wrapping_add(life), &keys, &mut moments, wrong)?;
        let new = fleet(scheme, members)?;
        if !has_memory(scheme) && old.owners(&keys) != new.owners(&keys) {
            wrong.push(format!("{scheme}: equal fleets with unequal owners after life {life}"));
        }
        ends.extend(busiest(&old));
        fresh.extend(busiest(&new));
    }
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len().max(1) as f64;
    Ok(History {
        scheme: scheme.to_string(),
        changes: CHANGES,
        lives: LIVES,
        mean: mean(&moments),
        most: moments.iter().copied().fold(0.0, f64::max),
        end: mean(&ends),
        fresh: mean(&fresh),
    })
}

/// Whether places depend on who came before.
fn has_memory(scheme: Scheme) -> bool {
    matches!(scheme, Scheme::Even | Scheme::Statement(_))
}

fn fleet(scheme: Scheme, members: impl IntoIterator<Item = RingId>) -> Result<Fleet> {
    let mut fleet = Way::Ring(scheme).fleet(*SIZES.end())?;
    members.into_iter().try_for_each(|id| fleet.join(id))?;
    Ok(fleet)
}

/// One life: at random somebody joins, with the lowest number that is free, or somebody leaves.
fn live(
    scheme: Scheme,
    seed: u64,
    keys: &[u64],
    moments: &mut Vec<f64>,
    wrong: &mut Wrong,
) -> Result<(Fleet, BTreeSet<RingId>)> {
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut members: BTreeSet<RingId> = (1..=BEGIN).map(RingId).collect();
    let mut fleet = fleet(scheme, members.iter().copied())?;
    let mut before = fleet.owners(keys);
    for change in 0..CHANGES {
        let joins = match members.len() {
            least if least <= *SIZES.start() => true,
            most if most >= *SIZES.end() => false,
            _ => rng.bool(),
        };
        let leaver = rng.choice(members.iter().copied()).filter(|_| !joins);
        let changed = leaver.or_else(|| (1..).map(RingId).find(|id| !members.contains(id)));
        let Some(changed) = changed else { continue };
        if joins {
            fleet.join(changed)?;
            members.insert(changed);
        } else {
            fleet.leave(changed);
            members.remove(&changed);
        }
        let after = fleet.owners(keys);
        let moved = Moved::between(&before, &after, changed);
        judge(Way::Ring(scheme), moved, &format!("{scheme}, seed {seed}, change {change}"), wrong);
        before = after;
        moments.extend(busiest(&fleet));
    }
    Ok((fleet, members))
}

fn busiest(fleet: &Fleet) -> Option<f64> {
    let Fleet::Ring(ring) = fleet else { return None };
    let spread = ring.spread();
    Some(spread.values().copied().fold(0.0, f64::max) * spread.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_life_leaves_the_sizes_in_bounds_and_all_promises_kept() {
        let (mut moments, mut wrong) = (Vec::new(), Wrong::default());
        let keys: Vec<u64> = REQUEST_IDS.step_by(9001).collect();
        let (_, members) = live(Scheme::Even, 3, &keys, &mut moments, &mut wrong).unwrap();
        assert!(SIZES.contains(&members.len()) && moments.len() == CHANGES, "{members:?}");
        assert!(moments.iter().all(|moment| (1.0..2.5).contains(moment)), "{moments:?}");
        assert_eq!(wrong, Wrong::default());
    }

    #[test]
    fn equal_seeds_are_equal_lives() {
        let life = || of(Scheme::Maglev, 7, &mut Wrong::default()).unwrap().mean;
        assert_eq!(life().to_bits(), life().to_bits());
    }
}
