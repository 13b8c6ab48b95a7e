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
use crate::launcher::command::{self, SECRET, shorten};
use crate::launcher::{Notice, Tell};
use crate::shutdown::Shutdown;

/// Pause before `docker events` is started again: this first, twice as long each time, at most [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// An engine that was away is noticed to be back after this time at most; asking costs one call.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Longest pause where the engine answers and has no events for us: a filter before its socket may forbid them.
const LONGEST_REFUSAL: Duration = Duration::from_secs(60);

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

/// How the engine answered.
enum Answer {
    /// It was never away.
    AtOnce,
    /// It was away.
    AfterAll,
    /// Nobody wants to know any more.
    Ended,
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
        let mut refusal = FIRST_PAUSE;
        let mut is_told = false;
        while !self.end.begun() {
            let begun = Instant::now();
            let (has_heard, why) = self.listen();
            if self.end.begun() {
                return;
            }
            // One that told something or ran for a while was well.
            if has_heard || begun.elapsed() > LONGEST_PAUSE {
                (refusal, is_told) = (FIRST_PAUSE, false);
            }
            if !is_told {
                log::warn!(
                    "the engine's events ended ({why}): until they are back, heartbeats alone notice deaths"
                );
                is_told = true;
            }
            match self.wait_for_the_engine() {
                Answer::Ended => return,
                Answer::AfterAll => {
                    log::info!("the engine answers again, following the engine's events again");
                    (self.tell)(Notice::Back);
                }
                Answer::AtOnce => {
                    if self.end.sleep(refusal) {
                        return;
                    }
                    // Where they are refused each time, this would not be true.
                    if refusal == FIRST_PAUSE {
                        log::info!("following the engine's events again");
                    }
                    refusal = (refusal * 2).min(LONGEST_REFUSAL);
                }
            }
        }
    }

    /// Asks until the engine answers.
    fn wait_for_the_engine(&self) -> Answer {
        let mut pause = FIRST_PAUSE;
        let mut answer = Answer::AtOnce;
        loop {
            let asked =
                command::run("docker", &["version", "--format", "{{.Server.Version}}"], ANSWERS_WITHIN);
            if asked.is_ok_and(|version| !version.trim().is_empty()) {
                return answer;
            }
            answer = Answer::AfterAll;
            if self.end.sleep(pause) {
                return Answer::Ended;
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Runs `docker events` once and tells what it says; returns whether it said anything, and why it ended.
    fn listen(&self) -> (bool, String) {
        let mut child = match self.command().spawn() {
            Ok(child) => child,
            Err(error) => return (false, format!("docker events: cannot run it: {error}")),
        };
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        *lock(&self.running) = Some(child);
        // Whoever wanted the end may have looked just before there was something to end.
        if self.end.begun() {
            lock(&self.running).as_mut().map(Child::kill);
        }
        let has_heard = stdout.is_some_and(|stdout| self.read(BufReader::new(stdout)));
        let child = lock(&self.running).take();
        if let Some(mut child) = child {
            // It may only have closed its output.
            let _ = child.kill();
            let _ = child.wait();
        }
        (has_heard, stderr.map_or(String::new(), last_words))
    }

    /// Tells of each death until there are no more lines; whether there was any.
    fn read(&self, mut lines: impl BufRead) -> bool {
        let mut line = Vec::new();
        let mut has_heard = false;
        loop {
            line.clear();
            match lines.by_ref().take(LINE_LIMIT).read_until(b'\n', &mut line) {
                Ok(0) | Err(_) => return has_heard,
                Ok(_) => {}
            }
            let id = String::from_utf8_lossy(&line);
            let id = id.trim();
            if is_id(id) {
                has_heard = true;
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
        command.env_remove(SECRET).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
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
