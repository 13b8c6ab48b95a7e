//! The command line.

mod chaos;
mod given;
mod observe;
mod scale;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use lexopt::Arg;

pub use chaos::{Chaos, ReplicaKind};
use given::{Given, unknown};
pub use observe::Observe;
pub use scale::Scale;

/// What `bench --help` prints.
pub const HELP: &str = "\
Measures Ringmaster. Everything runs on 127.0.0.1, on ports that are free, and is ended in the end.

bench compare   throughput, latency and CPU beside HAProxy, nginx and Caddy (those that are installed), by wrk
    --seconds N            of one measurement (5)
    --rounds N             measurements of each kind, of which the median counts (3)
    --connections N,N,..   keep-alive connections for small answers (16,64,256)
    --idle N               idle connections to hold, 0 for none (5000)
    --only KIND,KIND,..    of small, close, large, idle (all)
    --patience SECONDS     most time to wait, in all, for other programs that keep the machine busy (120)
    --json FILE            the results, each measurement too, as JSON
    --markdown FILE        the tables as Markdown
bench observe   what metrics and the access log cost: the same balancer in turns with and without them, by wrk
    --seconds N            of one measurement (5)
    --rounds N             measurements of each variant; fewer than six cannot tell (10)
    --connections N        keep-alive connections (64)
    --patience SECONDS     most time to wait, in all, for other programs that keep the machine busy (120)
    --json FILE            the results, each measurement too, as JSON
    --markdown FILE        the table as Markdown
bench streams   long bodies in both directions, by length and in chunks: each byte counts, memory must not grow
    --gib N                length of each body in GiB, such as 1 or 0.25 (1)
bench soak      half load for a long time, while replicas are killed and clients misbehave
    --minutes N            2 or more (10)
    --slow KIND,KIND,..    slow clients: drip, silent, half-body, deaf, reset; all or none (all)
    --log FILE             the balancer's log
    --url HOST:PORT        a balancer that already runs: nothing is killed, its process is not looked at
bench chaos     random kills, hangs, changes and engine failures under load, then a look at what must hold
    --seconds N            how long things happen (30)
    --seed N               the order in which they do (random; always printed)
    --launcher KIND        what the replicas are: process or docker (process)
    --replicas N           replicas in the beginning, 4 to 50 (6)
    --clients N            keep-alive clients (16)
    --every MS             time between two requests of a client (20)
    --image NAME           docker: image of the replicas (ringmaster-server)
    --log FILE             the balancer's log
bench scale     many replicas and no clients: what watching costs, how heartbeats are spread, how fast half is replaced
    --replicas N           replicas, 10 to 256 (100)
bench backend   the server that compare puts behind the balancers
    --listen ADDR          (127.0.0.1:0)
    --end-with-stdin       end when standard input does

compare, observe, streams, soak, chaos and scale take --ringmaster PATH; otherwise it is the `ringmaster` beside this program.
";

/// Most connections of one measurement: what the other balancers are set up for.
const MOST_CONNECTIONS: usize = 1000;

/// Kinds of load of a comparison: small answers on kept connections, small answers on a connection each, large
/// answers, and small answers beside idle connections.
pub const KINDS: [&str; 4] = ["small", "close", "large", "idle"];

/// What to do.
#[derive(Debug)]
pub enum Job {
    /// Say how this is used.
    Help,
    /// Serve small and large answers.
    Backend(Backend),
    /// Measure beside others.
    Compare(Compare),
    /// Measure what watching costs.
    Observe(Observe),
    /// Send long bodies.
    Streams(Streams),
    /// Run for long.
    Soak(Soak),
    /// Let everything happen.
    Chaos(Chaos),
    /// Have many replicas.
    Scale(Scale),
}

/// Options of `bench backend`.
#[derive(Debug)]
pub struct Backend {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Whether the end of standard input ends it.
    pub ends_with_stdin: bool,
}

