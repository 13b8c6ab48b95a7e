//! `/_ringmaster/events`: what has happened, as a list, or as it happens (server-sent events, as the HTML standard has them).

use std::sync::Arc;
use std::time::Duration;

use http::header::{ACCEPT, HeaderMap};
use serde::Serialize;

use super::clock::{Started, written};
use crate::journal::{Event, Journal};
use crate::shutdown::Shutdown;

/// After so long without an event a comment is sent: so a client that has gone is noticed, and one that is there knows
/// that we are.
const SILENCE: Duration = Duration::from_secs(5);

/// How long the end waits for what there is to say about it.
const LAST_WORDS: Duration = Duration::from_millis(100);

/// Events, oldest first.
#[derive(Serialize)]
pub(super) struct List {
    /// When this run of the balancer began: numbers of another run mean nothing in it.
    started: String,
    /// The number of the last event that there was; 0 before the first.
    last: u64,
    /// The number of the first that is listed.
    first: Option<u64>,
    events: Vec<Entry>,
}

#[derive(Serialize)]
struct Entry {
    seq: u64,
    time: String,
    kind: &'static str,
    replica: Option<String>,
    text: String,
    request_id: Option<String>,
}

impl List {
    pub(super) fn after(journal: &Journal, seq: u64, started: Started) -> List {
        let events: Vec<Entry> = journal.after(seq).iter().map(|event| Entry::of(event)).collect();
        let last = events.last().map_or_else(|| journal.last(), |event| event.seq);
        List { started: written(started.time), last, first: events.first().map(|event| event.seq), events }
    }
}

impl Entry {
    fn of(event: &Event) -> Entry {
        Entry {
            seq: event.seq,
            time: written(event.time),
            kind: event.kind.as_str(),
            replica: event.replica.as_ref().map(ToString::to_string),
            text: event.text.clone(),
            request_id: event.request_id.clone(),
        }
    }
}

/// Whether a client would rather have a stream.
pub(super) fn is_stream_wanted(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    accepted.flat_map(|value| value.split(',')).any(|kind| {
        let kind = kind.split(';').next().unwrap_or_default().trim();
        kind.eq_ignore_ascii_case("text/event-stream")
    })
}

/// The last event that a client has seen whose stream had broken off, as it says by itself: 0 if that was in another run
/// of the balancer.
pub(super) fn last_seen(headers: &HeaderMap, run: Started) -> Option<u64> {
    let (seen_in, seq) = headers.get("last-event-id")?.to_str().ok()?.trim().split_once('-')?;
    let seq = seq.parse().ok()?;
    Some(if seen_in.parse() == Ok(run.number()) { seq } else { 0 })
}

/// Events as they happen, from a certain one on.
pub struct Stream {
    journal: Journal,
    shutdown: Shutdown,
    run: Started,
    seen: u64,
}

impl Stream {
    /// Those after the one with number `seen`, or only new ones.
    pub(super) fn new(journal: Journal, shutdown: Shutdown, run: Started, seen: Option<u64>) -> Stream {
        let last = journal.last();
        // There is none with a number ahead of the last.
        let seen = seen.map_or(last, |seen| if seen > last { 0 } else { seen });
        Stream { journal, shutdown, run, seen }
    }

    /// What is to be sent next. Waits for it, at most for some seconds; `None` at the end.
    pub fn next_part(&mut self) -> Option<String> {
        let is_ending = self.shutdown.begun();
        let patience = if is_ending { LAST_WORDS } else { SILENCE };
        let events: Vec<Arc<Event>> = self.journal.wait_after(self.seen, patience);
        match events.last() {
            Some(last) => self.seen = last.seq,
            None => return (!is_ending).then(|| ": still here\n\n".to_owned()),
        }
        Some(events.iter().map(|event| self.part(event)).collect())
    }

    /// One event. JSON has no line breaks of its own.
    fn part(&self, event: &Event) -> String {
        let entry = Entry::of(event);
        let data = serde_json::to_string(&entry).unwrap_or_default();
        format!("id: {}-{}\nevent: {}\ndata: {data}\n\n", self.run.number(), entry.seq, entry.kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::Kind;
    use http::HeaderValue;

    #[test]
    fn a_stream_is_for_those_who_ask_for_it() {
        for (accept, wanted) in [
            ("text/event-stream", true),
            ("text/html, Text/Event-Stream;q=0.9", true),
            ("*/*", false),
            ("application/json", false),
            ("text/event-streams", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT, HeaderValue::from_static(accept));
            assert_eq!(is_stream_wanted(&headers), wanted, "{accept}");
        }
    }

    #[test]
    fn a_stream_goes_on_where_it_broke_off_and_ends_with_the_balancer() {
        let (journal, shutdown) = (Journal::default(), Shutdown::default());
        for text in ["one", "two\n\nid: 9", "three"] {
            journal.note(Kind::Joined, None, text);
        }
        let run = Started::now();
        let begin = |seen| Stream::new(journal.clone(), shutdown.clone(), run, seen);
        let mut stream = begin(Some(1));
        let part = stream.next_part().unwrap();
        let lines: Vec<&str> = part.lines().collect();
        assert_eq!(lines[0], format!("id: {}-2", run.number()));
        assert_eq!((lines[1], lines[3], lines.len()), ("event: joined", "", 8));
        assert!(lines[2].starts_with(r#"data: {"seq":2,"#) && lines[2].contains(r"two\n\nid: 9"), "{part}");
        shutdown.begin();
        journal.note(Kind::Stopping, None, "");
        assert!(stream.next_part().unwrap().contains("event: stopping"));
        assert_eq!(stream.next_part(), None);
        assert!(begin(Some(1000)).next_part().unwrap().contains("-1\n"), "all of them");
        assert_eq!(begin(None).next_part(), None, "only new ones");
    }

    #[test]
    fn numbers_of_another_run_mean_nothing_in_this() {
        let run = Started::now();
        for (id, seen) in [
            (format!("{}-17", run.number()), Some(17)),
            (format!("{}-17", run.number() + 1), Some(0)),
            ("17".to_owned(), None),
            ("x-17".to_owned(), Some(0)),
            (format!("{}-x", run.number()), None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert("last-event-id", HeaderValue::from_str(&id).unwrap());
            assert_eq!(last_seen(&headers, run), seen, "{id}");
        }
        assert_eq!(last_seen(&HeaderMap::new(), run), None);
    }
}
