//! An engine that runs nothing and keeps the books: every call takes a while in which any other thread may go on, and
//! what must never happen is noted down.
//!
//! It keeps the promises of [`Launcher`] the way `launcher/docker` does: a record outlives its instance and holds the
//! name, a name that is taken by what nobody wants is cleared, a replica that somebody else started is taken as it is.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use ringmaster::fleet::{Fleet, Phase};
use ringmaster::launcher::{LaunchError, Launcher, Notice, Order, Survivor, Tell, Watch};
use ringmaster::replica::Instance;
use ringmaster::ring::{RingId, Weight};
use ringmaster::sync::thread;
use shuttle::rand::{Rng, thread_rng};

/// Steps that a call may take on each side of what it does. Often next to none, as for the checker all steps are alike;
/// sometimes long enough that others launch a whole replica meanwhile.
const TIMES: [usize; 3] = [0, 5, 60];

/// Lets others go on for a while. What is drawn is part of the order, and the same when that is repeated.
pub fn take_time() {
    for _ in 0..=TIMES[thread_rng().gen_range(0..TIMES.len())] {
        // To the checker a point where threads may switch, and nothing more; to yield would be to ask for it.
        thread::sleep(Duration::ZERO);
    }
}

/// How a call goes that does not go well.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Mishap {
    /// A launch fails and leaves nothing.
    StartFails,
    /// A launch is given up on, and comes about some time after that.
    StartComesLate,
    /// A launch succeeds, and what it started ends before it serves.
    EndsAtOnce,
    /// A launch succeeds, and what it started takes a while until it serves.
    ServesLate,
    /// A launch succeeds, and what it started hangs.
    NeverServes,
    /// A stop fails, and what it should have stopped goes on.
    StopFails,
}

/// A handle; clones share the books.
///
/// The lock is one of the standard library's, which the checker does not see: nobody holds it where threads may switch.
#[derive(Clone)]
pub struct Engine {
    books: Arc<Mutex<Books>>,
    fleet: Fleet,
}

#[derive(Default)]
struct Books {
    records: BTreeMap<Arc<str>, Record>,
    next_key: u16,
    /// Names and identities whose launch is under way.
    starting: BTreeSet<String>,
    /// Mishaps to come, by name.
    mishaps: BTreeSet<(String, Mishap)>,
    /// A mishap has come about after which something may run that is no member's.
    strays: bool,
    /// What must never happen and did.
    faults: Vec<String>,
    tell: Option<Tell>,
    /// What the engine does in its own time.
    late: Vec<thread::JoinHandle<()>>,
}

struct Record {
    order: Order,
    address: SocketAddr,
    runs: bool,
    /// The balancer was told of it.
    known: bool,
    /// Heartbeats that it misses before its first good one.
    misses: u32,
}

impl Engine {
    /// An engine for this fleet.
    pub fn new(fleet: Fleet) -> Engine {
        Engine { books: Arc::default(), fleet }
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap()
    }

    /// The next call of this kind for `name` goes wrong like this.
    pub fn plan(&self, name: &str, mishap: Mishap) {
        self.books().mishaps.insert((name.to_owned(), mishap));
    }

    /// Waits until everything has come about that was to come late.
    pub fn catch_up(&self) {
        let late = std::mem::take(&mut self.books().late);
        late.into_iter().for_each(|thread| thread.join().unwrap());
    }

    fn later(&self, work: impl FnOnce() + Send + 'static) {
        let thread = thread::spawn(|| {
            take_time();
            work();
        });
        self.books().late.push(thread);
    }

    /// Nothing goes wrong any more.
    pub fn recover(&self) {
        self.books().mishaps.clear();
    }

    /// What an earlier launch has left: something that runs, or a record of something that ran.
    pub fn furnish(&self, name: &str, ring_id: RingId, runs: bool) -> Instance {
        let hostname = ringmaster::replica::Hostname::parse(name).unwrap();
        let mut books = self.books();
        let instance =
            books.record(&Order { hostname, ring_id, slots: Vec::new(), weight: Weight::ONE }, true);
        books.records.get_mut(&instance.key).unwrap().runs = runs;
        instance
    }

    /// Whether what serves at this address answers now.
    pub fn answers(&self, address: SocketAddr) -> bool {
        let mut books = self.books();
        let Some(record) = books.records.values_mut().find(|it| it.runs && it.address == address) else {
            return false;
        };
        let late = record.misses > 0;
        record.misses = record.misses.saturating_sub(1);
        !late
    }

    /// The keys of all that runs.
    pub fn running(&self) -> BTreeSet<Arc<str>> {
        self.books().records.iter().filter(|(_, it)| it.runs).map(|(key, _)| key.clone()).collect()
    }

    /// Whether something may run that is no member's, until it is searched for.
    pub fn may_leave_strays(&self) -> bool {
        self.books().strays
    }

    /// What must never happen and did.
    pub fn faults(&self) -> Vec<String> {
        self.books().faults.clone()
    }

