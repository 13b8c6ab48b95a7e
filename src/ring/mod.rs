//! The ring: which server answers for which request.
//!
//! A ring has a fixed number of slots, numbered clockwise. Every server sits on several of them, as *virtual servers*;
//! a request is hashed to a slot and goes clockwise to the nearest taken slot, its own included. That is the whole of
//! consistent hashing, and what it buys: a server that joins takes requests over from others but shifts none between
//! those others, and a server that leaves hands its own requests on and disturbs no one else's.
//!
//! ```
//! use ringmaster::ring::{Ring, RingId, Shape};
//!
//! let mut ring = Ring::new(Shape::default());
//! for id in [1, 2, 3].map(RingId) {
//!     ring.place(id)?;
//!     ring.set_serving(id, true);
//! }
//! let owner = ring.owner(123_456).expect("three servers serve");
//!
//! // While its owner is away, the request goes to the next server clockwise; then it comes back.
//! let next = ring.walk(123_456).nth(1);
//! ring.set_serving(owner, false);
//! assert_eq!(ring.owner(123_456), next);
//! ring.set_serving(owner, true);
//! assert_eq!(ring.owner(123_456), Some(owner));
//! # Ok::<(), ringmaster::ring::PlaceError>(())
//! ```
//!
//! Promises: looking up an owner is one hash and one table read. Changes are all or nothing and cost one pass over the
//! slots, except that finding places for a server may take milliseconds; taking recorded ones again does not. Equal
//! histories give equal rings on every machine: nothing here reads a clock or draws a random number. Where a server
//! sits depends on who came before it, so slots are recorded, never computed a second time.
//!
//! Refuses: to guess. A ring without a serving server has no owners, and a server that does not fit is an error.

mod even;
mod shape;
mod statement;

pub use shape::{Probing, Scheme, Shape};

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::RangeInclusive;

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

