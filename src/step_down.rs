//! The way out of being root: the program starts anew as a user who may use the engine's socket and nothing else.
//!
//! `ringmaster step-down ARGS…` becomes `ringmaster ARGS…` as user 65534, in the group of the engine's socket and in no
//! other. The number of that group differs from host to host, so no image and no compose file can name it: it is read
//! from the socket itself. Where the group may not use the socket, or root may not become anybody else, the program goes
//! on as it is and says so.
//!
//! It is a program started anew, rather than a change of the one that runs: what it can read at its start, a file with
//! a token for example, it can still read when it starts anew in place.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::process::CommandExt;
use std::process::Command;

/// Nobody, and nobody's group: they own no file.
const NOBODY: u32 = 65534;

/// Where the `docker` command looks for the engine when nothing else is said.
const SOCKET: &str = "/var/run/docker.sock";

/// What root needs to become somebody else, as bits of a set of capabilities: `SETGID` and `SETUID`.
const BECOMING_ANOTHER: u64 = 1 << 6 | 1 << 7;

/// What `stat` says of a socket.
#[derive(Clone, Copy, Debug)]
struct Socket {
    uid: u32,
    gid: u32,
    mode: u32,
}

/// Becomes the program with `args`; returns only if that is not possible, and why.
pub fn run(args: impl IntoIterator<Item = OsString>) -> String {
    let args: Vec<OsString> = args.into_iter().collect();
    let path = socket_path(env::var("DOCKER_HOST").ok());
    let program = || {
        let mut program = Command::new("/proc/self/exe");
        program.arg0("ringmaster").args(&args);
        program
    };
    // Only root can become somebody else. Whose process this is, is whose folder it has there.
    if fs::metadata("/proc/self").is_ok_and(|it| it.uid() == 0) {
        match group(path.as_deref().and_then(socket)).and_then(may_join) {
            Ok(gid) => {
                // Other groups go too: that is what becoming another user without naming groups means.
                let error = program().gid(gid).uid(NOBODY).exec();
                // By now this process may be nobody, or half of it: no state to go on in.
                return format!(
                    "step-down: cannot start the program anew as user {NOBODY} in group {gid}: {error}"
                );
            }
            Err(why) => eprintln!("ringmaster: goes on as root: {why}"),
        }
    }
    format!("step-down: cannot start the program anew: {}", program().exec())
}

/// The group again, if this process may become somebody else at all. It is asked beforehand, since who tries and may only
/// half of it stays half changed.
fn may_join(gid: u32) -> Result<u32, String> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    match capabilities(&status) & BECOMING_ANOTHER {
        BECOMING_ANOTHER => Ok(gid),
        _ => Err("it has not both of the capabilities SETUID and SETGID".to_owned()),
    }
}

/// The capabilities that count, from what the kernel says of a process; none where it does not say.
fn capabilities(status: &str) -> u64 {
    let set = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    set.and_then(|set| u64::from_str_radix(set.trim(), 16).ok()).unwrap_or(0)
}

/// The socket that the `docker` command will use; none where the engine is reached over the network.
fn socket_path(docker_host: Option<String>) -> Option<String> {
    match docker_host.filter(|host| !host.is_empty()) {
        None => Some(SOCKET.to_owned()),
        Some(host) => host.strip_prefix("unix://").map(str::to_owned),
    }
}

fn socket(path: &str) -> Option<Socket> {
    let found = fs::metadata(path).ok().filter(|it| it.file_type().is_socket())?;
    Some(Socket { uid: found.uid(), gid: found.gid(), mode: found.mode() })
}

/// The group to be in so that nobody may use this socket; without a socket, nobody's own.
fn group(socket: Option<Socket>) -> Result<u32, String> {
    // Connecting asks for the right to write.
    let (by_group, by_all) = (0o020, 0o002);
    match socket {
        None => Ok(NOBODY),
        Some(it) if it.mode & by_all != 0 && it.gid != NOBODY => Ok(NOBODY),
        // The group counts before all others, and the owner before the group.
        Some(it) if it.mode & by_group != 0 && it.uid != NOBODY => Ok(it.gid),
        Some(it) => Err(format!(
            "the engine's socket is for user {} alone (mode {:03o}, group {})",
            it.uid,
            it.mode & 0o777,
            it.gid
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group_of(uid: u32, gid: u32, mode: u32) -> Result<u32, String> {
        group(Some(Socket { uid, gid, mode: 0o140_000 | mode }))
    }

    #[test]
    fn nobody_joins_the_group_that_may_write_to_the_socket() {
        assert_eq!(group_of(0, 998, 0o660), Ok(998));
        // As Docker Desktop and a rootless engine show it to a container.
        assert_eq!(group_of(0, 0, 0o660), Ok(0));
    }

    #[test]
    fn a_socket_that_is_for_all_or_not_there_needs_no_group() {
        assert_eq!(group_of(0, 998, 0o666), Ok(NOBODY));
        assert_eq!(group(None), Ok(NOBODY));
    }

    #[test]
    fn a_socket_for_its_owner_alone_is_told_with_what_it_is() {
        for (uid, gid, mode) in [(0, 0, 0o600), (0, 998, 0o640), (NOBODY, 998, 0o060)] {
            let why = group_of(uid, gid, mode).unwrap_err();
            assert!(why.contains(&format!("for user {uid} alone (mode {mode:03o}, group {gid})")), "{why}");
        }
    }

    #[test]
    fn capabilities_are_read_from_what_the_kernel_says() {
        let status = "Name:\tringmaster\nCapPrm:\t000001ffffffffff\nCapEff:\t00000000000000c0\nCapBnd:\tff\n";
        assert_eq!(capabilities(status), BECOMING_ANOTHER);
        assert_eq!(capabilities(""), 0);
        assert_eq!(capabilities("CapEff:\tnone\n"), 0);
    }

    #[test]
    fn an_engine_elsewhere_has_no_socket_here() {
        let path = |host: &str| socket_path(Some(host.to_owned()));
        assert_eq!(socket_path(None).as_deref(), Some(SOCKET));
        assert_eq!(path("").as_deref(), Some(SOCKET));
        assert_eq!(path("unix:///run/user/1000/docker.sock").as_deref(), Some("/run/user/1000/docker.sock"));
        assert_eq!(path("tcp://socket-proxy:2375"), None);
    }
}
