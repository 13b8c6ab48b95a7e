//! Replicas as child processes on loopback ports: the whole main job on a machine without Docker.

use std::collections::{BTreeSet, HashMap};
use std::io::{self, BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use super::command::SECRET;
use super::{LaunchError, Launcher, Notice, Order, Survivor, Tell, Watch};
use crate::replica::Instance;

/// How long a child may take until it says where it listens. Binding a port takes milliseconds; a machine that
/// needs longer than this cannot run replicas.
const ANNOUNCE_DEADLINE: Duration = Duration::from_secs(10);

/// Stack of the thread that listens to a child; it reads a line and throws away what follows. There is one for each child.
const LISTENER_STACK: usize = 64 * 1024;

/// Longest announcement that is read; the line is about 30 bytes.
const ANNOUNCE_LIMIT: u64 = 200;

/// Runs `<program> replica` once for each replica.
///
/// The children end with the balancer however it ends. Each reads its standard input and exits at its end, which the
/// system brings about when the balancer dies, by SIGKILL too. One that is stopped (SIGSTOP) cannot read; but each
/// child leads a process group of its own, and a stopped group that is orphaned is sent SIGHUP and SIGCONT by the
/// system. (Where the process that inherits it, usually init, started the balancer from its own shell, as process 1 of
/// a container may, it does not count as orphaned; then a stopped child stays until it is continued, and exits.) The
/// group also keeps a Ctrl-C at the terminal from reaching the replicas before the balancer has drained them.
pub struct Processes {
    program: PathBuf,
    /// Counts the children: a process id may be given again while the old one is still remembered.
    next_key: AtomicU64,
    /// The children that have not been waited for, by key. Held while a child is added, taken or asked
    /// whether it runs, never while one is waited for.
    children: Mutex<HashMap<Arc<str>, Child>>,
    tell: Listeners,
}

/// Who wants to know of ends; locked to be read or set.
type Listeners = Arc<Mutex<Option<Tell>>>;

impl Processes {
    /// A launcher that runs `program`, which must serve as a replica when called with `replica` as its first word.
    pub fn new(program: PathBuf) -> Processes {
        Processes { program, next_key: AtomicU64::new(1), children: Mutex::default(), tell: Arc::default() }
    }

    fn children(&self) -> MutexGuard<'_, HashMap<Arc<str>, Child>> {
        self.children.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Launcher for Processes {
    fn outlives_balancer(&self) -> bool {
        false
    }

    fn watch(&self, tell: Tell) -> Option<Watch> {
        *self.tell.lock().unwrap_or_else(PoisonError::into_inner) = Some(tell);
        Some(Box::new(Deaf(self.tell.clone())))
    }

    /// Says what an earlier run can have left: nothing.
    fn prepare(&self) -> Result<(), LaunchError> {
        log::info!("replicas are processes and end with their balancer: starting afresh");
        Ok(())
    }

    /// None, ever: children end with the balancer that started them.
    fn survivors(&self) -> Result<Vec<Survivor>, LaunchError> {
        Ok(Vec::new())
    }

    fn taken_names(&self) -> Result<BTreeSet<String>, LaunchError> {
        Ok(BTreeSet::new())
    }

    fn start(&self, order: &Order) -> Result<Instance, LaunchError> {
        let failed = |why: String| LaunchError(format!("start process of '{}': {why}", order.hostname));
        let mut child = Command::new(&self.program)
            .env_remove(SECRET)
            .args(["replica", "--listen", "127.0.0.1:0", "--announce", "--end-with-stdin", "--server-id"])
            .arg(order.hostname.as_str())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()
            .map_err(|error| failed(format!("cannot run {}: {error}", self.program.display())))?;
        let key: Arc<str> = self.next_key.fetch_add(1, Relaxed).to_string().into();
        let listener = self.tell.clone();
        let announced = child.stdout.take().map(|stdout| announced_address(stdout, key.clone(), listener));
        let Some(address) = announced.and_then(|line| line.recv_timeout(ANNOUNCE_DEADLINE).ok().flatten())
        else {
            end(&mut child);
            return Err(failed("it did not say where it listens".to_owned()));
        };
        let mut children = self.children();
        // Those that ended by themselves are reaped here if nobody stopped them since.
        children.retain(|_, child| matches!(child.try_wait(), Ok(None)));
        children.insert(key.clone(), child);
        Ok(Instance { key, address })
    }

    fn stop(&self, key: &str, grace: Option<Duration>) -> Result<(), LaunchError> {
        let Some(mut child) = self.children().remove(key) else {
            return Ok(());
        };
        if let Some(grace) = grace {
            // The end of its standard input asks a replica to end.
            drop(child.stdin.take());
            let until = Instant::now() + grace;
            while Instant::now() < until && matches!(child.try_wait(), Ok(None)) {
                thread::sleep(Duration::from_millis(2));
            }
        }
        end(&mut child);
        Ok(())
    }

    fn clean_up(&self) {}
}

/// Kills the child if it still runs, and waits for it, so that no zombie stays.
fn end(child: &mut Child) {
    let _ = child.kill();
    let _ = child.wait();
}

/// Reads `listening on ADDRESS` from a child; the channel closes when the child says something else or nothing. Then goes
/// on listening to it for as long as it lives: the end of its output is its own end, and known at once.
fn announced_address(
    stdout: ChildStdout,
    key: Arc<str>,
    tell: Listeners,
) -> mpsc::Receiver<Option<SocketAddr>> {
    let (sender, receiver) = mpsc::channel();
    let listener = thread::Builder::new().name("listener".into()).stack_size(LISTENER_STACK);
    let listens = listener.spawn(move || {
        let mut line = String::new();
        let mut stdout = BufReader::new(stdout);
        let _ = stdout.by_ref().take(ANNOUNCE_LIMIT).read_line(&mut line);
        let address = line.trim_end().strip_prefix("listening on ").and_then(|text| text.parse().ok());
        let _ = sender.send(address);
        let _ = io::copy(&mut stdout, &mut io::sink());
        let tell = tell.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(tell) = tell {
            tell(Notice::Ended(key));
        }
    });
    if let Err(error) = listens {
        log::warn!("cannot listen to a replica: no thread: {error}");
    }
    receiver
}

/// Nobody wants to know any more once this is dropped.
struct Deaf(Listeners);

impl Drop for Deaf {
    fn drop(&mut self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}
