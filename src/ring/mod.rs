#![doc = include_str!("README.md")]

mod describe;
mod even;
mod hash;
mod ketama;
mod maglev;
mod rendezvous;
mod shape;
mod slots;
mod statement;

pub use hash::key_id;
pub use shape::{Probing, Scheme, Shape, Weight};

use std::collections::BTreeMap;
use std::fmt;
use std::ops::RangeInclusive;

use ketama::Ketama;
use maglev::Maglev;
use rendezvous::Rendezvous;
use slots::Slots;

/// The request ids that clients are given: all six-digit numbers.
pub const REQUEST_IDS: RangeInclusive<u64> = 100_000..=999_999;

/// A server's number on the ring, from 1 on; it outlives the container or process that runs the server.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct RingId(pub u32);

impl fmt::Display for RingId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Why a server did not get its place; the ring is as it was before.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PlaceError(String);

impl fmt::Display for PlaceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for PlaceError {}

/// A consistent-hash ring of servers. See the [module](self) for what it promises.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ring {
    shape: Shape,
    servers: BTreeMap<RingId, Server>,
    table: Table,
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct Server {
    /// Its slots, in order of virtual server; none under a scheme without.
    slots: Vec<usize>,
    weight: Weight,
    serving: bool,
}

/// What owners are looked up in, by scheme.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Table {
    Slots(Slots),
    Ketama(Ketama),
    Maglev(Maglev),
    Rendezvous(Rendezvous),
}

impl Ring {
    /// A ring without servers.
    pub fn new(shape: Shape) -> Ring {
        let table = match shape.scheme() {
            Scheme::Even | Scheme::Statement(_) => Table::Slots(Slots::new(shape.slots())),
            Scheme::Ketama => Table::Ketama(Ketama::new(shape.virtual_servers())),
            Scheme::Maglev => Table::Maglev(Maglev::new(shape.slots())),
            Scheme::Rendezvous => Table::Rendezvous(Rendezvous::new()),
        };
        Ring { shape, servers: BTreeMap::new(), table }
    }

    /// A copy to find places on. It knows who is placed where, but not who owns what.
    pub fn draft(&self) -> Ring {
        match &self.table {
            Table::Slots(_) => self.clone(),
            _ => Ring { servers: self.servers.clone(), ..Ring::new(self.shape) },
        }
    }

    /// The measures this ring was made with.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    // --- joining and leaving --------------------------------------------------------------------------------

    /// Gives `id` its place with a weight of one: under a scheme with slots, a free one for each virtual server, which
    /// are returned. The server does not serve yet.
    ///
    /// # Errors
    /// `id` is placed already, or one of its virtual servers finds no free slot. Nothing has changed then.
    pub fn place(&mut self, id: RingId) -> Result<&[usize], PlaceError> {
        self.place_weighted(id, Weight::ONE)
    }

    /// The same with any weight.
    ///
    /// # Errors
    /// Also a weight other than one under a scheme that has none.
    pub fn place_weighted(&mut self, id: RingId, weight: Weight) -> Result<&[usize], PlaceError> {
        self.check(id, weight)?;
        let slots = match (self.shape.scheme(), &self.table) {
            (Scheme::Even, Table::Slots(table)) => find_even(table, self.shape, id)?,
            (Scheme::Statement(probing), Table::Slots(table)) => {
                find_statement(table, id, probing, self.shape)?
            }
            _ => Vec::new(),
        };
        Ok(self.seat(id, slots, weight))
    }

