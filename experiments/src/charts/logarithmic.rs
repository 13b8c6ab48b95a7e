//! Lines over a logarithmic axis, for what is measured at 1, 10 and 1,000 alike.

use super::axis::{number, ticks};
use super::frame::{self, Frame};
use super::lines::Line;
use super::svg::{Anchor, Svg, colour, width_of};

/// Height of the field.
const HEIGHT: f64 = 300.0;

/// Room between the sides of the field and the first and last point.
const INSET: f64 = 30.0;

/// Room between the names of two places.
const APART: f64 = 8.0;

/// A value, or its place on the paper.
type Point = (f64, f64);

/// A line chart over a logarithmic axis.
#[derive(Clone, Debug, Default)]
pub struct Logarithmic {
    /// What stands above it.
    pub title: String,
    /// The same in a sentence or two, for those who do not see it.
    pub about: String,
    /// What the horizontal values are; all greater than 0.
    pub x_label: String,
    /// What the vertical values are.
    pub y_label: String,
    /// The lines.
    pub lines: Vec<Line>,
    /// How many of the lines have their values written at them: above the first, the third and so on, below the others.
    pub labelled: usize,
    /// Lines without markers, for comparison; dashed, behind the others.
    pub dashed: Vec<Line>,
    /// Whether the vertical axis is logarithmic as well.
    pub is_steep: bool,
}

impl Logarithmic {
    /// The chart.
    pub fn svg(&self) -> String {
        let mut svg = Svg::default();
        let top = frame::title(&mut svg, &self.title);
        let names: Vec<(usize, &str)> =
            self.lines.iter().map(|line| line.name.as_str()).enumerate().collect();
        let top = frame::legend(&mut svg, top, &names, true);
        let field = (top + 14.0, HEIGHT);
        let frame = Frame::with_ticks(&mut svg, field, &self.heights(), &self.y_label);
        let (first, last) = self.sides();
        let scale = (frame.width() - 2.0 * INSET) / (last / first).log10();
        let at =
            |&(x, y): &(f64, f64)| (frame.left() + INSET + (x / first).log10() * scale, frame.y(self.up(y)));
        self.places(&mut svg, &frame, &|x| at(&(x, 1.0)).0);
        for line in &self.dashed {
            let points: Vec<(f64, f64)> = line.points.iter().map(at).collect();
            svg.dashes(&points);
        }
        if !self.dashed.is_empty() {
            let names: Vec<&str> = self.dashed.iter().map(|line| line.name.as_str()).collect();
            let at = (frame.right(), frame.top - 4.0);
            svg.text("small faint", Anchor::End, at, &format!("dashed: {}", names.join("; ")));
        }
        for (k, line) in self.lines.iter().enumerate() {
            let points: Vec<(f64, f64)> = line.points.iter().map(at).collect();
            svg.path(&colour(k), &points);
            points.iter().for_each(|point| svg.marker(k, *point));
        }
        self.values(&mut svg, frame.bottom(), &at);
        frame.floor(&mut svg, &self.x_label, 40.0);
        svg.finish(frame.bottom() + 56.0, &self.title, &self.about)
    }

    /// The values of the first lines, as far as those of the lines before them leave room.
    fn values(&self, svg: &mut Svg, floor: f64, at: &dyn Fn(&Point) -> Point) {
        let mut taken: Vec<(f64, f64)> = Vec::new();
        for (k, line) in self.lines.iter().enumerate().take(self.labelled) {
            for point in &line.points {
                let ((x, y), text) = (at(point), short(point.1));
                // Below the floor are the names of the places.
                let y = if k % 2 == 0 || y + 20.0 > floor { y - 9.0 } else { y + 18.0 };
                let is_free = |other: &(f64, f64)| {
                    (other.0 - x).abs() >= width_of(&text, 11.0) || (other.1 - y).abs() >= 12.0
                };
                if taken.iter().all(is_free) {
                    svg.label(Anchor::Middle, (x, y), &text);
                    taken.push((x, y));
                }
            }
        }
    }

    /// Where the points are named, as far as their names leave each other room; those of the first lines come first.
    fn places(&self, svg: &mut Svg, frame: &Frame, at: &dyn Fn(f64) -> f64) {
        let mut taken: Vec<(f64, f64)> = Vec::new();
        for &(value, _) in self.lines.iter().flat_map(|line| &line.points) {
            let (x, name) = (at(value), number(value));
            let half = (width_of(&name, 12.0) + APART) / 2.0;
            if taken.iter().all(|(other, room)| (other - x).abs() >= room + half) {
                svg.text("", Anchor::Middle, (x, frame.bottom() + 18.0), &name);
                taken.push((x, half));
            }
        }
    }

