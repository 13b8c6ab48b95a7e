//! What thousands of idle connections cost the balancer: throughput and memory.

use std::time::Duration;

use anyhow::{Context, Result};

use crate::client::Client;
use crate::interrupt;
use crate::options;
use crate::peers::{Peer, Subject};
use crate::process::descriptor_limit;
use crate::report::{Idle, IdleRound};
use crate::stage::Stage;
use crate::vitals;
use crate::wrk::Load;

/// How long the balancer may settle before its memory is looked at.
const SETTLE: Duration = Duration::from_secs(1);

/// How long it may take to be done with idle connections that have ended, and with the threads they had.
const FORGET: Duration = Duration::from_secs(7);

/// Descriptors that either side needs beside the idle connections.
const OTHER_DESCRIPTORS: u64 = 1000;

/// Measures as many rounds as were asked for, each with a balancer that has seen nothing; `None` where the system does
/// not allow so many connections.
///
/// # Errors
/// The balancer does not start or does not answer, or we are interrupted.
pub fn measure(options: &options::Compare, stage: &Stage<'_>) -> Result<Option<Idle>> {
    let connections = options.idle;
    let limit = descriptor_limit()?;
    if limit < connections as u64 + OTHER_DESCRIPTORS {
        eprintln!("idle connections are left out: a process may have {limit} descriptors, see `ulimit -Hn`");
        return Ok(None);
    }
    let mut rounds = Vec::new();
    for number in 1..=options.rounds {
        eprintln!("round {number} of {}: {connections} idle connections", options.rounds);
        rounds.push(round(stage, connections)?);
    }
    Ok(Some(Idle { connections, rounds }))
}

fn round(stage: &Stage<'_>, connections: usize) -> Result<IdleRound> {
    let subject = stage.start(Peer::Ringmaster)?;
    let load = Load { paths: "/small/", connections: 64, is_closing: false };
    stage.warm_up(&subject)?;
    let without = stage.measure(&subject, load)?;
    interrupt::pause(SETTLE)?;
    let before = resident(&subject)?;
    let mut idle = open(&subject, connections)?;
    interrupt::pause(SETTLE)?;
    let grown = resident(&subject)?.saturating_sub(before);
    let with = stage.measure(&subject, load)?;
    let lost = idle.iter_mut().filter_map(|client| client.get("/small/0").err()).count();
    drop(idle);
    interrupt::pause(FORGET)?;
    // Before and after, so that it does not count how long the balancer has run.
    let again = stage.measure(&subject, load)?;
    Ok(IdleRound {
        requests_per_second_before: without.requests_per_second,
        requests_per_second_after: again.requests_per_second,
        requests_per_second_with: with.requests_per_second,
        kib_per_connection: grown as f64 / connections as f64,
        lost,
        errors: without.errors + with.errors + again.errors,
        others: without.others.max(with.others).max(again.others),
    })
}

/// Opens connections, each of which makes one request.
fn open(subject: &Subject, connections: usize) -> Result<Vec<Client>> {
    let mut clients = Vec::with_capacity(connections);
    for number in 0..connections {
        interrupt::check()?;
        let answered = Client::connect(subject.address)
            .and_then(|mut client| client.get(&format!("/small/{number}")).map(|_| client));
        clients.push(answered.with_context(|| format!("open idle connection {number}"))?);
    }
    Ok(clients)
}

/// KiB of memory that the balancer has.
fn resident(subject: &Subject) -> Result<u64> {
    let pid = subject.id().context("there is no balancer")?;
    Ok(vitals::memory(pid)?.resident)
}
