//! Hostile input: tables of raw bytes, in the order of RFC 9112 and RFC 9110, with the answers that they must get and
//! what must become of the connection. A replica records what reaches it. Behind whatever ends a connection comes a
//! request that must reach nobody, and after each case a client that means well is served.

mod case;
mod connections;
mod fields;
mod framing;
mod messages;
mod semantics;
mod slow;
mod targets;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::support::backend::{Seen, answer};
use crate::support::client::{Response, request_bytes};
use crate::support::{CALM, Client, FakeLauncher, PATIENCE, TestServer, wait_for};
use case::{Answer, BREAKS_OFF, Case, Expected, Served};

/// Where the request behind the `k`th case goes is this and `k`.
const SMUGGLED: &str = "/smuggled/";

fn table() -> Vec<Case> {
    [
        messages::table(),
        targets::table(),
        fields::table(),
        framing::table(),
        connections::table(),
        semantics::table(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// A balancer before one replica that answers with the target, and what that replica saw.
struct Stage {
    server: TestServer,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Stage {
    fn new(flags: &str) -> Stage {
        let seen = Arc::<Mutex<Vec<Seen>>>::default();
        let launcher = FakeLauncher::with({
            let seen = seen.clone();
            move |request, _, stream| {
                seen.lock().unwrap().push(request.clone());
                let length = request.target.len().to_string();
                match request.method.as_str() {
                    "HEAD" => drop(write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n")),
                    _ => answer(stream, "200 OK", &[], request.target.as_bytes()),
                }
            }
        });
        Stage { server: TestServer::start(&format!("{CALM} --replicas 1 {flags}"), launcher), seen }
    }

    /// What the replica saw so far, but for what may come at any time.
    fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().iter().filter(|seen| !comes_late(seen)).cloned().collect()
    }

    /// All that the replica ever saw: whatever was still on its way has come when the balancer has stopped.
    fn stop(self) -> Vec<Seen> {
        self.server.stop();
        let seen = self.seen.lock().unwrap();
        seen.clone()
    }

    /// A client that means well is served.
    fn serves(&self, target: &str) -> Result<Served, String> {
        served(&mut self.server.connect(), target)
    }

    /// Plays the `k`th case; returns what the replica must have seen of it.
    fn play(&self, k: usize, case: &Case) -> Result<Vec<Served>, String> {
        let mut client = self.server.connect();
        let mut seen = Vec::new();
        let Expected { answers, continued, goes_on } = &case.expected;
        let mut writes = case.writes.clone();
        if !goes_on && !case.half_closes {
            let smuggled = request_bytes("GET", &format!("{SMUGGLED}{k}"), &[], b"");
            writes.last_mut().unwrap().extend(smuggled);
        }
        for (at, bytes) in writes.iter().enumerate() {
            if at == 1 && *continued {
                let response = read(&mut client, false)?;
                check(response.status == 100, || format!("{} before the body", response.status))?;
            }
            // The balancer may have ended the connection already.
            let _ = client.try_send(bytes);
        }
        if case.half_closes {
            client.finish_sending();
        }
        for answer in answers {
            let is_head = matches!(answer, Answer::Served(served) if served.method == "HEAD");
            let response = read(&mut client, is_head)?;
            check_answer(answer, &response)?;
            if let Answer::Served(served) = answer {
                seen.push(served.clone());
            }
        }
        match goes_on {
            true => seen.push(served(&mut client, &format!("/next/{k}"))?),
            false => {
                check(client.is_ended(), || "the connection goes on, or brings more answers".to_owned())?
            }
        }
        Ok(seen)
    }
}

/// What has its own time: requests that break off on the way to the replica, and those that must never come, for which
/// all that came is searched in the end.
fn comes_late(seen: &Seen) -> bool {
    (seen.target == BREAKS_OFF && !seen.complete) || seen.target.starts_with(SMUGGLED)
}

fn check(holds: bool, text: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(text()) }
}

fn read(client: &mut Client, without_body: bool) -> Result<Response, String> {
    client.try_answer(without_body).map_err(|error| format!("no answer: {error}"))
}

/// Asks for `target` and gets it; returns what the replica saw then.
fn served(client: &mut Client, target: &str) -> Result<Served, String> {
    let _ = client.try_send(&request_bytes("GET", target, &[], b""));
    let response = read(client, false).map_err(|error| format!("{target}: {error}"))?;
    check(response.status == 200 && response.text() == target, || {
        format!("{target} got {} {:?}", response.status, response.text())
    })?;
    Ok(Served {
        method: "GET".to_owned(),
        target: target.to_owned(),
        body: Vec::new(),
        host: Some("localhost"),
    })
}

fn check_answer(expected: &Answer, response: &Response) -> Result<(), String> {
    let got = || format!("got {} {:?} {:?}", response.status, response.headers, response.text());
    let (status, text) = (response.status, response.text());
    match expected {
        Answer::Refused(refusal) => {
            let in_envelope =
                text.starts_with(r#"{"message":"<Error> "#) && text.contains(r#"","status":"failure""#);
            check(status == *refusal && in_envelope, got)?;
            check(response.header("connection") == Some("close"), got)?;
            // A client that is told so must be told what else there is (RFC 9110 section 15.5.6).
            check(status != 405 || response.header("allow").is_some(), || format!("no Allow: {}", got()))
        }
        Answer::Unparsed(refusal) => check(status == *refusal, got),
        Answer::Here(answer) => check(status == *answer, got),
        Answer::Served(served) if served.method == "HEAD" => check(status == 200, got),
        Answer::Served(served) => check(status == 200 && text == served.target, got),
    }
}

/// The replica saw these requests and no other, each framed beyond doubt.
fn check_seen(expected: &[Served], seen: &[Seen]) -> Result<(), String> {
    let is_the_same = |expected: &Served, seen: &Seen| {
        let hosts = seen.header("host");
        let framings = [seen.header("content-length"), seen.header("transfer-encoding")].concat();
        (&expected.method, &expected.target, &expected.body) == (&seen.method, &seen.target, &seen.body)
            && seen.complete
            && hosts.len() == 1
            && expected.host.is_none_or(|host| hosts == [host])
            && framings.len() <= 1
            && ["connection", "upgrade", "te", "trailer", "expect", "proxy-connection", "keep-alive"]
                .iter()
                .all(|name| seen.header(name).is_empty())
    };
    let same = expected.len() == seen.len() && expected.iter().zip(seen).all(|(a, b)| is_the_same(a, b));
    check(same, || {
        let expected: Vec<String> = expected
            .iter()
            .map(|served| format!("{} {} ({:?})", served.method, served.target, served.host))
            .collect();
        let seen: Vec<String> = seen
            .iter()
            .map(|seen| format!("{} {} {:?} {:?}", seen.method, seen.target, seen.headers, shown(&seen.body)))
            .collect();
        format!("the replica saw {seen:?} instead of {expected:?}")
    })
}

fn shown(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).escape_debug().take(300).collect()
}

#[test]
fn every_case_gets_its_answer_and_reaches_no_replica_unless_it_may() {
    let stage = Stage::new("");
    let table = table();
    let mut failures = BTreeMap::new();
    for (k, case) in table.iter().enumerate() {
        let played = (0..case.times).try_for_each(|_| {
            let before = stage.seen().len();
            let mut expected = stage.play(k, case)?;
            expected.push(stage.serves(&format!("/sane/{k}"))?);
            check_seen(&expected, &stage.seen()[before..])
        });
        if let Err(why) = played {
            failures.insert(k, why);
        }
    }
    let played = stage.seen().len();
    let seen = stage.stop();
    for smuggled in seen.iter().filter_map(|seen| seen.target.strip_prefix(SMUGGLED)) {
        let why = || "the replica saw the request behind it".to_owned();
        failures.entry(smuggled.parse().unwrap()).or_insert_with(why);
    }
    let late: Vec<&Seen> = seen.iter().filter(|seen| !comes_late(seen)).skip(played).collect();
    // Past what the test harness keeps to itself, so that it is seen.
    let _ = writeln!(std::io::stderr(), "{} hostile cases, {} of them failed", table.len(), failures.len());
    let failures: Vec<String> = failures.iter().map(|(&k, why)| describe(&table[k], why)).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert!(late.is_empty(), "the replica saw these when everybody had gone: {late:?}");
}

fn describe(case: &Case, why: &str) -> String {
    let sent: Vec<String> = case.writes.iter().map(|bytes| shown(bytes)).collect();
    let why: String = why.chars().take(1000).collect();
    format!("RFC {}: {}: {why}\n    sent: {}", case.section, case.name, sent.join(" | "))
}

#[test]
fn requests_that_never_become_whole_are_ended_and_reach_no_replica() {
    let stage = Stage::new("--idle-timeout 2s --head-timeout 2s");
    let table = slow::table();
    // All at once, since each takes its time.
    let mut clients: Vec<Client> = table.iter().map(|_| stage.server.connect()).collect();
    for (client, (_, bytes)) in clients.iter_mut().zip(&table) {
        client.send(bytes);
    }
    let mut failures = Vec::new();
    let deadline = Instant::now() + PATIENCE;
    for (client, (name, _)) in clients.iter_mut().zip(&table) {
        let left = deadline.saturating_duration_since(Instant::now());
        client.set_patience(left.max(Duration::from_millis(1)));
        // An answer is welcome, if it says what is wrong.
        let answers = std::iter::from_fn(|| client.try_answer(false).ok());
        let statuses: Vec<u16> = answers.map(|response| response.status).collect();
        let is_ended = client.is_ended();
        if !is_ended || statuses.iter().any(|status| !matches!(status, 100 | 400 | 408 | 505)) {
            failures.push(format!("{name}: ended: {is_ended}, answers: {statuses:?}"));
        }
    }
    assert_eq!(stage.serves("/sane").map(|served| served.target).as_deref(), Ok("/sane"));
    let targets: Vec<String> = stage.stop().into_iter().map(|seen| seen.target).collect();
    assert_eq!(targets, ["/sane"]);
    let _ =
        writeln!(std::io::stderr(), "{} cases of waiting, {} of them failed", table.len(), failures.len());
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn a_head_that_comes_byte_by_byte_without_an_end_is_ended() {
    let stage = Stage::new("--idle-timeout 30s --head-timeout 2s");
    for begun in ["", "GET /", "GET /odd HTTP/1.1\r\nHost: a\r\n", "GET /odd HTTP/1.1\r\nHost: a\r\nX: "] {
        let mut client = stage.server.connect();
        client.send(begun.as_bytes());
        wait_for("the connection to be ended", || client.try_send(b"x").is_err());
        assert!(stage.serves("/sane").is_ok(), "behind {begun:?}");
    }
    assert!(stage.stop().iter().all(|seen| seen.target == "/sane"));
}

#[test]
fn the_table_is_in_order_and_names_each_case_once() {
    let table = table();
    let key = |case: &Case| -> Vec<u32> {
        // RFC 9112 comes before RFC 9110, which says what its messages mean.
        let (rfc, section) = case.section.split_once(' ').unwrap();
        let numbers = section.split('.').map(|number| number.parse::<u32>().unwrap());
        std::iter::once(if rfc == "9112" { 0 } else { 1 }).chain(numbers).collect()
    };
    assert!(table.windows(2).all(|pair| key(&pair[0]) <= key(&pair[1])), "the order of sections");
    assert!(table.len() >= 120, "{} cases", table.len());
    let mut names = BTreeSet::new();
    for case in &table {
        assert!(names.insert((case.section, &case.name)), "{} {} is there twice", case.section, case.name);
    }
}
