//! A process that ends with its parent: the kernel is asked to kill it when that dies, however it dies.
//!
//! `ringmaster leash PID PROGRAM ARGS…` becomes PROGRAM, tied to the process PID that called it. For programs that cannot
//! be told in another way, like `docker events`, which would go on for as long as nothing happens.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::unistd::getppid;

/// Becomes the program that `args` say (the parent's process id, the program, its arguments); returns only if that is
/// not possible, and why.
pub fn run(args: impl IntoIterator<Item = OsString>) -> String {
    let mut args = args.into_iter();
    let parent = args.next().and_then(|word| word.to_str()?.parse::<i32>().ok());
    let (Some(parent), Some(program)) = (parent, args.next()) else {
        return "leash: takes a process id, a program and its arguments".to_owned();
    };
    if let Err(error) = prctl::set_pdeathsig(Signal::SIGKILL) {
        return format!("leash: cannot tie this process to its parent: {error}");
    }
    // It may have died before that was asked for.
    if getppid().as_raw() != parent {
        return format!("leash: process {parent} is gone");
    }
    let error = Command::new(&program).args(args).exec();
    format!("leash: cannot run {}: {error}", program.to_string_lossy())
}
