//! What a ring of so many servers looks like, for people and for programs.

mod picture;

use std::fmt;

use serde::Serialize;

use crate::ring::{REQUEST_IDS, Ring, RingId, Shape};

/// A ring with servers 1 to N on it, measured. Made by [`report`].
#[derive(Debug)]
pub struct RingReport {
    ring: Ring,
    replicas: Vec<Replica>,
    max_over_mean: f64,
}

/// One server of the report; its fields are those of the JSON.
#[derive(Debug, Serialize)]
struct Replica {
    id: u32,
    /// In order of virtual server.
    slots: Vec<usize>,
    /// How many of the six-digit request ids it owns.
    requests: u64,
    /// The same as a part of 1.
    share: f64,
}

/// The JSON of a report.
#[derive(Serialize)]
struct Wire<'a> {
    scheme: String,
    slots: usize,
    virtual_servers: usize,
    replicas: &'a [Replica],
    max_over_mean: f64,
}

/// Joins servers 1, 2, …, `replicas` in that order and counts who owns how many of all six-digit request ids.
///
/// Refuses 0 replicas and more than fit on the ring; fails if the scheme finds no slot for one of them.
pub fn report(shape: Shape, replicas: u32) -> Result<RingReport, String> {
    let most = shape.max_servers();
    if replicas == 0 || replicas as usize > most {
        return Err(format!("{replicas} replicas: must be 1 to {most}, for which there is room: {shape}"));
    }
    let mut ring = Ring::new(shape);
    for id in (1..=replicas).map(RingId) {
        ring.place(id).map_err(|error| format!("{replicas} replicas: {error}"))?;
    }
    ring.set_all_serving(&(1..=replicas).map(RingId).collect::<Vec<_>>(), true);
    let counts = ring.shares(REQUEST_IDS);
    let total = counts.values().sum::<u64>() as f64;
    let busiest = counts.values().copied().max().unwrap_or(0) as f64;
    let replicas = counts
        .iter()
        .map(|(&id, &requests)| Replica {
            id: id.0,
            slots: ring.slots_of(id).unwrap_or_default().to_vec(),
            requests,
            share: requests as f64 / total,
        })
        .collect();
    Ok(RingReport { ring, replicas, max_over_mean: busiest * counts.len() as f64 / total })
}

impl RingReport {
    /// The report as one line of JSON:
    /// `{"scheme":…,"slots":…,"virtual_servers":…,"replicas":[{"id":…,"slots":[…],"requests":…,"share":…},…],`
    /// `"max_over_mean":…}`. Slots are in order of virtual server; a share is a part of 1.
    pub fn to_json(&self) -> String {
        let shape = self.ring.shape();
        let wire = Wire {
            scheme: shape.scheme().to_string(),
            slots: shape.slots(),
            virtual_servers: shape.virtual_servers(),
            replicas: &self.replicas,
            max_over_mean: self.max_over_mean,
        };
        serde_json::to_string(&wire).unwrap_or_else(|error| unreachable!("numbers and text, yet: {error}"))
    }
}

/// How wide a line of the table may grow: what a terminal shows without breaking it.
const LINE: usize = 80;

impl fmt::Display for RingReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.ring.shape())?;
        let pairs = self.ring.taken().map(|(slot, id, _)| format!("{slot}:{id}"));
        let lines = wrapped(pairs, LINE);
        if lines.is_empty() {
            writeln!(f, "\nserver  requests        %")?;
        } else {
            writeln!(f, "\ntaken slots, as slot:server")?;
            lines.iter().try_for_each(|line| writeln!(f, "{line}"))?;
            writeln!(f, "\nserver  requests        %  slots")?;
        }
        for replica in &self.replicas {
            let Replica { id, requests, share, .. } = replica;
            let mut lines =
                wrapped(replica.slots.iter().map(usize::to_string), LINE - SLOTS_COLUMN).into_iter();
            let row =
                format!("{id:>6} {requests:>9} {:>8.2}  {}", share * 100.0, lines.next().unwrap_or_default());
            writeln!(f, "{}", row.trim_end())?;
            for line in lines {
                writeln!(f, "{:SLOTS_COLUMN$}{line}", "")?;
            }
        }
        writeln!(f, "\nbusiest over mean: {:.3}", self.max_over_mean)
    }
}

/// Where the last column of the table of servers begins.
const SLOTS_COLUMN: usize = 27;

