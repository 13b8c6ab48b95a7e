//! An engine for tests: a `docker` on the balancer's path that runs real replicas, see `fake_docker.sh`, and fails as
//! it is told to.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{self, Command};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant};

use super::program::{self, BINARY, Process, is_alive, processes};
use super::{PATIENCE, wait_for};

/// What the engine does instead of its work.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// Nothing.
    Works,
    /// Every call fails: the daemon is away.
    Away,
    /// No call ends.
    Hangs,
    /// Every call succeeds and says nonsense.
    Garbage,
    /// No container can be made.
    DiskFull,
    /// Containers end as soon as they have begun.
    Crashes,
}

/// The engine; with the value goes everything that it runs.
pub struct FakeEngine {
    folder: PathBuf,
    /// Held so that no other test gives out the same addresses.
    _claim: TcpListener,
}

/// A container as the engine has it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Container {
    /// In full.
    pub id: String,
    pub name: String,
    /// What its label says, nothing if it has none.
    pub fleet: String,
    /// Of the replica in it; `None` if that has ended.
    pub pid: Option<u32>,
}

impl FakeEngine {
    /// One that works and has nothing but the image of the replicas.
    pub fn new() -> FakeEngine {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let number = MADE.fetch_add(1, Relaxed);
        let folder = std::env::temp_dir().join(format!("ringmaster-engine-{}-{number}", process::id()));
        for place in ["bin", "containers", "names", "addresses", "images", "networks"] {
            fs::create_dir_all(folder.join(place)).unwrap();
        }
        // The many numbers of one process are far apart from those of the next.
        let (subnet, claim) = claim_subnet(process::id().wrapping_mul(131).wrapping_add(number * 7919));
        fs::write(folder.join("subnet"), subnet + "\n").unwrap();
        fs::write(folder.join("path"), std::env::var("PATH").unwrap() + "\n").unwrap();
        symlink(BINARY, folder.join("ringmaster")).unwrap();
        let engine = FakeEngine { folder, _claim: claim };
        fs::write(engine.program(), include_str!("fake_docker.sh")).unwrap();
        fs::set_permissions(engine.program(), fs::Permissions::from_mode(0o755)).unwrap();
        engine.set_mode(Mode::Works);
        engine.put_image("ringmaster-server");
        engine
    }

    /// The balancer with this engine and no other, on a port of the system's choice.
    pub fn balancer(&self, flags: &str) -> Command {
        let mut args = vec!["--listen", "127.0.0.1:0", "--launcher", "docker"];
        args.extend(flags.split_whitespace());
        let mut command = program::command(&args);
        command.env("PATH", self.folder.join("bin"));
        command
    }

    fn program(&self) -> PathBuf {
        self.folder.join("bin/docker")
    }

    pub fn set_mode(&self, mode: Mode) {
        let word = match mode {
            Mode::Works => "ok",
            Mode::Away => "fail",
            Mode::Hangs => "hang",
            Mode::Garbage => "garbage",
            Mode::DiskFull => "disk full",
            Mode::Crashes => "crash",
        };
        // A call reads the one or the other, never half of it.
        fs::write(self.folder.join("mode.new"), format!("{word}\n")).unwrap();
        fs::rename(self.folder.join("mode.new"), self.folder.join("mode")).unwrap();
    }

    /// Takes the program away, or brings it back.
    pub fn hide(&self, hidden: bool) {
        let (there, away) = (self.program(), self.folder.join("docker.away"));
        let (from, to) = if hidden { (there, away) } else { (away, there) };
        fs::rename(from, to).unwrap();
    }

    pub fn put_image(&self, name: &str) {
        fs::write(self.folder.join("images").join(name), "").unwrap();
    }

    pub fn remove_image(&self, name: &str) {
        fs::remove_file(self.folder.join("images").join(name)).unwrap();
    }

    /// The fleet whose label a network carries; `None` if there is no such network.
    pub fn network(&self, name: &str) -> Option<String> {
        word(&self.folder.join("networks").join(name))
    }

    pub fn remove_network(&self, name: &str) {
        fs::remove_file(self.folder.join("networks").join(name)).unwrap();
    }

    /// The calls so far, as argument vectors.
    pub fn calls(&self) -> Vec<Vec<String>> {
        let text = fs::read_to_string(self.folder.join("calls")).unwrap_or_default();
        let words = |line: &str| line.split_terminator('\u{1f}').map(str::to_owned).collect();
        text.lines().map(words).collect()
    }

    /// All containers, by name.
    pub fn containers(&self) -> Vec<Container> {
        let found = fs::read_dir(self.folder.join("containers")).unwrap();
        let mut all: Vec<Container> = found.filter_map(|entry| read(&entry.unwrap().path())).collect();
        all.sort_by(|one, other| one.name.cmp(&other.name));
        all
    }

    /// The container of this name.
    pub fn container(&self, name: &str) -> Option<Container> {
        self.containers().into_iter().find(|container| container.name == name)
    }

