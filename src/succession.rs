//! A successor in the same process: the program starts anew in its own place and keeps the listening socket, so that
//! nobody who connects meanwhile is turned away.
//!
//! The socket travels as the new program's standard input, which is the one descriptor that safe code can both give away
//! and take over (the way of inetd).

use std::env;
use std::ffi::OsString;
use std::io;
use std::net::TcpListener;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

/// Set for a successor.
const MARK: &str = "RINGMASTER_SUCCESSOR";

/// The socket that the predecessor left, if there was one.
pub fn inherited() -> Option<TcpListener> {
    env::var_os(MARK)?;
    let socket: OwnedFd = io::stdin().as_fd().try_clone_to_owned().ok()?;
    let socket = TcpListener::from(socket);
    // Whatever else standard input may be, it is no listening socket.
    socket.local_addr().is_ok().then_some(socket)
}

/// Starts this program anew with the same arguments and with `socket`; returns only if that fails, and why.
pub fn hand_over(socket: TcpListener) -> io::Error {
    let args: Vec<OsString> = env::args_os().skip(1).collect();
    let program = env::current_exe().unwrap_or_else(|_| "/proc/self/exe".into());
    Command::new(program).args(args).env(MARK, "1").stdin(Stdio::from(OwnedFd::from(socket))).exec()
}