/// Words joined by blanks into lines of at most `width` characters; a longer word gets a line of its own.
fn wrapped(words: impl Iterator<Item = String>, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in words {
        match lines.last_mut() {
            Some(line) if line.len() + 1 + word.len() <= width => {
                line.push(' ');
                line.push_str(&word);
            }
            _ => lines.push(word),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ring::{Probing, Scheme};
    use serde_json::Value;

    fn statement(probing: Probing) -> Shape {
        Shape::new(Scheme::Statement(probing), 512, 9).unwrap()
    }

    #[test]
    fn the_statements_ring_in_words() {
        assert_eq!(
            report(statement(Probing::Linear), 3).unwrap().to_string(),
            "\
statement/linear, 512 slots, 9 virtual servers each

taken slots, as slot:server
26:1 29:1 30:2 32:2 34:1 35:3 37:2 38:3 41:1 42:3 44:2 49:3 50:1 53:2 58:3 61:1
64:2 69:3 74:1 77:2 82:3 89:1 92:2 97:3 106:1 109:2 114:3

server  requests        %  slots
     1    759374    84.37  26 29 34 41 50 61 74 89 106
     2     42187     4.69  30 32 37 44 53 64 77 92 109
     3     98439    10.94  35 38 42 49 58 69 82 97 114

busiest over mean: 2.531
"
        );
    }

    /// The recorded rings: see `tests/golden/README.md`.
    #[test]
    fn json_is_the_recorded_one() {
        let statement = report(statement(Probing::Linear), 3).unwrap().to_json();
        assert_eq!(statement, include_str!("../../tests/golden/ring-statement-linear-3.json").trim_end());
        let even = report(Shape::default(), 6).unwrap().to_json();
        assert_eq!(even, include_str!("../../tests/golden/ring-even-6.json").trim_end());
    }

    #[test]
    fn json_has_the_documented_shape() {
        let json: Value = serde_json::from_str(&report(Shape::default(), 2).unwrap().to_json()).unwrap();
        assert_eq!(json["scheme"], "even");
        assert_eq!(json["slots"], 512);
        assert_eq!(json["virtual_servers"], 9);
        let replicas = json["replicas"].as_array().unwrap();
        assert_eq!(replicas.len(), 2);
        assert_eq!(replicas[1]["id"], 2);
        assert_eq!(replicas[1]["slots"].as_array().unwrap().len(), 9);
        let requests = |k: usize| replicas[k]["requests"].as_u64().unwrap();
        assert_eq!(requests(0) + requests(1), 900_000);
        assert_eq!(replicas[0]["share"].as_f64().unwrap(), requests(0) as f64 / 900_000.0);
        let most = requests(0).max(requests(1)) as f64;
        assert_eq!(json["max_over_mean"].as_f64().unwrap(), most * 2.0 / 900_000.0);
    }

    #[test]
    fn long_lines_are_wrapped() {
        let text = report(Shape::new(Scheme::Even, 4096, 40).unwrap(), 12).unwrap().to_string();
        assert!(text.lines().all(|line| line.len() <= LINE), "{text}");
        assert!(text.lines().any(|line| line.len() > LINE - 8), "{text}");
        let words = ["aa", "bb", "c", "dddddd"].map(String::from).into_iter();
        assert_eq!(wrapped(words, 5), ["aa bb", "c", "dddddd"]);
    }

    #[test]
    fn the_picture_covers_the_turn_and_gives_each_server_its_slots() {
        for shape in [Shape::default(), statement(Probing::Linear), Shape::new(Scheme::Even, 7, 2).unwrap()] {
            let mut ring = Ring::new(shape);
            for id in [1, 2, 3].map(RingId) {
                ring.place(id).unwrap();
                ring.set_serving(id, true);
            }
            let owners = report(shape, 3).unwrap().picture().owners;
            assert_eq!((owners[0].from, owners[owners.len() - 1].to), (0.0, 1.0));
            assert!(owners.windows(2).all(|pair| pair[0].to == pair[1].from));
            for (id, owned) in ring.owned_slots() {
                let spans = owners.iter().filter(|span| span.what == id.0);
                let turn: f64 = spans.map(|span| span.to - span.from).sum();
                assert!((turn * shape.slots() as f64 - owned as f64).abs() < 1e-9, "{shape:?}, server {id}");
            }
        }
    }

    #[test]
    fn the_picture_of_the_statements_ring_shows_its_87_slots() {
        let picture = report(statement(Probing::Linear), 3).unwrap().picture();
        let seen: Vec<_> = picture.requests.iter().filter(|span| span.what > 0.0).collect();
        assert_eq!(seen.len(), 87);
        assert_eq!(seen.iter().find(|span| span.what == 1.0).unwrap().from, 80.0 / 512.0);
        assert!(picture.notes[1].contains("87 of 512"), "{:?}", picture.notes);
        assert_eq!(picture.points.len(), 27);
        let marks: Vec<&str> = picture.marks.iter().map(|(_, name)| name.as_str()).collect();
        assert_eq!(marks, ["0", "64", "128", "192", "256", "320", "384", "448"]);
        assert!(report(Shape::default(), 3).unwrap().picture().requests.is_empty());
    }

    #[test]
    fn what_cannot_be_is_refused_with_the_number() {
        for (replicas, error) in [(0, "0 replicas: must be 1 to 56"), (57, "57 replicas: must be 1 to 56")] {
            assert!(report(Shape::default(), replicas).unwrap_err().starts_with(error));
        }
        assert!(report(Shape::default(), 56).is_ok());
        let error = report(statement(Probing::Quadratic), 40).unwrap_err();
        assert!(error.starts_with("40 replicas: server 40, virtual server "), "{error}");
        assert!(report(statement(Probing::Quadratic), 39).is_ok());
    }
}
