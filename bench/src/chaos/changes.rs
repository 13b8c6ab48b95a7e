//! Additions and removals, beside everything else, and how many replicas there should be after them.

use std::net::SocketAddr;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::Result;
use serde::Deserialize;

use super::plan::Kind;
use super::status;
use crate::client::{Answer, Client};

/// How long an answer may take: a change waits for several calls of an engine that hangs, 20 s each.
const PATIENCE: Duration = Duration::from_secs(150);

/// What `/rep`, `/add` and `/rm` answer.
#[derive(Debug, Deserialize)]
pub struct Listing {
    /// How many replicas there should be.
    #[serde(rename = "N")]
    pub n: usize,
}

/// What came of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// So many replicas there are to be now.
    Done(usize),
    /// It failed, and the engine is to blame.
    Excused(String),
    /// It should not have gone so.
    Wrong(String),
}

/// One change at a time.
pub struct Changes {
    address: SocketAddr,
    under_way: Option<UnderWay>,
    /// How many replicas there should be.
    pub wanted: usize,
    /// How many failed because the engine did.
    pub excused: u64,
}

struct UnderWay {
    kind: Kind,
    begun: Instant,
    thread: JoinHandle<Result<Answer>>,
}

impl Changes {
    /// Of the balancer at `address`, which was started with so many.
    pub fn new(address: SocketAddr, wanted: usize) -> Changes {
        Changes { address, under_way: None, wanted, excused: 0 }
    }

    /// Whether none is under way.
    pub fn is_idle(&self) -> bool {
        self.under_way.is_none()
    }

    /// Asks for one replica more or less.
    pub fn begin(&mut self, kind: Kind) {
        let (address, (method, path)) = (self.address, request(kind));
        let thread = thread::spawn(move || {
            let mut client = Client::connect_with(address, PATIENCE)?;
            Ok(client.request(method, path, r#"{"n":1}"#)?)
        });
        self.under_way = Some(UnderWay { kind, begun: Instant::now(), thread });
    }

    /// Takes in the answer if it is there; `is_excused` says of a change begun then whether it may fail.
    pub fn collect(&mut self, is_excused: impl Fn(Instant) -> bool) -> Option<(Kind, Outcome)> {
        let UnderWay { kind, begun, thread } = self.under_way.take_if(|it| it.thread.is_finished())?;
        let outcome = match thread.join() {
            Ok(Ok(answer)) => judge(kind, self.wanted, answer.status, &answer.body, is_excused(begun)),
            Ok(Err(error)) => Outcome::Wrong(format!("{}: no answer: {error:#}", request(kind).1)),
            Err(_) => Outcome::Wrong(format!("{}: the thread that asked panicked", request(kind).1)),
        };
        match outcome {
            Outcome::Done(n) => self.wanted = n,
            Outcome::Excused(_) => self.excused += 1,
            Outcome::Wrong(_) => {}
        }
        Some((kind, outcome))
    }
}

fn request(kind: Kind) -> (&'static str, &'static str) {
    match kind {
        Kind::Add => ("POST", "/add"),
        _ => ("DELETE", "/rm"),
    }
}

/// What an answer to a change of a fleet of `before` replicas means.
fn judge(kind: Kind, before: usize, status: u16, body: &[u8], is_excused: bool) -> Outcome {
    let after = if kind == Kind::Add { before + 1 } else { before.saturating_sub(1) };
    let said = || format!("{}: {status} {}", request(kind).1, String::from_utf8_lossy(body));
    match (status, status::message::<Listing>(body)) {
        (200, Ok(listing)) if listing.n == after => Outcome::Done(after),
        (200, _) => Outcome::Wrong(format!("{}, where N should be {after}", said())),
        (500, _) if is_excused => Outcome::Excused(said()),
        _ => Outcome::Wrong(said()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_answer_means() {
        let body = br#"{"message":{"N":4,"replicas":[]},"status":"successful"}"#;
        assert_eq!(judge(Kind::Add, 3, 200, body, false), Outcome::Done(4));
        assert_eq!(judge(Kind::Rm, 5, 200, body, false), Outcome::Done(4));
        assert!(matches!(judge(Kind::Add, 4, 200, body, true), Outcome::Wrong(_)));
        let failed = br#"{"message":"<Error> no engine","status":"failure"}"#;
        assert!(matches!(judge(Kind::Add, 3, 500, failed, true), Outcome::Excused(_)));
        assert!(matches!(judge(Kind::Add, 3, 500, failed, false), Outcome::Wrong(_)));
        assert!(matches!(judge(Kind::Add, 3, 503, failed, true), Outcome::Wrong(_)));
    }
}
