//! Anything that can happen to a fleet, at random, under load: replicas that die, hang, stall or vanish, additions and
//! removals, an engine that fails. No client may notice, and afterwards everything must be as if nothing had happened.
//! A seed repeats a run's order of faults.

mod balancer;
mod changes;
mod docker;
pub mod faults;
mod invariants;
mod plan;
mod run;
pub mod status;
mod verdict;
mod watch;

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::interrupt;
use crate::options::{self, ReplicaKind};
use crate::paced::{Clients, OnSilence};
use crate::vitals::{self, Entry};
use balancer::Balancer;
use faults::Replicas;
use invariants::Finding;
use plan::Plan;
use run::Run;
use verdict::Verdict;
use watch::Watch;

/// How long all replicas may take to serve in the beginning.
const START: Duration = Duration::from_secs(60);

/// How long the last answers may take to be counted off after the load.
const SETTLE: Duration = Duration::from_secs(5);

/// How long the balancer may take to end: it drains nothing, and stops containers side by side.
const END: Duration = Duration::from_secs(30);

/// Runs for the time asked for; true when everything holds afterwards.
///
/// # Errors
/// The balancer does not start or ends by itself, or we are interrupted.
pub fn run(options: &options::Chaos) -> Result<bool> {
    let seed = options.seed.unwrap_or_else(|| fastrand::u64(..1 << 32));
    println!("seed {seed}");
    let mut balancer = Balancer::start(options)?;
    let outcome = live(options, seed, &mut balancer);
    if let Some(path) = &options.log {
        fs::write(path, balancer.process.output()).with_context(|| format!("write {}", path.display()))?;
    }
    let verdict = outcome?;
    print!("{verdict}");
    Ok(verdict.is_good())
}

fn live(options: &options::Chaos, seed: u64, balancer: &mut Balancer) -> Result<Verdict> {
    let watch = Watch::start(balancer.address);
    wait_until_all_serve(balancer, &watch, options.replicas)?;
    let clients =
        Clients::start(balancer.address, options.clients, Some(options.every), OnSilence::SendAgain);
    let mut run = Run::new(balancer, &watch, options.replicas);
    run.live_for(options.time, Plan::new(seed, options.launcher == ReplicaKind::Docker))?;
    let mut findings = run.heal()?;
    let load = clients.stop();
    let (faults, excused, failures) = (run.counts.clone(), run.excused(), run.failures);
    findings.push(Finding::of_failures("the fleet healed, and changed as it was told", &failures));
    findings.push(nothing_in_flight(&watch)?);
    findings.push(invariants::no_loss(&load));
    findings.push(Finding::of_failures("the status was always told", &watch.failures()));
    let healings = watch.healings();
    drop(watch);
    findings.extend(end(balancer)?);
    Ok(Verdict { seed, faults, excused, load, healings, findings })
}

fn wait_until_all_serve(balancer: &Balancer, watch: &Watch, replicas: usize) -> Result<()> {
    let all_serve = interrupt::wait_until(START, || {
        balancer.check()?;
        Ok(watch.status().serving().len() == replicas)
    })?;
    let why = watch.failures().pop().unwrap_or_default();
    ensure!(all_serve, "{:#}\n{why}", balancer.process.failure("has not all replicas serving"));
    Ok(())
}

fn nothing_in_flight(watch: &Watch) -> Result<Finding> {
    interrupt::wait_until(SETTLE, || Ok(invariants::in_flight(&watch.status()).holds))?;
    Ok(invariants::in_flight(&watch.status()))
}

/// Ends the balancer, and looks for what it left.
fn end(balancer: &mut Balancer) -> Result<[Finding; 2]> {
    let children: Vec<(Entry, Vec<String>)> = vitals::children(balancer.process.id())
        .into_iter()
        .map(|child| (child.clone(), child.args()))
        .collect();
    let begin = Instant::now();
    balancer.ask_to_end();
    interrupt::wait_until(END, || Ok(balancer.process.ended().is_some()))?;
    let status = balancer.process.ended();
    let seen = match status {
        Some(status) => format!("status {status} after {:.1} s", begin.elapsed().as_secs_f64()),
        None => format!("it runs after {} s", END.as_secs()),
    };
    // The dead have no command line, and another process of the same number has another one.
    let mut left: Vec<String> = children
        .iter()
        .filter(|(child, args)| args.len() > 1 && child.args() == *args)
        .map(|(child, args)| format!("process {} ({})", child.pid, args.join(" ")))
        .collect();
    if let Replicas::Containers(docker) = &balancer.replicas {
        left.extend(docker.containers()?.iter().map(|it| format!("container {} ({})", it.id, it.state)));
        left.extend(docker.networks()?.iter().map(|name| format!("network {name}")));
    }
    Ok([
        Finding::new("the balancer ends when asked to", status == Some(0), seen),
        Finding::of_failures("it leaves nothing behind", &left),
    ])
}
