//! Looks at the balancer's status all the time: who serves, and how long a replica that was hurt takes to serve again.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::plan::Kind;
use super::status::{self, Replica, State, Status};
use crate::client::Client;

/// Time between two looks: the precision of the times.
const LOOK: Duration = Duration::from_millis(20);

/// How long the status may take: it waits for nobody.
const PATIENCE: Duration = Duration::from_secs(5);

/// A replica that was hurt and does not serve again yet.
#[derive(Debug)]
struct Wound {
    name: String,
    /// What was hurt; another in its place is the replica come back.
    instance: Option<String>,
    kind: Kind,
    since: Instant,
}

/// How long one took to serve again.
pub type Healing = (Kind, Duration);

/// What was seen.
#[derive(Debug, Default)]
struct Seen {
    status: Status,
    wounds: Vec<Wound>,
    healings: Vec<Healing>,
    failures: Vec<String>,
}

/// The running watch; it ends when this is dropped.
pub struct Watch {
    seen: Arc<Mutex<Seen>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    /// Watches the balancer at `address`.
    pub fn start(address: SocketAddr) -> Watch {
        let (seen, stop): (Arc<Mutex<Seen>>, Arc<AtomicBool>) = Default::default();
        let thread = thread::spawn({
            let (seen, stop) = (seen.clone(), stop.clone());
            move || {
                let mut client = None;
                while !stop.load(SeqCst) {
                    let outcome = ask(&mut client, address);
                    lock(&seen).take_in(outcome, Instant::now());
                    thread::sleep(LOOK);
                }
            }
        });
        Watch { seen, stop, thread: Some(thread) }
    }

    /// The fleet as it was at the last look.
    pub fn status(&self) -> Status {
        lock(&self.seen).status.clone()
    }

    /// Those that serve and were not hurt: some that were may not be missed yet. Sorted by name.
    pub fn sound(&self) -> Vec<Replica> {
        let seen = lock(&self.seen);
        let is_hurt = |replica: &Replica| seen.wounds.iter().any(|wound| wound.name == replica.name);
        seen.status.serving().into_iter().filter(|replica| !is_hurt(replica)).cloned().collect()
    }

    /// Notes that a replica is about to be hurt.
    pub fn hurt(&self, replica: &Replica, kind: Kind) {
        let Replica { name, instance, .. } = replica.clone();
        lock(&self.seen).wounds.push(Wound { name, instance, kind, since: Instant::now() });
    }

    /// Forgets the last note about a replica: it was not hurt after all.
    pub fn unhurt(&self, replica: &Replica) {
        let mut seen = lock(&self.seen);
        if let Some(at) = seen.wounds.iter().rposition(|wound| wound.name == replica.name) {
            seen.wounds.remove(at);
        }
    }

    /// The names of those that were hurt and do not serve again.
    pub fn hurting(&self) -> Vec<String> {
        lock(&self.seen).wounds.iter().map(|wound| wound.name.clone()).collect()
    }

    /// How long those took that serve again.
    pub fn healings(&self) -> Vec<Healing> {
        lock(&self.seen).healings.clone()
    }

    /// Looks that the balancer did not answer, in words.
    pub fn failures(&self) -> Vec<String> {
        lock(&self.seen).failures.clone()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop.store(true, SeqCst);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One look, on the connection that is there or on a new one.
fn ask(kept: &mut Option<Client>, address: SocketAddr) -> Result<Status> {
    let reused = match kept.take() {
        Some(mut client) => client.get_or_silence(status::PATH)?.map(|answer| (client, answer)),
        None => None,
    };
    let (client, answer) = match reused {
        Some(answered) => answered,
        None => {
            let mut client = Client::connect_with(address, PATIENCE)?;
            let answer = client.get(status::PATH)?;
            (client, answer)
        }
    };
    let text = String::from_utf8_lossy(&answer.body);
    ensure!(answer.status == 200, "{} answers {}: {text}", status::PATH, answer.status);
    *kept = Some(client).filter(|_| !answer.closes);
    status::message(&answer.body)
}

impl Seen {
    fn take_in(&mut self, outcome: Result<Status>, now: Instant) {
        match outcome {
            Ok(status) => {
                self.status = status;
                self.heal(now);
            }
            Err(error) => self.failures.push(format!("{error:#}")),
        }
    }

    /// Closes the wounds of those that serve again, and forgets those that left: they are not to come back.
    fn heal(&mut self, now: Instant) {
        let Seen { status, wounds, healings, .. } = self;
        wounds.retain(|wound| {
            let Some(replica) = status.replica(&wound.name) else { return false };
            match replica.state {
                State::Draining => false,
                State::Serving if replica.instance != wound.instance => {
                    healings.push((wound.kind, now - wound.since));
                    false
                }
                _ => true,
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::super::status::tests::fleet;
    use super::*;

    #[test]
    fn a_replica_is_healed_when_another_instance_serves_in_its_name() {
        let since = Instant::now();
        let wound =
            |name: &str, kind| Wound { name: name.to_owned(), instance: Some("old".to_owned()), kind, since };
        let wounds = [("a", Kind::Kill), ("b", Kind::Hang), ("c", Kind::Kill), ("d", Kind::Kill)];
        let wounds = wounds.map(|(name, kind)| wound(name, kind)).into();
        let mut seen = Seen { wounds, ..Seen::default() };
        let then = |seconds| since + Duration::from_secs(seconds);
        let (up, down) = (State::Serving, State::Failed);
        // Not missed yet, being replaced, on its way out, gone.
        let first =
            [("a", up, "old", 5), ("b", down, "", 0), ("c", State::Draining, "old", 0), ("e", up, "old", 5)];
        seen.take_in(Ok(fleet(&first)), then(1));
        assert!(seen.healings.is_empty());
        seen.take_in(Ok(fleet(&[("a", down, "new", 0), ("b", up, "new", 10)])), then(2));
        seen.take_in(Ok(fleet(&[("a", up, "new", 5), ("b", up, "new", 5)])), then(3));
        assert_eq!(
            seen.healings,
            [(Kind::Hang, Duration::from_secs(2)), (Kind::Kill, Duration::from_secs(3))]
        );
        assert!(seen.wounds.is_empty());
    }
}
