//! More requests than there is room for: those within the bounds wait and are answered, those beyond are told so at
//! once, and the admin API notices nothing.

use std::collections::BTreeSet;
use std::io::Write;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::backend::answer;
use crate::support::{CALM, Client, FakeLauncher, Gate, PATIENCE, Response, TestServer, wait_for};

/// Sends a GET for each target on a connection of its own; their answers in the order in which they come.
fn ask(server: &TestServer, targets: impl IntoIterator<Item = String>) -> Receiver<Response> {
    let (answers, received) = channel();
    for target in targets {
        let (mut client, answers) = (server.connect(), answers.clone());
        thread::spawn(move || answers.send(client.request("GET", &target, &[], b"")));
    }
    received
}

/// A balancer with two workers and room for two more requests, all of it taken: two are under way, two wait. Their
/// answers come two and two, when the gate is opened.
fn full() -> (TestServer, Gate, [Receiver<Response>; 2]) {
    let gate = Gate::default();
    let launcher = FakeLauncher::with({
        let gate = gate.clone();
        move |seen, _, stream| {
            if seen.target.starts_with("/slow") {
                gate.pass();
            }
            answer(stream, "200 OK", &[], seen.target.as_bytes());
        }
    });
    let server = TestServer::start(&format!("{CALM} --workers 2 --queue 2 --drain-timeout 200ms"), launcher);
    let under_way = ask(&server, (0..2).map(|k| format!("/slow/{k}")));
    wait_for("two to be under way", || gate.waiting() == 2);
    // Of three more, whichever come first, two find room.
    let waiting = ask(&server, (2..5).map(|k| format!("/slow/{k}")));
    assert_refused(&waiting.recv_timeout(PATIENCE).unwrap());
    (server, gate, [under_way, waiting])
}

fn assert_refused(response: &Response) {
    assert_eq!(response.status, 503, "{}", response.text());
    assert_eq!(response.error(), "<Error> too many requests are waiting");
    assert_eq!(response.header("retry-after"), Some("1"));
}

