//! A launcher whose replicas live in this process, and which fails when it is told to.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use ringmaster::launcher::{LaunchError, Launcher, Notice, Order, Survivor, Tell, Watch};
use ringmaster::replica::Instance;

use super::backend::{Backend, Script, Seen, answer};

/// A handle; clones share the replicas.
#[derive(Clone)]
pub struct FakeLauncher {
    state: Arc<Mutex<State>>,
    script: Script,
}

#[derive(Default)]
struct State {
    /// By key.
    running: BTreeMap<Arc<str>, (Order, Backend)>,
    next_key: u32,
    taken: BTreeSet<String>,
    /// Names whose launches fail, and how many more times.
    failures: BTreeMap<String, u32>,
    /// No launch succeeds.
    all_fail: bool,
    /// Names whose stops fail, and how many more times.
    stop_failures: BTreeMap<String, u32>,
    survivors: Vec<Survivor>,
    /// Who is told what is noticed.
    tell: Option<Tell>,
    /// Every call that was made, as `start S1` or `stop S1`.
    calls: Vec<String>,
    /// How long a launch takes.
    delay: Duration,
    /// Launches that are under way, and the most there ever were.
    starting: usize,
    most_starting: usize,
    /// How many heartbeats a replica answers 500 before its first good one.
    sick_at_first: u32,
    /// Where the next replica is started, if not anywhere.
    next_address: Option<SocketAddr>,
}