/// Why a server did not get its slots; the ring is as it was before.
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
    /// Per slot the virtual server that sits there.
    seats: Vec<Option<Seat>>,
    servers: BTreeMap<RingId, Server>,
    /// Per slot the serving server that answers for it. Follows from the other fields; see `rebuild`.
    owners: Vec<Option<RingId>>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Seat {
    id: RingId,
    /// Its number among the server's virtual servers.
    j: usize,
    /// As the server's own: here, where the table of owners is made from.
    serving: bool,
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct Server {
    /// Its slots, in order of virtual server.
    slots: Vec<usize>,
    serving: bool,
}

impl Ring {
    /// A ring without servers.
    pub fn new(shape: Shape) -> Ring {
        let slots = shape.slots();
        Ring { shape, seats: vec![None; slots], servers: BTreeMap::new(), owners: vec![None; slots] }
    }

    /// The measures this ring was made with.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// Finds a free slot for each virtual server of `id` and takes them. The server does not serve yet.
    ///
    /// Fails, and changes nothing, if `id` is placed already or one of its virtual servers finds no free slot.
    pub fn place(&mut self, id: RingId) -> Result<&[usize], PlaceError> {
        self.refuse_if_placed(id)?;
        let slots = match self.shape.scheme() {
            Scheme::Even => self.find_even(id),
            Scheme::Statement(probing) => self.find_statement(id, probing),
        }?;
        Ok(self.seat(id, slots))
    }

    /// Takes exactly these slots for `id`, in order of virtual server: the way back for a server whose slots were
    /// recorded. The server does not serve yet.
    ///
    /// Fails, and changes nothing, if `id` is placed already, if the number of slots is not that of its virtual
    /// servers, or if a slot is out of range, listed twice or taken.
    pub fn restore(&mut self, id: RingId, slots: &[usize]) -> Result<(), PlaceError> {
        self.refuse_if_placed(id)?;
        let expected = self.shape.virtual_servers();
        if slots.len() != expected {
            let given = slots.len();
            return Err(PlaceError(format!(
                "server {id}: {given} slots given, it has {expected} virtual servers"
            )));
        }
        for (j, &slot) in slots.iter().enumerate() {
            let error = |why| Err(PlaceError(format!("server {id}, virtual server {j}: slot {slot} {why}")));
            match self.seats.get(slot) {
                None => return error(format!("is not on a ring of {} slots", self.shape.slots())),
                Some(Some(seat)) => return error(format!("is taken by server {}", seat.id)),
                Some(None) if slots[..j].contains(&slot) => return error("is listed twice".to_string()),
                Some(None) => {}
            }
        }
        self.seat(id, slots.to_vec());
        Ok(())
    }

    /// Frees the slots of `id`, whose requests go on clockwise. A server that is not placed is none to remove.
    pub fn remove(&mut self, id: RingId) {
        // By record, not by hashing again: with other servers gone, probing would stop at other slots than it did.
        if let Some(server) = self.servers.remove(&id) {
            for slot in server.slots {
                self.seats[slot] = None;
            }
            self.rebuild();
        }
    }

    /// Lets `id` answer for its slots, or lets its requests pass over it to the next serving server while it keeps
    /// its slots. A server that is not placed cannot serve: nothing happens.
    pub fn set_serving(&mut self, id: RingId, serving: bool) {
        self.set_all_serving(&[id], serving);
    }

    /// The same for several in one pass over the slots.
    pub fn set_all_serving(&mut self, ids: &[RingId], serving: bool) {
        let mut changed = false;
        for id in ids {
            let Some(server) = self.servers.get_mut(id).filter(|server| server.serving != serving) else {
                continue;
            };
            server.serving = serving;
            changed = true;
            for &slot in &server.slots {
                self.seats[slot].iter_mut().for_each(|seat| seat.serving = serving);
            }
        }
        if changed {
            self.rebuild();
        }
    }

    /// The slots of `id` in order of virtual server, if it is placed.
    pub fn slots_of(&self, id: RingId) -> Option<&[usize]> {
        self.servers.get(&id).map(|server| server.slots.as_slice())
    }

    /// The slot a request is hashed to.
    pub fn slot_of(&self, request: u64) -> usize {
        match self.shape.scheme() {
            Scheme::Even => even::request_slot(request, self.shape.slots()),
            Scheme::Statement(_) => statement::request_slot(request, self.shape.slots()),
        }
    }

    /// The server that answers for a request; `None` while no server serves.
    pub fn owner(&self, request: u64) -> Option<RingId> {
        self.owners[self.slot_of(request)]
    }

    /// All serving servers, each once, in the order in which a request passes them clockwise: its owner first, then
    /// the one that would own it if the owner were away, and so on.
    pub fn walk(&self, request: u64) -> impl Iterator<Item = RingId> + '_ {
        let slots = self.shape.slots();
        let start = self.slot_of(request);
        let mut met = BTreeSet::new();
        (start..start + slots).filter_map(move |at| {
            let seat = self.seats[at % slots]?;
            (seat.serving && met.insert(seat.id)).then_some(seat.id)
        })
    }

    /// Every taken slot as (slot, server, virtual server), in order of slot.
    pub fn taken(&self) -> impl Iterator<Item = (usize, RingId, usize)> + '_ {
        self.seats.iter().enumerate().filter_map(|(slot, seat)| seat.map(|seat| (slot, seat.id, seat.j)))
    }

    /// How many slots each serving server answers for; together all of them, while any serves.
    pub fn owned_slots(&self) -> BTreeMap<RingId, usize> {
        let mut owned = BTreeMap::new();
        for id in self.owners.iter().flatten() {
            *owned.entry(*id).or_default() += 1;
        }
        owned
    }

    /// How many of these requests each serving server owns. Servers that own none are listed with 0.
    pub fn shares(&self, requests: impl Iterator<Item = u64>) -> BTreeMap<RingId, u64> {
        let serving = self.servers.iter().filter(|(_, server)| server.serving);
        let mut counts: BTreeMap<RingId, u64> = serving.map(|(&id, _)| (id, 0)).collect();
        let mut per_slot = vec![0; self.shape.slots()];
        for request in requests {
            per_slot[self.slot_of(request)] += 1;
        }
        for (owner, count) in self.owners.iter().zip(per_slot) {
            if let Some(id) = owner {
                *counts.entry(*id).or_default() += count;
            }
        }
        counts
    }

    fn refuse_if_placed(&self, id: RingId) -> Result<(), PlaceError> {
        match self.slots_of(id) {
            Some(slots) => Err(PlaceError(format!("server {id} is on the ring already, on slots {slots:?}"))),
            None => Ok(()),
        }
    }

    fn find_even(&self, id: RingId) -> Result<Vec<usize>, PlaceError> {
        let seats: Vec<_> = self.taken().map(|(slot, id, _)| (slot, id)).collect();
        let (slots, wanted) = (self.shape.slots(), self.shape.virtual_servers());
        let free = slots - seats.len();
        even::find_slots(&seats, slots, wanted).ok_or_else(|| {
            let taken = seats.len();
            PlaceError(format!(
                "server {id}, virtual server {free}: no free slot left, {taken} of {slots} slots are taken and \
                 {wanted} are needed"
            ))
        })
    }

    fn find_statement(&self, id: RingId, probing: Probing) -> Result<Vec<usize>, PlaceError> {
        let slots = self.shape.slots();
        let js = 0..self.shape.virtual_servers();
        let taken = self.seats.iter().map(Option::is_some).collect();
        statement::find_slots(probing, id, js, taken).map_err(|none| {
            // The earlier virtual servers of this one hold their slots while the search goes on.
            let (j, home, taken) = (none.j, none.home, self.taken().count() + none.j);
            let probing = match probing {
                Probing::Linear => "linear",
                Probing::Quadratic => "quadratic",
            };
            PlaceError(format!(
                "server {id}, virtual server {j}: {probing} probing from slot {home} finds no free slot, {taken} of \
                 {slots} slots are taken"
            ))
        })
    }

    fn seat(&mut self, id: RingId, slots: Vec<usize>) -> &[usize] {
        for (j, &slot) in slots.iter().enumerate() {
            self.seats[slot] = Some(Seat { id, j, serving: false });
        }
        // A server that does not serve yet owns nothing, so the table of owners stays as it is.
        let server = Server { slots, serving: false };
        &self.servers.entry(id).or_insert(server).slots
    }

    fn rebuild(&mut self) {
        // Backwards, because an owner is found clockwise; twice around, because the first pass does not know yet
        // whom the last slots of the ring reach on its far side.
        let mut next = None;
        for _ in 0..2 {
            for slot in (0..self.seats.len()).rev() {
                if let Some(seat) = self.seats[slot].filter(|seat| seat.serving) {
                    next = Some(seat.id);
                }
                self.owners[slot] = next;
            }
        }
    }
}

#[cfg(test)]
mod tests;
