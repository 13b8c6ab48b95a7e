//! The settings as a person writes them: one table that the command line, the environment, the help text and the
//! defaults all come from, and the readers that turn texts into values.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fmt::Display;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

/// One setting: `--name VALUE`, or `RINGMASTER_NAME` in the environment.
pub(super) struct Setting {
    pub(super) name: &'static str,
    pub(super) value: &'static str,
    pub(super) default: &'static str,
    pub(super) help: &'static str,
}

const fn setting(
    name: &'static str,
    value: &'static str,
    default: &'static str,
    help: &'static str,
) -> Setting {
    Setting { name, value, default, help }
}

/// All settings, in the order in which `--help` shows them.
pub(super) const SETTINGS: [Setting; 49] = [
    setting("listen", "ADDR:PORT", "127.0.0.1:5000", "where the balancer listens"),
    setting(
        "take-over",
        "KIND",
        "no",
        "yes: listen beside a balancer that runs, which is then to be stopped",
    ),
    setting("replicas", "N", "3", "how many replicas to start with"),
    setting("launcher", "KIND", "process", "process (children), docker (containers) or static (run already)"),
    setting("backends", "HOST:PORT,…", "", "static: the servers"),
    setting("image", "NAME", "ringmaster-server", "docker: image of the replicas"),
    setting("network", "NAME", "net1", "docker: network of the replicas, made if it is missing"),
    setting("fleet", "NAME", "ringmaster", "docker: label that tells our containers from all others"),
    setting("replica-memory", "SIZE", "64m", "docker: most memory of one replica"),
    setting("replica-pids", "N", "512", "docker: most threads of one replica"),
    setting("workers", "N", "32", "threads that carry requests: so many are under way at once"),
    setting("queue", "N", "1024", "requests that may wait for a worker; over it, 503"),
    setting(
        "policy",
        "NAME",
        "hash",
        "hash, hash-bounded, round-robin, least-connections, two-choices, random",
    ),
    setting("key", "KEY,…", "request-id", "hashed: path, uri, query:X, header:X, cookie:X, client-ip"),
    setting("bound", "FACTOR", "1.25", "hash-bounded: most in flight on a replica, times the mean"),
    setting("trusted-proxies", "NET,…", "", "client-ip: proxies whose X-Forwarded-For is believed"),
    setting("scheme", "NAME", "even", "ring: even, statement (of the course), ketama, maglev or rendezvous"),
    setting("probing", "KIND", "linear", "ring: linear or quadratic, for scheme statement"),
    setting("slots", "N", "auto", "ring: number of slots; auto: 512, maglev 65537"),
    setting("virtual-servers", "N", "auto", "ring: slots or points of each replica; auto: 9, ketama 160"),
    setting("heartbeat-interval", "TIME", "500ms", "time between two heartbeats to a replica"),
    setting("heartbeat-path", "PATH", "/heartbeat", "what a heartbeat asks a replica for"),
    setting("heartbeat-timeout", "TIME", "500ms", "how long a replica may take to answer one"),
    setting("fall", "N", "2", "missed heartbeats in a row until a replica has failed"),
    setting("rise", "N", "2", "good heartbeats in a row until one that returns is well again"),
    setting(
        "panic-threshold",
        "PERCENT",
        "50",
        "more failing together than this stay in the ring; 100: none",
    ),
    setting("longest-pause", "TIME", "60s", "longest pause between launches in a crash loop"),
    setting("min-replicas", "N", "1", "fewest replicas that /rm may leave"),
    setting("max-replicas", "N", "auto", "most replicas; auto: as many as the ring holds, at most 256"),
    setting("respawn-name", "KIND", "same", "name of a relaunched replica: same or random"),
    setting("replica-404", "KIND", "auto", "a replica's 404: map (to the contract's 400), pass, or auto"),
    setting("start-timeout", "TIME", "10s", "how long a launched replica may take until it serves"),
    setting("drain-timeout", "TIME", "10s", "how long a leaving replica may take to finish requests"),
    setting("connect-timeout", "TIME", "300ms", "how long connecting to a replica may take"),
    setting("request-timeout", "TIME", "30s", "how long until an answer begins, with all retries"),
    setting("first-byte-timeout", "TIME", "30s", "how long one replica may take to begin its answer"),
    setting("stall-timeout", "TIME", "30s", "how long a replica may stall in a request or an answer"),
    setting("max-connections", "N", "auto", "connections of clients; auto: as many as descriptors allow"),
    setting("head-timeout", "TIME", "10s", "how long the head of a request may take to come"),
    setting("idle-timeout", "TIME", "60s", "how long a client may say nothing, or not read"),
    setting("on-exit", "KIND", "remove", "docker: remove the containers in the end, or keep them"),
    setting("admin-listen", "ADDR:PORT", "", "an address for the admin side alone; else with the traffic"),
    setting("admin-token", "TOKEN", "", "what admin requests must bring; else only who is near may"),
    setting("admin-token-file", "FILE", "", "the same from a file, where no list of processes shows it"),
    setting("admin-hosts", "NAME,…", "", "names of the admin side; else only addresses and localhost"),
    setting(
        "change-rate",
        "N",
        "10",
        "most changes of the fleet in a second, after a burst of ten times that",
    ),
    setting("access-log", "KIND", "off", "a line for each request, on stdout: off, combined or json"),
    setting("metrics", "KIND", "on", "on, or off: requests are not counted and timed"),
    setting("log-level", "FILTER", "info", "what is logged: error, warn, info, debug, or module=level,…"),
];

