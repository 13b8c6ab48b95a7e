//! A1: how many requests each of three replicas gets, beside what its part of the ring says.

use std::fmt::Write;

use anyhow::Result;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::admin::Restored;
use crate::charts::{Bars, grouped, number};
use crate::experiment::{Experiment, Findings, Lab};
use crate::load::{self, Latency, Wrong};
use crate::report::{picture, table};
use crate::stats::{ChiSquared, Spread, chi_squared};

/// The number of replicas.
const REPLICAS: usize = 3;

const CHART: &str = "a1.svg";

/// See the [module](self).
pub struct A1;

#[derive(Debug, Serialize, Deserialize)]
struct Outcome {
    /// Replicas that there were before, where it was not three.
    replicas_before: usize,
    replicas: Vec<Replica>,
    /// What the prediction follows from, or why there is none.
    prediction: String,
    chi_squared: Option<ChiSquared>,
    spread: Spread,
    throughput: f64,
    latency: Latency,
    wrong: Wrong,
}

#[derive(Debug, Serialize, Deserialize)]
struct Replica {
    name: String,
    measured: u64,
    /// The requests that its part of the ring lets one expect.
    predicted: Option<f64>,
}

impl Experiment for A1 {
    fn name(&self) -> &'static str {
        "a1"
    }

    fn summary(&self) -> &'static str {
        "requests per replica with three replicas, measured and predicted"
    }

    fn run(&self, lab: &Lab) -> Result<Findings> {
        let balancer = lab.balancer(&[])?;
        let restored = Restored::after(&balancer.admin)?;
        let names = balancer.admin.bring_to(REPLICAS)?;
        let prediction = lab.predict(&balancer, &[], &names);
        let run = load::run(&lab.plan(&balancer.target, "a1"))?;
        let counts = run.counts(&names);
        let total = counts.iter().sum::<u64>() as f64;
        let (shares, prediction) = match prediction {
            Ok(prediction) => (Some(prediction.shares), prediction.basis),
            Err(why) => (None, format!("no prediction is possible: {why}")),
        };
        let replica = |(k, name): (usize, &String)| Replica {
            name: name.clone(),
            measured: counts[k],
            predicted: shares.as_ref().map(|shares| shares[k] * total),
        };
        let outcome = Outcome {
            replicas_before: restored.names().len(),
            replicas: names.iter().enumerate().map(replica).collect(),
            prediction,
            chi_squared: shares.as_ref().and_then(|shares| chi_squared(&counts, shares)),
            spread: Spread::of(&counts),
            throughput: run.throughput(),
            latency: run.latency(),
            wrong: run.wrong(&names),
        };
        restored.restore()?;
        Ok(Findings::new(&outcome, &outcome.wrong)?.file(CHART, chart(&outcome).svg()))
    }

    fn section(&self, result: Value) -> Result<String> {
        Ok(words(&serde_json::from_value(result)?))
    }
}

fn chart(outcome: &Outcome) -> Bars {
    let measured = outcome.replicas.iter().map(|replica| replica.measured as f64).collect();
    let predicted: Option<Vec<f64>> =
        outcome.replicas.iter().map(|replica| replica.predicted.map(f64::round)).collect();
    let mut series = vec![("measured".to_owned(), measured)];
    series.extend(predicted.map(|values| ("predicted from the ring".to_owned(), values)));
    let total = outcome.replicas.iter().map(|replica| replica.measured).sum::<u64>() as f64;
    Bars {
        title: format!("{} requests over {REPLICAS} replicas", grouped(total)),
        about: about(outcome),
        x_label: "replica".to_owned(),
        y_label: "requests".to_owned(),
        groups: outcome.replicas.iter().map(|replica| replica.name.clone()).collect(),
        series,
        reference: Some((outcome.spread.mean, format!("mean, {}", number(outcome.spread.mean)))),
    }
}

