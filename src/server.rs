//! The whole program as a value: everything is wired together here, started in order, and stopped in order.

use std::fs::File;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::access_log::{AccessLog, Writer};
use crate::admin::{self, Admin};
use crate::config::{self, Settings};
use crate::fleet::{Fleet, Phase};
use crate::forward::{Forwarder, Lines, Report};
use crate::front::{self, Counter, Front, Ledger, Side};
use crate::history::History;
use crate::journal::{Journal, Kind};
use crate::launcher::{Docker, Fixed, Launcher, Processes};
use crate::listening::{self, Doors};
use crate::shutdown::Shutdown;
use crate::supervisor::Supervisor;
use crate::watchdog::{Scene, Watchdog};

/// How long requests at an address may take to end when a successor is to take over; new clients wait meanwhile.
const LONGEST_HAND_OVER: Duration = Duration::from_secs(2);

/// Our own program, which also serves as the replica and as the leash; this path leads to it also after the file was
/// replaced.
const OURSELVES: &str = "/proc/self/exe";

/// Time between two looks whether the replicas serve before a predecessor is relieved.
const READY_LOOK: Duration = Duration::from_millis(10);

/// Connections to the admin side when it has an address of its own: some people, their pages and scripts.
const ADMIN_CONNECTIONS: usize = 256;

/// A running balancer.
pub struct Server {
    address: SocketAddr,
    admin_address: SocketAddr,
    fleet: Fleet,
    front: Front,
    /// The admin side's, if it has one of its own.
    admin_front: Option<Front>,
    watchdog: Watchdog,
    supervisor: Supervisor,
    records: Records,
    worn_out: Receiver<()>,
    shutdown: Shutdown,
    drain_timeout: Duration,
}

/// What is written down while it runs.
struct Records {
    journal: Journal,
    history: Option<(History, JoinHandle<()>)>,
    access_log: Option<(AccessLog, Writer)>,
}

/// How a balancer comes to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Origin {
    /// As the only one of its address.
    Alone,
    /// Beside another one, which it is to relieve.
    Beside,
    /// As the successor of one in its own place.
    Anew,
}

impl Server {
    /// Starts a balancer. It listens when this returns; replicas come up meanwhile and join as they do. One that is to
    /// take over listens only when they have.
    ///
    /// # Errors
    /// What could not be started and why. Replicas that this has started are stopped then, as at any end; those of an
    /// earlier run, if there were any, go on running.
    pub fn start(settings: &Settings, launcher: Box<dyn Launcher>) -> Result<Server, String> {
        // First of all the ports: if one is taken, no replica is touched.
        let traffic = open_door(settings.listen, settings)?;
        let admin = settings.admin_listen.map(|listen| open_door(listen, settings)).transpose()?;
        let origin = if settings.take_over { Origin::Beside } else { Origin::Alone };
        Server::start_with(Doors { traffic, admin }, settings, launcher, origin)
    }

    /// Starts a balancer anew on the sockets of its predecessor, which listen already, whatever the settings say about
    /// addresses.
    ///
    /// # Errors
    /// As [`Server::start`]; or the sockets are not those of these settings.
    pub fn start_on(
        doors: Doors,
        settings: &Settings,
        launcher: Box<dyn Launcher>,
    ) -> Result<Server, String> {
        if settings.admin_listen.is_some() != doors.admin.is_some() {
            return Err("the sockets that were handed over are not those of these settings".to_owned());
        }
        Server::start_with(doors, settings, launcher, Origin::Anew)
    }

