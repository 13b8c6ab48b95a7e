//! Replicas that die, hang, recover or change hands: how the balancer comes to know, and what it does about it.

// Setting the stage may fail only by failing the test.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../support/mod.rs"]
mod support;

mod fixed;
mod odd_moments;
mod relaunches;
mod take_over;
mod watching;
