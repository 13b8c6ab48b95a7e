//! A2: what becomes of load, evenness, throughput and latency as replicas are added, from two to six.

use anyhow::Result;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::admin::Restored;
use crate::balancer::Balancer;
use crate::charts::{Line, Lines, grouped};
use crate::experiment::{Experiment, Findings, Lab};
use crate::load::{Latency, Wrong};
use crate::measure::{Measured, measure};
use crate::report::{picture, table};
use crate::stats::Spread;

/// The numbers of replicas.
const SIZES: std::ops::RangeInclusive<usize> = 2..=6;

/// See the [module](self).
pub struct A2;

#[derive(Debug, Serialize, Deserialize)]
struct Outcome {
    /// Replicas that there were before, and are again.
    replicas_before: usize,
    sizes: Vec<Size>,
    wrong: Wrong,
}

/// What was measured with so many replicas.
#[derive(Debug, Serialize, Deserialize)]
struct Size {
    n: usize,
    replicas: Vec<String>,
    requests: Vec<u64>,
    spread: Spread,
    /// What the ring lets one expect of `spread.max_over_mean`.
    predicted_max_over_mean: Option<f64>,
    throughput: f64,
    latency: Latency,
    wrong: usize,
}

impl Experiment for A2 {
    fn name(&self) -> &'static str {
        "a2"
    }

    fn summary(&self) -> &'static str {
        "load, evenness, throughput and latency with two to six replicas"
    }

    fn run(&self, lab: &Lab) -> Result<Findings> {
        let balancer = lab.balancer(&[])?;
        let restored = Restored::after(&balancer.admin)?;
        let mut outcome =
            Outcome { replicas_before: restored.names().len(), sizes: Vec::new(), wrong: Wrong::default() };
        for n in SIZES {
            let (size, wrong) = size(lab, &balancer, n)?;
            outcome.sizes.push(size);
            outcome.wrong.merge(wrong);
        }
        restored.restore()?;
        let mut findings = Findings::new(&outcome, &outcome.wrong)?;
        for (file, chart) in charts(&outcome.sizes) {
            findings = findings.file(file, chart.svg());
        }
        Ok(findings)
    }

    fn section(&self, result: Value) -> Result<String> {
        Ok(words(&serde_json::from_value(result)?))
    }
}

fn size(lab: &Lab, balancer: &Balancer, n: usize) -> Result<(Size, Wrong)> {
    let (measured, wrong) = measure(lab, balancer, n, &format!("a2, N = {n}"))?;
    let predicted_max_over_mean = measured.predicted_max_over_mean();
    let Measured { replicas, requests, spread, throughput, latency, .. } = measured;
    let size = Size {
        n,
        replicas,
        requests,
        spread,
        predicted_max_over_mean,
        throughput,
        latency,
        wrong: wrong.count,
    };
    Ok((size, wrong))
}

/// The charts with the names of their files.
fn charts(sizes: &[Size]) -> Vec<(&'static str, Lines)> {
    let line = |name: &str, value: &dyn Fn(&Size) -> Option<f64>| Line {
        name: name.to_owned(),
        points: sizes.iter().filter_map(|size| Some((size.n as f64, value(size)?))).collect(),
    };
    let chart = |title: &str, y_label: &str, from_zero: bool, lines: Vec<Line>| Lines {
        title: title.to_owned(),
        about: in_words(title, &lines),
        x_label: "replicas (N)".to_owned(),
        y_label: y_label.to_owned(),
        lines: lines.into_iter().filter(|line| !line.points.is_empty()).collect(),
        from_zero,
    };
    vec![
        (
            "a2-load.svg",
            chart(
                "Requests per replica as replicas are added",
                "requests",
                true,
                vec![
                    line("mean", &|size| Some(size.spread.mean)),
                    line("standard deviation", &|size| Some(size.spread.deviation)),
                ],
            ),
        ),
        (
            "a2-balance.svg",
            chart(
                "The busiest and the least busy replica over the mean",
                "requests over the mean",
                false,
                vec![
                    line("max / mean", &|size| Some(size.spread.max_over_mean)),
                    line("min / mean", &|size| Some(size.spread.min_over_mean)),
                    line("max / mean as the ring predicts", &|size| size.predicted_max_over_mean),
                ],
            ),
        ),
        (
            "a2-throughput.svg",
            chart(
                "Answers per second as replicas are added",
                "answers/s",
                true,
                vec![line("throughput", &|size| Some(size.throughput))],
            ),
        ),
        (
            "a2-latency.svg",
            chart(
                "Latency as replicas are added",
                "milliseconds",
                true,
                vec![
                    line("p99", &|size| Some(size.latency.p99_ms)),
                    line("p50", &|size| Some(size.latency.p50_ms)),
                ],
            ),
        ),
    ]
}

