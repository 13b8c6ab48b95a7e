//! Replicas as Docker containers, through the `docker` command line.
//!
//! Whatever comes near a command line was checked against a pattern first and stands behind `--`; nothing passes
//! through a shell. Containers are stopped and removed by full id, and only after the engine has confirmed that the
//! container carries the label of our fleet: what has not is never touched.

use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::thread;
use std::time::{Duration, Instant};

use serde::Deserialize;

use super::command;
use super::{LaunchError, Launcher, Order, Survivor};
use crate::replica::{Hostname, Instance};
use crate::ring::RingId;

/// Longest wait for one call of the CLI. A launch takes a third of a second on an idle machine; an engine that
/// needs longer than this is not going to answer.
const CALL_DEADLINE: Duration = Duration::from_secs(20);

/// How long a removal that somebody else began may take.
const REMOVAL_WAIT: Duration = Duration::from_secs(5);

/// The port that replicas listen on inside their containers.
const REPLICA_PORT: u16 = 5000;

/// Label: the name of the fleet that a container belongs to.
const FLEET: &str = "ringmaster.fleet";
/// Label: the replica's identity on the ring.
const RING_ID: &str = "ringmaster.ring-id";
/// Label: the replica's slots on the ring, as `shape:slot,slot,…`.
const SLOTS: &str = "ringmaster.slots";

/// How containers are run.
#[derive(Clone, Debug)]
pub struct DockerSettings {
    /// Image of the replicas.
    pub image: String,
    /// Network they are attached to; made when it is missing.
    pub network: String,
    /// Name of the fleet, written on every container.
    pub fleet: String,
    /// Text that tells rings of different shapes apart: recorded slots are good only for the same shape.
    pub ring_shape: String,
    /// Most memory a replica may use, as the CLI writes it (`64m`).
    pub memory: String,
    /// Most processes and threads a replica may have.
    pub pids: u32,
}

/// Runs one container for each replica.
pub struct Docker {
    settings: DockerSettings,
}

