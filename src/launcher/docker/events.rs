//! The engine's events: a container of ours that ends is known of within milliseconds.
//!
//! `docker events` runs for as long as the balancer does. When it ends (the engine was restarted, say) it is started
//! again; meanwhile heartbeats notice what dies, only later. A thread of its own reads what it says.

use std::io::{self, BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::container::FLEET;
use super::is_id;
use crate::launcher::command::{self, shorten};
use crate::launcher::{Notice, Tell};
use crate::shutdown::Shutdown;

/// Pause before `docker events` is started again: this first, twice as long each time, at most [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// An engine that was away is noticed to be back after this time at most; asking costs one call.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// How long the engine may take to say its version. One that hangs is away.
const ANSWERS_WITHIN: Duration = Duration::from_secs(5);

/// Longest line that is read; an id has 64 characters.
const LINE_LIMIT: u64 = 1024;

/// Longest part of the error output that is read.
const ERROR_LIMIT: u64 = 4096;

/// Events are followed until this is dropped.
pub(super) struct Following {
    end: Shutdown,
    running: Running,
}

/// The `docker events` that runs, if one does.
type Running = Arc<Mutex<Option<Child>>>;

fn lock(running: &Running) -> MutexGuard<'_, Option<Child>> {
    running.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for Following {
    fn drop(&mut self) {
        self.end.begin();
        // The thread sees the end of its output, and reaps it.
        if let Some(child) = &mut *lock(&self.running) {
            let _ = child.kill();
        }
    }
}

/// Follows the events of `fleet` on a thread of its own.
///
/// # Errors
/// The system has no thread.
pub(super) fn follow(fleet: &str, leash: Option<PathBuf>, tell: Tell) -> io::Result<Following> {
    let (end, running) = (Shutdown::default(), Running::default());
    let follower =
        Follower { fleet: fleet.to_owned(), leash, tell, end: end.clone(), running: running.clone() };
    thread::Builder::new().name("events".into()).spawn(move || follower.run())?;
    Ok(Following { end, running })
}

struct Follower {
    fleet: String,
    leash: Option<PathBuf>,
    tell: Tell,
    end: Shutdown,
    running: Running,
}

impl Follower {
    fn run(&self) {
        let mut pause = FIRST_PAUSE;
        while !self.end.begun() {
            let begun = Instant::now();
            let why = self.listen();
            if self.end.begun() {
                return;
            }
            // One that ran for a while was well; one that never does is tried ever more rarely.
            if begun.elapsed() > LONGEST_PAUSE {
                pause = FIRST_PAUSE;
            }
            log::warn!(
                "the engine's events ended ({why}): until they are back, heartbeats alone notice deaths"
            );
            if !self.wait_for_the_engine(&mut pause) {
                return;
            }
            log::info!("following the engine's events again");
            (self.tell)(Notice::Back);
        }
    }

    /// Sleeps until the engine answers; `false` when the end comes first.
    fn wait_for_the_engine(&self, pause: &mut Duration) -> bool {
        loop {
            if self.end.sleep(*pause) {
                return false;
            }
            *pause = (*pause * 2).min(LONGEST_PAUSE);
            let asked =
                command::run("docker", &["version", "--format", "{{.Server.Version}}"], ANSWERS_WITHIN);
            if asked.is_ok_and(|version| !version.trim().is_empty()) {
                return true;
            }
        }
    }

    /// Runs `docker events` once and tells what it says; returns why it ended.
    fn listen(&self) -> String {
        let mut child = match self.command().spawn() {
            Ok(child) => child,
            Err(error) => return format!("docker events: cannot run it: {error}"),
        };
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        *lock(&self.running) = Some(child);
        // Whoever wanted the end may have looked just before there was something to end.
        if self.end.begun() {
            lock(&self.running).as_mut().map(Child::kill);
        }
        if let Some(stdout) = stdout {
            self.read(BufReader::new(stdout));
        }
        let child = lock(&self.running).take();
        if let Some(mut child) = child {
            // It may only have closed its output.
            let _ = child.kill();
            let _ = child.wait();
        }
        stderr.map_or(String::new(), last_words)
    }

    fn read(&self, mut lines: impl BufRead) {
        let mut line = Vec::new();
        loop {
            line.clear();
            match lines.by_ref().take(LINE_LIMIT).read_until(b'\n', &mut line) {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
            let id = String::from_utf8_lossy(&line);
            let id = id.trim();
            if is_id(id) {
                (self.tell)(Notice::Ended(id.into()));
            }
        }
    }

    /// `docker events` for the deaths of our containers, one full id a line; ends with us where there is a leash.
    fn command(&self) -> Command {
        let mut command = match &self.leash {
            Some(leash) => {
                let mut command = Command::new(leash);
                command.args(["leash", &std::process::id().to_string(), "docker"]);
                command
            }
            None => Command::new("docker"),
        };
        let label = format!("label={FLEET}={}", self.fleet);
        command.args(["events", "--filter", "type=container", "--filter", "event=die", "--filter", &label]);
        command.args(["--format", "{{.Actor.ID}}"]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // A Ctrl-C at the terminal is for us; this ends when we say so.
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        command
    }
}

fn last_words(stderr: ChildStderr) -> String {
    let mut words = Vec::new();
    let _ = stderr.take(ERROR_LIMIT).read_to_end(&mut words);
    shorten(&String::from_utf8_lossy(&words))
}
