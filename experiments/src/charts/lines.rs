//! Lines through measured points.

use super::axis::{number, ticks};
use super::frame::{self, Frame};
use super::svg::{Anchor, Svg, colour};

/// Height of the field.
const HEIGHT: f64 = 260.0;

/// Room between the sides of the field and the first and last point.
const INSET: f64 = 36.0;

/// Most places that are named one by one on the horizontal axis.
const NAMED: usize = 12;

/// One line.
#[derive(Clone, Debug)]
pub struct Line {
    /// What it is.
    pub name: String,
    /// Its points, from left to right.
    pub points: Vec<(f64, f64)>,
}

/// A line chart.
#[derive(Clone, Debug, Default)]
pub struct Lines {
    /// What stands above it.
    pub title: String,
    /// The same in a sentence or two, for those who do not see it.
    pub about: String,
    /// What the horizontal values are.
    pub x_label: String,
    /// What the vertical values are.
    pub y_label: String,
    /// The lines. The first has its values written above it, the second below.
    pub lines: Vec<Line>,
    /// Whether the vertical axis begins at 0.
    pub from_zero: bool,
}

impl Lines {
    /// The chart.
    pub fn svg(&self) -> String {
        let mut svg = Svg::default();
        let mut top = frame::title(&mut svg, &self.title);
        if self.lines.len() > 1 {
            let names = self.lines.iter().map(|line| line.name.as_str());
            let names: Vec<(usize, &str)> = names.enumerate().collect();
            top = frame::legend(&mut svg, top, &names, true);
        }
        let frame = Frame::draw(&mut svg, (top + 10.0, HEIGHT), self.heights(), &self.y_label);
        let places = self.places();
        let (first, last) = (places[0], places[places.len() - 1]);
        let scale = (frame.width() - 2.0 * INSET) / if last > first { last - first } else { 1.0 };
        let x = |value: f64| frame.left() + INSET + (value - first) * scale;
        for place in &places {
            svg.text("", Anchor::Middle, (x(*place), frame.bottom() + 18.0), &number(*place));
        }
        for (k, line) in self.lines.iter().enumerate() {
            let points: Vec<(f64, f64)> = line.points.iter().map(|&(px, py)| (x(px), frame.y(py))).collect();
            svg.path(&colour(k), &points);
            points.iter().for_each(|at| svg.marker(k, *at));
        }
        for (k, line) in self.lines.iter().enumerate().take(2).filter(|(_, line)| line.points.len() <= NAMED)
        {
            for &(px, value) in &line.points {
                let (y, text) = (frame.y(value), number(value));
                // Below the floor are the names of the places.
                let dy = if k == 0 || y + 20.0 > frame.bottom() { -9.0 } else { 18.0 };
                svg.label(Anchor::Middle, (x(px), y + dy), &text);
            }
        }
        frame.floor(&mut svg, &self.x_label, 40.0);
        svg.finish(frame.bottom() + 56.0, &self.title, &self.about)
    }

    /// What the vertical axis must reach around, with room for the values that are written.
    fn heights(&self) -> (f64, f64) {
        let values = || self.lines.iter().flat_map(|line| &line.points).map(|(_, y)| *y);
        let (low, high) =
            (values().fold(f64::INFINITY, f64::min), values().fold(f64::NEG_INFINITY, f64::max));
        if low > high {
            return (0.0, 1.0);
        }
        let low = if self.from_zero { 0.0 } else { low };
        let room = (high - low).max(high.abs() * 0.001) * 0.12;
        (if self.from_zero { 0.0 } else { low - room }, high + room)
    }

    /// What is written below the horizontal axis: the places of the points, or round numbers if they are many.
    fn places(&self) -> Vec<f64> {
        let mut places: Vec<f64> = self.lines.iter().flat_map(|line| &line.points).map(|(x, _)| *x).collect();
        places.sort_by(f64::total_cmp);
        places.dedup();
        match (places.first(), places.last()) {
            (Some(&first), Some(&last)) if places.len() > NAMED => ticks(first, last, 8),
            (None, _) => vec![0.0],
            _ => places,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(count: usize) -> Lines {
        let line = |name: &str, y: f64| Line {
            name: name.to_owned(),
            points: (0..count).map(|k| (k as f64 + 2.0, y + k as f64 / 100.0)).collect(),
        };
        Lines { lines: vec![line("max", 1.02), line("min", 0.91)], ..Lines::default() }
    }

    #[test]
    fn points_have_their_values_and_places_their_names() {
        let svg = chart(5).svg();
        assert!(svg.contains(">1.06<") && svg.contains(">0.91<"), "{svg}");
        assert!(["2", "3", "4", "5", "6"].iter().all(|place| svg.contains(&format!(">{place}<"))), "{svg}");
        assert_eq!(svg.matches("<polyline").count(), 2);
    }

    #[test]
    fn many_points_get_round_places_and_no_values() {
        assert_eq!(chart(40).places(), [0.0, 5.0, 10.0, 15.0, 20.0, 25.0, 30.0, 35.0, 40.0, 45.0]);
        assert!(!chart(40).svg().contains(">1.06<"));
    }

    #[test]
    fn the_axis_holds_all_points() {
        let (low, high) = chart(5).heights();
        assert!(low < 0.91 && low > 0.8 && high > 1.06, "{low} {high}");
        assert_eq!(Lines { from_zero: true, ..chart(5) }.heights().0, 0.0);
        assert!(Lines::default().svg().ends_with("</svg>\n"));
    }
}
