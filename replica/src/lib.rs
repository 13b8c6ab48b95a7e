//! The server that stands behind the Ringmaster load balancer.
//!
//! It says who it is (`GET /home`) and that it lives (`GET /heartbeat`); everything else is a 404. Nothing more,
//! because its work is to be balanced: started, found well, found dead, replaced.
//!
//! It is built on [`std::net::TcpListener`] with a thread for every connection, and not on `tiny_http` like the
//! balancer: the thread pool there leaves some connections unanswered for ever when a burst of clients opens more
//! keep-alive connections than it has threads. Such a burst is what a balancer does all day.
//!
//! [`main()`] is the whole program. [`Replica`] is the server alone, for tests that want one in their own process:
//!
//! ```
//! use ringmaster_replica::{Replica, Settings};
//!
//! let listen = ([127, 0, 0, 1], 0).into();
//! let settings = Settings { listen, server_id: "server_1".into(), announce: false, end_with_stdin: false };
//! let replica = Replica::start(settings)?;
//! assert_ne!(replica.addr().port(), 0);
//! replica.stop();
//! # Ok::<(), std::io::Error>(())
//! ```

// Each uses only those above it.
mod settings;

mod request;

mod answer;
mod incoming;

mod connection;

mod server;

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;
use std::thread;

pub use server::Replica;
pub use settings::{Invocation, Settings, settings_from};

/// Runs a replica until a signal (or, if so set, the end of standard input) ends the process.
///
/// `program` is the name that messages begin with, `args` the command line without it. The call returns only when
/// there is nothing to run: after `--help` and `--version`, with status 2 after settings that make no sense, and with
/// status 1 when the server cannot start.
pub fn main(program: &str, args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let env = |name: &str| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned());
    let (text, status) = match settings_from(args, env) {
        Ok(Invocation::Run(settings)) => match run(settings) {
            Ok(()) => return ExitCode::SUCCESS,
            Err(message) => (message, 1),
        },
        Ok(Invocation::Help) => (settings::help(program), 0),
        Ok(Invocation::Version) => (format!("{program} {}", env!("CARGO_PKG_VERSION")), 0),
        Err(message) => (message, 2),
    };
    // Not `println!`: that panics when the reader has gone away.
    let _ = match status {
        0 => writeln!(io::stdout(), "{text}"),
        _ => writeln!(io::stderr(), "{program}: {text}"),
    };
    ExitCode::from(status)
}

fn run(settings: Settings) -> Result<(), String> {
    // As process 1 of a container a signal without a handler does nothing. No answer takes long enough to wait for,
    // and the balancer drains a replica before it stops it: the end may come at once.
    ctrlc::set_handler(|| std::process::exit(0))
        .map_err(|error| format!("cannot handle signals: {error}"))?;
    if settings.end_with_stdin {
        thread::Builder::new()
            .name("stdin".into())
            .spawn(|| {
                let _ = io::copy(&mut io::stdin(), &mut io::sink());
                std::process::exit(0);
            })
            .map_err(|error| format!("cannot watch standard input: {error}"))?;
    }

    let (listen, announce) = (settings.listen, settings.announce);
    let replica = Replica::start(settings).map_err(|error| format!("cannot listen on {listen}: {error}"))?;
    if announce {
        let mut stdout = io::stdout().lock();
        writeln!(stdout, "listening on {}", replica.addr())
            .and_then(|()| stdout.flush())
            .map_err(|error| format!("cannot announce the address on standard output: {error}"))?;
    }
    replica.wait();
    Ok(())
}
