//! Settings: from flags and environment to values that everything behind them can rely on.
//!
//! Two levels: `options` knows texts, flags and the help; here texts become checked, typed settings, and past this
//! file nothing can be wrong with them. A bad value is one line that names where it was given, what it was, and what
//! is allowed.

mod administration;
mod in_force;
mod launching;
mod options;
mod routing;

use std::ffi::OsString;
use std::fmt::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use http::uri::PathAndQuery;

use crate::access_log::Format;
use crate::admin::{Rules, Token};
use crate::balance::Policy;
use crate::front::Side;
use crate::launcher::{Backend, DockerSettings};
use crate::ring::Shape;
use crate::supervisor::{OnExit, RespawnName};
use crate::watchdog::{PanicThreshold, Threshold};
use crate::{forward, front, heartbeat, supervisor, watchdog};
use options::{Given, SETTINGS};

/// Most replicas when nobody says otherwise: beyond this one machine is not the right place any more.
const MOST_REPLICAS: usize = 256;

/// How many replicas to start with when nobody says: the contract's number.
const DEFAULT_REPLICAS: usize = 3;

/// What the command line asks for.
#[derive(Debug)]
pub enum Invocation {
    /// The balancer.
    Serve(Box<Settings>),
    /// A picture of a ring in words, without starting anything.
    Ring {
        /// The ring's measures.
        shape: Shape,
        /// How many servers stand on it.
        replicas: u32,
        /// As JSON.
        json: bool,
        /// Where a picture is to be drawn, too.
        svg: Option<PathBuf>,
    },
    /// Whether the balancer at this address has a replica that answers.
    Health(SocketAddr, PathAndQuery),
    /// What a balancer that runs says of itself, once.
    Status {
        /// Where it is asked.
        address: SocketAddr,
        /// The token that it wants.
        token: Option<Token>,
        /// As JSON.
        json: bool,
    },
    /// The same again each second.
    Top {
        /// Where it is asked.
        address: SocketAddr,
        /// The token that it wants.
        token: Option<Token>,
    },
    /// A text for the user: help or version.
    Tell(String),
}

/// Everything the balancer is told.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Whether another balancer that listens there is to be relieved.
    pub take_over: bool,
    /// How many replicas it starts with.
    pub replicas: usize,
    /// The ring they stand on.
    pub ring: Shape,
    /// How one is chosen for a request.
    pub policy: Policy,
    /// How they are started.
    pub launcher: Launcher,
    /// See [`supervisor::Settings`].
    pub supervisor: supervisor::Settings,
    /// See [`watchdog::Settings`].
    pub watchdog: watchdog::Settings,
    /// See [`forward::Settings`].
    pub forward: forward::Settings,
    /// See [`front::Settings`].
    pub front: front::Settings,
    /// Where the admin side is served by itself, if it is.
    pub admin_listen: Option<SocketAddr>,
    /// Who may.
    pub rules: Rules,
    /// What the access log looks like, if there is one.
    pub access_log: Option<Format>,
    /// Whether requests are counted and timed.
    pub measures: bool,
    /// Every setting as the text that was given, or its default; but not the token. See [`Settings::in_force`].
    pub given: Vec<(&'static str, String)>,
    /// What is logged; `None` leaves it to `RUST_LOG`.
    pub log: Option<String>,
}

/// How replicas are started.
#[derive(Clone, Debug)]
pub enum Launcher {
    /// As child processes.
    Process,
    /// As containers.
    Docker(DockerSettings),
    /// Not at all: these run already.
    Static(Vec<Backend>),
}

