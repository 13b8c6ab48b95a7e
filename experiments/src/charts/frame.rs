//! What all charts have: a title, a legend, a vertical axis with a grid, and the field where the data go.

use super::axis::{number, ticks};
use super::svg::{Anchor, Svg, WIDTH, colour, width_of};

/// Room left and right of the field.
const LEFT: f64 = 72.0;
const RIGHT: f64 = 20.0;

/// Width of the field.
pub const FIELD: f64 = WIDTH - LEFT - RIGHT;

/// Size of a line of the legend.
const LEGEND_LINE: f64 = 20.0;

/// Where data become places.
#[derive(Clone, Copy, Debug)]
pub struct Frame {
    /// Top of the field.
    pub top: f64,
    /// Height of the field.
    pub height: f64,
    low: f64,
    high: f64,
}

impl Frame {
    /// A field whose axis reaches around `low` to `high`, with its grid and its label drawn.
    pub fn draw(svg: &mut Svg, (top, height): (f64, f64), (low, high): (f64, f64), label: &str) -> Frame {
        let ticks = ticks(low, high, if height > 150.0 { 5 } else { 3 });
        let named: Vec<(f64, String)> = ticks.into_iter().map(|tick| (tick, number(tick))).collect();
        Frame::with_ticks(svg, (top, height), &named, label)
    }

    /// The same from the first of these places to the last, with their names.
    pub fn with_ticks(
        svg: &mut Svg,
        (top, height): (f64, f64),
        ticks: &[(f64, String)],
        label: &str,
    ) -> Frame {
        let (low, high) = (ticks[0].0, ticks[ticks.len() - 1].0);
        let frame = Frame { top, height, low, high };
        for (tick, name) in ticks {
            let y = frame.y(*tick);
            svg.line("grid", (frame.left(), y), (frame.right(), y));
            svg.text("faint small", Anchor::End, (frame.left() - 8.0, y + 4.0), name);
        }
        svg.turned("faint", Anchor::Middle, (18.0, top + height / 2.0), -90, label);
        frame
    }

    /// Its left side.
    pub fn left(&self) -> f64 {
        LEFT
    }

    /// Its right side.
    pub fn right(&self) -> f64 {
        WIDTH - RIGHT
    }

    /// Its width.
    pub fn width(&self) -> f64 {
        FIELD
    }

    /// Its lower side.
    pub fn bottom(&self) -> f64 {
        self.top + self.height
    }

    /// The height of a value.
    pub fn y(&self, value: f64) -> f64 {
        self.bottom() - (value - self.low) / (self.high - self.low) * self.height
    }

    /// The line below, and what it is.
    pub fn floor(&self, svg: &mut Svg, label: &str, below: f64) {
        svg.line("axis", (self.left(), self.bottom()), (self.right(), self.bottom()));
        let middle = self.left() + self.width() / 2.0;
        svg.text("faint", Anchor::Middle, (middle, self.bottom() + below), label);
    }
}

/// Draws the title; returns where the rest may begin.
pub fn title(svg: &mut Svg, text: &str) -> f64 {
    svg.text("title", Anchor::Start, (20.0, 28.0), text);
    40.0
}

/// Draws the legend from `top` on, in as many lines as it takes: names with the numbers of their colours. Returns where
/// the rest may begin.
pub fn legend(svg: &mut Svg, top: f64, names: &[(usize, &str)], has_markers: bool) -> f64 {
    let (mut x, mut y) = (LEFT, top + 12.0);
    for &(k, name) in names {
        let width = 18.0 + width_of(name, 12.0) + 16.0;
        if x > LEFT && x + width > WIDTH - RIGHT {
            (x, y) = (LEFT, y + LEGEND_LINE);
        }
        if has_markers {
            svg.marker(k, (x + 6.0, y - 4.0));
        } else {
            svg.rect(&colour(k), (x, y - 10.0), (12.0, 12.0));
        }
        svg.text("", Anchor::Start, (x + 18.0, y), name);
        x += width;
    }
    y + 8.0
}
