//! What there is to say of a ring beside who owns what: for reports, pictures and the status.

use std::collections::BTreeMap;
use std::mem;

use super::{Ring, RingId, Scheme, Table};

impl Ring {
    /// Every taken slot as (slot, server, virtual server), in order of slot.
    pub fn taken(&self) -> impl Iterator<Item = (usize, RingId, usize)> + '_ {
        let seats = match &self.table {
            Table::Slots(table) => table.seats(),
            _ => &[],
        };
        seats.iter().enumerate().filter_map(|(slot, seat)| seat.map(|seat| (slot, seat.id, seat.j)))
    }

    /// How many slots, or entries of a lookup table, each serving server answers for; together all of them, while any
    /// serves. Nothing under a scheme without.
    pub fn owned_slots(&self) -> BTreeMap<RingId, usize> {
        match &self.table {
            Table::Slots(table) => {
                let mut owned = BTreeMap::new();
                // Neighbours mostly have the same owner.
                for run in table.owners().chunk_by(|a, b| a == b) {
                    if let Some(id) = run[0] {
                        *owned.entry(id).or_default() += run.len();
                    }
                }
                owned
            }
            Table::Maglev(table) => table.entries().collect(),
            Table::Ketama(_) | Table::Rendezvous(_) => BTreeMap::new(),
        }
    }

    /// The part of all requests that each serving server may expect if every request id is as likely as any other. Exact,
    /// but for `rendezvous`, whose servers get their parts of infinitely many ids.
    pub fn spread(&self) -> BTreeMap<RingId, f64> {
        let mut spread = BTreeMap::new();
        let mut add = |(id, part): (RingId, f64)| *spread.entry(id).or_default() += part;
        let serving = self.servers.iter().filter(|(_, server)| server.serving);
        serving.for_each(|(&id, _)| add((id, 0.0)));
        match &self.table {
            // Not all slots see as many requests.
            Table::Slots(table) if matches!(self.shape.scheme(), Scheme::Statement(_)) => {
                let slots = table.owners().iter().zip(self.slot_parts());
                slots.filter_map(|(id, part)| Some(((*id)?, part))).for_each(&mut add);
            }
            Table::Slots(_) | Table::Maglev(_) => {
                let slots = self.shape.slots() as f64;
                let owned = self.owned_slots().into_iter();
                owned.map(|(id, owned)| (id, owned as f64 / slots)).for_each(&mut add);
            }
            Table::Ketama(table) => table.spread().for_each(&mut add),
            Table::Rendezvous(table) => table.spread().for_each(&mut add),
        }
        spread
    }

    /// Per slot the part of all request ids that are hashed to it. Nothing under a scheme without slots.
    pub fn slot_parts(&self) -> Vec<f64> {
        let slots = self.shape.slots();
        let mut counts = vec![0u32; slots];
        match self.shape.scheme() {
            // The hash repeats after as many ids as there are slots.
            Scheme::Statement(_) => (0..slots as u64).for_each(|id| counts[self.slot_of(id)] += 1),
            _ => counts.fill(1),
        }
        counts.into_iter().map(|count| f64::from(count) / slots as f64).collect()
    }

    /// Where virtual servers are, as parts of one turn of a circle, in that order; on a ring of slots, in the middle of
    /// their slots. Nothing under a scheme without places: a lookup table, or lots.
    pub fn places(&self) -> Vec<(f64, RingId)> {
        match &self.table {
            Table::Slots(_) => {
                let slots = self.shape.slots() as f64;
                self.taken().map(|(slot, id, _)| ((slot as f64 + 0.5) / slots, id)).collect()
            }
            Table::Ketama(table) => {
                let turn = u64::MAX as f64 + 1.0;
                table.points().iter().map(|&(place, id)| (place as f64 / turn, id)).collect()
            }
            Table::Maglev(_) | Table::Rendezvous(_) => Vec::new(),
        }
    }

    /// Who answers for which part of one turn of a circle, as (from, to, server), without gaps from 0 to 1 while any server
    /// serves. Nothing for `rendezvous`, which has no circle.
    pub fn arcs(&self) -> Vec<(f64, f64, RingId)> {
        let slots = self.shape.slots() as f64;
        let arc = |(slot, id): (usize, RingId)| (slot as f64 / slots, (slot + 1) as f64 / slots, id);
        match &self.table {
            Table::Slots(table) => {
                let owners = table.owners().iter().enumerate();
                owners.filter_map(|(slot, id)| Some(arc((slot, (*id)?)))).collect()
            }
            Table::Maglev(table) => table.table().iter().copied().enumerate().map(arc).collect(),
            Table::Ketama(_) => {
                let places = self.places();
                let past_the_last = places.first().map(|first| (1.0, first.1));
                let mut from = 0.0;
                let arcs = places
                    .iter()
                    .copied()
                    .chain(past_the_last)
                    .map(|(to, id)| (mem::replace(&mut from, to), to, id));
                arcs.collect()
            }
            Table::Rendezvous(_) => Vec::new(),
        }
    }

    /// How many of these requests each serving server owns. Servers that own none are listed with 0.
    pub fn shares(&self, requests: impl Iterator<Item = u64>) -> BTreeMap<RingId, u64> {
        let serving = self.servers.iter().filter(|(_, server)| server.serving);
        let mut counts: BTreeMap<RingId, u64> = serving.map(|(&id, _)| (id, 0)).collect();
        for owner in requests.filter_map(|request| self.owner(request)) {
            *counts.entry(owner).or_default() += 1;
        }
        counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ring::{REQUEST_IDS, Shape};

    fn of(scheme: Scheme, servers: u32) -> Ring {
        let mut ring = Ring::new(Shape::of(scheme));
        for id in (1..=servers).map(RingId) {
            ring.place(id).unwrap();
            ring.set_serving(id, id != RingId(2));
        }
        ring
    }

    #[test]
    fn parts_add_up_to_the_whole_and_are_what_is_counted() {
        for scheme in Scheme::ALL {
            let ring = of(scheme, 5);
            let (spread, counts) = (ring.spread(), ring.shares(REQUEST_IDS));
            assert_eq!(
                spread.keys().collect::<Vec<_>>(),
                [1, 3, 4, 5].map(RingId).iter().collect::<Vec<_>>()
            );
            assert!((spread.values().sum::<f64>() - 1.0).abs() < 1e-9, "{scheme}");
            for (id, part) in spread {
                // Five standard deviations of a binomial count.
                let counted = counts[&id] as f64 / 900_000.0;
                assert!(
                    (part - counted).abs() < 5.0 * (0.25f64 / 900_000.0).sqrt(),
                    "{scheme} {id}: {part} {counted}"
                );
            }
        }
    }

    #[test]
    fn arcs_go_once_around_and_give_everyone_its_part() {
        for scheme in Scheme::ALL.into_iter().filter(|scheme| *scheme != Scheme::Rendezvous) {
            let ring = of(scheme, 5);
            let (mut at, mut widths) = (0.0, BTreeMap::new());
            for (from, to, id) in ring.arcs() {
                assert!(from == at && to >= from, "{scheme}: {from} {to}");
                *widths.entry(id).or_insert(0.0) += to - from;
                at = to;
            }
            assert_eq!(at, 1.0);
            let owned = ring.owned_slots();
            for (id, width) in widths {
                let part = match owned.get(&id) {
                    Some(slots) => *slots as f64 / ring.shape().slots() as f64,
                    None => ring.spread()[&id],
                };
                assert!((width - part).abs() < 1e-9, "{scheme}: {id}");
            }
        }
    }

    #[test]
    fn nobody_answers_for_anything_while_nobody_serves() {
        for scheme in Scheme::ALL {
            let mut ring = of(scheme, 1);
            ring.set_serving(RingId(1), false);
            assert!(
                ring.arcs().is_empty() && ring.spread().is_empty() && ring.owned_slots().is_empty(),
                "{scheme}"
            );
        }
    }
}