    fn all(&self) -> impl Iterator<Item = &(f64, f64)> {
        self.lines.iter().chain(&self.dashed).flat_map(|line| &line.points)
    }

    /// The first place and the last one.
    fn sides(&self) -> (f64, f64) {
        let (first, last) = bounds(self.all().map(|point| point.0)).unwrap_or((1.0, 10.0));
        if last > first { (first, last) } else { (first, first * 10.0) }
    }

    fn up(&self, y: f64) -> f64 {
        if self.is_steep { y.log10() } else { y }
    }

    /// The ticks of the vertical axis as heights with their names, with room for the values that are written.
    fn heights(&self) -> Vec<(f64, String)> {
        let (low, high) = bounds(self.all().map(|point| self.up(point.1))).unwrap_or((0.0, 1.0));
        let room = (high - low).max(0.01) * 0.05;
        if !self.is_steep {
            // Nothing below 0 is named where there is nothing.
            let floor = if low >= 0.0 { (low - room).max(0.0) } else { low - room };
            let ticks = ticks(floor, high + room, 6);
            return ticks.into_iter().map(|tick| (tick, number(tick))).collect();
        }
        let round = (-6..=6).flat_map(|power| [1.0, 2.0, 5.0].map(|digit| digit * 10_f64.powi(power)));
        let round: Vec<f64> = round.collect();
        let below = round.iter().rposition(|value| value.log10() <= low - room).unwrap_or(0);
        let above = round.iter().position(|value| value.log10() >= high + room).unwrap_or(round.len() - 1);
        round[below..=above].iter().map(|&value| (value.log10(), number(value))).collect()
    }
}

/// Three digits that count are enough beside a point.
fn short(value: f64) -> String {
    let decimals = match value.abs() {
        size if size >= 100.0 => 0,
        size if size >= 10.0 => 1,
        _ => 2,
    };
    format!("{value:.decimals$}")
}

fn bounds(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    values.fold(None, |bounds, value| {
        let (low, high) = bounds.unwrap_or((value, value));
        Some((f64::min(low, value), f64::max(high, value)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(is_steep: bool) -> Logarithmic {
        let points = [1, 10, 100, 1000].map(|v: i32| (f64::from(v), 1.0 / f64::from(v).sqrt()));
        let line = Line { name: "measured".to_owned(), points: points.to_vec() };
        let dashed = Line { name: "1/√V".to_owned(), ..line.clone() };
        Logarithmic {
            lines: vec![line],
            labelled: 1,
            dashed: vec![dashed],
            is_steep,
            ..Logarithmic::default()
        }
    }

    #[test]
    fn steep_axes_have_round_ticks_around_all() {
        let names: Vec<String> = chart(true).heights().into_iter().map(|(_, name)| name).collect();
        assert_eq!(names, ["0.02", "0.05", "0.1", "0.2", "0.5", "1", "2"]);
        let ticks = chart(false).heights();
        assert!(ticks[0].0 <= 0.0316 && ticks[ticks.len() - 1].0 >= 1.0, "{ticks:?}");
    }

    #[test]
    fn powers_of_ten_are_equally_far_apart() {
        let svg = chart(true).svg();
        let centres = svg.split("cx=\"").skip(1).filter_map(|rest| rest.split('"').next()?.parse().ok());
        let centres: Vec<f64> = centres.skip(1).collect();
        assert_eq!(centres.len(), 4);
        let steps: Vec<f64> = centres.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(steps.iter().all(|step| (step - steps[0]).abs() < 0.2), "{steps:?}");
        assert!([">1<", ">10<", ">100<", ">1,000<", ">0.32<"].iter().all(|name| svg.contains(name)), "{svg}");
    }

    #[test]
    fn nothing_to_show_is_still_a_chart() {
        assert!(Logarithmic::default().svg().ends_with("</svg>\n"));
        let flat = Line { name: "one".to_owned(), points: vec![(5.0, 1.0)] };
        let svg = Logarithmic { lines: vec![flat], is_steep: true, ..Logarithmic::default() }.svg();
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    }
}
