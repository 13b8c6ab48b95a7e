//! Replicas as Docker containers, through the `docker` command line.
//!
//! Whatever comes near a command line was checked against a pattern first and stands behind `--`; nothing passes
//! through a shell. Containers are stopped and removed by full id, never used twice, and only those that were started
//! here or that the engine has found by the label of our fleet: what has it not is never touched.

mod container;
mod events;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use super::command;
use super::{LaunchError, Launcher, Order, Survivor, Tell, Watch};
use crate::replica::{Hostname, Instance};
use container::{Container, FLEET};

/// Longest wait for a launch. It takes a third of a second on an idle machine; an engine that needs longer than this is
/// not going to answer.
const RUN_DEADLINE: Duration = Duration::from_secs(20);

/// Longest wait for any other call of the CLI, beside the grace of a stop. They take hundredths of a second, a removal a
/// third, and under heavy load some seconds. An engine that hangs for a moment may have forgotten the call: the sooner it
/// is made again, the sooner the replica is back.
const CALL_DEADLINE: Duration = Duration::from_secs(8);

/// How often a name is looked for that is said to be taken: somebody else may be in the middle of taking it.
const LOOKS: u32 = 5;

/// Pause between two looks.
const LOOK_PAUSE: Duration = Duration::from_millis(100);

/// How often the record is read again when containers went between its two calls.
const READINGS: usize = 3;

/// How long a removal that somebody else began may take.
const REMOVAL_WAIT: Duration = Duration::from_secs(5);

/// Longest part of an answer that makes no sense that becomes part of a message.
const LONGEST_WORD: usize = 100;

/// The port that replicas listen on inside their containers.
const REPLICA_PORT: u16 = 5000;

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
    /// The program that ties a process to ours, see [`crate::leash`]; without one, a process that follows the engine's
    /// events outlives a balancer that is killed, until the next event.
    pub leash: Option<PathBuf>,
}

/// What became of a launch that failed at first.
enum Settled {
    /// What stood in its way has been cleared away.
    TryAgain,
    /// Somebody else has launched the replica.
    Runs(Instance),
}