    /// Takes exactly these slots for `id`, in order of virtual server: the way back for a server whose slots were
    /// recorded. The server does not serve yet.
    ///
    /// # Errors
    /// As [`Ring::place_weighted`]; also if the number of slots is not that of its virtual servers (none under a scheme
    /// without), or if a slot is out of range, listed twice or taken. Nothing has changed then.
    pub fn restore(&mut self, id: RingId, slots: &[usize], weight: Weight) -> Result<(), PlaceError> {
        self.check(id, weight)?;
        let seats = match &self.table {
            Table::Slots(table) => table.seats(),
            _ => &[],
        };
        let expected = if seats.is_empty() { 0 } else { self.shape.virtual_servers() };
        if slots.len() != expected {
            let given = slots.len();
            return Err(PlaceError(format!("server {id}: {given} slots given, but it has {expected}")));
        }
        for (j, &slot) in slots.iter().enumerate() {
            let error = |why| Err(PlaceError(format!("server {id}, virtual server {j}: slot {slot} {why}")));
            match seats.get(slot) {
                None => return error(format!("is not on a ring of {} slots", seats.len())),
                Some(Some(seat)) => return error(format!("is taken by server {}", seat.id)),
                Some(None) if slots[..j].contains(&slot) => return error("is listed twice".to_string()),
                Some(None) => {}
            }
        }
        self.seat(id, slots.to_vec(), weight);
        Ok(())
    }

    /// Frees the place of `id`, whose requests go on to others. A server that is not placed is none to remove.
    pub fn remove(&mut self, id: RingId) {
        self.set_serving(id, false);
        // By record, not by hashing again: with other servers gone, probing would stop at other slots than it did.
        if let (Some(server), Table::Slots(table)) = (self.servers.remove(&id), &mut self.table) {
            table.unseat(&server.slots);
        }
    }

    /// Lets `id` answer for what is its own, or lets its requests pass over it to the next serving server while it keeps
    /// its place. A server that is not placed cannot serve: nothing happens.
    pub fn set_serving(&mut self, id: RingId, serving: bool) {
        self.set_all_serving(&[id], serving);
    }

    /// The same for several at the price of one.
    pub fn set_all_serving(&mut self, ids: &[RingId], serving: bool) {
        let mut changed = Vec::new();
        for &id in ids {
            if let Some(server) = self.servers.get_mut(&id).filter(|server| server.serving != serving) {
                server.serving = serving;
                changed.push((id, server.weight.get()));
                if let Table::Slots(table) = &mut self.table {
                    table.mark(&server.slots, serving);
                }
            }
        }
        if changed.is_empty() {
            return;
        }
        let gone: Vec<RingId> = changed.iter().map(|(id, _)| *id).collect();
        let (joined, left) = if serving { (&changed[..], &[][..]) } else { (&[][..], &gone[..]) };
        match &mut self.table {
            Table::Slots(table) => table.rebuild(),
            Table::Ketama(table) => table.change(joined, left),
            Table::Maglev(table) => table.change(joined, left),
            Table::Rendezvous(table) => table.change(joined, left),
        }
    }

    // --- looking up -----------------------------------------------------------------------------------------

    /// The server that answers for a request; `None` while no server serves.
    pub fn owner(&self, request: u64) -> Option<RingId> {
        match &self.table {
            Table::Slots(table) => table.owner(self.slot_of(request)),
            Table::Ketama(table) => table.owner(request),
            Table::Maglev(table) => table.owner(request),
            Table::Rendezvous(table) => table.owner(request),
        }
    }

