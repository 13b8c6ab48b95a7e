//! What can be done to replicas, and which of them are alive.

use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::docker::Docker;
use super::status::Replica;
use crate::vitals::{self, Entry};

/// How long a slow replica stops: less than the balancer allows a heartbeat.
const STOPS_FOR: Duration = Duration::from_millis(250);

/// What the replicas are.
pub enum Replicas {
    /// Children of the balancer with this process id.
    Children(u32),
    /// Containers.
    Containers(Docker),
}

/// A replica as the system sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Being {
    /// The child's name as a replica, or the container's full id.
    pub key: String,
    /// Its state in the system's words.
    pub state: String,
    /// Whether it runs, as opposed to: stopped, dead.
    pub runs: bool,
}

impl Replicas {
    /// Ends one at once.
    ///
    /// # Errors
    /// It is not there any more.
    pub fn kill(&self, replica: &Replica) -> Result<()> {
        match self {
            Replicas::Children(balancer) => signal(child(*balancer, replica)?, Signal::SIGKILL),
            Replicas::Containers(docker) => docker.call(&["kill", "--", id(replica)?]).map(drop),
        }
    }

    /// Removes one behind the balancer's back; with processes that is to kill it.
    ///
    /// # Errors
    /// It is not there any more.
    pub fn remove(&self, replica: &Replica) -> Result<()> {
        match self {
            Replicas::Children(_) => self.kill(replica),
            Replicas::Containers(docker) => docker.call(&["rm", "--force", "--", id(replica)?]).map(drop),
        }
    }

    /// Stops one for good; its connections stay open.
    ///
    /// # Errors
    /// It is not there any more.
    pub fn hang(&self, replica: &Replica) -> Result<()> {
        match self {
            Replicas::Children(balancer) => signal(child(*balancer, replica)?, Signal::SIGSTOP),
            Replicas::Containers(docker) => docker.call(&["pause", "--", id(replica)?]).map(drop),
        }
    }

    /// Stops one for a moment. It may be replaced meanwhile; then there is nothing to let go on.
    ///
    /// # Errors
    /// It is not there any more.
    pub fn slow(&self, replica: &Replica) -> Result<()> {
        match self {
            Replicas::Children(balancer) => {
                let stopped = child(*balancer, replica)?;
                signal(stopped, Signal::SIGSTOP)?;
                thread::sleep(STOPS_FOR);
                if child(*balancer, replica).is_ok_and(|now| now == stopped) {
                    let _ = signal(stopped, Signal::SIGCONT);
                }
            }
            Replicas::Containers(docker) => {
                self.hang(replica)?;
                thread::sleep(STOPS_FOR);
                let _ = docker.call(&["unpause", "--", id(replica)?]);
            }
        }
        Ok(())
    }

    /// All that there are.
    ///
    /// # Errors
    /// The engine does not say.
    pub fn beings(&self) -> Result<Vec<Being>> {
        match self {
            Replicas::Children(balancer) => {
                Ok(vitals::children(*balancer).into_iter().filter_map(|entry| being(&entry)).collect())
            }
            Replicas::Containers(docker) => {
                let being = |it: super::docker::Container| {
                    let runs = it.state == "running";
                    Being { key: it.id, state: it.state, runs }
                };
                Ok(docker.containers()?.into_iter().map(being).collect())
            }
        }
    }

    /// What the system calls a replica, as in [`Being`].
    pub fn key(&self, replica: &Replica) -> String {
        match self {
            Replicas::Children(_) => replica.name.clone(),
            Replicas::Containers(_) => replica.instance.clone().unwrap_or_default(),
        }
    }

    /// The engine, if there is one.
    pub fn docker(&mut self) -> Option<&mut Docker> {
        match self {
            Replicas::Children(_) => None,
            Replicas::Containers(docker) => Some(docker),
        }
    }
}

/// A replica among the balancer's children; `None` for another program. The dead have no command line any more.
fn being(entry: &Entry) -> Option<Being> {
    let name = match entry.state {
        'Z' | 'X' => format!("process {}", entry.pid),
        _ => replica_name(&entry.args())?,
    };
    Some(Being { key: name, state: entry.state.to_string(), runs: !matches!(entry.state, 'T' | 'Z' | 'X') })
}

/// The name of the replica that a process is, by its command line.
pub fn replica_name(args: &[String]) -> Option<String> {
    let flag = args.iter().position(|word| word == "--server-id")?;
    args.get(flag + 1).filter(|_| args.get(1).is_some_and(|word| word == "replica")).cloned()
}

/// The child that is a replica now.
fn child(balancer: u32, replica: &Replica) -> Result<u32> {
    let is_it = |entry: &Entry| replica_name(&entry.args()).is_some_and(|name| name == replica.name);
    let found = vitals::children(balancer).into_iter().find(is_it);
    found.map(|entry| entry.pid).with_context(|| format!("no process is {}", replica.name))
}

fn id(replica: &Replica) -> Result<&str> {
    replica.instance.as_deref().with_context(|| format!("no container is {}", replica.name))
}

fn signal(pid: u32, signal: Signal) -> Result<()> {
    kill(Pid::from_raw(pid.cast_signed()), signal).with_context(|| format!("send {signal} to process {pid}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replicas_are_known_by_their_command_line() {
        let name = |line: &str| {
            let args: Vec<String> = line.split(' ').map(str::to_owned).collect();
            replica_name(&args)
        };
        let line =
            "/bin/ringmaster replica --listen 127.0.0.1:0 --announce --end-with-stdin --server-id server_3";
        assert_eq!(name(line), Some("server_3".to_owned()));
        assert_eq!(name("docker run --server-id server_3"), None);
        assert_eq!(name("/bin/ringmaster replica --server-id"), None);
    }
}
