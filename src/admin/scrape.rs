//! `/_ringmaster/metrics`: everything that is counted, in the Prometheus text format, with its names and units.
//!
//! The series on a page are those of the replicas that there are, so a page does not grow while replicas come and go: each
//! has one for every status code that it has answered (53 at most), and some forty others. What one that goes has counted
//! since the last scrape is lost to Prometheus: handed on to the series of another, all that it ever counted would look
//! like one moment's. One that goes on under another name (`--respawn-name random`) takes its counts along: its series end,
//! and those of the new name begin with all that it has ever counted. `rate` does not take a beginning for an increase, so
//! what came since the last scrape is lost here too; and Prometheus keeps the series of every name that there was.
//!
//! Prometheus sees no growth in the first value of a series. So those that alerts are about are there from the start, at 0:
//! of each replica 200 and everything from 500 to 599, of the balancer 400, 502, 503 and 504. Of any other code, what came
//! before the first scrape that has it counts in no rate.

use std::time::{Instant, UNIX_EPOCH};

use super::{Parts, Started, wire};
use crate::access_log::AccessLog;
use crate::fleet::{Overview, Phase, Replica};
use crate::metrics::{Beat, Kind, Meter, Miscarriage, Refused, Text};

/// What Prometheus takes it for.
pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// In place of a replica: the balancer itself. No replica can be called so.
const OURSELVES: &str = "-";

/// Codes of a replica that have a series before they come: the usual one, and all that are errors of servers.
const OF_REPLICA: [&str; 6] = ["200", "500", "502", "503", "504", "5xx"];

/// The same of the balancer: what it answers in place of a replica.
const OF_OURSELVES: [&str; 4] = ["400", "502", "503", "504"];

pub(super) fn page(parts: &Parts, started: Started) -> String {
    let mut text = Text::default();
    let overview = parts.fleet.overview();
    program(&mut text, parts, started);
    requests(&mut text, parts, &overview.replicas);
    attempts(&mut text, &overview.replicas);
    load(&mut text, parts, &overview.replicas);
    health(&mut text, parts, &overview);
    text.into_string()
}

fn program(text: &mut Text, parts: &Parts, started: Started) {
    let mut gauge = |name, help, value: f64| text.family(name, Kind::Gauge, help).sample(&[], value);
    let since_epoch = started.time.duration_since(UNIX_EPOCH).unwrap_or_default();
    gauge(
        "ringmaster_start_time_seconds",
        "When the balancer started, in Unix time.",
        since_epoch.as_secs_f64(),
    );
    let uptime = Instant::now().saturating_duration_since(started.at);
    gauge("ringmaster_uptime_seconds", "How long the balancer has been running.", uptime.as_secs_f64());
    let mut info = text.family("ringmaster_build_info", Kind::Gauge, "The version that runs, always 1.");
    info.sample(&[("version", env!("CARGO_PKG_VERSION"))], 1);
    let mut events =
        text.family("ringmaster_events_total", Kind::Counter, "Events by kind, noted in the journal or not.");
    for (kind, count) in parts.journal.counts() {
        events.sample(&[("kind", &kind.as_str().replace(' ', "_"))], count);
    }
    let dropped = parts.access_log.as_ref().map_or(0, AccessLog::dropped);
    let name = "ringmaster_access_log_dropped_total";
    let help = "Lines of the access log that were dropped because nobody read them in time, or that could not be written.";
    text.family(name, Kind::Counter, help).sample(&[], dropped);
}

/// The meters of the replicas and of the balancer in their place, by name.
fn meters<'a>(parts: &'a Parts, replicas: &'a [Replica]) -> impl Iterator<Item = (&'a str, &'a Meter)> {
    let of_replicas = replicas.iter().map(|replica| (replica.hostname.as_str(), &*replica.meter));
    of_replicas.chain([(OURSELVES, parts.fleet.metrics().own())])
}

/// Without samples if requests are not measured.
fn requests(text: &mut Text, parts: &Parts, replicas: &[Replica]) {
    let is_measured = parts.history.is_some();
    let mut family = text.family(
        "ringmaster_requests_total",
        Kind::Counter,
        "Requests answered, by replica (- for the balancer in place of one) and status code.",
    );
    for (name, meter) in meters(parts, replicas).filter(|_| is_measured) {
        let always = if name == OURSELVES { &OF_OURSELVES[..] } else { &OF_REPLICA };
        for (code, count) in meter.answers().by_code(always) {
            family.sample(&[("replica", name), ("code", &code)], count);
        }
    }
    let mut family = text.family(
        "ringmaster_request_duration_seconds",
        Kind::Histogram,
        "Time from the arrival of a request to the end of its answer.",
    );
    for (name, meter) in meters(parts, replicas).filter(|_| is_measured) {
        family.histogram(&[("replica", name)], &meter.durations());
    }
    let mut family = text.family(
        "ringmaster_admin_requests_total",
        Kind::Counter,
        "Requests to the admin side, by status code.",
    );
    for (code, count) in parts.fleet.metrics().admin().answers().by_code(&[]) {
        family.sample(&[("code", &code)], count);
    }
}

