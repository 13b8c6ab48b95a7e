//! A3: every endpoint with what it answers, then a replica that is killed under load.

mod crash;
mod expect;
mod pictures;
mod transcript;

use std::fmt::Write;

use anyhow::Result;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::admin::Restored;
use crate::experiment::{Experiment, Findings, Lab};
use crate::load::Wrong;
use crate::report::{picture, table};
use crash::{Crash, Means};
use transcript::Entry;

const TIMELINE: &str = "a3-timeline.svg";
const CLOSEUP: &str = "a3-closeup.svg";
const TRANSCRIPT: &str = "a3-transcript.md";

/// See the [module](self).
pub struct A3;

#[derive(Debug, Serialize, Deserialize)]
struct Outcome {
    transcript: Vec<Entry>,
    crash: Option<Crash>,
    /// Why no replica was killed, if none was.
    not_killed: Option<String>,
    has_closeup: bool,
    wrong: Wrong,
}

impl Experiment for A3 {
    fn name(&self) -> &'static str {
        "a3"
    }

    fn summary(&self) -> &'static str {
        "every endpoint as the contract has it, and the death of a replica under load"
    }

    fn run(&self, lab: &Lab) -> Result<Findings> {
        let balancer = lab.balancer(&[])?;
        let restored = Restored::after(&balancer.admin)?;
        let transcript = transcript::record(&balancer.admin)?;
        let means = Means::of(&balancer, &lab.options);
        let killed = means.map(|means| crash::run(lab, &balancer, &means)).transpose()?;
        restored.restore()?;
        let mut wrong = transcript::wrong(&transcript);
        let mut files = vec![(TRANSCRIPT, transcript::markdown(&transcript))];
        let mut has_closeup = false;
        if let Some((crash, run)) = &killed {
            wrong.merge(crash.wrong.clone());
            files.push((TIMELINE, pictures::timeline(crash, run).svg()));
            let closeup = pictures::closeup(crash, run);
            has_closeup = closeup.is_some();
            files.extend(closeup.map(|chart| (CLOSEUP, chart.svg())));
        }
        let not_killed = killed.is_none().then(|| {
            "replicas of a balancer that was not started here cannot be killed from here; say how with --kill-command"
                .to_owned()
        });
        let crash = killed.map(|(crash, _)| crash);
        let outcome = Outcome { transcript, crash, not_killed, has_closeup, wrong };
        let findings = Findings::new(&outcome, &outcome.wrong)?;
        Ok(files.into_iter().fold(findings, |findings, (name, text)| findings.file(name, text)))
    }

    fn section(&self, result: Value) -> Result<String> {
        Ok(words(&serde_json::from_value(result)?))
    }
}

fn words(outcome: &Outcome) -> String {
    let right = outcome.transcript.iter().filter(|entry| entry.wrong.is_none()).count();
    let mut text = format!(
        "{right} of {} requests were answered as the contract has it; each with its answer is in \
         [{TRANSCRIPT}]({TRANSCRIPT}).\n\n",
        outcome.transcript.len()
    );
    for entry in outcome.transcript.iter().filter(|entry| entry.wrong.is_some()) {
        let _ = writeln!(text, "- wrong: `{} {}`", entry.request, entry.body);
    }
    match (&outcome.crash, &outcome.not_killed) {
        (Some(crash), _) => text += &death(crash, outcome.has_closeup),
        (None, why) => {
            let _ =
                writeln!(text, "No replica was killed: {}.", why.as_deref().unwrap_or("nobody knows why"));
        }
    }
    text
}

fn death(crash: &Crash, has_closeup: bool) -> String {
    let row = |what: &str, at: Option<f64>| {
        let time = |value: Option<f64>| value.map_or("not seen".to_owned(), |value| format!("{value:.3}"));
        let after = at.map(|at| (at - crash.death_s) * 1000.0);
        vec![what.to_owned(), time(at), after.map_or("–".to_owned(), |ms| format!("{ms:.1}"))]
    };
    let rows = [
        row("death: the kill began", Some(crash.death_s)),
        row("detection: the status no longer said serving", crash.detected_s),
        row("relaunch: the status named a new instance", crash.relaunched_s),
        row("first answer of the new life", crash.first_answer_s),
    ];
    let statuses: Vec<String> =
        crash.statuses.iter().map(|(status, count)| format!("{count} × {status}")).collect();
    let mut text = format!(
        "{} was killed ({}) under {} answers in {:.1} s: {}. Wrong answers: {}. Latency p50 {:.2} ms, p99 {:.2} ms, \
         most {:.2} ms.\n\n{}\n",
        crash.replica,
        crash.means,
        crash.answers,
        crash.seconds,
        statuses.join(", "),
        crash.wrong.count,
        crash.latency.p50_ms,
        crash.latency.p99_ms,
        crash.latency.max_ms,
        table(&["what", "s since the load began", "ms after the death"], &rows)
    );
    text += &format!(
        "The status was asked about every {:.1} ms on average, on the busy machine: what it tells is late by about that \
         much, and so may come after the first answer of the new life; a state that is shorter may go unseen.\n\n",
        crash.poll_ms
    );
    text += &picture(TIMELINE, "Answers per 100 ms by replica and by status, with the moments of the table");
    if has_closeup {
        text += "\n";
        text += &picture(CLOSEUP, "The same around the death, in buckets of 10 ms");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_seen_and_not_done_is_said() {
        let mut outcome = Outcome {
            transcript: Vec::new(),
            crash: None,
            not_killed: Some("no way".to_owned()),
            has_closeup: false,
            wrong: Wrong::default(),
        };
        assert!(words(&outcome).contains("No replica was killed: no way."));
        outcome.crash = Some(crash::tests::crash());
        let text = words(&outcome);
        assert!(text.contains("| detection: the status no longer said serving | not seen | – |"), "{text}");
        assert!(text.contains("| first answer of the new life | 1.250 | 250.0 |"), "{text}");
        assert!(!text.contains(CLOSEUP), "{text}");
    }
}
