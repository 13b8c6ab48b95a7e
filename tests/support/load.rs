//! Clients that ask for `/home` without pause.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use super::client::request_bytes;
use super::{Client, wait_for};

/// Clients on keep-alive connections, each of which asks again as soon as it is answered.
pub struct Load {
    shared: Arc<Shared>,
    clients: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    seen: Mutex<Seen>,
}

/// What the clients saw.
#[derive(Clone, Default, Debug)]
pub struct Seen {
    /// Answers of 200, by the name of the replica that gave them.
    pub answers: BTreeMap<String, usize>,
    /// Everything else that happened, in words.
    pub failures: Vec<String>,
    /// Connections that ended while a request was out, before any part of its answer came.
    pub cut: usize,
}

impl Seen {
    /// All answers of 200.
    pub fn total(&self) -> usize {
        self.answers.values().sum()
    }
}

impl Load {
    /// Starts so many clients, each until the load is stopped.
    pub fn start(address: SocketAddr, clients: usize) -> Load {
        Load::limited(address, clients, usize::MAX)
    }

    /// Starts so many clients, each for so many requests.
    pub fn limited(address: SocketAddr, clients: usize, requests: usize) -> Load {
        let shared = Arc::new(Shared::default());
        let clients = (0..clients)
            .map(|_| {
                let shared = shared.clone();
                thread::spawn(move || shared.ask(Client::connect(address), requests))
            })
            .collect();
        Load { shared, clients }
    }

    /// What was seen so far.
    pub fn seen(&self) -> Seen {
        self.shared.seen.lock().unwrap().clone()
    }

    /// Waits until so many more answers came.
    pub fn wait_for_answers(&self, more: usize) {
        let wanted = self.seen().total() + more;
        wait_for("answers", || self.seen().total() >= wanted);
    }

    /// Has every client finish its request and go.
    pub fn stop(self) -> Seen {
        self.shared.stop.store(true, SeqCst);
        self.finish()
    }

    /// Waits until every client has gone by itself.
    pub fn finish(self) -> Seen {
        for client in self.clients {
            client.join().unwrap();
        }
        let seen = self.shared.seen.lock().unwrap();
        seen.clone()
    }
}

impl Shared {
    fn ask(&self, mut client: Client, requests: usize) {
        let request = request_bytes("GET", "/home", &[], b"");
        for _ in 0..requests {
            if self.stop.load(SeqCst) {
                return;
            }
            let answer = match client.try_send(&request) {
                Ok(()) => client.try_answer(false),
                Err(error) => Err(error),
            };
            let mut seen = self.seen.lock().unwrap();
            match answer {
                Ok(answer) if answer.status == 200 => {
                    let text = answer.json()["message"].as_str().unwrap().to_owned();
                    let name = text.trim_start_matches("Hello from Server: ").to_owned();
                    *seen.answers.entry(name).or_default() += 1;
                    if answer.header("connection") == Some("close") {
                        return;
                    }
                }
                Ok(answer) => seen.failures.push(format!("{}: {}", answer.status, answer.text())),
                Err(_) if client.has_nothing_received() => {
                    seen.cut += 1;
                    return;
                }
                Err(error) => {
                    seen.failures.push(error.to_string());
                    return;
                }
            }
        }
    }
}
