//! What happened when: counts in buckets of time, stacked, with moments marked across all panels.

use std::time::Duration;

use super::axis::{grouped, number, ticks};
use super::frame::{self, Frame};
use super::svg::{Anchor, Svg, WIDTH, colour, width_of};

/// Height of a panel's field, and the room between two panels.
const HEIGHT: f64 = 150.0;
const GAP: f64 = 16.0;

/// Height of a row of names of moments.
const ROW: f64 = 17.0;

/// Counts of one kind, bucket by bucket.
#[derive(Clone, Debug, Default)]
pub struct Series {
    /// What was counted.
    pub name: String,
    /// The number of its colour.
    pub colour: usize,
    /// How many in each bucket.
    pub counts: Vec<u64>,
}

/// Some series that are stacked on each other.
#[derive(Clone, Debug, Default)]
pub struct Panel {
    /// What the heights are.
    pub label: String,
    /// From the lowest to the uppermost.
    pub series: Vec<Series>,
}

/// A moment.
#[derive(Clone, Debug)]
pub struct Mark {
    /// When, in seconds.
    pub at: f64,
    /// What.
    pub name: String,
}

/// The chart.
#[derive(Clone, Debug, Default)]
pub struct Timeline {
    /// What stands above it.
    pub title: String,
    /// The same in a sentence or two, for those who do not see it.
    pub about: String,
    /// What the times are.
    pub x_label: String,
    /// When the first bucket begins, in seconds.
    pub begin: f64,
    /// Length of a bucket in seconds.
    pub bucket: f64,
    /// The panels, one above the other.
    pub panels: Vec<Panel>,
    /// The moments.
    pub marks: Vec<Mark>,
}

/// Counts how many times fall into each bucket of this length from `begin` on; others do not count.
pub fn buckets(
    times: impl Iterator<Item = Duration>,
    begin: Duration,
    bucket: Duration,
    count: usize,
) -> Vec<u64> {
    let mut counts = vec![0; count];
    for time in times {
        let place = time.checked_sub(begin).map(|since| since.as_nanos() / bucket.as_nanos().max(1));
        let place = place.and_then(|place| usize::try_from(place).ok());
        if let Some(count) = place.and_then(|place| counts.get_mut(place)) {
            *count += 1;
        }
    }
    counts
}

impl Timeline {
    /// The chart.
    pub fn svg(&self) -> String {
        let mut svg = Svg::default();
        let top = frame::title(&mut svg, &self.title);
        let rows = self.rows();
        let names_bottom = top + ROW * rows.iter().max().map_or(0, |most| most + 1) as f64;
        let mut bottom = names_bottom;
        for panel in &self.panels {
            let names = panel.series.iter().map(|series| (series.colour, series.name.as_str()));
            let names: Vec<(usize, &str)> = names.collect();
            let field = frame::legend(&mut svg, bottom + 4.0, &names, false) + 6.0;
            let frame = Frame::draw(&mut svg, (field, HEIGHT), (0.0, panel.highest() as f64), &panel.label);
            self.stack(&mut svg, &frame, panel);
            svg.line("axis", (frame.left(), frame.bottom()), (frame.right(), frame.bottom()));
            bottom = frame.bottom() + GAP;
        }
        let floor = bottom - GAP;
        self.clock(&mut svg, floor);
        self.marks(&mut svg, &rows, top, floor);
        svg.finish(floor + 56.0, &self.title, &self.about)
    }

    fn count(&self) -> usize {
        let lengths = self.panels.iter().flat_map(|panel| &panel.series).map(|series| series.counts.len());
        lengths.max().unwrap_or(0).max(1)
    }

    fn end(&self) -> f64 {
        self.begin + self.count() as f64 * self.bucket
    }

    /// The place of a moment in seconds.
    fn x(&self, at: f64) -> f64 {
        let (left, right) = (72.0, WIDTH - 20.0);
        left + (at - self.begin) / (self.end() - self.begin).max(1e-9) * (right - left)
    }

    fn stack(&self, svg: &mut Svg, frame: &Frame, panel: &Panel) {
        let mut below = vec![0; self.count()];
        let each = self.x(self.begin + self.bucket) - self.x(self.begin);
        let gap = if each > 6.0 { 1.0 } else { 0.0 };
        for series in &panel.series {
            for (place, &count) in series.counts.iter().enumerate().filter(|(_, count)| **count > 0) {
                let x = self.x(self.begin + place as f64 * self.bucket);
                let (low, high) = (frame.y(below[place] as f64), frame.y((below[place] + count) as f64));
                svg.rect(&colour(series.colour), (x, high), (each - gap, low - high));
                below[place] += count;
            }
        }
    }