fn about(outcome: &Outcome) -> String {
    let one = |replica: &Replica| {
        let predicted = replica.predicted.map(|value| format!(" (predicted {})", grouped(value)));
        format!("{} {}{}", replica.name, replica.measured, predicted.unwrap_or_default())
    };
    let parts: Vec<String> = outcome.replicas.iter().map(one).collect();
    format!("Requests per replica: {}.", parts.join(", "))
}

fn words(outcome: &Outcome) -> String {
    let total = outcome.replicas.iter().map(|replica| replica.measured).sum::<u64>().max(1) as f64;
    let row = |replica: &Replica| {
        let share = format!("{:.2}", replica.measured as f64 / total * 100.0);
        let predicted = replica.predicted.map_or("–".to_owned(), |value| format!("{value:.1}"));
        vec![replica.name.clone(), grouped(replica.measured as f64), predicted, share]
    };
    let rows: Vec<Vec<String>> = outcome.replicas.iter().map(row).collect();
    let mut text = table(&["replica", "requests", "predicted", "% of all"], &rows);
    let Outcome { spread, latency, .. } = outcome;
    let _ = write!(
        text,
        "\nBusiest over mean {:.3}, least over mean {:.3}. {} answers/s; latency p50 {:.2} ms, p99 {:.2} ms, most \
         {:.2} ms. Wrong answers: {}.\n",
        spread.max_over_mean,
        spread.min_over_mean,
        grouped(outcome.throughput),
        latency.p50_ms,
        latency.p99_ms,
        latency.max_ms,
        outcome.wrong.count,
    );
    let _ = write!(text, "\nPrediction: {}.", outcome.prediction);
    if let Some(test) = &outcome.chi_squared {
        let _ = write!(text, " {}", verdict(test));
    }
    if outcome.replicas_before != REPLICAS {
        let before = outcome.replicas_before;
        let _ = write!(
            text,
            " There were {before} replicas before and after; for this run there were {REPLICAS}."
        );
    }
    text + "\n\n" + &picture(CHART, &about(outcome))
}

/// The test in words: what chance alone would do once in a hundred runs is called unlikely.
fn verdict(test: &ChiSquared) -> String {
    let ChiSquared { statistic, degrees, p_value, pooled } = test;
    let meaning = if *p_value < 0.01 {
        "chance alone does this less than once in a hundred runs, so the prediction does not hold here"
    } else {
        "what chance does to a correct prediction"
    };
    let pooled = match pooled {
        0 => String::new(),
        count => format!(
            " ({count} replicas were put together, because of some of them fewer than five requests were expected)"
        ),
    };
    format!("χ² = {statistic:.3} with {degrees} degrees of freedom, p = {p_value:.3}: {meaning}{pooled}.")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(predicted: Option<f64>) -> Outcome {
        let replica = |name: &str, measured| Replica { name: name.to_owned(), measured, predicted };
        Outcome {
            replicas_before: 4,
            replicas: vec![replica("server_1", 4000), replica("<b>", 6000)],
            prediction: "because".to_owned(),
            chi_squared: predicted.and_then(|_| chi_squared(&[4000, 6000], &[0.5, 0.5])),
            spread: Spread::of(&[4000, 6000]),
            throughput: 1234.5,
            latency: Latency { p50_ms: 1.0, p99_ms: 2.0, max_ms: 3.0 },
            wrong: Wrong::default(),
        }
    }

    #[test]
    fn the_report_says_what_was_measured_and_whether_it_fits() {
        let text = words(&outcome(Some(5000.0)));
        for part in
            ["| server_1 | 4,000 | 5000.0 | 40.00 |", "does not hold", "4 replicas before", "(a1.svg)"]
        {
            assert!(text.contains(part), "{part}: {text}");
        }
        let text = words(&outcome(None));
        assert!(text.contains("| – |") && !text.contains("χ²"), "{text}");
    }

    #[test]
    fn the_chart_shows_the_prediction_where_there_is_one() {
        assert_eq!(chart(&outcome(Some(5000.0))).series.len(), 2);
        let svg = chart(&outcome(None)).svg();
        assert!(svg.contains("&lt;b&gt;") && !svg.contains("predicted"), "{svg}");
    }
}
