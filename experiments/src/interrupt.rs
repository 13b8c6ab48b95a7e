//! Ctrl-C and SIGTERM: the experiment at hand fails with an error, and what it started ends as its owner is dropped.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::failure::Failure;

static ASKED: AtomicBool = AtomicBool::new(false);

/// How long an interruption may go unnoticed.
const LOOK: Duration = Duration::from_millis(20);

/// From now on signals no longer end the process.
///
/// # Errors
/// The system does not let us.
pub fn listen() -> Result<()> {
    ctrlc::set_handler(|| ASKED.store(true, SeqCst)).context("wait for signals")
}

/// Whether somebody asked us to end.
pub fn is_asked() -> bool {
    ASKED.load(SeqCst)
}

/// Goes on only when nobody asked us to end.
///
/// # Errors
/// Somebody did.
pub fn check() -> Result<()> {
    if is_asked() { Err(Failure::Interrupted.into()) } else { Ok(()) }
}

/// Sleeps until then, or until somebody asks us to end.
pub fn sleep_until(then: Instant) {
    while !is_asked() {
        let left = then.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        thread::sleep(left.min(LOOK));
    }
}

/// Asks until `done` says yes; returns whether it did within `time`.
///
/// # Errors
/// Somebody asked us to end, or asking failed.
pub fn wait_until(time: Duration, mut done: impl FnMut() -> Result<bool>) -> Result<bool> {
    let until = Instant::now() + time;
    while !done()? {
        if Instant::now() >= until {
            return Ok(false);
        }
        check()?;
        sleep_until(Instant::now() + LOOK);
    }
    Ok(true)
}
