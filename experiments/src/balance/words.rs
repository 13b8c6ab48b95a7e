//! How evenly they share, as a table and charts.

use super::{Case, Outcome};
use crate::charts::{Line, Logarithmic, grouped};
use crate::report::{picture, table};

/// The charts with the names of their files.
pub fn charts(outcome: &Outcome) -> [(&'static str, Logarithmic); 2] {
    [("balance.svg", busiest(outcome)), ("balance-deviation.svg", deviation(outcome))]
}

fn busiest(outcome: &Outcome) -> Logarithmic {
    let line = |name: &str, scheme: &str, value: fn(&Case) -> f64| Line {
        name: name.to_owned(),
        points: points(outcome, scheme, value),
    };
    let title = format!("The busiest and the least busy of {} servers over the mean", outcome.servers);
    Logarithmic {
        about: format!("{title}, by virtual servers of each. {}", spoken(outcome, extremes)),
        title,
        x_label: "virtual servers of each server (V)".to_owned(),
        y_label: "requests / mean".to_owned(),
        lines: vec![
            line("ketama, busiest", "ketama", |case| case.max_over_mean),
            line("ketama, least busy", "ketama", |case| case.min_over_mean),
            line("even, busiest", "even", |case| case.max_over_mean),
            line("even, least busy", "even", |case| case.min_over_mean),
        ],
        labelled: 2,
        dashed: levels(outcome, |case| case.max_over_mean),
        ..Logarithmic::default()
    }
}

fn deviation(outcome: &Outcome) -> Logarithmic {
    let line = |scheme: &str| Line {
        name: scheme.to_owned(),
        points: points(outcome, scheme, |case| case.deviation * 100.0),
    };
    let title = "How far shares scatter around the mean, by virtual servers";
    let theory = |&(v, _): &(f64, f64)| (v, 100.0 / v.sqrt());
    let points = line("ketama").points.iter().map(theory).collect();
    let mut dashed = vec![Line { name: "1/√V, falling".to_owned(), points }];
    dashed.extend(levels(outcome, |case| case.deviation * 100.0));
    Logarithmic {
        title: title.to_owned(),
        about: format!("{title}. {}", spoken(outcome, |case| format!("{:.1} %", case.deviation * 100.0))),
        x_label: "virtual servers of each server (V)".to_owned(),
        y_label: "standard deviation, % of the mean".to_owned(),
        lines: vec![line("ketama"), line("even")],
        labelled: 2,
        dashed,
        is_steep: true,
    }
}

fn points(outcome: &Outcome, scheme: &str, value: fn(&Case) -> f64) -> Vec<(f64, f64)> {
    let cases = outcome.cases.iter().filter(|case| case.scheme == scheme);
    cases.map(|case| (case.virtual_servers as f64, value(case))).collect()
}

/// Schemes without virtual servers, as level lines from the least of the others to the most.
fn levels(outcome: &Outcome, value: fn(&Case) -> f64) -> Vec<Line> {
    let counts = || outcome.cases.iter().map(|case| case.virtual_servers).filter(|count| *count > 0);
    let (least, most) = (counts().min().unwrap_or(1) as f64, counts().max().unwrap_or(10) as f64);
    let without = outcome.cases.iter().filter(|case| case.virtual_servers == 0);
    let mut levels: Vec<(String, f64)> = Vec::new();
    for (name, value) in without.map(|case| (&case.scheme, value(case))) {
        // Lines that nobody could tell apart are one.
        match levels.iter_mut().find(|level| (level.1 - value).abs() < 0.05 * value) {
            Some((names, _)) => *names += &format!(" and {name}"),
            None => levels.push((name.clone(), value)),
        }
    }
    let line = |(names, value)| Line {
        name: format!("{names}, level"),
        points: vec![(least, value), (most, value)],
    };
    levels.into_iter().map(line).collect()
}

fn extremes(case: &Case) -> String {
    format!("{:.3} and {:.3}", case.max_over_mean, case.min_over_mean)
}

fn spoken(outcome: &Outcome, figures: impl Fn(&Case) -> String) -> String {
    let one = |case: &Case| {
        let with = match case.virtual_servers {
            0 => String::new(),
            count => format!(" with {count}"),
        };
        format!("{}{with}: {}", case.scheme, figures(case))
    };
    format!("{}.", outcome.cases.iter().map(one).collect::<Vec<_>>().join("; "))
}

/// The part of the report.
pub fn section(outcome: &Outcome) -> String {
    let Outcome { servers, keys, cases, wrong } = outcome;
    let keys = grouped(*keys as f64);
    let row = |case: &Case| {
        let literature = match case.virtual_servers {
            0 => "–".to_owned(),
            count => format!("{:.4}", 1.0 / (count as f64).sqrt()),
        };
        vec![
            case.measures.clone(),
            case.fleets.to_string(),
            format!("{:.3}", case.max_over_mean),
            format!("{:.3}", case.min_over_mean),
            format!("{:.4}", case.deviation),
            literature,
        ]
    };
    let rows: Vec<Vec<String>> = cases.iter().map(row).collect();
    let head = ["ring", "fleets", "max/mean", "min/mean", "std dev/mean", "1/√V"];
    let pictures = charts(outcome).map(|(file, chart)| picture(file, &chart.about));
    format!(
        "{servers} servers share all {keys} six-digit request ids. Where places follow from the numbers of the servers, \
         values are means over fleets with other numbers; under `even` they follow from the order of joining, so there \
         is one fleet. Points that are hashed scatter by 1/√V (Lamping and Veach, 2014, table 1: 31.5 % for 10 \
         points, 10 % for 100, 3 % for 1,000; of {servers} servers a little less, as their shares add up to 1). Points \
         that are placed do better with a handful. Broken promises: {}.\n\n{}\n{}",
        wrong.count,
        table(&head, &rows),
        pictures.join("\n"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::Wrong;

    #[test]
    fn rows_lines_and_levels() {
        let case = |scheme: &str, virtual_servers| Case {
            scheme: scheme.to_owned(),
            virtual_servers,
            measures: format!("{scheme}, {virtual_servers}"),
            fleets: 2,
            max_over_mean: 1.5,
            min_over_mean: 0.5,
            deviation: 0.25,
        };
        let cases = vec![
            case("ketama", 4),
            case("ketama", 100),
            case("even", 9),
            case("maglev", 0),
            case("rendezvous", 0),
        ];
        let outcome = Outcome { servers: 10, keys: 900_000, cases, wrong: Wrong::default() };
        let text = section(&outcome);
        assert!(text.contains("| ketama, 4 | 2 | 1.500 | 0.500 | 0.2500 | 0.5000 |"), "{text}");
        assert!(text.contains("| maglev, 0 | 2 | 1.500 | 0.500 | 0.2500 | – |"), "{text}");
        let [(_, busiest), (_, deviation)] = charts(&outcome);
        assert_eq!(busiest.dashed[0].points, [(4.0, 1.5), (100.0, 1.5)]);
        assert_eq!(deviation.dashed[0].points, [(4.0, 50.0), (100.0, 10.0)]);
        assert_eq!(deviation.dashed[1].name, "maglev and rendezvous, level");
    }
}
