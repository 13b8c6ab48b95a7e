//! What moved, as tables and charts.

use super::fleet::LARGE;
use super::{Case, Change, Changes, Outcome, SIZES};
use crate::charts::{Bars, Line, Logarithmic, grouped};
use crate::report::{picture, table};

/// The size of fleet of the bar chart.
const SHOWN: usize = 10;

const OVER_IDEAL: &str = "movement.svg";
const GROWTH: &str = "movement-growth.svg";
const HISTORIES: &str = "movement-histories.svg";

/// The charts with the names of their files.
pub fn charts(outcome: &Outcome) -> [(&'static str, String); 3] {
    [
        (OVER_IDEAL, over_ideal(outcome).svg()),
        (GROWTH, growth(outcome).svg()),
        (HISTORIES, histories(outcome).svg()),
    ]
}

fn over_ideal(outcome: &Outcome) -> Bars {
    let shown: Vec<(&Case, &Changes)> = of_size(outcome, SHOWN).collect();
    let value = |change: Change| (change.over_ideal() * 100.0).round() / 100.0;
    let values =
        |pick: fn(&Changes) -> Change| shown.iter().map(|(_, changes)| value(pick(changes))).collect();
    let groups: Vec<String> = shown.iter().map(|(case, _)| case.way.clone()).collect();
    Bars {
        title: format!("Keys that move when one server joins {SHOWN} or leaves them, over the ideal"),
        about: format!(
            "Of {} keys, means of {} tries. {}",
            outcome.keys,
            outcome.tries,
            spoken(&shown, SHOWN)
        ),
        x_label: "how keys find their servers".to_owned(),
        y_label: "moved / ideal".to_owned(),
        groups,
        series: vec![
            ("a join, over 1 / (N + 1)".to_owned(), values(|changes| changes.join)),
            ("a leave, over what the leaver had".to_owned(), values(|changes| changes.leave)),
        ],
        reference: Some((1.0, "the ideal".to_owned())),
    }
}

fn spoken(shown: &[(&Case, &Changes)], n: usize) -> String {
    let one = |(case, changes): &(&Case, &Changes)| {
        let (join, leave) = (changes.join.over_ideal(), changes.leave.over_ideal());
        format!("{}: {join:.2} times the ideal with a join, {leave:.2} times with a leave", case.way)
    };
    format!("With {n} servers {}.", shown.iter().map(one).collect::<Vec<_>>().join("; "))
}

fn growth(outcome: &Outcome) -> Logarithmic {
    let line = |way: &str| {
        let points = SIZES.into_iter().filter_map(|n| {
            let (_, changes) = of_size(outcome, n).find(|(case, _)| case.way == way)?;
            Some((n as f64, changes.leave.over_ideal()))
        });
        Line { name: way.to_owned(), points: points.collect() }
    };
    let mut lines: Vec<Line> = ["key % N", "jump hash", "maglev"].into_iter().map(line).collect();
    lines.push(Line { name: "all others here".to_owned(), ..line("even") });
    let title = "Keys that move when a server leaves, over what it had";
    Logarithmic {
        title: title.to_owned(),
        about: format!(
            "{title}, for fleets of {} servers; the numbers are in the table.",
            SIZES.map(|n| n.to_string()).join(", ")
        ),
        x_label: "servers before (N)".to_owned(),
        y_label: "moved / ideal".to_owned(),
        lines,
        labelled: 3,
        is_steep: true,
        ..Logarithmic::default()
    }
}

fn histories(outcome: &Outcome) -> Bars {
    let values = |pick: fn(&super::History) -> f64| {
        outcome.histories.iter().map(|it| (pick(it) * 1000.0).round() / 1000.0).collect()
    };
    let one = |it: &super::History| {
        format!("{}: {:.3} new, {:.3} afterwards, {:.3} at worst", it.scheme, it.fresh, it.end, it.most)
    };
    Bars {
        title: "The busiest server over the mean: new fleets, and after many changes".to_owned(),
        about: format!("{}.", outcome.histories.iter().map(one).collect::<Vec<_>>().join("; ")),
        x_label: "scheme".to_owned(),
        y_label: "busiest / mean".to_owned(),
        groups: outcome.histories.iter().map(|it| it.scheme.clone()).collect(),
        series: vec![
            ("new".to_owned(), values(|it| it.fresh)),
            ("the same fleet after its changes".to_owned(), values(|it| it.end)),
            ("mean of all moments".to_owned(), values(|it| it.mean)),
            ("worst moment".to_owned(), values(|it| it.most)),
        ],
        reference: Some((1.0, "even".to_owned())),
    }
}

fn of_size(outcome: &Outcome, n: usize) -> impl Iterator<Item = (&Case, &Changes)> {
    let found = outcome.cases.iter().filter(move |case| case.n == n);
    found.filter_map(|case| Some((case, case.changes.as_ref().ok()?)))
}

/// The part of the report.
pub fn section(outcome: &Outcome) -> String {
    let Outcome { keys, tries, wrong, .. } = outcome;
    let pictures = [
        picture(OVER_IDEAL, &over_ideal(outcome).about),
        picture(GROWTH, &growth(outcome).about),
        picture(HISTORIES, &histories(outcome).about),
    ];
    let [first, second, third] = pictures;
    format!(
        "{} random request ids are followed while one server joins a fleet of servers 1 to N or leaves it; means of \
         {tries} that do so, each alone, or of all where there are fewer to leave. In brackets: what went from one who \
         stayed to another who stayed. All schemes but `maglev` promise that nothing does. Broken promises: \
         {}.\n\n\
         % of keys that a **join** moves; ideal is the joiner's even part, and a scheme below it gives a joiner too \
         little:\n\n{}\n\
         % of keys that a **leave** moves, of what the leaver had:\n\n{}\n{}\
         `key % N` and jump hash (Lamping and Veach, 2014) are not in the library. They know servers by their place in a \
         list: whoever leaves from the middle renumbers all behind it.\n\n{first}\n{second}\n{}\n{third}",
        grouped(*keys as f64),
        wrong.count,
        changes(outcome, |changes| changes.join, true),
        changes(outcome, |changes| changes.leave, false),
        measures(outcome),
        lives(outcome),
    )
}

/// A row for each way and a column for each size; what is ideal for a join is a row of its own, because it is the same
/// for all.
fn changes(outcome: &Outcome, pick: fn(&Changes) -> Change, is_join: bool) -> String {
    let percent = |part: f64| format!("{:.2}", part * 100.0);
    let mut rows = Vec::new();
    if is_join {
        let parts = SIZES.into_iter().map(|n| percent(1.0 / (n + 1) as f64));
        rows.push(["*ideal*".to_owned()].into_iter().chain(parts).collect());
    }
    let mut ways: Vec<&String> = outcome.cases.iter().map(|case| &case.way).collect();
    ways.dedup();
    for way in ways {
        let cell = |n| {
            let found = outcome.cases.iter().find(|case| case.way == *way && case.n == n);
            let Some(Ok(changes)) = found.map(|case| &case.changes) else { return "–".to_owned() };
            let change = pick(changes);
            let needless = match change.needless {
                0.0 => String::new(),
                some => format!(" ({})", percent(some)),
            };
            let own = if is_join { String::new() } else { format!(" of {}", percent(change.ideal)) };
            percent(change.moved) + &own + &needless
        };
        rows.push([way.clone()].into_iter().chain(SIZES.into_iter().map(cell)).collect());
    }
    let sizes = SIZES.map(|n| format!("N = {n}"));
    let head: Vec<&str> = ["scheme"].into_iter().chain(sizes.iter().map(String::as_str)).collect();
    table(&head, &rows)
}

/// Where rings are not those of the defaults, and where there are none.
fn measures(outcome: &Outcome) -> String {
    let of = |case: &&Case| case.n == SIZES[SIZES.len() - 1] && case.measures.contains("virtual servers");
    let large: Vec<&str> = outcome.cases.iter().filter(of).map(|case| case.measures.as_str()).collect();
    let refused = outcome.cases.iter().filter_map(|case| {
        let why = case.changes.as_ref().err()?;
        Some(format!("No fleet of {} under {}: {why}.\n", case.n, case.way))
    });
    let refused: String = refused.collect();
    format!(
        "Rings are those of the defaults, but from {LARGE} servers on those with slots have more: {}.\n{refused}\n",
        large.join("; ")
    )
}

fn lives(outcome: &Outcome) -> String {
    let row = |it: &super::History| {
        let values = [it.fresh, it.end, it.mean, it.most].map(|value| format!("{value:.3}"));
        [it.scheme.clone()].into_iter().chain(values).collect()
    };
    let rows: Vec<Vec<String>> = outcome.histories.iter().map(row).collect();
    let (changes, lives) = outcome.histories.first().map_or((0, 0), |it| (it.changes, it.lives));
    format!(
        "After {changes} random joins and leaves of 5 to 15 servers ({lives} such lives; the busiest server over the \
         mean): the same servers as a new fleet, as the changes left them, on average after every change, and at worst. \
         `ketama`, `maglev` and `rendezvous` have no memory, so the first two are equal.\n\n{}",
        table(&["scheme", "new", "afterwards", "mean", "worst"], &rows)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::Wrong;

    fn outcome() -> Outcome {
        let change = |moved, needless, ideal| Change { moved, needless, ideal };
        let changes = Changes { join: change(0.3, 0.0, 0.25), leave: change(0.5, 0.17, 0.33) };
        let case = |way: &str, n, changes| Case { way: way.to_owned(), n, measures: String::new(), changes };
        Outcome {
            keys: 100,
            tries: 2,
            cases: vec![
                case("even", 3, Ok(changes)),
                case("even", 10, Ok(changes)),
                case("odd", 10, Err("full".to_owned())),
            ],
            histories: Vec::new(),
            wrong: Wrong::default(),
        }
    }

    #[test]
    fn what_moved_stands_beside_what_should() {
        let text = section(&outcome());
        for part in [
            "| *ideal* | 25.00 | 9.09 | 3.23 | 0.99 |",
            "| even | 30.00 | 30.00 | – | – |",
            "| even | 50.00 of 33.00 (17.00) |",
            "| odd | – | – |",
            "No fleet of 10 under odd: full.",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }

    #[test]
    fn charts_leave_out_what_there_is_not() {
        assert_eq!(over_ideal(&outcome()).series[0].1, [1.2]);
        assert!(charts(&outcome()).iter().all(|(_, svg)| svg.ends_with("</svg>\n")));
    }
}
