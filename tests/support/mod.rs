//! What the tests share: a balancer on a port of the system's choice, replicas that do as they are told, a client
//! that speaks bytes, and waits that have a deadline.

// Each test file is a crate of its own and uses a part of this.
#![allow(dead_code, unused_imports)]
// Here a failure to set the stage is a failed test.
#![allow(clippy::unwrap_used, clippy::expect_used)]

pub mod backend;
pub mod client;
pub mod fake_docker;
pub mod gate;
pub mod launcher;
pub mod load;
pub mod program;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use ringmaster::config::{self, Invocation, Settings};
use ringmaster::launcher::Launcher;
use ringmaster::server::Server;

pub use client::{Client, Response};
pub use fake_docker::FakeEngine;
pub use gate::{Gate, Hooked};
pub use launcher::FakeLauncher;
pub use load::Load;
pub use program::Program;

/// Far beyond what anything here takes on a machine that is busy with other things too.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Flags for tests in which no replica is to fail unless it is made to, however busy the machine is.
pub const CALM: &str = "--heartbeat-interval 60s --heartbeat-timeout 30s --fall 100 --connect-timeout 30s";

/// A balancer in this process, stopped when it is dropped.
pub struct TestServer {
    server: Option<Server>,
    pub address: SocketAddr,
}

impl TestServer {
    /// Starts one with `flags` over `launcher`, and waits until as many replicas serve as were asked for.
    pub fn start(flags: &str, launcher: impl Launcher + 'static) -> TestServer {
        let server = TestServer::start_early(flags, launcher);
        let wanted = settings(flags).replicas;
        wait_for("all replicas to serve", || server.serving() >= wanted);
        server
    }

    /// Starts one and does not wait.
    pub fn start_early(flags: &str, launcher: impl Launcher + 'static) -> TestServer {
        let server = Server::start(&settings(flags), Box::new(launcher)).unwrap();
        let address = server.address();
        TestServer { server: Some(server), address }
    }

    /// Starts one with settings that no flags make, and does not wait.
    pub fn with(settings: &Settings, launcher: impl Launcher + 'static) -> TestServer {
        TestServer::with_boxed(settings, Box::new(launcher))
    }

    /// The same over the launcher that the program would take.
    pub fn as_set(settings: &Settings) -> TestServer {
        TestServer::with_boxed(settings, ringmaster::server::launcher(settings))
    }

    fn with_boxed(settings: &Settings, launcher: Box<dyn Launcher>) -> TestServer {
        let server = Server::start(settings, launcher).unwrap();
        let address = server.address();
        TestServer { server: Some(server), address }
    }

    pub fn server(&self) -> &Server {
        self.server.as_ref().unwrap()
    }

    /// How many replicas are in the ring.
    pub fn serving(&self) -> usize {
        let replicas = self.server().fleet().replicas();
        replicas.iter().filter(|replica| replica.phase == ringmaster::fleet::Phase::Serving).count()
    }

    /// How many requests the replicas hold.
    pub fn in_flight(&self) -> usize {
        let replicas = self.server().fleet().replicas();
        replicas.iter().map(|replica| replica.in_flight).sum()
    }

    /// A new connection to it.
    pub fn connect(&self) -> Client {
        Client::connect(self.address)
    }

    /// One GET on a connection of its own.
    pub fn get(&self, path: &str) -> Response {
        self.connect().request("GET", path, &[], b"")
    }

    /// One request of the admin API.
    pub fn admin(&self, method: &str, path: &str, body: &str) -> Response {
        self.connect().request(method, path, &[("Content-Type", "application/json")], body.as_bytes())
    }

    /// The names that `/rep` lists.
    pub fn listed(&self) -> Vec<String> {
        self.get("/rep").listed()
    }

    /// Stops it now.
    pub fn stop(mut self) {
        self.server.take().unwrap().stop();
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        if let Some(server) = self.server.take() {
            server.stop();
        }
    }
}

/// The settings that `flags` make, on a port of the system's choice.
pub fn settings(flags: &str) -> Settings {
    let line = format!("--listen 127.0.0.1:0 {flags}");
    let args: Vec<OsString> = line.split_whitespace().map(OsString::from).collect();
    match config::invocation(args, |_| None) {
        Ok(Invocation::Serve(settings)) => *settings,
        other => panic!("{flags}: {other:?}"),
    }
}

/// Waits until `done` says so.
///
/// # Panics
/// It does not within [`PATIENCE`].
pub fn wait_for(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < deadline, "waited {PATIENCE:?} for {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// An address at which nobody listens: connecting is refused at once.
pub fn dead_addr() -> SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}
