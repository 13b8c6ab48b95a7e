//! The command line.

use std::ffi::OsString;
use std::fmt::Display;
use std::path::PathBuf;
use std::str::FromStr;

use lexopt::{Arg, Parser};

use crate::experiment::{self, Experiment};
use crate::failure::Failure;
use crate::load::Pace;
use crate::target::Target;

/// What comes before the list of experiments in the help.
const HELP_BEGIN: &str = "\
Drives a Ringmaster balancer and shows what it does. Without --url it starts one of its own on 127.0.0.1 and ends it.

experiments NAME... [OPTIONS] [-- SETTINGS OF THE BALANCER]

";

/// What comes behind it.
const HELP_END: &str = "  all       all of these

    --url http://HOST:PORT  a balancer that runs already
    --requests N            requests of one measurement (10000)
    --connections N         keep-alive connections, so many requests are under way at once (100)
    --loop closed|open      closed: each connection sends its next request when it has its answer;
                            open: requests are due at a fixed rate, and latency counts from then on (closed)
    --rate N                open: requests per second
    --scheme NAME           the balancer's scheme (its default); with --url, what that balancer was started with
    --seed N                what is drawn at random here, such as which replica is killed (1)
    --out DIR               where results go (target/experiments)
    --kill-command CMD      with --url: kills the replica whose name is its last argument, such as 'docker kill'
    --ringmaster PATH       the balancer's program (built first in the workspace, else the one beside this program)

Exit status: 0 all answers were right, 1 some were wrong, a promise was broken or something failed, 2 a bad command line
or nobody at the URL.
";

/// What to do.
pub enum Job {
    /// Say how this is used.
    Help,
    /// Run these, in this order.
    Run(Vec<&'static dyn Experiment>, Box<Options>),
}

/// How to do it.
#[derive(Clone, Debug)]
pub struct Options {
    /// A balancer that runs already.
    pub url: Option<Target>,
    /// Requests of one measurement.
    pub requests: u64,
    /// Keep-alive connections.
    pub connections: usize,
    /// When requests are sent.
    pub pace: Pace,
    /// The scheme, if it was given.
    pub scheme: Option<String>,
    /// What is drawn here follows from it.
    pub seed: u64,
    /// Where results go.
    pub out: PathBuf,
    /// Kills a replica of a balancer that is not ours.
    pub kill_command: Option<String>,
    /// The balancer's program, if it was given.
    pub ringmaster: Option<PathBuf>,
    /// Settings of the balancer, as they came.
    pub settings: Vec<String>,
    /// The whole command line, for the report.
    pub command: String,
}

impl Options {
    /// The balancer's settings that were asked for, the scheme among them.
    pub fn balancer_settings(&self) -> Vec<String> {
        let scheme = self.scheme.iter().flat_map(|scheme| ["--scheme".to_owned(), scheme.clone()]);
        scheme.chain(self.settings.iter().cloned()).collect()
    }
}

/// The command as one would type it again.
fn command_line(by_cargo: bool, args: &[String]) -> String {
    let program = if by_cargo { "cargo run --release -p experiments --" } else { "experiments" };
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,".contains(c);
    let quoted = |arg: &String| match arg.chars().all(is_plain) && !arg.is_empty() {
        true => format!(" {arg}"),
        false => format!(" '{}'", arg.replace('\'', r"'\''")),
    };
    format!("{program}{}", args.iter().map(quoted).collect::<String>())
}

/// What `--help` prints.
pub fn help() -> String {
    let line =
        |experiment: &&dyn Experiment| format!("  {:<9} {}\n", experiment.name(), experiment.summary());
    format!("{HELP_BEGIN}{}{HELP_END}", experiment::ALL.iter().map(line).collect::<String>())
}

/// Reads the command line without the program's name.
///
/// # Errors
/// One line that says what is wrong with it.
pub fn read(args: impl IntoIterator<Item = OsString>) -> Result<Job, Failure> {
    let mut args: Vec<String> = args.into_iter().map(|arg| arg.to_string_lossy().into_owned()).collect();
    let command = command_line(std::env::var_os("CARGO").is_some(), &args);
    let end = args.iter().position(|word| word == "--").unwrap_or(args.len());
    let settings = args.drain(end..).skip(1).collect();
    let mut options = Options {
        url: None,
        requests: 10_000,
        connections: 100,
        pace: Pace::Closed,
        scheme: None,
        seed: 1,
        out: PathBuf::from("target/experiments"),
        kill_command: None,
        ringmaster: None,
        settings,
        command,
    };
    let (mut is_open, mut rate, mut words) = (false, None, Vec::new());
    let mut parser = Parser::from_args(args);
    while let Some(arg) = parser.next().map_err(usage)? {
        let name = match arg {
            Arg::Short('h') | Arg::Long("help") => return Ok(Job::Help),
            Arg::Value(word) => {
                words.push(word.to_string_lossy().into_owned());
                continue;
            }
            Arg::Long(name) => name.to_owned(),
            Arg::Short(_) => return Err(usage(arg.unexpected())),
        };
        if !FLAGS.contains(&name.as_str()) {
            return Err(usage(format!("unknown flag --{name}, see --help")));
        }
        let text = parser.value().map_err(usage)?.to_string_lossy().into_owned();
        match name.as_str() {
            "url" => options.url = Some(Target::parse(&text)?),
            "requests" => options.requests = number(&name, &text, 1)?,
            "connections" => options.connections = number(&name, &text, 1)?,
            "loop" => is_open = one_of(&name, &text, ["closed", "open"])? == "open",
            "rate" => rate = Some(number(&name, &text, 1)?),
            "scheme" => options.scheme = Some(text),
            "seed" => options.seed = number(&name, &text, 0)?,
            "out" => options.out = text.into(),
            "kill-command" => options.kill_command = Some(text),
            _ => options.ringmaster = Some(text.into()),
        }
    }
    options.pace = pace(is_open, rate)?;
    let chosen = choose(&words, &options)?;
    if chosen.is_empty() {
        return Err(usage("say which experiment, see --help"));
    }
    if options.kill_command.is_some() && options.url.is_none() {
        return Err(usage(
            "--kill-command goes with --url: replicas of a balancer of our own are killed without it",
        ));
    }
    Ok(Job::Run(chosen, Box::new(options)))
}

const FLAGS: [&str; 10] =
    ["url", "requests", "connections", "loop", "rate", "scheme", "seed", "out", "kill-command", "ringmaster"];

/// What was asked for by name must be possible; what comes with `all` may turn out not to be.
fn choose(words: &[String], options: &Options) -> Result<Vec<&'static dyn Experiment>, Failure> {
    let mut chosen = Vec::new();
    for word in words {
        let found = find(word)?;
        let refusal = found.iter().find_map(|it| it.refusal(options)).filter(|_| word != "all");
        if let Some(why) = refusal {
            return Err(usage(format!("{word}: {why}")));
        }
        chosen.extend(found);
    }
    Ok(chosen)
}