fn in_words(title: &str, lines: &[Line]) -> String {
    let one = |line: &Line| {
        let values: Vec<String> = line.points.iter().map(|(n, value)| format!("{value:.3} at {n}")).collect();
        format!("{}: {}", line.name, values.join(", "))
    };
    format!("{title}. {}.", lines.iter().map(one).collect::<Vec<_>>().join("; "))
}

fn words(outcome: &Outcome) -> String {
    let head = [
        "N",
        "mean",
        "std dev",
        "min/mean",
        "max/mean",
        "max/mean predicted",
        "answers/s",
        "p50 ms",
        "p99 ms",
        "max ms",
        "wrong",
    ];
    let row = |size: &Size| {
        let Size { spread, latency, .. } = size;
        let predicted = size.predicted_max_over_mean.map_or("–".to_owned(), |value| format!("{value:.3}"));
        vec![
            size.n.to_string(),
            format!("{:.1}", spread.mean),
            format!("{:.1}", spread.deviation),
            format!("{:.3}", spread.min_over_mean),
            format!("{:.3}", spread.max_over_mean),
            predicted,
            grouped(size.throughput),
            format!("{:.2}", latency.p50_ms),
            format!("{:.2}", latency.p99_ms),
            format!("{:.2}", latency.max_ms),
            size.wrong.to_string(),
        ]
    };
    let rows: Vec<Vec<String>> = outcome.sizes.iter().map(row).collect();
    let loads = |size: &Size| {
        let each = size.replicas.iter().zip(&size.requests).map(|(name, count)| format!("{name} {count}"));
        format!("- N = {}: {}\n", size.n, each.collect::<Vec<_>>().join(", "))
    };
    let pictures = charts(&outcome.sizes).into_iter().map(|(file, chart)| picture(file, &chart.title));
    format!(
        "{}\nReplicas were added and removed through `/add` and `/rm`; there were {} before, and are again. Chance \
         alone puts the busiest of even replicas a percent or more above the mean, the more so the more there are.\n\n\
         {}\n{}",
        table(&head, &rows),
        outcome.replicas_before,
        outcome.sizes.iter().map(loads).collect::<String>(),
        pictures.collect::<Vec<_>>().join("\n"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size(n: usize, predicted: Option<f64>) -> Size {
        let requests: Vec<u64> = (0..n as u64).map(|k| 1000 + k).collect();
        Size {
            n,
            replicas: (0..n).map(|k| format!("s{k}")).collect(),
            spread: Spread::of(&requests),
            requests,
            predicted_max_over_mean: predicted,
            throughput: 5000.0,
            latency: Latency { p50_ms: 1.0, p99_ms: 2.0, max_ms: 3.0 },
            wrong: 0,
        }
    }

    #[test]
    fn each_size_has_its_row_and_its_loads() {
        let sizes = SIZES.map(|n| size(n, None)).collect();
        let text = words(&Outcome { replicas_before: 3, sizes, wrong: Wrong::default() });
        assert!(text.contains("| 2 | 1000.5 | 0.5 |") && text.contains("- N = 6: s0 1000,"), "{text}");
        assert_eq!(text.matches(".svg)").count(), 4);
    }

    #[test]
    fn without_a_prediction_there_is_no_line_of_it() {
        let lines = |predicted| charts(&[size(2, predicted), size(3, predicted)])[1].1.lines.len();
        assert_eq!((lines(None), lines(Some(1.1))), (2, 3));
    }
}
