//! Bars in groups, with their values on them.

use super::axis::number;
use super::frame::{self, Frame};
use super::svg::{Anchor, Svg, colour, width_of};

/// Height of the field.
const HEIGHT: f64 = 280.0;

/// A bar chart: groups beside each other, in each of them a bar of each series.
#[derive(Clone, Debug, Default)]
pub struct Bars {
    /// What stands above it.
    pub title: String,
    /// The same in a sentence or two, for those who do not see it.
    pub about: String,
    /// What the groups are.
    pub x_label: String,
    /// What the values are.
    pub y_label: String,
    /// The names of the groups.
    pub groups: Vec<String>,
    /// Each series with its name and a value for each group.
    pub series: Vec<(String, Vec<f64>)>,
    /// A value that all are to be compared with, and what it is.
    pub reference: Option<(f64, String)>,
}

impl Bars {
    /// The chart.
    pub fn svg(&self) -> String {
        let mut svg = Svg::default();
        let mut top = frame::title(&mut svg, &self.title);
        if self.series.len() > 1 {
            let names = self.series.iter().map(|(name, _)| name.as_str());
            let names: Vec<(usize, &str)> = names.enumerate().collect();
            top = frame::legend(&mut svg, top, &names, false);
        }
        let values = self.series.iter().flat_map(|(_, values)| values).copied();
        let most = values.chain(self.reference.iter().map(|(value, _)| *value)).fold(0.0, f64::max);
        let slot = frame::FIELD / self.groups.len().max(1) as f64;
        // Room above the highest bar for its value.
        let room = if self.is_narrow(slot) { 1.2 } else { 1.02 };
        let frame = Frame::draw(&mut svg, (top + 14.0, HEIGHT), (0.0, most * room), &self.y_label);
        self.reference_line(&mut svg, &frame);
        self.bars(&mut svg, &frame, slot);
        let below = self.group_names(&mut svg, &frame, slot);
        frame.floor(&mut svg, &self.x_label, below + 20.0);
        svg.finish(frame.bottom() + below + 36.0, &self.title, &self.about)
    }

    /// Width of a bar.
    fn each(&self, slot: f64) -> f64 {
        (slot * 0.78 / self.series.len().max(1) as f64).min(90.0)
    }

    /// Whether values are wider than their bars.
    fn is_narrow(&self, slot: f64) -> bool {
        let values = self.series.iter().flat_map(|(_, values)| values);
        let widest = values.map(|value| width_of(&number(*value), 11.0)).fold(0.0, f64::max);
        widest > self.each(slot) + 2.0
    }

    fn bars(&self, svg: &mut Svg, frame: &Frame, slot: f64) {
        let (each, is_narrow) = (self.each(slot), self.is_narrow(slot));
        let begin = (slot - each * self.series.len() as f64) / 2.0;
        for (k, (_, values)) in self.series.iter().enumerate() {
            for (group, &value) in values.iter().enumerate() {
                let x = frame.left() + slot * group as f64 + begin + each * k as f64;
                let y = frame.y(value);
                svg.rect(&colour(k), (x + 1.0, y), ((each - 2.0).max(1.0), frame.bottom() - y));
                let middle = x + each / 2.0;
                if is_narrow {
                    svg.turned("small", Anchor::Start, (middle + 4.0, y - 5.0), -90, &number(value));
                } else {
                    svg.label(Anchor::Middle, (middle, y - 5.0), &number(value));
                }
            }
        }
    }

    /// Returns the room that they took below the field.
    fn group_names(&self, svg: &mut Svg, frame: &Frame, slot: f64) -> f64 {
        let widest = self.groups.iter().map(|name| width_of(name, 12.0)).fold(0.0, f64::max);
        let middle = |group: usize| frame.left() + slot * (group as f64 + 0.5);
        let is_tight = widest > slot - 6.0;
        for (group, name) in self.groups.iter().enumerate() {
            let at = (middle(group), frame.bottom() + 18.0);
            if is_tight {
                svg.turned("", Anchor::End, (at.0 + 4.0, at.1 - 2.0), -35, name);
            } else {
                svg.text("", Anchor::Middle, at, name);
            }
        }
        if is_tight { 18.0 + widest * 0.6 } else { 20.0 }
    }

    fn reference_line(&self, svg: &mut Svg, frame: &Frame) {
        if let Some((value, name)) = &self.reference {
            let y = frame.y(*value);
            svg.line("mark", (frame.left(), y), (frame.right(), y));
            svg.text(
                "small faint",
                Anchor::End,
                (frame.right(), frame.top - 4.0),
                &format!("dashed: {name}"),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(groups: usize) -> Bars {
        Bars {
            title: "t".to_owned(),
            groups: (0..groups).map(|k| format!("server_{k}")).collect(),
            series: vec![
                ("measured".to_owned(), vec![3333.0; groups]),
                ("predicted".to_owned(), vec![3300.5; groups]),
            ],
            ..Bars::default()
        }
    }

    #[test]
    fn every_bar_has_its_value_on_it() {
        let svg = chart(3).svg();
        assert_eq!(svg.matches(">3,333<").count(), 3, "{svg}");
        assert_eq!(svg.matches("<rect class=\"c1\"").count(), 3 + 1, "{svg}");
        assert!(!svg.contains("rotate(-35)") && svg.contains("server_2"), "{svg}");
    }

    #[test]
    fn what_would_overlap_is_turned() {
        let svg = chart(20).svg();
        assert_eq!(svg.matches("rotate(-35)").count(), 20);
        assert_eq!(svg.matches("rotate(-90)").count(), 1 + 40);
    }

    #[test]
    fn nothing_to_show_is_still_a_chart() {
        assert!(Bars::default().svg().ends_with("</svg>\n"));
    }
}