fn attempts(text: &mut Text, replicas: &[Replica]) {
    let mut family = text.family(
        "ringmaster_attempt_failures_total",
        Kind::Counter,
        "Attempts at a replica that brought no answer, or not the whole of it.",
    );
    for replica in replicas {
        for why in Miscarriage::ALL {
            let labels = [("replica", replica.hostname.as_str()), ("reason", why.as_str())];
            family.sample(&labels, replica.meter.miscarriages(why));
        }
    }
    let help = "Attempts at a replica after which the request was tried again, there or elsewhere.";
    per_replica(text, "ringmaster_retries_total", Kind::Counter, help, replicas, |it| {
        it.meter.retries() as f64
    });
}

fn load(text: &mut Text, parts: &Parts, replicas: &[Replica]) {
    let help = "Requests that a replica holds.";
    let in_flight = |replica: &Replica| replica.in_flight as f64;
    per_replica(text, "ringmaster_in_flight_requests", Kind::Gauge, help, replicas, in_flight);
    let metrics = parts.fleet.metrics();
    let mut family =
        text.family("ringmaster_queued_requests", Kind::Gauge, "Requests that wait for a thread.");
    for (name, waiting) in metrics.queues() {
        family.sample(&[("queue", name)], waiting);
    }
    let mut family = text.family("ringmaster_connections", Kind::Gauge, "Clients that are connected.");
    metrics.connections().into_iter().for_each(|connections| family.sample(&[], connections));
    let help = "Requests that were turned away, by reason.";
    let mut family = text.family("ringmaster_refusals_total", Kind::Counter, help);
    for why in Refused::ALL {
        family.sample(&[("reason", why.as_str())], metrics.refusals(why));
    }
}

fn health(text: &mut Text, parts: &Parts, overview: &Overview) {
    let replicas = &overview.replicas[..];
    let mut family =
        text.family("ringmaster_heartbeats_total", Kind::Counter, "Heartbeats, by what they came to.");
    for replica in replicas {
        for beat in Beat::ALL {
            let labels = [("replica", replica.hostname.as_str()), ("result", beat.as_str())];
            family.sample(&labels, replica.meter.beats(beat));
        }
    }
    let help = "How long the last good heartbeat took, also while others are missed.";
    let mut family = text.family("ringmaster_heartbeat_latency_seconds", Kind::Gauge, help);
    for replica in replicas {
        if let Some(latency) = replica.meter.good_latency() {
            family.sample(&[("replica", replica.hostname.as_str())], latency.as_secs_f64());
        }
    }
    let relaunches = |replica: &Replica| replica.meter.relaunches().count as f64;
    let help = "Relaunches after which a replica served again.";
    per_replica(text, "ringmaster_relaunches_total", Kind::Counter, help, replicas, relaunches);
    let failures = |replica: &Replica| replica.meter.relaunches().failed as f64;
    let help = "Launches that failed.";
    per_replica(text, "ringmaster_launch_failures_total", Kind::Counter, help, replicas, failures);
    let help = "Time from the failure that was noticed until the relaunched replica served.";
    let durations = parts.fleet.metrics().relaunch_durations().read();
    text.family("ringmaster_relaunch_duration_seconds", Kind::Histogram, help).histogram(&[], &durations);
    let share = |replica: &Replica| overview.spread.get(&replica.id.ring_id).copied().unwrap_or(0.0);
    let help = "The part of all requests that a replica may expect.";
    per_replica(text, "ringmaster_ring_share_ratio", Kind::Gauge, help, replicas, share);
    states(text, replicas);
    let help = "1 while replicas that miss heartbeats stay in the ring, because too many do.";
    text.family("ringmaster_panic", Kind::Gauge, help).sample(&[], u8::from(overview.in_panic));
}

fn states(text: &mut Text, replicas: &[Replica]) {
    let up = |replica: &Replica| f64::from(u8::from(replica.phase == Phase::Serving));
    let help = "1 for a replica that is in the ring.";
    per_replica(text, "ringmaster_replica_up", Kind::Gauge, help, replicas, up);
    let labels = wire::STATES.map(|state| (state, state.replace(' ', "_")));
    let help = "1 for the state that a replica is in, 0 for the others.";
    let mut family = text.family("ringmaster_replica_state", Kind::Gauge, help);
    for replica in replicas {
        for (state, label) in &labels {
            let labels = [("replica", replica.hostname.as_str()), ("state", label)];
            family.sample(&labels, u8::from(wire::state(replica) == *state));
        }
    }
    let mut family = text.family("ringmaster_replicas", Kind::Gauge, "Replicas by state.");
    for (state, label) in &labels {
        let count = replicas.iter().filter(|replica| wire::state(replica) == *state).count();
        family.sample(&[("state", label)], count);
    }
}

fn per_replica(
    text: &mut Text,
    name: &'static str,
    kind: Kind,
    help: &str,
    replicas: &[Replica],
    value: impl Fn(&Replica) -> f64,
) {
    let mut family = text.family(name, kind, help);
    for replica in replicas {
        family.sample(&[("replica", replica.hostname.as_str())], value(replica));
    }
}
