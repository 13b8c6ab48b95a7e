//! A successor in the same process: the program starts anew in its own place and keeps the listening socket, so that
//! nobody who connects meanwhile is turned away.
//!
//! The socket travels as the new program's standard input, which is the one descriptor that safe code can both give away
//! and take over (the way of inetd); how many replicas there were, in the environment.

use std::env;
use std::io;
use std::net::TcpListener;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

/// Set for a successor: how many replicas it is to have.
const MARK: &str = "RINGMASTER_SUCCESSOR";

/// What a predecessor left: its socket, and how many replicas it had.
pub fn inherited() -> Option<(TcpListener, usize)> {
    let replicas = env::var(MARK).ok()?.parse().ok()?;
    let socket: OwnedFd = io::stdin().as_fd().try_clone_to_owned().ok()?;
    let socket = TcpListener::from(socket);
    // Whatever else standard input may be, it is no listening socket.
    socket.local_addr().is_ok().then_some((socket, replicas))
}

/// Starts this program anew with the same arguments, with `socket` and for so many replicas; returns only if that fails,
/// and why.
///
/// It is the file that runs now, whatever has been put in its place meanwhile.
pub fn hand_over(socket: &TcpListener, replicas: usize) -> io::Error {
    let socket = match socket.try_clone() {
        Ok(socket) => OwnedFd::from(socket),
        Err(error) => return error,
    };
    let mut args = env::args_os();
    let mut program = Command::new("/proc/self/exe");
    if let Some(name) = args.next() {
        program.arg0(name);
    }
    program.args(args).env(MARK, replicas.to_string()).stdin(Stdio::from(socket)).exec()
}
