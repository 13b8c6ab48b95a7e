//! The load generator: wrk, and what it reports.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::process::{Folder, Process, find_program};

const SCRIPT: &str = include_str!("wrk.lua");

/// How much longer than it was told wrk may take; it waits for nothing in the end.
const OVERTIME: Duration = Duration::from_secs(20);

/// wrk, and its script in a file.
pub struct Wrk {
    program: PathBuf,
    script: PathBuf,
    threads: usize,
}

/// One run's load.
#[derive(Clone, Copy, Debug)]
pub struct Load<'a> {
    /// The beginning of the paths asked for.
    pub paths: &'a str,
    /// Connections, each with one request at a time.
    pub connections: usize,
    /// Whether each request has a connection of its own.
    pub is_closing: bool,
}

/// What a run showed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Figures {
    /// Requests that were answered.
    pub requests: u64,
    /// How long it took.
    pub time: Duration,
    /// Bytes received, with heads.
    pub bytes: u64,
    /// Median time of a request, in microseconds.
    pub p50: u64,
    /// Time of a request that 99 of 100 keep, in microseconds.
    pub p99: u64,
    /// Answers with a status of 400 or more.
    pub refused: u64,
    /// Connections that failed, and requests that took longer than wrk's 2 s.
    pub failed: u64,
}

impl Wrk {
    /// Finds it.
    ///
    /// # Errors
    /// It is not installed.
    pub fn find(folder: &Folder) -> Result<Wrk> {
        let program = find_program("wrk").context(
            "wrk, which makes the load, is not installed: `apt-get install wrk`, `brew install wrk`, or see \
             https://github.com/wg/wrk",
        )?;
        // On few cores a second thread of the load generator is in the way of what it measures.
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let threads = if cores >= 4 { 2 } else { 1 };
        Ok(Wrk { program, script: folder.write("wrk.lua", SCRIPT)?, threads })
    }

    /// How many threads it uses.
    pub fn threads(&self) -> usize {
        self.threads
    }

    /// Puts load on a server.
    ///
    /// # Errors
    /// wrk fails, or we are interrupted.
    pub fn run(&self, to: SocketAddr, load: Load<'_>, time: Duration, folder: &Folder) -> Result<Figures> {
        let mut command = Command::new(&self.program);
        command.arg("-t").arg(self.threads.min(load.connections).to_string());
        command.arg("-c").arg(load.connections.to_string());
        command.arg("-d").arg(format!("{}s", time.as_secs()));
        if load.is_closing {
            command.args(["-H", "Connection: close"]);
        }
        command.arg("--latency").arg("-s").arg(&self.script);
        command.arg(format!("http://{to}")).args(["--", load.paths]).stdin(Stdio::null());
        let wrk = Process::start("wrk", command, folder)?;
        wrk.finish(time + OVERTIME)?;
        Figures::parse(&wrk.output()).ok_or_else(|| wrk.failure("gave no figures"))
    }
}

impl Figures {
    /// Reads the line that the script prints in the end.
    fn parse(output: &str) -> Option<Figures> {
        let line = output.lines().find_map(|line| line.strip_prefix("figures "))?;
        let numbers: Vec<u64> = line.split(' ').map(str::parse).collect::<Result<_, _>>().ok()?;
        let [requests, micros, bytes, p50, p99, refused, failed] = numbers[..] else { return None };
        Some(Figures { requests, time: Duration::from_micros(micros), bytes, p50, p99, refused, failed })
    }

    /// Requests answered in a second.
    pub fn requests_per_second(&self) -> f64 {
        self.requests as f64 / self.time.as_secs_f64()
    }

    /// MiB received in a second.
    pub fn mib_per_second(&self) -> f64 {
        self.bytes as f64 / self.time.as_secs_f64() / (1024.0 * 1024.0)
    }

    /// What was not as it should be.
    pub fn errors(&self) -> u64 {
        self.refused + self.failed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "Running 5s test @ http://127.0.0.1:8080\n  1 threads and 64 connections\n\
        Latency Distribution\n     50%  635.00us\n     99%    2.10ms\nRequests/sec:  40000.00\n\
        Transfer/sec:      6.33MB\nfigures 200000 5000000 26214400 635 2100 3 4\n";

    #[test]
    fn the_figures_of_a_run() {
        let figures = Figures::parse(OUTPUT).unwrap();
        assert_eq!(figures.requests_per_second(), 40_000.0);
        assert_eq!(figures.mib_per_second(), 5.0);
        assert_eq!((figures.p50, figures.p99, figures.errors()), (635, 2100, 7));
    }

    #[test]
    fn no_figures() {
        for output in ["", "figures 1 2 3", "figures 1 2 3 4 5 6 x", "unable to connect"] {
            assert_eq!(Figures::parse(output), None, "{output}");
        }
    }
}
