//! Clients that ask for `/home`, without pause or at their ease.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::client::request_bytes;
use super::{Client, Response, wait_for};

/// Clients each of which asks again once it is answered.
pub struct Load {
    shared: Arc<Shared>,
    clients: Vec<JoinHandle<()>>,
}

/// What a client does about its connection.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Habit {
    /// It keeps one for as long as it lasts, and goes when that ends.
    Stay,
    /// It keeps one for as long as it lasts, and then makes another, as HTTP clients do. A request is sent once more if
    /// a connection that had served before ends without any answer to it.
    Return,
    /// It makes one for each request.
    MakeNew,
}

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    /// Between an answer and the next request of a client that stays.
    pause: Duration,
    seen: Mutex<Seen>,
}

/// What the clients saw.
#[derive(Clone, Default, Debug)]
pub struct Seen {
    /// Answers of 200, by the name of the replica that gave them.
    pub answers: BTreeMap<String, usize>,
    /// Everything else that happened, in words.
    pub failures: Vec<String>,
    /// Connections that ended while a request was out, before any part of its answer came; requests sent once more.
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

    /// Starts so many clients of this habit, each until the load is stopped.
    pub fn of(habit: Habit, address: SocketAddr, clients: usize) -> Load {
        let shared = Arc::new(Shared::default());
        let clients = (0..clients)
            .map(|_| {
                let shared = shared.clone();
                thread::spawn(move || match habit {
                    Habit::Stay => shared.ask(Client::connect(address), usize::MAX),
                    Habit::Return | Habit::MakeNew => shared.ask_on(habit, address),
                })
            })
            .collect();
        Load { shared, clients }
    }

    /// Starts so many clients that pause between their requests, each until the load is stopped.
    pub fn light(address: SocketAddr, clients: usize) -> Load {
        Load::paced(address, clients, usize::MAX, Duration::from_millis(5))
    }

    /// Starts so many clients, each for so many requests.
    pub fn limited(address: SocketAddr, clients: usize, requests: usize) -> Load {
        Load::paced(address, clients, requests, Duration::ZERO)
    }

    fn paced(address: SocketAddr, clients: usize, requests: usize, pause: Duration) -> Load {
        let shared = Arc::new(Shared { pause, ..Shared::default() });
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
            thread::sleep(self.pause);
            match ask_once(&mut client, &request) {
                Ok(answer) => {
                    if self.note(&answer) {
                        return;
                    }
                }
                Err(_) if client.has_nothing_received() => {
                    self.seen.lock().unwrap().cut += 1;
                    return;
                }
                Err(error) => return self.note_failure(error.to_string()),
            }
        }
    }

    /// Asks until it is stopped, on as many connections as that takes. Goes on after failures.
    fn ask_on(&self, habit: Habit, address: SocketAddr) {
        let closing: &[_] = if habit == Habit::MakeNew { &[("Connection", "close")] } else { &[] };
        let request = request_bytes("GET", "/home", closing, b"");
        let mut kept: Option<Client> = None;
        while !self.stop.load(SeqCst) {
            let is_reused = kept.is_some();
            let connected = kept.take().map_or_else(|| Client::try_connect(address), Ok);
            let mut client = match connected {
                Ok(client) => client,
                Err(error) => {
                    self.note_failure(format!("connecting: {error}"));
                    continue;
                }
            };
            match ask_once(&mut client, &request) {
                Ok(answer) => {
                    if !self.note(&answer) {
                        kept = Some(client);
                    }
                }
                // It is asked once more on a new connection, where this is a failure.
                Err(_) if is_reused && client.has_nothing_received() => self.seen.lock().unwrap().cut += 1,
                Err(error) => self.note_failure(format!("asking: {error}")),
            }
        }
    }

    /// Takes in an answer; whether it says that its connection ends.
    fn note(&self, answer: &Response) -> bool {
        if answer.status == 200 {
            let text = answer.json()["message"].as_str().unwrap().to_owned();
            let name = text.trim_start_matches("Hello from Server: ").to_owned();
            *self.seen.lock().unwrap().answers.entry(name).or_default() += 1;
        } else {
            self.note_failure(format!("{}: {}", answer.status, answer.text()));
        }
        answer.header("connection") == Some("close")
    }

    fn note_failure(&self, what: String) {
        self.seen.lock().unwrap().failures.push(what);
    }
}

fn ask_once(client: &mut Client, request: &[u8]) -> io::Result<Response> {
    client.try_send(request)?;
    client.try_answer(false)
}
