//! The ring of slots: a table of who sits where, and one of who answers for what, made from the first.

use std::collections::BTreeSet;

use super::RingId;

/// The slots, and who sits on them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Slots {
    /// Per slot the virtual server that sits there.
    seats: Vec<Option<Seat>>,
    /// Per slot the serving server that answers for it. Follows from the seats; see `rebuild`.
    owners: Vec<Option<RingId>>,
}

/// A virtual server on its slot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Seat {
    pub(super) id: RingId,
    /// Its number among the server's virtual servers.
    pub(super) j: usize,
    /// As the server's own: here, where the table of owners is made from.
    serving: bool,
}

impl Slots {
    pub(super) fn new(slots: usize) -> Slots {
        Slots { seats: vec![None; slots], owners: vec![None; slots] }
    }

    /// Per slot who sits there.
    pub(super) fn seats(&self) -> &[Option<Seat>] {
        &self.seats
    }

    /// Who answers for a slot.
    pub(super) fn owner(&self, slot: usize) -> Option<RingId> {
        self.owners[slot]
    }

    /// Per slot who answers for it.
    pub(super) fn owners(&self) -> &[Option<RingId>] {
        &self.owners
    }

    /// Seats a server that does not serve yet on slots that are free. It owns nothing, so the table of owners stays.
    pub(super) fn seat(&mut self, id: RingId, slots: &[usize]) {
        for (j, &slot) in slots.iter().enumerate() {
            self.seats[slot] = Some(Seat { id, j, serving: false });
        }
    }

    /// Takes a server off its slots that does not serve.
    pub(super) fn unseat(&mut self, slots: &[usize]) {
        slots.iter().for_each(|&slot| self.seats[slot] = None);
    }

    /// Notes whether those on `slots` serve; [`Slots::rebuild`] must follow.
    pub(super) fn mark(&mut self, slots: &[usize], serving: bool) {
        for &slot in slots {
            self.seats[slot].iter_mut().for_each(|seat| seat.serving = serving);
        }
    }

    pub(super) fn rebuild(&mut self) {
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

    /// The serving servers in the order in which they are met clockwise from `start`, each once.
    pub(super) fn walk(&self, start: usize) -> impl Iterator<Item = RingId> + '_ {
        let mut met = BTreeSet::new();
        self.seats[start..].iter().chain(&self.seats[..start]).filter_map(move |seat| {
            let seat = (*seat)?;
            (seat.serving && met.insert(seat.id)).then_some(seat.id)
        })
    }
}