    /// All serving servers, each once, in the order in which a request tries them: its owner first, then the one
    /// that would own it if the owner were away, and so on. (Under `maglev` the second is no such promise.)
    pub fn walk(&self, request: u64) -> Box<dyn Iterator<Item = RingId> + '_> {
        match &self.table {
            Table::Slots(table) => Box::new(table.walk(self.slot_of(request))),
            Table::Ketama(table) => Box::new(table.walk(request)),
            Table::Maglev(table) => Box::new(table.walk(request)),
            Table::Rendezvous(table) => Box::new(table.walk(request)),
        }
    }

    /// The slot a request is hashed to; 0 under a scheme without slots.
    pub fn slot_of(&self, request: u64) -> usize {
        match self.shape.scheme() {
            Scheme::Statement(_) => statement::request_slot(request, self.shape.slots()),
            _ => even::request_slot(request, self.shape.slots()),
        }
    }

    /// The slots of `id` in order of virtual server, if it is placed.
    pub fn slots_of(&self, id: RingId) -> Option<&[usize]> {
        self.servers.get(&id).map(|server| server.slots.as_slice())
    }

    // --- places ---------------------------------------------------------------------------------------------

    fn check(&self, id: RingId, weight: Weight) -> Result<(), PlaceError> {
        let scheme = self.shape.scheme();
        match self.servers.get(&id) {
            Some(server) if server.slots.is_empty() => {
                Err(PlaceError(format!("server {id} is on the ring already")))
            }
            Some(Server { slots, .. }) => {
                Err(PlaceError(format!("server {id} is on the ring already, on slots {slots:?}")))
            }
            None if weight != Weight::ONE && !scheme.has_weights() => {
                Err(PlaceError(format!("server {id}: weight {weight}, but scheme {scheme} has no weights")))
            }
            None if scheme == Scheme::Ketama
                && self.points() + self.points_of(weight) > Shape::MAX_RING_POINTS =>
            {
                let (more, there, most) = (self.points_of(weight), self.points(), Shape::MAX_RING_POINTS);
                Err(PlaceError(format!(
                    "server {id}: its {more} points and the {there} of others are more than {most}"
                )))
            }
            None if scheme == Scheme::Maglev && self.servers.len() >= self.shape.slots() => {
                let (n, entries) = (self.servers.len(), self.shape.slots());
                Err(PlaceError(format!(
                    "server {id}: {n} servers have taken all {entries} entries of the table"
                )))
            }
            None => Ok(()),
        }
    }

    /// How many points a server of that weight has under `ketama`.
    fn points_of(&self, weight: Weight) -> usize {
        self.shape.virtual_servers() * weight.get() as usize
    }

    /// How many points all servers have under `ketama`.
    fn points(&self) -> usize {
        self.servers.values().map(|server| self.points_of(server.weight)).sum()
    }

    fn seat(&mut self, id: RingId, slots: Vec<usize>, weight: Weight) -> &[usize] {
        if let Table::Slots(table) = &mut self.table {
            table.seat(id, &slots);
        }
        &self.servers.entry(id).or_insert(Server { slots, weight, serving: false }).slots
    }
}

fn find_even(table: &Slots, shape: Shape, id: RingId) -> Result<Vec<usize>, PlaceError> {
    let seats = table.seats().iter().enumerate();
    let seats: Vec<_> = seats.filter_map(|(slot, seat)| seat.map(|seat| (slot, seat.id))).collect();
    let (slots, wanted) = (shape.slots(), shape.virtual_servers());
    let free = slots - seats.len();
    even::find_slots(&seats, slots, wanted).ok_or_else(|| {
        let taken = seats.len();
        PlaceError(format!(
            "server {id}, virtual server {free}: no free slot left, {taken} of {slots} slots are taken and {wanted} are \
             needed"
        ))
    })
}

fn find_statement(
    table: &Slots,
    id: RingId,
    probing: Probing,
    shape: Shape,
) -> Result<Vec<usize>, PlaceError> {
    let taken: Vec<bool> = table.seats().iter().map(Option::is_some).collect();
    let before = taken.iter().filter(|taken| **taken).count();
    let (js, slots) = (0..shape.virtual_servers(), shape.slots());
    statement::find_slots(probing, id, js, taken).map_err(|none| {
        // The earlier virtual servers of this one hold their slots while the search goes on.
        let (j, home, taken) = (none.j, none.home, before + none.j);
        PlaceError(format!(
            "server {id}, virtual server {j}: {probing} probing from slot {home} finds no free slot, {taken} of {slots} \
             slots are taken"
        ))
    })
}

#[cfg(test)]
mod tests;
