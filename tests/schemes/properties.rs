//! Promises over random histories of joins, leaves and failures. A history that breaks one is told with its seed, and
//! `PROPERTY_SEED=<seed>` plays that one alone.

use crate::fleets::{Change, History, Servers, owners, serving, shape, some_requests};
use crate::oracle;
use ringmaster::ring::{Probing, Ring, RingId, Scheme, Weight};
use std::collections::BTreeSet;
use std::panic::{self, AssertUnwindSafe};
use std::time::Instant;

/// Shapes, the most servers of a fleet, and how many changes a history has. Placing under `even` is the slowest of all
/// that happens here, so its histories are small but one. 42 slots are full with 14 servers.
const TRIALS: [(Scheme, usize, usize, usize, usize); 15] = [
    (Scheme::Even, 42, 3, 16, 600),
    (Scheme::Even, 512, 9, 12, 400),
    (Scheme::Even, 1024, 9, 60, 400),
    (LINEAR, 42, 3, 16, 600),
    (LINEAR, 4096, 9, 200, 1_000),
    (QUADRATIC, 42, 3, 16, 600),
    (QUADRATIC, 512, 9, 56, 400),
    (QUADRATIC, 4096, 9, 200, 1_000),
    (Scheme::Ketama, 0, 1, 20, 400),
    (Scheme::Ketama, 0, 160, 200, 700),
    (Scheme::Maglev, 101, 0, 20, 400),
    (Scheme::Maglev, 1_009, 0, 60, 400),
    (Scheme::Maglev, 65_537, 0, 200, 400),
    (Scheme::Rendezvous, 0, 0, 20, 400),
    (Scheme::Rendezvous, 0, 0, 200, 1_000),
];

const LINEAR: Scheme = Scheme::Statement(Probing::Linear);
const QUADRATIC: Scheme = Scheme::Statement(Probing::Quadratic);

/// The one history under `even` that goes up to 200 servers.
const GREAT: (Scheme, usize, usize, usize, usize) = (Scheme::Even, 4096, 9, 200, 420);

/// How many histories of each trial are played.
const HISTORIES: usize = 2;

/// How many requests are watched, for how many of them whole walks are compared, and after how many changes.
const WATCHED: u64 = 250;
const WALKED: usize = 25;
const COMPARED_EVERY: usize = 20;

/// A ring, what is known of it, and what has happened to it.
struct Played {
    ring: Ring,
    history: History,
    changes: Vec<Change>,
    owners: Vec<Option<RingId>>,
    refused: usize,
}

#[test]
fn promises_hold_over_random_histories() {
    TRIALS.into_iter().for_each(|trial| play_many(trial, HISTORIES));
}

#[test]
fn promises_hold_over_a_history_of_200_evenly_placed_servers() {
    play_many(GREAT, 1);
}

fn play_many(trial: (Scheme, usize, usize, usize, usize), histories: usize) {
    let replayed = std::env::var("PROPERTY_SEED").ok().map(|seed| vec![seed.parse().unwrap()]);
    let seeds: Vec<u64> = replayed.unwrap_or_else(|| (0..histories).map(|_| fastrand::u64(..)).collect());
    let begun = Instant::now();
    let mut refused = 0;
    for seed in seeds {
        // The panic has told what is wrong, and where.
        match panic::catch_unwind(AssertUnwindSafe(|| play(trial, seed))) {
            Ok(refusals) => refused += refusals,
            Err(_) => panic!("{trial:?} with PROPERTY_SEED={seed} does not hold, as told above"),
        }
    }
    let (scheme, slots, virtual_servers, most, changes) = trial;
    println!(
        "{scheme}, {slots} slots, {virtual_servers} virtual servers, up to {most} servers: {histories} x {changes} \
         changes, {refused} refused for lack of room, in {:.1?}",
        begun.elapsed()
    );
}

fn play(trial: (Scheme, usize, usize, usize, usize), seed: u64) -> usize {
    let (scheme, slots, virtual_servers, most, changes) = trial;
    let requests = some_requests(WATCHED);
    let mut played = Played {
        ring: Ring::new(shape(scheme, slots, virtual_servers)),
        history: History::new(seed, most, scheme.has_weights()),
        changes: Vec::new(),
        owners: vec![None; requests.len()],
        refused: 0,
    };
    for step in 1..=changes {
        let change = played.history.next();
        let is_made = match &change {
            Change::Place(id, weight) => played.place(*id, *weight),
            _ => played.change(&change, &requests),
        };
        if is_made {
            played.history.note(&change);
            played.changes.push(change);
        }
        let now = owners(&played.ring, &requests);
        assert!(is_made || now == played.owners);
        played.owners = now;
        if step % COMPARED_EVERY == 0 {
            played.compare(&requests);
        }
    }
    played.compare_with_others();
    played.refused
}

impl Played {
    /// Places a server, or sees it refused for one of two good reasons; whoever is placed owns nothing yet.
    fn place(&mut self, id: RingId, weight: Weight) -> bool {
        let before = self.ring.clone();
        let shape = self.ring.shape();
        let taken: BTreeSet<usize> = self.ring.taken().map(|(slot, _, _)| slot).collect();
        let free = shape.slots() - taken.len();
        let given = self.ring.place_weighted(id, weight).map(<[usize]>::to_vec);
        let is_known = self.history.servers.contains_key(&id);
        let has_room = match shape.scheme() {
            Scheme::Even => free >= shape.virtual_servers(),
            Scheme::Statement(_) => {
                let seats = oracle::statement_seats(shape, &taken, id);
                assert!(is_known || seats.as_ref() == given.as_ref().ok(), "{id}: {seats:?}, {given:?}");
                seats.is_some()
            }
            Scheme::Ketama | Scheme::Maglev | Scheme::Rendezvous => true,
        };
        assert_eq!(given.is_ok(), !is_known && has_room, "server {id}: {given:?}");
        if given.is_err() {
            assert!(self.ring == before, "a refusal changes nothing");
            self.refused += usize::from(!is_known);
        }
        given.is_ok()
    }

