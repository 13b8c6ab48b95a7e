//! What is counted and measured: atomics that whoever does something adds to, and whoever asks reads.
//!
//! Nothing is averaged or reset where it is counted; what happened lately is the difference of two readings, which
//! is for those who read. Each replica has a [`Meter`]; when it has gone and nobody adds to its meter any more, the counts go
//! over to the totals: so the series of a fleet that comes and goes do not grow, and its totals never fall.
//!
//! A request that a replica answers costs two searches for a bucket and five atomic additions: its status and its time when
//! it is over, and before that the time until the answer began. Threads do not wait for each other at that: each of sixteen has
//! counters of its own, and more share them. It takes 29 ns alone and 32 to 37 with up to sixteen threads at it (`cargo bench
//! -p ringmaster-bench --bench recording`). With `--metrics off` none of it is done.

mod answers;
mod histogram;
mod meter;
mod per_thread;
mod text;

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use answers::{Answers, Codes};
pub use histogram::{Histogram, Reading};
pub use meter::{Beat, LastBeat, Meter, Miscarriage, Relaunched, Relaunches};
pub use text::{Family, Kind, Text};

/// Why the front or the admin side turned a request away.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refused {
    /// It was no sound request.
    Malformed,
    /// Too many requests were waiting for a worker.
    QueueFull,
    /// The client was one too many.
    TooManyConnections,
    /// It had waited for a worker until its time was over.
    WaitedTooLong,
    /// No replica served.
    NoReplica,
    /// An admin request without the token, or with a wrong one.
    Token,
    /// An admin request from an address that is not private, while there is no token.
    Peer,
    /// An admin request for a host that is not ours.
    Host,
    /// An admin request from a page of somebody else.
    Origin,
    /// Too many changes in too short a time.
    TooManyChanges,
    /// Too many streams of events.
    TooManyStreams,
    /// A change that cannot be made.
    Change,
}

impl Refused {
    /// All of them.
    pub const ALL: [Refused; 12] = [
        Refused::Malformed,
        Refused::QueueFull,
        Refused::TooManyConnections,
        Refused::WaitedTooLong,
        Refused::NoReplica,
        Refused::Token,
        Refused::Peer,
        Refused::Host,
        Refused::Origin,
        Refused::TooManyChanges,
        Refused::TooManyStreams,
        Refused::Change,
    ];

    /// The word for it in labels.
    pub fn as_str(self) -> &'static str {
        match self {
            Refused::Malformed => "malformed",
            Refused::QueueFull => "queue_full",
            Refused::TooManyConnections => "too_many_connections",
            Refused::WaitedTooLong => "waited_too_long",
            Refused::NoReplica => "no_replica",
            Refused::Token => "token",
            Refused::Peer => "peer",
            Refused::Host => "host",
            Refused::Origin => "origin",
            Refused::TooManyChanges => "too_many_changes",
            Refused::TooManyStreams => "too_many_streams",
            Refused::Change => "change",
        }
    }
}

/// The instruments of the whole program; clones share them.
#[derive(Clone, Default, Debug)]
pub struct Metrics {
    inner: Arc<Inner>,
}

#[derive(Default, Debug)]
struct Inner {
    /// What the balancer answers itself in place of a replica.
    own: Meter,
    /// What the admin side answers.
    admin: Meter,
    meters: Mutex<Meters>,
    refused: [AtomicU64; Refused::ALL.len()],
    relaunch_durations: Histogram,
    /// One more than there are, and 0 while nobody has counted them.
    connections: AtomicU64,
    queues: Mutex<Vec<Queue>>,
}

/// The meters of all replicas, and what those that have gone had counted.
#[derive(Default, Debug)]
struct Meters {
    here: Vec<Arc<Meter>>,
    departed: Totals,
}

impl Meters {
    /// Takes over the counts of those that nobody else has any more.
    fn bury(&mut self) {
        let departed = &mut self.departed;
        self.here.retain_mut(|meter| {
            // Unlike a look at the count, this sees all that the last holder did.
            let last = Arc::get_mut(meter);
            last.is_none_or(|meter| {
                departed.add(meter);
                false
            })
        });
    }
}

/// How many requests wait somewhere.
struct Queue {
    name: &'static str,
    length: Box<dyn Fn() -> usize + Send + Sync>,
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} with {}", self.name, (self.length)())
    }
}

impl Metrics {
    /// A meter for a new replica.
    pub fn meter(&self) -> Arc<Meter> {
        let meter = Arc::new(Meter::default());
        let mut meters = self.meters();
        meters.bury();
        meters.here.push(meter.clone());
        meter
    }

