//! The options of `bench observe`.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;

use super::given::{Given, unknown};
use super::{Job, MOST_CONNECTIONS, beside_us};

/// Options of `bench observe`.
#[derive(Debug)]
pub struct Observe {
    /// The balancer's program.
    pub ringmaster: PathBuf,
    /// Time of one measurement.
    pub time: Duration,
    /// Measurements of each variant.
    pub rounds: usize,
    /// Keep-alive connections.
    pub connections: usize,
    /// Time that may go into waiting for others on this machine.
    pub patience: Duration,
    /// Where the results go as JSON.
    pub json: Option<PathBuf>,
    /// Where the table goes as Markdown.
    pub markdown: Option<PathBuf>,
}

/// Reads them.
///
/// # Errors
/// One line that says what is wrong.
pub fn read(given: &mut Given) -> Result<Job> {
    let mut options = Observe {
        ringmaster: beside_us()?,
        time: Duration::from_secs(5),
        rounds: 10,
        connections: 64,
        patience: Duration::from_secs(120),
        json: None,
        markdown: None,
    };
    while let Some(flag) = given.flag()? {
        match flag.as_str() {
            "ringmaster" => options.ringmaster = given.path()?,
            "seconds" => options.time = Duration::from_secs(given.at_least(&flag, 1)?),
            "rounds" => options.rounds = given.at_least(&flag, 1)?,
            "connections" => options.connections = given.within(&flag, 1..=MOST_CONNECTIONS)?,
            "patience" => options.patience = Duration::from_secs(given.parsed(&flag)?),
            "json" => options.json = Some(given.path()?),
            "markdown" => options.markdown = Some(given.path()?),
            "help" => return Ok(Job::Help),
            _ => return unknown(&flag),
        }
    }
    Ok(Job::Observe(options))
}