    /// Ends what runs under this key, as by itself, and says so.
    fn kill(&self, key: &Arc<str>) {
        if let Some(record) = self.books().records.get_mut(key) {
            record.runs = false;
        }
        self.tell(Notice::Ended(key.clone()));
    }

    fn tell(&self, notice: Notice) {
        let tell = self.books().tell.clone();
        tell.into_iter().for_each(|tell| tell(notice.clone()));
    }

    /// What the engine does for `docker run`, however long after it was asked.
    fn create(&self, order: &Order, known: bool) -> Instance {
        let mut books = self.books();
        let Books { records, faults, .. } = &mut *books;
        let holder = records.iter_mut().find(|(_, it)| it.order.hostname == order.hostname);
        if let Some((key, record)) = holder {
            let key = key.clone();
            if record.runs && record.known && known {
                faults.push(format!("{} is started though it runs", order.hostname));
            }
            if record.runs && record.order.ring_id == order.ring_id {
                record.known |= known;
                return Instance { key, address: record.address };
            }
            records.remove(&key);
        }
        books.record(order, known)
    }
}

impl Books {
    fn record(&mut self, order: &Order, known: bool) -> Instance {
        self.next_key += 1;
        let key: Arc<str> = format!("{}-{}", order.hostname, self.next_key).into();
        let address = SocketAddr::from(([10, 0, 0, 1], self.next_key));
        let record = Record { order: order.clone(), address, runs: true, known, misses: 0 };
        self.records.insert(key.clone(), record);
        Instance { key, address }
    }

    fn due(&mut self, name: &str, mishap: Mishap) -> bool {
        let due = self.mishaps.remove(&(name.to_owned(), mishap));
        self.strays |= due && matches!(mishap, Mishap::StartComesLate | Mishap::StopFails);
        due
    }

    fn begin(&mut self, what: &str) {
        if !self.starting.insert(what.to_owned()) {
            self.faults.push(format!("{what} is started twice at once"));
        }
    }
}

impl Launcher for Engine {
    fn watch(&self, tell: Tell) -> Option<Watch> {
        self.books().tell = Some(tell);
        None
    }

    fn prepare(&self) -> Result<(), LaunchError> {
        Ok(())
    }

    fn survivors(&self) -> Result<Vec<Survivor>, LaunchError> {
        take_time();
        let survivor = |(key, record): (&Arc<str>, &Record)| Survivor {
            order: record.order.clone(),
            key: key.clone(),
            instance: record.runs.then(|| Instance { key: key.clone(), address: record.address }),
        };
        let found = self.books().records.iter().map(survivor).collect();
        take_time();
        Ok(found)
    }

    fn taken_names(&self) -> Result<BTreeSet<String>, LaunchError> {
        take_time();
        let names = self.books().records.values().map(|record| record.order.hostname.to_string()).collect();
        take_time();
        Ok(names)
    }

    fn start(&self, order: &Order) -> Result<Instance, LaunchError> {
        let (name, identity) = (order.hostname.as_str(), format!("ring id {}", order.ring_id));
        self.books().begin(name);
        self.books().begin(&identity);
        take_time();
        let outcome = if self.books().due(name, Mishap::StartFails) {
            Err(LaunchError(format!("told not to start {name}")))
        } else if self.books().due(name, Mishap::StartComesLate) {
            let (engine, order) = (self.clone(), order.clone());
            self.later(move || drop(engine.create(&order, false)));
            Err(LaunchError(format!("gave up on {name}")))
        } else {
            Ok(self.create(order, true))
        };
        take_time();
        self.books().starting.remove(name);
        self.books().starting.remove(&identity);
        let instance = outcome?;
        if self.books().due(name, Mishap::ServesLate) {
            self.books().records.get_mut(&instance.key).unwrap().misses = 2;
        }
        if self.books().due(name, Mishap::NeverServes) {
            self.books().records.get_mut(&instance.key).unwrap().misses = u32::MAX;
        }
        if self.books().due(name, Mishap::EndsAtOnce) {
            let (engine, key) = (self.clone(), instance.key.clone());
            self.books().records.get_mut(&key).unwrap().misses = u32::MAX;
            self.later(move || engine.kill(&key));
        }
        Ok(instance)
    }

    fn stop(&self, key: &str, _grace: Option<Duration>) -> Result<(), LaunchError> {
        take_time();
        let name = self.books().records.get(key).map(|record| record.order.hostname.to_string());
        let Some(name) = name else {
            return Ok(());
        };
        if self.books().due(&name, Mishap::StopFails) {
            return Err(LaunchError(format!("told not to stop {name}")));
        }
        let serves = |it: &ringmaster::fleet::Watched| {
            it.phase == Phase::Serving && it.instance.as_ref().is_some_and(|it| *it.key == *key)
        };
        if self.fleet.watched().iter().any(serves) {
            self.books().faults.push(format!("{name} is stopped while it serves"));
        }
        self.books().records.remove(key);
        self.tell(Notice::Ended(key.into()));
        take_time();
        Ok(())
    }

    fn clean_up(&self) {}
}