/// The name of a setting in the environment.
pub(super) fn variable(name: &str) -> String {
    format!("RINGMASTER_{}", name.to_ascii_uppercase().replace('-', "_"))
}

/// What was given, as texts: flags first, then the environment, then the defaults.
pub(super) struct Given {
    values: HashMap<&'static str, (String, String)>,
    /// Whether `--json` was given.
    pub(super) json: bool,
    /// The file of `--svg`.
    pub(super) svg: Option<PathBuf>,
    /// Whether `--help` was given.
    pub(super) help: bool,
    /// Whether `--version` was given.
    pub(super) version: bool,
}

impl Given {
    /// Splits a command line whose first words were taken off.
    ///
    /// # Errors
    /// One line that names the word that is not understood.
    pub(super) fn read(
        args: impl IntoIterator<Item = OsString>,
        environment: impl Fn(&str) -> Option<String>,
    ) -> Result<Given, String> {
        let mut given = Given { values: HashMap::new(), json: false, svg: None, help: false, version: false };
        for setting in &SETTINGS {
            let variable = variable(setting.name);
            // An empty variable is none, but for the token: a start that was to have one must not go without.
            let counts = |text: &String| !text.is_empty() || setting.name.starts_with("admin-token");
            if let Some(text) = environment(&variable).filter(counts) {
                given.values.insert(setting.name, (variable, text));
            }
        }
        let mut parser = lexopt::Parser::from_args(args);
        while let Some(arg) = parser.next().map_err(|error| error.to_string())? {
            let name = match arg {
                lexopt::Arg::Long("help") | lexopt::Arg::Short('h') => {
                    given.help = true;
                    continue;
                }
                lexopt::Arg::Long("version") | lexopt::Arg::Short('V') => {
                    given.version = true;
                    continue;
                }
                lexopt::Arg::Long("json") => {
                    given.json = true;
                    continue;
                }
                lexopt::Arg::Long("svg") => {
                    let value = parser.value().map_err(|_| "--svg needs a value".to_owned())?;
                    given.svg = Some(file_name(value)?);
                    continue;
                }
                lexopt::Arg::Long(name) => SETTINGS
                    .iter()
                    .map(|setting| setting.name)
                    .find(|known| *known == name)
                    .ok_or_else(|| format!("unknown flag '--{name}', see --help"))?,
                lexopt::Arg::Short(letter) => return Err(format!("unknown flag '-{letter}', see --help")),
                lexopt::Arg::Value(word) => {
                    return Err(format!("unexpected '{}', see --help", word.to_string_lossy()));
                }
            };
            let value = parser.value().map_err(|_| format!("--{name} needs a value"))?;
            let text = value.to_string_lossy().into_owned();
            given.values.insert(name, (format!("--{name}"), text));
        }
        Ok(given)
    }

    /// The text of a setting and where it comes from.
    fn text(&self, name: &'static str) -> (String, &str) {
        match self.values.get(name) {
            Some((source, text)) => (source.clone(), text),
            None => {
                let default = SETTINGS.iter().find(|setting| setting.name == name);
                (format!("--{name}"), default.map_or("", |setting| setting.default))
            }
        }
    }