/// What we read of `docker container inspect`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Container {
    id: String,
    name: String,
    state: ContainerState,
    config: ContainerConfig,
    network_settings: NetworkSettings,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ContainerState {
    running: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ContainerConfig {
    labels: Option<HashMap<String, String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct NetworkSettings {
    networks: Option<HashMap<String, Endpoint>>,
}

#[derive(Deserialize)]
struct Endpoint {
    #[serde(rename = "IPAddress")]
    ip_address: String,
}

impl Container {
    fn label(&self, name: &str) -> Option<&str> {
        self.config.labels.as_ref()?.get(name).map(String::as_str)
    }

    /// The engine reports names with a leading slash.
    fn name(&self) -> &str {
        self.name.trim_start_matches('/')
    }

    fn instance(&self, network: &str) -> Option<Instance> {
        let ip: IpAddr = self.network_settings.networks.as_ref()?.get(network)?.ip_address.parse().ok()?;
        let address = SocketAddr::new(ip, REPLICA_PORT);
        Some(Instance { key: self.id.clone(), address }).filter(|_| self.state.running)
    }
}

impl Docker {
    /// A launcher with these settings; nothing is called yet.
    pub fn new(settings: DockerSettings) -> Docker {
        Docker { settings }
    }

    fn docker(&self, args: &[&str]) -> Result<String, LaunchError> {
        command::run("docker", args, CALL_DEADLINE)
    }

    /// The containers among `names` (or ids) that exist.
    fn inspect(&self, names: &[&str]) -> Result<Vec<Container>, LaunchError> {
        let mut args = vec!["container", "inspect", "--"];
        args.extend(names);
        let text = self.docker(&args)?;
        serde_json::from_str(&text).map_err(|error| {
            LaunchError(format!("docker container inspect: cannot read its answer: {error}"))
        })
    }

    /// Full ids of the containers that carry our label, or of those among them that have this full id.
    fn ours(&self, id: Option<&str>) -> Result<Vec<String>, LaunchError> {
        let label = format!("label={FLEET}={}", self.settings.fleet);
        let text = self.docker(&["ps", "--all", "--quiet", "--no-trunc", "--filter", &label])?;
        let all = text.lines().map(str::trim).filter(|line| !line.is_empty());
        Ok(all.filter(|found| id.is_none_or(|id| id == *found)).map(str::to_owned).collect())
    }

    /// Removes what an earlier or failed launch of ours left under this name.
    ///
    /// # Errors
    /// The name belongs to somebody else, or the engine refuses or does not answer.
    fn free_name(&self, hostname: &Hostname) -> Result<(), LaunchError> {
        // Inspecting would fail alike for a name that is free and for an engine that is away. A listing does not;
        // its filter matches parts of names, so what it found is compared whole.
        let filter = format!("name={hostname}");
        let format = format!("{{{{.ID}}}} {{{{.Names}}}} {{{{.Label \"{FLEET}\"}}}}");
        let args = ["ps", "--all", "--no-trunc", "--filter", &filter, "--format", &format];
        for line in self.docker(&args)?.lines() {
            let mut words = line.splitn(3, ' ');
            let (id, names, fleet) = (words.next(), words.next().unwrap_or_default(), words.next());
            if !names.split(',').any(|name| name == hostname.as_str()) {
                continue;
            }
            match id.filter(|_| fleet == Some(&self.settings.fleet)) {
                Some(id) => self.docker(&["rm", "--force", "--", id])?,
                None => {
                    let ours = &self.settings.fleet;
                    let why =
                        format!("the name '{hostname}' belongs to a container that is not of fleet '{ours}'");
                    return Err(LaunchError(why));
                }
            };
        }
        Ok(())
    }

    fn run(&self, order: &Order) -> Result<String, LaunchError> {
        let name = order.hostname.as_str();
        let slots: Vec<String> = order.slots.iter().map(usize::to_string).collect();
        let server_id = format!("SERVER_ID={name}");
        let labels = [
            format!("{FLEET}={}", self.settings.fleet),
            format!("{RING_ID}={}", order.ring_id),
            format!("{SLOTS}={}:{}", self.settings.ring_shape, slots.join(",")),
        ];
        let pids = self.settings.pids.to_string();
        let network = self.settings.network.as_str();
        let mut args = vec!["run", "--detach", "--pull", "never", "--name", name, "--hostname", name];
        args.extend(["--network", network, "--network-alias", name, "--env", &server_id]);
        labels.iter().for_each(|label| args.extend(["--label", label]));
        args.extend(["--memory", &self.settings.memory, "--pids-limit", &pids]);
        // A replica needs no privilege of any kind and writes nothing.
        args.extend(["--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--read-only"]);
        args.extend(["--", &self.settings.image]);
        let id = self.docker(&args)?.trim().to_owned();
        match id.len() == 64 && id.bytes().all(|b| b.is_ascii_hexdigit()) {
            true => Ok(id),
            false => Err(LaunchError(format!("docker run: '{}' is not a container id", id.escape_debug()))),
        }
    }

    fn find(&self, id: &str) -> Result<Instance, LaunchError> {
        let network = &self.settings.network;
        self.inspect(&[id])?.first().and_then(|container| container.instance(network)).ok_or_else(|| {
            LaunchError(format!("container {id} ended at once or is not on network '{network}'"))
        })
    }

    fn survivor(&self, container: Container) -> Option<Survivor> {
        let read = || {
            let hostname = Hostname::parse(container.name()).ok()?;
            let ring_id = container.label(RING_ID)?.parse().ok().filter(|id| *id > 0).map(RingId)?;
            let slots = container.label(SLOTS).and_then(|text| self.recorded_slots(text)).unwrap_or_default();
            Some(Order { hostname, ring_id, slots })
        };
        let Some(order) = read() else {
            log::warn!(
                "container '{}' carries our label but no readable record: left alone",
                container.name()
            );
            return None;
        };
        let instance = container.instance(&self.settings.network);
        Some(Survivor { order, key: container.id, instance })
    }

    fn recorded_slots(&self, label: &str) -> Option<Vec<usize>> {
        let (shape, slots) = label.split_once(':')?;
        if shape != self.settings.ring_shape {
            return None;
        }
        slots.split(',').map(|slot| slot.parse().ok()).collect()
    }
}

impl Launcher for Docker {
    fn prepare(&self) -> Result<(), LaunchError> {
        let DockerSettings { image, network, fleet, .. } = &self.settings;
        self.docker(&["version", "--format", "{{.Server.Version}}"])?;
        self.docker(&["image", "inspect", "--format", "{{.Id}}", "--", image]).map_err(|error| {
            LaunchError(format!(
                "the replicas' image '{image}' is not on this engine ({error}); build or pull it"
            ))
        })?;
        if self.docker(&["network", "inspect", "--format", "{{.Id}}", "--", network]).is_err() {
            let label = format!("{FLEET}={fleet}");
            self.docker(&["network", "create", "--label", &label, "--", network])?;
            log::info!("made network '{network}'");
        }
        Ok(())
    }

    fn survivors(&self) -> Result<Vec<Survivor>, LaunchError> {
        let ids = self.ours(None)?;
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        Ok(self.inspect(&ids)?.into_iter().filter_map(|container| self.survivor(container)).collect())
    }

    fn taken_names(&self) -> Result<BTreeSet<String>, LaunchError> {
        // All of them, compared whole: the engine's name filter matches parts of names.
        let text = self.docker(&["ps", "--all", "--format", "{{.Names}}"])?;
        Ok(text.lines().flat_map(|line| line.split(',')).map(|name| name.trim().to_owned()).collect())
    }

    fn start(&self, order: &Order) -> Result<Instance, LaunchError> {
        let tell = |error: LaunchError| LaunchError(format!("container '{}': {error}", order.hostname));
        // What an earlier launch of ours left under this name would be in the way.
        self.free_name(&order.hostname)?;
        self.run(order).and_then(|id| self.find(&id)).map_err(|error| {
            // `docker run` may have made the container before it failed, or before it was given up on.
            match self.free_name(&order.hostname) {
                Ok(_) => tell(error),
                Err(left) => {
                    tell(LaunchError(format!("{error}; and what it left could not be removed: {left}")))
                }
            }
        })
    }

    fn stop(&self, key: &str, grace: Option<Duration>) -> Result<(), LaunchError> {
        if self.ours(Some(key))?.is_empty() {
            return Ok(());
        }
        if let Some(grace) = grace {
            // Its failure is no reason to go on waiting: removal by force follows in any case.
            let seconds = grace.as_secs().max(1).to_string();
            if let Err(error) = self.docker(&["stop", "-t", &seconds, "--", key]) {
                log::debug!("{error}");
            }
        }
        let Err(error) = self.docker(&["rm", "--force", "--", key]) else {
            return Ok(());
        };
        // Somebody else may be removing it at this moment, which makes our call fail and the container go.
        let deadline = Instant::now() + REMOVAL_WAIT;
        while !self.ours(Some(key))?.is_empty() {
            if Instant::now() >= deadline {
                return Err(error);
            }
            thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    fn clean_up(&self) {
        let network = &self.settings.network;
        let label = format!("{{{{index .Labels \"{FLEET}\"}}}}");
        let owner = self.docker(&["network", "inspect", "--format", &label, "--", network]);
        if owner.is_ok_and(|owner| owner.trim() == self.settings.fleet) {
            match self.docker(&["network", "rm", "--", network]) {
                Ok(_) => log::info!("removed network '{network}'"),
                Err(error) => log::warn!("{error}"),
            }
        }
    }
}
