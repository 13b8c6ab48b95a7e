//! What the system knows about our connections: who is connected, how much came and how much of what we sent arrived.
//!
//! tiny_http tells nobody of a connection before its first request is complete. The kernel's socket diagnosis
//! (`sock_diag(7)`, what `ss` reads) lists all connections of a port in one go, with their counters.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsRawFd, OwnedFd};

use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, setsockopt, socket, sockopt,
};
use nix::sys::time::TimeVal;

/// `SOCK_DIAG_BY_FAMILY`, `NLM_F_REQUEST | NLM_F_DUMP`, `NLMSG_ERROR`, `NLMSG_DONE`: linux/sock_diag.h and
/// linux/netlink.h.
const BY_FAMILY: u16 = 20;
const REQUEST_DUMP: u16 = 0x301;
const ERROR: u16 = 2;
const DONE: u16 = 3;

/// `INET_DIAG_INFO`, and the bit that asks for it: linux/inet_diag.h.
const INFO: u16 = 2;
const WANT_INFO: u8 = 1 << (INFO - 1);

/// The states in which a client has a connection with us, and in the second has said that it will send no more.
const ESTABLISHED: u8 = 1;
const CLOSE_WAIT: u8 = 8;
const STATES: u32 = 1 << ESTABLISHED | 1 << CLOSE_WAIT;

/// A client has asked for a connection, and the last word of that is on its way.
const HANDSHAKE: u32 = 1 << 3;

const TCP: u8 = 6;

/// Sizes of `nlmsghdr` and `inet_diag_msg`, and where `tcp_info` has `tcpi_bytes_acked` and `tcpi_bytes_received`.
const HEADER: usize = 16;
const MESSAGE: usize = 72;
const ACKED: usize = 120;
const RECEIVED: usize = 128;

/// Longest wait for the kernel's answer, which takes microseconds.
const PATIENCE_S: i64 = 1;

/// One connection, at one moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Seen {
    /// The client's end.
    pub(super) peer: SocketAddr,
    /// Bytes that came.
    pub(super) received: u64,
    /// Bytes of ours that have arrived.
    pub(super) acknowledged: u64,
    /// The client has said that it will send no more.
    pub(super) finished: bool,
}

/// Asks about the connections of one port.
pub(super) struct Survey {
    socket: OwnedFd,
    family: AddressFamily,
    port: u16,
}

impl Survey {
    /// Connections to `address`'s port, of its address family.
    ///
    /// # Errors
    /// The system has no socket diagnosis.
    pub(super) fn of(address: SocketAddr) -> io::Result<Survey> {
        let family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
        let (kind, protocol) = (SockType::Datagram, SockProtocol::NetlinkSockDiag);
        let socket = socket(AddressFamily::Netlink, kind, SockFlag::SOCK_CLOEXEC, protocol)?;
        setsockopt(&socket, sockopt::ReceiveTimeout, &TimeVal::new(PATIENCE_S, 0))?;
        Ok(Survey { socket, family, port: address.port() })
    }

    /// All of them, as they are now.
    ///
    /// # Errors
    /// The kernel does not answer, or not in a way that is understood.
    pub(super) fn take(&self) -> io::Result<Vec<Seen>> {
        let mut seen = Vec::new();
        self.ask(STATES, |body| {
            seen.extend(read_connection(body)?);
            Ok(())
        })?;
        Ok(seen)
    }

    /// Whether connections are about to come about.
    ///
    /// # Errors
    /// As [`Survey::take`].
    pub(super) fn sees_handshakes(&self) -> io::Result<bool> {
        let mut seen = false;
        self.ask(HANDSHAKE, |_| {
            seen = true;
            Ok(())
        })?;
        Ok(seen)
    }

    /// Asks for the connections in `states` and hands on what the kernel says of each.
    fn ask(&self, states: u32, mut each: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        let descriptor = self.socket.as_raw_fd();
        send(descriptor, &question(self.family as u8, self.port, states), MsgFlags::empty())?;
        // The kernel answers in parts of 32 KiB at most.
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let n = recv(descriptor, &mut buffer, MsgFlags::empty())?;
            if !read_part(&buffer[..n], &mut each)? {
                return Ok(());
            }
        }
    }
}

/// `nlmsghdr` and `inet_diag_req_v2`.
fn question(family: u8, port: u16, states: u32) -> Vec<u8> {
    const LENGTH: u32 = 72;
    let mut bytes = Vec::with_capacity(LENGTH as usize);
    bytes.extend_from_slice(&LENGTH.to_ne_bytes());
    bytes.extend_from_slice(&BY_FAMILY.to_ne_bytes());
    bytes.extend_from_slice(&REQUEST_DUMP.to_ne_bytes());
    // Sequence number and port id are for those who ask several things at once.
    bytes.extend_from_slice(&[0; 8]);
    bytes.extend_from_slice(&[family, TCP, WANT_INFO, 0]);
    bytes.extend_from_slice(&states.to_ne_bytes());
    bytes.extend_from_slice(&port.to_be_bytes());
    bytes.resize(LENGTH as usize, 0);
    bytes
}

