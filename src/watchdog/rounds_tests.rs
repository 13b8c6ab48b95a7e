//! What a round costs, by the number of replicas: a measurement, which fails nothing, so it runs only when asked to, and
//! as it is meant only with optimisation:
//!
//! ```sh
//! cargo test --release --lib -- --ignored --nocapture growth
//! ```

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};

use http::uri::PathAndQuery;

use super::*;
use crate::balance::Policy;
use crate::heartbeat::{self, Pulse};
use crate::launcher::{LaunchError, Launcher, Order, Survivor};
use crate::replica::Hostname;
use crate::ring::{RingId, Scheme, Shape};
use crate::shutdown::Shutdown;
use crate::supervisor::{self, OnExit, RespawnName};
use crate::watchdog::pulses::Taken;
use crate::watchdog::{PanicThreshold, Threshold};

const SIZES: [usize; 3] = [10, 100, 1000];

const INTERVAL: Duration = Duration::from_millis(500);

/// Repetitions of which the median is told.
const TIMES: usize = 51;

/// Does nothing, at once.
struct Idle;

impl Launcher for Idle {
    fn prepare(&self) -> Result<(), LaunchError> {
        Ok(())
    }

    fn survivors(&self) -> Result<Vec<Survivor>, LaunchError> {
        Ok(Vec::new())
    }

    fn taken_names(&self) -> Result<BTreeSet<String>, LaunchError> {
        Ok(BTreeSet::new())
    }

    fn start(&self, order: &Order) -> Result<Instance, LaunchError> {
        Err(LaunchError(format!("nothing starts {}", order.hostname)))
    }

    fn stop(&self, _key: &str, _grace: Option<Duration>) -> Result<(), LaunchError> {
        Ok(())
    }

    fn clean_up(&self) {}
}

/// A watchdog of `n` replicas that serve; its questions come out at the other end, and nobody answers them.
fn rounds(n: usize) -> (Rounds, Receiver<Question>) {
    over(fleet(n), n, Idle)
}

/// A watchdog of this fleet, of `n` at most, over this launcher.
pub(in crate::watchdog) fn over(
    fleet: Fleet,
    n: usize,
    launcher: impl Launcher + 'static,
) -> (Rounds, Receiver<Question>) {
    let heartbeat = heartbeat::Settings { timeout: INTERVAL, path: PathAndQuery::from_static("/heartbeat") };
    let supervisor = supervisor::Settings {
        min_replicas: 1,
        max_replicas: n,
        start_timeout: INTERVAL,
        heartbeat: heartbeat.clone(),
        drain_timeout: INTERVAL,
        respawn_name: RespawnName::Same,
        on_exit: OnExit::Remove,
    };
    let shutdown = Shutdown::default();
    let supervisor =
        Supervisor::new(fleet.clone(), Box::new(launcher), supervisor, Journal::default(), shutdown).unwrap();
    let settings = Settings {
        interval: INTERVAL,
        heartbeat,
        threshold: Threshold { fall: 2, rise: 2 },
        panic: PanicThreshold { percent: 50 },
        longest_pause: Duration::from_secs(60),
        max_replicas: n,
    };
    let (pulses, questions) = Pulses::untaken();
    let (events, _) = crossbeam_channel::unbounded();
    let scene = Scene {
        fleet,
        supervisor,
        lines: Lines::default(),
        is_in_charge: Arc::new(AtomicBool::new(true)),
        journal: Journal::default(),
    };
    (Rounds::new(scene, settings, pulses, events), questions)
}

/// All on slots that alternate: to find them would take minutes.
fn fleet(n: usize) -> Fleet {
    let shape = Shape::new(Scheme::Even, (n * 36).min(Shape::MAX_SLOTS), 9).unwrap();
    let fleet = Fleet::new(shape, Policy::Hash);
    for k in 0..n {
        let slots: Vec<usize> = (0..9).map(|j| (j * n + k) * shape.slots() / (9 * n)).collect();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, u16::try_from(k + 1).unwrap()));
        let instance = Instance { key: k.to_string().into(), address };
        let ring_id = RingId(u32::try_from(k + 1).unwrap());
        let id = fleet.restore(Hostname::numbered(k + 1).into(), ring_id, &slots, Some(instance)).unwrap();
        fleet.admit(&[id]);
    }
    fleet
}

