//! The last few things that happened, kept up with by asking only for what is new.

use std::collections::VecDeque;

use super::answer::{Event, Events, Status};
use super::fetch::Remote;
use super::text;

/// How many are shown.
const SHOWN: usize = 8;

/// The last events of one run of a balancer.
#[derive(Default)]
pub(super) struct Recent {
    run: Option<String>,
    last: u64,
    events: VecDeque<Event>,
}

impl Recent {
    /// Asks for what is new since the last time; `status` was answered just before.
    pub(super) fn refresh(&mut self, remote: &Remote, status: &Status) -> Result<(), String> {
        self.belong_to(status);
        self.take(remote.events(self.last)?);
        Ok(())
    }

    /// Numbers start anew with each run.
    fn belong_to(&mut self, status: &Status) {
        if self.run != status.started {
            *self = Recent { run: status.started.clone(), ..Recent::default() };
        }
    }

    fn take(&mut self, news: Events) {
        let last = news.last.unwrap_or(self.last);
        if last < self.last {
            // It was restarted after its status; the next one says so.
            return;
        }
        self.last = last;
        self.events.extend(news.events);
        while self.events.len() > SHOWN {
            self.events.pop_front();
        }
    }

    /// One line each, oldest first.
    pub(super) fn lines(&self) -> Vec<String> {
        self.events.iter().map(line).collect()
    }
}

fn line(event: &Event) -> String {
    let time = text::or_dash(event.time.as_deref().map(text::time_of_day));
    let kind = text::word(event.kind.as_deref());
    let replica = event.replica.as_deref().map(|name| format!(" {}", text::word(Some(name))));
    let told = event.text.as_deref().filter(|told| !told.is_empty());
    let told = told.map(|told| format!(": {}", text::cut(&text::plain(told), 300)));
    format!("{time}  {kind}{}{}", replica.unwrap_or_default(), told.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(json: serde_json::Value) -> Events {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn an_event_is_a_line_and_the_last_eight_are_kept() {
        let mut recent = Recent::default();
        for seq in 1..=9 {
            recent.take(events(serde_json::json!({"last": seq, "events": [
                {"seq": seq, "time": format!("2026-11-21T15:19:0{seq}.123Z"), "kind": "relaunched",
                 "replica": "server_2", "text": format!("try\x1b {seq}"), "request_id": null}]})));
        }
        let lines = recent.lines();
        assert_eq!(lines.len(), SHOWN);
        assert_eq!(lines[0], "15:19:02  relaunched server_2: try\\u{1b} 2");
        assert_eq!(recent.last, 9);
        recent.take(events(serde_json::json!({"last": 10, "events": [{"kind": "panic over"}, {}]})));
        assert_eq!(recent.lines()[6..], ["-  panic over", "-  -"]);
    }

    #[test]
    fn those_of_another_run_are_forgotten() {
        let run = |started: &str| Status { started: Some(started.to_owned()), ..Status::default() };
        let mut recent = Recent::default();
        recent.belong_to(&run("a"));
        recent.take(events(serde_json::json!({"last": 5, "events": [{"kind": "joined"}]})));
        recent.belong_to(&run("a"));
        assert_eq!((recent.last, recent.lines().len()), (5, 1));
        // Restarted between its status and its events.
        recent.take(events(serde_json::json!({"last": 1, "events": []})));
        assert_eq!(recent.last, 5);
        recent.belong_to(&run("b"));
        assert_eq!((recent.last, recent.lines().len()), (0, 0));
    }
}
