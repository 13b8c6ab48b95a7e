//! A replica dies under load, and comes back.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use crate::admin::{Replica, Status};
use crate::balancer::Balancer;
use crate::experiment::Lab;
use crate::interrupt;
use crate::load::{self, Amount, Latency, Plan, Run, Wrong};
use crate::options::Options;
use crate::process::{Process, kill_at_once};

/// Load before the death, and behind the recovery.
const BEFORE: Duration = Duration::from_millis(1000);
const BEHIND: Duration = Duration::from_millis(1500);

/// How long the recovery may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long to watch where the balancer does not say how its replicas are.
const BLIND: Duration = Duration::from_secs(8);

/// Time between two looks at the status.
const LOOK: Duration = Duration::from_millis(1);

/// How a replica can be killed.
pub enum Means<'a> {
    /// It is a process, a child of the balancer.
    Signal(&'a Process),
    /// A command that is given its name.
    Command(&'a str),
}

/// What happened. Times are seconds since the load began.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Crash {
    /// Who was killed.
    pub replica: String,
    /// How.
    pub means: String,
    /// When the signal was sent, or the command started.
    pub death_s: f64,
    /// When the status no longer called that instance serving.
    pub detected_s: Option<f64>,
    /// When the status named another instance.
    pub relaunched_s: Option<f64>,
    /// When the first answer came to a request that the killed one cannot have seen.
    pub first_answer_s: Option<f64>,
    /// Time between two looks at the status, on average.
    pub poll_ms: f64,
    /// How long the load lasted.
    pub seconds: f64,
    /// All answers.
    pub answers: usize,
    /// How many of each status; 0 is no answer.
    pub statuses: BTreeMap<u16, u64>,
    /// Of all answers.
    pub latency: Latency,
    /// Answers that were not as the contract has them.
    pub wrong: Wrong,
}

impl Means<'_> {
    /// What there is; `None` for replicas that are out of reach.
    pub fn of<'a>(balancer: &'a Balancer, options: &'a Options) -> Option<Means<'a>> {
        let signal = balancer.process.as_ref().map(Means::Signal);
        signal.or_else(|| options.kill_command.as_deref().map(Means::Command))
    }

    fn describe(&self) -> String {
        match self {
            Means::Signal(_) => "SIGKILL".to_owned(),
            Means::Command(command) => format!("`{command}`"),
        }
    }

    /// Kills; returns when that began and when it was done.
    fn kill(&self, name: &str) -> Result<(Instant, Instant)> {
        match self {
            Means::Signal(process) => {
                let pid = process.replica(name)?;
                let begin = Instant::now();
                kill_at_once(pid)?;
                Ok((begin, Instant::now()))
            }
            Means::Command(command) => {
                // The name is a word of its own, whatever is in it.
                let script = format!("{command} \"$1\"");
                let mut shell = Command::new("sh");
                shell.args(["-c", &script, "sh", name]).stdin(Stdio::null()).stdout(Stdio::null());
                let begin = Instant::now();
                let status = shell.status().context("start sh")?;
                if status.success() {
                    Ok((begin, Instant::now()))
                } else {
                    bail!("{command} {name}: {status}")
                }
            }
        }
    }
}

/// Kills a replica that the seed chooses, under load.
///
/// # Errors
/// It cannot be killed, the load not be sent, or we are interrupted.
pub fn run(lab: &Lab, balancer: &Balancer, means: &Means) -> Result<(Crash, Run)> {
    let names = balancer.admin.names()?;
    let victim = fastrand::Rng::with_seed(lab.options.seed).choice(&names).context("there is no replica")?;
    let stop = AtomicBool::new(false);
    let plan = Plan { amount: Amount::Until(&stop), ..lab.plan(&balancer.target, "a3, crash") };
    let (watched, run) = thread::scope(|scope| {
        let load = scope.spawn(|| load::run(&plan));
        let watched = kill_and_watch(balancer, means, victim, plan.start, &|| load.is_finished());
        stop.store(true, Relaxed);
        (watched, load.join())
    });
    let Ok(run) = run else { bail!("the load ended in a panic") };
    let (run, seen) = (run?, watched?);
    let mut listed = names.clone();
    listed.extend(seen.names.iter().cloned());
    let crash = sum_up(victim, means.describe(), &seen, &run, &listed);
    Ok((crash, run))
}

