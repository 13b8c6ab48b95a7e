//! Results on the disk: whole or not at all.

use std::env;
use std::fs;
use std::io;
use std::path::Path;
use std::process;
use std::thread;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::options::Options;

/// A result with what one must know to judge it.
#[derive(Debug, Serialize, Deserialize)]
pub struct Record {
    /// Which experiment.
    pub experiment: String,
    /// How it was run.
    pub about: About,
    /// What came out.
    pub result: Value,
}

/// When, where and how.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// When it ended, UTC.
    pub date: String,
    /// The command line.
    pub command: String,
    /// The balancer's URL, or that it was our own, or what there was in its place.
    pub balancer: String,
    /// Requests of one measurement; 0 where none were sent, and then the next two say nothing either.
    pub requests: u64,
    /// Keep-alive connections.
    pub connections: usize,
    /// When requests were sent.
    pub pace: String,
    /// The seed.
    pub seed: u64,
    /// Processors of the machine.
    pub cpus: usize,
    /// What they are.
    pub cpu: String,
    /// The system.
    pub kernel: String,
}

impl About {
    /// This run, on this machine, now.
    pub fn now(options: &Options) -> About {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let own = || match options.balancer_settings().join(" ") {
            none if none.is_empty() => "started here with its defaults".to_owned(),
            settings => format!("started here with {settings}"),
        };
        About {
            date: jiff::Timestamp::now().strftime("%Y-%m-%d %H:%M:%S UTC").to_string(),
            command: options.command.clone(),
            balancer: options.url.as_ref().map_or_else(own, crate::target::Target::url),
            requests: options.requests,
            connections: options.connections,
            pace: options.pace.describe(),
            seed: options.seed,
            cpus: thread::available_parallelism().map_or(1, usize::from),
            cpu: model(&read("/proc/cpuinfo")),
            kernel: format!("{} {}", env::consts::OS, read("/proc/sys/kernel/osrelease").trim()),
        }
    }

    /// The same for what was computed without any balancer, from `what`.
    pub fn computed(options: &Options, what: &str) -> About {
        let (balancer, pace) = (format!("none, {what}"), String::new());
        About { balancer, pace, requests: 0, connections: 0, ..About::now(options) }
    }
}

/// The model in the words of `/proc/cpuinfo`; not every architecture has it there.
fn model(cpuinfo: &str) -> String {
    let line = cpuinfo.lines().find_map(|line| line.strip_prefix("model name"));
    let name = line.and_then(|rest| rest.split_once(':')).map(|(_, name)| name.trim());
    name.unwrap_or(env::consts::ARCH).to_owned()
}

/// Writes a file so that whoever reads it finds the old one or the new one, never half of one.
///
/// # Errors
/// The system does not let us.
pub fn write(folder: &Path, name: &str, text: &str) -> Result<()> {
    let path = folder.join(name);
    let new = folder.join(format!(".{name}.{}", process::id()));
    let written = fs::create_dir_all(folder)
        .and_then(|()| fs::write(&new, text))
        .and_then(|()| fs::rename(&new, &path));
    if written.is_err() {
        let _ = fs::remove_file(&new);
    }
    written.with_context(|| format!("write {}", path.display()))
}

/// Reads the record of an experiment, if there is one.
///
/// # Errors
/// There is one that cannot be read.
pub fn read(folder: &Path, experiment: &str) -> Result<Option<Record>> {
    let path = folder.join(format!("{experiment}.json"));
    let context = || format!("read {}", path.display());
    let text = match fs::read_to_string(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        text => text.with_context(context)?,
    };
    serde_json::from_str(&text).map(Some).with_context(context)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_model_of_the_processor() {
        assert_eq!(model("processor\t: 0\nmodel name\t: Some CPU @ 2 GHz\n"), "Some CPU @ 2 GHz");
        assert_eq!(model("processor : 0\n"), env::consts::ARCH);
    }

    #[test]
    fn files_appear_whole_and_leave_nothing_beside_them() {
        let folder = env::temp_dir().join(format!("experiments-results-{}", process::id()));
        write(&folder, "a.json", "{").unwrap();
        assert!(read(&folder, "a").is_err());
        write(&folder, "a.json", "null").unwrap();
        assert!(read(&folder, "b").unwrap().is_none());
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
        fs::remove_dir_all(&folder).unwrap();
    }
}
