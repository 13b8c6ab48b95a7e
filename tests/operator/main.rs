//! What operators see and may do, from outside: that it is true, changes when the truth does, and is kept from others.

// Setting the stage may fail only by failing the test.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../support/mod.rs"]
mod support;

mod access_log;
mod admin_api;
mod common;
mod console;
mod events;
mod exposition;
mod health;
mod history;
mod metrics_format;
mod monitoring;
mod openapi;
mod paths;
mod scrape;
mod series;
mod status;
mod streams;
mod who_may;
