//! `/_ringmaster/status`: how the balancer and each replica are, and what is being done about those that are down.
//!
//! Everything in it was measured; what was not measured yet is `null`.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Instant;

use serde::Serialize;

use super::clock::{Started, ms, whole_ms, written};
use super::{Parts, wire};
use crate::fleet::{Overview, Phase, Replica};
use crate::history::{History, Sums};
use crate::metrics::{Beat, Meter, Miscarriage, Refused};
use crate::ring::RingId;

/// What the visitor is allowed.
#[derive(Clone, Copy)]
pub(super) struct Access {
    pub(super) token_wanted: bool,
    pub(super) may_change: bool,
}

/// The whole of it.
#[derive(Serialize)]
pub(super) struct Status<'a> {
    version: &'static str,
    started: String,
    now: String,
    uptime_ms: u64,
    /// Whether admin requests must bring a token.
    token_wanted: bool,
    /// Whether the visitor could add and remove replicas.
    may_change: bool,
    /// Members, as `/rep` counts them.
    #[serde(rename = "N")]
    n: usize,
    /// Those of them that are in the ring.
    serving: usize,
    /// Replicas are in the ring that have failed, because too many have.
    panic: bool,
    /// How a replica is chosen for a request.
    policy: String,
    /// How keys find their replicas.
    scheme: String,
    /// Slots of the ring, or entries of its lookup table; 0 for none.
    slots: usize,
    settings: BTreeMap<&'static str, &'a str>,
    totals: Totals,
    replicas: Vec<Entry>,
}

/// What all replicas, those that have gone included, and the balancer in their place have done.
#[derive(Serialize)]
struct Totals {
    /// Requests that were answered; `null` when they are not measured.
    requests: Option<u64>,
    answers: Option<Classes>,
    /// Attempts after which a request was tried again.
    retries: u64,
    in_flight: usize,
    /// Requests that wait for a thread, of whatever kind.
    queued: usize,
    /// Clients that are connected, as far as that is known.
    connections: Option<u64>,
    refused: BTreeMap<&'static str, u64>,
    access_log_dropped: Option<u64>,
}

/// Answers by class of status.
#[derive(Serialize)]
struct Classes {
    #[serde(rename = "1xx")]
    informational: u64,
    #[serde(rename = "2xx")]
    success: u64,
    #[serde(rename = "3xx")]
    redirection: u64,
    #[serde(rename = "4xx")]
    client_error: u64,
    #[serde(rename = "5xx")]
    server_error: u64,
}

/// One replica, also one that is joining or leaving.
#[derive(Serialize)]
struct Entry {
    name: String,
    ring_id: u32,
    state: &'static str,
    /// Since when it is in that state; one that has failed begins anew when it is found to be in a crash loop.
    since: String,
    since_ms: u64,
    address: Option<SocketAddr>,
    /// What runs it: the full container id, or a number that the launcher gave it.
    instance: Option<String>,
    /// How large its share is beside those of others.
    weight: u32,
    /// The part of all requests that it may expect at the moment; under a policy that hashes, if each routing key is as
    /// likely as any other.
    share: f64,
    /// Requests that it holds.
    in_flight: usize,
    /// Requests that it answered.
    requests: Option<u64>,
    answers: Option<Classes>,
    /// Attempts at it that brought no answer, or not the whole of it.
    errors: u64,
    /// Attempts at it after which the request was tried again, there or elsewhere.
    retries: u64,
    latency: Option<Latency>,
    heartbeat: Heartbeat,
    relaunches: Relaunches,
    /// Its slots, in the order of its virtual servers.
    slots: Vec<usize>,
    /// Slots whose requests it gets at the moment; of all that serve together, every slot of the ring.
    owned_slots: usize,
    /// In a row, without a minute of health between them.
    failures: u32,
    /// Until it is launched again, or looked for if it is somebody else's; `null` if that is under way.
    next_try_ms: Option<u64>,
    last_error: Option<String>,
}

/// How long the replica took lately from being chosen until its answers began. (The history has whole answers.)
#[derive(Serialize)]
struct Latency {
    /// What "lately" is: a minute, or less if it is not there for so long.
    window_s: u64,
    count: u64,
    p50_ms: Option<f64>,
    p99_ms: Option<f64>,
}

/// The last heartbeat; all `null` before the first.
#[derive(Serialize, Default)]
struct Heartbeat {
    result: Option<&'static str>,
    at: Option<String>,
    ago_ms: Option<u64>,
    /// How long a good one took.
    latency_ms: Option<f64>,
    /// How many in a row had this result.
    streak: Option<u64>,
    /// What was wrong with one that was missed.
    why: Option<String>,
}

#[derive(Serialize)]
struct Relaunches {
    count: u64,
    /// The last of them, and launches that failed, newest first.
    recent: Vec<Relaunch>,
}

#[derive(Serialize)]
struct Relaunch {
    at: String,
    /// Why it was launched again, or why the launch failed.
    reason: String,
    /// From the failure that was noticed until it served.
    took_ms: Option<u64>,
    ok: bool,
}

