//! Many replicas and no clients: what watching them costs, whether their heartbeats are spread over the interval, that
//! one which hangs holds up no other, and how long it takes until all serve again when half of them die at once.

mod balancer;
mod connections;

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::sys::signal::Signal;

use crate::interrupt;
use crate::options;
use crate::vitals;
use balancer::{Balancer, instances, replaced};
use connections::{bunching, each, fold, sample, total};

/// Time between two heartbeats to a replica.
const INTERVAL: Duration = Duration::from_millis(500);

/// Time between two looks at the connections, and part of the interval that is told from the next.
const SLICE: Duration = Duration::from_millis(10);

/// Parts of the interval.
const SLICES: usize = (INTERVAL.as_millis() / SLICE.as_millis()) as usize;

/// How long the heartbeats are looked at.
const WATCH: Duration = Duration::from_secs(5);

/// How long the processor time is measured.
const QUIET: Duration = Duration::from_secs(10);

/// How long the launches of all replicas may have after-effects.
const SETTLE: Duration = Duration::from_secs(2);

/// Time between two questions whether all serve.
const POLL: Duration = Duration::from_millis(10);

/// The same while connections are counted: a long answer more often would disturb what it looks at.
const SELDOM: Duration = Duration::from_millis(50);

/// How long anything may take to come about.
const DEADLINE: Duration = Duration::from_secs(60);

/// Part of the usual connections that each interval must have while one replica hangs. On a busy machine some slip into
/// the interval that follows, and the balancer's own are not always as many.
const GOES_ON: f64 = 0.75;

/// Runs; true when the others' heartbeats went on. Each figure is printed as soon as it is known.
///
/// # Errors
/// Something did not come about in time, or we are interrupted.
pub fn run(options: &options::Scale) -> Result<bool> {
    println!("{}", vitals::machine());
    let begin = Instant::now();
    let mut balancer = Balancer::start(options)?;
    start(&mut balancer, options.replicas, begin)?;
    interrupt::pause(SETTLE)?;
    cost(&balancer)?;
    let usual = spread(options.replicas)?;
    let goes_on = hang(&mut balancer, usual)?;
    halve(&mut balancer, options.replicas)?;
    end(&balancer)?;
    Ok(goes_on)
}

fn start(balancer: &mut Balancer, replicas: usize, begin: Instant) -> Result<()> {
    let listens = begin.elapsed();
    balancer.wait("does not get all replicas to serve", POLL, |status| status.serving().len() == replicas)?;
    let slots = balancer.status()?.slots;
    let all = begin.elapsed().as_secs_f64();
    println!(
        "start: listens after {:.2} s, {replicas} replicas on {slots} slots serve after {all:.2} s",
        listens.as_secs_f64()
    );
    Ok(())
}

/// Processor time without clients, and what else the balancer has.
fn cost(balancer: &Balancer) -> Result<()> {
    let pid = balancer.process.id();
    let (begin, before) = (Instant::now(), vitals::own_cpu_time(pid)?);
    interrupt::pause(QUIET)?;
    let used = vitals::own_cpu_time(pid)?.saturating_sub(before);
    let share = used.as_secs_f64() / begin.elapsed().as_secs_f64() * 100.0;
    let vitals = vitals::vitals(pid)?;
    println!(
        "cost: {share:.1} % of a core over {} s, {} threads, {} descriptors, {:.1} MiB",
        QUIET.as_secs(),
        vitals.threads,
        vitals.descriptors,
        vitals.resident as f64 / 1024.0,
    );
    Ok(())
}

/// How evenly the heartbeats are spread over the interval; returns how many connections there are in one.
fn spread(replicas: usize) -> Result<f64> {
    let samples = sample(SLICE, |at| Ok(at >= WATCH))?;
    let intervals = WATCH.as_secs_f64() / INTERVAL.as_secs_f64();
    let (total, folded) = (total(&samples), fold(&samples, INTERVAL, SLICES));
    println!(
        "spread: {total} connections in {} s where {:.0} heartbeats are due; the fullest of {SLICES} parts of the interval has \
         {:.2} times the mean, {} are empty",
        WATCH.as_secs(),
        replicas as f64 * intervals,
        bunching(&folded),
        folded.iter().filter(|count| **count == 0).count(),
    );
    Ok(total as f64 / intervals)
}

/// Stops one replica until it has been replaced; whether the others' heartbeats went on meanwhile, judged by the
/// connections that an interval usually has.
fn hang(balancer: &mut Balancer, usual: f64) -> Result<bool> {
    let before = balancer.instances()?;
    let (name, victim) = balancer.children().pop_first().context("the balancer has no children")?;
    balancer::signal([&victim], Signal::SIGSTOP);
    let mut asked = Duration::ZERO;
    let samples = sample(SLICE, |at| {
        if at < asked + SELDOM {
            return Ok(false);
        }
        asked = at;
        Ok(replaced(&before, &balancer.instances()?) > 0 || at >= DEADLINE)
    })?;
    let time = samples.last().map_or(DEADLINE, |last| last.at);
    if time >= DEADLINE {
        return Err(balancer.process.failure("does not replace a replica that hangs"));
    }
    let counts = each(&samples, INTERVAL);
    let goes_on = counts.iter().all(|count| *count as f64 >= (usual - 1.0) * GOES_ON);
    println!(
        "hang: {name} was replaced after {:.2} s; meanwhile {counts:?} connections in each interval, {usual:.0} before: {}",
        time.as_secs_f64(),
        if goes_on { "the others' heartbeats go on" } else { "THE OTHERS' HEARTBEATS DO NOT GO ON" },
    );
    Ok(goes_on)
}

/// Kills half of the replicas at once, and waits until all serve again.
fn halve(balancer: &mut Balancer, replicas: usize) -> Result<()> {
    balancer.wait("has not all replicas serving", POLL, |status| status.serving().len() == replicas)?;
    let before = balancer.instances()?;
    let children = balancer.children();
    let half = replicas / 2;
    // From the other end than the one that hung: who fails twice within a minute waits before it is launched again.
    balancer::signal(children.values().rev().take(half), Signal::SIGKILL);
    let mut fewest = replicas;
    let time = balancer.wait("does not replace those that were killed", POLL, |status| {
        let now = instances(status);
        fewest = fewest.min(now.len());
        now.len() == replicas && replaced(&before, &now) == half
    })?;
    let time = time.as_secs_f64();
    println!("kill: {half} at once, at least {fewest} served, all {replicas} serve again after {time:.2} s");
    Ok(())
}

fn end(balancer: &Balancer) -> Result<()> {
    let begin = Instant::now();
    balancer.process.signal(Signal::SIGTERM);
    balancer.process.finish(DEADLINE)?;
    println!("end: with status 0 after {:.2} s", begin.elapsed().as_secs_f64());
    Ok(())
}
