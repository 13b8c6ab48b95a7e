//! What being watched costs, and how that is shown.

use serde::Serialize;

use super::variant::Variant;
use super::verdict::Comparison;
use crate::measurement::{Measurement, Results, optional, warnings};
use crate::table::Table;
use crate::target::{self, Target};

/// Part of its throughput without metrics that the balancer must have with them.
const METRICS: f64 = 0.95;

/// Part of its throughput without an access log that it must have with one of JSON.
const LOG: f64 = 0.90;

/// Digits of a ratio: what is measured here is a few parts of a hundred.
const DIGITS: usize = 3;

/// What is said of targets that the run decides nothing about.
const CANNOT_TELL: &str = "WARNING: this run cannot tell whether all bounds are met: there were fewer than six rounds, or too \
                           many of them disagree, or it found what is watched faster than what is not by as much as the \
                           bound allows it to be slower.";

/// One variant's results.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// Which.
    pub variant: Variant,
    /// What it did.
    #[serde(flatten)]
    pub results: Results,
    /// Lines that its access log lost, over all rounds and before them; `None` where there is no log.
    pub dropped: Option<u64>,
    /// How often its metrics were read; `None` where nobody did.
    pub scrapes: Option<u64>,
}

/// All of them.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Processor and kernel.
    pub machine: String,
    /// How it was measured, in words.
    pub method: String,
    /// In the order of the table.
    pub rows: Vec<Row>,
    /// Those that bounds are about, round by round.
    pub comparisons: Vec<Comparison>,
    /// What was to be reached.
    pub targets: Vec<Target>,
}

impl Report {
    /// One without results.
    pub fn new(machine: String, method: String) -> Report {
        Report { machine, method, rows: Vec::new(), comparisons: Vec::new(), targets: Vec::new() }
    }

    /// Holds the results against what is to be reached.
    pub fn judge(&mut self) {
        let compare = |of: Variant, to: Variant, bound| {
            let what = format!("throughput of {} / {}", of.name(), to.name());
            Comparison::new(what, bound, self.rounds(of), self.rounds(to))
        };
        self.comparisons = vec![
            compare(Variant::Metrics, Variant::Off, METRICS),
            compare(Variant::Json, Variant::Metrics, LOG),
            compare(Variant::Json, Variant::Off, LOG),
        ];
        self.targets = self.comparisons.iter().map(Comparison::target).collect();
    }

    fn row(&self, of: Variant) -> Option<&Row> {
        self.rows.iter().find(|row| row.variant == of)
    }

    fn rounds(&self, of: Variant) -> &[Measurement] {
        self.row(of).map_or(&[], |row| &row.results.rounds)
    }

    fn throughput(&self, of: Variant) -> Option<f64> {
        Some(self.row(of)?.results.median.requests_per_second)
    }

    /// How often the throughput of `of` is that of `to`.
    fn ratio(&self, of: Variant, to: Variant) -> Option<f64> {
        let (of, to) = (self.throughput(of)?, self.throughput(to)?);
        (to > 0.0).then(|| of / to)
    }

    fn table(&self) -> Table {
        let head = [
            "",
            "requests/s",
            "/ off",
            "/ metrics",
            "p50 ms",
            "p99 ms",
            "CPU ms/1000 req",
            "lines dropped",
            "errors",
        ];
        let mut table = Table::new("Being watched", &head);
        for Row { variant, results, dropped, .. } in &self.rows {
            let median = &results.median;
            let beside_metrics = Some(Variant::Metrics).filter(|_| *variant != Variant::Off);
            table.push(vec![
                variant.name().to_owned(),
                format!("{:.0}", median.requests_per_second),
                optional(self.ratio(*variant, Variant::Off), DIGITS),
                optional(beside_metrics.and_then(|metrics| self.ratio(*variant, metrics)), DIGITS),
                format!("{:.2}", median.p50_ms),
                format!("{:.2}", median.p99_ms),
                optional(median.cpu_ms_per_1000_requests, 1),
                dropped.map_or("-".to_owned(), |lines| lines.to_string()),
                median.errors.to_string(),
            ]);
        }
        table
    }

    fn spread(&self) -> Table {
        let head = ["", "rounds", "median", "least", "most"];
        let mut table = Table::new("Round by round", &head);
        for comparison in &self.comparisons {
            let (least, most) = comparison.range().unzip();
            table.push(vec![
                comparison.what.clone(),
                comparison.ratios.len().to_string(),
                optional(comparison.median(), DIGITS),
                optional(least, DIGITS),
                optional(most, DIGITS),
            ]);
        }
        table
    }

    fn tables(&self) -> [Table; 3] {
        [self.table(), self.spread(), target::table(&self.targets, DIGITS)]
    }

