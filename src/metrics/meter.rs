//! What is counted and noted of one replica, for as long as it is a member, through all its relaunches.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use http::StatusCode;

use super::answers::{Answers, Codes};
use super::histogram::{Histogram, Reading};
use super::per_thread::PerThread;

/// Relaunches that are remembered one by one.
const RELAUNCHES: usize = 10;

/// Why an attempt at a replica brought no answer, or not the whole of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Miscarriage {
    /// No connection came about.
    Unreached,
    /// The connection broke, or what came over it was no answer.
    Broken,
    /// It took too long.
    TimedOut,
    /// The answer began, and ended before it was whole.
    CutOff,
}

impl Miscarriage {
    /// All of them.
    pub const ALL: [Miscarriage; 4] =
        [Miscarriage::Unreached, Miscarriage::Broken, Miscarriage::TimedOut, Miscarriage::CutOff];

    /// The word for it in labels.
    pub fn as_str(self) -> &'static str {
        match self {
            Miscarriage::Unreached => "connect",
            Miscarriage::Broken => "broken",
            Miscarriage::TimedOut => "timeout",
            Miscarriage::CutOff => "cut_off",
        }
    }
}

/// What a heartbeat came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Beat {
    /// Answered well.
    Good,
    /// Not answered, late, or not well.
    Missed,
    /// Not taken, for want of something on our side.
    Unknown,
}

impl Beat {
    /// All of them.
    pub const ALL: [Beat; 3] = [Beat::Good, Beat::Missed, Beat::Unknown];

    /// The word for it in labels.
    pub fn as_str(self) -> &'static str {
        match self {
            Beat::Good => "good",
            Beat::Missed => "missed",
            Beat::Unknown => "unknown",
        }
    }
}

/// The last heartbeat that said something about the replica.
#[derive(Clone, Debug)]
pub struct LastBeat {
    /// [`Beat::Good`] or [`Beat::Missed`].
    pub beat: Beat,
    /// When its result was known.
    pub at: Instant,
    /// How long the answer took, if it was good.
    pub latency: Option<Duration>,
    /// What went wrong, if it was missed.
    pub why: Option<String>,
    /// How many in a row came to the same.
    pub streak: u64,
}

/// What is remembered of heartbeats.
#[derive(Default, Debug)]
struct LastBeats {
    last: Option<LastBeat>,
    /// How long the last good one took, however many were missed since.
    good_latency: Option<Duration>,
}

/// One relaunch, or one that was tried.
#[derive(Clone, Debug)]
pub struct Relaunched {
    /// When it was over.
    pub at: SystemTime,
    /// Why the replica had to be launched again, or why that failed.
    pub reason: String,
    /// From the moment in which its failure was noticed until it served; `None` if it does not.
    pub took: Option<Duration>,
}

/// The relaunches of one replica.
#[derive(Clone, Default, Debug)]
pub struct Relaunches {
    /// How many there were.
    pub count: u64,
    /// How many launches failed.
    pub failed: u64,
    /// The last of both, oldest first.
    pub recent: VecDeque<Relaunched>,
}

/// The instruments of one replica. What requests touch are atomics; what heartbeats and relaunches touch, a few times a
/// second at most, has a lock that is held for an assignment.
#[derive(Default, Debug)]
pub struct Meter {
    requests: PerThread<Requests>,
    miscarriages: [AtomicU64; Miscarriage::ALL.len()],
    retries: AtomicU64,
    beats: [AtomicU64; Beat::ALL.len()],
    last_beats: Mutex<LastBeats>,
    relaunches: Mutex<Relaunches>,
}

/// What is counted of every request.
#[derive(Default, Debug)]
struct Requests {
    answers: Answers,
    durations: Histogram,
    latencies: Histogram,
}

impl Meter {
    /// Counts a request that was answered with `status`, `took` after it had arrived.
    pub fn answered(&self, status: StatusCode, took: Duration) {
        let requests = self.requests.mine();
        requests.answers.count(status);
        requests.durations.record(took);
    }

    /// Notes how long the replica took until its answer began.
    pub fn began_to_answer(&self, took: Duration) {
        self.requests.mine().latencies.record(took);
    }

    /// How long the replica took until its answers began.
    pub fn latencies(&self) -> Reading {
        self.histogram(|requests| &requests.latencies)
    }

    /// Counts an attempt that brought no answer, or not the whole of it.
    pub fn miscarried(&self, why: Miscarriage) {
        self.miscarriages[why as usize].fetch_add(1, Relaxed);
    }

    /// Counts an attempt here after which the request was tried again, elsewhere or here.
    pub fn tried_again(&self) {
        self.retries.fetch_add(1, Relaxed);
    }

    /// Notes a good heartbeat.
    pub fn beat_well(&self, latency: Duration, at: Instant) {
        self.note_beat(LastBeat { beat: Beat::Good, at, latency: Some(latency), why: None, streak: 1 });
    }

    /// Notes a heartbeat that was missed.
    pub fn beat_missed(&self, why: &str, at: Instant) {
        let why = Some(why.to_owned());
        self.note_beat(LastBeat { beat: Beat::Missed, at, latency: None, why, streak: 1 });
    }

