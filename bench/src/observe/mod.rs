//! What watching costs: the same balancer without metrics, with them, while they are read, and with an access log, in turns.

mod report;
mod scraper;
mod variant;
mod verdict;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use crate::chaos::status;
use crate::client::Client;
use crate::measurement::{Measurement, Results};
use crate::options;
use crate::peers::Subject;
use crate::process::Folder;
use crate::stage::{BACKENDS, Stage, save};
use crate::vitals;
use crate::wrk::Load;
use report::{Report, Row};
use variant::Variant;

/// One variant under way.
struct Turn {
    variant: Variant,
    subject: Subject,
    rounds: Vec<Measurement>,
    scrapes: u64,
}

/// What the balancer says of itself, as far as it is of use here.
#[derive(Deserialize)]
struct Status {
    totals: Totals,
}

#[derive(Deserialize)]
struct Totals {
    /// `None` where requests are not counted.
    requests: Option<u64>,
    /// `None` where there is no access log.
    access_log_dropped: Option<u64>,
}

/// Measures, prints, and writes what was asked for. True: it was measured, whatever the result.
///
/// # Errors
/// Something does not start, wrk is missing, or we are interrupted.
pub fn run(options: &options::Observe) -> Result<bool> {
    let folder = Folder::new()?;
    let stage = Stage::new(&folder, &options.ringmaster, options.time, options.patience)?;
    let mut report = Report::new(vitals::machine(), method(options, &stage));
    report.rows = rows(options, &stage)?;
    report.judge();
    print!("{}", report.to_text());
    save(options.json.as_deref(), &(serde_json::to_string_pretty(&report)? + "\n"))?;
    save(options.markdown.as_deref(), &report.to_markdown())?;
    Ok(true)
}

fn method(options: &options::Observe, stage: &Stage<'_>) -> String {
    format!(
        "Medians over {} round(s) of {} s, in which all took turns, each round began with another, and every other went \
         backwards; small answers, {} connections; load by wrk with {} thread(s) on the same machine; the same {BACKENDS} backends behind all. `off` is \
         `--metrics off`, `metrics` the default, `scraped` the default while its metrics are read once a second, `combined` \
         and `json` the default with that access log, written to a file in {} that is emptied after each turn.",
        options.rounds,
        options.time.as_secs(),
        options.connections,
        stage.wrk.threads(),
        std::env::temp_dir().display(),
    )
}

fn rows(options: &options::Observe, stage: &Stage<'_>) -> Result<Vec<Row>> {
    let mut turns: Vec<Turn> =
        Variant::ALL.into_iter().map(|variant| Turn::prepare(variant, stage)).collect::<Result<_>>()?;
    let load = Load { paths: "/small/", connections: options.connections, is_closing: false };
    for round in 0..options.rounds {
        for at in order(round, turns.len()) {
            let turn = &mut turns[at];
            eprintln!("round {} of {}: {}", round + 1, options.rounds, turn.variant.name());
            turn.take(stage, load)?;
        }
    }
    turns.into_iter().map(Turn::end).collect()
}

/// The order of a round: each begins one further than the one before it, and every other goes backwards, so that none has
/// always the same before it.
fn order(round: usize, count: usize) -> impl Iterator<Item = usize> {
    let step = move |at: usize| if round.is_multiple_of(2) { at } else { count - at };
    (0..count).map(move |at| (round + step(at)) % count)
}

impl Turn {
    /// Starts a balancer of this variant, and sees to it that the variant is in force.
    fn prepare(variant: Variant, stage: &Stage<'_>) -> Result<Turn> {
        let name = format!("ringmaster-{}", variant.name());
        let subject = stage.start_variant(&name, variant.flags())?;
        stage.warm_up(&subject)?;
        let Totals { requests, access_log_dropped } = totals(&subject)?;
        ensure!(
            requests.is_some() == variant.counts() && access_log_dropped.is_some() == variant.logs(),
            "{name} counts {requests:?} requests and has dropped {access_log_dropped:?} lines of its log, which is another \
             variant"
        );
        subject.forget_output()?;
        Ok(Turn { variant, subject, rounds: Vec::new(), scrapes: 0 })
    }

    /// Measures it once.
    fn take(&mut self, stage: &Stage<'_>, load: Load<'_>) -> Result<()> {
        let measure = || stage.measure(&self.subject, load);
        let found = if self.variant.is_scraped() {
            let (found, scrapes) = scraper::beside(self.subject.address, measure)?;
            self.scrapes += scrapes;
            found
        } else {
            measure()?
        };
        self.rounds.push(found);
        self.subject.forget_output()
    }

    fn end(self) -> Result<Row> {
        let Turn { variant, subject, rounds, scrapes } = self;
        let dropped = totals(&subject)?.access_log_dropped;
        let scrapes = variant.is_scraped().then_some(scrapes);
        Ok(Row { variant, results: Results::new(rounds), dropped, scrapes })
    }
}

fn totals(subject: &Subject) -> Result<Totals> {
    let answer = Client::connect(subject.address).and_then(|mut client| client.get(status::PATH));
    let answer = answer.context("ask the balancer for its status")?;
    let status: Status = status::message(&answer.body)?;
    Ok(status.totals)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn none_is_always_first_or_behind_the_same() {
        let orders: Vec<Vec<usize>> = (0..4).map(|round| order(round, 3).collect()).collect();
        assert_eq!(orders, [[0, 1, 2], [1, 0, 2], [2, 0, 1], [0, 2, 1]]);
    }

    #[test]
    fn what_the_balancer_says_of_itself() {
        let read = |totals: &str| {
            let body = format!(r#"{{"message":{{"N":3,"totals":{totals}}},"status":"successful"}}"#);
            status::message::<Status>(body.as_bytes()).map(|status| status.totals)
        };
        let off = read(r#"{"requests":null,"retries":0,"access_log_dropped":null}"#).unwrap();
        assert_eq!((off.requests, off.access_log_dropped), (None, None));
        let json = read(r#"{"requests":7,"retries":0,"access_log_dropped":2}"#).unwrap();
        assert_eq!((json.requests, json.access_log_dropped), (Some(7), Some(2)));
    }
}
