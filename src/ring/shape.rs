//! What a ring is made of: how many slots, how many of them one server takes, and the rule that picks them.

use std::fmt;

/// How keys and virtual servers get their slots.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Scheme {
    /// Keys are mixed well, virtual servers are placed where they even out the shares.
    Even,
    /// The two quadratic functions of the original course statement, exactly as written.
    Statement(Probing),
}

/// How the search for a free slot goes on when slot `h` is taken.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Probing {
    /// `h + 1`, `h + 2`, `h + 3`, …
    Linear,
    /// `h + 1`, `h + 4`, `h + 9`, …
    Quadratic,
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Scheme::Even => "even",
            Scheme::Statement(Probing::Linear) => "statement/linear",
            Scheme::Statement(Probing::Quadratic) => "statement/quadratic",
        })
    }
}

/// The measures of a ring, checked once so that everything behind them can rely on it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Shape {
    scheme: Scheme,
    slots: usize,
    virtual_servers: usize,
}

impl Shape {
    /// The fewest slots of a ring: with a single one there is nothing to share.
    pub const MIN_SLOTS: usize = 2;

    /// The most slots of a ring: room for 1,800 servers of nine virtual servers. Every change rewrites one table entry
    /// per slot.
    pub const MAX_SLOTS: usize = 16_384;

    /// The most virtual servers of one server. Hashed rings see little gain beyond a few hundred; and the search for
    /// even places takes time that grows with them (a fifth of a second for a join to the largest ring).
    pub const MAX_VIRTUAL_SERVERS: usize = 256;

    /// A ring of `slots` slots on which every server takes `virtual_servers` of them.
    ///
    /// Refuses a number of slots outside [`MIN_SLOTS`](Self::MIN_SLOTS)..=[`MAX_SLOTS`](Self::MAX_SLOTS), and
    /// virtual servers that are none at all, more than there are slots or more than
    /// [`MAX_VIRTUAL_SERVERS`](Self::MAX_VIRTUAL_SERVERS).
    ///
    /// ```
    /// use ringmaster::ring::{Scheme, Shape};
    /// assert!(Shape::new(Scheme::Even, 512, 9).is_ok());
    /// assert_eq!(
    ///     Shape::new(Scheme::Even, 32, 33).unwrap_err(),
    ///     "33 virtual servers per server: must be 1 to 32"
    /// );
    /// ```
    pub fn new(scheme: Scheme, slots: usize, virtual_servers: usize) -> Result<Shape, String> {
        if !(Self::MIN_SLOTS..=Self::MAX_SLOTS).contains(&slots) {
            return Err(format!("{slots} slots: must be {} to {}", Self::MIN_SLOTS, Self::MAX_SLOTS));
        }
        let most = slots.min(Self::MAX_VIRTUAL_SERVERS);
        if !(1..=most).contains(&virtual_servers) {
            return Err(format!("{virtual_servers} virtual servers per server: must be 1 to {most}"));
        }
        Ok(Shape { scheme, slots, virtual_servers })
    }

    /// The rule that picks the slots.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// How many slots the ring has.
    pub fn slots(&self) -> usize {
        self.slots
    }

    /// How many slots one server takes.
    pub fn virtual_servers(&self) -> usize {
        self.virtual_servers
    }

    /// How many servers fit on the ring.
    pub fn max_servers(&self) -> usize {
        self.slots / self.virtual_servers
    }
}

impl Default for Shape {
    /// 512 slots and 9 virtual servers, the statement's numbers, with the scheme that spreads load evenly.
    fn default() -> Shape {
        Shape { scheme: Scheme::Even, slots: 512, virtual_servers: 9 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_inclusive_and_refusals_name_the_value() {
        let new = |slots, virtual_servers| Shape::new(Scheme::Even, slots, virtual_servers);
        for (slots, virtual_servers) in [(2, 1), (2, 2), (512, 256), (16_384, 9)] {
            assert!(new(slots, virtual_servers).is_ok(), "{slots} x {virtual_servers}");
        }
        for (slots, virtual_servers, named) in [
            (0, 1, "0 slots"),
            (1, 1, "1 slots"),
            (16_385, 9, "16385 slots"),
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
    fn schemes_are_named_as_on_the_command_line() {
        let names = [Scheme::Even, Scheme::Statement(Probing::Linear), Scheme::Statement(Probing::Quadratic)];
        assert_eq!(names.map(|s| s.to_string()), ["even", "statement/linear", "statement/quadratic"]);
    }
}
