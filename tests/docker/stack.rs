//! One `docker compose up` of this tree, beside everything else on the engine, and gone when the value goes.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::{self, Command};
use std::time::{Duration, Instant};

use crate::engine::{self, docker, output_of, wait_for};
use crate::http::{self, Answer, hello};

/// The names of the first three replicas.
pub const FIRST_THREE: [&str; 3] = ["server_1", "server_2", "server_3"];

/// The answer of `GET /rep` while the first three replicas are all there are.
pub const REP_OF_THREE: &str =
    r#"{"message":{"N":3,"replicas":["server_1","server_2","server_3"]},"status":"successful"}"#;

/// Longest wait for a stack to serve; a start takes a few seconds.
const START: Duration = Duration::from_secs(60);

/// A running stack.
pub struct Stack {
    project: String,
    network: String,
    fleet: String,
    address: SocketAddr,
    environment: Vec<(&'static str, String)>,
}

impl Stack {
    /// Starts a stack with project, network, fleet and port of its own, and waits until its three replicas serve.
    pub fn up() -> Stack {
        let unique = format!("ringmaster-test-{}", process::id());
        let port = free_port();
        let environment = vec![
            ("RINGMASTER_PORT", port.to_string()),
            ("RINGMASTER_NETWORK", format!("{unique}-net")),
            ("RINGMASTER_FLEET", unique.clone()),
        ];
        let network = format!("{unique}-net");
        Stack { project: unique.clone(), network, fleet: unique, address: local(port), environment }.start()
    }

    /// Starts a stack exactly as the plain command does: the names and the port that the contract fixes.
    pub fn up_with_defaults() -> Stack {
        let project = "ringmaster".to_owned();
        let theirs = engine::ids_where("label=com.docker.compose.project=ringmaster");
        assert!(
            theirs.is_empty(),
            "a stack called 'ringmaster' is up already: `docker compose down` it first"
        );
        assert!(!engine::has_network("net1"), "the network 'net1' exists already: remove it first");
        TcpListener::bind(local(5000)).expect("port 5000 of 127.0.0.1 has to be free");
        let environment = Vec::new();
        let stack = Stack {
            network: "net1".to_owned(),
            fleet: project.clone(),
            project,
            address: local(5000),
            environment,
        };
        stack.start()
    }

    fn start(self) -> Stack {
        engine::assert_names_are_free();
        let begin = Instant::now();
        self.compose(&["up", "--build", "--detach"]).unwrap_or_else(|error| panic!("{error}"));
        let up = begin.elapsed();
        self.wait_until_serving(&FIRST_THREE);
        println!("compose up took {up:.1?}, three replicas served after {:.1?}", begin.elapsed());
        self
    }

    fn compose(&self, args: &[&str]) -> Result<String, String> {
        let mut command = Command::new("docker");
        // Neither the shell's settings nor those of a .env file belong to the test.
        let settings = std::env::vars().filter(|(name, _)| name.starts_with("RINGMASTER_"));
        settings.for_each(|(name, _)| {
            command.env_remove(name);
        });
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.current_dir(env!("CARGO_MANIFEST_DIR"));
        command.args(["compose", "--env-file", "/dev/null", "--project-name", &self.project]).args(args);
        output_of(&mut command)
    }

    /// Where clients reach the balancer.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Name of the network.
    pub fn network(&self) -> &str {
        &self.network
    }

    /// Name of the fleet.
    pub fn fleet(&self) -> &str {
        &self.fleet
    }

    /// One request to the balancer.
    pub fn request(&self, method: &str, path: &str, body: &str) -> Answer {
        http::request(self.address, method, path, body)
    }

    /// The hostnames that `GET /rep` lists.
    pub fn replicas(&self) -> Vec<String> {
        let message = self.request("GET", "/rep", "").message();
        let names = message["replicas"].as_array().expect("a list of replicas");
        names.iter().map(|name| name.as_str().expect("a hostname").to_owned()).collect()
    }

    /// Waits until each of these replicas has answered a routed request.
    pub fn wait_until_serving(&self, hostnames: &[&str]) {
        let mut missing: BTreeSet<String> = hostnames.iter().map(|name| hello(name)).collect();
        wait_for(&format!("{hostnames:?} serve"), START, || {
            let answer = http::try_request(self.address, "GET", "/home", "").ok()?;
            missing.remove(&answer.body);
            missing.is_empty().then_some(())
        });
    }

    /// Id of the balancer's container.
    pub fn balancer(&self) -> String {
        let id = self.compose(&["ps", "--all", "--quiet", "--no-trunc", "balancer"]).expect("compose ps");
        assert!(!id.is_empty(), "the balancer has no container");
        id
    }

    /// What the balancer has logged.
    pub fn log(&self) -> String {
        let output = Command::new("docker").args(["logs", &self.balancer()]).output().expect("docker logs");
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    /// `docker compose down`; returns how long it took.
    pub fn down(&self) -> Duration {
        let begin = Instant::now();
        self.compose(&["down"]).unwrap_or_else(|error| panic!("{error}"));
        begin.elapsed()
    }

    /// Fails when anything of this stack is left on the engine.
    pub fn assert_gone(&self) {
        assert_eq!(engine::fleet_ids(&self.fleet), [""; 0], "replicas are left");
        let compose = format!("label=com.docker.compose.project={}", self.project);
        assert_eq!(engine::ids_where(&compose), [""; 0], "containers of compose are left");
        assert!(!engine::has_network(&self.network), "network {} is left", self.network);
    }

    fn clean_up(&self) -> Result<(), String> {
        if std::thread::panicking() {
            eprintln!("{}", self.compose(&["logs", "--no-color", "--tail", "60"])?);
        }
        self.compose(&["down"])?;
        let label = format!("label={}={}", engine::FLEET_LABEL, self.fleet);
        for id in engine::try_docker(&["ps", "--all", "--quiet", "--no-trunc", "--filter", &label])?.lines() {
            engine::try_docker(&["rm", "--force", id])?;
        }
        Ok(())
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        // A test that already failed must not panic again while its values go.
        if let Err(error) = self.clean_up() {
            eprintln!("cleaning up: {error}");
        }
        let left = engine::try_docker(&["network", "inspect", &self.network]).is_ok();
        if left && let Err(error) = engine::try_docker(&["network", "rm", &self.network]) {
            eprintln!("cleaning up: {error}");
        }
    }
}

/// Median and largest of some durations, as text.
pub fn median_and_worst(mut times: Vec<Duration>) -> String {
    times.sort();
    let (median, worst) = (times[times.len() / 2], times[times.len() - 1]);
    format!("median {:.2} s, worst {:.2} s of {}", median.as_secs_f64(), worst.as_secs_f64(), times.len())
}

/// The ids of the containers of these names.
pub fn ids_of(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| docker(&["inspect", "--format", "{{.Id}}", name])).collect()
}

fn local(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

/// A port that nobody listens on at this moment.
fn free_port() -> u16 {
    let listener = TcpListener::bind(local(0)).expect("a free port");
    listener.local_addr().expect("a bound listener has an address").port()
}
