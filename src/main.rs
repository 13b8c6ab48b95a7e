//! The program: reads its settings, starts the balancer, waits for a signal, and stops it.

use std::env;
use std::ffi::OsString;
use std::io::{IsTerminal, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{self, ExitCode};
use std::time::{Duration, Instant};

use http::uri::PathAndQuery;
use ringmaster::config::{self, Invocation, Settings};
use ringmaster::console::{self, Remote, Window};
use ringmaster::heartbeat::{self, Heartbeat, Pulse};
use ringmaster::leash;
use ringmaster::ring_report::{self, RingReport};
use ringmaster::ring_svg;
use ringmaster::server::{self, Server};
use ringmaster::step_down;
use ringmaster::succession;

/// How long `ringmaster health` waits for an answer.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(2);

/// Signals closer together than this are one: a terminal that closes, `timeout` and others send to the process and
/// to its group.
const SAME_SIGNAL: Duration = Duration::from_millis(500);

fn main() -> ExitCode {
    let args: Vec<OsString> = env::args_os().skip(1).collect();
    if args.first().is_some_and(|word| word == "replica") {
        return ringmaster_replica::main("ringmaster replica", args.into_iter().skip(1));
    }
    if args.first().is_some_and(|word| word == "leash") {
        return fail(&leash::run(args.into_iter().skip(1)), 127);
    }
    if args.first().is_some_and(|word| word == "step-down") {
        return fail(&step_down::run(args.into_iter().skip(1)), 127);
    }
    match config::invocation(args, |name| env::var(name).ok()) {
        Ok(Invocation::Serve(settings)) => serve(&settings),
        Ok(Invocation::Ring { shape, replicas, json, svg }) => match ring_report::report(shape, replicas) {
            Ok(report) => ring(&report, json, svg.as_deref()),
            Err(why) => fail(&why, 2),
        },
        Ok(Invocation::Health(address, path)) => health(address, path),
        Ok(Invocation::Status { address, token, json }) => {
            match console::status(&Remote::new(address, token), json) {
                Ok(text) => tell(&text),
                Err(why) => fail(&why, 1),
            }
        }
        Ok(Invocation::Top { address, token }) => top(Remote::new(address, token)),
        Ok(Invocation::Tell(text)) => tell(&text),
        Err(why) => fail(&why, 2),
    }
}

fn serve(settings: &Settings) -> ExitCode {
    let mut settings = settings.clone();
    let mut doors = None;
    // Before there is another thread.
    if let Some((inherited, replicas)) = succession::inherited() {
        (doors, settings.replicas) = (Some(inherited), replicas);
    }
    let from_environment = || env::var("RUST_LOG").unwrap_or_else(|_| "info".to_owned());
    // Kept, so that the status tells it.
    let filter = settings.log.get_or_insert_with(from_environment).clone();
    env_logger::Builder::new()
        // What goes wrong in there is told by the front, in words that say what it means.
        .filter_module("tiny_http", log::LevelFilter::Off)
        // What they say of each step of each call would drown the lines that say what became of a request.
        .filter_module("ureq", log::LevelFilter::Info)
        .filter_module("ureq_proto", log::LevelFilter::Info)
        .parse_filters(&filter)
        .format_timestamp_millis()
        .format_target(false)
        .init();
    let (signals, signal) = crossbeam_channel::bounded(1);
    let mut first: Option<Instant> = None;
    let on_signal = move || match first {
        None => {
            first = Some(Instant::now());
            let _ = signals.try_send(());
        }
        Some(first) if first.elapsed() < SAME_SIGNAL => {}
        Some(_) => {
            log::warn!("second signal: ending at once");
            process::exit(130);
        }
    };
    if let Err(error) = ctrlc::set_handler(on_signal) {
        return fail(&format!("cannot wait for signals: {error}"), 1);
    }
    loop {
        let launcher = server::launcher(&settings);
        let started = match doors.take() {
            Some(doors) => Server::start_on(doors, &settings, launcher),
            None => Server::start(&settings, launcher),
        };
        let server = match started {
            Ok(server) => server,
            Err(why) => return fail(&why, 1),
        };
        crossbeam_channel::select! {
            recv(signal) -> _ => {
                server.stop();
                return ExitCode::SUCCESS;
            }
            recv(server.worn_out()) -> _ => log::warn!("starting anew in place"),
        }
        settings.replicas = server.replicas();
        let kept = match server.hand_over() {
            Ok(kept) => kept,
            Err(error) => return fail(&format!("cannot keep the sockets: {error}"), 1),
        };
        // A signal that came meanwhile is not for a successor, who would not know of it.
        if signal.is_empty() {
            // A successor reads its settings again, and a file among them may have gone.
            let error = match config::invocation(env::args_os().skip(1), |name| env::var(name).ok()) {
                Ok(_) => succession::hand_over(&kept, settings.replicas).to_string(),
                Err(why) => why,
            };
            log::error!("cannot start the program anew, going on as it is: {error}");
        }
        doors = Some(kept);
    }
}

fn ring(report: &RingReport, json: bool, svg: Option<&Path>) -> ExitCode {
    if let Some(path) = svg
        && let Err(why) = ring_svg::save(&ring_svg::draw(&report.picture()), path)
    {
        return fail(&why, 1);
    }
    match json {
        true => tell(&(report.to_json() + "\n")),
        false => tell(&report.to_string()),
    }
}

fn health(address: SocketAddr, path: PathAndQuery) -> ExitCode {
    match Heartbeat::new(&heartbeat::Settings { timeout: HEALTH_TIMEOUT, path }).pulse(address, None) {
        Pulse::Good(_) => tell("a replica answers\n"),
        Pulse::Missed(miss) => fail(&miss.why, 1),
        Pulse::Unknown(why) => fail(&why, 1),
    }
}

fn top(remote: Remote) -> ExitCode {
    let (signals, signal) = crossbeam_channel::bounded(1);
    let on_signal = move || {
        let _ = signals.try_send(());
    };
    if let Err(error) = ctrlc::set_handler(on_signal) {
        return fail(&format!("cannot wait for signals: {error}"), 1);
    }
    let out = std::io::stdout();
    let number = |name: &str| env::var(name).ok()?.parse().ok().filter(|number| *number > 0);
    let window = Window {
        is_terminal: out.is_terminal() && env::var_os("TERM").is_none_or(|name| name != "dumb"),
        lines: number("LINES"),
        columns: number("COLUMNS"),
    };
    match console::top(remote, &signal, out, window) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => fail(&why, 1),
    }
}

fn tell(text: &str) -> ExitCode {
    // Nobody reads any further: no reason to complain.
    let _ = std::io::stdout().write_all(text.as_bytes());
    ExitCode::SUCCESS
}

fn fail(why: &str, status: u8) -> ExitCode {
    eprintln!("ringmaster: {why}");
    ExitCode::from(status)
}
