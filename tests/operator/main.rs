//! What operators see below `/_ringmaster/`, from outside: that it is true, and changes when the truth does.

// Setting the stage may fail only by failing the test.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../support/mod.rs"]
mod support;

mod common;
mod events;
mod exposition;
mod health;
mod history;
mod paths;
mod scrape;
mod series;
mod status;
mod streams;
