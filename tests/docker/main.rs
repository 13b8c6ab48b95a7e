//! The whole program on real containers, from outside: what `docker compose up --build` promises.
//!
//! These tests need a Docker engine, the images of this tree (`docker compose build`), and nobody else who calls
//! containers `server_<k>`: the contract fixes those names, and an engine has each name once. That is also why they
//! run one at a time. `run_tests.sh` calls them so; without `RINGMASTER_DOCKER_TESTS=1` each of them does nothing.
//!
//! A test removes what it made, however it ends, by its own project, network, fleet label or container id. It never
//! touches anything else on the engine.

// The helpers below are test code as well, but the lints know that only of functions marked as tests.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod balancer;
mod clients;
mod engine;
mod http;
mod stack;

mod containers;
mod contract;
mod host;
mod lifecycle;
mod load;
mod recovery;
mod refusals;
mod restarts;

/// Whether the container tests were asked for; says so when they were not.
fn asked() -> bool {
    let asked = std::env::var("RINGMASTER_DOCKER_TESTS").is_ok_and(|value| value == "1");
    if !asked {
        println!("not run: needs a Docker engine and RINGMASTER_DOCKER_TESTS=1");
    }
    asked
}