    /// Makes another change and holds who owns what now against who owned it before.
    fn change(&mut self, change: &Change, requests: &[u64]) -> bool {
        let before = self.ring.clone();
        assert!(change.apply(&mut self.ring));
        let (came, went) = match change {
            Change::Serve(ids) => (ids.clone(), Vec::new()),
            Change::Stop(ids) => (Vec::new(), ids.clone()),
            Change::Remove(id) => (Vec::new(), vec![*id]),
            Change::Place(..) => unreachable!("placed elsewhere"),
        };
        let is_least = before.shape().scheme() != Scheme::Maglev;
        for (&request, &old) in requests.iter().zip(&self.owners) {
            let new = self.ring.owner(request);
            // Of those that went, to the next of the walk that stays.
            if old.is_some_and(|old| went.contains(&old)) {
                assert!(new.is_none_or(|new| !went.contains(&new)));
                let next = before.walk(request).find(|id| !went.contains(id));
                assert!(!is_least || new == next, "{change:?}: {request} goes to {new:?}, not to {next:?}");
            } else if is_least {
                let is_taken = new.is_some_and(|new| came.contains(&new));
                assert!(new == old || is_taken, "{change:?}: {request} moves from {old:?} to {new:?}");
            }
        }
        if matches!(change, Change::Serve(_) | Change::Stop(_)) && self.history.chance().bool() {
            let mut back = self.ring.clone();
            back.set_all_serving(&came, false);
            back.set_all_serving(&went.into_iter().filter(|id| self.serves(*id)).collect::<Vec<_>>(), true);
            assert!(back == before, "{change:?} undone is not what was before");
        }
        true
    }

    /// Whether it served before the change at hand.
    fn serves(&self, id: RingId) -> bool {
        self.history.servers.get(&id).is_some_and(|server| server.1)
    }

    /// Holds owners and walks against the slow implementation.
    fn compare(&self, requests: &[u64]) {
        let serving = serving(&self.history.servers);
        let ids: BTreeSet<RingId> = serving.iter().map(|server| server.0).collect();
        let shape = self.ring.shape();
        // What the oracle would otherwise make anew for each request.
        let table = (shape.scheme() == Scheme::Maglev).then(|| oracle::maglev_table(shape.slots(), &serving));
        for (at, (&request, owner)) in requests.iter().zip(&self.owners).enumerate().take(4 * WALKED) {
            assert_eq!(owner.is_some(), !ids.is_empty(), "request {request}");
            if at % 4 == 0 {
                let walk: Vec<RingId> = self.ring.walk(request).collect();
                let expected = match &table {
                    Some(table) => oracle::along_table(table, request),
                    None => oracle::walk(&self.ring, &serving, request),
                };
                assert!(walk == expected, "request {request}: {walk:?} is not {expected:?}");
                assert_eq!(walk.first(), owner.as_ref(), "request {request}");
                assert!(walk.len() == ids.len() && walk.iter().all(|id| ids.contains(id)), "{walk:?}");
            }
        }
        assert!(self.owners.iter().flatten().all(|owner| ids.contains(owner)));
    }

    /// The same changes on a new ring give the same ring; and so do, where positions follow from ids, the same servers in
    /// whatever order they come.
    fn compare_with_others(&mut self) {
        let mut again = Ring::new(self.ring.shape());
        assert!(self.changes.iter().all(|change| change.apply(&mut again)));
        assert!(again == self.ring, "equal histories give unequal rings");
        if matches!(self.ring.shape().scheme(), Scheme::Ketama | Scheme::Maglev | Scheme::Rendezvous) {
            let servers = self.history.servers.clone();
            let made = made_of(&self.ring, &servers, self.history.chance());
            assert!(made == self.ring, "equal servers give unequal rings");
        }
    }
}

/// A ring of these servers, which come one by one by chance, and with a stranger that goes again.
fn made_of(like: &Ring, servers: &Servers, rng: &mut fastrand::Rng) -> Ring {
    let mut order: Vec<_> = servers.iter().map(|(&id, &(weight, serves))| (id, weight, serves)).collect();
    rng.shuffle(&mut order);
    let mut ring = Ring::new(like.shape());
    let stranger = RingId(4_000_000_000);
    if !servers.contains_key(&stranger) {
        ring.place_weighted(stranger, Weight::new(7).unwrap()).unwrap();
        ring.set_serving(stranger, true);
    }
    let serving: Vec<RingId> = order.iter().filter(|server| server.2).map(|server| server.0).collect();
    for (id, weight, _) in order {
        ring.place_weighted(id, weight).unwrap();
    }
    let (first, others) = serving.split_at(serving.len() / 2);
    first.iter().for_each(|&id| ring.set_serving(id, true));
    if !servers.contains_key(&stranger) {
        ring.remove(stranger);
    }
    ring.set_all_serving(others, true);
    ring
}
