//! Many requests at once.

use std::collections::BTreeMap;
use std::sync::{Arc, Barrier, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crate::asked;
use crate::clients::{Client, Tally};
use crate::stack::Stack;

const CONNECTIONS: usize = 100;
const REQUESTS_EACH: usize = 100;

#[test]
fn ten_thousand_requests_on_100_keep_alive_connections_all_get_a_200() {
    if !asked() {
        return;
    }
    let stack = Stack::up();
    let tally = Arc::new(Mutex::new(Tally::default()));
    let all_connected = Barrier::new(CONNECTIONS);
    let begin = Instant::now();
    thread::scope(|scope| {
        for _ in 0..CONNECTIONS {
            let mut client = Client::new(stack.address(), &tally);
            let all_connected = &all_connected;
            scope.spawn(move || {
                let connected = client.connect().map(|_| ());
                all_connected.wait();
                connected.unwrap();
                (0..REQUESTS_EACH).for_each(|_| client.get("/home"));
            });
        }
    });
    let tally = tally.lock().unwrap();
    report(&tally, begin.elapsed());
    tally.assert_all_200();
    assert_eq!(tally.total(), CONNECTIONS * REQUESTS_EACH);
    assert_eq!(tally.connections, CONNECTIONS, "a connection was not kept");
    assert_eq!(tally.counts().len(), 3, "every replica has its part: {:?}", tally.counts());
}

fn report(tally: &Tally, took: Duration) {
    let rate = tally.total() as f64 / took.as_secs_f64();
    println!("{} requests on {CONNECTIONS} connections in {took:.2?}: {rate:.0} per second", tally.total());
    let by_answer: BTreeMap<&str, usize> = tally.counts();
    for (answer, count) in by_answer {
        println!("  {count:6}  {answer}");
    }
    println!("  slowest {:.0} ms", tally.slowest.as_secs_f64() * 1000.0);
}
