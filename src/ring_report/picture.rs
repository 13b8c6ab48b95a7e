//! A ring as something that can be drawn.

use super::RingReport;
use crate::ring::{Scheme, Shape};
use crate::ring_svg::{Picture, Span};

/// How many slots of a picture have their numbers.
const MARKS: usize = 8;

impl RingReport {
    /// The ring as [`ring_svg::draw`](crate::ring_svg::draw) takes it. Slots that never see a request are shown where
    /// there are any by design.
    pub fn picture(&self) -> Picture {
        let shape = self.ring.shape();
        let mut notes = vec![how_to_read(shape).to_owned()];
        let mut requests = Vec::new();
        if matches!(shape.scheme(), Scheme::Statement(_)) {
            let parts = self.ring.slot_parts();
            let seen = parts.iter().filter(|part| **part > 0.0).count();
            notes.push(format!(
                "Inner ring: the {seen} of {} slots that requests are hashed to, stronger where there are more of them.",
                shape.slots()
            ));
            requests = strengths(&parts);
        }
        let servers = match self.replicas.len() {
            1 => "1 server".to_owned(),
            many => format!("{many} servers"),
        };
        Picture {
            title: shape.to_string(),
            subtitle: format!("{servers}, busiest over mean {:.3}", self.max_over_mean),
            owners: self.owners(),
            points: self.ring.places().into_iter().map(|(at, id)| (at, id.0)).collect(),
            requests,
            marks: marks(shape),
            shares: self.replicas.iter().map(|replica| (replica.id, replica.share)).collect(),
            notes,
        }
    }

    /// Who answers for which part of the circle; where a scheme has no such thing, the shares one after another.
    fn owners(&self) -> Vec<Span<u32>> {
        let arcs = self.ring.arcs();
        if !arcs.is_empty() {
            return arcs.into_iter().map(|(from, to, id)| Span { from, to, what: id.0 }).collect();
        }
        let mut from = 0.0;
        let mut span = |(id, part)| {
            let to: f64 = f64::min(from + part, 1.0);
            let span = Span { from, to, what: id };
            from = to;
            span
        };
        self.ring.spread().into_iter().map(|(id, part)| span((id.0, part))).collect()
    }
}

fn how_to_read(shape: Shape) -> &'static str {
    match shape.scheme() {
        Scheme::Even | Scheme::Statement(_) => {
            "Ring: who answers for a slot. Ticks: virtual servers; the slots before one go clockwise to it. Numbers: slots."
        }
        Scheme::Ketama => {
            "Ring: who answers for a place. Ticks: points; the places before one go clockwise to it."
        }
        Scheme::Maglev => "Ring: the lookup table, who answers for an entry. Numbers: entries.",
        Scheme::Rendezvous => {
            "No ring: every server draws a lot for every key. The parts are the shares that follow."
        }
    }
}

/// Round places with their numbers.
fn marks(shape: Shape) -> Vec<(f64, String)> {
    let slots = shape.slots();
    let mut marks: Vec<usize> = (0..MARKS).map(|k| k * slots / MARKS).filter(|slot| *slot < slots).collect();
    marks.dedup();
    marks.into_iter().map(|slot| ((slot as f64 + 0.5) / slots as f64, slot.to_string())).collect()
}

/// How strong a slot is drawn: by the root, so that slots with few requests are seen beside one with many.
fn strengths(parts: &[f64]) -> Vec<Span<f64>> {
    let slots = parts.len() as f64;
    let most = parts.iter().copied().fold(0.0, f64::max);
    let spans = parts.iter().enumerate().map(|(slot, part)| Span {
        from: slot as f64 / slots,
        to: (slot + 1) as f64 / slots,
        what: (part / most).sqrt(),
    });
    spans.collect()
}