/// Options of `bench compare`.
#[derive(Debug)]
pub struct Compare {
    /// The balancer's program.
    pub ringmaster: PathBuf,
    /// Time of one measurement.
    pub time: Duration,
    /// Measurements of each kind.
    pub rounds: usize,
    /// Numbers of keep-alive connections.
    pub connections: Vec<usize>,
    /// The kinds of load that are measured, of [`KINDS`].
    pub only: Vec<String>,
    /// Idle connections to hold.
    pub idle: usize,
    /// Time that may go into waiting for others on this machine.
    pub patience: Duration,
    /// Where the results go as JSON.
    pub json: Option<PathBuf>,
    /// Where the tables go as Markdown.
    pub markdown: Option<PathBuf>,
}

/// Options of `bench streams`.
#[derive(Debug)]
pub struct Streams {
    /// The balancer's program.
    pub ringmaster: PathBuf,
    /// Length of a body.
    pub bytes: u64,
}

/// Options of `bench soak`.
#[derive(Debug)]
pub struct Soak {
    /// The balancer's program.
    pub ringmaster: PathBuf,
    /// How long.
    pub minutes: u64,
    /// A balancer that already runs.
    pub url: Option<String>,
    /// Kinds of slow clients, by name.
    pub slow: String,
    /// Where the balancer's log goes.
    pub log: Option<PathBuf>,
}

/// Reads the command line without the program's name.
///
/// # Errors
/// One line that says what is wrong with it.
pub fn read(args: impl IntoIterator<Item = OsString>) -> Result<Job> {
    let mut given = Given::new(args);
    match given.first()? {
        Some(Arg::Value(word)) => match word.to_str() {
            Some("backend") => backend(&mut given),
            Some("compare") => compare(&mut given),
            Some("observe") => observe::read(&mut given),
            Some("streams") => streams(&mut given),
            Some("soak") => soak(&mut given),
            Some("chaos") => chaos::read(&mut given),
            Some("scale") => scale::read(&mut given),
            Some("help") => Ok(Job::Help),
            _ => bail!("there are compare, observe, streams, soak, chaos, scale and backend; see --help"),
        },
        Some(Arg::Long("help") | Arg::Short('h')) => Ok(Job::Help),
        Some(other) => Err(other.unexpected().into()),
        None => {
            bail!("what is to be done? compare, observe, streams, soak, chaos, scale or backend; see --help")
        }
    }
}

fn backend(given: &mut Given) -> Result<Job> {
    let mut options = Backend { listen: SocketAddr::from(([127, 0, 0, 1], 0)), ends_with_stdin: false };
    while let Some(flag) = given.flag()? {
        match flag.as_str() {
            "listen" => options.listen = given.parsed(&flag)?,
            "end-with-stdin" => options.ends_with_stdin = true,
            "help" => return Ok(Job::Help),
            _ => return unknown(&flag),
        }
    }
    Ok(Job::Backend(options))
}

fn compare(given: &mut Given) -> Result<Job> {
    let mut options = Compare {
        ringmaster: beside_us()?,
        time: Duration::from_secs(5),
        rounds: 3,
        connections: vec![16, 64, 256],
        only: KINDS.map(str::to_owned).to_vec(),
        idle: 5000,
        patience: Duration::from_secs(120),
        json: None,
        markdown: None,
    };
    while let Some(flag) = given.flag()? {
        match flag.as_str() {
            "ringmaster" => options.ringmaster = given.path()?,
            "seconds" => options.time = Duration::from_secs(given.at_least(&flag, 1)?),
            "rounds" => options.rounds = given.at_least(&flag, 1)?,
            "connections" => options.connections = numbers(&given.parsed::<String>(&flag)?)?,
            "idle" => options.idle = given.parsed(&flag)?,
            "only" => options.only = kinds(&given.parsed::<String>(&flag)?)?,
            "patience" => options.patience = Duration::from_secs(given.parsed(&flag)?),
            "json" => options.json = Some(given.path()?),
            "markdown" => options.markdown = Some(given.path()?),
            "help" => return Ok(Job::Help),
            _ => return unknown(&flag),
        }
    }
    Ok(Job::Compare(options))
}