    fn start_with(
        doors: Doors,
        settings: &Settings,
        launcher: Box<dyn Launcher>,
        origin: Origin,
    ) -> Result<Server, String> {
        // Anew, clients wait already, and nobody else serves them.
        let waits_for_replicas = origin == Origin::Beside;
        let no_address = |error| format!("cannot listen: {error}");
        let address = doors.traffic.local_addr().map_err(no_address)?;
        let admin_door = doors.admin.as_ref().unwrap_or(&doors.traffic);
        let admin_address = admin_door.local_addr().map_err(no_address)?;
        let no_threads = |error| format!("cannot serve on {address}: {error}");

        let shutdown = Shutdown::default();
        let fleet = Fleet::new(settings.ring, settings.policy);
        let journal = Journal::default();
        let supervisor = Supervisor::new(
            fleet.clone(),
            launcher,
            settings.supervisor.clone(),
            journal.clone(),
            shutdown.clone(),
        )
        .map_err(no_threads)?;
        supervisor.open(settings.replicas).map_err(|error| error.to_string())?;
        let lines = Lines::default();
        let is_in_charge = Arc::new(AtomicBool::new(!waits_for_replicas));
        let watched = Scene {
            fleet: fleet.clone(),
            supervisor: supervisor.clone(),
            lines: lines.clone(),
            is_in_charge: is_in_charge.clone(),
            journal: journal.clone(),
        };
        let watchdog = Watchdog::start(watched, settings.watchdog.clone(), shutdown.clone());
        let report = reports(watchdog.as_ref().ok());
        let forwarder = Arc::new(Forwarder::new(fleet.clone(), &settings.forward, lines, report));
        let ready = match waits_for_replicas {
            true => wait_for_replicas(&fleet, Instant::now() + settings.supervisor.start_timeout, &shutdown),
            false => Ok(()),
        };
        let (tell, worn_out) = bounded(1);
        let served = ready.and_then(|()| {
            let records = Records::open(settings, &fleet, journal, &shutdown)?;
            let counter = counter(settings, &supervisor, &fleet, forwarder, &records, &shutdown);
            match open_fronts(doors, &counter, settings, &shutdown, &tell) {
                Ok((front, admin_front)) => Ok((records, front, admin_front)),
                Err(error) => {
                    shutdown.begin();
                    records.close();
                    Err(error)
                }
            }
        });
        match (watchdog, served) {
            (Ok(watchdog), Ok((records, front, admin_front))) => {
                is_in_charge.store(true, Relaxed);
                let drain_timeout = settings.supervisor.drain_timeout;
                let server = Server {
                    address,
                    admin_address,
                    fleet,
                    front,
                    admin_front,
                    watchdog,
                    supervisor,
                    records,
                    worn_out,
                    shutdown,
                    drain_timeout,
                };
                server.announce(settings, origin);
                Ok(server)
            }
            (watchdog, served) => {
                shutdown.begin();
                let why = watchdog.as_ref().err().or(served.as_ref().err()).map(ToString::to_string);
                if let Ok((records, front, admin_front)) = served {
                    front.close(Instant::now());
                    admin_front.into_iter().for_each(|front| front.close(Instant::now()));
                    records.close();
                }
                if let Ok(watchdog) = watchdog {
                    watchdog.stop();
                }
                supervisor.give_up(Instant::now());
                Err(format!("cannot serve on {address}: {}", why.unwrap_or_default()))
            }
        }
    }

    fn announce(&self, settings: &Settings, origin: Origin) {
        let Server { address, admin_address, .. } = self;
        log::info!("listening on {address}");
        let mut text = format!("listening on {address}");
        if address != admin_address {
            log::info!("admin side on {admin_address}");
            text += &format!(", admin side on {admin_address}");
        }
        if settings.rules.token.is_none() && !admin_address.ip().is_loopback() {
            log::warn!(
                "no --admin-token: the admin side on {admin_address} is open to all private addresses, and to nobody else"
            );
        }
        if origin == Origin::Anew {
            let why = "anew in place, after too many connections that could never be let go of: \
                       events, history and counters begin here";
            log::warn!("started {why}");
            text = format!("{text}; {why}");
        }
        self.records.journal.note(Kind::Started, None, text);
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where its admin side is.
    pub fn admin_address(&self) -> SocketAddr {
        self.admin_address
    }

    /// Its replicas, for whoever embeds a balancer and wants to look inside.
    pub fn fleet(&self) -> &Fleet {
        &self.fleet
    }

    /// How many replicas it has, as `/rep` counts them.
    pub fn replicas(&self) -> usize {
        self.fleet.listing().len()
    }

    /// Told when a successor should take over: see [`Front::open`].
    pub fn worn_out(&self) -> &Receiver<()> {
        &self.worn_out
    }

    /// Ends it for a successor: requests under way are answered, new connections wait in the queues of the sockets that
    /// this returns, and replicas that a successor can find go on running.
    ///
    /// # Errors
    /// The sockets cannot be kept; everything has ended all the same.
    pub fn hand_over(self) -> io::Result<Doors> {
        self.shutdown.begin();
        self.records.journal.note(Kind::Stopping, None, "starting anew in place");
        let patience = self.drain_timeout.min(LONGEST_HAND_OVER);
        // The admin side first and on its own time: traffic goes on meanwhile, and waits no longer for it.
        let admin = self.admin_front.map(|front| front.hand_over(Instant::now() + patience)).transpose();
        let deadline = Instant::now() + patience;
        let traffic = self.front.hand_over(deadline);
        self.watchdog.stop();
        self.supervisor.hand_over(deadline);
        self.records.close();
        Ok(Doors { traffic: traffic?, admin: admin? })
    }

    /// Ends it: no new connections, requests under way are answered, then the replicas go.
    pub fn stop(self) {
        log::info!("shutting down");
        self.front.stop_admitting();
        self.shutdown.begin();
        // Tells the streams of events, too, that this is the end.
        self.records.journal.note(Kind::Stopping, None, "shutting down");
        let deadline = Instant::now() + self.drain_timeout;
        self.front.close(deadline);
        // Last, so that one can look on.
        self.admin_front.into_iter().for_each(|front| front.close(deadline));
        self.watchdog.stop();
        self.supervisor.close(deadline);
        self.records.close();
        log::info!("stopped");
    }
}

impl Records {
    fn open(
        settings: &Settings,
        fleet: &Fleet,
        journal: Journal,
        shutdown: &Shutdown,
    ) -> io::Result<Records> {
        let open = |format| AccessLog::open(format, Box::new(standard_output()?));
        let access_log = settings.access_log.map(open).transpose()?;
        let history =
            settings.measures.then(|| History::start(fleet.clone(), shutdown.clone())).transpose()?;
        Ok(Records { journal, history, access_log })
    }