    /// Ends the replica in a container, and has the engine tell so.
    pub fn kill(&self, name: &str) {
        let container = self.container(name).unwrap();
        let pid = container.pid.unwrap();
        kill(pid);
        wait_for("the replica to end", || !is_alive(pid));
        self.tell(&container.fleet, &container.id);
    }

    /// Puts a container there that nobody asked for and nothing runs in.
    pub fn put_container(&self, name: &str) {
        fs::create_dir(self.folder.join("names").join(name)).unwrap();
        let new = self.folder.join("foreign");
        fs::create_dir(&new).unwrap();
        fs::write(new.join("name"), format!("{name}\n")).unwrap();
        fs::write(new.join("network"), "bridge\n").unwrap();
        fs::write(new.join("labels"), "somebody=else\n").unwrap();
        let id = format!("{:064x}", fastrand::u128(..));
        fs::rename(new, self.folder.join("containers").join(id)).unwrap();
    }

    /// Removes a container in which nothing runs.
    pub fn remove_container(&self, name: &str) {
        let container = self.container(name).unwrap();
        assert_eq!(container.pid, None);
        fs::remove_dir_all(self.folder.join("containers").join(container.id)).unwrap();
        fs::remove_dir(self.folder.join("names").join(name)).unwrap();
    }

    /// Has the events of a fleet say this.
    pub fn tell(&self, fleet: &str, line: &str) {
        use std::io::Write;
        let path = self.folder.join(format!("events-{fleet}"));
        let mut events = fs::OpenOptions::new().append(true).create(true).open(path).unwrap();
        // One write, since the engine's own come side by side.
        events.write_all(format!("{line}\n").as_bytes()).unwrap();
    }

    /// The processes that follow the events of a fleet.
    pub fn followers(&self, fleet: &str) -> Vec<Process> {
        let path = self.folder.join(format!("events-{fleet}")).display().to_string();
        processes().into_iter().filter(|process| process.args.contains(&path)).collect()
    }

    /// The end of the daemon: from now on it is away, and whatever ran has ended.
    pub fn shut_down(&self) {
        self.set_mode(Mode::Away);
        let running = self.containers().into_iter().filter_map(|container| container.pid);
        let following = self.calling().into_iter().filter(|process| process.args[0] == "tail");
        let ending: Vec<u32> = running.chain(following.map(|process| process.pid)).collect();
        ending.iter().for_each(|&pid| kill(pid));
        wait_for("everything to end", || !ending.iter().any(|&pid| is_alive(pid)));
    }

    /// Everything that this runs, replicas and calls: each has our folder among its words.
    fn calling(&self) -> Vec<Process> {
        let folder = self.folder.display().to_string() + "/";
        let is_ours = |process: &Process| process.args.iter().any(|arg| arg.contains(&folder));
        processes().into_iter().filter(is_ours).collect()
    }
}

impl Drop for FakeEngine {
    fn drop(&mut self) {
        let _ = fs::rename(self.program(), self.folder.join("docker.away"));
        let deadline = Instant::now() + PATIENCE;
        let mut left = self.calling();
        // A call that is under way may start something yet.
        while !left.is_empty() && Instant::now() < deadline {
            left.iter().for_each(|process| kill(process.pid));
            std::thread::sleep(Duration::from_millis(2));
            left = self.calling();
        }
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Kills a process, which may have ended by itself.
fn kill(pid: u32) {
    use nix::sys::signal::{Signal, kill};
    let _ = kill(nix::unistd::Pid::from_raw(i32::try_from(pid).unwrap()), Signal::SIGKILL);
}

/// Three numbers of addresses that nobody else has, in this program or another, and what holds them.
fn claim_subnet(seed: u32) -> (String, TcpListener) {
    (0..)
        .find_map(|step: u32| {
            // Not those that begin with 127.0, where other tests are.
            let number = seed.wrapping_add(step) % (255 * 256);
            let (high, low) = (number / 256 + 1, number % 256);
            let last = format!("127.{high}.{low}.255");
            let claim = TcpListener::bind((last.parse::<Ipv4Addr>().ok()?, 5000)).ok()?;
            Some((format!("127.{high}.{low}"), claim))
        })
        .unwrap()
}

/// The container in a folder, unless it has just gone.
fn read(folder: &Path) -> Option<Container> {
    let labels = fs::read_to_string(folder.join("labels")).ok()?;
    let fleet = labels.lines().find_map(|line| line.strip_prefix("ringmaster.fleet="));
    let address = word(&folder.join("address")).map(|address| address + ":5000");
    // Its number may be another's by now.
    let is_its =
        |pid: &u32| program::process(*pid).is_some_and(|it| address.is_some_and(|at| it.args.contains(&at)));
    Some(Container {
        id: folder.file_name()?.to_str()?.to_owned(),
        name: word(&folder.join("name"))?,
        fleet: fleet.unwrap_or_default().to_owned(),
        pid: word(&folder.join("pid")).and_then(|pid| pid.parse().ok()).filter(is_its),
    })
}

/// What is in a file of one line.
fn word(path: &Path) -> Option<String> {
    Some(fs::read_to_string(path).ok()?.trim().to_owned())
}