fn streams(given: &mut Given) -> Result<Job> {
    let mut options = Streams { ringmaster: beside_us()?, bytes: 1 << 30 };
    while let Some(flag) = given.flag()? {
        match flag.as_str() {
            "ringmaster" => options.ringmaster = given.path()?,
            "gib" => options.bytes = (given.at_least(&flag, 0.001)? * f64::from(1 << 30)) as u64,
            "help" => return Ok(Job::Help),
            _ => return unknown(&flag),
        }
    }
    Ok(Job::Streams(options))
}

fn soak(given: &mut Given) -> Result<Job> {
    let mut options =
        Soak { ringmaster: beside_us()?, minutes: 10, url: None, slow: "all".to_owned(), log: None };
    while let Some(flag) = given.flag()? {
        match flag.as_str() {
            "ringmaster" => options.ringmaster = given.path()?,
            "minutes" => options.minutes = given.at_least(&flag, 2)?,
            "url" => options.url = Some(given.parsed(&flag)?),
            "slow" => options.slow = given.parsed(&flag)?,
            "log" => options.log = Some(given.path()?),
            "help" => return Ok(Job::Help),
            _ => return unknown(&flag),
        }
    }
    Ok(Job::Soak(options))
}

fn kinds(text: &str) -> Result<Vec<String>> {
    let kinds: Vec<String> = text.split(',').map(|word| word.trim().to_owned()).collect();
    if let Some(unknown) = kinds.iter().find(|kind| !KINDS.contains(&kind.as_str())) {
        bail!("--only {unknown}: there are {}", KINDS.join(", "));
    }
    Ok(kinds)
}

fn numbers(text: &str) -> Result<Vec<usize>> {
    let number =
        |word: &str| word.trim().parse().ok().filter(|number| (1..=MOST_CONNECTIONS).contains(number));
    let numbers: Option<Vec<usize>> = text.split(',').map(number).collect();
    numbers.with_context(|| {
        format!("--connections {text}: must be numbers up to {MOST_CONNECTIONS}, separated by commas")
    })
}

/// The balancer as the same build made it.
fn beside_us() -> Result<PathBuf> {
    Ok(std::env::current_exe().context("find out where this program is")?.with_file_name("ringmaster"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(line: &str) -> Result<Job> {
        read(line.split_whitespace().map(OsString::from))
    }

    #[test]
    fn flags_and_defaults() {
        let Ok(Job::Compare(options)) = job("compare --seconds 2 --connections 8,32 --json a.json") else {
            panic!("not a comparison")
        };
        assert_eq!((options.time, options.rounds), (Duration::from_secs(2), 3));
        assert_eq!(options.connections, [8, 32]);
        assert_eq!(options.only, KINDS);
        assert_eq!(options.json, Some(PathBuf::from("a.json")));
        let Ok(Job::Observe(options)) = job("observe --rounds 2 --connections 16 --markdown b.md") else {
            panic!("no look at what watching costs")
        };
        assert_eq!((options.time, options.rounds), (Duration::from_secs(5), 2));
        assert_eq!((options.connections, options.json), (16, None));
        assert_eq!(options.markdown, Some(PathBuf::from("b.md")));
        let Ok(Job::Streams(options)) = job("streams --gib 0.5 --ringmaster /bin/x") else {
            panic!("no streams")
        };
        assert_eq!((options.bytes, options.ringmaster), (1 << 29, PathBuf::from("/bin/x")));
        let Ok(Job::Chaos(options)) = job("chaos --launcher docker --seed 7") else { panic!("no chaos") };
        assert_eq!((options.launcher, options.seed, options.replicas), (ReplicaKind::Docker, Some(7), 6));
        let Ok(Job::Scale(options)) = job("scale --replicas 12") else { panic!("no scale") };
        assert_eq!(options.replicas, 12);
    }

    #[test]
    fn what_is_refused() {
        for line in [
            "",
            "nonsense",
            "soak --minutes 1",
            "compare --connections 1,x",
            "compare --rounds 0",
            "compare --only x",
            "observe --connections 0",
            "observe --connections 16,64",
            "observe --only json",
            "streams --x",
            "chaos --replicas 3",
            "chaos --launcher static",
            "scale --replicas 9",
        ] {
            assert!(job(line).is_err(), "{line}");
        }
    }
}
