//! The default scheme: requests are hashed, virtual servers are *placed*.
//!
//! The usual ring hashes both. But nine random points per server cannot share evenly: a server's share is then the
//! sum of nine arcs of random length, and such a sum strays from its mean by about 1/√9 = 33 %. More points help only
//! slowly: Lamping and Veach ("A Fast, Minimal Memory, Consistent Hash Algorithm", 2014, table 1) give 31.5 % for 10
//! points per server, 10 % for 100, 3 % for 1,000. Knowing where everyone sits helps at once: requests are spread
//! evenly over the slots, so a share is simply a number of slots, and a joiner can sit down where it takes as many
//! from everyone as it should.
//!
//! A new point inside an arc cuts it in two: the joiner owns the front part, the giver keeps the rest. The joiner
//! cuts once per virtual server, each time where the result costs least. The *cost* has two parts:
//!
//! - the sum over all servers of their slots, squared: least when all own the same;
//! - the sum over all pairs (x, y) of the slots that y gets when x goes away, squared: least when whoever goes leaves
//!   about the same to each of the others. A server's slots go to whoever sits next, so this is about *which* arc of
//!   a giver is cut, while the first part is about how much is taken from whom.
//!
//! One cut after another is short-sighted, so the joiner then takes each of its points up again and looks for a better
//! place now that the others are known, a few times over.
//!
//! Measured with 512 slots and 9 virtual servers, servers joining one after another, in whatever order; the numbers are
//! the slots of the busiest server over the mean:
//!
//! | servers | all serve | any one gone | any two gone |
//! |---|---|---|---|
//! | 2 to 6 | 1.01 | 1.08 | 1.21 |
//! | 7 to 12 | 1.08 | 1.22 | 1.33 |
//! | 13 to 56 | 1.12 | 1.31 | 1.56 |
//!
//! While one of up to six is away, no other gets more than one and a half times its even part of what that one left.
//! Toward 56 servers nearly every slot is taken, and one slot more or less is a tenth of a share. Whoever
//! leaves takes its toll until others join; in twelve random histories of 1,000 changes (others have seen up to 1.9):
//!
//! | servers | worst after a join | worst after a leave | mean of all moments |
//! |---|---|---|---|
//! | 2 to 6 | 1.08 | 1.50 | 1.04 |
//! | 1 to 6 | 1.25 | 1.60 | 1.05 |
//! | 5 to 15 | 1.12 | 1.68 | 1.09 |
//!
//! A joiner takes at most 1.1 times its even part, also where leavers have left others with too much, and a leaver gives
//! up what it had: nothing else moves (`tests/schemes/movement.rs`). So a fleet that has shrunk a lot needs several joins
//! until it is even again.
//!
//! Promises: only positions count, not ids; of equally good places the first clockwise from slot 0 is taken; a server
//! finds its places whenever enough slots are free. Cost: rounds × virtual servers × taken slots, a millisecond or two
//! on the default ring; on large rings the rounds give way (see `WORK`).

use super::RingId;
use super::hash::{mix, scale};
use std::collections::BTreeMap;
use std::iter::repeat_n;

/// The slot of a request: its id well mixed, then scaled to the number of slots.
pub(super) fn request_slot(request: u64, slots: usize) -> usize {
    scale(mix(request), slots)
}

/// How much even shares count against even inheritances. Shares matter on every day, inheritances on the bad ones;
/// from 4 to 16 the results hardly differ.
const SHARES_FIRST: i64 = 8;

/// How many slots a cut may be wider or narrower than its fair part, or than it was before. Without that freedom it can
/// only choose an arc; with all freedom the first cuts take so much that the last ones find nothing left to even out.
const REACH: i64 = 4;

/// Most that a joiner takes, in tenths of what everybody has on average once it has joined. It may be asked to even out what
/// leavers have left behind, but every key that moves is one that some cache has to learn again.
const MOST_TENTHS: usize = 11;

/// How often the joiner goes over its points again. More rounds gain nothing that can be measured.
const ROUNDS: usize = 6;

/// How many arcs may be looked at in those rounds, so that a join on a ring of ten thousand points takes about half
/// a second. The default ring never comes near.
const WORK: usize = 500_000;