    /// Whether the setting was given rather than left at its default.
    pub(super) fn is_given(&self, name: &'static str) -> bool {
        self.values.contains_key(name)
    }

    /// Where a setting was given: its flag or its variable.
    pub(super) fn source(&self, name: &'static str) -> String {
        self.text(name).0
    }

    /// An error about the value of a setting.
    pub(super) fn refuse<T>(&self, name: &'static str, allowed: impl Display) -> Result<T, String> {
        let (source, text) = self.text(name);
        Err(format!("{source}: '{}' is not {allowed}", text.escape_debug()))
    }

    pub(super) fn number<T>(&self, name: &'static str, allowed: RangeInclusive<T>) -> Result<T, String>
    where
        T: FromStr + PartialOrd + Display,
    {
        match self.text(name).1.parse().ok().filter(|number| allowed.contains(number)) {
            Some(number) => Ok(number),
            None => self.refuse(name, format!("a number from {} to {}", allowed.start(), allowed.end())),
        }
    }

    pub(super) fn duration(
        &self,
        name: &'static str,
        allowed: RangeInclusive<Duration>,
    ) -> Result<Duration, String> {
        match parse_duration(self.text(name).1).filter(|time| allowed.contains(time)) {
            Some(time) => Ok(time),
            None => self.refuse(
                name,
                format!("a time from {:?} to {:?}, like 500ms, 2s or 1m", allowed.start(), allowed.end()),
            ),
        }
    }

    pub(super) fn choice<T: Clone>(&self, name: &'static str, choices: &[(&str, T)]) -> Result<T, String> {
        let text = self.text(name).1;
        match choices.iter().find(|(word, _)| *word == text) {
            Some((_, choice)) => Ok(choice.clone()),
            None => {
                let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
                self.refuse(name, words.join(" or "))
            }
        }
    }

    pub(super) fn address(&self, name: &'static str) -> Result<SocketAddr, String> {
        match self.text(name).1.parse() {
            Ok(address) => Ok(address),
            Err(_) => self.refuse(name, "an address and port, like 127.0.0.1:5000 or [::]:5000"),
        }
    }

    /// A text that starts with a letter or digit and holds nothing but those and `others`; so it is never taken for
    /// a flag by a program that gets it.
    pub(super) fn word(&self, name: &'static str, others: &str) -> Result<String, String> {
        let text = self.text(name).1;
        let legal = |c: char| c.is_ascii_alphanumeric() || others.contains(c);
        if text.len() <= 255
            && text.starts_with(|c: char| c.is_ascii_alphanumeric())
            && text.chars().all(legal)
        {
            return Ok(text.to_owned());
        }
        self.refuse(name, format!("a name of letters, digits and {others}"))
    }

    /// The text as it is.
    pub(super) fn plain(&self, name: &'static str) -> String {
        self.text(name).1.to_owned()
    }
}

/// `-` may mean standard output elsewhere, and that has the ring in words.
fn file_name(value: OsString) -> Result<PathBuf, String> {
    let path = PathBuf::from(value);
    match path.file_name() {
        Some(_) if path.as_os_str() != "-" => Ok(path),
        _ => Err(format!("--svg: '{}' is not the name of a file", path.display())),
    }
}

/// A number with its unit: `ms`, `s` or `m`.
fn parse_duration(text: &str) -> Option<Duration> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let number: u64 = digits.parse().ok()?;
    match &text[digits.len()..] {
        "ms" => Some(Duration::from_millis(number)),
        "s" => Some(Duration::from_secs(number)),
        "m" => number.checked_mul(60).map(Duration::from_secs),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units() {
        for (text, time) in [
            ("500ms", Some(Duration::from_millis(500))),
            ("2s", Some(Duration::from_secs(2))),
            ("1m", Some(Duration::from_secs(60))),
            ("0s", Some(Duration::ZERO)),
            ("500", None),
            ("1.5s", None),
            ("-1s", None),
            ("s", None),
            ("1h", None),
            ("", None),
            ("99999999999999999999s", None),
            ("18446744073709551615m", None),
        ] {
            assert_eq!(parse_duration(text), time, "{text}");
        }
    }

    #[test]
    fn every_setting_has_a_variable_of_its_name() {
        assert_eq!(variable("heartbeat-interval"), "RINGMASTER_HEARTBEAT_INTERVAL");
    }
}
