//! The options of `bench scale`.

use std::ops::RangeInclusive;
use std::path::PathBuf;

use anyhow::Result;

use super::given::{Given, unknown};
use super::{Job, beside_us};

/// Replicas of a run: enough that their heartbeats show beside the balancer's own connections, and as many as it allows
/// when nobody says otherwise. To find the slots of more takes longer than a start may.
const REPLICAS: RangeInclusive<usize> = 10..=256;

/// Options of `bench scale`.
#[derive(Debug)]
pub struct Scale {
    /// The balancer's program.
    pub ringmaster: PathBuf,
    /// Replicas.
    pub replicas: usize,
}

/// Reads them.
///
/// # Errors
/// One line that says what is wrong.
pub fn read(given: &mut Given) -> Result<Job> {
    let mut options = Scale { ringmaster: beside_us()?, replicas: 100 };
    while let Some(flag) = given.flag()? {
        match flag.as_str() {
            "ringmaster" => options.ringmaster = given.path()?,
            "replicas" => options.replicas = given.within(&flag, REPLICAS)?,
            "help" => return Ok(Job::Help),
            _ => return unknown(&flag),
        }
    }
    Ok(Job::Scale(options))
}
