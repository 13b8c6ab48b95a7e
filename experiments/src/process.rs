//! The balancer as a child process that ends with us, and its replicas, which are children of it.

use std::collections::VecDeque;
use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

use crate::interrupt;

/// How long the balancer may take until it listens.
const START: Duration = Duration::from_secs(20);

/// How long it may take to end when asked; then it is killed.
const GRACE: Duration = Duration::from_secs(15);

/// Lines of its log that an error shows.
const SHOWN: usize = 10;

/// A running balancer. Dropping it asks it to end, and sees to it that it does.
pub struct Process {
    child: Child,
    last_words: Arc<Mutex<VecDeque<String>>>,
}

impl Process {
    /// Starts `program` with these settings, in a process group of its own, so that a Ctrl-C at the terminal reaches
    /// us alone. Returns where it listens.
    ///
    /// # Errors
    /// It cannot be started, ends at once, or does not say where it listens.
    pub fn start(program: &Path, settings: &[String]) -> Result<(Process, SocketAddr)> {
        let mut command = Command::new(program);
        for (name, _) in env::vars_os() {
            if name.to_string_lossy().starts_with("RINGMASTER_") || name == "RUST_LOG" {
                command.env_remove(name);
            }
        }
        command.args(settings).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let started = command.process_group(0).spawn();
        let mut child = started.with_context(|| format!("start {}", program.display()))?;
        let log = child.stderr.take();
        let process = Process { child, last_words: Arc::default() };
        let log = log.context("read the balancer's log")?;
        let address = process.read_log(log)?;
        Ok((process, address))
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Reads the log to its end on a thread, so that the pipe never fills; waits for the address.
    fn read_log(&self, log: impl Read + Send + 'static) -> Result<SocketAddr> {
        let (found, addresses) = mpsc::channel();
        let last_words = Arc::clone(&self.last_words);
        thread::spawn(move || {
            for line in BufReader::new(log).lines().map_while(Result::ok) {
                if let Some(address) = announced(&line) {
                    // Nobody waits any more for the second one.
                    let _ = found.send(address);
                }
                let mut words = last_words.lock().unwrap_or_else(PoisonError::into_inner);
                words.push_back(line);
                if words.len() > SHOWN {
                    words.pop_front();
                }
            }
        });
        let until = Instant::now() + START;
        loop {
            interrupt::check()?;
            match addresses.recv_timeout(Duration::from_millis(50)) {
                Ok(address) => return Ok(address),
                Err(RecvTimeoutError::Timeout) if Instant::now() < until => {}
                Err(RecvTimeoutError::Timeout) => return Err(self.failure("does not say where it listens")),
                Err(RecvTimeoutError::Disconnected) => return Err(self.failure("ended at once")),
            }
        }
    }

    fn failure(&self, what: &str) -> anyhow::Error {
        let words = self.last_words.lock().unwrap_or_else(PoisonError::into_inner);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        anyhow::anyhow!("the balancer {what}; it said:\n{}", words.join("\n"))
    }

    /// The process of a replica.
    ///
    /// # Errors
    /// No child of the balancer is that replica.
    pub fn replica(&self, name: &str) -> Result<Pid> {
        let is_it = |pid: &u32| replica_name(&command_line(*pid)).is_some_and(|it| it == name);
        let found = children(self.id()).into_iter().find(is_it);
        let pid = found.with_context(|| format!("no child of the balancer is {name}"))?;
        Ok(Pid::from_raw(pid.cast_signed()))
    }
}

/// Ends a process at once.
///
/// # Errors
/// There is none.
pub fn kill_at_once(pid: Pid) -> Result<()> {
    kill(pid, Signal::SIGKILL).with_context(|| format!("kill process {pid}"))
}

impl Drop for Process {
    fn drop(&mut self) {
        let pid = Pid::from_raw(self.child.id().cast_signed());
        // Until it is waited for its number is its own, running or dead.
        let _ = kill(pid, Signal::SIGTERM);
        let until = Instant::now() + GRACE;
        while matches!(self.child.try_wait(), Ok(None)) {
            if Instant::now() >= until {
                let _ = killpg(pid, Signal::SIGKILL);
                let _ = self.child.wait();
                return;
            }
            thread::sleep(Duration::from_millis(5));
        }
    }
}

/// The address that a line of the log tells, if it does.
fn announced(line: &str) -> Option<SocketAddr> {
    let (_, text) = line.split_once("listening on ")?;
    text.split_whitespace().next()?.parse().ok()
}

/// The children of a process: each of its threads may have some.
fn children(pid: u32) -> Vec<u32> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let lists = threads.filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    let mut children = Vec::new();
    for list in lists {
        children.extend(list.split_whitespace().filter_map(|word| word.parse::<u32>().ok()));
    }
    children
}

