//! The options of `bench chaos`.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use anyhow::Result;

use super::given::{Given, unknown};
use super::{Job, MOST_CONNECTIONS, beside_us};

/// Replicas of a chaos run: enough that some serve whatever happens, and room on the ring for a few more.
const REPLICAS: RangeInclusive<usize> = 4..=50;

/// Options of `bench chaos`.
#[derive(Debug)]
pub struct Chaos {
    /// The balancer's program.
    pub ringmaster: PathBuf,
    /// How long things happen.
    pub time: Duration,
    /// What makes the plan; a random one if it is not given.
    pub seed: Option<u64>,
    /// What the replicas are.
    pub launcher: ReplicaKind,
    /// Replicas in the beginning.
    pub replicas: usize,
    /// Clients.
    pub clients: usize,
    /// Time between two requests of a client.
    pub every: Duration,
    /// The replicas' image, if they are containers.
    pub image: String,
    /// Where the balancer's log goes.
    pub log: Option<PathBuf>,
}

/// What replicas can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplicaKind {
    /// Processes.
    Process,
    /// Docker containers.
    Docker,
}

impl FromStr for ReplicaKind {
    type Err = ();

    fn from_str(word: &str) -> std::result::Result<ReplicaKind, ()> {
        match word {
            "process" => Ok(ReplicaKind::Process),
            "docker" => Ok(ReplicaKind::Docker),
            _ => Err(()),
        }
    }
}

/// Reads them.
///
/// # Errors
/// One line that says what is wrong.
pub fn read(given: &mut Given) -> Result<Job> {
    let mut options = Chaos {
        ringmaster: beside_us()?,
        time: Duration::from_secs(30),
        seed: None,
        launcher: ReplicaKind::Process,
        replicas: 6,
        clients: 16,
        every: Duration::from_millis(20),
        image: "ringmaster-server".to_owned(),
        log: None,
    };
    while let Some(flag) = given.flag()? {
        match flag.as_str() {
            "ringmaster" => options.ringmaster = given.path()?,
            "seconds" => options.time = Duration::from_secs(given.at_least(&flag, 1)?),
            "seed" => options.seed = Some(given.parsed(&flag)?),
            "launcher" => options.launcher = given.parsed(&flag)?,
            "replicas" => options.replicas = given.within(&flag, REPLICAS)?,
            "clients" => options.clients = given.within(&flag, 1..=MOST_CONNECTIONS)?,
            "every" => options.every = Duration::from_millis(given.at_least(&flag, 1)?),
            "image" => options.image = given.parsed(&flag)?,
            "log" => options.log = Some(given.path()?),
            "help" => return Ok(Job::Help),
            _ => return unknown(&flag),
        }
    }
    Ok(Job::Chaos(options))
}
