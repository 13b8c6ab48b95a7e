//! Replicas that die or hang.

use std::fmt;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::vitals::{self, Entry};

/// Every so many faults, one is a replica that hangs.
const HANGS_EVERY: u64 = 3;

/// Makes faults, and counts them.
pub struct Faults {
    /// The balancer whose children are the replicas, if it is ours.
    balancer: Option<u32>,
    /// How often a fault was asked for.
    pub rounds: u64,
    killed: u64,
    stopped: u64,
    changes: u64,
    /// Changes that were not answered with 200, in words.
    pub changes_refused: Vec<String>,
}

impl Faults {
    /// For the replicas of the balancer with this process id; without one there are no faults.
    pub fn new(balancer: Option<u32>) -> Faults {
        Faults { balancer, rounds: 0, killed: 0, stopped: 0, changes: 0, changes_refused: Vec::new() }
    }

    /// Kills or stops one replica.
    pub fn one(&mut self) {
        self.rounds += 1;
        let Some(replica) = self.balancer.and_then(any_replica) else { return };
        let hangs = self.rounds.is_multiple_of(HANGS_EVERY);
        let signal = if hangs { Signal::SIGSTOP } else { Signal::SIGKILL };
        // It may have ended since; then this round has no fault.
        if kill(Pid::from_raw(replica.cast_signed()), signal).is_ok() {
            *(if hangs { &mut self.stopped } else { &mut self.killed }) += 1;
        }
    }

    /// Counts an addition and a removal, which went well or not.
    pub fn count_change(&mut self, outcome: Result<(), String>) {
        self.changes += 1;
        self.changes_refused.extend(outcome.err());
    }
}

/// One of the replicas that run.
fn any_replica(balancer: u32) -> Option<u32> {
    let runs = |entry: &Entry| !matches!(entry.state, 'T' | 'Z' | 'X');
    let is_replica = |entry: &Entry| entry.args().get(1).is_some_and(|word| word == "replica");
    let replicas: Vec<Entry> =
        vitals::children(balancer).into_iter().filter(|entry| runs(entry) && is_replica(entry)).collect();
    fastrand::choice(&replicas).map(|replica| replica.pid)
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Faults { killed, stopped, changes, .. } = self;
        write!(f, "{killed} replicas killed, {stopped} stopped, {changes} added and removed")
    }
}
