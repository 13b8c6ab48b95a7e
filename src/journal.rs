//! What has happened, as events that people and programs read: the last thousand, in order, with a number each.
//!
//! The log on stderr tells the same and more; the journal is for those who ask later, or want to be told. What clients
//! can bring about at will (refusals, requests that fail) is noted a few times a second at most of each kind, of refusals of
//! each reason, and neither takes the place of more than a fifth of the rest; it is counted in any case.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use crate::metrics::Refused;
use crate::replica::Hostname;

/// Events that are kept: hours of an ordinary fleet's life, a few hundred kilobytes.
const KEPT: usize = 1000;

/// How many of them may be of one kind that clients bring about.
const KEPT_FROM_OUTSIDE: usize = KEPT / 5;

/// How many of each source are noted in a second.
const NOTED_FROM_OUTSIDE: u32 = 10;

/// Longest text of an event; an engine's complaint may be longer.
const LONGEST_TEXT: usize = 1000;

/// What kind of thing has happened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// The balancer listens.
    Started,
    /// It is about to end.
    Stopping,
    /// A replica serves for the first time.
    Joined,
    /// A replica was removed.
    Left,
    /// A replica of an earlier run serves.
    Adopted,
    /// A replica has died or hangs, and is out of the ring.
    Failed,
    /// One that had failed serves again, without a relaunch.
    Recovered,
    /// One that had failed was launched again and serves.
    Relaunched,
    /// A replica fails again and again: its launches are put off.
    CrashLoop,
    /// A launch failed, or the address of a server of somebody else's could not be found.
    LaunchFailed,
    /// Too many replicas miss heartbeats together to be believed.
    Panic,
    /// They do no longer.
    PanicOver,
    /// An admin request was turned away.
    Refused,
    /// A change was begun and could not be made.
    ChangeFailed,
    /// A client was told that its request could not be answered.
    RequestFailed,
}

impl Kind {
    /// All of them.
    pub const ALL: [Kind; 15] = [
        Kind::Started,
        Kind::Stopping,
        Kind::Joined,
        Kind::Left,
        Kind::Adopted,
        Kind::Failed,
        Kind::Recovered,
        Kind::Relaunched,
        Kind::CrashLoop,
        Kind::LaunchFailed,
        Kind::Panic,
        Kind::PanicOver,
        Kind::Refused,
        Kind::ChangeFailed,
        Kind::RequestFailed,
    ];

    /// The words for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Started => "started",
            Kind::Stopping => "stopping",
            Kind::Joined => "joined",
            Kind::Left => "left",
            Kind::Adopted => "adopted",
            Kind::Failed => "failed",
            Kind::Recovered => "recovered",
            Kind::Relaunched => "relaunched",
            Kind::CrashLoop => "crash loop",
            Kind::LaunchFailed => "launch failed",
            Kind::Panic => "panic",
            Kind::PanicOver => "panic over",
            Kind::Refused => "refused",
            Kind::ChangeFailed => "change failed",
            Kind::RequestFailed => "request failed",
        }
    }
}

/// What clients can bring about at will.
const OUTSIDE: [Kind; 2] = [Kind::Refused, Kind::RequestFailed];

/// Something that has happened.
#[derive(Clone, Debug)]
pub struct Event {
    /// Counts the events of this run, from 1.
    pub seq: u64,
    /// When.
    pub time: SystemTime,
    /// What kind of thing.
    pub kind: Kind,
    /// Why, of a refusal.
    pub reason: Option<Refused>,
    /// The replica it is about.
    pub replica: Option<Hostname>,
    /// What there is to say, for people.
    pub text: String,
    /// The request it is about: its `X-Request-Id`.
    pub request_id: Option<String>,
}

impl Event {
    fn now(kind: Kind, text: impl Into<String>) -> Event {
        let time = SystemTime::now();
        Event { seq: 0, time, kind, reason: None, replica: None, text: text.into(), request_id: None }
    }

    /// Which budget it is taken from, if clients can bring it about.
    fn source(&self) -> Option<Source> {
        OUTSIDE.contains(&self.kind).then_some((self.kind, self.reason))
    }
}

/// What floods together, and hides only itself.
type Source = (Kind, Option<Refused>);

/// A handle on the journal; clones share it. Its lock is held for the time of a push or a copy.
#[derive(Clone, Default, Debug)]
pub struct Journal {
    inner: Arc<Inner>,
}