impl FakeLauncher {
    /// Replicas that answer `/home` as the contract has it, and 404 to everything else.
    pub fn new() -> FakeLauncher {
        FakeLauncher::with(|seen, name, stream| match (seen.method.as_str(), seen.target.as_str()) {
            ("GET", "/home") => {
                let body = format!(r#"{{"message":"Hello from Server: {name}","status":"successful"}}"#);
                answer(stream, "200 OK", &[("Content-Type", "application/json")], body.as_bytes());
            }
            _ => answer(stream, "404 Not Found", &[], b"no such page"),
        })
    }

    /// Replicas that do as `script` says; it is told the name of the replica.
    pub fn with(
        script: impl Fn(&Seen, &str, &mut std::net::TcpStream) + Send + Sync + 'static,
    ) -> FakeLauncher {
        let state = Arc::default();
        let script: Script = Arc::new(move |seen: &Seen, stream: &mut std::net::TcpStream| {
            let name = stream.local_addr().map(|address| address.to_string()).unwrap_or_default();
            script(seen, &name_at(&name).unwrap_or(name), stream);
        });
        FakeLauncher { state, script }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// The next `times` launches of `name` fail.
    pub fn fail_start(&self, name: &str, times: u32) {
        self.state().failures.insert(name.to_owned(), times);
    }

    /// No launch succeeds from now on, or they do again.
    pub fn fail_all_starts(&self, fail: bool) {
        self.state().all_fail = fail;
    }

    /// The next `times` stops of `name` fail.
    pub fn fail_stop(&self, name: &str, times: u32) {
        self.state().stop_failures.insert(name.to_owned(), times);
    }

    /// `name` belongs to something that is not ours.
    pub fn take_name(&self, name: &str) {
        self.state().taken.insert(name.to_owned());
    }

    /// Launches take this long from now on.
    pub fn delay_starts(&self, delay: Duration) {
        self.state().delay = delay;
    }

    /// Replicas that are launched from now on answer their first `times` heartbeats with 500.
    pub fn fail_first_heartbeats(&self, times: u32) {
        self.state().sick_at_first = times;
    }

    /// Ends the replica called `name` so that nothing is left of it, and nobody is told; the next one is started at its
    /// address, which is returned.
    pub fn pass_address_on(&self, name: &str) -> SocketAddr {
        let mut state = self.state();
        let of_name = |(_, (order, _)): &(&Arc<str>, &(Order, Backend))| order.hostname.as_str() == name;
        let key = state.running.iter().find(of_name).map(|(key, _)| key.clone());
        let (_, backend) = state.running.remove(&key.unwrap_or_else(|| panic!("no replica {name}"))).unwrap();
        state.next_address = Some(backend.address);
        backend.address
    }

    /// Ends the replica called `name` as a kill does, and says so as an engine does.
    pub fn end(&self, name: &str) {
        let (key, tell) = {
            let mut state = self.state();
            let found = state.running.iter_mut().find(|(_, (order, _))| order.hostname.as_str() == name);
            let (key, (_, backend)) = found.unwrap_or_else(|| panic!("no replica {name}"));
            backend.kill();
            (key.clone(), state.tell.clone())
        };
        tell.unwrap()(Notice::Ended(key));
    }

    /// Requests that any replica that runs got before its first good heartbeat.
    pub fn early_requests(&self) -> u32 {
        self.state().running.values().map(|(_, backend)| backend.early_requests()).sum()
    }

    /// How often a call was made.
    pub fn count(&self, call: &str) -> usize {
        self.calls().iter().filter(|made| *made == call).count()
    }

    /// Everything that runs is what an earlier run left; those called `exited` have ended, and only a record of them
    /// is there.
    pub fn leave_everything(&self, exited: &[&str]) {
        let mut state = self.state();
        let mut survivors = Vec::new();
        for (key, (order, backend)) in &mut state.running {
            let instance = if exited.contains(&order.hostname.as_str()) {
                backend.kill();
                None
            } else {
                Some(Instance { key: key.clone(), address: backend.address })
            };
            survivors.push(Survivor { order: order.clone(), key: key.clone(), instance });
        }
        state.survivors = survivors;
        // The next launch clears what is left of them away.
        state.running.retain(|_, (order, _)| !exited.contains(&order.hostname.as_str()));
    }

    /// What an earlier run left.
    pub fn leave_survivor(&self, survivor: Survivor) {
        self.state().survivors.push(survivor);
    }

    /// The names of the replicas that run, each as often as it runs.
    pub fn running(&self) -> Vec<String> {
        let mut names: Vec<String> =
            self.state().running.values().map(|(order, _)| order.hostname.to_string()).collect();
        names.sort();
        names
    }

    /// The most launches that were ever under way at once.
    pub fn most_starting(&self) -> usize {
        self.state().most_starting
    }

    /// The calls so far.
    pub fn calls(&self) -> Vec<String> {
        self.state().calls.clone()
    }

    /// Does something with the replica called `name`.
    pub fn at<T>(&self, name: &str, act: impl FnOnce(&mut Backend) -> T) -> T {
        let mut state = self.state();
        let found = state.running.values_mut().find(|(order, _)| order.hostname.as_str() == name);
        act(&mut found.unwrap_or_else(|| panic!("no replica {name}")).1)
    }

    /// Everything that all replicas that run were asked, heartbeats left out.
    pub fn seen(&self) -> Vec<Seen> {
        self.state().running.values().flat_map(|(_, backend)| backend.seen()).collect()
    }
}

/// Names by address, so that a script can know who it is.
static NAMES: Mutex<BTreeMap<String, String>> = Mutex::new(BTreeMap::new());

fn name_at(address: &str) -> Option<String> {
    NAMES.lock().unwrap().get(address).cloned()
}

/// Whether a failure is due for `name`, counting it.
fn due(failures: &mut BTreeMap<String, u32>, name: &str) -> bool {
    match failures.get_mut(name) {
        Some(left) if *left > 0 => {
            *left -= 1;
            true
        }
        _ => false,
    }
}

impl Launcher for FakeLauncher {
    fn watch(&self, tell: Tell) -> Option<Watch> {
        self.state().tell = Some(tell);
        Some(Box::new(()))
    }

    fn prepare(&self) -> Result<(), LaunchError> {
        Ok(())
    }

    fn survivors(&self) -> Result<Vec<Survivor>, LaunchError> {
        Ok(self.state().survivors.clone())
    }

    fn taken_names(&self) -> Result<BTreeSet<String>, LaunchError> {
        Ok(self.state().taken.clone())
    }

    fn start(&self, order: &Order) -> Result<Instance, LaunchError> {
        let name = order.hostname.as_str();
        let delay = {
            let mut state = self.state();
            state.starting += 1;
            state.most_starting = state.most_starting.max(state.starting);
            state.delay
        };
        if !delay.is_zero() {
            std::thread::sleep(delay);
        }
        let mut state = self.state();
        state.starting -= 1;
        state.calls.push(format!("start {name}"));
        if state.all_fail || due(&mut state.failures, name) {
            return Err(LaunchError(format!("told to fail to start {name}")));
        }
        let twin = state.running.values().any(|(running, _)| running.hostname == order.hostname);
        assert!(!twin, "{name} is started twice");
        let anywhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let address = state.next_address.take().unwrap_or(anywhere);
        let backend = Backend::start_at(address, self.script.clone());
        backend.fail_heartbeats(state.sick_at_first);
        let address = backend.address;
        NAMES.lock().unwrap().insert(address.to_string(), name.to_owned());
        state.next_key += 1;
        let key: Arc<str> = state.next_key.to_string().into();
        state.running.insert(key.clone(), (order.clone(), backend));
        Ok(Instance { key, address })
    }

    fn stop(&self, key: &str, _grace: Option<Duration>) -> Result<(), LaunchError> {
        let mut state = self.state();
        let Some((order, _)) = state.running.get(key) else {
            return Ok(());
        };
        let name = order.hostname.to_string();
        state.calls.push(format!("stop {name}"));
        if due(&mut state.stop_failures, &name) {
            return Err(LaunchError(format!("told to fail to stop {name}")));
        }
        let stopped = state.running.remove(key);
        drop(state);
        drop(stopped);
        Ok(())
    }

    fn clean_up(&self) {}
}
