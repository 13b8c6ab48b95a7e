//! The way through: who takes a request, and what becomes of it and of its answer on the way.

// Setting the stage may fail only by failing the test.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../support/mod.rs"]
mod support;

mod keys;
mod measured;
mod policies;
mod properties;
mod relaying;
mod retries;
mod zero_loss;
