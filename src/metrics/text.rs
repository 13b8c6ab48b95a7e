//! The Prometheus text format, version 0.0.4: families of samples, escaped as it wants them.
//!
//! <https://prometheus.io/docs/instrumenting/exposition_formats/>

use std::fmt::{Display, Write};

use super::histogram::Reading;

/// What a family of samples is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// It only grows.
    Counter,
    /// It goes up and down.
    Gauge,
    /// Counts by upper bound.
    Histogram,
}

impl Kind {
    fn as_str(self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        }
    }
}

/// A page of metrics that is being written.
#[derive(Default)]
pub struct Text {
    page: String,
}

/// One family on the page; its samples follow.
pub struct Family<'a> {
    page: &'a mut String,
    name: &'static str,
}

impl Text {
    /// Begins a family.
    pub fn family(&mut self, name: &'static str, kind: Kind, help: &str) -> Family<'_> {
        // Writing to a string cannot fail.
        let _ = writeln!(self.page, "# HELP {name} {help}\n# TYPE {name} {}", kind.as_str());
        Family { page: &mut self.page, name }
    }

    /// The page as it is sent.
    pub fn into_string(self) -> String {
        self.page
    }
}

impl Family<'_> {
    /// One sample. Label values may hold anything.
    pub fn sample(&mut self, labels: &[(&str, &str)], value: impl Display) {
        self.line("", labels, None, value);
    }

    /// The samples of one histogram, in seconds.
    pub fn histogram(&mut self, labels: &[(&str, &str)], reading: &Reading) {
        for (bound, count) in reading.cumulative() {
            self.line("_bucket", labels, Some(&bound.to_string()), count);
        }
        let count = reading.count();
        self.line("_bucket", labels, Some("+Inf"), count);
        self.line("_sum", labels, None, reading.sum_seconds());
        self.line("_count", labels, None, count);
    }

    fn line(&mut self, suffix: &str, labels: &[(&str, &str)], bound: Option<&str>, value: impl Display) {
        let _ = write!(self.page, "{}{suffix}", self.name);
        let bound = bound.map(|bound| ("le", bound));
        for (at, (name, value)) in labels.iter().copied().chain(bound).enumerate() {
            let _ = write!(self.page, "{}{name}=\"", if at == 0 { '{' } else { ',' });
            push_escaped(self.page, value);
            self.page.push('"');
        }
        let end = if labels.is_empty() && bound.is_none() { "" } else { "}" };
        let _ = writeln!(self.page, "{end} {value}");
    }
}

fn push_escaped(page: &mut String, value: &str) {
    for c in value.chars() {
        match c {
            '\\' => page.push_str("\\\\"),
            '"' => page.push_str("\\\""),
            '\n' => page.push_str("\\n"),
            c => page.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Histogram;
    use std::time::Duration;

    #[test]
    fn families_are_written_as_the_format_has_them() {
        let mut text = Text::default();
        text.family("up", Kind::Gauge, "Whether.").sample(&[], 1);
        let mut family = text.family("hits_total", Kind::Counter, "Hits.");
        family.sample(&[("name", "a\"b\\c\nd"), ("code", "200")], 7);
        let page = text.into_string();
        assert_eq!(
            page,
            "# HELP up Whether.\n# TYPE up gauge\nup 1\n# HELP hits_total Hits.\n# TYPE hits_total counter\n\
             hits_total{name=\"a\\\"b\\\\c\\nd\",code=\"200\"} 7\n"
        );
    }

    #[test]
    fn a_histogram_ends_with_all_of_them() {
        let histogram = Histogram::default();
        histogram.record(Duration::from_millis(3));
        histogram.record(Duration::from_secs(300));
        let mut text = Text::default();
        text.family("d_seconds", Kind::Histogram, "D.").histogram(&[("r", "a")], &histogram.read());
        let page = text.into_string();
        let lines: Vec<&str> = page.lines().skip(2).collect();
        assert_eq!(lines.len(), 19 + 3);
        assert_eq!(lines[0], "d_seconds_bucket{r=\"a\",le=\"0.0001\"} 0");
        assert!(lines.contains(&"d_seconds_bucket{r=\"a\",le=\"0.005\"} 1"));
        assert_eq!(lines[19], "d_seconds_bucket{r=\"a\",le=\"+Inf\"} 2");
        assert_eq!(lines[20], "d_seconds_sum{r=\"a\"} 300.003");
        assert_eq!(lines[21], "d_seconds_count{r=\"a\"} 2");
    }
}
