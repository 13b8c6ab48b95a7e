//! The replica as a program of its own: what a container behind the balancer runs.

use std::process::ExitCode;

fn main() -> ExitCode {
    ringmaster_replica::main("ringmaster-replica", std::env::args_os().skip(1))
}