/// Runs one container for each replica.
pub struct Docker {
    settings: DockerSettings,
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
        let all: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        // An answer that makes no sense must not pass for one that a container is not in.
        if let Some(word) = all.iter().find(|found| !is_id(found)) {
            return Err(LaunchError(format!("docker ps: cannot read its answer: {}", no_id(word))));
        }
        Ok(all.into_iter().filter(|found| id.is_none_or(|id| id == *found)).map(str::to_owned).collect())
    }

    /// The container of exactly this name, if there is one: its full id, and the fleet that its label says.
    fn named(&self, hostname: &Hostname) -> Result<Option<(String, String)>, LaunchError> {
        // Inspecting would fail alike for a name that is free and for an engine that is away. A listing does not;
        // its filter matches parts of names, so what it found is compared whole.
        let filter = format!("name={hostname}");
        let format = format!("{{{{.ID}}}} {{{{.Names}}}} {{{{.Label \"{FLEET}\"}}}}");
        let text = self.docker(&["ps", "--all", "--no-trunc", "--filter", &filter, "--format", &format])?;
        let of_this_name = |line: &str| {
            let mut words = line.splitn(3, ' ');
            let (id, names, fleet) = (words.next()?, words.next()?, words.next().unwrap_or_default());
            let has_it = names.split(',').any(|name| name == hostname.as_str());
            has_it.then(|| (id.to_owned(), fleet.to_owned()))
        };
        Ok(text.lines().find_map(of_this_name))
    }

    /// What to do after a launch failed with `error`: `docker run` may have made the container before it failed or was
    /// given up on, an earlier container may have the name, and somebody else may have launched this replica.
    fn settle(&self, order: &Order, error: LaunchError) -> Result<Settled, LaunchError> {
        let with = |why: String| LaunchError(format!("{error}; {why}"));
        let left = |why| with(format!("and what it left could not be removed: {why}"));
        // A container whose network was missing may have been made all the same, or not.
        let with_network = || match self.ensure_network() {
            Ok(true) => Ok(Settled::TryAgain),
            Ok(false) => Err(error.clone()),
            Err(why) => Err(with(why.to_string())),
        };
        // As the engine says that a name is taken. If it says so otherwise one day, the next try comes a second later.
        let is_taken = error.0.contains("already in use");
        let Some((id, fleet)) = self.holder(&order.hostname, is_taken).map_err(left)? else {
            return with_network();
        };
        if fleet != self.settings.fleet {
            let (name, ours) = (&order.hostname, &self.settings.fleet);
            let why = format!("the name '{name}' belongs to a container that is not of fleet '{ours}'");
            return Err(LaunchError(why));
        }
        if let Some(instance) = self.started_by_another(&id, order, is_taken) {
            log::info!("{} runs already, started by somebody else", order.hostname);
            return Ok(Settled::Runs(instance));
        }
        self.docker(&["rm", "--force", "--", &id]).map_err(left)?;
        match is_taken {
            true => Ok(Settled::TryAgain),
            false => with_network(),
        }
    }

    /// Who has a name. One that is said to be taken may not be listed yet: whoever takes it is in the middle of that.
    fn holder(&self, hostname: &Hostname, is_taken: bool) -> Result<Option<(String, String)>, LaunchError> {
        for _ in 1..if is_taken { LOOKS } else { 1 } {
            let holder = self.named(hostname)?;
            if holder.is_some() {
                return Ok(holder);
            }
            thread::sleep(LOOK_PAUSE);
        }
        self.named(hostname)
    }

    /// What runs in a container if it is this very replica. One that has just been made by somebody else gets the time to
    /// start.
    fn started_by_another(&self, id: &str, order: &Order, is_taken: bool) -> Option<Instance> {
        for look in 1..=LOOKS {
            let container = self.inspect(&[id]).ok()?.into_iter().next()?;
            if container.ring_id() != Some(order.ring_id) {
                return None;
            }
            let instance = container.instance(&self.settings.network);
            if instance.is_some() || !is_taken || !container.is_new() || look == LOOKS {
                return instance;
            }
            thread::sleep(LOOK_PAUSE);
        }
        None
    }

    /// Makes the network if it is missing; returns whether it was.
    fn ensure_network(&self) -> Result<bool, LaunchError> {
        let DockerSettings { network, fleet, .. } = &self.settings;
        let is_there = || self.docker(&["network", "inspect", "--format", "{{.Id}}", "--", network]).is_ok();
        if is_there() {
            return Ok(false);
        }
        let label = format!("{FLEET}={fleet}");
        if let Err(error) = self.docker(&["network", "create", "--label", &label, "--", network]) {
            // Another launch may have made it at the same time.
            return if is_there() { Ok(true) } else { Err(error) };
        }
        log::info!("made network '{network}'");
        Ok(true)
    }

    fn run(&self, order: &Order) -> Result<String, LaunchError> {
        let name = order.hostname.as_str();
        let server_id = format!("SERVER_ID={name}");
        let labels = container::record(order, &self.settings.fleet, &self.settings.ring_shape);
        let pids = self.settings.pids.to_string();
        let network = self.settings.network.as_str();
        let mut args = vec!["run", "--detach", "--pull", "never", "--name", name, "--hostname", name];
        args.extend(["--network", network, "--network-alias", name, "--env", &server_id]);
        labels.iter().for_each(|label| args.extend(["--label", label]));
        args.extend(["--memory", &self.settings.memory, "--pids-limit", &pids]);
        // A replica needs no privilege of any kind and writes nothing.
        args.extend(["--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--read-only"]);
        args.extend(["--", &self.settings.image]);
        let id = command::run("docker", &args, RUN_DEADLINE)?.trim().to_owned();
        match is_id(&id) {
            true => Ok(id),
            false => Err(LaunchError(format!("docker run: {}", no_id(&id)))),
        }
    }

    fn find(&self, id: &str) -> Result<Instance, LaunchError> {
        let network = &self.settings.network;
        self.inspect(&[id])?.first().and_then(|container| container.instance(network)).ok_or_else(|| {
            LaunchError(format!("container {id} ended at once or is not on network '{network}'"))
        })
    }
}

