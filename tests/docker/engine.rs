//! The Docker engine, through the same command line that users have.

use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

/// Name of the replicas' image, as `docker-compose.yml` fixes it.
pub const REPLICA_IMAGE: &str = "ringmaster-server";

/// The label that tells whose replica a container is.
pub const FLEET_LABEL: &str = "ringmaster.fleet";

/// Runs the docker CLI; its standard output without the last newline, or what it says went wrong.
pub fn try_docker(args: &[&str]) -> Result<String, String> {
    output_of(Command::new("docker").args(args))
}

/// Runs a command that has to succeed to have an output.
pub fn output_of(command: &mut Command) -> Result<String, String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    if !output.status.success() {
        return Err(format!("{command:?}: {}: {}", output.status, String::from_utf8_lossy(&output.stderr)));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
}

/// Runs the docker CLI, which has to succeed.
pub fn docker(args: &[&str]) -> String {
    try_docker(args).unwrap_or_else(|error| panic!("{error}"))
}

/// Everything the engine knows of one container.
pub fn inspect(container: &str) -> Value {
    let text = docker(&["container", "inspect", container]);
    let mut found: Value = serde_json::from_str(&text).expect("docker inspect writes JSON");
    found[0].take()
}

/// Full ids of the containers of a fleet, running or not, in a fixed order.
pub fn fleet_ids(fleet: &str) -> Vec<String> {
    ids_where(&format!("label={FLEET_LABEL}={fleet}"))
}

/// Full ids of the containers that this filter finds, running or not, in a fixed order.
pub fn ids_where(filter: &str) -> Vec<String> {
    let text = docker(&["ps", "--all", "--quiet", "--no-trunc", "--filter", filter]);
    let mut ids: Vec<String> = text.lines().map(str::to_owned).collect();
    ids.sort();
    ids
}

/// Whether the engine has a network of exactly this name.
pub fn has_network(name: &str) -> bool {
    docker(&["network", "ls", "--format", "{{.Name}}"]).lines().any(|network| network == name)
}

/// Fails when somebody else has containers with the names that replicas get.
pub fn assert_names_are_free() {
    let names = docker(&["ps", "--all", "--format", "{{.Names}}"]);
    let taken: Vec<&str> = names.lines().filter(|name| is_replica_name(name)).collect();
    assert!(
        taken.is_empty(),
        "this engine already has containers called {taken:?}. The tests need these names and remove nothing that is \
         not theirs: end what they belong to (`docker compose down`), then try again"
    );
}

fn is_replica_name(name: &str) -> bool {
    name.strip_prefix("server_").is_some_and(|number| number.parse::<u32>().is_ok())
}

/// Asks again and again until there is something, and returns it; fails after `patience`.
pub fn wait_for<T>(what: &str, patience: Duration, mut probe: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited {patience:?} in vain for: {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// A running container that is none of the balancer's business. Goes away with the value.
pub struct Foreign {
    id: String,
    started_at: String,
}

impl Foreign {
    /// Starts one under this name, on the engine's default network.
    pub fn start(name: &str) -> Foreign {
        let server_id = format!("SERVER_ID={name}");
        let run = ["run", "--detach", "--pull", "never", "--name", name, "--env", &server_id, REPLICA_IMAGE];
        let id = docker(&run);
        let started_at = started_at(&id);
        Foreign { id, started_at }
    }

    /// Fails when anybody stopped, restarted or replaced it.
    pub fn assert_untouched(&self) {
        let state = &inspect(&self.id)["State"];
        assert_eq!(state["Running"], true, "a container that is not ours was stopped");
        assert_eq!(
            state["StartedAt"],
            self.started_at.as_str(),
            "a container that is not ours was restarted"
        );
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        if let Err(error) = try_docker(&["rm", "--force", &self.id]) {
            eprintln!("cleaning up: {error}");
        }
    }
}

/// When a container was last started, to the nanosecond: it tells one life of a replica from the next.
pub fn started_at(container: &str) -> String {
    inspect(container)["State"]["StartedAt"].as_str().expect("every container has a start").to_owned()
}
