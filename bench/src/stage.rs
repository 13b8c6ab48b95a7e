//! Where subjects are measured: three backends, the load generator, and patience with others on the same machine.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::measurement::Measurement;
use crate::peers::{Peer, Subject, start_backend, start_ringmaster};
use crate::process::{Folder, Process};
use crate::quiet::{Patience, TOLERATED, Watch};
use crate::vitals;
use crate::wrk::{Load, Wrk};

/// How many backends there are.
pub const BACKENDS: usize = 3;

/// Load on each subject before anything counts.
const WARM_UP: Duration = Duration::from_secs(1);

/// How often something is measured at most until the machine was ours alone.
const TRIES: usize = 3;

/// What all measurements of a job share.
pub struct Stage<'a> {
    /// The load generator.
    pub wrk: Wrk,
    /// Our own balancer's program.
    ringmaster: &'a Path,
    /// Time of one measurement.
    time: Duration,
    /// Where the backends are.
    backends: Vec<SocketAddr>,
    /// What they run in.
    _processes: Vec<Process>,
    /// For files.
    folder: &'a Folder,
    /// For others on the same machine.
    patience: Patience,
}

/// Writes what was found to where it was asked for.
///
/// # Errors
/// The system does not let us.
pub fn save(path: Option<&Path>, text: &str) -> Result<()> {
    let Some(path) = path else { return Ok(()) };
    fs::write(path, text).with_context(|| format!("write {}", path.display()))
}

impl<'a> Stage<'a> {
    /// Starts the backends. A measurement takes `time`, and others on this machine may hold us up for as long as
    /// `patience`, in all.
    ///
    /// # Errors
    /// They do not start, or wrk is missing.
    pub fn new(
        folder: &'a Folder,
        ringmaster: &'a Path,
        time: Duration,
        patience: Duration,
    ) -> Result<Stage<'a>> {
        let wrk = Wrk::find(folder)?;
        let started = (1..=BACKENDS).map(|number| start_backend(number, folder));
        let (processes, backends) = started.collect::<Result<_>>()?;
        let patience = Patience::new(patience);
        Ok(Stage { wrk, ringmaster, time, backends, _processes: processes, folder, patience })
    }

    /// Starts a subject.
    ///
    /// # Errors
    /// It does not start.
    pub fn start(&self, peer: Peer) -> Result<Subject> {
        peer.start(&self.backends, self.ringmaster, self.folder)
    }

    /// Starts our balancer under another name, with more flags.
    ///
    /// # Errors
    /// It does not start.
    pub fn start_variant(&self, name: &str, flags: &[&str]) -> Result<Subject> {
        start_ringmaster(name, &self.backends, self.ringmaster, flags, self.folder)
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
        let figures = self.wrk.run(subject.address, load, self.time, self.folder)?;
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
