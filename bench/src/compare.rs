//! Ringmaster beside other balancers: the same machine, the same backends, the same run, in turns.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::idle;
use crate::options;
use crate::peers::{Peer, Subject, start_backend};
use crate::process::{Folder, Process};
use crate::quiet::{Patience, TOLERATED, Watch};
use crate::report::{LARGE_64, Measurement, Report, Row, SMALL_64, Scenario};
use crate::vitals;
use crate::wrk::{Load, Wrk};

/// How many backends there are.
const BACKENDS: usize = 3;

/// Load on each subject before anything counts.
const WARM_UP: Duration = Duration::from_secs(1);

/// How often something is measured at most until the machine was ours alone.
const TRIES: usize = 3;

/// What all measurements share.
pub struct Stage<'a> {
    /// What was asked for.
    pub options: &'a options::Compare,
    /// The load generator.
    pub wrk: Wrk,
    /// Where the backends are.
    pub backends: Vec<SocketAddr>,
    /// For files.
    pub folder: &'a Folder,
    /// For others on the same machine.
    patience: Patience,
}

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
    let wrk = Wrk::find(&folder)?;
    let mut processes: Vec<Process> = Vec::new();
    let mut backends = Vec::new();
    for number in 1..=BACKENDS {
        let (process, address) = start_backend(number, &folder)?;
        processes.push(process);
        backends.push(address);
    }
    let patience = Patience::new(options.patience);
    let stage = Stage { options, wrk, backends, folder: &folder, patience };
    let mut report = stage.new_report();
    for name in &report.left_out {
        eprintln!("{name} is not installed and left out");
    }
    report.scenarios = stage.scenarios()?;
    if options.idle > 0 && options.only.iter().any(|kind| kind == "idle") {
        report.idle = idle::measure(&stage)?;
    }
    report.judge();
    print!("{}", report.to_text());
    if let Some(path) = &options.json {
        save(path, &(serde_json::to_string_pretty(&report)? + "\n"))?;
    }
    if let Some(path) = &options.markdown {
        save(path, &report.to_markdown())?;
    }
    Ok(true)
}

fn save(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("write {}", path.display()))
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

impl Stage<'_> {
    fn new_report(&self) -> Report {
        let (installed, missing): (Vec<Peer>, Vec<Peer>) =
            Peer::ALL.iter().partition(|peer| peer.is_installed());
        let options = self.options;
        Report {
            machine: vitals::machine(),
            method: format!(
                "Medians over {} round(s) of {} s, in which all took turns; load by wrk with {} thread(s) on the same \
                 machine; 1,000 different paths, hashed by each balancer to the same {BACKENDS} backends; `direct` \
                 is the first backend alone.",
                options.rounds,
                options.time.as_secs(),
                self.wrk.threads()
            ),
            versions: installed.iter().filter_map(|peer| peer.version(&options.ringmaster)).collect(),
            left_out: missing.iter().map(|peer| peer.name()).collect(),
            scenarios: Vec::new(),
            idle: None,
            targets: Vec::new(),
        }
    }

    /// Starts a subject.
    ///
    /// # Errors
    /// It does not start.
    pub fn start(&self, peer: Peer) -> Result<Subject> {
        peer.start(&self.backends, &self.options.ringmaster, self.folder)
    }

    fn scenarios(&self) -> Result<Vec<Scenario>> {
        let is_wanted = |plan: &Plan| self.options.only.iter().any(|kind| kind == plan.kind);
        let plans: Vec<Plan> = plans(&self.options.connections).into_iter().filter(is_wanted).collect();
        if plans.is_empty() {
            return Ok(Vec::new());
        }
        let subjects: Vec<Subject> = Peer::ALL
            .iter()
            .filter(|peer| peer.is_installed())
            .map(|&peer| self.start(peer))
            .collect::<Result<_>>()?;
        for subject in &subjects {
            self.warm_up(subject)?;
        }
        // For each plan and subject, the rounds.
        let mut found: Vec<Vec<Vec<Measurement>>> = vec![vec![Vec::new(); subjects.len()]; plans.len()];
        for round in 1..=self.options.rounds {
            for (plan, found) in plans.iter().zip(&mut found) {
                eprintln!("round {round} of {}: {}", self.options.rounds, plan.name);
                for (subject, found) in subjects.iter().zip(found) {
                    found.push(self.measure(subject, plan.load)?);
                }
            }
        }
        let scenario = |(plan, found): (Plan, Vec<Vec<Measurement>>)| Scenario {
            name: plan.name,
            counts_bytes: plan.counts_bytes,
            rows: subjects
                .iter()
                .zip(found)
                .map(|(subject, rounds)| Row::new(subject.peer, rounds))
                .collect(),
        };
        Ok(plans.into_iter().zip(found).map(scenario).collect())
    }

    /// Lets a subject open its connections and find its memory.
    ///
    /// # Errors
    /// wrk fails, or we are interrupted.
    pub fn warm_up(&self, subject: &Subject) -> Result<()> {
        let load = Load { paths: "/small/", connections: 64, is_closing: false };
        self.wrk.run(subject.address, load, WARM_UP, self.folder)?;
        Ok(())
    }

    /// One measurement: the first run that others did not disturb, or the one that they disturbed least.
    ///
    /// # Errors
    /// wrk fails, or we are interrupted.
    pub fn measure(&self, subject: &Subject, load: Load<'_>) -> Result<Measurement> {
        let mut best = self.run_once(subject, load)?;
        for _ in 1..TRIES {
            if best.others <= TOLERATED || self.patience.is_gone() {
                break;
            }
            let another = self.patience.spend(|| self.run_once(subject, load))?;
            if another.others < best.others {
                best = another;
            }
        }
        Ok(best)
    }

    fn run_once(&self, subject: &Subject, load: Load<'_>) -> Result<Measurement> {
        self.patience.wait_for_quiet()?;
        let cpu = || subject.id().map(vitals::cpu_time);
        let watch = Watch::begin();
        let before = cpu();
        let figures = self.wrk.run(subject.address, load, self.options.time, self.folder)?;
        let spent = before.zip(cpu()).map(|(before, after)| after.saturating_sub(before));
        let others = watch.others();
        let cpu_each = |spent: Duration| spent.as_secs_f64() * 1000.0 * 1000.0 / figures.requests as f64;
        Ok(Measurement {
            requests_per_second: figures.requests_per_second(),
            mib_per_second: figures.mib_per_second(),
            p50_ms: figures.p50 as f64 / 1000.0,
            p99_ms: figures.p99 as f64 / 1000.0,
            cpu_ms_per_1000_requests: spent.filter(|_| figures.requests > 0).map(cpu_each),
            errors: figures.errors(),
            others,
        })
    }
}