    /// Counts a heartbeat that could not be taken.
    pub fn beat_unknown(&self) {
        self.beats[Beat::Unknown as usize].fetch_add(1, Relaxed);
    }

    fn note_beat(&self, mut new: LastBeat) {
        self.beats[new.beat as usize].fetch_add(1, Relaxed);
        let mut beats = lock(&self.last_beats);
        if let Some(same) = beats.last.as_ref().filter(|last| last.beat == new.beat) {
            new.streak = same.streak.saturating_add(1);
        }
        beats.good_latency = new.latency.or(beats.good_latency);
        beats.last = Some(new);
    }

    /// Notes that it was launched again, `took` after its failure was noticed.
    pub fn relaunched(&self, reason: &str, took: Duration, at: SystemTime) {
        let mut relaunches = lock(&self.relaunches);
        relaunches.count += 1;
        relaunches.remember(Relaunched { at, reason: reason.to_owned(), took: Some(took) });
    }

    /// Notes that a launch failed.
    pub fn launch_failed(&self, reason: &str, at: SystemTime) {
        let mut relaunches = lock(&self.relaunches);
        relaunches.failed += 1;
        relaunches.remember(Relaunched { at, reason: reason.to_owned(), took: None });
    }

    /// The answers, by code.
    pub fn answers(&self) -> Codes {
        let mut codes = Codes::default();
        self.requests.all().for_each(|requests| codes.add(&requests.answers.read()));
        codes
    }

    /// How long requests took, from their arrival to the end of the answer: with waiting for a worker, and with clients
    /// that are slow.
    pub fn durations(&self) -> Reading {
        self.histogram(|requests| &requests.durations)
    }

    fn histogram(&self, one: impl Fn(&Requests) -> &Histogram) -> Reading {
        let mut reading = Reading::default();
        self.requests.all().for_each(|requests| one(requests).add_to(&mut reading));
        reading
    }

    /// Attempts that brought no answer, or not the whole of it.
    pub fn miscarriages(&self, why: Miscarriage) -> u64 {
        self.miscarriages[why as usize].load(Relaxed)
    }

    /// Attempts here after which the request was tried again, elsewhere or here.
    pub fn retries(&self) -> u64 {
        self.retries.load(Relaxed)
    }

    /// Heartbeats that came to this.
    pub fn beats(&self, beat: Beat) -> u64 {
        self.beats[beat as usize].load(Relaxed)
    }

    /// The last heartbeat, if there was one.
    pub fn last_beat(&self) -> Option<LastBeat> {
        lock(&self.last_beats).last.clone()
    }

    /// How long the last good heartbeat took, also when others were missed after it; `None` before the first.
    pub fn good_latency(&self) -> Option<Duration> {
        lock(&self.last_beats).good_latency
    }

    /// The relaunches so far.
    pub fn relaunches(&self) -> Relaunches {
        lock(&self.relaunches).clone()
    }
}

impl Relaunches {
    fn remember(&mut self, new: Relaunched) {
        if self.recent.len() >= RELAUNCHES {
            self.recent.pop_front();
        }
        self.recent.push_back(new);
    }
}

/// Nothing in here panics between two writes, so a poisoned lock is as good as any.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heartbeats_are_counted_and_the_last_is_remembered_with_its_streak() {
        let meter = Meter::default();
        assert!(meter.last_beat().is_none());
        let (now, fast) = (Instant::now(), Duration::from_millis(1));
        meter.beat_well(fast, now);
        meter.beat_well(fast, now);
        meter.beat_unknown();
        assert_eq!(meter.last_beat().map(|last| (last.beat, last.streak)), Some((Beat::Good, 2)));
        meter.beat_missed("no answer", now);
        let last = meter.last_beat().unwrap();
        assert_eq!((last.beat, last.streak, last.why.as_deref()), (Beat::Missed, 1, Some("no answer")));
        assert_eq!(Beat::ALL.map(|beat| meter.beats(beat)), [2, 1, 1]);
    }

    #[test]
    fn how_long_a_good_heartbeat_took_is_known_until_the_next_good_one() {
        let (meter, now) = (Meter::default(), Instant::now());
        meter.beat_missed("no answer", now);
        assert_eq!(meter.good_latency(), None);
        for latency in [1, 2].map(Duration::from_millis) {
            meter.beat_well(latency, now);
            meter.beat_missed("no answer", now);
            meter.beat_unknown();
            assert_eq!(meter.good_latency(), Some(latency));
            assert_eq!(meter.last_beat().and_then(|last| last.latency), None, "the last one was missed");
        }
    }

    #[test]
    fn the_last_relaunches_are_remembered_and_all_are_counted() {
        let meter = Meter::default();
        for k in 0..25 {
            meter.relaunched(&format!("reason {k}"), Duration::from_millis(k), SystemTime::now());
        }
        meter.launch_failed("no image", SystemTime::now());
        let relaunches = meter.relaunches();
        assert_eq!((relaunches.count, relaunches.failed, relaunches.recent.len()), (25, 1, RELAUNCHES));
        assert_eq!(relaunches.recent[0].reason, "reason 16");
        assert_eq!(relaunches.recent[RELAUNCHES - 1].took, None);
    }
}
