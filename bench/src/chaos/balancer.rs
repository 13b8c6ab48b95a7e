//! The balancer of a run, with replicas that are its children or containers of a fleet of its own.

use std::net::SocketAddr;

use anyhow::{Context, Result};
use nix::sys::signal::Signal;

use super::docker::Docker;
use super::faults::Replicas;
use crate::client::{Answer, Client};
use crate::options::{self, ReplicaKind};
use crate::process::{Folder, Process, ringmaster};

/// Longest pause between two launches of a replica that fail: how long it may stay away after an engine has failed.
const LONGEST_PAUSE: &str = "2s";

/// The running balancer. It ends before what it may leave behind is removed, and that before the folder: in the order
/// of the fields. An engine that fails at the moment would only keep it from ending.
pub struct Balancer {
    /// The process.
    pub process: Process,
    /// Where it listens.
    pub address: SocketAddr,
    /// What its replicas are.
    pub replicas: Replicas,
    _folder: Folder,
}

impl Balancer {
    /// Starts one.
    ///
    /// # Errors
    /// It does not start.
    pub fn start(options: &options::Chaos) -> Result<Balancer> {
        let folder = Folder::new()?;
        let number = options.replicas.to_string();
        let fleet = format!("chaos-{}", std::process::id());
        let network = format!("{fleet}-net");
        let mut args = vec!["--listen", "127.0.0.1:0", "--replicas", &number, "--log-level", "info"];
        args.extend(["--longest-pause", LONGEST_PAUSE]);
        let docker = match options.launcher {
            ReplicaKind::Process => {
                args.extend(["--launcher", "process"]);
                None
            }
            ReplicaKind::Docker => {
                args.extend(["--launcher", "docker", "--image", &options.image]);
                args.extend(["--fleet", &fleet, "--network", &network]);
                Some(Docker::new(&fleet, &folder)?)
            }
        };
        let mut command = ringmaster(&options.ringmaster, args)?;
        if let Some(docker) = &docker {
            command.env("PATH", docker.path()?);
        }
        let process = Process::start("ringmaster", command, &folder)?;
        let address = process.announced_address()?;
        let replicas = match docker {
            Some(docker) => Replicas::Containers(docker),
            None => Replicas::Children(process.id()),
        };
        Ok(Balancer { process, address, replicas, _folder: folder })
    }

    /// One GET of its own paths.
    ///
    /// # Errors
    /// There was no whole answer.
    pub fn get(&self, path: &str) -> Result<Answer> {
        Client::connect(self.address)
            .and_then(|mut client| client.get(path))
            .with_context(|| format!("ask the balancer for {path}"))
    }

    /// Goes on only while it runs.
    ///
    /// # Errors
    /// It has ended.
    pub fn check(&self) -> Result<()> {
        match self.process.ended() {
            None => Ok(()),
            Some(status) => Err(self.process.failure(&format!("ended with status {status}"))),
        }
    }

    /// Asks it to end, with an engine that works.
    pub fn ask_to_end(&mut self) {
        self.restore_engine();
        self.process.signal(Signal::SIGTERM);
    }

    fn restore_engine(&mut self) {
        if let Some(docker) = self.replicas.docker()
            && let Err(error) = docker.restore()
        {
            eprintln!("bench: {error:#}");
        }
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        self.restore_engine();
    }
}
