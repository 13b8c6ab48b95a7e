//! Ringmaster beside other balancers: the same machine, the same backends, the same run, in turns.

use anyhow::Result;

use crate::idle;
use crate::measurement::{Measurement, Results};
use crate::options;
use crate::peers::{Peer, Subject};
use crate::process::Folder;
use crate::report::{LARGE_64, Report, Row, SMALL_64, Scenario};
use crate::stage::{BACKENDS, Stage, save};
use crate::vitals;
use crate::wrk::Load;

/// A scenario to be measured.
struct Plan {
    /// One of [`options::KINDS`].
    kind: &'static str,
    name: String,
    load: Load<'static>,
    counts_bytes: bool,
}

/// Measures, prints, and writes what was asked for. True: it was measured, whatever the result.
///
/// # Errors
/// Something does not start, wrk is missing, or we are interrupted.
pub fn run(options: &options::Compare) -> Result<bool> {
    let folder = Folder::new()?;
    let stage = Stage::new(&folder, &options.ringmaster, options.time, options.patience)?;
    let mut report = new_report(options, &stage);
    for name in &report.left_out {
        eprintln!("{name} is not installed and left out");
    }
    report.scenarios = scenarios(options, &stage)?;
    if options.idle > 0 && options.only.iter().any(|kind| kind == "idle") {
        report.idle = idle::measure(options, &stage)?;
    }
    report.judge();
    print!("{}", report.to_text());
    save(options.json.as_deref(), &(serde_json::to_string_pretty(&report)? + "\n"))?;
    save(options.markdown.as_deref(), &report.to_markdown())?;
    Ok(true)
}

fn plans(connections: &[usize]) -> Vec<Plan> {
    let plan = |kind, name, connections| {
        let paths = if kind == "large" { "/large/" } else { "/small/" };
        let load = Load { paths, connections, is_closing: kind == "close" };
        Plan { kind, name, load, counts_bytes: kind == "large" }
    };
    let name = |count| match count {
        64 => SMALL_64.to_owned(),
        count => format!("small answers, {count} connections"),
    };
    let mut plans: Vec<Plan> = connections.iter().map(|&count| plan("small", name(count), count)).collect();
    plans.push(plan("close", "small answers, a connection for each, 64 at a time".to_owned(), 64));
    plans.push(plan("large", LARGE_64.to_owned(), 64));
    plans
}

fn new_report(options: &options::Compare, stage: &Stage<'_>) -> Report {
    let (installed, missing): (Vec<Peer>, Vec<Peer>) = Peer::ALL.iter().partition(|peer| peer.is_installed());
    Report {
        machine: vitals::machine(),
        method: format!(
            "Medians over {} round(s) of {} s, in which all took turns; load by wrk with {} thread(s) on the same \
             machine; 1,000 different paths, hashed by each balancer to the same {BACKENDS} backends; `direct` \
             is the first backend alone.",
            options.rounds,
            options.time.as_secs(),
            stage.wrk.threads()
        ),
        versions: installed.iter().filter_map(|peer| peer.version(&options.ringmaster)).collect(),
        left_out: missing.iter().map(|peer| peer.name()).collect(),
        scenarios: Vec::new(),
        idle: None,
        targets: Vec::new(),
    }
}

fn scenarios(options: &options::Compare, stage: &Stage<'_>) -> Result<Vec<Scenario>> {
    let is_wanted = |plan: &Plan| options.only.iter().any(|kind| kind == plan.kind);
    let plans: Vec<Plan> = plans(&options.connections).into_iter().filter(is_wanted).collect();
    if plans.is_empty() {
        return Ok(Vec::new());
    }
    let subjects: Vec<Subject> = Peer::ALL
        .iter()
        .filter(|peer| peer.is_installed())
        .map(|&peer| stage.start(peer))
        .collect::<Result<_>>()?;
    for subject in &subjects {
        stage.warm_up(subject)?;
    }
    // For each plan and subject, the rounds.
    let mut found: Vec<Vec<Vec<Measurement>>> = vec![vec![Vec::new(); subjects.len()]; plans.len()];
    for round in 1..=options.rounds {
        for (plan, found) in plans.iter().zip(&mut found) {
            eprintln!("round {round} of {}: {}", options.rounds, plan.name);
            for (subject, found) in subjects.iter().zip(found) {
                found.push(stage.measure(subject, plan.load)?);
            }
        }
    }
    let scenario = |(plan, found): (Plan, Vec<Vec<Measurement>>)| Scenario {
        name: plan.name,
        counts_bytes: plan.counts_bytes,
        rows: subjects
            .iter()
            .zip(found)
            .map(|(subject, rounds)| Row { peer: subject.peer, results: Results::new(rounds) })
            .collect(),
    };
    Ok(plans.into_iter().zip(found).map(scenario).collect())
}
