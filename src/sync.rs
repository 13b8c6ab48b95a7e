//! Locks, channels and threads: those of the standard library, or, in a build for `tests/model`, those of a checker
//! that runs the same code in every order it can think of.
//!
//! For `fleet`, `supervisor` and `shutdown`, whose orders are checked; all else uses the standard library itself.

#[cfg(feature = "model")]
pub use shuttle::{
    sync::{Condvar, Mutex, MutexGuard, mpsc},
    thread,
};
#[cfg(not(feature = "model"))]
pub use std::{
    sync::{Condvar, Mutex, MutexGuard, mpsc},
    thread,
};