/// Whether the engine could mean a container by this.
fn is_id(word: &str) -> bool {
    word.len() == 64 && word.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn no_id(word: &str) -> String {
    let shown: String = word.chars().take(LONGEST_WORD).collect();
    format!("'{}' is not a container id", shown.escape_debug())
}

impl Launcher for Docker {
    fn watch(&self, tell: Tell) -> Option<Watch> {
        let DockerSettings { fleet, leash, .. } = &self.settings;
        match events::follow(fleet, leash.clone(), tell) {
            Ok(watch) => Some(Box::new(watch)),
            Err(error) => {
                log::warn!("cannot follow the engine's events, heartbeats go on: {error}");
                None
            }
        }
    }

    fn prepare(&self) -> Result<(), LaunchError> {
        let image = &self.settings.image;
        self.docker(&["version", "--format", "{{.Server.Version}}"])?;
        self.docker(&["image", "inspect", "--format", "{{.Id}}", "--", image]).map_err(|error| {
            LaunchError(format!(
                "the replicas' image '{image}' is not on this engine ({error}); build or pull it"
            ))
        })?;
        self.ensure_network().map(drop)
    }

    fn survivors(&self) -> Result<Vec<Survivor>, LaunchError> {
        let DockerSettings { network, ring_shape, .. } = &self.settings;
        let mut readings = 1;
        let containers = loop {
            let ids = self.ours(None)?;
            if ids.is_empty() {
                return Ok(Vec::new());
            }
            let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
            // One that went in between makes the whole call fail.
            match self.inspect(&ids) {
                Err(_) if readings < READINGS => readings += 1,
                outcome => break outcome?,
            }
        };
        Ok(containers.into_iter().filter_map(|it| it.survivor(network, ring_shape)).collect())
    }

    fn taken_names(&self) -> Result<BTreeSet<String>, LaunchError> {
        // All of them, compared whole: the engine's name filter matches parts of names.
        let text = self.docker(&["ps", "--all", "--format", "{{.Names}}"])?;
        Ok(text.lines().flat_map(|line| line.split(',')).map(|name| name.trim().to_owned()).collect())
    }

    fn start(&self, order: &Order) -> Result<Instance, LaunchError> {
        let launch = || self.run(order).and_then(|id| self.find(&id));
        let tell = |error: LaunchError| LaunchError(format!("container '{}': {error}", order.hostname));
        let first = match launch() {
            Ok(instance) => return Ok(instance),
            Err(error) => self.settle(order, error).map_err(tell)?,
        };
        match first {
            Settled::Runs(instance) => Ok(instance),
            Settled::TryAgain => launch().or_else(|error| match self.settle(order, error).map_err(tell)? {
                Settled::Runs(instance) => Ok(instance),
                Settled::TryAgain => Err(tell(LaunchError("somebody else keeps taking its name".to_owned()))),
            }),
        }
    }

    fn stop(&self, key: &str, grace: Option<Duration>) -> Result<(), LaunchError> {
        if let Some(grace) = grace {
            // Its failure is no reason to go on waiting: removal by force follows in any case.
            let seconds = grace.as_secs().max(1).to_string();
            let args = ["stop", "-t", &seconds, "--", key];
            if let Err(error) = command::run("docker", &args, CALL_DEADLINE + grace) {
                log::debug!("{error}");
            }
        }
        let error = match self.docker(&["rm", "--force", "--", key]) {
            Ok(text) if text.trim() == key => return Ok(()),
            // It says nothing of one that was gone already. Whatever else it says, it may be there still.
            Ok(_) => LaunchError(format!("docker rm {key}: it does not say that it was done")),
            Err(error) => error,
        };
        // It may have gone already; or somebody else is removing it at this moment, which makes our call fail and the
        // container go.
        let is_under_way = error.0.contains("already in progress");
        let deadline = Instant::now() + if is_under_way { REMOVAL_WAIT } else { Duration::ZERO };
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