/// Reads one part of the answer; whether more will come.
fn read_part(mut part: &[u8], each: &mut impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<bool> {
    while part.len() >= HEADER {
        let length = number32(part, 0)? as usize;
        let body = part.get(HEADER..length).ok_or_else(malformed)?;
        match number16(part, 4)? {
            DONE => return Ok(false),
            ERROR => return Err(io::Error::from_raw_os_error(-(number32(body, 0)? as i32))),
            BY_FAMILY => each(body)?,
            _ => {}
        }
        part = part.get(aligned(length)..).unwrap_or_default();
    }
    Ok(true)
}

/// Reads `inet_diag_msg` and the `tcp_info` behind it; `None` for a kernel that gives none.
fn read_connection(body: &[u8]) -> io::Result<Option<Seen>> {
    let port = u16::from_be_bytes(array(body, 6)?);
    let ip: IpAddr = match i32::from(*body.first().ok_or_else(malformed)?) {
        family if family == AddressFamily::Inet as i32 => Ipv4Addr::from(array::<4>(body, 24)?).into(),
        _ => Ipv6Addr::from(array::<16>(body, 24)?).into(),
    };
    let mut attributes = body.get(MESSAGE..).unwrap_or_default();
    while attributes.len() >= 4 {
        let length = number16(attributes, 0)? as usize;
        let value = attributes.get(4..length).ok_or_else(malformed)?;
        if number16(attributes, 2)? == INFO && value.len() >= RECEIVED + 8 {
            return Ok(Some(Seen {
                peer: SocketAddr::new(ip, port),
                received: u64::from_ne_bytes(array(value, RECEIVED)?),
                acknowledged: u64::from_ne_bytes(array(value, ACKED)?),
                finished: body.get(1) == Some(&CLOSE_WAIT),
            }));
        }
        attributes = attributes.get(aligned(length)..).unwrap_or_default();
    }
    Ok(None)
}

/// Netlink aligns everything to four bytes.
fn aligned(length: usize) -> usize {
    length.next_multiple_of(4)
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> io::Result<[u8; N]> {
    bytes.get(at..at + N).and_then(|part| part.try_into().ok()).ok_or_else(malformed)
}

fn number16(bytes: &[u8], at: usize) -> io::Result<u16> {
    array(bytes, at).map(u16::from_ne_bytes)
}

fn number32(bytes: &[u8], at: usize) -> io::Result<u32> {
    array(bytes, at).map(u32::from_ne_bytes)
}

fn malformed() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the kernel's answer is not understood")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::{Shutdown, TcpListener, TcpStream};

    #[test]
    fn sees_who_is_connected_and_what_has_passed() {
        for bind in ["127.0.0.1:0", "[::1]:0"] {
            let listener = TcpListener::bind(bind).unwrap();
            let survey = Survey::of(listener.local_addr().unwrap()).unwrap();
            assert_eq!(survey.take().unwrap(), []);
            let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let (mut server, peer) = listener.accept().unwrap();
            client.write_all(b"hello").unwrap();
            server.read_exact(&mut [0; 5]).unwrap();
            let seen = survey.take().unwrap();
            assert_eq!((seen.len(), seen[0].peer, seen[0].received), (1, peer, 5), "{bind}");
            let before = seen[0].acknowledged;
            server.write_all(b"abc").unwrap();
            client.read_exact(&mut [0; 3]).unwrap();
            let seen = survey.take().unwrap()[0];
            assert_eq!((seen.acknowledged, seen.finished), (before + 3, false), "{bind}");
            server.shutdown(Shutdown::Read).unwrap();
            assert!(!survey.take().unwrap()[0].finished, "that was we");
            client.shutdown(Shutdown::Write).unwrap();
            assert!(survey.take().unwrap()[0].finished, "{bind}");
        }
    }

    #[test]
    fn many_connections_come_in_several_parts() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let pairs: Vec<_> =
            (0..300).map(|_| (TcpStream::connect(address).unwrap(), listener.accept().unwrap())).collect();
        assert_eq!(Survey::of(address).unwrap().take().unwrap().len(), pairs.len());
    }

    #[test]
    fn an_answer_that_is_none_is_an_error_and_no_panic() {
        let mut seen = Vec::new();
        let mut each = |body: &[u8]| {
            seen.extend(read_connection(body)?);
            Ok(())
        };
        assert!(read_part(&[], &mut each).unwrap());
        for length in [0_u32, 15, 16, 17, 1000] {
            for kind in [BY_FAMILY, ERROR, 77] {
                let mut bytes = [length.to_ne_bytes().as_slice(), &kind.to_ne_bytes()].concat();
                bytes.resize(17, 0xff);
                let read = read_part(&bytes, &mut each);
                assert!(read.is_err() || (kind == 77 && length >= 16), "{length} {kind}");
            }
        }
        assert_eq!(seen, []);
    }
}
