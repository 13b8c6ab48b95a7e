//! The balancer as a plain program of the host, beside the engine.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{self, Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use crate::asked;
use crate::engine::{self, Foreign, REPLICA_IMAGE, fleet_ids, has_network, output_of, try_docker, wait_for};
use crate::http::{self, hello};
use crate::stack::{FIRST_THREE, REP_OF_THREE};

/// A balancer of the host with a fleet and a network of its own. Goes away with the value.
struct HostBalancer {
    program: Child,
    address: SocketAddr,
    fleet: String,
    network: String,
}

impl HostBalancer {
    fn start() -> HostBalancer {
        HostBalancer::start_of(REPLICA_IMAGE)
    }

    fn start_of(image: &str) -> HostBalancer {
        engine::assert_names_are_free();
        let fleet = format!("ringmaster-test-{}-host", process::id());
        let network = format!("{fleet}-net");
        let mut program = Command::new(env!("CARGO_BIN_EXE_ringmaster"))
            .args(["--launcher", "docker", "--listen", "127.0.0.1:0", "--image", image])
            .args(["--network", &network, "--fleet", &fleet])
            .env_remove("RINGMASTER_LOG")
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

    fn get(&self, path: &str) -> Option<String> {
        let answer = http::try_request(self.address, "GET", path, "").ok()?;
        (answer.status == 200).then_some(answer.body)
    }

    /// Sends SIGTERM and waits for the end.
    fn terminate(&mut self) -> ExitStatus {
        output_of(Command::new("kill").args(["-TERM", &self.program.id().to_string()])).expect("kill");
        wait_for("the program's end", Duration::from_secs(30), || self.program.try_wait().expect("a child"))
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

#[test]
fn a_balancer_on_the_host_makes_its_network_serves_and_takes_its_replicas_with_it() {
    if !asked() {
        return;
    }
    let name = format!("ringmaster-test-{}-bystander", process::id());
    let bystander = Foreign::start(&name);
    let mut balancer = HostBalancer::start();
    wait_for("three replicas", Duration::from_secs(30), || {
        (balancer.get("/rep")? == REP_OF_THREE).then_some(())
    });
    for name in FIRST_THREE {
        wait_for(name, Duration::from_secs(30), || (balancer.get("/home")? == hello(name)).then_some(()));
    }
    assert!(has_network(&balancer.network));
    assert_eq!(fleet_ids(&balancer.fleet).len(), 3);

    let begin = Instant::now();
    let status = balancer.terminate();
    println!("ended {:.2?} after SIGTERM", begin.elapsed());
    assert_eq!(status.code(), Some(0), "{status}");
    assert_eq!(fleet_ids(&balancer.fleet), [""; 0], "replicas are left");
    assert!(!has_network(&balancer.network), "the network that it made is left");
    bystander.assert_untouched();
}

/// `docker run` makes the container before it finds that it cannot start it.
#[test]
fn a_launch_that_fails_leaves_no_container_and_no_name_taken() {
    if !asked() {
        return;
    }
    let image = format!("ringmaster-test-{}-broken", process::id());
    let archive = output_of(Command::new("sh").args([
        "-c",
        &format!(
            "tar -cf - --files-from /dev/null | docker import --change 'ENTRYPOINT [\"/nothing\"]' - {image}"
        ),
    ]));
    archive.expect("an image whose program is missing");
    let mut balancer = HostBalancer::start_of(&image);
    let add = http::try_request(balancer.address, "POST", "/add", r#"{"n":1,"hostnames":["S5"]}"#);
    let add = add.expect("an answer");
    assert_eq!(add.status, 500, "{}", add.body);
    assert!(add.body.contains("'S5' did not start") && add.body.contains("/nothing"), "{}", add.body);
    assert!(try_docker(&["container", "inspect", "S5"]).is_err(), "its container is left");
    assert_eq!(balancer.get("/rep").as_deref(), Some(REP_OF_THREE), "N does not waver");
    assert_eq!(balancer.terminate().code(), Some(0));
    assert_eq!(fleet_ids(&balancer.fleet), [""; 0], "containers are left");
    assert!(!has_network(&balancer.network));
    let _ = try_docker(&["rmi", &image]);
}
