//! Who may: every kind of visitor at every endpoint, over real sockets where the peer can be had there, against what
//! SECURITY.md says in words. `table` tries all combinations, the rest is about one thing each.

mod doors;
mod pages;
mod start;
mod table;
mod told;

use std::net::SocketAddr;

use crate::support::backend::answer;
use crate::support::{CALM, Client, FakeLauncher, Response, TestServer};
use ringmaster::admin::{Admin, Parts};
use ringmaster::fleet::Fleet;
use ringmaster::journal::Journal;
use ringmaster::shutdown::Shutdown;
use ringmaster::supervisor::Supervisor;

/// The right token, and a wrong one that begins like it.
const TOKEN: &str = "f3b1c07d29e84a56-right";
const WRONG: &str = "f3b1c07d29e84a56-wrong";

/// What brings the token.
const BEARER: (&str, &str) = ("Authorization", "Bearer f3b1c07d29e84a56-right");

/// A change that would be made, and one that is refused (400) only after everything else was found to be in order.
const MADE: &str = r#"{"n":1}"#;
const NOT_MADE: &str = r#"{"n":0}"#;

/// Everything that changes something.
const CHANGES: [(&str, &str); 3] = [("POST", "/add"), ("POST", "/rm"), ("DELETE", "/rm")];

/// Replicas that answer 200 and nothing to whatever they are asked.
fn replicas() -> FakeLauncher {
    FakeLauncher::with(|_, _, stream| answer(stream, "200 OK", &[], b""))
}

/// A balancer over such replicas, and what they and their launches went through.
fn balancer(flags: &str) -> (TestServer, FakeLauncher) {
    let launcher = replicas();
    let flags = format!("{CALM} --admin-hosts lb.example.com --change-rate 1000 {flags}");
    (TestServer::start(&flags, launcher.clone()), launcher)
}

fn with_token(flags: &str) -> (TestServer, FakeLauncher) {
    balancer(&format!("--admin-token {TOKEN} {flags}"))
}

/// The admin side by itself: what is asked here may come from anywhere.
fn admin_side(flags: &str) -> Admin {
    let settings = crate::support::settings(&format!("{CALM} --admin-hosts lb.example.com {flags}"));
    let (fleet, journal) = (Fleet::new(settings.ring, settings.policy), Journal::default());
    let shutdown = Shutdown::default();
    let (launcher, own) = (Box::new(replicas()), settings.supervisor.clone());
    let supervisor =
        Supervisor::new(fleet.clone(), launcher, own, journal.clone(), shutdown.clone()).unwrap();
    let (settings, rules) = (settings.in_force(), settings.rules);
    Admin::new(Parts {
        supervisor,
        fleet,
        journal,
        history: None,
        access_log: None,
        rules,
        settings,
        shutdown,
    })
}

/// A request with these fields and no others but the length of its body.
fn bytes(method: &str, path: &str, fields: &[(&str, &str)], body: &str) -> Vec<u8> {
    let mut text = format!("{method} {path} HTTP/1.1\r\n");
    for (name, value) in fields {
        text += &format!("{name}: {value}\r\n");
    }
    if !body.is_empty() {
        text += &format!("Content-Length: {}\r\n", body.len());
    }
    format!("{text}\r\n{body}").into_bytes()
}

/// A client that comes again when its connection has ended with an answer.
struct Caller {
    address: SocketAddr,
    client: Option<Client>,
}

impl Caller {
    fn of(address: SocketAddr) -> Caller {
        Caller { address, client: None }
    }

    fn ask(&mut self, method: &str, path: &str, fields: &[(&str, &str)], body: &str) -> Response {
        let client = self.client.get_or_insert_with(|| Client::connect(self.address));
        let answer = client.send(&bytes(method, path, fields, body)).answer(method == "HEAD");
        if answer.header("connection") == Some("close") {
            self.client = None;
        }
        answer
    }
}