/// Reads the command line (without the program's name) and the environment.
///
/// # Errors
/// One line that names what is wrong and what is allowed.
pub fn invocation(
    args: impl IntoIterator<Item = OsString>,
    environment: impl Fn(&str) -> Option<String>,
) -> Result<Invocation, String> {
    let mut args: Vec<OsString> = args.into_iter().collect();
    let command = match args.first().and_then(|word| word.to_str()) {
        Some(word) if !word.starts_with('-') => {
            let word = word.to_owned();
            args.remove(0);
            word
        }
        _ => "serve".to_owned(),
    };
    let given = Given::read(args, environment)?;
    if given.help {
        return Ok(Invocation::Tell(help()));
    }
    if given.version {
        return Ok(Invocation::Tell(format!("ringmaster {}\n", env!("CARGO_PKG_VERSION"))));
    }
    match command.as_str() {
        "serve" => Ok(Invocation::Serve(Box::new(settings(&given)?))),
        "ring" => {
            let shape = routing::shape(&given)?;
            // Not of use here, but wrong is wrong.
            routing::policy(&given).and_then(|_| routing::key(&given))?;
            let replicas = match given.is_given("replicas") {
                true => given.number("replicas", 1..=u32::MAX)?,
                false => DEFAULT_REPLICAS.min(routing::room(shape)) as u32,
            };
            Ok(Invocation::Ring { shape, replicas, json: given.json, svg: given.svg })
        }
        "health" => Ok(Invocation::Health(given.address("listen")?, heartbeat_path(&given)?)),
        "status" => {
            let (address, token) = (administration::address(&given)?, administration::token(&given)?);
            Ok(Invocation::Status { address, token, json: given.json })
        }
        "top" if given.json => Err("--json goes with 'ringmaster ring' and 'ringmaster status'".to_owned()),
        "top" => Ok(Invocation::Top {
            address: administration::address(&given)?,
            token: administration::token(&given)?,
        }),
        other => Err(format!(
            "unknown command '{other}': there are serve, replica, ring, health, status and top, see --help"
        )),
    }
}

fn settings(given: &Given) -> Result<Settings, String> {
    if given.json {
        return Err("--json goes with 'ringmaster ring' and 'ringmaster status'".to_owned());
    }
    if given.svg.is_some() {
        return Err("--svg goes with 'ringmaster ring'".to_owned());
    }
    let time = |name, most| given.duration(name, Duration::from_millis(1)..=Duration::from_secs(most));
    let ring = routing::shape(given)?;
    let (policy, key) = (routing::policy(given)?, routing::key(given)?);
    let max_replicas = max_replicas(given, ring)?;
    let admin_listen = administration::listen(given)?;
    let launcher = launching::launcher(given, ring, policy)?;
    // The contract is about replicas of ours.
    let is_contract = !matches!(launcher, Launcher::Static(_));
    let replicas = match (&launcher, given.is_given("replicas")) {
        (Launcher::Static(_), true) => return given.refuse("replicas", "of use with launcher static"),
        (Launcher::Static(backends), _) if backends.len() > max_replicas => {
            return given.refuse("backends", format!("a list of at most {max_replicas}, the most replicas"));
        }
        (Launcher::Static(backends), _) => backends.len(),
        (_, true) => given.number("replicas", 1..=max_replicas)?,
        (_, false) => DEFAULT_REPLICAS.min(max_replicas),
    };
    let heartbeat =
        heartbeat::Settings { timeout: time("heartbeat-timeout", 60)?, path: heartbeat_path(given)? };
    let measures = given.choice("metrics", &[("on", true), ("off", false)])?;
    Ok(Settings {
        listen: given.address("listen")?,
        take_over: given.choice("take-over", &[("no", false), ("yes", true)])?,
        replicas,
        ring,
        policy,
        launcher,
        supervisor: supervisor::Settings {
            min_replicas: given.number("min-replicas", 1..=replicas)?,
            max_replicas,
            start_timeout: time("start-timeout", 600)?,
            heartbeat: heartbeat.clone(),
            drain_timeout: time("drain-timeout", 3600)?,
            respawn_name: given
                .choice("respawn-name", &[("same", RespawnName::Same), ("random", RespawnName::Random)])?,
            on_exit: given.choice("on-exit", &[("remove", OnExit::Remove), ("keep", OnExit::Keep)])?,
        },
        watchdog: watchdog::Settings {
            interval: given
                .duration("heartbeat-interval", Duration::from_millis(10)..=Duration::from_secs(60))?,
            heartbeat,
            threshold: Threshold {
                fall: given.number("fall", 1..=100)?,
                rise: given.number("rise", 1..=100)?,
            },
            panic: PanicThreshold { percent: given.number("panic-threshold", 0..=100)? },
            longest_pause: given
                .duration("longest-pause", Duration::from_secs(1)..=Duration::from_secs(3600))?,
            max_replicas,
        },
        forward: forward::Settings {
            connect_timeout: time("connect-timeout", 60)?,
            request_timeout: time("request-timeout", 3600)?,
            first_byte_timeout: time("first-byte-timeout", 3600)?,
            stall_timeout: time("stall-timeout", 3600)?,
            key,
            max_replicas,
            measures,
        },
        front: front::Settings {
            side: if admin_listen.is_some() { Side::Traffic } else { Side::Both },
            workers: given.number("workers", 1..=1024)?,
            queue: given.number("queue", 1..=1_000_000)?,
            maps_404: given
                .choice("replica-404", &[("auto", is_contract), ("map", true), ("pass", false)])?,
            head_timeout: given
                .duration("head-timeout", Duration::from_millis(100)..=Duration::from_secs(3600))?,
            max_connections: match given.plain("max-connections").as_str() {
                "auto" => None,
                _ => Some(given.number("max-connections", 1..=1_000_000)?),
            },
            idle_timeout: given
                .duration("idle-timeout", Duration::from_secs(1)..=Duration::from_secs(3600))?,
        },
        admin_listen,
        rules: administration::rules(given)?,
        access_log: administration::access_log(given)?,
        measures,
        given: administration::texts(given),
        log: log_filter(given)?,
    })
}

