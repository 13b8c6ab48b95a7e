//! Ctrl-C and SIGTERM: the job at hand fails with an error, and what it started ends as its owners are dropped.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

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

/// Goes on only when nobody asked us to end.
///
/// # Errors
/// Somebody did.
pub fn check() -> Result<()> {
    if ASKED.load(SeqCst) {
        bail!("interrupted");
    }
    Ok(())
}

/// Sleeps.
///
/// # Errors
/// Somebody asked us to end.
pub fn pause(time: Duration) -> Result<()> {
    let until = Instant::now() + time;
    loop {
        check()?;
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
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
        pause(LOOK)?;
    }
    Ok(true)
}
