//! Every scheme a second time, slow and obvious: from the papers, with nothing kept between two questions.

use crate::fleets::{below, splitmix64};
use ringmaster::ring::{Probing, Ring, RingId, Scheme, Shape};
use std::cmp::Reverse;
use std::collections::BTreeSet;

/// What a request should meet, in order, given those that serve with their weights. `ring` is asked for the slots of
/// servers where they have any, and for nothing else.
pub fn walk(ring: &Ring, serving: &[(RingId, u32)], request: u64) -> Vec<RingId> {
    let shape = ring.shape();
    match shape.scheme() {
        Scheme::Even => clockwise(ring, serving, below(splitmix64(request), shape.slots())),
        Scheme::Statement(_) => clockwise(ring, serving, statement_slot(request, shape.slots())),
        Scheme::Ketama => nearest_points(shape.virtual_servers(), serving, request),
        Scheme::Maglev => along_table(&maglev_table(shape.slots(), serving), request),
        Scheme::Rendezvous => by_score(serving, request),
    }
}

fn each_once(ids: impl Iterator<Item = RingId>) -> Vec<RingId> {
    let mut met = BTreeSet::new();
    ids.filter(|&id| met.insert(id)).collect()
}

/// Goes clockwise slot by slot and asks at each whose it is.
fn clockwise(ring: &Ring, serving: &[(RingId, u32)], start: usize) -> Vec<RingId> {
    let slots = ring.shape().slots();
    let mut sitting = vec![None; slots];
    for &(id, _) in serving {
        ring.slots_of(id).unwrap().iter().for_each(|&slot| sitting[slot] = Some(id));
    }
    each_once((0..slots).filter_map(|step| sitting[(start + step) % slots]))
}

/// `H(i) = i² + 2i + 17`, in numbers that hold it.
fn statement_slot(request: u64, slots: usize) -> usize {
    let i = u128::from(request) % slots as u128;
    ((i * i + 2 * i + 17) % slots as u128) as usize
}

/// Where the statement seats a server: `Φ(i, j) = i² + j² + 2j + 25`, then the steps of the probing. `None` if a virtual
/// server has tried as many steps as there are slots.
pub fn statement_seats(shape: Shape, taken: &BTreeSet<usize>, id: RingId) -> Option<Vec<usize>> {
    let Scheme::Statement(probing) = shape.scheme() else { panic!("{}", shape.scheme()) };
    let slots = shape.slots() as u128;
    let mut seats = Vec::new();
    for j in 0..shape.virtual_servers() as u128 {
        let i = u128::from(id.0);
        let home = i * i + j * j + 2 * j + 25;
        let distance = |k: u128| if probing == Probing::Linear { k } else { k * k };
        let ways = (0..slots).map(|k| ((home + distance(k)) % slots) as usize);
        seats.push(ways.into_iter().find(|slot| !taken.contains(slot) && !seats.contains(slot))?);
    }
    Some(seats)
}

/// Karger's circle with 2⁶⁴ places: servers by the distance of their nearest point clockwise.
fn nearest_points(virtual_servers: usize, serving: &[(RingId, u32)], request: u64) -> Vec<RingId> {
    let from = splitmix64(request);
    let distance = |id: RingId, j: u64| splitmix64(splitmix64(u64::from(id.0)) ^ j).wrapping_sub(from);
    let nearest = |&(id, weight): &(RingId, u32)| {
        let points = virtual_servers as u64 * u64::from(weight);
        ((0..points).map(|j| distance(id, j)).min(), id)
    };
    let mut servers: Vec<_> = serving.iter().map(nearest).collect();
    servers.sort();
    servers.into_iter().map(|(_, id)| id).collect()
}

/// The Maglev paper's pseudocode 1 (section 3.4), with its permutations written out. Weights as turns: a
/// server takes its `k`-th entry no sooner than in round `k · greatest / weight`.
pub fn maglev_table(m: usize, serving: &[(RingId, u32)]) -> Vec<RingId> {
    let greatest = serving.iter().map(|server| server.1).max().unwrap_or(1) as usize;
    let permutation: Vec<Vec<usize>> = serving
        .iter()
        .map(|(id, _)| {
            let h1 = splitmix64(u64::from(id.0));
            let (offset, skip) = (below(h1, m), below(splitmix64(h1), m - 1) + 1);
            (0..m).map(|j| (offset + j * skip) % m).collect()
        })
        .collect();
    let mut next = vec![0; serving.len()];
    let mut taken = vec![0; serving.len()];
    let mut entry: Vec<Option<usize>> = vec![None; m];
    let mut n = 0;
    for round in 0.. {
        for i in 0..serving.len() {
            if n == m || taken[i] * greatest > round * serving[i].1 as usize {
                continue;
            }
            let mut c = permutation[i][next[i]];
            while entry[c].is_some() {
                next[i] += 1;
                c = permutation[i][next[i]];
            }
            entry[c] = Some(i);
            next[i] += 1;
            taken[i] += 1;
            n += 1;
        }
        if n == m || serving.is_empty() {
            break;
        }
    }
    entry.into_iter().flatten().map(|i| serving[i].0).collect()
}

/// The whole table from the request's entry on, in steps of the request's own.
pub fn along_table(table: &[RingId], request: u64) -> Vec<RingId> {
    let m = table.len();
    if m == 0 {
        return Vec::new();
    }
    let hash = splitmix64(request);
    let (start, skip) = (below(hash, m), below(splitmix64(hash), m - 1) + 1);
    each_once((0..m).map(|step| table[(start + step * skip) % m]))
}

/// Everyone's score, and those in order: `weight / -ln u` with a `u` of 52 bits, as in Resch's slides.
fn by_score(serving: &[(RingId, u32)], request: u64) -> Vec<RingId> {
    let score = |&(id, weight): &(RingId, u32)| {
        let hash = splitmix64(splitmix64(request) ^ splitmix64(u64::from(id.0))) >> 12;
        let u = (hash as f64 + 0.5) / 2f64.powi(52);
        (f64::from(weight) / -u.ln(), Reverse(id))
    };
    let mut scores: Vec<_> = serving.iter().map(score).collect();
    scores.sort_by(|a, b| b.partial_cmp(a).unwrap());
    scores.into_iter().map(|(_, Reverse(id))| id).collect()
}
