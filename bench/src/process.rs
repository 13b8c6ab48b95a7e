//! Processes that end with their owner, and what they need to start: a folder, free ports, descriptors.

use std::env;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{Signal, kill, killpg};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;

use crate::client::Client;
use crate::interrupt;

/// How long a server may take until it answers.
const START: Duration = Duration::from_secs(15);

/// How long a process may take to end when asked; then it is killed.
const GRACE: Duration = Duration::from_secs(5);

/// How much of a log is shown when a process does not do its job.
const TAIL: usize = 1000;

/// A child process in a group of its own, so that a Ctrl-C at the terminal reaches us alone, and so that what the
/// child starts can be ended too. Dropping it asks it to end, and sees to it that it does.
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `command`; what it prints goes to a file in `folder`.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(name: &str, mut command: Command, folder: &Folder) -> Result<Process> {
        let log = folder.path(&format!("{name}.log"));
        // It writes at the end, wherever that is: what it printed can be forgotten while it runs.
        let output = File::options().create(true).append(true).open(&log);
        let output = output.with_context(|| format!("create {}", log.display()))?;
        output.set_len(0)?;
        let program = command.get_program().to_owned();
        let child = command
            .stdout(output.try_clone()?)
            .stderr(output)
            .process_group(0)
            .spawn()
            .with_context(|| format!("start {}", program.display()))?;
        Ok(Process { name: name.to_owned(), child, log })
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    fn pid(&self) -> Pid {
        // Process ids are far below 2^31.
        Pid::from_raw(self.child.id().cast_signed())
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        // Until it is dropped it is a child of ours, running or dead: its number is not given to another.
        let _ = kill(self.pid(), signal);
    }

    /// What it printed so far.
    pub fn output(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// Forgets what it printed so far.
    ///
    /// # Errors
    /// The system does not let us.
    pub fn forget_output(&self) -> Result<()> {
        File::create(&self.log).with_context(|| format!("empty {}", self.log.display()))?;
        Ok(())
    }

    /// Its exit status once it has ended (-1 for an end by a signal). It stays a zombie until it is dropped: so its
    /// id stays its own, and cannot be another's when we signal it.
    pub fn ended(&self) -> Option<i32> {
        let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        match waitid(Id::Pid(self.pid()), flags) {
            Ok(WaitStatus::StillAlive) => None,
            Ok(WaitStatus::Exited(_, status)) => Some(status),
            _ => Some(-1),
        }
    }

    /// An error that says what went wrong with it and the last it said.
    pub fn failure(&self, what: &str) -> anyhow::Error {
        let output = self.output();
        let mut begin = output.len().saturating_sub(TAIL);
        while !output.is_char_boundary(begin) {
            begin += 1;
        }
        anyhow::anyhow!("{} {what}; it said:\n{}", self.name, output[begin..].trim_end())
    }

    /// Waits until it ends by itself with success.
    ///
    /// # Errors
    /// It fails, takes longer than `time`, or we are interrupted.
    pub fn finish(&self, time: Duration) -> Result<()> {
        interrupt::wait_until(time, || Ok(self.ended().is_some()))?;
        match self.ended() {
            Some(0) => Ok(()),
            Some(status) => Err(self.failure(&format!("failed with status {status}"))),
            None => Err(self.failure("does not end")),
        }
    }

    /// Waits until a GET is answered with 200.
    ///
    /// # Errors
    /// It ends, takes too long, or we are interrupted.
    pub fn wait_until_serving(&self, address: SocketAddr, path: &str) -> Result<()> {
        let is_up = interrupt::wait_until(START, || {
            if self.ended().is_some() {
                return Err(self.failure("ended at once"));
            }
            let answer = Client::connect(address).and_then(|mut client| client.get(path));
            Ok(answer.is_ok_and(|answer| answer.status == 200))
        })?;
        if is_up { Ok(()) } else { Err(self.failure(&format!("does not answer on {address}"))) }
    }

    /// Waits until it has said `listening on ADDRESS`.
    ///
    /// # Errors
    /// It ends, takes too long, or we are interrupted.
    pub fn announced_address(&self) -> Result<SocketAddr> {
        let mut address = None;
        interrupt::wait_until(START, || {
            let output = self.output();
            let line = output.lines().find_map(|line| line.split_once("listening on "));
            address = line.and_then(|(_, text)| text.trim().parse().ok());
            Ok(address.is_some() || self.ended().is_some())
        })?;
        address.ok_or_else(|| self.failure("does not say where it listens"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.signal(Signal::SIGTERM);
        let until = Instant::now() + GRACE;
        while self.ended().is_none() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(5));
        }
        // The group outlives its leader, and while the leader is a zombie its number is not given to another.
        let _ = killpg(self.pid(), Signal::SIGKILL);
        let _ = self.child.wait();
    }
}

/// Where processes have their configuration and their logs; removed when it is dropped.
pub struct Folder {
    path: PathBuf,
}

impl Folder {
    /// Makes one.
    ///
    /// # Errors
    /// The system does not let us.
    pub fn new() -> Result<Folder> {
        let path = env::temp_dir().join(format!("ringmaster-bench-{}", std::process::id()));
        fs::create_dir(&path).with_context(|| format!("make the folder {}", path.display()))?;
        Ok(Folder { path })
    }

    /// A file or folder in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Writes a file in it.
    ///
    /// # Errors
    /// The system does not let us.
    pub fn write(&self, name: &str, text: &str) -> Result<PathBuf> {
        let path = self.path(name);
        fs::write(&path, text).with_context(|| format!("write {}", path.display()))?;
        Ok(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// An address on 127.0.0.1 on which nobody listens, for a server that cannot choose one itself. Another program may
/// take it before that server does; then the server does not start, and says so.
///
/// # Errors
/// There is none.
pub fn free_address() -> Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("find a free port")?;
    Ok(listener.local_addr()?)
}

/// Where a program is: on the path, or where Debian keeps servers, which is not on the path of most users.
pub fn find_program(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = env::split_paths(&path).chain(["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from));
    folders.map(|folder| folder.join(name)).find(|file| file.is_file())
}

/// The balancer, with none of the settings that our environment may hold.
///
/// # Errors
/// There is no such program.
pub fn ringmaster<'a>(program: &Path, args: impl IntoIterator<Item = &'a str>) -> Result<Command> {
    if !program.is_file() {
        bail!(
            "there is no {}: build it with `cargo build --release`, or say where it is with --ringmaster",
            program.display()
        );
    }
    let mut command = Command::new(program);
    for (name, _) in env::vars_os() {
        if name.to_string_lossy().starts_with("RINGMASTER_") || name == OsStr::new("RUST_LOG") {
            command.env_remove(name);
        }
    }
    command.args(args).stdin(Stdio::null());
    Ok(command)
}

/// Allows us and what we start as many descriptors as the system lets us.
///
/// # Errors
/// The system does not say.
pub fn raise_descriptor_limit() -> Result<()> {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, most, most).context("raise the limit of descriptors")
}

/// How many descriptors a process may have.
///
/// # Errors
/// The system does not say.
pub fn descriptor_limit() -> Result<u64> {
    Ok(getrlimit(Resource::RLIMIT_NOFILE)?.0)
}
