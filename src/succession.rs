//! A successor in the same process: the program starts anew in its own place and keeps the listening sockets, so that
//! nobody who connects meanwhile is turned away, and nobody else gets their ports.
//!
//! They travel in the queue of a pair of sockets, one in each message, and that queue is the new program's standard input:
//! the one descriptor that safe code can both give away and take over (the way of inetd). How many replicas there were
//! is in the environment.

use std::env;
use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut};
use std::iter;
use std::net::TcpListener;
use std::os::fd::{AsFd, AsRawFd, IntoRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use nix::cmsg_space;
use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, recvmsg, sendmsg};
use nix::unistd;

use crate::listening::Doors;

/// Set for a successor: how many replicas it is to have.
const MARK: &str = "RINGMASTER_SUCCESSOR";

/// What a predecessor left: its sockets, and how many replicas it had. To be asked once, before there is another thread.
pub fn inherited() -> Option<(Doors, usize)> {
    let replicas = env::var(MARK).ok()?.parse().ok()?;
    let queue = io::stdin().as_fd().try_clone_to_owned().ok()?;
    let doors = receive(&queue).map(|traffic| Doors { traffic, admin: receive(&queue) });
    // What came last still stands there a second time.
    vacate_standard_input();
    if let Ok(nothing) = File::open("/dev/null") {
        let _ = nothing.into_raw_fd();
    }
    Some((doors?, replicas))
}

/// Starts this program anew with the same arguments, with these sockets and for so many replicas; returns only if that
/// fails, and why.
///
/// It is the file that runs now, whatever has been put in its place meanwhile.
pub fn hand_over(doors: &Doors, replicas: usize) -> io::Error {
    let queue = match enqueue(doors) {
        Ok(queue) => queue,
        Err(error) => return error,
    };
    let mut args = env::args_os();
    let mut program = Command::new("/proc/self/exe");
    if let Some(name) = args.next() {
        program.arg0(name);
    }
    program.args(args).env(MARK, replicas.to_string()).stdin(Stdio::from(queue)).exec()
}

/// A queue with the sockets in it, and nothing after them.
fn enqueue(doors: &Doors) -> io::Result<OwnedFd> {
    let (way_in, queue) = UnixStream::pair()?;
    for door in iter::once(&doors.traffic).chain(&doors.admin) {
        let (socket, text) = ([door.as_raw_fd()], [IoSlice::new(b"x")]);
        let sockets = [ControlMessage::ScmRights(&socket)];
        sendmsg::<()>(way_in.as_raw_fd(), &text, &sockets, MsgFlags::empty(), None)?;
    }
    Ok(OwnedFd::from(queue))
}

/// Takes the next socket out of the queue, if there is one; it comes to stand in the place of standard input.
fn receive(queue: &OwnedFd) -> Option<TcpListener> {
    // What is received gets the lowest number that is free, and only of standard input can safe code take possession.
    vacate_standard_input();
    let (mut text, mut space) = ([0], cmsg_space!(RawFd));
    let mut text = [IoSliceMut::new(&mut text)];
    let message =
        recvmsg::<()>(queue.as_raw_fd(), &mut text, Some(&mut space), MsgFlags::MSG_DONTWAIT).ok()?;
    let is_there = |message| matches!(message, ControlMessageOwned::ScmRights(sockets) if sockets == [0]);
    if !message.cmsgs().ok()?.any(is_there) {
        return None;
    }
    let socket = TcpListener::from(io::stdin().as_fd().try_clone_to_owned().ok()?);
    // Whatever else may have come, it is no listening socket.
    socket.local_addr().is_ok().then_some(socket)
}

/// Nothing in this program reads there.
fn vacate_standard_input() {
    let _ = unistd::close(0);
}
