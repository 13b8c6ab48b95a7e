//! The balancer of an experiment: one of our own, or one that runs already.

use std::path::Path;

use anyhow::{Result, bail};

use crate::admin::Admin;
use crate::failure::Failure;
use crate::process::Process;
use crate::target::Target;

/// A balancer that answers.
pub struct Balancer {
    /// Where it listens.
    pub target: Target,
    /// Its own paths.
    pub admin: Admin,
    /// The process, if it is ours.
    pub process: Option<Process>,
}

impl Balancer {
    /// Starts one with replicas that are processes, on a port of the system's choice. Of a setting that is given
    /// twice the later one counts, so `settings` may say otherwise.
    ///
    /// # Errors
    /// It does not start.
    pub fn start(program: &Path, settings: &[String]) -> Result<Balancer> {
        let ours = ["--listen", "127.0.0.1:0", "--launcher", "process", "--log-level", "info"];
        let all: Vec<String> = ours.into_iter().map(str::to_owned).chain(settings.iter().cloned()).collect();
        let (process, address) = Process::start(program, &all)?;
        let target = Target::at(address);
        let admin = Admin::new(target.clone());
        admin.wait_until_all_serve()?;
        Ok(Balancer { target, admin, process: Some(process) })
    }

    /// One that runs already.
    ///
    /// # Errors
    /// Nobody answers, or somebody else.
    pub fn join(target: &Target) -> Result<Balancer> {
        let admin = Admin::new(target.clone());
        let answer = admin
            .call("GET", "/rep", "")
            .map_err(|error| Failure::Unreachable(format!("nobody answers at {}: {error}", target.url())))?;
        if answer.status != 200 {
            bail!("{} is no balancer: GET /rep was answered with {}", target.url(), answer.status);
        }
        Ok(Balancer { target: target.clone(), admin, process: None })
    }
}