    fn clock(&self, svg: &mut Svg, floor: f64) {
        for tick in ticks(self.begin, self.end(), 8) {
            if tick >= self.begin - 1e-9 && tick <= self.end() + 1e-9 {
                let x = self.x(tick);
                svg.line("axis", (x, floor), (x, floor + 4.0));
                svg.text("small", Anchor::Middle, (x, floor + 18.0), &number(tick));
            }
        }
        let label = format!("{}, in buckets of {} ms", self.x_label, grouped(self.bucket * 1000.0));
        svg.text("faint", Anchor::Middle, (self.x((self.begin + self.end()) / 2.0), floor + 40.0), &label);
    }

    /// For each moment the row of its name, counted from the lowest. Names in one row do not touch, and a name stands
    /// above the rows of those whose lines would go down through it.
    fn rows(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.marks.len()).collect();
        order
            .sort_by(|one, other| self.marks[*other].at.total_cmp(&self.marks[*one].at).then(other.cmp(one)));
        let mut rows = vec![0; self.marks.len()];
        for (done, &k) in order.iter().enumerate() {
            let (from, to) = self.extent(&self.marks[k]);
            let is_near = |&&other: &&usize| {
                let (begin, end) = self.extent(&self.marks[other]);
                from <= end && begin <= to
            };
            let above = order[..done].iter().filter(is_near).map(|&other| rows[other] + 1).max();
            rows[k] = above.unwrap_or(0);
        }
        rows
    }

    fn goes_left(&self, mark: &Mark) -> bool {
        self.x(mark.at) + width_of(&mark.name, 11.0) + 8.0 > WIDTH
    }

    /// From where to where a name reaches.
    fn extent(&self, mark: &Mark) -> (f64, f64) {
        let (x, width) = (self.x(mark.at), width_of(&mark.name, 11.0) + 10.0);
        if self.goes_left(mark) { (x - width, x) } else { (x, x + width) }
    }

    fn marks(&self, svg: &mut Svg, rows: &[usize], top: f64, floor: f64) {
        let most = rows.iter().max().copied().unwrap_or(0);
        let place = |mark: &Mark, row: usize| (self.x(mark.at), top + ROW * (most - row) as f64 + 12.0);
        for (mark, row) in self.marks.iter().zip(rows) {
            let (x, y) = place(mark, *row);
            svg.line("mark", (x, y - 9.0), (x, floor));
        }
        for (mark, row) in self.marks.iter().zip(rows) {
            let (x, y) = place(mark, *row);
            let (anchor, dx) = if self.goes_left(mark) { (Anchor::End, -4.0) } else { (Anchor::Start, 4.0) };
            svg.label(anchor, (x + dx, y), &mark.name);
        }
    }
}

impl Panel {
    /// The highest stack.
    fn highest(&self) -> u64 {
        let count = self.series.iter().map(|series| series.counts.len()).max().unwrap_or(0);
        let stack = |place| self.series.iter().filter_map(|series| series.counts.get(place)).sum();
        (0..count).map(stack).max().unwrap_or(0).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_fall_into_their_buckets() {
        let ms = Duration::from_millis;
        let times = [99, 100, 199, 200, 399, 400, 5000].map(ms);
        assert_eq!(buckets(times.into_iter(), ms(100), ms(100), 3), [2, 1, 1]);
        assert_eq!(buckets([].into_iter(), ms(0), ms(100), 2), [0, 0]);
    }

    fn timeline(marks: &[f64]) -> Timeline {
        let series =
            |name: &str, counts: &[u64]| Series { name: name.to_owned(), colour: 0, counts: counts.to_vec() };
        Timeline {
            bucket: 0.1,
            panels: vec![Panel {
                label: "answers".to_owned(),
                series: vec![series("a", &[5, 0, 7, 2]), series("b", &[1, 2, 3, 0])],
            }],
            marks: marks.iter().map(|&at| Mark { at, name: "something happened".to_owned() }).collect(),
            ..Timeline::default()
        }
    }

    #[test]
    fn stacks_leave_out_nothing_and_draw_no_emptiness() {
        assert_eq!(timeline(&[]).panels[0].highest(), 10);
        assert_eq!(timeline(&[]).svg().matches("<rect").count(), 6 + 2 + 1);
    }

    #[test]
    fn names_of_moments_that_are_close_stand_in_different_rows() {
        assert_eq!(timeline(&[0.1, 0.101, 0.102, 0.3]).rows(), [2, 1, 0, 0]);
        assert_eq!(timeline(&[0.02, 0.09, 0.16]).rows(), [2, 1, 0]);
        let late = timeline(&[0.399]);
        assert!(late.extent(&late.marks[0]).1 <= WIDTH);
    }
}