#[test]
fn beyond_the_workers_and_the_queue_requests_are_refused_and_the_others_answered() {
    // Workers outlive a panic, so nobody would notice one.
    static PANICS: AtomicUsize = AtomicUsize::new(0);
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        PANICS.fetch_add(1, SeqCst);
        report(panic);
    }));

    let (server, gate, four) = full();
    for k in 0..20 {
        assert_refused(&server.get(&format!("/quick/{k}")));
    }
    assert_eq!(server.in_flight(), 2, "what waits or is refused is on no replica");
    assert_eq!(gate.waiting(), 2);
    let events = server.get("/_ringmaster/events").text();
    assert!(events.contains("too many requests are waiting"), "{events}");

    // Traffic is none of the admin API's concern.
    assert_eq!(server.listed().len(), 3);
    assert_eq!(server.admin("POST", "/add", r#"{"n":1,"hostnames":["S1"]}"#).listed().len(), 4);
    assert_eq!(server.admin("DELETE", "/rm", r#"{"n":1,"hostnames":["S1"]}"#).listed().len(), 3);
    assert_eq!(server.get("/rep").listed().len(), 3);

    gate.open();
    let mut answered = BTreeSet::new();
    for answers in four.iter().flat_map(|answers| [answers; 2]) {
        let response = answers.recv_timeout(PATIENCE).unwrap();
        assert_eq!(response.status, 200, "{}", response.text());
        answered.insert(response.text());
    }
    assert_eq!(answered.len(), 4, "each got its own answer: {answered:?}");
    assert!(four.iter().all(|answers| answers.recv().is_err()), "there were no others");

    // Life goes on as before.
    wait_for("the replicas to hold nothing", || server.in_flight() == 0);
    let mut client = server.connect();
    for k in 0..50 {
        let target = format!("/after/{k}");
        assert_eq!(client.request("GET", &target, &[], b"").text(), target);
    }
    assert_eq!(server.serving(), 3);
    server.stop();
    assert_eq!(PANICS.load(SeqCst), 0, "something panicked");
}

#[test]
fn a_refused_client_may_come_again_on_the_same_connection() {
    let (server, gate, four) = full();
    let mut client = server.connect();
    assert_refused(&client.request("GET", "/quick", &[], b""));
    assert_refused(&client.request("DELETE", "/quick", &[], b""));
    gate.open();
    for answers in four.iter().flat_map(|answers| [answers; 2]) {
        assert_eq!(answers.recv_timeout(PATIENCE).unwrap().status, 200);
    }
    assert_eq!(client.request("GET", "/quick", &[], b"").text(), "/quick");
}

/// Uploads of which only the beginning was sent, each on a connection of its own; what they are answered, as it comes.
fn begin_uploads(server: &TestServer, count: usize) -> Receiver<(Client, Response)> {
    let (answers, received) = channel();
    for _ in 0..count {
        let (mut client, answers) = (server.connect(), answers.clone());
        client.send(b"POST /quick HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\nbegun");
        thread::spawn(move || {
            // Those that are not refused get their answer when the test is over, if any.
            if let Ok(response) = client.try_answer(false) {
                let _ = answers.send((client, response));
            }
        });
    }
    received
}

/// The body of a refused request is not waited for: the answer comes, and the connection ends.
#[test]
fn a_refused_upload_is_not_read() {
    let (server, gate, _four) = full();
    // Two are being received, two wait, one is too many.
    let (mut client, response) = begin_uploads(&server, 5).recv_timeout(PATIENCE).unwrap();
    assert_refused(&response);
    assert_eq!(response.header("connection"), Some("close"));
    assert!(client.is_ended());
    gate.open();
}

#[test]
fn clients_that_are_slow_to_send_hold_up_only_each_other() {
    let server = TestServer::start(
        &format!("{CALM} --workers 1 --queue 1 --drain-timeout 200ms"),
        FakeLauncher::new(),
    );
    let (_client, refused) = begin_uploads(&server, 3).recv_timeout(PATIENCE).unwrap();
    assert_refused(&refused);
    assert_eq!(server.get("/home").status, 200);
}

/// Four times the load that the workers can carry, on replicas that take 100 ms. What is not served is refused at once,
/// what is served is as much as without the surplus, and admin requests do not wait; the figures are printed.
#[test]
fn a_load_four_times_too_high_costs_only_the_surplus() {
    const WORKERS: usize = 16;
    const ROUNDS: usize = 8;
    let launcher = FakeLauncher::with(|_, _, stream| {
        thread::sleep(Duration::from_millis(100));
        answer(stream, "200 OK", &[], b"");
    });
    let server = TestServer::start(&format!("{CALM} --workers {WORKERS} --queue {WORKERS}"), launcher);
    let best = Tally::of(&server, WORKERS, ROUNDS);
    let mut listings = Vec::new();
    let tally = thread::scope(|scope| {
        let load = scope.spawn(|| Tally::of(&server, 4 * WORKERS, ROUNDS));
        while !load.is_finished() {
            let begun = Instant::now();
            assert_eq!(server.get("/rep").status, 200);
            listings.push(begun.elapsed());
            thread::sleep(Duration::from_millis(20));
        }
        load.join().unwrap()
    });
    assert_eq!(best.refused.len(), 0);
    assert!(!tally.refused.is_empty() && tally.served >= best.served, "{tally:?}");
    println!(
        "100 ms replicas, {WORKERS} workers: {:.0} answers/s; at four times the load {:.0}/s, {} refused, slowest refusal \
         {:?}, median {:?}; slowest /rep {:?}",
        best.rate(),
        tally.rate(),
        tally.refused.len(),
        tally.refused.iter().max().unwrap(),
        median(&tally.refused),
        listings.iter().max().unwrap(),
    );
}

fn median(times: &[Duration]) -> Duration {
    let mut times = times.to_vec();
    times.sort();
    times[times.len() / 2]
}

/// What clients in a closed loop were answered.
#[derive(Default, Debug)]
struct Tally {
    served: usize,
    /// How long each refusal took.
    refused: Vec<Duration>,
    took: Duration,
}

impl Tally {
    /// So many clients, until `rounds` answers for each worker's worth of them were given.
    fn of(server: &TestServer, clients: usize, rounds: usize) -> Tally {
        let (begun, wanted) = (Instant::now(), 16 * rounds);
        let tally = Mutex::new(Tally::default());
        thread::scope(|scope| {
            for _ in 0..clients {
                scope.spawn(|| {
                    let mut client = server.connect();
                    while tally.lock().unwrap().served < wanted {
                        let asked = Instant::now();
                        let response = client.request("GET", "/x", &[], b"");
                        let took = asked.elapsed();
                        if response.status == 200 {
                            tally.lock().unwrap().served += 1;
                            continue;
                        }
                        assert_refused(&response);
                        tally.lock().unwrap().refused.push(took);
                        // Whoever is told to come again does so, though sooner than it was told.
                        thread::sleep(Duration::from_millis(50));
                    }
                });
            }
        });
        let mut tally = tally.into_inner().unwrap();
        tally.took = begun.elapsed();
        tally
    }

    fn rate(&self) -> f64 {
        self.served as f64 / self.took.as_secs_f64()
    }
}

#[test]
fn who_has_waited_for_a_worker_for_too_long_is_told_to_come_again() {
    let gate = Gate::default();
    let held = gate.clone();
    // The answer begins at once and takes as long as the gate is closed.
    let launcher = FakeLauncher::with(move |_, _, stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\na");
        held.pass();
        let _ = stream.write_all(b"b");
    });
    let flags = "--workers 1 --queue 9 --request-timeout 300ms";
    let server = TestServer::start(&format!("{CALM} {flags}"), launcher);
    let first = ask(&server, ["/first".to_owned()]);
    wait_for("the first to be under way", || gate.waiting() == 1);
    let second = ask(&server, ["/second".to_owned()]);
    // What has to pass is time itself.
    thread::sleep(Duration::from_millis(600));
    gate.open();
    assert_eq!(first.recv_timeout(PATIENCE).unwrap().status, 200);
    let second = second.recv_timeout(PATIENCE).unwrap();
    assert_eq!(second.status, 503, "{}", second.text());
    assert_eq!(second.error(), "<Error> no worker came free in time");
    assert_eq!(second.header("retry-after"), Some("1"));
}