impl Status<'_> {
    /// As it is at `now`.
    pub(super) fn of(parts: &Parts, access: Access, started: Started, now: Instant) -> Status<'_> {
        let Overview { replicas, spread, in_panic, shape, policy } = parts.fleet.overview();
        let count =
            |phases: &[Phase]| replicas.iter().filter(|replica| phases.contains(&replica.phase)).count();
        Status {
            version: env!("CARGO_PKG_VERSION"),
            started: written(started.time),
            now: Started::calendar(now, now),
            uptime_ms: whole_ms(now.saturating_duration_since(started.at)),
            token_wanted: access.token_wanted,
            may_change: access.may_change,
            n: count(&[Phase::Down, Phase::Serving]),
            serving: count(&[Phase::Serving]),
            panic: in_panic,
            policy: policy.to_string(),
            scheme: shape.scheme().to_string(),
            slots: shape.slots(),
            settings: parts.settings.iter().map(|(name, value)| (*name, value.as_str())).collect(),
            totals: Totals::of(parts, &replicas),
            replicas: replicas
                .into_iter()
                .map(|replica| Entry::of(replica, &spread, parts.history.as_ref(), now))
                .collect(),
        }
    }
}

impl Totals {
    fn of(parts: &Parts, replicas: &[Replica]) -> Totals {
        let Parts { fleet, history, access_log, .. } = parts;
        let (sums, metrics) = (Sums::of(fleet.metrics()), fleet.metrics());
        let is_measured = history.is_some();
        Totals {
            requests: is_measured.then(|| sums.requests()),
            answers: is_measured.then(|| Classes::of(sums.classes)),
            retries: sums.retries,
            in_flight: replicas.iter().map(|replica| replica.in_flight).sum(),
            queued: metrics.queues().iter().map(|(_, waiting)| waiting).sum(),
            connections: metrics.connections(),
            refused: Refused::ALL.into_iter().map(|why| (why.as_str(), metrics.refusals(why))).collect(),
            access_log_dropped: access_log.as_ref().map(|log| log.dropped()),
        }
    }
}

impl Classes {
    fn of([informational, success, redirection, client_error, server_error]: [u64; 5]) -> Classes {
        Classes { informational, success, redirection, client_error, server_error }
    }
}

impl Entry {
    fn of(
        replica: Replica,
        spread: &BTreeMap<RingId, f64>,
        history: Option<&History>,
        now: Instant,
    ) -> Entry {
        let state = wire::state(&replica);
        let latency = history.map(|history| Latency::of(&replica, history, now));
        let Replica { id, hostname, instance, weight, in_flight, slots, owned_slots, .. } = replica;
        let Replica { trouble, since, meter, .. } = replica;
        let next_try = trouble.as_ref().and_then(|trouble| trouble.next_try).filter(|next| *next > now);
        let left = next_try.map(|next| next.saturating_duration_since(now));
        let classes = meter.answers().by_class();
        Entry {
            name: hostname.to_string(),
            ring_id: id.ring_id.0,
            state,
            since: Started::calendar(since, now),
            since_ms: whole_ms(now.saturating_duration_since(since)),
            address: instance.as_ref().map(|instance| instance.address),
            instance: instance.map(|instance| instance.key.to_string()),
            weight: weight.get(),
            share: spread.get(&id.ring_id).copied().unwrap_or(0.0),
            in_flight,
            requests: history.map(|_| classes.iter().sum()),
            answers: history.map(|_| Classes::of(classes)),
            errors: Miscarriage::ALL.iter().map(|&why| meter.miscarriages(why)).sum(),
            retries: meter.retries(),
            latency,
            heartbeat: Heartbeat::of(&meter, now),
            relaunches: Relaunches::of(&meter),
            slots,
            owned_slots,
            failures: trouble.as_ref().map_or(0, |trouble| trouble.failures),
            next_try_ms: left.map(whole_ms),
            last_error: trouble.map(|trouble| trouble.last_error),
        }
    }
}

impl Latency {
    fn of(replica: &Replica, history: &History, now: Instant) -> Latency {
        // One that was never read is younger than that: all that it has counted is lately.
        let reading = replica.meter.latencies();
        let (since, lately) = match history.minute_ago(replica.id) {
            Some((then, earlier)) => (then, reading.since(&earlier)),
            None => (replica.since, reading),
        };
        let quantile = |q| lately.quantile(q).map(ms);
        let window_s = now.saturating_duration_since(since).as_secs();
        Latency { window_s, count: lately.count(), p50_ms: quantile(0.5), p99_ms: quantile(0.99) }
    }
}

impl Heartbeat {
    fn of(meter: &Meter, now: Instant) -> Heartbeat {
        let Some(last) = meter.last_beat() else {
            return Heartbeat::default();
        };
        Heartbeat {
            result: Some(if last.beat == Beat::Good { "good" } else { "missed" }),
            at: Some(Started::calendar(last.at, now)),
            ago_ms: Some(whole_ms(now.saturating_duration_since(last.at))),
            latency_ms: last.latency.map(ms),
            streak: Some(last.streak),
            why: last.why,
        }
    }
}

impl Relaunches {
    fn of(meter: &Meter) -> Relaunches {
        let relaunches = meter.relaunches();
        let recent = relaunches.recent.into_iter().rev().map(|one| Relaunch {
            at: written(one.at),
            reason: one.reason,
            took_ms: one.took.map(whole_ms),
            ok: one.took.is_some(),
        });
        Relaunches { count: relaunches.count, recent: recent.collect() }
    }
}
