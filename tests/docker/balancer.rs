//! The balancer as a plain program of the host, beside the engine.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{self, Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use crate::engine::{self, REPLICA_IMAGE, output_of, try_docker, wait_for};
use crate::http;

/// Longest wait for anything that a balancer does.
const PATIENCE: Duration = Duration::from_secs(30);

/// A balancer of the host, with a network of its fleet's own. Goes away with the value, and its fleet with it.
pub struct HostBalancer {
    program: Child,
    pub address: SocketAddr,
    pub fleet: String,
    pub network: String,
}

impl HostBalancer {
    /// One with a fleet of its own, where nobody has the names of the first replicas.
    pub fn start() -> HostBalancer {
        HostBalancer::start_of(REPLICA_IMAGE)
    }

    /// The same with other replicas.
    pub fn start_of(image: &str) -> HostBalancer {
        engine::assert_names_are_free();
        HostBalancer::start_with("host", "127.0.0.1:0", &["--image", image])
    }

    /// One of the fleet that has this name among those of the tests.
    pub fn start_with(fleet: &str, listen: &str, flags: &[&str]) -> HostBalancer {
        let fleet = format!("ringmaster-test-{}-{fleet}", process::id());
        let network = format!("{fleet}-net");
        let mut program = Command::new(env!("CARGO_BIN_EXE_ringmaster"))
            .args(["--launcher", "docker", "--listen", listen])
            .args(["--network", &network, "--fleet", &fleet])
            .args(flags)
            .env_remove("RINGMASTER_LOG_LEVEL")
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let lines = lines_of(&mut program);
        // Until it listens, the value below must exist already: its drop ends the program if it never does.
        let mut balancer =
            HostBalancer { program, address: SocketAddr::from(([0, 0, 0, 0], 0)), fleet, network };
        balancer.address = listening_address(&lines);
        balancer
    }

    /// Waits until `/rep` says so, and each of these replicas has answered.
    pub fn wait_until_serving(&self, names: &[&str]) {
        for name in names {
            wait_for(name, PATIENCE, || (self.get("/home")? == http::hello(name)).then_some(()));
        }
    }

    /// Ends it as a crash does.
    pub fn kill(&mut self) {
        self.program.kill().expect("a child can be killed");
        self.program.wait().expect("a child can be waited for");
    }

    /// The body of a 200, if that is the answer.
    pub fn get(&self, path: &str) -> Option<String> {
        let answer = http::try_request(self.address, "GET", path, "").ok()?;
        (answer.status == 200).then_some(answer.body)
    }

    /// Sends SIGTERM and waits for the end.
    pub fn terminate(&mut self) -> ExitStatus {
        output_of(Command::new("kill").args(["-TERM", &self.program.id().to_string()])).expect("kill");
        wait_for("the program's end", PATIENCE, || self.program.try_wait().expect("a child"))
    }
}

impl Drop for HostBalancer {
    fn drop(&mut self) {
        // Results do not matter here: after a test that passed, nothing of this is left.
        let _ = self.program.kill();
        let _ = self.program.wait();
        let label = format!("label={}={}", engine::FLEET_LABEL, self.fleet);
        let left =
            try_docker(&["ps", "--all", "--quiet", "--no-trunc", "--filter", &label]).unwrap_or_default();
        for id in left.lines() {
            let _ = try_docker(&["rm", "--force", id]);
        }
        let _ = try_docker(&["network", "rm", &self.network]);
    }
}

/// What the program logs, line by line; also shown with the test's own output.
fn lines_of(program: &mut Child) -> Receiver<String> {
    let stderr = BufReader::new(program.stderr.take().expect("stderr is a pipe"));
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        for line in stderr.lines().map_while(Result::ok) {
            eprintln!("  {line}");
            // Nobody listens any more once the address is known; the pipe still has to be emptied.
            let _ = sender.send(line);
        }
    });
    receiver
}

fn listening_address(lines: &Receiver<String>) -> SocketAddr {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let line = lines.recv_timeout(left).expect("a line that says where it listens");
        let address = line.split_once("listening on ").and_then(|(_, rest)| rest.split_whitespace().next());
        if let Some(address) = address {
            return address.parse().expect("an address");
        }
    }
}