    fn notes(&self) -> Vec<String> {
        let mut notes = vec![format!("{}.", self.machine), self.method.clone()];
        let scrapes = self.rows.iter().filter_map(|row| row.scrapes);
        notes.extend(scrapes.map(|count| format!("The metrics of `scraped` were read {count} times.")));
        let dropped: u64 = self.rows.iter().filter_map(|row| row.dropped).sum();
        if dropped > 0 {
            notes.push(format!(
                "WARNING: {dropped} lines were dropped, which cost less than those that are written."
            ));
        }
        if self.targets.iter().any(|target| target.found.is_some() && target.is_met.is_none()) {
            notes.push(CANNOT_TELL.to_owned());
        }
        let rounds = self.rows.iter().flat_map(|row| &row.results.rounds);
        let others: Vec<f64> = rounds.map(|round| round.others).collect();
        notes.extend(warnings(self.rows.iter().map(|row| row.results.median.errors).sum(), &others));
        notes
    }

    /// For a terminal.
    pub fn to_text(&self) -> String {
        let tables = self.tables().map(|table| table.to_text());
        format!("{}\n{}\n", tables.join("\n"), self.notes().join("\n"))
    }

    /// As Markdown.
    pub fn to_markdown(&self) -> String {
        let tables = self.tables().map(|table| table.to_markdown());
        format!("{}\n\n{}", self.notes().join("\n\n"), tables.join("\n"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measurement::tests::measurement;

    fn report(speeds: [f64; 5]) -> Report {
        let mut report = Report::new("2 cores".into(), "Medians.".into());
        let row = |(variant, speed): (Variant, f64)| Row {
            variant,
            results: Results::new(vec![measurement(speed, 1.0); 6]),
            dropped: variant.logs().then_some(2),
            scrapes: variant.is_scraped().then_some(15),
        };
        report.rows = Variant::ALL.into_iter().zip(speeds).map(row).collect();
        report.judge();
        report
    }

    #[test]
    fn targets_are_held_against_what_was_measured() {
        let judged = |speeds| -> Vec<_> {
            report(speeds).targets.iter().map(|target| (target.found, target.is_met)).collect()
        };
        assert_eq!(
            judged([100.0, 96.0, 95.0, 93.0, 87.0]),
            [(Some(0.96), Some(true)), (Some(0.90625), Some(true)), (Some(0.87), Some(false))]
        );
        assert_eq!(judged([100.0, 94.0, 94.0, 94.0, 94.0])[0], (Some(0.94), Some(false)));
        assert_eq!(judged([0.0; 5]), [(None, None); 3]);
        assert_eq!(judged([90.0, 100.0, 100.0, 95.0, 95.0])[0], (Some(100.0 / 90.0), None));
    }

    #[test]
    fn what_a_run_cannot_tell_is_said() {
        let unsure = report([90.0, 100.0, 100.0, 95.0, 95.0]).to_text();
        assert!(
            unsure.contains("cannot tell\n") && unsure.contains("WARNING: this run cannot tell"),
            "{unsure}"
        );
        let sure = report([100.0, 96.0, 95.0, 93.0, 87.0]).to_text();
        assert!(!sure.contains("cannot tell"), "{sure}");
        let spread = "throughput of json / off           6   0.870  0.870  0.870";
        assert!(sure.contains(spread), "{spread} is not in\n{sure}");
    }

    #[test]
    fn what_is_shown() {
        let report = report([100.0, 96.0, 95.0, 93.0, 87.0]);
        let text = report.to_text();
        for words in ["15 times", "4 lines were dropped", "WARNING: 30 errors", "throughput of json / off"] {
            assert!(text.contains(words), "{words} is not in\n{text}");
        }
        let markdown = report.to_markdown();
        for row in [
            "| off | 100 | 1.000 | - | 0.50 | 1.00 | 20.0 | - | 6 |",
            "| json | 87 | 0.870 | 0.906 | 0.50 | 1.00 | 20.0 | 2 | 6 |",
        ] {
            assert!(markdown.contains(row), "{row} is not in\n{markdown}");
        }
    }

    #[test]
    fn results_as_json_name_the_variant() {
        let json = serde_json::to_value(report([1.0; 5])).unwrap();
        assert_eq!(json["rows"][2]["variant"], "scraped");
        assert_eq!(json["rows"][2]["scrapes"], 15);
        assert_eq!(json["rows"][4]["dropped"], 2);
        assert_eq!(json["rows"][0]["median"]["requests_per_second"], 1.0);
        assert_eq!(json["rows"][0]["rounds"].as_array().map(Vec::len), Some(6));
        assert_eq!(json["comparisons"][0]["ratios"].as_array().map(Vec::len), Some(6));
    }
}
