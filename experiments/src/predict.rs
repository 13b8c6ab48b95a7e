//! What the ring says each replica should get. The only file that knows the library's ring.

use std::collections::BTreeMap;
use std::ffi::OsString;

use ringmaster::config::{Invocation, invocation};
use ringmaster::ring::{REQUEST_IDS, Ring, RingId, Shape, Weight};

use crate::admin::{Replica, Status};

/// Settings under which who gets a request is not the ring's choice by a random id alone.
const ELSEWISE: [&str; 2] = ["--policy", "--key"];

/// What is expected, and from what that follows.
#[derive(Clone, Debug, PartialEq)]
pub struct Prediction {
    /// The part of 1 that each replica gets, in the order of the names that were asked about.
    pub shares: Vec<f64>,
    /// How it was found, in words.
    pub basis: String,
}

/// The shares of these replicas of a balancer with these settings.
///
/// # Errors
/// Why nothing can be said, in words.
pub fn predict(settings: &[String], status: Option<&Status>, names: &[String]) -> Result<Prediction, String> {
    let status = status.ok_or("the balancer does not say which slots its replicas have")?;
    let (ring, how) = ring(shape(settings)?, status)?;
    let counts = ring.shares(REQUEST_IDS);
    let total = counts.values().sum::<u64>() as f64;
    let ids: BTreeMap<&str, RingId> =
        status.replicas.iter().map(|replica| (replica.name.as_str(), RingId(replica.ring_id))).collect();
    let share = |name: &String| {
        let id = ids.get(name.as_str()).ok_or_else(|| format!("the status does not list {name}"))?;
        Ok(counts.get(id).copied().unwrap_or(0) as f64 / total)
    };
    let shares = names.iter().map(share).collect::<Result<Vec<f64>, String>>()?;
    let mut basis = format!("scheme {}, all six-digit request ids, {how}", ring.shape().scheme());
    if settings.iter().any(|word| ELSEWISE.iter().any(|name| word.starts_with(name))) {
        basis += "; this is for requests with random ids that go to the ring's first choice, and the settings may \
                  say otherwise";
    }
    Ok(Prediction { shares, basis })
}

/// The measures of the ring as the balancer reads them from its settings.
fn shape(settings: &[String]) -> Result<Shape, String> {
    let words = ["ring"].into_iter().chain(settings.iter().map(String::as_str)).map(OsString::from);
    match invocation(words, |_| None)? {
        Invocation::Ring { shape, .. } => Ok(shape),
        _ => Err("these settings are not those of a ring".to_owned()),
    }
}

/// The ring of that fleet, and how its places were found.
fn ring(shape: Shape, status: &Status) -> Result<(Ring, &'static str), String> {
    if let Some(ring) = recorded(shape, status) {
        return Ok((ring, "on the slots that the balancer reports"));
    }
    let mut ring = Ring::new(shape);
    let mut ids: Vec<RingId> = status.replicas.iter().map(|replica| RingId(replica.ring_id)).collect();
    ids.sort();
    for id in ids {
        ring.place(id).map(drop).map_err(|error| error.to_string())?;
        ring.set_serving(id, true);
    }
    Ok((ring, "replicas placed in order of their ring ids"))
}

/// The ring with every replica on the slots that it has; `None` where there are none to go by.
fn recorded(shape: Shape, status: &Status) -> Option<Ring> {
    let each = status.replicas.first().map(|replica: &Replica| replica.slots.len())?;
    let is_as_set = (shape.slots(), shape.virtual_servers()) == (status.slots, each);
    let shape = if is_as_set { shape } else { Shape::new(shape.scheme(), status.slots, each).ok()? };
    let mut ring = Ring::new(shape);
    for replica in &status.replicas {
        ring.restore(RingId(replica.ring_id), &replica.slots, Weight::ONE).ok()?;
        ring.set_serving(RingId(replica.ring_id), true);
    }
    Some(ring)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(slots: usize, replicas: &[(&str, u32, &[usize])]) -> Status {
        let replica = |&(name, ring_id, slots): &(&str, u32, &[usize])| Replica {
            name: name.to_owned(),
            ring_id,
            state: "serving".to_owned(),
            instance: None,
            slots: slots.to_vec(),
        };
        Status { slots, replicas: replicas.iter().map(replica).collect() }
    }

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn the_courses_scheme_gives_three_servers_what_is_published() {
        let status = status(512, &[("b", 2, &[]), ("a", 1, &[]), ("c", 3, &[])]);
        let settings = names(&["--scheme", "statement"]);
        let found = predict(&settings, Some(&status), &names(&["a", "b", "c"])).unwrap();
        let percent: Vec<String> = found.shares.iter().map(|share| format!("{:.2}", share * 100.0)).collect();
        assert_eq!(percent, ["84.37", "4.69", "10.94"]);
        assert!(found.basis.contains("statement/linear") && found.basis.contains("in order"), "{found:?}");
    }

    #[test]
    fn reported_slots_count_even_where_they_are_not_those_of_the_settings() {
        let status = status(4, &[("a", 7, &[0]), ("b", 9, &[3])]);
        let found = predict(&[], Some(&status), &names(&["b", "a"])).unwrap();
        assert!((found.shares[0] - 0.75).abs() < 0.01 && (found.shares[1] - 0.25).abs() < 0.01, "{found:?}");
        assert!(found.basis.contains("reports"), "{found:?}");
    }

    #[test]
    fn why_there_is_no_prediction_is_said() {
        let status = status(512, &[("a", 1, &[])]);
        assert!(predict(&[], None, &[]).unwrap_err().contains("does not say"));
        assert!(predict(&names(&["--scheme", "x"]), Some(&status), &[]).unwrap_err().contains("--scheme"));
        assert!(predict(&[], Some(&status), &names(&["z"])).unwrap_err().contains("z"));
    }
}
