//! What the balancer is to reach, and whether it did.

use serde::Serialize;

use crate::measurement::optional;
use crate::table::Table;

/// Something the balancer is to reach.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Target {
    /// What.
    pub what: String,
    /// The bound, in words.
    pub bound: String,
    /// What was found; `None` where it was not measured.
    pub found: Option<f64>,
    /// Whether that is within the bound; `None` where that was not measured, or not well enough to tell.
    pub is_met: Option<bool>,
}

impl Target {
    /// One that is met by `bound` and more.
    pub fn at_least(what: &str, bound: f64, found: Option<f64>) -> Target {
        let is_met = found.map(|found| found >= bound);
        Target { what: what.to_owned(), bound: format!("at least {bound:.2}"), found, is_met }
    }

    /// One that is met by `bound` and less.
    pub fn at_most(what: &str, bound: f64, found: Option<f64>) -> Target {
        let is_met = found.map(|found| found <= bound);
        Target { what: what.to_owned(), bound: format!("at most {bound:.2}"), found, is_met }
    }
}

/// All of them, for people; what was found with so many digits.
pub fn table(all: &[Target], digits: usize) -> Table {
    let mut table = Table::new("Targets", &["", "target", "found", "met"]);
    for target in all {
        let met = match target.is_met {
            Some(true) => "yes",
            Some(false) => "NO",
            None if target.found.is_some() => "cannot tell",
            None => "not measured",
        };
        let found = optional(target.found, digits);
        table.push(vec![target.what.clone(), target.bound.clone(), found, met.to_owned()]);
    }
    table
}
