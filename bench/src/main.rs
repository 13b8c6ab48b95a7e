//! Measures Ringmaster: beside other balancers, with and without being watched, with long bodies, over long times, under
//! faults at random, and with many replicas.

mod backend;
mod chaos;
mod client;
mod compare;
mod http;
mod idle;
mod interrupt;
mod measurement;
mod observe;
mod options;
mod paced;
mod payload;
mod peers;
mod process;
mod quiet;
mod report;
mod scale;
mod sink;
mod soak;
mod stage;
mod streams;
mod table;
mod target;
mod vitals;
mod wrk;

use std::process::ExitCode;

use options::Job;

fn main() -> ExitCode {
    let job = match options::read(std::env::args_os().skip(1)) {
        Ok(job) => job,
        Err(error) => {
            eprintln!("bench: {error:#}");
            return ExitCode::from(2);
        }
    };
    let outcome = match &job {
        Job::Help => {
            print!("{}", options::HELP);
            Ok(true)
        }
        // Ended by whoever started it, in the way the system has for that.
        Job::Backend(options) => backend::run(options).map(|()| true),
        Job::Compare(options) => prepare().and_then(|()| compare::run(options)),
        Job::Observe(options) => prepare().and_then(|()| observe::run(options)),
        Job::Streams(options) => prepare().and_then(|()| streams::run(options)),
        Job::Chaos(options) => prepare().and_then(|()| chaos::run(options)),
        Job::Scale(options) => prepare().and_then(|()| scale::run(options)),
        Job::Soak(options) => prepare().and_then(|()| soak::run(options)),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// What every job that starts processes needs.
fn prepare() -> anyhow::Result<()> {
    interrupt::listen()?;
    process::raise_descriptor_limit()
}
