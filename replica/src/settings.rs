//! Settings from the command line and the environment.
//!
//! Everything is checked here; past this file a setting is right.

use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddr};

use lexopt::{Arg, Parser};

const DEFAULT_PORT: u16 = 5000;
const DEFAULT_SERVER_ID: &str = "unnamed";

/// What a replica needs to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Where to listen; port 0 leaves the choice to the system.
    pub listen: SocketAddr,
    /// The name in the answer of `/home`.
    pub server_id: String,
    /// Print `listening on ADDR:PORT` on standard output once bound. Only [`main`](crate::main()) does; a
    /// [`Replica`](crate::Replica) has [`addr`](crate::Replica::addr).
    pub announce: bool,
    /// End the process when standard input ends, so that a replica never outlives the program that started it, not
    /// even if that one is killed. Only [`main`](crate::main()) does.
    pub end_with_stdin: bool,
}

/// What the command line asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Invocation {
    /// Run a replica.
    Run(Settings),
    /// Print the help text.
    Help,
    /// Print the version.
    Version,
}

/// The text of `--help`.
pub(crate) fn help(program: &str) -> String {
    format!(
        "The small HTTP server behind the Ringmaster load balancer.

Usage: {program} [OPTIONS]

Options:
  --listen ADDR:PORT  Where to listen; port 0 lets the system choose [default: 0.0.0.0:{DEFAULT_PORT}]
  --server-id ID      The name in the answer of /home [default: {DEFAULT_SERVER_ID}]
  --announce          Print 'listening on ADDR:PORT' once bound
  --end-with-stdin    End when standard input ends
  --help              Print this text
  --version           Print the version

Environment, where no flag says otherwise; an empty variable counts as unset:
  SERVER_ID           The name in the answer of /home
  PORT                The port of the default listen address"
    )
}

/// Reads the settings from `args` (without the program's name) and the environment; a flag wins over a variable.
///
/// # Errors
///
/// One line that names the flag or variable, its value, and what is allowed.
pub fn settings_from(
    args: impl IntoIterator<Item = OsString>,
    env: impl Fn(&str) -> Option<String>,
) -> Result<Invocation, String> {
    let mut listen = None;
    let mut server_id = None;
    let mut announce = false;
    let mut end_with_stdin = false;

    let mut parser = Parser::from_args(args);
    while let Some(arg) = parser.next().map_err(|error| error.to_string())? {
        match arg {
            Arg::Long("listen") => listen = Some(address(&mut parser)?),
            Arg::Long("server-id") => server_id = Some(name(&mut parser)?),
            Arg::Long("announce") => announce = true,
            Arg::Long("end-with-stdin") => end_with_stdin = true,
            Arg::Long("help") | Arg::Short('h') => return Ok(Invocation::Help),
            Arg::Long("version") | Arg::Short('V') => return Ok(Invocation::Version),
            Arg::Long(flag) => return Err(unknown(&format!("--{flag}"))),
            Arg::Short(flag) => return Err(unknown(&format!("-{flag}"))),
            Arg::Value(value) => return Err(unknown(&value.to_string_lossy())),
        }
    }

    let env = |variable: &str| env(variable).filter(|value| !value.is_empty());
    let listen = match listen {
        Some(listen) => listen,
        None => (Ipv4Addr::UNSPECIFIED, port(env("PORT"))?).into(),
    };
    let server_id = server_id.or_else(|| env("SERVER_ID")).unwrap_or_else(|| DEFAULT_SERVER_ID.into());
    Ok(Invocation::Run(Settings { listen, server_id, announce, end_with_stdin }))
}

// Values are quoted with `{:?}` below, so that an error stays one line whatever is in them.

fn address(parser: &mut Parser) -> Result<SocketAddr, String> {
    let allowed = "an IP address and a port, such as 0.0.0.0:5000 or [::1]:0";
    let value = parser.value().map_err(|_| format!("--listen needs a value: {allowed}"))?;
    let parsed = value.to_str().and_then(|text| text.parse().ok());
    parsed.ok_or_else(|| format!("--listen {value:?} is not {allowed}"))
}

fn name(parser: &mut Parser) -> Result<String, String> {
    let allowed = "a name of one or more characters in UTF-8";
    let value = parser.value().map_err(|_| format!("--server-id needs a value: {allowed}"))?;
    let parsed = value.to_str().filter(|text| !text.is_empty()).map(str::to_owned);
    parsed.ok_or_else(|| format!("--server-id {value:?} is not {allowed}"))
}