fn find(word: &str) -> Result<Vec<&'static dyn Experiment>, Failure> {
    let chosen: Vec<_> =
        experiment::ALL.iter().copied().filter(|it| word == "all" || it.name() == word).collect();
    if chosen.is_empty() {
        let names: Vec<&str> = experiment::ALL.iter().map(|it| it.name()).collect();
        return Err(usage(format!("there is no experiment '{word}', but {} and all", names.join(", "))));
    }
    Ok(chosen)
}

fn pace(is_open: bool, rate: Option<u32>) -> Result<Pace, Failure> {
    match (is_open, rate) {
        (false, None) => Ok(Pace::Closed),
        (true, Some(rate)) => Ok(Pace::Open(rate)),
        (true, None) => Err(usage("--loop open needs --rate")),
        (false, Some(_)) => Err(usage("--rate goes with --loop open")),
    }
}

fn number<N: FromStr + PartialOrd + Display>(name: &str, text: &str, least: N) -> Result<N, Failure> {
    match text.parse() {
        Ok(number) if number >= least => Ok(number),
        _ => Err(usage(format!("--{name} {text}: must be a whole number, at least {least}"))),
    }
}

fn one_of<'a>(name: &str, text: &str, allowed: [&'a str; 2]) -> Result<&'a str, Failure> {
    let found = allowed.into_iter().find(|word| *word == text);
    found.ok_or_else(|| usage(format!("--{name} {text}: must be {}", allowed.join(" or "))))
}

fn usage(why: impl Display) -> Failure {
    Failure::Usage(why.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<OsString> {
        line.split_whitespace().map(OsString::from).collect()
    }

    fn options(line: &str) -> Options {
        match read(words(line)).unwrap() {
            Job::Run(_, options) => *options,
            Job::Help => panic!("{line} is no cry for help"),
        }
    }

    #[test]
    fn what_stands_behind_two_dashes_is_the_balancers() {
        let given = options("a1 --scheme statement --seed 7 -- --probing quadratic --slots 256");
        assert_eq!(given.balancer_settings().join(" "), "--scheme statement --probing quadratic --slots 256");
        assert_eq!(
            (given.seed, given.requests, given.connections, given.pace),
            (7, 10_000, 100, Pace::Closed)
        );
        assert_eq!(options("a1 --loop open --rate 500").pace, Pace::Open(500));
    }

    #[test]
    fn what_makes_no_sense_is_refused_in_one_line() {
        for (line, named) in [
            ("", "which experiment"),
            ("a9", "no experiment 'a9'"),
            ("a1 --requests 0", "--requests 0"),
            ("a1 --connections x", "--connections x"),
            ("a1 --loop half", "closed or open"),
            ("a1 --loop open", "needs --rate"),
            ("a1 --rate 5", "goes with --loop open"),
            ("a1 --colour red", "--colour"),
            ("a1 --seed", "missing"),
            ("a1 --url ftp://x", "http://HOST:PORT"),
            ("a3 --kill-command kill", "--url"),
        ] {
            let Err(Failure::Usage(why)) = read(words(line)) else { panic!("{line} was taken") };
            assert!(why.contains(named) && !why.contains('\n'), "{line}: {why}");
        }
    }

    #[test]
    fn the_command_can_be_typed_again() {
        let args = ["a3", "--kill-command", "docker kill", "it's"].map(str::to_owned);
        assert_eq!(command_line(false, &args), r"experiments a3 --kill-command 'docker kill' 'it'\''s'");
        assert_eq!(command_line(true, &args[..1]), "cargo run --release -p experiments -- a3");
    }

    #[test]
    fn all_is_all() {
        let Ok(Job::Run(chosen, _)) = read(words("all")) else { panic!("all was refused") };
        assert_eq!(chosen.len(), experiment::ALL.len());
        assert!(experiment::ALL.iter().all(|it| help().contains(it.summary())));
    }
}