/// The median of what `time` tells, over so many calls.
fn median(times: usize, time: impl FnMut(usize) -> Duration) -> Duration {
    let mut times: Vec<Duration> = (0..times).map(time).collect();
    times.sort();
    times[times.len() / 2]
}

fn timed(act: impl FnOnce()) -> Duration {
    let begin = Instant::now();
    act();
    begin.elapsed()
}

/// What becomes of the questions: all who were asked are told to have answered so.
fn answer(rounds: &mut Rounds, questions: &Receiver<Question>, pulse: &Pulse, now: Instant) {
    for Question { id, instance, .. } in questions.try_iter() {
        rounds.weigh(&Taken { id, instance, pulse: pulse.clone() }, now);
    }
}

/// A round in which nobody is due, one in which all are, and the good answers of all.
fn quiet(n: usize) -> [Duration; 3] {
    let (mut rounds, questions) = rounds(n);
    let begin = Instant::now();
    let good = Pulse::Good(Duration::from_millis(1));
    let (mut idle, mut answers) = (Vec::new(), Vec::new());
    let all_due = median(TIMES, |k| {
        // Everybody's next place in the interval is before the end of the next one.
        let now = begin + INTERVAL * 2 * u32::try_from(k).unwrap();
        let time = timed(|| _ = rounds.look(now));
        assert_eq!(questions.len(), n);
        answers.push(timed(|| answer(&mut rounds, &questions, &good, now)));
        idle.push(timed(|| _ = rounds.look(now)));
        assert!(questions.is_empty());
        time
    });
    [median(TIMES, |k| idle[k]), all_due, median(TIMES, |k| answers[k])]
}

/// The news that each second replica has ended.
fn half_end(n: usize) -> Duration {
    median(3, |_| {
        let (mut rounds, _questions) = rounds(n);
        let now = Instant::now();
        rounds.look(now);
        let keys: Vec<String> = (0..n).step_by(2).map(|k| k.to_string()).collect();
        let time = timed(|| keys.iter().for_each(|key| rounds.bury(key, now)));
        let down = rounds.fleet.watched().iter().filter(|replica| replica.phase == Phase::Down).count();
        assert_eq!(down, n.div_ceil(2));
        time
    })
}

/// The second missed heartbeat of all, which makes a panic.
fn all_hang(n: usize) -> Duration {
    let missed = Pulse::Missed(heartbeat::Miss { why: "silence".to_owned(), accepts: true });
    median(3, |_| {
        let (mut rounds, questions) = rounds(n);
        let now = Instant::now();
        rounds.look(now);
        answer(&mut rounds, &questions, &missed, now);
        rounds.look(now + INTERVAL);
        let time = timed(|| answer(&mut rounds, &questions, &missed, now + INTERVAL));
        assert!(rounds.in_panic);
        time
    })
}

#[test]
#[ignore = "a measurement"]
fn growth_of_a_round() {
    println!("\nmicroseconds, medians; replicas: {SIZES:?}");
    let print = |what: &str, times: [Duration; 3]| {
        let cells = times.map(|time| format!("{:>12.1}", time.as_secs_f64() * 1e6));
        println!("{what:<34}{}", cells.concat());
    };
    let quiet = SIZES.map(quiet);
    for (at, what) in
        ["a round, nobody is due", "a round, all are due", "good answers of all"].iter().enumerate()
    {
        print(what, quiet.map(|times| times[at]));
    }
    print("half have ended", SIZES.map(half_end));
    print("all miss their second heartbeat", SIZES.map(all_hang));
}
