//! What the ring says each replica should get.

use std::collections::BTreeMap;
use std::ffi::OsString;

use ringmaster::config::{Invocation, invocation};
use ringmaster::ring::{REQUEST_IDS, Ring, RingId, Scheme, Shape, Weight};

use crate::admin::Status;

/// Policies under which a random id decides who gets a request, while nobody is busier than others.
const HASHED: [&str; 2] = ["hash", "hash-bounded"];

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
    if let Some(policy) = status.policy.as_deref().filter(|policy| !HASHED.contains(policy)) {
        return Err(format!("policy {policy} does not ask the ring"));
    }
    if settings.iter().any(|word| word.starts_with("--key")) {
        return Err("with a routing key all requests here are one".to_owned());
    }
    let (ring, how) = ring(shape(settings, status)?, status)?;
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
    if status.replicas.iter().any(|replica| replica.weight != 1) {
        basis += " and with the weights that it reports";
    }
    Ok(Prediction { shares, basis })
}

/// The measures of the ring: what the balancer reports of them, the rest as it reads them from its settings.
fn shape(settings: &[String], status: &Status) -> Result<Shape, String> {
    let words = ["ring"].into_iter().chain(settings.iter().map(String::as_str)).map(OsString::from);
    let Invocation::Ring { shape: set, .. } = invocation(words, |_| None)? else {
        return Err("these settings are not those of a ring".to_owned());
    };
    let scheme = match &status.scheme {
        Some(name) => Scheme::ALL
            .into_iter()
            .find(|scheme| scheme.to_string() == *name)
            .ok_or_else(|| format!("the balancer's scheme is {name}, which is not known here"))?,
        None => set.scheme(),
    };
    let usual = if scheme == set.scheme() { set } else { Shape::of(scheme) };
    let reported = status.replicas.iter().map(|replica| replica.slots.len()).find(|count| *count > 0);
    let slots = if scheme.has_slots() { status.slots } else { 0 };
    Shape::new(scheme, slots, reported.unwrap_or(usual.virtual_servers()))
}

/// The ring of that fleet, and how its places were found.
fn ring(shape: Shape, status: &Status) -> Result<(Ring, &'static str), String> {
    let mut replicas: Vec<_> = status.replicas.iter().collect();
    replicas.sort_by_key(|replica| replica.ring_id);
    let is_placed = matches!(shape.scheme(), Scheme::Even | Scheme::Statement(_));
    let is_recorded = is_placed && replicas.iter().all(|replica| !replica.slots.is_empty());
    let mut ring = Ring::new(shape);
    for replica in replicas {
        let (id, weight) = (RingId(replica.ring_id), replica.weight);
        let weight =
            Weight::new(weight).ok_or_else(|| format!("{} has the weight {weight}", replica.name))?;
        let placed = match is_recorded {
            true => ring.restore(id, &replica.slots, weight),
            false => ring.place_weighted(id, weight).map(drop),
        };
        placed.map_err(|error| error.to_string())?;
        ring.set_serving(id, replica.is_serving());
    }
    let how = match (is_placed, is_recorded) {
        (true, true) => "on the slots that the balancer reports",
        (true, false) => "replicas placed in order of their ring ids",
        (false, _) => "for the ring ids that the balancer reports",
    };
    Ok((ring, how))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::Replica;

    fn status(slots: usize, replicas: &[(&str, u32, &[usize])]) -> Status {
        let replica = |&(name, ring_id, slots): &(&str, u32, &[usize])| Replica {
            name: name.to_owned(),
            ring_id,
            state: "serving".to_owned(),
            instance: None,
            weight: 1,
            slots: slots.to_vec(),
        };
        Status { scheme: None, policy: None, slots, replicas: replicas.iter().map(replica).collect() }
    }

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn the_courses_scheme_gives_three_servers_what_is_published() {
        let mut status = status(512, &[("b", 2, &[]), ("a", 1, &[]), ("c", 3, &[])]);
        let asked = names(&["a", "b", "c"]);
        let found = predict(&names(&["--scheme", "statement"]), Some(&status), &asked).unwrap();
        let percent: Vec<String> = found.shares.iter().map(|share| format!("{:.2}", share * 100.0)).collect();
        assert_eq!(percent, ["84.37", "4.69", "10.94"]);
        assert!(found.basis.contains("statement/linear") && found.basis.contains("in order"), "{found:?}");
        status.scheme = Some("statement/linear".to_owned());
        assert_eq!(predict(&[], Some(&status), &asked).unwrap(), found, "the balancer knows its scheme best");
    }

    #[test]
    fn reported_slots_count_even_where_they_are_not_those_of_the_settings() {
        let status = status(4, &[("a", 7, &[0]), ("b", 9, &[3])]);
        let found = predict(&[], Some(&status), &names(&["b", "a"])).unwrap();
        assert!((found.shares[0] - 0.75).abs() < 0.01 && (found.shares[1] - 0.25).abs() < 0.01, "{found:?}");
        assert!(found.basis.contains("reports"), "{found:?}");
    }

    #[test]
    fn weights_count_under_every_scheme_that_has_them() {
        for scheme in Scheme::ALL.into_iter().filter(|scheme| scheme.has_weights()) {
            let mut status = status(Shape::of(scheme).slots(), &[("a", 1, &[]), ("b", 2, &[])]);
            status.scheme = Some(scheme.to_string());
            status.replicas[1].weight = 3;
            let found = predict(&[], Some(&status), &names(&["a", "b"])).unwrap();
            assert!((found.shares[1] - 0.75).abs() < 0.05, "{scheme}: {found:?}");
            assert!(found.basis.contains("weights"), "{found:?}");
        }
    }

    #[test]
    fn who_does_not_serve_gets_nothing() {
        let mut status = status(512, &[("a", 1, &[]), ("b", 2, &[])]);
        status.replicas[0].state = "failed".to_owned();
        assert_eq!(predict(&[], Some(&status), &names(&["a", "b"])).unwrap().shares, [0.0, 1.0]);
    }

    #[test]
    fn why_there_is_no_prediction_is_said() {
        let mut status = status(512, &[("a", 1, &[])]);
        assert!(predict(&[], None, &[]).unwrap_err().contains("does not say"));
        let turns = Status { policy: Some("round-robin".to_owned()), ..status.clone() };
        assert!(predict(&[], Some(&turns), &[]).unwrap_err().contains("round-robin"));
        assert!(predict(&names(&["--key", "path"]), Some(&status), &[]).unwrap_err().contains("routing key"));
        assert!(predict(&names(&["--scheme", "x"]), Some(&status), &[]).unwrap_err().contains("--scheme"));
        assert!(predict(&[], Some(&status), &names(&["z"])).unwrap_err().contains("z"));
        status.scheme = Some("dice".to_owned());
        assert!(predict(&[], Some(&status), &[]).unwrap_err().contains("dice"));
    }
}