    /// Ends what writes. `shutdown` must have begun.
    fn close(self) {
        if let Some((_, thread)) = self.history
            && thread.join().is_err()
        {
            log::error!("the history's thread had panicked");
        }
        if let Some((_, writer)) = self.access_log {
            writer.close();
        }
    }
}

fn open_door(listen: SocketAddr, settings: &Settings) -> Result<TcpListener, String> {
    listening::open(listen, settings.take_over).map_err(|error| format!("cannot listen on {listen}: {error}"))
}

/// Standard output without std's buffer, which takes what it may not be able to write later.
fn standard_output() -> io::Result<File> {
    Ok(File::from(io::stdout().as_fd().try_clone_to_owned()?))
}

/// Who answers requests, and where that is written down.
fn counter(
    settings: &Settings,
    supervisor: &Supervisor,
    fleet: &Fleet,
    forwarder: Arc<Forwarder>,
    records: &Records,
    shutdown: &Shutdown,
) -> Counter {
    let access_log = records.access_log.as_ref().map(|(log, _)| log.clone());
    let admin = Admin::new(admin::Parts {
        supervisor: supervisor.clone(),
        fleet: fleet.clone(),
        journal: records.journal.clone(),
        history: records.history.as_ref().map(|(history, _)| history.clone()),
        access_log: access_log.clone(),
        rules: settings.rules.clone(),
        settings: settings.in_force(),
        shutdown: shutdown.clone(),
    });
    let (metrics, journal) = (fleet.metrics().clone(), records.journal.clone());
    let ledger = Ledger { metrics, measures: settings.measures, log: access_log, journal };
    Counter { admin, forwarder, ledger }
}

/// Opens the front, and another one for the admin side if that is to have its own.
fn open_fronts(
    doors: Doors,
    counter: &Counter,
    settings: &Settings,
    shutdown: &Shutdown,
    worn_out: &Sender<()>,
) -> io::Result<(Front, Option<Front>)> {
    // First the admin side: whoever waits for the traffic's address to answer finds both.
    let admin_front = doors.admin.map(|door| {
        let max_connections = Some(ADMIN_CONNECTIONS);
        let (side, workers, queue) = (Side::Admin, 1, ADMIN_CONNECTIONS);
        let own = front::Settings { side, workers, queue, max_connections, ..settings.front.clone() };
        Front::open(door, counter.clone(), &own, shutdown.clone(), worn_out.clone())
    });
    let admin_front = admin_front.transpose()?;
    let (shutdown, worn_out) = (shutdown.clone(), worn_out.clone());
    match Front::open(doors.traffic, counter.clone(), &settings.front, shutdown.clone(), worn_out) {
        Ok(front) => Ok((front, admin_front)),
        Err(error) => {
            shutdown.begin();
            admin_front.into_iter().for_each(|front| front.close(Instant::now()));
            Err(error)
        }
    }
}

/// Where the forwarder tells of replicas that it cannot connect to: at the watchdog's, if there is one.
fn reports(watchdog: Option<&Watchdog>) -> Report {
    match watchdog.map(Watchdog::suspect) {
        Some(suspect) => Box::new(suspect),
        None => Box::new(|_| {}),
    }
}

/// Waits until every replica serves, or at the end of the time that they have for starting, until one does.
fn wait_for_replicas(fleet: &Fleet, deadline: Instant, shutdown: &Shutdown) -> io::Result<()> {
    loop {
        let replicas = fleet.watched();
        let serving = replicas.iter().filter(|replica| replica.phase == Phase::Serving).count();
        if serving == replicas.len() || (serving > 0 && Instant::now() >= deadline) {
            return Ok(());
        }
        if Instant::now() >= deadline || shutdown.sleep(READY_LOOK) {
            return Err(io::Error::other("no replica serves, so nobody is relieved"));
        }
    }
}

/// The launcher that the settings ask for.
pub fn launcher(settings: &Settings) -> Box<dyn Launcher> {
    match &settings.launcher {
        config::Launcher::Process => Box::new(Processes::new(PathBuf::from(OURSELVES))),
        config::Launcher::Docker(docker) => Box::new(Docker::new(docker.clone())),
        config::Launcher::Static(backends) => Box::new(Fixed::new(backends.clone())),
    }
}
