//! Hours of an ordinary life in minutes: half load, replicas that die or hang, clients that misbehave, changes of the
//! fleet. No client that behaves may notice, and the balancer must not grow.

mod faults;
mod slow;
mod verdict;

use std::fs;
use std::net::{SocketAddr, ToSocketAddrs};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::client::Client;
use crate::interrupt;
use crate::options;
use crate::paced::{Clients, Counts, OnSilence};
use crate::process::{Folder, Process, free_address, ringmaster};
use crate::vitals::{self, Vitals};
use faults::Faults;
use slow::{Kind, SlowClients};
use verdict::Verdict;

/// Clients that behave.
const CLIENTS: usize = 32;

/// How long full throughput is measured.
const FULL_TIME: Duration = Duration::from_secs(5);

/// Time between two faults.
const FAULT_EVERY: Duration = Duration::from_secs(10);

/// How long after a fault the fleet is changed: nothing is down then.
const CHANGE_AFTER: Duration = Duration::from_secs(5);

/// How long a replica that was added stays.
const ADDED_FOR: Duration = Duration::from_secs(2);

/// Rounds from one change of the fleet to the next.
const CHANGE_EVERY: u64 = 3;

/// How long the balancer may settle, without faults and slow clients, before it is looked at: the threads of its
/// listener end some seconds after they were last needed.
const SETTLE: Duration = Duration::from_secs(10);

/// How often it is looked at then, of which the median counts, and the time between.
const LOOKS: usize = 9;
const LOOK: Duration = Duration::from_millis(300);

/// How long a client of ours may say nothing: less than a slow client lives, so that some are ended.
const IDLE_TIMEOUT: &str = "20s";

const MINUTE: Duration = Duration::from_secs(60);

/// The balancer: one of our own, or one that already runs and of which only the address is known.
struct Balancer {
    address: SocketAddr,
    own: Option<Process>,
    /// Where its log is.
    _folder: Folder,
}

/// Runs for the time asked for; true when nothing went wrong and nothing grew.
///
/// # Errors
/// The balancer does not start or does not answer, or we are interrupted.
pub fn run(options: &options::Soak) -> Result<bool> {
    let kinds = Kind::parse(&options.slow).map_err(anyhow::Error::msg)?;
    let balancer = Balancer::start(options)?;
    let full = full_throughput(balancer.address)?;
    let half = full / 2.0;
    println!(
        "full load: {full:.0} answers/s by {CLIENTS} clients; now {half:.0}/s for {} minutes",
        options.minutes
    );
    let interval = Duration::from_secs_f64(CLIENTS as f64 / half);
    let clients = Clients::start(balancer.address, CLIENTS, Some(interval), OnSilence::Lose);
    let mut faults = Faults::new(balancer.id());
    let mut slow_totals = slow::Counts::default();
    let mut run = Run {
        balancer: &balancer,
        clients: &clients,
        faults: &mut faults,
        kinds: &kinds,
        slow: &mut slow_totals,
    };
    run.live_for(MINUTE, 1)?;
    let at_first = run.look()?;
    for minute in 2..=options.minutes {
        run.live_for(MINUTE, minute)?;
    }
    let in_the_end = run.look()?;
    let counts = clients.stop();
    println!("faults: {faults}; slow clients: {slow_totals}");
    let verdict = Verdict { counts, changes_refused: faults.changes_refused, at_first, in_the_end };
    print!("{verdict}");
    if let Some((path, process)) = options.log.as_ref().zip(balancer.own.as_ref()) {
        fs::write(path, process.output()).with_context(|| format!("write {}", path.display()))?;
    }
    Ok(verdict.is_good())
}

fn full_throughput(address: SocketAddr) -> Result<f64> {
    let begin = Instant::now();
    let clients = Clients::start(address, CLIENTS, None, OnSilence::Lose);
    interrupt::pause(FULL_TIME)?;
    let Counts { answers, wrong, failures, .. } = clients.stop();
    ensure!(wrong == 0 && answers > 0, "of {answers} answers at full load {wrong} were wrong: {failures:?}");
    Ok(answers as f64 / begin.elapsed().as_secs_f64())
}