fn port(variable: Option<String>) -> Result<u16, String> {
    match variable {
        None => Ok(DEFAULT_PORT),
        Some(text) => text.parse().map_err(|_| format!("PORT {text:?} is not a port from 0 to {}", u16::MAX)),
    }
}

fn unknown(arg: &str) -> String {
    let allowed = "--listen ADDR:PORT, --server-id ID, --announce, --end-with-stdin, --help, --version";
    format!("{arg:?} is not an option; allowed are {allowed}")
}

#[cfg(test)]
mod tests {
    use super::*;

    type Variables<'a> = &'a [(&'a str, &'a str)];

    fn read(args: &[&str], variables: Variables) -> Result<Invocation, String> {
        let env = |name: &str| variables.iter().find(|(n, _)| *n == name).map(|(_, v)| v.to_string());
        settings_from(args.iter().map(OsString::from), env)
    }

    #[test]
    fn flags_win_over_variables_and_variables_over_defaults() {
        let both: Variables = &[("PORT", "8080"), ("SERVER_ID", "S1")];
        let table: &[(&[&str], Variables, &str, &str)] = &[
            (&[], &[], "0.0.0.0:5000", "unnamed"),
            (&[], both, "0.0.0.0:8080", "S1"),
            (&[], &[("PORT", ""), ("SERVER_ID", "")], "0.0.0.0:5000", "unnamed"),
            (&["--listen", "127.0.0.1:0"], both, "127.0.0.1:0", "S1"),
            (&["--listen=[::1]:7"], both, "[::1]:7", "S1"),
            (&["--server-id", "S2"], both, "0.0.0.0:8080", "S2"),
            // A variable that is not needed is not looked at: PORT may be meant for the program that started us.
            (&["--listen", "127.0.0.1:1"], &[("PORT", "http")], "127.0.0.1:1", "unnamed"),
        ];
        for (args, variables, listen, server_id) in table {
            let Ok(Invocation::Run(settings)) = read(args, variables) else {
                panic!("{args:?} {variables:?}")
            };
            assert_eq!(settings.listen.to_string(), *listen, "{args:?} {variables:?}");
            assert_eq!(settings.server_id, *server_id, "{args:?} {variables:?}");
            assert!(!settings.announce && !settings.end_with_stdin);
        }
    }

    #[test]
    fn switches() {
        let Ok(Invocation::Run(settings)) = read(&["--announce"], &[]) else { panic!() };
        assert!(settings.announce && !settings.end_with_stdin);
        let Ok(Invocation::Run(settings)) = read(&["--end-with-stdin"], &[]) else { panic!() };
        assert!(!settings.announce && settings.end_with_stdin);
        assert_eq!(read(&["--help"], &[]), Ok(Invocation::Help));
        assert_eq!(read(&["--version"], &[("PORT", "x")]), Ok(Invocation::Version));
    }

    #[test]
    fn an_error_is_one_line_with_the_name_and_the_value() {
        let table: &[(&[&str], Variables, &[&str])] = &[
            (&["--listen", "localhost:80"], &[], &["--listen", "localhost:80", "0.0.0.0:5000"]),
            (&["--listen", "127.0.0.1"], &[], &["--listen", "127.0.0.1", "port"]),
            (&["--listen", "a\nb"], &[], &["--listen", "a\\nb"]),
            (&["--listen"], &[], &["--listen", "needs a value"]),
            (&["--server-id", ""], &[], &["--server-id", "\"\"", "one or more"]),
            (&["--announce=yes"], &[], &["--announce", "yes"]),
            (&["--port", "80"], &[], &["--port", "--listen"]),
            (&["--a\nb"], &[], &["a\\nb"]),
            (&["-x"], &[], &["-x"]),
            (&["5000"], &[], &["5000"]),
            (&[], &[("PORT", "http")], &["PORT", "http", "65535"]),
            (&[], &[("PORT", "65536")], &["PORT", "65536", "65535"]),
        ];
        for (args, variables, words) in table {
            let Err(message) = read(args, variables) else { panic!("{args:?} {variables:?} was accepted") };
            assert_eq!(message.lines().count(), 1, "{message}");
            for word in *words {
                assert!(message.contains(word), "{word:?} is missing in {message:?}");
            }
        }
    }
}