    /// What all replicas have counted, those that have gone included, and the balancer in their place.
    pub fn totals(&self) -> Totals {
        let mut meters = self.meters();
        meters.bury();
        let mut all = meters.departed.clone();
        meters.here.iter().for_each(|meter| all.add(meter));
        all.add(&self.inner.own);
        all
    }

    fn meters(&self) -> MutexGuard<'_, Meters> {
        self.inner.meters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The meter of what the balancer answers itself in place of a replica.
    pub fn own(&self) -> &Meter {
        &self.inner.own
    }

    /// The meter of what the admin side answers.
    pub fn admin(&self) -> &Meter {
        &self.inner.admin
    }

    /// Counts a request that was turned away.
    pub fn refused(&self, why: Refused) {
        self.inner.refused[why as usize].fetch_add(1, Relaxed);
    }

    /// How many requests were turned away for this.
    pub fn refusals(&self, why: Refused) -> u64 {
        self.inner.refused[why as usize].load(Relaxed)
    }

    /// How long relaunches took, from the failure that was noticed until the replica served.
    pub fn relaunch_durations(&self) -> &Histogram {
        &self.inner.relaunch_durations
    }

    /// Notes how many clients are connected; `None` for not known any more.
    pub fn set_connections(&self, count: Option<usize>) {
        self.inner.connections.store(count.map_or(0, |count| count as u64 + 1), Relaxed);
    }

    /// How many clients are connected; `None` where that is not known.
    pub fn connections(&self) -> Option<u64> {
        self.inner.connections.load(Relaxed).checked_sub(1)
    }

    /// Registers a queue by name; one of the same name before it is forgotten.
    pub fn watch_queue(&self, name: &'static str, length: impl Fn() -> usize + Send + Sync + 'static) {
        let mut queues = self.inner.queues.lock().unwrap_or_else(PoisonError::into_inner);
        queues.retain(|queue| queue.name != name);
        queues.push(Queue { name, length: Box::new(length) });
    }

    /// The queues and how many requests wait in each.
    pub fn queues(&self) -> Vec<(&'static str, usize)> {
        let queues = self.inner.queues.lock().unwrap_or_else(PoisonError::into_inner);
        queues.iter().map(|queue| (queue.name, (queue.length)())).collect()
    }
}

/// What several meters have counted together.
#[derive(Clone, Default, Debug)]
pub struct Totals {
    /// The answers, by code.
    pub answers: Codes,
    /// How long requests took.
    pub durations: Reading,
    /// Attempts after which a request was tried again, at another replica or the same.
    pub retries: u64,
}

impl Totals {
    fn add(&mut self, meter: &Meter) {
        self.answers.add(&meter.answers());
        self.durations.add(&meter.durations());
        self.retries += meter.retries();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::StatusCode;
    use std::time::Duration;

    /// Whoever holds a meter may add to it yet: nothing is lost or counted twice, and no total ever falls.
    #[test]
    fn a_meter_leaves_its_counts_to_the_totals_when_nobody_has_it_any_more() {
        let metrics = Metrics::default();
        let total = || metrics.totals().answers.by_class().iter().sum::<u64>();
        let (meter, held) = {
            let meter = metrics.meter();
            (meter.clone(), meter)
        };
        meter.answered(StatusCode::OK, Duration::from_millis(1));
        meter.tried_again();
        drop(meter);
        assert_eq!(total(), 1);
        held.answered(StatusCode::OK, Duration::from_millis(1));
        assert_eq!(total(), 2);
        drop(held);
        assert_eq!((total(), total()), (2, 2));
        metrics.own().answered(StatusCode::BAD_GATEWAY, Duration::ZERO);
        metrics.admin().answered(StatusCode::OK, Duration::ZERO);
        let totals = metrics.totals();
        assert_eq!(totals.answers.by_class(), [0, 2, 0, 0, 1]);
        assert_eq!((totals.durations.count(), totals.retries), (3, 1));
        assert!(metrics.meters().here.is_empty());
    }

    #[test]
    fn refusals_have_a_counter_each() {
        let metrics = Metrics::default();
        for (count, why) in Refused::ALL.into_iter().enumerate() {
            (0..count).for_each(|_| metrics.refused(why));
        }
        let counted = Refused::ALL.map(|why| metrics.refusals(why));
        assert!(counted.into_iter().eq(0..Refused::ALL.len() as u64));
    }

    #[test]
    fn queues_and_connections_are_looked_at_when_asked() {
        let metrics = Metrics::default();
        assert_eq!((metrics.connections(), metrics.queues()), (None, vec![]));
        metrics.watch_queue("traffic", || 1);
        metrics.watch_queue("traffic", || 2);
        metrics.set_connections(Some(0));
        assert_eq!((metrics.connections(), metrics.queues()), (Some(0), vec![("traffic", 2)]));
        metrics.set_connections(None);
        assert_eq!(metrics.connections(), None);
    }
}
