//! What a ring is made of: the scheme, and how many slots and virtual servers it has where it has any.

use std::fmt;

/// How keys find their servers. Each is a file of this folder, which names its source and its promises.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Scheme {
    /// Keys are mixed well, virtual servers are placed where they even out the shares.
    Even,
    /// The two quadratic functions of the original course statement, exactly as written.
    Statement(Probing),
    /// Points on a ring, all hashed.
    Ketama,
    /// A lookup table that the servers fill in turns.
    Maglev,
    /// Highest random weight: a lot for each server and key.
    Rendezvous,
}

/// How the search for a free slot goes on when slot `h` is taken.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Probing {
    /// `h + 1`, `h + 2`, `h + 3`, …
    Linear,
    /// `h + 1`, `h + 4`, `h + 9`, …
    Quadratic,
}

impl Scheme {
    /// Every scheme, in the order in which they are explained.
    pub const ALL: [Scheme; 6] = [
        Scheme::Even,
        Scheme::Statement(Probing::Linear),
        Scheme::Statement(Probing::Quadratic),
        Scheme::Ketama,
        Scheme::Maglev,
        Scheme::Rendezvous,
    ];

    /// Whether it has slots, or entries of a lookup table.
    pub fn has_slots(self) -> bool {
        matches!(self, Scheme::Even | Scheme::Statement(_) | Scheme::Maglev)
    }

    /// Whether its servers have several places each.
    pub fn has_virtual_servers(self) -> bool {
        matches!(self, Scheme::Even | Scheme::Statement(_) | Scheme::Ketama)
    }

    /// Whether one server may get a greater share than another on purpose.
    pub fn has_weights(self) -> bool {
        matches!(self, Scheme::Ketama | Scheme::Maglev | Scheme::Rendezvous)
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Scheme::Even => "even",
            Scheme::Statement(Probing::Linear) => "statement/linear",
            Scheme::Statement(Probing::Quadratic) => "statement/quadratic",
            Scheme::Ketama => "ketama",
            Scheme::Maglev => "maglev",
            Scheme::Rendezvous => "rendezvous",
        })
    }
}

impl fmt::Display for Probing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Probing::Linear => "linear",
            Probing::Quadratic => "quadratic",
        })
    }
}

/// How large a server's share is beside those of others: 1 to 100.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Weight(u32);

impl Weight {
    /// What everyone has when nothing is said.
    pub const ONE: Weight = Weight(1);

    /// The greatest. A hundred is enough to set any two machines apart, and a server of that weight has 16,000 points
    /// under `ketama`.
    pub const MAX: u32 = 100;

    /// A weight, if it is one.
    pub fn new(weight: u32) -> Option<Weight> {
        (1..=Weight::MAX).contains(&weight).then_some(Weight(weight))
    }

    /// As a number.
    pub fn get(self) -> u32 {
        self.0
    }
}

impl fmt::Display for Weight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The measures of a ring, checked once so that everything behind them can rely on it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Shape {
    scheme: Scheme,
    /// 0 where the scheme has none.
    slots: usize,
    /// 0 where the scheme has none.
    virtual_servers: usize,
}

impl Shape {
    /// The fewest slots of a ring: with a single one there is nothing to share.
    pub const MIN_SLOTS: usize = 2;

    /// The most slots of a ring: room for 7,281 servers of nine virtual servers. Every change rewrites one table entry
    /// per slot, which takes a tenth of a millisecond at most.
    pub const MAX_SLOTS: usize = 65_536;

    /// The most entries of a lookup table, and how many it has when nothing is said: the paper's number. To fill it takes
    /// a millisecond or two with every change.
    pub const MAX_TABLE: usize = 65_537;

    /// Entries of a lookup table for each server that there may be: then no share is more than 1 % over another (the
    /// Maglev paper's section 3.4).
    const ENTRIES_PER_SERVER: usize = 100;

    /// The most virtual servers of one server under `even` and `statement`: the search for even places takes time that
    /// grows with them (a fifth of a second for a join to the largest ring).
    pub const MAX_VIRTUAL_SERVERS: usize = 256;

    /// The most points of one server of weight one under `ketama`, where shares scatter by 3 % then.
    pub const MAX_POINTS: usize = 1024;

