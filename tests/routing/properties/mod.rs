//! Properties: for any sane request, what a replica receives is what the client sent, but for what the rules about
//! fields change; and likewise for answers. Each conversation is made by chance from a seed and held over real
//! sockets. One that fails is told with its seed, and `PROPERTY_SEED=<seed>` holds that one alone.

mod answers;
mod dice;
mod fields;
mod requests;

use std::io::Write;
use std::net::{Shutdown, TcpStream};
use std::panic::{self, AssertUnwindSafe};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use crate::support::backend::{Backend, Script, Seen, answer};
use crate::support::{CALM, Client, Response, TestServer, settings};
use answers::{Asked, Planned};
use dice::Dice;
use requests::Sent;

/// How many conversations each property is tried on, and the most exchanges in one.
const CONVERSATIONS: usize = 300;
const MOST_EXCHANGES: usize = 6;

/// After so many that failed, no more are tried: each may have to wait for what does not come.
const MOST_FAILURES: usize = 3;

fn before(replica: &Backend) -> TestServer {
    TestServer::as_set(&settings(&format!("{CALM} --launcher static --backends {}", replica.address)))
}

/// Holds conversations, each from a seed of its own, which returns how many exchanges it had.
fn try_many(property: &str, mut converse: impl FnMut(&mut Dice) -> Result<usize, String>) {
    let replayed = std::env::var("PROPERTY_SEED").ok().map(|seed| vec![seed.parse().unwrap()]);
    let seeds: Vec<u64> = replayed.unwrap_or_else(|| (0..CONVERSATIONS).map(|_| fastrand::u64(..)).collect());
    let begun = Instant::now();
    let (mut exchanges, mut failures) = (0, Vec::new());
    for &seed in &seeds {
        if failures.len() == MOST_FAILURES {
            break;
        }
        // A panic, too, is told with its seed.
        let held = panic::catch_unwind(AssertUnwindSafe(|| converse(&mut Dice::new(seed))));
        match held.unwrap_or_else(|_| Err("a panic, as told above".to_owned())) {
            Ok(held) => exchanges += held,
            Err(why) => {
                let why: String = why.chars().take(5000).collect();
                failures.push(format!("PROPERTY_SEED={seed}: {why}"));
            }
        }
    }
    // Past what the test harness keeps to itself, so that it is seen.
    let _ = writeln!(
        std::io::stderr(),
        "{property}: {} conversations, {exchanges} exchanges in {:.1?}, {} failed",
        seeds.len(),
        begun.elapsed(),
        failures.len()
    );
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

fn send(client: &mut Client, dice: &mut Dice, bytes: &[u8]) -> Result<(), String> {
    dice.parts(bytes)
        .into_iter()
        .try_for_each(|part| client.try_send(part))
        .map_err(|error| format!("not taken: {error}"))
}

fn read(client: &mut Client, without_body: bool) -> Result<Response, String> {
    client.try_answer(without_body).map_err(|error| format!("no answer: {error}"))
}

/// Whether the connection ends, which the answer must have announced truly.
fn ends(client: &mut Client, response: &Response) -> Result<bool, String> {
    let announced = response.header("connection").is_some_and(|option| option.eq_ignore_ascii_case("close"));
    match announced && !client.is_ended() {
        true => Err("the end of the connection was announced and did not come".to_owned()),
        false => Ok(announced),
    }
}

#[test]
fn a_replica_receives_what_the_client_sent() {
    let seen = Arc::<Mutex<Vec<Seen>>>::default();
    let script: Script = Arc::new({
        let seen = seen.clone();
        move |request, stream| {
            seen.lock().unwrap().push(request.clone());
            match request.method.as_str() {
                "HEAD" => drop(stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n")),
                _ => answer(stream, "200 OK", &[], b"yes"),
            }
        }
    });
    let replica = Backend::start(script);
    let server = before(&replica);
    try_many("requests", |dice| {
        seen.lock().unwrap().clear();
        let mut client = server.connect();
        let mut held = 0;
        while held < MOST_EXCHANGES {
            let batch = batch(dice);
            held += batch.len();
            if exchange_batch(&mut client, dice, &batch, &seen)? {
                break;
            }
        }
        requests::same("requests that nobody sent", &0, &seen.lock().unwrap().len())?;
        Ok(held)
    });
}

/// Requests that are sent in one go, mostly one. None but the last may end the connection or wait to be told to go on.
fn batch(dice: &mut Dice) -> Vec<Sent> {
    let most = dice.one_of(&[1, 1, 1, 3]);
    let mut batch = Vec::new();
    while batch.len() < most {
        let sent = Sent::by_chance(dice);
        let is_last = sent.may_be_last() || sent.may_be_told_to_go_on();
        batch.push(sent);
        if is_last {
            break;
        }
    }
    batch
}

/// Sends requests and holds what the replica saw of them against them; returns whether the connection has ended.
fn exchange_batch(
    client: &mut Client,
    dice: &mut Dice,
    batch: &[Sent],
    seen: &Mutex<Vec<Seen>>,
) -> Result<bool, String> {
    let bytes: Vec<u8> = batch.iter().flat_map(|sent| sent.bytes.iter().copied()).collect();
    send(client, dice, &bytes).map_err(|why| told(&why, batch))?;
    for (at, sent) in batch.iter().enumerate() {
        let is_last = exchange(client, sent, seen).map_err(|why| told(&why, &batch[at..]))?;
        if is_last {
            return Ok(true);
        }
    }
    Ok(false)
}

fn exchange(client: &mut Client, sent: &Sent, seen: &Mutex<Vec<Seen>>) -> Result<bool, String> {
    let mut response = read(client, sent.method == "HEAD")?;
    if response.status == 100 && sent.may_be_told_to_go_on() {
        response = read(client, sent.method == "HEAD")?;
    }
    requests::same("status", &200, &response.status).map_err(|why| format!("{why}: {}", response.text()))?;
    let came: Vec<Seen> = seen.lock().unwrap().drain(..).collect();
    // Of those that are sent in one go, the next may be there already.
    sent.check(came.first().ok_or("the replica saw nothing")?)?;
    seen.lock().unwrap().splice(0..0, came.into_iter().skip(1));
    let is_last = ends(client, &response)?;
    if is_last && !sent.may_be_last() {
        return Err("the connection ends without a reason".to_owned());
    }
    if !is_last && sent.must_be_last() {
        return Err("the connection goes on".to_owned());
    }
    Ok(is_last)
}

/// Why it failed, and the heads of what was sent.
fn told(why: &str, batch: &[Sent]) -> String {
    let heads: Vec<String> = batch.iter().map(|sent| head_of(&sent.bytes)).collect();
    format!("{why}\n    sent: {}", heads.join("\n    then: "))
}

fn head_of(message: &[u8]) -> String {
    let end = message.windows(4).position(|bytes| bytes == b"\r\n\r\n").unwrap_or(message.len());
    message[..end].escape_ascii().to_string()
}

#[test]
fn a_client_receives_what_the_replica_sent() {
    let next = Arc::<Mutex<Option<(Vec<Vec<u8>>, bool)>>>::default();
    let script: Script = Arc::new({
        let next = next.clone();
        move |_, stream: &mut TcpStream| {
            let Some((parts, closes)) = next.lock().unwrap().take() else {
                return answer(stream, "500 Internal Server Error", &[], b"asked twice");
            };
            let _ = stream.set_nodelay(true);
            let _ = parts.iter().try_for_each(|part| stream.write_all(part));
            if closes {
                let _ = stream.shutdown(Shutdown::Both);
            }
        }
    });
    let replica = Backend::start(script);
    let server = before(&replica);
    try_many("answers", |dice| {
        let mut client = server.connect();
        for held in 1..=MOST_EXCHANGES {
            let asked = Asked::by_chance(dice);
            let planned = Planned::by_chance(dice, &asked);
            let parts = dice.parts(&planned.bytes).into_iter().map(<[u8]>::to_vec).collect();
            *next.lock().unwrap() = Some((parts, planned.closes));
            send(&mut client, dice, &asked.bytes("/answer"))?;
            let is_last = receive(&mut client, &asked, &planned).map_err(|why| {
                let asked = head_of(&asked.bytes("/answer"));
                format!("{why}\n    asked: {asked}\n    sent: {}", head_of(&planned.bytes))
            })?;
            if is_last {
                return Ok(held);
            }
        }
        Ok(MOST_EXCHANGES)
    });
}

/// Reads an answer and holds it against what was planned; returns whether the connection has ended.
fn receive(client: &mut Client, asked: &Asked, planned: &Planned) -> Result<bool, String> {
    let response = read(client, asked.method == "HEAD")?;
    planned.check(asked, &response)?;
    let is_last = ends(client, &response)?;
    requests::same("whether the connection ends", &planned.must_be_last(asked), &is_last)?;
    Ok(is_last)
}
