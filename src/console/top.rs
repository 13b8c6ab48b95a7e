//! The status again each second, until it is told to stop.
//!
//! One thread asks, so that a balancer which does not answer keeps nobody from ending this; the other shows. When no
//! answer comes, the last one stays, marked as what it is, and asking goes on.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded, select};

use super::answer::Status;
use super::events::Recent;
use super::fetch::Remote;
use super::screen::{Frame, Screen, Window};
use super::text;
use super::view::{self, Rates};

/// From one question to the next.
const INTERVAL: Duration = Duration::from_secs(1);

/// A status and the lines of the last events.
struct Answer {
    status: Status,
    events: Vec<String>,
}

/// Shows the status of a balancer on `out` each second, until `stop` says something or nobody reads any further.
///
/// # Errors
/// One line, when there was no answer to begin with, or `out` cannot be written.
pub fn top(remote: Remote, stop: &Receiver<()>, out: impl Write, window: Window) -> Result<(), String> {
    let address = remote.address();
    let (to_us, answers) = bounded(0);
    let asking = thread::Builder::new().name("asking".to_owned()).spawn(move || ask(&remote, &to_us));
    asking.map_err(|error| format!("cannot start a thread: {error}"))?;
    let first = select! {
        recv(stop) -> _ => return Ok(()),
        recv(answers) -> answer => answer.map_err(|_| "nobody asks any more".to_owned())??,
    };
    let mut shown = Shown { latest: first, before: None, since: Instant::now() };
    match show(&mut shown, address, stop, &answers, out, window) {
        // `top | head` has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Err(error) => Err(format!("cannot write: {error}")),
        Ok(()) => Ok(()),
    }
}

fn show(
    shown: &mut Shown,
    address: SocketAddr,
    stop: &Receiver<()>,
    answers: &Receiver<Result<Answer, String>>,
    out: impl Write,
    window: Window,
) -> io::Result<()> {
    let mut screen = Screen::open(out, window)?;
    let mut trouble = None;
    loop {
        let warning = trouble.take().map(|why: String| shown.stale(&why, Instant::now()));
        screen.show(Frame { warning, lines: shown.lines(address, window.width()) })?;
        select! {
            recv(stop) -> _ => return Ok(()),
            recv(answers) -> answer => match answer {
                Ok(Ok(answer)) => shown.take(answer, Instant::now()),
                Ok(Err(why)) => trouble = Some(why),
                // It ends with us only.
                Err(_) => return Ok(()),
            },
        }
    }
}

/// Asks each second, and at once after a question that took longer, until nobody listens.
fn ask(remote: &Remote, answers: &Sender<Result<Answer, String>>) {
    let mut recent = Recent::default();
    loop {
        let asked = Instant::now();
        let answer = remote.status().map(|status| {
            // The table is worth showing without them.
            let missing = recent.refresh(remote, &status).err();
            let events = missing.map_or_else(|| recent.lines(), |why| vec![format!("not known: {why}")]);
            Answer { status, events }
        });
        if answers.send(answer).is_err() {
            return;
        }
        thread::sleep(INTERVAL.saturating_sub(asked.elapsed()));
    }
}

/// What is on the screen.
struct Shown {
    latest: Answer,
    /// What rates are measured from: the status before, of the same run or not.
    before: Option<Status>,
    /// When the latest came.
    since: Instant,
}

impl Shown {
    fn take(&mut self, answer: Answer, now: Instant) {
        let before = std::mem::replace(&mut self.latest, answer);
        self.before = Some(before.status);
        self.since = now;
    }

    fn lines(&self, address: SocketAddr, width: Option<usize>) -> Vec<String> {
        let Answer { status, events } = &self.latest;
        let mut lines = text::broken(view::header(address, status, self.before.as_ref()), width);
        lines.push(String::new());
        lines.extend(view::replicas(status, Rates::Since(self.before.as_ref()), width));
        if !events.is_empty() {
            lines.extend([String::new(), "last events (UTC)".to_owned()]);
            lines.extend(text::broken(events.clone(), width));
        }
        lines
    }

    fn stale(&self, why: &str, now: Instant) -> String {
        let seconds = now.saturating_duration_since(self.since).as_secs();
        let told = text::or_dash(self.latest.status.now.as_deref().map(text::time_of_day));
        // The longest part at the end, where a narrow terminal cuts it.
        format!("NO ANSWER for {seconds} s, shown as of {told} UTC: {why}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn answer(started: &str, uptime_ms: u32, requests: u32) -> Answer {
        let status = json!({"started": started, "now": "2026-11-21T15:20:03.456Z", "uptime_ms": uptime_ms,
            "totals": {"requests": requests}, "replicas": [{"name": "a", "requests": requests}]});
        Answer { status: serde_json::from_value(status).unwrap(), events: Vec::new() }
    }

    fn traffic(shown: &Shown) -> String {
        shown.lines(([127, 0, 0, 1], 1).into(), None)[2].split(',').next().unwrap().to_owned()
    }

    #[test]
    fn rates_run_from_answer_to_answer_and_start_afresh_with_the_balancer() {
        let now = Instant::now();
        let mut shown = Shown { latest: answer("a", 1000, 10), before: None, since: now };
        assert_eq!(traffic(&shown), "10 requests");
        shown.take(answer("a", 2000, 40), now);
        assert_eq!(traffic(&shown), "40 requests (30/s)");
        // Some answers were missed: the mean of the time between.
        shown.take(answer("a", 12_000, 140), now);
        assert_eq!(traffic(&shown), "140 requests (10/s)");
        shown.take(answer("b", 13_000, 150), now);
        assert_eq!(traffic(&shown), "150 requests");
        shown.take(answer("b", 14_000, 155), now);
        assert_eq!(traffic(&shown), "155 requests (5.0/s)");
    }

    #[test]
    fn nothing_is_wider_than_the_screen_and_nothing_of_it_is_lost() {
        let mut latest = answer("a", 1000, 10);
        latest.events =
            vec!["15:20:03  failed server_1: ".to_owned() + &"a long reason ".repeat(10) + "ends"];
        let shown = Shown { latest, before: None, since: Instant::now() };
        let lines = shown.lines(([127, 0, 0, 1], 1).into(), Some(80));
        assert!(lines.iter().all(|line| line.chars().count() <= 80), "{lines:?}");
        assert!(
            lines.join(" ").contains("- connections") && lines.last().unwrap().ends_with("ends"),
            "{lines:?}"
        );
    }

    #[test]
    fn what_is_old_says_how_old_and_why() {
        let now = Instant::now();
        let shown = Shown { latest: answer("a", 1000, 10), before: None, since: now };
        assert_eq!(
            shown.stale("nothing listens", now + Duration::from_millis(7300)),
            "NO ANSWER for 7 s, shown as of 15:20:03 UTC: nothing listens"
        );
    }
}