    /// The most points of all servers together under `ketama`: a change takes two or three milliseconds then, during which
    /// requests wait.
    pub const MAX_RING_POINTS: usize = 262_144;

    /// The most servers where neither slots nor entries are the limit.
    pub const MAX_SERVERS: usize = 4096;

    /// The measures that a scheme has when nothing is said: the statement's 512 slots and 9 virtual servers, the 160
    /// points of `libketama`, the 65,537 entries of the Maglev paper.
    pub const fn of(scheme: Scheme) -> Shape {
        let (slots, virtual_servers) = match scheme {
            Scheme::Even | Scheme::Statement(_) => (512, 9),
            Scheme::Ketama => (0, 160),
            Scheme::Maglev => (Shape::MAX_TABLE, 0),
            Scheme::Rendezvous => (0, 0),
        };
        Shape { scheme, slots, virtual_servers }
    }

    /// A ring of `slots` slots on which every server takes `virtual_servers` of them. Where a scheme has none of either,
    /// that is 0.
    ///
    /// # Errors
    /// A line that names the number and what is allowed: [`MIN_SLOTS`](Self::MIN_SLOTS) to
    /// [`MAX_SLOTS`](Self::MAX_SLOTS) slots and up to [`MAX_VIRTUAL_SERVERS`](Self::MAX_VIRTUAL_SERVERS) virtual
    /// servers, but not more than slots; a prime up to [`MAX_TABLE`](Self::MAX_TABLE) for `maglev`; up to
    /// [`MAX_POINTS`](Self::MAX_POINTS) points for `ketama`.
    ///
    /// ```
    /// use ringmaster::ring::{Scheme, Shape};
    /// assert!(Shape::new(Scheme::Even, 512, 9).is_ok());
    /// assert_eq!(
    ///     Shape::new(Scheme::Even, 32, 33).unwrap_err(),
    ///     "33 virtual servers per server: must be 1 to 32"
    /// );
    /// assert_eq!(Shape::new(Scheme::Maglev, 512, 0).unwrap_err(), "512 slots: must be a prime from 101 to 65537");
    /// ```
    pub fn new(scheme: Scheme, slots: usize, virtual_servers: usize) -> Result<Shape, String> {
        let (least, most) = scheme_slots(scheme);
        if !(least..=most).contains(&slots) || (scheme == Scheme::Maglev && !is_prime(slots)) {
            let a_prime = if scheme == Scheme::Maglev { "a prime from " } else { "" };
            return Err(format!("{slots} slots: must be {a_prime}{least} to {most}"));
        }
        let (least, most) = match scheme {
            Scheme::Even | Scheme::Statement(_) => (1, slots.min(Shape::MAX_VIRTUAL_SERVERS)),
            Scheme::Ketama => (1, Shape::MAX_POINTS),
            Scheme::Maglev | Scheme::Rendezvous => (0, 0),
        };
        if !(least..=most).contains(&virtual_servers) {
            return Err(format!("{virtual_servers} virtual servers per server: must be {least} to {most}"));
        }
        Ok(Shape { scheme, slots, virtual_servers })
    }

    /// The rule that picks slots.
    pub fn scheme(self) -> Scheme {
        self.scheme
    }

    /// How many slots the ring has, or entries its lookup table; 0 under a scheme without.
    pub fn slots(self) -> usize {
        self.slots
    }

    /// How many slots each server takes, or how many points one of weight one has; 0 under a scheme without.
    pub fn virtual_servers(self) -> usize {
        self.virtual_servers
    }

    /// How many servers there is room for.
    pub fn max_servers(self) -> usize {
        match self.scheme {
            Scheme::Even | Scheme::Statement(_) => self.slots / self.virtual_servers,
            Scheme::Maglev => self.slots / Shape::ENTRIES_PER_SERVER,
            Scheme::Ketama => Shape::MAX_SERVERS.min(Shape::MAX_RING_POINTS / self.virtual_servers),
            Scheme::Rendezvous => Shape::MAX_SERVERS,
        }
    }
}

/// The fewest and the most slots of a scheme.
fn scheme_slots(scheme: Scheme) -> (usize, usize) {
    match scheme {
        Scheme::Even | Scheme::Statement(_) => (Shape::MIN_SLOTS, Shape::MAX_SLOTS),
        Scheme::Maglev => (Shape::ENTRIES_PER_SERVER + 1, Shape::MAX_TABLE),
        Scheme::Ketama | Scheme::Rendezvous => (0, 0),
    }
}