fn max_replicas(given: &Given, ring: Shape) -> Result<usize, String> {
    let room = routing::room(ring);
    match given.plain("max-replicas").as_str() {
        "auto" => Ok(room.min(MOST_REPLICAS)),
        _ => given.number("max-replicas", 1..=room),
    }
}

fn heartbeat_path(given: &Given) -> Result<PathAndQuery, String> {
    let text = given.plain("heartbeat-path");
    match text.parse() {
        Ok(path) if text.starts_with('/') && !text.contains('#') => Ok(path),
        _ => given.refuse("heartbeat-path", "a path like /heartbeat"),
    }
}

/// A level, or levels by module; what the logger would only complain about is refused here.
fn log_filter(given: &Given) -> Result<Option<String>, String> {
    let filter = given.plain("log-level");
    let is_level = |word: &str| word.parse::<log::LevelFilter>().is_ok();
    let is_rule = |rule: &str| is_level(rule.split_once('=').map_or(rule, |(_, level)| level).trim());
    match filter.split(',').all(is_rule) {
        true => Ok(given.is_given("log-level").then_some(filter)),
        false => given.refuse(
            "log-level",
            "off, error, warn, info, debug or trace, or module=level, separated by commas",
        ),
    }
}

fn help() -> String {
    let mut text = String::from(
        "Ringmaster: a consistent-hashing HTTP load balancer that keeps its own replicas alive.\n\n\
         Usage: ringmaster [serve] [SETTINGS]     run the balancer\n       \
         ringmaster ring [SETTINGS] [--json]  show a ring's slots and shares, start nothing\n       \
         \x20               [--svg FILE]         and draw it into a file\n       \
         ringmaster health [--listen ...]  exit 0 if a replica answers through the balancer\n       \
         ringmaster status [--admin-listen ...] [--json]  what a balancer that runs says of itself\n       \
         ringmaster top [--admin-listen ...]  the same again each second\n       \
         ringmaster replica [...]          be a replica; see ringmaster replica --help\n\n\
         Settings, each also from the environment (--listen is RINGMASTER_LISTEN):\n",
    );
    for setting in &SETTINGS {
        let flag = format!("--{} {}", setting.name, setting.value);
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  {flag:<28} {} [{}]", setting.help, setting.default);
    }
    text.push_str("  -h, --help                   this text\n  -V, --version                the version\n");
    text
}

#[cfg(test)]
mod tests;