/// A slot for each virtual server of a joiner, given the taken slots in ascending order, or `None` if fewer than
/// `virtual_servers` are free.
pub(super) fn find_slots(
    taken: &[(usize, RingId)],
    slots: usize,
    virtual_servers: usize,
) -> Option<Vec<usize>> {
    if slots - taken.len() < virtual_servers {
        return None;
    }
    if taken.is_empty() {
        return Some((0..virtual_servers).map(|j| j * slots / virtual_servers).collect());
    }
    let mut draft = Draft::new(taken, slots);
    let fair_share = slots / (draft.joiner + 1);
    let mut found = Vec::with_capacity(virtual_servers);
    for _ in 0..virtual_servers {
        let cut = draft.best_cut((fair_share / virtual_servers) as i64, REACH, i64::MAX)?;
        found.push(draft.seat(cut));
    }
    // On a ring that is nearly full, one slot for each point may be more than that already.
    let most = (MOST_TENTHS * slots / (10 * (draft.joiner + 1))).max(virtual_servers) as i64;
    let rounds = ROUNDS.min(WORK / (virtual_servers * taken.len()));
    // The last round may cut as wide as it likes: it mends what small steps could not, such as arcs that many leaves
    // have made very unequal. It also sees to it that the joiner has not taken too much in all.
    for (reach, most) in repeat_n((REACH, i64::MAX), rounds).chain([(slots as i64, most)]) {
        for slot in &mut found {
            let width = draft.unseat(*slot);
            let cut = draft.best_cut(width, reach, most)?;
            *slot = draft.seat(cut);
        }
    }
    Some(found)
}

/// A new point `width` slots into the arc that ends at point number `end`.
#[derive(Clone, Copy)]
struct Cut {
    end: usize,
    width: i64,
}

/// A price as it depends on the width of a cut: `square · width² + linear · width + fixed`, where `square` is not
/// negative.
#[derive(Default)]
struct Price {
    square: i64,
    linear: i64,
    fixed: i64,
}

impl Price {
    fn at(&self, width: i64) -> i64 {
        (self.square * width + self.linear) * width + self.fixed
    }

    /// The width with the lowest price from `least` to `most`; of two, the smaller.
    fn lowest(&self, least: i64, most: i64) -> i64 {
        if self.square == 0 {
            return least;
        }
        // One more slot makes it dearer by `square · (2 · width + 1) + linear`; the first width where that is not
        // negative, so rounded up.
        let turn = -(self.linear + self.square).div_euclid(2 * self.square);
        turn.clamp(least, most)
    }
}

/// What a cut of some width does to what one server would inherit from another.
struct Effect {
    /// (from, to)
    pair: (usize, usize),
    now: i64,
    /// The change is `fixed + per_width * width`.
    fixed: i64,
    per_width: i64,
}

impl Effect {
    fn change(&self, width: i64) -> i64 {
        self.fixed + self.per_width * width
    }

    /// Adds what it costs: (now + change)² - now².
    fn add_to(&self, price: &mut Price) {
        price.square += self.per_width * self.per_width;
        price.linear += 2 * self.per_width * (self.now + self.fixed);
        price.fixed += self.fixed * (2 * self.now + self.fixed);
    }
}

/// The ring with a joiner half seated. Servers are numbered as they come clockwise from slot 0, the joiner last, so
/// that ids cannot play a part.
struct Draft {
    slots: usize,
    joiner: usize,
    /// (slot, server), ascending.
    points: Vec<(usize, usize)>,
    /// Per server its number of slots.
    shares: Vec<i64>,
    /// At `x · servers + y`: how many slots of x would go to y if x went away.
    inheritances: Vec<i32>,
}

impl Draft {
    fn new(taken: &[(usize, RingId)], slots: usize) -> Draft {
        let mut numbers = BTreeMap::new();
        let mut points = Vec::with_capacity(taken.len());
        for &(slot, id) in taken {
            let next = numbers.len();
            points.push((slot, *numbers.entry(id).or_insert(next)));
        }
        let joiner = numbers.len();
        let mut draft = Draft { slots, joiner, points, shares: Vec::new(), inheritances: Vec::new() };
        draft.recount();
        draft
    }

    fn recount(&mut self) {
        self.shares = vec![0; self.joiner + 1];
        self.inheritances = vec![0; (self.joiner + 1) * (self.joiner + 1)];
        for end in 0..self.points.len() {
            let (width, owner) = (self.width(end), self.points[end].1);
            self.shares[owner] += width;
            if let Some(heir) = self.heir(end) {
                *self.inheritance((owner, heir)) += width as i32;
            }
        }
    }

    /// How many slots of the first of a pair would go to the second.
    fn inheritance(&mut self, (from, to): (usize, usize)) -> &mut i32 {
        &mut self.inheritances[from * (self.joiner + 1) + to]
    }

    fn previous(&self, point: usize) -> usize {
        point.checked_sub(1).unwrap_or(self.points.len() - 1)
    }

    /// How many slots the arc that ends at this point has, the point's own included.
    fn width(&self, end: usize) -> i64 {
        let (from, to) = (self.points[self.previous(end)].0, self.points[end].0);
        (if from < to { to - from } else { to + self.slots - from }) as i64
    }

