//! Why shares are as they are: rings of three servers, drawn.

use anyhow::{Context, Result, anyhow};
use ringmaster::ring::{Probing, Ring, RingId, Scheme, Shape};
use ringmaster::{ring_report, ring_svg};
use serde::{Deserialize, Serialize};

use super::REPLICAS;
use crate::report::picture;

/// Those that are drawn: the one to explain, the one that does better by placing, the one that does so by number.
const DRAWN: [Scheme; 3] = [Scheme::Statement(Probing::Linear), Scheme::Even, Scheme::Ketama];

/// What the pictures show, in numbers.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Rings {
    slots: usize,
    /// Slots that any request is hashed to under `statement`.
    reachable: usize,
    /// The first and the last slot that a virtual server has under `statement`.
    cluster: (usize, usize),
    /// Points of each server under `ketama`.
    points: usize,
}

impl Rings {
    /// Of the schemes with their usual measures.
    ///
    /// # Errors
    /// There are no such rings.
    pub fn new() -> Result<Rings> {
        let mut ring = Ring::new(Shape::of(DRAWN[0]));
        for id in (1..=REPLICAS as u32).map(RingId) {
            ring.place(id)?;
            ring.set_serving(id, true);
        }
        let taken: Vec<usize> = ring.taken().map(|(slot, _, _)| slot).collect();
        let ends = taken.first().copied().zip(taken.last().copied());
        Ok(Rings {
            slots: ring.shape().slots(),
            reachable: ring.slot_parts().into_iter().filter(|part| *part > 0.0).count(),
            cluster: ends.context("the ring is empty")?,
            points: Shape::of(Scheme::Ketama).virtual_servers(),
        })
    }

    /// The drawings with the names of their files.
    ///
    /// # Errors
    /// There are no such rings.
    pub fn draw() -> Result<Vec<(String, String)>> {
        let one = |scheme: Scheme| {
            let report =
                ring_report::report(Shape::of(scheme), REPLICAS as u32).map_err(|why| anyhow!(why))?;
            Ok((file(scheme), ring_svg::draw(&report.picture())))
        };
        DRAWN.into_iter().map(one).collect()
    }

    /// The drawings in the report, each with the reason why shares are as they are.
    pub fn words(&self) -> String {
        let Rings { slots, reachable, cluster: (first, last), points } = self;
        let whys = [
            format!(
                "**{}**: request ids are hashed to {reachable} of the {slots} slots only, and all virtual servers stand \
                 in slots {first} to {last}. Whatever is hashed outside of that cluster goes to the server that is first \
                 behind the gap, which is server 1.",
                DRAWN[0]
            ),
            format!(
                "**{}**: requests are hashed to all slots alike, and each server was placed where the slots of all come \
                 out even.",
                DRAWN[1]
            ),
            format!(
                "**{}**: requests and {points} points of each server are hashed; nobody sees to it that arcs are even, \
                 but so many of them come near it.",
                DRAWN[2]
            ),
        ];
        let one = |(scheme, why): (Scheme, String)| {
            let about = format!("The ring of three servers under {scheme}");
            format!("{why}\n\n{}", picture(&file(scheme), &about))
        };
        DRAWN.into_iter().zip(whys).map(one).collect::<Vec<_>>().join("\n")
    }
}

fn file(scheme: Scheme) -> String {
    format!("a4-ring-{}.svg", scheme.to_string().replace('/', "-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_statements_ring_is_what_its_text_says() {
        let rings = Rings::new().unwrap();
        assert_eq!((rings.slots, rings.reachable, rings.cluster, rings.points), (512, 87, (26, 114), 160));
        let words = rings.words();
        assert!(
            words.contains("87 of the 512") && words.contains("(a4-ring-statement-linear.svg)"),
            "{words}"
        );
    }

    #[test]
    fn each_ring_has_a_drawing() {
        let drawings = Rings::draw().unwrap();
        assert_eq!(drawings.len(), 3);
        assert!(drawings.iter().all(|(_, svg)| svg.ends_with("</svg>\n")));
    }
}
