//! The way in, over sockets: what is let in, what is refused and how, who gets a turn, and what clients that mean harm
//! cost the others.

// Setting the stage may fail only by failing the test.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../support/mod.rs"]
mod support;

mod admission;
mod bodies;
mod connections;
mod held_up;
mod hostile;
mod hostile_clients;
mod overload;
