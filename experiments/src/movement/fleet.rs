//! Fleets whose keys are followed: the library's rings, and two ways to share keys that it does not have.

use anyhow::{Result, anyhow};
use ringmaster::ring::{Ring, RingId, Scheme, Shape};

use super::jump::jump;

/// From this size of a fleet on the schemes with slots are given more of them.
pub const LARGE: usize = 30;

/// How many: with nine for each, the usual 512 end at 56 servers.
const MANY_SLOTS: usize = 4096;

/// How keys find their servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// One of the library's.
    Ring(Scheme),
    /// Jump consistent hashing, on a list of servers.
    Jump,
    /// The remainder of the key, on a list of servers.
    Remainder,
}

/// A way with its servers.
#[derive(Clone, Debug)]
pub enum Fleet {
    /// As the library has them.
    Ring(Ring),
    /// In order of joining, and how a key chooses a place of the list: whoever leaves moves all behind it up.
    List(Vec<RingId>, fn(u64, usize) -> usize),
}

impl Way {
    /// All of them.
    pub fn all() -> Vec<Way> {
        Scheme::ALL.into_iter().map(Way::Ring).chain([Way::Jump, Way::Remainder]).collect()
    }

    /// Its name.
    pub fn name(self) -> String {
        match self {
            Way::Ring(scheme) => scheme.to_string(),
            Way::Jump => "jump hash".to_owned(),
            Way::Remainder => "key % N".to_owned(),
        }
    }

    /// Whether keys may move only to who joins and from who leaves.
    pub fn is_frugal(self) -> bool {
        matches!(self, Way::Ring(scheme) if scheme != Scheme::Maglev)
    }

    /// Nobody yet, with room for more than `servers`.
    ///
    /// # Errors
    /// There are no such rings.
    pub fn fleet(self, servers: usize) -> Result<Fleet> {
        let scheme = match self {
            Way::Jump => return Ok(Fleet::List(Vec::new(), jump)),
            Way::Remainder => return Ok(Fleet::List(Vec::new(), remainder)),
            Way::Ring(scheme) => scheme,
        };
        let usual = Shape::of(scheme);
        let shape = match scheme {
            Scheme::Even | Scheme::Statement(_) if servers >= LARGE => {
                Shape::new(scheme, MANY_SLOTS, usual.virtual_servers()).map_err(|why| anyhow!(why))?
            }
            _ => usual,
        };
        Ok(Fleet::Ring(Ring::new(shape)))
    }
}

impl Fleet {
    /// What it is made of.
    pub fn measures(&self) -> String {
        match self {
            Fleet::Ring(ring) => ring.shape().to_string(),
            Fleet::List(..) => String::new(),
        }
    }

    /// Has a server serve.
    ///
    /// # Errors
    /// There is no place for it.
    pub fn join(&mut self, id: RingId) -> Result<()> {
        match self {
            Fleet::Ring(ring) => {
                ring.place(id)?;
                ring.set_serving(id, true);
            }
            Fleet::List(members, _) => members.push(id),
        }
        Ok(())
    }

    /// Lets a server go for good.
    pub fn leave(&mut self, id: RingId) {
        match self {
            Fleet::Ring(ring) => ring.remove(id),
            Fleet::List(members, _) => members.retain(|member| *member != id),
        }
    }

    /// Who answers for each of these keys.
    pub fn owners(&self, keys: &[u64]) -> Vec<Option<RingId>> {
        let owner = |&key: &u64| match self {
            Fleet::Ring(ring) => ring.owner(key),
            Fleet::List(members, choose) => members.get(choose(key, members.len())).copied(),
        };
        keys.iter().map(owner).collect()
    }
}

fn remainder(key: u64, servers: usize) -> usize {
    (key % servers.max(1) as u64) as usize
}

/// What became of keys when one server joined or left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moved {
    /// Keys with another owner than before.
    pub all: usize,
    /// Those of them that went from one who stayed to another who stayed.
    pub needless: usize,
    /// Keys that belong to nobody now.
    pub lost: usize,
}

impl Moved {
    /// From the owners before and after `changed` joined or left.
    pub fn between(before: &[Option<RingId>], after: &[Option<RingId>], changed: RingId) -> Moved {
        let mut moved = Moved::default();
        for (before, after) in before.iter().zip(after) {
            moved.lost += usize::from(after.is_none());
            moved.all += usize::from(before != after);
            let stayed = |owner: &Option<RingId>| *owner != Some(changed);
            moved.needless += usize::from(before != after && stayed(before) && stayed(after));
        }
        moved
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fleet(way: Way, servers: u32) -> Fleet {
        let mut fleet = way.fleet(servers as usize).unwrap();
        (1..=servers).map(RingId).for_each(|id| fleet.join(id).unwrap());
        fleet
    }

    #[test]
    fn remainders_by_hand() {
        let keys: Vec<u64> = (0..12).collect();
        let mut fleet = fleet(Way::Remainder, 3);
        let three = fleet.owners(&keys);
        fleet.join(RingId(4)).unwrap();
        let four = fleet.owners(&keys);
        // 0, 1 and 2 stay; 3, 7 and 11 go to the new one, the other six to each other.
        assert_eq!(Moved::between(&three, &four, RingId(4)), Moved { all: 9, needless: 6, lost: 0 });
        fleet.leave(RingId(1));
        // Of the nine keys of 2, 3 and 4, which are now the first, second and third, only 6 and 7 keep theirs by luck.
        let moved = Moved::between(&four, &fleet.owners(&keys), RingId(1));
        let naive = |key: u64| (key % 4 + 1, key % 3 + 2);
        let needless = (0..12).filter(|&key| naive(key).0 != 1 && naive(key).0 != naive(key).1).count();
        assert_eq!((moved.all, moved.needless), (needless + 3, needless));
    }

    #[test]
    fn what_is_lost_is_counted() {
        let (one, two) = (Some(RingId(1)), Some(RingId(2)));
        let moved = Moved::between(&[one, one, two, two], &[one, two, None, one], RingId(3));
        assert_eq!(moved, Moved { all: 3, needless: 3, lost: 1 });
    }

    #[test]
    fn rings_move_what_they_must_and_jump_does_when_the_last_one_goes() {
        let keys: Vec<u64> = (100_000..104_000).collect();
        for way in Way::all().into_iter().filter(|way| way.is_frugal() || *way == Way::Jump) {
            let mut fleet = fleet(way, 5);
            let before = fleet.owners(&keys);
            fleet.leave(RingId(5));
            let moved = Moved::between(&before, &fleet.owners(&keys), RingId(5));
            let own = before.iter().filter(|owner| **owner == Some(RingId(5))).count();
            assert_eq!((moved.all, moved.needless, moved.lost), (own, 0, 0), "{}", way.name());
        }
    }

    #[test]
    fn large_fleets_get_large_rings() {
        let measures = |servers| Way::Ring(Scheme::Even).fleet(servers).unwrap().measures();
        assert!(measures(10).contains("512 slots") && measures(30).contains("4096 slots, 9 virtual"));
    }
}