#[derive(Default, Debug)]
struct Inner {
    pages: Mutex<Pages>,
    /// Told of each event.
    news: Condvar,
}

#[derive(Default, Debug)]
struct Pages {
    events: VecDeque<Arc<Event>>,
    last: u64,
    counts: [u64; Kind::ALL.len()],
    /// Of each source that there was.
    budgets: Vec<(Source, Budget)>,
}

/// How much of one source is noted: so a flood of one does not hide another.
#[derive(Default, Debug)]
struct Budget {
    /// The second that is under way, how many of it were noted, and how many since the last one were not.
    second: Option<Instant>,
    noted: u32,
    passed_over: u64,
}

impl Journal {
    /// Notes an event; whether it did, and did not only count it.
    pub fn note(&self, kind: Kind, replica: Option<&Hostname>, text: impl Into<String>) -> bool {
        self.write(Event { replica: replica.cloned(), ..Event::now(kind, text) })
    }

    /// Notes an event that is about one request; whether it did.
    pub fn note_request(&self, kind: Kind, text: impl Into<String>, request_id: &str) -> bool {
        self.write(Event { request_id: Some(request_id.to_owned()), ..Event::now(kind, text) })
    }

    /// Notes that somebody was refused; whether it did.
    pub fn note_refusal(&self, reason: Refused, text: impl Into<String>, request_id: &str) -> bool {
        let request_id = Some(request_id.to_owned());
        self.write(Event { reason: Some(reason), request_id, ..Event::now(Kind::Refused, text) })
    }

    fn write(&self, mut event: Event) -> bool {
        if let Some((end, _)) = event.text.char_indices().nth(LONGEST_TEXT) {
            event.text.truncate(end);
            event.text.push('…');
        }
        let noted = self.lock().push(event, Instant::now());
        if noted {
            self.inner.news.notify_all();
        }
        noted
    }

    /// The events after the one with this number, oldest first.
    pub fn after(&self, seq: u64) -> Vec<Arc<Event>> {
        self.lock().after(seq)
    }