    /// Who gets the arc that ends at this point when its owner goes away; nobody if the owner is alone.
    fn heir(&self, end: usize) -> Option<usize> {
        let owner = self.points[end].1;
        let clockwise = self.points[end..].iter().chain(&self.points[..end]);
        clockwise.map(|point| point.1).find(|&server| server != owner)
    }

    /// How many slots the unbroken row of one server's arcs has that ends at this point. Not for a server alone.
    fn row(&self, end: usize) -> i64 {
        let owner = self.points[end].1;
        let (mut point, mut width) = (end, 0);
        while self.points[point].1 == owner {
            width += self.width(point);
            point = self.previous(point);
        }
        width
    }

    /// How a cut into the arc that ends at this point changes inheritances; no pair comes twice.
    fn effects(&self, end: usize) -> Vec<Effect> {
        let (giver, joiner) = (self.points[end].1, self.joiner);
        if giver == joiner {
            return Vec::new();
        }
        let effect = |from, to, fixed, per_width| {
            let now = self.inheritances[from * (joiner + 1) + to];
            Effect { pair: (from, to), now: i64::from(now), fixed, per_width }
        };
        let mut effects = vec![effect(joiner, giver, 0, 1)];
        let before = self.previous(end);
        let neighbour = self.points[before].1;
        match self.heir(end) {
            None => effects.push(effect(giver, joiner, self.slots as i64, -1)),
            // A cut into a row of the giver's own arcs: the front of the row now ends at the joiner.
            Some(heir) if neighbour == giver && heir != joiner => {
                let row = self.row(before);
                effects.push(effect(giver, heir, -row, -1));
                effects.push(effect(giver, joiner, row, 0));
            }
            Some(heir) => {
                effects.push(effect(giver, heir, 0, -1));
                if neighbour != giver && neighbour != joiner {
                    let row = self.row(before);
                    effects.push(effect(neighbour, giver, -row, 0));
                    effects.push(effect(neighbour, joiner, row, 0));
                }
            }
        }
        effects
    }

    /// The cheapest cut that gives the joiner no more than `share`, at most `reach` slots wider or narrower than `wanted`; as
    /// wide as can be where arcs are narrower.
    /// `None` if no slot is free.
    fn best_cut(&self, wanted: i64, reach: i64, share: i64) -> Option<Cut> {
        let servers = self.shares.len() as i64;
        let mut best: Option<(i64, Cut)> = None;
        for end in 0..self.points.len() {
            let giver = self.points[end].1;
            let left = match giver == self.joiner {
                true => i64::MAX,
                false => share - self.shares[self.joiner],
            };
            let most = (self.width(end) - 1).min(left);
            if most < 1 {
                continue;
            }
            let mut price = Price::default();
            if giver != self.joiner {
                // (share + d)² - share² = d · (2 · share + d), here for the joiner, who gains, and the giver. There are as
                // many shares as servers and as many inheritances as pairs.
                price.square = 2 * SHARES_FIRST * servers;
                price.linear = price.square * (self.shares[self.joiner] - self.shares[giver]);
            }
            self.effects(end).iter().for_each(|effect| effect.add_to(&mut price));
            let width = price.lowest((wanted - reach).clamp(1, most), (wanted + reach).clamp(1, most));
            if best.is_none_or(|(least, _)| price.at(width) < least) {
                best = Some((price.at(width), Cut { end, width }));
            }
        }
        best.map(|(_, cut)| cut)
    }

    /// Puts a point of the joiner there and tells its slot.
    fn seat(&mut self, cut: Cut) -> usize {
        self.count(cut, 1);
        let slot = (self.points[self.previous(cut.end)].0 + cut.width as usize) % self.slots;
        self.points.insert(self.points.partition_point(|point| point.0 < slot), (slot, self.joiner));
        slot
    }

    /// Takes the joiner's point at this slot up again and tells how wide its arc was.
    fn unseat(&mut self, slot: usize) -> i64 {
        let point = self.points.partition_point(|point| point.0 < slot);
        let width = self.width(point);
        self.points.remove(point);
        self.count(Cut { end: point % self.points.len(), width }, -1);
        width
    }

    /// Enters a cut that is about to be made (`sign` 1), or strikes one that is undone already (-1).
    fn count(&mut self, cut: Cut, sign: i64) {
        let giver = self.points[cut.end].1;
        for effect in self.effects(cut.end) {
            *self.inheritance(effect.pair) += (sign * effect.change(cut.width)) as i32;
        }
        if giver != self.joiner {
            self.shares[giver] -= sign * cut.width;
            self.shares[self.joiner] += sign * cut.width;
        }
    }
}

#[cfg(test)]
#[path = "even_tests.rs"]
mod tests;
