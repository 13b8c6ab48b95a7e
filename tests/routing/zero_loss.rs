//! Nobody who asks for something harmless ever hears of a failure, and whoever asks for something that must not be done
//! twice hears of it only where it may have been done. (One balancer after another: `tests/healing/take_over.rs`.)

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread;

use crate::support::backend::answer;
use crate::support::program::{process, signal};
use crate::support::{FakeLauncher, Load, Program, TestServer, wait_for};

const CLIENTS: usize = 64;

/// Answers between two faults: every client has met every replica by then.
const BETWEEN: usize = 2_000;

/// Waits until another process than `old` is the replica `name`, and serves.
fn wait_until_replaced(program: &Program, name: &str, old: u32) {
    wait_for("another process", || program.replica(name).is_some_and(|new| new.pid != old));
    program.wait_until_all_serve();
}

#[test]
fn sixty_four_clients_hear_nothing_but_200_whatever_happens_to_the_replicas() {
    // Heartbeats that a busy machine does not miss, or a replica that hangs would not be told from one that waits.
    let program = Program::start("--replicas 4 --heartbeat-timeout 1s --longest-pause 1s");
    let load = Load::start(program.address, CLIENTS);
    load.wait_for_answers(BETWEEN);

    let killed = program.replica("server_1").unwrap().pid;
    signal(killed, "KILL");
    wait_until_replaced(&program, "server_1", killed);
    load.wait_for_answers(BETWEEN);

    let stopped = program.replica("server_2").unwrap().pid;
    signal(stopped, "STOP");
    wait_for("it to stop", || process(stopped).is_none_or(|process| process.state == 'T'));
    wait_until_replaced(&program, "server_2", stopped);
    load.wait_for_answers(BETWEEN);

    let added = program.admin("POST", "/add", r#"{"n":2,"hostnames":["S5","S6"]}"#);
    assert_eq!(added.status, 200, "{}", added.text());
    load.wait_for_answers(BETWEEN);
    let removed = program.admin("DELETE", "/rm", r#"{"n":3,"hostnames":["S5","server_1"]}"#);
    assert_eq!(removed.status, 200, "{}", removed.text());
    load.wait_for_answers(BETWEEN);

    // One that leaves, and one that dies meanwhile.
    let named = program.listed();
    let dying = program.replica(&named[0]).unwrap().pid;
    signal(dying, "KILL");
    let removed = program.admin("DELETE", "/rm", &format!(r#"{{"n":1,"hostnames":["{}"]}}"#, named[1]));
    assert_eq!(removed.status, 200, "{}", removed.text());
    wait_until_replaced(&program, &named[0], dying);
    load.wait_for_answers(BETWEEN);

    let seen = load.stop();
    println!("{} answers, all 200", seen.total());
    assert!(seen.failures.is_empty() && seen.cut == 0, "{:?}, {} cut", seen.failures, seen.cut);
}

/// Clients on kept connections that send POSTs, each to a target of its own, and what was answered to each.
struct Posts {
    stop: Arc<AtomicBool>,
    answers: Arc<Mutex<BTreeMap<String, u16>>>,
    clients: Vec<thread::JoinHandle<()>>,
}

impl Posts {
    fn start(server: &TestServer) -> Posts {
        let (stop, answers) = (Arc::new(AtomicBool::new(false)), Arc::<Mutex<BTreeMap<_, _>>>::default());
        let clients = (0..CLIENTS).map(|client| {
            let (stop, answers, mut connection) = (stop.clone(), answers.clone(), server.connect());
            thread::spawn(move || {
                for k in 0.. {
                    if stop.load(SeqCst) {
                        return;
                    }
                    let target = format!("/{client}/{k}");
                    let status = connection.request("POST", &target, &[], b"once").status;
                    answers.lock().unwrap().insert(target, status);
                }
            })
        });
        let clients = clients.collect();
        Posts { stop, answers, clients }
    }

    fn wait_for_answers(&self, more: usize) {
        let wanted = self.answers.lock().unwrap().len() + more;
        wait_for("answers", || self.answers.lock().unwrap().len() >= wanted);
    }

    fn finish(self) -> BTreeMap<String, u16> {
        self.stop.store(true, SeqCst);
        self.clients.into_iter().for_each(|client| client.join().unwrap());
        let answers = self.answers.lock().unwrap();
        answers.clone()
    }
}

#[test]
fn of_requests_that_are_not_harmless_only_those_on_the_dead_replica_fail_and_none_is_done_twice() {
    let done: Arc<Mutex<BTreeMap<String, usize>>> = Arc::default();
    let count = done.clone();
    let launcher = FakeLauncher::with(move |seen, name, stream| {
        *count.lock().unwrap().entry(seen.target.clone()).or_default() += 1;
        answer(stream, "200 OK", &[], name.as_bytes());
    });
    let flags = "--heartbeat-interval 50ms --heartbeat-timeout 5s --longest-pause 1s";
    let server = TestServer::start(flags, launcher.clone());
    let posts = Posts::start(&server);
    for (deaths, name) in ["server_1", "server_2", "server_3"].into_iter().enumerate() {
        posts.wait_for_answers(BETWEEN);
        launcher.end(name);
        wait_for("it to be back", || launcher.count(&format!("start {name}")) == 2 && server.serving() == 3);
        let failed = posts.answers.lock().unwrap().values().filter(|status| **status != 200).count();
        assert!(
            failed <= (deaths + 1) * CLIENTS,
            "{failed} failed, {CLIENTS} were under way at most at each death"
        );
    }
    posts.wait_for_answers(BETWEEN);
    let answers = posts.finish();
    let done = done.lock().unwrap();
    let mut failed = 0;
    for (target, status) in &answers {
        let times = done.get(target).copied().unwrap_or_default();
        match status {
            200 => assert_eq!(times, 1, "POST {target} was answered"),
            502 => assert!(times <= 1, "POST {target} failed, and was done {times} times"),
            other => panic!("POST {target}: {other}"),
        }
        failed += usize::from(*status == 502);
    }
    println!("{} POSTs, {failed} of them 502", answers.len());
}