    /// The same, but waits for one if there is none, at most so long.
    pub fn wait_after(&self, seq: u64, patience: Duration) -> Vec<Arc<Event>> {
        let deadline = Instant::now() + patience;
        let mut pages = self.lock();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if pages.last > seq || left.is_zero() {
                return pages.after(seq);
            }
            pages = self.inner.news.wait_timeout(pages, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// The number of the last event; 0 before the first.
    pub fn last(&self) -> u64 {
        self.lock().last
    }

    /// How many events of each kind there were, noted or not.
    pub fn counts(&self) -> Vec<(Kind, u64)> {
        let counts = self.lock().counts;
        Kind::ALL.into_iter().zip(counts).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Pages> {
        self.inner.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pages {
    fn push(&mut self, mut event: Event, now: Instant) -> bool {
        self.counts[event.kind as usize] += 1;
        if let Some(source) = event.source() {
            let Some(passed_over) = self.budget(source).spend(now) else {
                return false;
            };
            if passed_over > 0 {
                event.text += &format!(" ({passed_over} more of these since the last that was noted)");
            }
            self.make_room(event.kind);
        }
        if self.events.len() >= KEPT {
            self.events.pop_front();
        }
        self.last += 1;
        event.seq = self.last;
        self.events.push_back(Arc::new(event));
        true
    }

    fn budget(&mut self, source: Source) -> &mut Budget {
        let known = self.budgets.iter().position(|(other, _)| *other == source);
        let at = known.unwrap_or_else(|| {
            self.budgets.push((source, Budget::default()));
            self.budgets.len() - 1
        });
        &mut self.budgets[at].1
    }

    /// Of each kind that comes from outside only so many are kept. The oldest goes of the reason that has most, so that
    /// those of a rare one stay.
    fn make_room(&mut self, kind: Kind) {
        let count = |source| self.events.iter().filter(|event| event.source() == Some(source)).count();
        let sources = self.budgets.iter().map(|(source, _)| *source).filter(|source| source.0 == kind);
        let counts: Vec<(Source, usize)> = sources.map(|source| (source, count(source))).collect();
        if counts.iter().map(|(_, count)| count).sum::<usize>() < KEPT_FROM_OUTSIDE {
            return;
        }
        let most = counts.iter().max_by_key(|(_, count)| count).map(|(source, _)| *source);
        if let Some(oldest) = self.events.iter().position(|event| event.source() == most) {
            self.events.remove(oldest);
        }
    }

    fn after(&self, seq: u64) -> Vec<Arc<Event>> {
        let first = self.events.partition_point(|event| event.seq <= seq);
        self.events.range(first..).cloned().collect()
    }
}

impl Budget {
    /// Takes one, if there is one in this second: how many were passed over before it. Otherwise it is passed over.
    fn spend(&mut self, now: Instant) -> Option<u64> {
        let is_new = |second: Instant| now.saturating_duration_since(second) >= Duration::from_secs(1);
        if self.second.is_none_or(is_new) {
            (self.second, self.noted) = (Some(now), 0);
        }
        if self.noted >= NOTED_FROM_OUTSIDE {
            self.passed_over += 1;
            return None;
        }
        self.noted += 1;
        Some(std::mem::take(&mut self.passed_over))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(kind: Kind) -> Event {
        Event::now(kind, "")
    }

    fn refusal(reason: Refused) -> Event {
        Event { reason: Some(reason), ..event(Kind::Refused) }
    }

    #[test]
    fn the_last_thousand_are_kept_in_order_and_all_are_counted() {
        let journal = Journal::default();
        for k in 0..KEPT + 5 {
            journal.note(Kind::Joined, None, k.to_string());
        }
        let all = journal.after(0);
        assert_eq!((all.len(), all[0].seq, journal.last()), (KEPT, 6, KEPT as u64 + 5));
        assert!(all.is_sorted_by(|a, b| a.seq + 1 == b.seq));
        let tail: Vec<String> = journal.after(1003).iter().map(|event| event.text.clone()).collect();
        assert_eq!(tail, ["1003", "1004"]);
        assert!(journal.after(journal.last()).is_empty() && journal.after(u64::MAX).is_empty());
        assert!(journal.counts().contains(&(Kind::Joined, KEPT as u64 + 5)));
    }

    #[test]
    fn what_comes_from_outside_cannot_drive_out_the_rest() {
        let (mut pages, begin) = (Pages::default(), Instant::now());
        pages.push(event(Kind::Failed), begin);
        for second in 0..100 {
            for _ in 0..50 {
                pages.push(event(Kind::RequestFailed), begin + Duration::from_secs(second));
            }
        }
        assert!(pages.push(event(Kind::Refused), begin + Duration::from_secs(99)), "another kind");
        assert_eq!(pages.counts[Kind::RequestFailed as usize], 5000);
        assert_eq!(pages.last, 1 + 1000 + 1, "ten a second");
        assert_eq!((pages.events.len(), pages.events[0].kind), (1 + KEPT_FROM_OUTSIDE + 1, Kind::Failed));
        assert!(pages.events.iter().any(|event| event.text.contains("40 more")));
        assert!(pages.after(0).is_sorted_by_key(|event| event.seq));
    }

    #[test]
    fn refusals_of_one_reason_do_not_hide_those_of_another() {
        let (mut pages, begin) = (Pages::default(), Instant::now());
        for second in 0..100 {
            let now = begin + Duration::from_secs(second);
            for _ in 0..50 {
                pages.push(refusal(Refused::Host), now);
            }
            if second < 10 {
                assert!(pages.push(refusal(Refused::Token), now), "in second {second}");
            }
        }
        assert_eq!(pages.counts[Kind::Refused as usize], 5010);
        assert_eq!(pages.events.len(), KEPT_FROM_OUTSIDE);
        let of = |reason| pages.events.iter().filter(|event| event.reason == Some(reason)).count();
        assert_eq!((of(Refused::Token), of(Refused::Host)), (10, KEPT_FROM_OUTSIDE - 10));
        assert!(pages.after(0).is_sorted_by_key(|event| event.seq));
    }

    #[test]
    fn who_waits_is_told() {
        let journal = Journal::default();
        assert!(journal.wait_after(0, Duration::from_millis(1)).is_empty());
        let writer = journal.clone();
        let thread = std::thread::spawn(move || writer.note(Kind::Started, None, "now"));
        let events = journal.wait_after(0, Duration::from_secs(30));
        assert_eq!(events[0].text, "now");
        thread.join().unwrap();
    }

    #[test]
    fn a_text_without_end_is_cut() {
        let journal = Journal::default();
        journal.note(Kind::Failed, None, "ä".repeat(5000));
        assert_eq!(journal.after(0)[0].text.chars().count(), LONGEST_TEXT + 1);
    }
}
