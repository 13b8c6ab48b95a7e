//! What of a balancer's answers is shown. Fields that are not are ignored, and any that is may be missing: another
//! version of the balancer, or one that did not measure it, is no reason to show nothing.

use serde::Deserialize;

/// The message of `/_ringmaster/status`.
#[derive(Clone, Default, Deserialize, Debug)]
#[serde(default)]
pub(super) struct Status {
    pub(super) version: Option<String>,
    /// Tells the runs of a balancer apart.
    pub(super) started: Option<String>,
    /// When this was said, by the balancer's clock.
    pub(super) now: Option<String>,
    pub(super) uptime_ms: Option<f64>,
    #[serde(rename = "N")]
    pub(super) n: Option<u64>,
    pub(super) serving: Option<u64>,
    pub(super) panic: Option<bool>,
    pub(super) policy: Option<String>,
    pub(super) scheme: Option<String>,
    pub(super) totals: Option<Totals>,
    /// Nothing is a status without these.
    pub(super) replicas: Option<Vec<Replica>>,
}

/// Counts of the whole balancer.
#[derive(Clone, Default, Deserialize, Debug)]
#[serde(default)]
pub(super) struct Totals {
    pub(super) requests: Option<u64>,
    pub(super) answers: Option<Answers>,
    pub(super) retries: Option<u64>,
    pub(super) in_flight: Option<u64>,
    pub(super) queued: Option<u64>,
    pub(super) connections: Option<u64>,
}

/// Answers by class, of which one is a concern.
#[derive(Clone, Default, Deserialize, Debug)]
#[serde(default)]
pub(super) struct Answers {
    #[serde(rename = "5xx")]
    pub(super) server_errors: Option<u64>,
}

/// One replica.
#[derive(Clone, Default, Deserialize, Debug)]
#[serde(default)]
pub(super) struct Replica {
    pub(super) name: Option<String>,
    pub(super) state: Option<String>,
    pub(super) since_ms: Option<f64>,
    pub(super) share: Option<f64>,
    pub(super) in_flight: Option<u64>,
    pub(super) requests: Option<u64>,
    pub(super) answers: Option<Answers>,
    pub(super) errors: Option<u64>,
    pub(super) latency: Option<Latency>,
    pub(super) heartbeat: Option<Heartbeat>,
    pub(super) relaunches: Option<Relaunches>,
    pub(super) failures: Option<u64>,
    pub(super) next_try_ms: Option<f64>,
    pub(super) last_error: Option<String>,
}

/// How long its answers took lately.
#[derive(Clone, Default, Deserialize, Debug)]
#[serde(default)]
pub(super) struct Latency {
    pub(super) p50_ms: Option<f64>,
    pub(super) p99_ms: Option<f64>,
}

/// The last heartbeat.
#[derive(Clone, Default, Deserialize, Debug)]
#[serde(default)]
pub(super) struct Heartbeat {
    /// `good` or `missed`; none was taken otherwise.
    pub(super) result: Option<String>,
    pub(super) latency_ms: Option<f64>,
    /// How many in a row came out like it.
    pub(super) streak: Option<u64>,
    pub(super) why: Option<String>,
}

/// How often it was launched anew.
#[derive(Clone, Default, Deserialize, Debug)]
#[serde(default)]
pub(super) struct Relaunches {
    pub(super) count: Option<u64>,
}

/// The message of `/_ringmaster/events`.
#[derive(Clone, Default, Deserialize, Debug)]
#[serde(default)]
pub(super) struct Events {
    /// The largest number of any event in this run.
    pub(super) last: Option<u64>,
    /// Oldest first.
    pub(super) events: Vec<Event>,
}

/// Something that happened.
#[derive(Clone, Default, Deserialize, Debug)]
#[serde(default)]
pub(super) struct Event {
    pub(super) time: Option<String>,
    pub(super) kind: Option<String>,
    pub(super) replica: Option<String>,
    pub(super) text: Option<String>,
}