/// What the status told, and when. Times count from the beginning of the load.
#[derive(Debug, Default)]
struct Seen {
    /// When the kill began, and when it was done.
    death: (Duration, Duration),
    detected: Option<Duration>,
    relaunched: Option<Duration>,
    /// What it is called in its new life, which may be the old name.
    new_name: Option<String>,
    /// Whether the replica served again before our patience ended, as far as one can tell.
    is_well: bool,
    looks: u32,
    watched_for: Duration,
    /// All names that there ever were: a replica may come back under another one.
    names: Vec<String>,
}

/// Looks at the status from before the death on, so that no time is lost when it comes.
fn kill_and_watch(
    balancer: &Balancer,
    means: &Means,
    victim: &str,
    start: Instant,
    load_is_over: &dyn Fn() -> bool,
) -> Result<Seen> {
    let before = balancer.admin.status();
    let old = before.as_ref().and_then(|status| status.replicas.iter().find(|it| it.name == victim));
    let mut seen = Seen::default();
    let has_failed = AtomicBool::new(false);
    let killed = thread::scope(|scope| {
        let killer = scope.spawn(|| {
            interrupt::sleep_until(start + BEFORE);
            let killed = interrupt::check().and_then(|()| means.kill(victim));
            has_failed.store(killed.is_err(), Relaxed);
            killed
        });
        if let Some(old) = old {
            watch(balancer, old, start, &mut seen, &|| load_is_over() || has_failed.load(Relaxed));
        }
        killer.join()
    });
    let Ok(killed) = killed else { bail!("the kill ended in a panic") };
    let (begin, done) = killed?;
    seen.death = (begin.duration_since(start), done.duration_since(start));
    if old.is_none() {
        interrupt::sleep_until(done + BLIND);
        seen.is_well = true;
    }
    interrupt::sleep_until(Instant::now() + BEHIND);
    Ok(seen)
}

/// Looks at the status until the replica serves in a new instance.
fn watch(balancer: &Balancer, old: &Replica, start: Instant, seen: &mut Seen, is_over: &dyn Fn() -> bool) {
    let begin = Instant::now();
    let mut watch = balancer.admin.watch();
    while begin.elapsed() < PATIENCE && !seen.is_well && !is_over() && !interrupt::is_asked() {
        if let Some(status) = watch.status() {
            seen.look(&status, old, start.elapsed());
        }
        thread::sleep(LOOK);
    }
    seen.watched_for = begin.elapsed();
}

impl Seen {
    /// The replica is known by its number on the ring, which it keeps whatever its name becomes.
    fn look(&mut self, status: &Status, old: &Replica, at: Duration) {
        self.looks += 1;
        let now = status.replicas.iter().find(|replica| replica.ring_id == old.ring_id);
        let is_new = now.is_some_and(|now| now.instance.is_some() && now.instance != old.instance);
        let is_serving = now.is_some_and(Replica::is_serving);
        if is_new || !is_serving {
            self.detected.get_or_insert(at);
        }
        if let Some(now) = now.filter(|_| is_new) {
            self.relaunched.get_or_insert(at);
            self.new_name = Some(now.name.clone());
        }
        self.is_well = is_new && is_serving;
        for replica in &status.replicas {
            if !self.names.contains(&replica.name) {
                self.names.push(replica.name.clone());
            }
        }
    }
}

fn sum_up(victim: &str, means: String, seen: &Seen, run: &Run, listed: &[String]) -> Crash {
    let mut wrong = run.wrong(listed);
    if !seen.is_well {
        wrong.push(format!("{victim} did not serve again within {} s", PATIENCE.as_secs()));
    }
    let mut statuses = BTreeMap::new();
    for sample in &run.samples {
        *statuses.entry(sample.status).or_default() += 1;
    }
    // What was seen before the kill began was something else.
    let after = |seen_at: Option<Duration>| seen_at.filter(|at| *at >= seen.death.0);
    let (detected, relaunched) = (after(seen.detected), after(seen.relaunched));
    // Whichever is sooner: a command may take long to return.
    let surely_dead = detected.map_or(seen.death.1, |detected| detected.min(seen.death.1));
    let new_name = seen.new_name.as_deref().unwrap_or(victim);
    let end = run.samples.last().map_or(Duration::ZERO, |sample| sample.done);
    Crash {
        replica: victim.to_owned(),
        means,
        death_s: seen.death.0.as_secs_f64(),
        detected_s: detected.map(|at| at.as_secs_f64()),
        relaunched_s: relaunched.map(|at| at.as_secs_f64()),
        first_answer_s: first_answer(run, new_name, surely_dead).map(|at| at.as_secs_f64()),
        poll_ms: seen.watched_for.as_secs_f64() * 1000.0 / f64::from(seen.looks.max(1)),
        seconds: end.as_secs_f64(),
        answers: run.samples.len(),
        statuses,
        latency: run.latency(),
        wrong,
    }
}