fn command_line(pid: u32) -> Vec<String> {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&bytes).split('\0').map(str::to_owned).collect()
}

/// The name of the replica that a process is, by its command line.
fn replica_name(args: &[String]) -> Option<&String> {
    let flag = args.iter().position(|word| word == "--server-id")?;
    args.get(flag + 1).filter(|_| args.get(1).is_some_and(|word| word == "replica"))
}

/// Allows us and what we start as many descriptors as the system lets us: each connection is one here and one there.
///
/// # Errors
/// The system does not say.
pub fn raise_descriptor_limit() -> Result<()> {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, most, most).context("raise the limit of descriptors")
}

/// The balancer's program: the one that was given; in a workspace the one that cargo builds now, beside this program;
/// else the one beside this program.
///
/// # Errors
/// There is none, or it cannot be built.
pub fn program(given: Option<&Path>) -> Result<PathBuf> {
    if let Some(given) = given {
        return if given.is_file() { Ok(given.to_owned()) } else { bail!("there is no {}", given.display()) };
    }
    let this = env::current_exe().context("find this program")?;
    let folder = this.parent().context("find this program's folder")?;
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    // Set by `cargo run`; a program that was installed somewhere has no business with cargo.
    if let (Some(cargo), true) = (env::var_os("CARGO"), workspace.join("Cargo.toml").is_file()) {
        let target = folder.parent().context("find the target folder")?;
        build(Command::new(cargo).current_dir(workspace).env("CARGO_TARGET_DIR", target))?;
        return Ok(target.join("release").join("ringmaster"));
    }
    let beside = folder.join("ringmaster");
    if !beside.is_file() {
        bail!(
            "there is no {}: build it with `cargo build --release --bin ringmaster`, or say where it is with \
             --ringmaster",
            beside.display()
        );
    }
    Ok(beside)
}

fn build(cargo: &mut Command) -> Result<()> {
    cargo.args(["build", "--release", "--quiet", "--bin", "ringmaster"]);
    let status = cargo.stdin(Stdio::null()).status().context("start cargo")?;
    interrupt::check()?;
    if status.success() { Ok(()) } else { bail!("the balancer cannot be built") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_found_in_the_log() {
        let address = announced("[2026-01-01T00:00:00.000Z INFO ] listening on 127.0.0.1:46429");
        assert_eq!(address, Some(SocketAddr::from(([127, 0, 0, 1], 46429))));
        assert_eq!(announced("server_3 joined"), None);
        assert_eq!(announced("listening on a star"), None);
    }

    #[test]
    fn replicas_are_known_by_their_command_line() {
        let name = |line: &str| {
            let args: Vec<String> = line.split(' ').map(str::to_owned).collect();
            replica_name(&args).cloned()
        };
        let line = "/proc/self/exe replica --listen 127.0.0.1:0 --server-id server_3 ";
        assert_eq!(name(line), Some("server_3".to_owned()));
        assert_eq!(name("docker run --server-id server_3"), None);
        assert_eq!(name("/proc/self/exe replica --server-id"), None);
    }
}
