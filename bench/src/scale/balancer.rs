//! The balancer of a run, and the children that are its replicas.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{DEADLINE, INTERVAL};
use crate::chaos::faults::replica_name;
use crate::chaos::status::{self, Status};
use crate::client::Client;
use crate::interrupt;
use crate::options;
use crate::process::{Folder, Process, ringmaster};
use crate::vitals;

/// Slots for each replica: its nine virtual servers, and three times as many that are free.
const SLOTS_EACH: usize = 9 * 4;

/// The most slots a ring can have.
const MOST_SLOTS: usize = 16_384;

/// What ran each replica at some moment, by name, as the balancer calls it.
pub type Instances = BTreeMap<String, Option<String>>;

/// A running balancer, and one connection to it that stays open: so asking it opens none that would be counted.
pub struct Balancer {
    /// The process.
    pub process: Process,
    client: Client,
    _folder: Folder,
}

impl Balancer {
    /// Starts one, which may not serve yet.
    ///
    /// # Errors
    /// It does not start.
    pub fn start(options: &options::Scale) -> Result<Balancer> {
        let folder = Folder::new()?;
        let (replicas, slots) = (options.replicas.to_string(), slots(options.replicas).to_string());
        let interval = format!("{}ms", INTERVAL.as_millis());
        let mut args = vec!["--listen", "127.0.0.1:0", "--launcher", "process", "--log-level", "info"];
        args.extend(["--replicas", &replicas, "--max-replicas", &replicas, "--slots", &slots]);
        args.extend(["--heartbeat-interval", &interval]);
        let process = Process::start("ringmaster", ringmaster(&options.ringmaster, args)?, &folder)?;
        let address = process.announced_address()?;
        let client = Client::connect(address).context("connect to the balancer")?;
        Ok(Balancer { process, client, _folder: folder })
    }

    /// What it says of its replicas.
    ///
    /// # Errors
    /// It does not say.
    pub fn status(&mut self) -> Result<Status> {
        let answer = self.client.get(status::PATH).context("ask the balancer for its status")?;
        status::message(&answer.body)
    }

    /// What runs each replica that serves now.
    ///
    /// # Errors
    /// It does not say.
    pub fn instances(&mut self) -> Result<Instances> {
        Ok(instances(&self.status()?))
    }

    /// Asks for the status every `period` until `done` likes it; returns how long that took.
    ///
    /// # Errors
    /// It never does: the error is `what`, and what the balancer said last. Or we are interrupted.
    pub fn wait(
        &mut self,
        what: &str,
        period: Duration,
        mut done: impl FnMut(&Status) -> bool,
    ) -> Result<Duration> {
        let begin = Instant::now();
        loop {
            interrupt::check()?;
            if done(&self.status()?) {
                return Ok(begin.elapsed());
            }
            ensure!(begin.elapsed() < DEADLINE, "{:#}", self.process.failure(what));
            std::thread::sleep(period);
        }
    }

    /// The processes of its replicas, by name.
    pub fn children(&self) -> BTreeMap<String, Pid> {
        let children = vitals::children(self.process.id()).into_iter();
        let named = children
            .filter_map(|child| Some((replica_name(&child.args())?, Pid::from_raw(child.pid.cast_signed()))));
        named.collect()
    }
}

/// What runs each replica that serves.
pub fn instances(status: &Status) -> Instances {
    status.serving().into_iter().map(|replica| (replica.name.clone(), replica.instance.clone())).collect()
}

/// How many of those that serve now are run by something else than before.
pub fn replaced(before: &Instances, now: &Instances) -> usize {
    now.iter().filter(|(name, instance)| before.get(*name).is_some_and(|old| old != *instance)).count()
}

/// Sends a signal to replicas; one that has just ended needs none.
pub fn signal<'a>(pids: impl IntoIterator<Item = &'a Pid>, signal: Signal) {
    for pid in pids {
        let _ = kill(*pid, signal);
    }
}

fn slots(replicas: usize) -> usize {
    (replicas * SLOTS_EACH).min(MOST_SLOTS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replicas_have_room() {
        assert_eq!((slots(100), slots(256), slots(1000)), (3600, 9216, MOST_SLOTS));
    }

    #[test]
    fn only_what_changed_hands_was_replaced() {
        let of = |list: &[(&str, &str)]| -> Instances {
            list.iter().map(|(name, instance)| ((*name).to_owned(), Some((*instance).to_owned()))).collect()
        };
        let before = of(&[("a", "1"), ("b", "2"), ("c", "3")]);
        assert_eq!(replaced(&before, &of(&[("a", "1"), ("b", "4")])), 1);
        assert_eq!(replaced(&before, &of(&[("d", "5")])), 0);
    }
}