fn is_prime(number: usize) -> bool {
    number > 1
        && (2..)
            .take_while(|divisor| divisor * divisor <= number)
            .all(|divisor| !number.is_multiple_of(divisor))
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Shape { scheme, slots, virtual_servers } = self;
        match scheme {
            Scheme::Even | Scheme::Statement(_) => {
                write!(f, "{scheme}, {slots} slots, {virtual_servers} virtual servers each")
            }
            Scheme::Ketama => write!(f, "{scheme}, {virtual_servers} points each"),
            Scheme::Maglev => write!(f, "{scheme}, {slots} entries"),
            Scheme::Rendezvous => scheme.fmt(f),
        }
    }
}

impl Default for Shape {
    /// The scheme that spreads load evenly, with the statement's numbers.
    fn default() -> Shape {
        Shape::of(Scheme::Even)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_inclusive_and_refusals_name_the_value() {
        let new = |slots, virtual_servers| Shape::new(Scheme::Even, slots, virtual_servers);
        for (slots, virtual_servers) in [(2, 1), (2, 2), (512, 256), (65_536, 9)] {
            assert!(new(slots, virtual_servers).is_ok(), "{slots} x {virtual_servers}");
        }
        for (slots, virtual_servers, named) in [
            (0, 1, "0 slots"),
            (1, 1, "1 slots"),
            (65_537, 9, "65537 slots"),
            (512, 257, "257 virtual"),
            (512, 0, "0 virtual"),
            (9, 10, "10 v"),
        ] {
            let error = new(slots, virtual_servers).unwrap_err();
            assert!(error.starts_with(named), "{error}");
        }
    }

    #[test]
    fn the_default_is_the_statements_size() {
        let shape = Shape::default();
        assert_eq!(Ok(shape), Shape::new(Scheme::Even, 512, 9));
        assert_eq!(shape.max_servers(), 56);
    }

    #[test]
    fn every_scheme_has_measures_that_it_allows() {
        for scheme in Scheme::ALL {
            let shape = Shape::of(scheme);
            assert_eq!(Shape::new(scheme, shape.slots(), shape.virtual_servers()), Ok(shape));
            assert_eq!(
                (shape.slots() > 0, shape.virtual_servers() > 0),
                (scheme.has_slots(), scheme.has_virtual_servers())
            );
        }
        for (scheme, slots, virtual_servers, error) in [
            (Scheme::Maglev, 65_536, 0, "65536 slots: must be a prime from 101 to 65537"),
            (Scheme::Maglev, 97, 0, "97 slots: must be a prime"),
            (Scheme::Maglev, 101, 9, "9 virtual servers per server: must be 0 to 0"),
            (Scheme::Ketama, 512, 9, "512 slots: must be 0 to 0"),
            (Scheme::Ketama, 0, 1025, "1025 virtual servers per server: must be 1 to 1024"),
            (Scheme::Rendezvous, 0, 1, "1 virtual servers per server: must be 0 to 0"),
        ] {
            let refusal = Shape::new(scheme, slots, virtual_servers).unwrap_err();
            assert!(refusal.starts_with(error), "{refusal}");
        }
    }

    #[test]
    fn primes_are_told_from_others() {
        let primes: Vec<usize> = (0..30).filter(|&number| is_prime(number)).collect();
        assert_eq!(primes, [2, 3, 5, 7, 11, 13, 17, 19, 23, 29]);
        assert!(is_prime(65_537) && !is_prime(65_535) && !is_prime(251 * 257));
    }

    #[test]
    fn weights_are_1_to_100() {
        assert_eq!(
            [0, 1, 100, 101].map(|weight| Weight::new(weight).map(Weight::get)),
            [None, Some(1), Some(100), None]
        );
    }

    #[test]
    fn schemes_are_named_as_on_the_command_line() {
        let names = Scheme::ALL.map(|scheme| scheme.to_string());
        assert_eq!(
            names,
            ["even", "statement/linear", "statement/quadratic", "ketama", "maglev", "rendezvous"]
        );
    }
}