impl Balancer {
    fn start(options: &options::Soak) -> Result<Balancer> {
        let folder = Folder::new()?;
        if let Some(url) = &options.url {
            let host = url.trim_start_matches("http://").trim_end_matches('/');
            let found = host.to_socket_addrs().with_context(|| format!("--url {url}: no HOST:PORT"))?.next();
            let address = found.with_context(|| format!("--url {url}: there is no such host"))?;
            return Ok(Balancer { address, own: None, _folder: folder });
        }
        let address = free_address()?;
        let listen = address.to_string();
        let args =
            ["--launcher", "process", "--replicas", "3", "--listen", &listen, "--idle-timeout", IDLE_TIMEOUT];
        let process = Process::start("ringmaster", ringmaster(&options.ringmaster, args)?, &folder)?;
        process.wait_until_serving(address, "/home")?;
        Ok(Balancer { address, own: Some(process), _folder: folder })
    }

    fn id(&self) -> Option<u32> {
        self.own.as_ref().map(Process::id)
    }

    fn vitals(&self) -> Result<Option<Vitals>> {
        self.id().map(vitals::vitals).transpose()
    }

    /// One request of the admin API; what was wrong with the answer otherwise.
    fn change(&self, method: &str, path: &str, body: &str) -> Result<(), String> {
        let answer = Client::connect(self.address).and_then(|mut client| client.request(method, path, body));
        match answer {
            Ok(answer) if answer.status == 200 => Ok(()),
            Ok(answer) => {
                Err(format!("{path} {body}: {} {}", answer.status, String::from_utf8_lossy(&answer.body)))
            }
            Err(error) => Err(format!("{path} {body}: {error}")),
        }
    }
}

/// Everything that goes on.
struct Run<'a> {
    balancer: &'a Balancer,
    clients: &'a Clients,
    faults: &'a mut Faults,
    kinds: &'a [Kind],
    slow: &'a mut slow::Counts,
}

impl Run<'_> {
    /// Faults, slow clients and changes for so long, and a line about it.
    fn live_for(&mut self, time: Duration, minute: u64) -> Result<()> {
        let before = self.clients.counts();
        let begin = Instant::now();
        let slow = SlowClients::start(self.balancer.address, self.kinds);
        while begin.elapsed() + FAULT_EVERY <= time {
            let round_ends = Instant::now() + FAULT_EVERY;
            self.faults.one();
            interrupt::pause(CHANGE_AFTER)?;
            if self.faults.rounds % CHANGE_EVERY == 1 {
                self.change_the_fleet()?;
            }
            interrupt::pause(round_ends.saturating_duration_since(Instant::now()))?;
            if let Some(process) = &self.balancer.own {
                ensure!(process.ended().is_none(), "{:#}", process.failure("ended"));
            }
        }
        let vitals = self.balancer.vitals()?;
        self.slow.add(&slow.stop());
        let now = self.clients.counts();
        let rate = (now.answers - before.answers) as f64 / begin.elapsed().as_secs_f64();
        let vitals = vitals.map_or(String::new(), |vitals| format!("; {}", verdict::in_words(vitals)));
        let (slow, slowest) = (now.slow - before.slow, now.slowest.as_secs_f64());
        println!(
            "minute {minute}: {rate:.0} answers/s, {} in all, {} wrong, {slow} over 2 s, slowest so far {slowest:.2} \
             s{vitals}",
            now.answers, now.wrong
        );
        Ok(())
    }

    fn change_the_fleet(&mut self) -> Result<()> {
        let added = self.balancer.change("POST", "/add", r#"{"n":1,"hostnames":["soak"]}"#);
        interrupt::pause(ADDED_FOR)?;
        let removed = match added {
            Ok(()) => self.balancer.change("DELETE", "/rm", r#"{"n":1,"hostnames":["soak"]}"#),
            Err(_) => Ok(()),
        };
        self.faults.count_change(added.and(removed));
        Ok(())
    }

    /// How the balancer is when it has settled; the paced clients go on.
    fn look(&self) -> Result<Option<Vitals>> {
        interrupt::pause(SETTLE)?;
        let mut looks = Vec::new();
        for _ in 0..LOOKS {
            looks.extend(self.balancer.vitals()?);
            interrupt::pause(LOOK)?;
        }
        let middle = |figure: fn(&Vitals) -> u64| {
            let mut figures: Vec<u64> = looks.iter().map(figure).collect();
            figures.sort_unstable();
            figures.get(figures.len() / 2).copied()
        };
        let (Some(threads), Some(descriptors), Some(resident)) =
            (middle(|it| it.threads), middle(|it| it.descriptors), middle(|it| it.resident))
        else {
            return Ok(None);
        };
        Ok(Some(Vitals { threads, descriptors, resident }))
    }
}
