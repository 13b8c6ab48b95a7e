//! The real program as a process: its command line, its signals, its children, and the commands that it gives an engine.

// Setting the stage may fail only by failing the test.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../support/mod.rs"]
mod support;

mod cli;
mod docker_cli;
mod engine_calls;
mod engine_failures;
mod mistakes;
mod processes;
mod shutdown;
mod step_down;
mod succession;
