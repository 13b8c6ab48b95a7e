//! The schemes side by side, as tables and charts.

use super::{Measured, Of, Outcome, REPLICAS, SIZES};
use crate::charts::{Bars, Line, Lines, grouped};
use crate::report::{picture, table};

/// Above this a chart hides the schemes that are nearly even.
const CLOSE: f64 = 1.25;

const SHARES: &str = "a4-shares.svg";
const BALANCE: &str = "a4-balance.svg";
const CLOSE_UP: &str = "a4-balance-closeup.svg";

/// The charts with the names of their files.
pub fn charts(outcome: &Outcome) -> [(&'static str, String); 3] {
    [(SHARES, shares(outcome).svg()), (BALANCE, balance(outcome).svg()), (CLOSE_UP, closeup(outcome).svg())]
}

fn shares(outcome: &Outcome) -> Bars {
    let of_server = |k: usize| {
        let share = |of: &Of| of.first.percent().get(k).map_or(0.0, |share| (share * 10.0).round() / 10.0);
        (format!("server_{}", k + 1), outcome.schemes.iter().map(share).collect())
    };
    let one = |of: &Of| {
        let shares: Vec<String> = of.first.percent().iter().map(|share| format!("{share:.1}")).collect();
        format!("{}: {}", of.scheme, shares.join(", "))
    };
    let title = format!("Shares of {REPLICAS} replicas under every scheme");
    Bars {
        about: format!(
            "{title}, in percent. {}.",
            outcome.schemes.iter().map(one).collect::<Vec<_>>().join("; ")
        ),
        title,
        x_label: "scheme".to_owned(),
        y_label: "% of requests".to_owned(),
        groups: outcome.schemes.iter().map(|of| of.scheme.clone()).collect(),
        series: (0..REPLICAS).map(of_server).collect(),
        reference: Some((100.0 / REPLICAS as f64, "a third".to_owned())),
    }
}

fn balance(outcome: &Outcome) -> Lines {
    let title = "The busiest replica over the mean, as replicas are added";
    let line = |of: &Of| Line {
        name: of.scheme.clone(),
        points: of.sizes.iter().map(|it| (it.replicas.len() as f64, it.spread.max_over_mean)).collect(),
    };
    // Those that stand out come first: two have their values written.
    let (far, close): (Vec<&Of>, Vec<&Of>) = outcome.schemes.iter().partition(|of| !is_close(of));
    let lines: Vec<Line> = far.into_iter().chain(close).map(line).collect();
    let one = |line: &Line| {
        let values: Vec<String> = line.points.iter().map(|(n, value)| format!("{value:.3} at {n}")).collect();
        format!("{}: {}", line.name, values.join(", "))
    };
    Lines {
        about: format!("{title}. {}.", lines.iter().map(one).collect::<Vec<_>>().join("; ")),
        title: title.to_owned(),
        x_label: "replicas (N)".to_owned(),
        y_label: "busiest / mean".to_owned(),
        lines,
        from_zero: false,
    }
}

/// Bars, because lines that close run into one another.
fn closeup(outcome: &Outcome) -> Bars {
    let over = |it: &Measured| ((it.spread.max_over_mean - 1.0) * 1000.0).round() / 10.0;
    let close = outcome.schemes.iter().filter(|of| is_close(of));
    let series: Vec<(String, Vec<f64>)> =
        close.map(|of| (of.scheme.clone(), of.sizes.iter().map(over).collect())).collect();
    let one = |(scheme, values): &(String, Vec<f64>)| {
        let values: Vec<String> = values.iter().map(|value| format!("{value:.1}")).collect();
        format!("{scheme}: {}", values.join(", "))
    };
    let title = "The busiest replica over the mean, under the nearly even schemes";
    Bars {
        title: title.to_owned(),
        about: format!(
            "{title}, in percent with {} to {} replicas. {}.",
            SIZES.start(),
            SIZES.end(),
            series.iter().map(one).collect::<Vec<_>>().join("; ")
        ),
        x_label: "replicas (N)".to_owned(),
        y_label: "% over the mean".to_owned(),
        groups: SIZES.map(|n| n.to_string()).collect(),
        series,
        reference: None,
    }
}

fn is_close(of: &Of) -> bool {
    of.sizes.iter().all(|size| size.spread.max_over_mean < CLOSE)
}

/// The part of the report.
pub fn section(outcome: &Outcome) -> String {
    let requests: u64 = outcome.schemes.first().map_or(0, |of| of.first.requests.iter().sum());
    format!(
        "A balancer of its own for each scheme, with its usual ring: {} requests with {REPLICAS} replicas as A1 sends \
         them, then as many with each of {} to {} replicas as A2 does. Wrong answers: {}.\n\nShares of {REPLICAS} \
         replicas in percent, measured and in brackets predicted:\n\n{}\n{}\nThe busiest replica over the mean by \
         number of replicas, measured and in brackets predicted; \
         chance alone puts the busiest of even replicas a percent or more above the mean:\n\n{}\n{}\n{}\n{}\n### Why\n\n{}",
        grouped(requests as f64),
        SIZES.start(),
        SIZES.end(),
        outcome.wrong.count,
        thirds(outcome),
        verdict(outcome),
        growth(outcome),
        picture(SHARES, &shares(outcome).about),
        picture(BALANCE, &balance(outcome).about),
        picture(CLOSE_UP, &closeup(outcome).about),
        outcome.rings.words(),
    )
}

fn thirds(outcome: &Outcome) -> String {
    let row = |of: &Of| {
        let predicted = of.first.predicted.as_ref();
        let shares = of.first.percent().into_iter().enumerate().map(|(k, share)| {
            let expected = predicted.and_then(|shares| shares.get(k));
            format!("{share:.2}{}", expected.map_or(String::new(), |part| format!(" ({:.2})", part * 100.0)))
        });
        let test = of.first.chi_squared.as_ref();
        let rest = [
            format!("{:.3}", of.first.spread.max_over_mean),
            test.map_or("–".to_owned(), |test| format!("{:.2}", test.statistic)),
            test.map_or("–".to_owned(), |test| format!("{:.3}", test.p_value)),
        ];
        [of.scheme.clone()].into_iter().chain(shares).chain(rest).collect()
    };
    let rows: Vec<Vec<String>> = outcome.schemes.iter().map(row).collect();
    let servers: Vec<String> = (1..=REPLICAS).map(|k| format!("server_{k}")).collect();
    let rest = ["max/mean", "χ²", "p"];
    let head: Vec<&str> =
        ["scheme"].into_iter().chain(servers.iter().map(String::as_str)).chain(rest).collect();
    table(&head, &rows)
}

/// Of all tests some have a small p by chance, so what counts is how many.
fn verdict(outcome: &Outcome) -> String {
    let all = outcome.schemes.iter().flat_map(|of| of.sizes.iter().chain([&of.first]));
    let values: Vec<f64> = all.filter_map(|it| it.chi_squared.as_ref()).map(|test| test.p_value).collect();
    if values.is_empty() {
        return "No prediction is possible.\n".to_owned();
    }
    let below = |limit: f64| values.iter().filter(|value| **value < limit).count();
    format!(
        "Of all {} measurements here {} have a p below 0.05, {} of them below 0.01; chance alone brings about {:.1} and \
         {:.1}, if all predictions hold.\n",
        values.len(),
        below(0.05),
        below(0.01),
        values.len() as f64 * 0.05,
        values.len() as f64 * 0.01,
    )
}

fn growth(outcome: &Outcome) -> String {
    let row = |of: &Of| {
        let cells = of.sizes.iter().map(|it| {
            let predicted = it.predicted_max_over_mean().map(|value| format!(" ({value:.3})"));
            format!("{:.3}{}", it.spread.max_over_mean, predicted.unwrap_or_default())
        });
        [of.scheme.clone()].into_iter().chain(cells).collect()
    };
    let rows: Vec<Vec<String>> = outcome.schemes.iter().map(row).collect();
    let sizes: Vec<String> = SIZES.map(|n| format!("N = {n}")).collect();
    let head: Vec<&str> = ["scheme"].into_iter().chain(sizes.iter().map(String::as_str)).collect();
    table(&head, &rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::a4::rings::Rings;
    use crate::load::Latency;
    use crate::load::Wrong;
    use crate::stats::{Spread, chi_squared};

    fn measured(requests: &[u64], predicted: Option<Vec<f64>>) -> Measured {
        Measured {
            replicas: (1..=requests.len()).map(|k| format!("server_{k}")).collect(),
            requests: requests.to_vec(),
            chi_squared: predicted.as_ref().and_then(|shares| chi_squared(requests, shares)),
            predicted,
            spread: Spread::of(requests),
            throughput: 1234.0,
            latency: Latency { p50_ms: 1.0, p99_ms: 2.0, max_ms: 3.0 },
        }
    }

    fn outcome(is_predicted: bool) -> Outcome {
        let of = |scheme: &str, requests: &[u64], shares: &[f64]| Of {
            scheme: scheme.to_owned(),
            first: measured(requests, is_predicted.then(|| shares.to_vec())),
            sizes: SIZES.map(|n| measured(&requests[..n.min(3)], None)).collect(),
        };
        Outcome {
            schemes: vec![
                of("even", &[3300, 3350, 3350], &[0.33, 0.33, 0.34]),
                of("statement/linear", &[8400, 500, 1100], &[0.84, 0.05, 0.11]),
            ],
            rings: Rings::new().unwrap(),
            wrong: Wrong::default(),
        }
    }

    #[test]
    fn schemes_stand_side_by_side_with_what_was_predicted() {
        let text = section(&outcome(true));
        for part in [
            "| statement/linear | 84.00 (84.00) | 5.00 (5.00) | 11.00 (11.00) | 2.520 | 0.00 | 1.000 |",
            "Of all 2 measurements",
            "87 of the 512",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        let text = section(&outcome(false));
        assert!(text.contains("| 84.00 | 5.00 | 11.00 |") && text.contains("No prediction"), "{text}");
    }

    #[test]
    fn the_closeup_has_only_what_is_close() {
        let names: Vec<String> = balance(&outcome(true)).lines.into_iter().map(|line| line.name).collect();
        assert_eq!(names, ["statement/linear", "even"]);
        assert_eq!(closeup(&outcome(true)).series, [("even".to_owned(), vec![0.8, 0.5, 0.5, 0.5, 0.5])]);
    }
}