/// The first answer of that name to a request that was sent after the death: the dead do not answer those.
fn first_answer(run: &Run, name: &str, death: Duration) -> Option<Duration> {
    let place = run.names.iter().position(|it| it == name)?;
    let of_new_life = |sample: &&load::Sample| sample.replica == Some(place) && sample.sent > death;
    run.samples.iter().find(of_new_life).map(|sample| sample.done)
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::load::Sample;

    /// A crash that was not detected and healed after a quarter of a second.
    pub fn crash() -> Crash {
        Crash {
            replica: "server_2".to_owned(),
            means: "SIGKILL".to_owned(),
            death_s: 1.0,
            detected_s: None,
            relaunched_s: Some(1.2),
            first_answer_s: Some(1.25),
            poll_ms: 2.5,
            seconds: 3.0,
            answers: 3,
            statuses: BTreeMap::from([(200, 3)]),
            latency: Latency { p50_ms: 1.0, p99_ms: 2.0, max_ms: 3.0 },
            wrong: Wrong::default(),
        }
    }

    /// Answers as (sent, done, who) in milliseconds.
    pub fn run(samples: &[(u64, u64, usize)]) -> Run {
        let sample = |&(sent, done, who): &(u64, u64, usize)| {
            let (sent, done) = (Duration::from_millis(sent), Duration::from_millis(done));
            Sample { due: sent, sent, done, status: 200, replica: Some(who) }
        };
        let names = vec!["server_1".to_owned(), "server_2".to_owned()];
        Run { samples: samples.iter().map(sample).collect(), names, ..Run::default() }
    }

    #[test]
    fn an_answer_that_was_under_way_is_none_of_the_new_life() {
        let run = run(&[(900, 950, 1), (990, 1010, 1), (1005, 1020, 0), (1100, 1250, 1), (1200, 1300, 1)]);
        let first = first_answer(&run, "server_2", Duration::from_millis(1000));
        assert_eq!(first, Some(Duration::from_millis(1250)));
        assert_eq!(first_answer(&run, "server_9", Duration::ZERO), None);
    }

    #[test]
    fn detection_and_relaunch_are_each_the_first_sight_of_it() {
        let replica = |name: &str, state: &str, instance: Option<&str>| Replica {
            name: name.to_owned(),
            ring_id: 2,
            state: state.to_owned(),
            instance: instance.map(str::to_owned),
            weight: 1,
            slots: Vec::new(),
        };
        let old = replica("a", "serving", Some("1"));
        let mut seen = Seen::default();
        for (ms, replica) in [
            (1, old.clone()),
            (2, replica("a", "failed", Some("1"))),
            (3, replica("a", "failed", None)),
            (4, replica("b", "failed", Some("2"))),
            (5, replica("b", "serving", Some("2"))),
        ] {
            assert!(!seen.is_well);
            let status = Status { scheme: None, policy: None, slots: 1, replicas: vec![replica] };
            seen.look(&status, &old, Duration::from_millis(ms));
        }
        let ms = |at: Option<Duration>| at.map(|at| at.as_millis());
        assert_eq!((ms(seen.detected), ms(seen.relaunched), seen.is_well), (Some(2), Some(4), true));
        assert_eq!((seen.names, seen.new_name.as_deref()), (vec!["a".to_owned(), "b".to_owned()], Some("b")));
    }

    #[test]
    fn who_never_comes_back_is_wrong() {
        let seen = Seen::default();
        let listed = ["server_1".to_owned(), "server_2".to_owned()];
        let crash = sum_up("server_2", "x".to_owned(), &seen, &run(&[(0, 1, 0)]), &listed);
        assert_eq!((crash.wrong.count, crash.statuses[&200]), (1, 1));
    }
}
