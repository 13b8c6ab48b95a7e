//! What tiny_http cannot do to a connection and a proxy must: end it for good, answer on it without first reading the
//! rest of a body, and see whether its client has gone.
//!
//! tiny_http keeps its sockets to itself. But a process may look through its own descriptors: the one whose two ends
//! are those of the connection is the connection's. A number alone would not do, since another thread may close it
//! and the system give it to another connection between the look and the act. So the descriptor is first duplicated,
//! by sending it to ourselves over a socket pair, and then the duplicate is looked at and acted on.

use std::collections::HashSet;
use std::io::{self, IoSlice, IoSliceMut, Write};
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, RawFd};

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, Shutdown, SockFlag, SockType, SockaddrLike,
    SockaddrStorage, getpeername, getsockname, recv, recvmsg, send, sendmsg, shutdown, socketpair,
};

use super::survey::Survey;

/// Most bytes that are thrown away of what a client had sent when its connection is ended: more than the system keeps
/// of a connection by default (6 MiB).
const MOST_THROWN_AWAY: usize = 8 * 1024 * 1024;

/// The two ends of a client's connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Connection {
    peer: SocketAddr,
    local_port: u16,
}

/// A descriptor of our own for a connection's socket; closed when it is dropped.
struct Duplicate(RawFd);

impl Drop for Duplicate {
    fn drop(&mut self) {
        let _ = nix::unistd::close(self.0);
    }
}

impl Connection {
    /// The connection from `peer` to our port.
    pub(super) fn new(peer: SocketAddr, local_port: u16) -> Connection {
        Connection { peer, local_port }
    }

    /// Who is at the other end.
    pub(super) fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// Ends the connection: nothing more is read from it or written to it. What was written before still arrives.
    pub(super) fn sever(&self) {
        self.send_and_sever(&[]);
    }

    /// Writes `bytes` past tiny_http and ends the connection. For the last answer on a connection whose request is no
    /// sound one; nobody else may be writing to it.
    pub(super) fn send_and_sever(&self, bytes: &[u8]) {
        if let Some(socket) = self.socket() {
            // A fresh connection's send buffer takes an error whole; a client that lets it fill up gets a part.
            let _ = socket.send_now(bytes);
            socket.sever();
        }
    }

    /// A way to write to the client past tiny_http; nobody else may be writing.
    pub(super) fn socket(&self) -> Option<Socket> {
        self.find().map(Socket)
    }

    /// Whether the client has said that it will send no more, and everything it sent was read.
    pub(super) fn has_ended(&self) -> bool {
        let peek = |socket: Duplicate| recv(socket.0, &mut [0], MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT);
        self.find().is_none_or(|socket| peek(socket) == Ok(0)) && self.client_has_finished()
    }

    /// tiny_http ends its own side of a connection early when no further request is to come, which looks the same from
    /// here; the system knows who it was.
    fn client_has_finished(&self) -> bool {
        let seen =
            Survey::of(SocketAddr::new(self.peer.ip(), self.local_port)).and_then(|survey| survey.take());
        seen.map_or(true, |seen| !seen.iter().any(|seen| seen.peer == self.peer && !seen.finished))
    }

    /// Whether we have ended the connection. Another one may come from the same address and port soon after.
    pub(super) fn is_severed(&self) -> bool {
        // Sends nothing, and fails at once on a socket that was shut down.
        let flags = MsgFlags::MSG_NOSIGNAL | MsgFlags::MSG_DONTWAIT;
        self.find().is_none_or(|socket| send(socket.0, &[], flags) == Err(Errno::EPIPE))
    }

    fn find(&self) -> Option<Duplicate> {
        open_descriptors()
            .filter(|&descriptor| self.is_at(descriptor))
            .filter_map(duplicate)
            .find(|copy| self.is_at(copy.0))
    }

    fn is_at(&self, descriptor: RawFd) -> bool {
        peer_at(descriptor, self.local_port) == Some(self.peer)
    }
}

/// Ends the connections of these clients to our port, in one walk through the descriptors.
pub(super) fn sever_all(peers: &HashSet<SocketAddr>, local_port: u16) {
    let is_one = |descriptor| peer_at(descriptor, local_port).is_some_and(|peer| peers.contains(&peer));
    let copies = open_descriptors().filter(|&descriptor| is_one(descriptor)).filter_map(duplicate);
    // tiny_http has two descriptors for each; the second time nobody is at the other end any more.
    copies.filter(|copy| is_one(copy.0)).for_each(|copy| Socket(copy).sever());
}

/// The clients with a connection to our port that have sent nothing that waits to be read.
pub(super) fn silent(local_port: u16) -> HashSet<SocketAddr> {
    let is_ours = |descriptor| peer_at(descriptor, local_port).is_some();
    let copies = open_descriptors().filter(|&descriptor| is_ours(descriptor)).filter_map(duplicate);
    copies.filter(|copy| !has_unread(copy)).filter_map(|copy| peer_at(copy.0, local_port)).collect()
}

/// Whether the client has sent something that nobody has read yet.
fn has_unread(socket: &Duplicate) -> bool {
    recv(socket.0, &mut [0], MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT).is_ok_and(|n| n > 0)
}

/// How many connections to our port this process has.
pub(super) fn count_open(local_port: u16) -> usize {
    open_descriptors()
        .filter_map(|descriptor| peer_at(descriptor, local_port))
        .collect::<HashSet<SocketAddr>>()
        .len()
}

/// How many connections to our port have ended at both sides and still have their descriptors.
pub(super) fn dead(local_port: u16) -> usize {
    let is_ours = |descriptor| {
        let local = getsockname(descriptor).ok().and_then(address);
        local.is_some_and(|local| local.port() == local_port)
    };
    let is_dead = |descriptor: &RawFd| {
        getpeername::<SockaddrStorage>(*descriptor) == Err(Errno::ENOTCONN) && is_ours(*descriptor)
    };
    // Each has two. (The few descriptors of the listening socket look the same.)
    open_descriptors().filter(is_dead).count() / 2
}

/// All descriptors of this process; when the system lets us see none, there are none.
fn open_descriptors() -> impl Iterator<Item = RawFd> {
    let open = std::fs::read_dir("/proc/self/fd").into_iter().flatten();
    open.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}

/// Who is at the other end of a connection to our port.
fn peer_at(descriptor: RawFd, local_port: u16) -> Option<SocketAddr> {
    let peer = address(getpeername(descriptor).ok()?)?;
    let local = address(getsockname(descriptor).ok()?)?;
    Some(peer).filter(|_| local.port() == local_port)
}

/// The connection's socket, to be written to directly.
pub(super) struct Socket(Duplicate);

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(send(self.0.0, bytes, MsgFlags::MSG_NOSIGNAL)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What is left of what a client sends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Rest {
    /// Nothing: the client has finished, or gone.
    Ended,
    /// More may come.
    Open,
}

impl Socket {
    /// Writes as much as there is room for now.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] when there is none; the connection is broken.
    pub(super) fn send_now(&self, bytes: &[u8]) -> io::Result<usize> {
        Ok(send(self.0.0, bytes, MsgFlags::MSG_NOSIGNAL | MsgFlags::MSG_DONTWAIT)?)
    }

    /// Ends the connection; what the client had sent is thrown away. If it is still sending, it is told so by a reset, which
    /// may overtake what was sent to it last.
    pub(super) fn sever(&self) {
        let _ = shutdown(self.0.0, Shutdown::Both);
        // What had arrived would still be read, and taken for requests.
        self.throw_away();
    }

    /// Says that nothing more will come from us.
    pub(super) fn finish(&self) {
        let _ = shutdown(self.0.0, Shutdown::Write);
    }

    /// Whoever reads from the connection finds its end, behind what has come already.
    pub(super) fn stop_reading(&self) {
        let _ = shutdown(self.0.0, Shutdown::Read);
    }

    /// Throws away what the client has sent by now.
    pub(super) fn throw_away(&self) -> Rest {
        let (mut buffer, mut thrown_away) = ([0; 8 * 1024], 0);
        while thrown_away < MOST_THROWN_AWAY {
            match recv(self.0.0, &mut buffer, MsgFlags::MSG_DONTWAIT) {
                Ok(n) if n > 0 => thrown_away += n,
                Err(Errno::EAGAIN | Errno::EINTR) => return Rest::Open,
                _ => return Rest::Ended,
            }
        }
        Rest::Open
    }
}

fn duplicate(descriptor: RawFd) -> Option<Duplicate> {
    let (ours, theirs) =
        socketpair(AddressFamily::Unix, SockType::Datagram, None, SockFlag::SOCK_CLOEXEC).ok()?;
    let sent = [descriptor];
    let message = [ControlMessage::ScmRights(&sent)];
    sendmsg::<()>(ours.as_raw_fd(), &[IoSlice::new(b".")], &message, MsgFlags::empty(), None).ok()?;
    let (mut byte, mut space) = ([0], nix::cmsg_space!(RawFd));
    let mut parts = [IoSliceMut::new(&mut byte)];
    let flags = MsgFlags::MSG_CMSG_CLOEXEC;
    let received = recvmsg::<()>(theirs.as_raw_fd(), &mut parts, Some(&mut space), flags).ok()?;
    received.cmsgs().ok()?.find_map(|message| match message {
        ControlMessageOwned::ScmRights(descriptors) => descriptors.first().copied().map(Duplicate),
        _ => None,
    })
}

fn address(storage: SockaddrStorage) -> Option<SocketAddr> {
    match storage.family()? {
        AddressFamily::Inet => Some(SocketAddr::V4((*storage.as_sockaddr_in()?).into())),
        AddressFamily::Inet6 => Some(SocketAddr::V6((*storage.as_sockaddr_in6()?).into())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::net::{TcpListener, TcpStream};

    fn pair(bind: &str) -> (TcpStream, TcpStream, Connection) {
        let listener = TcpListener::bind(bind).unwrap();
        let local = listener.local_addr().unwrap();
        let client = TcpStream::connect(local).unwrap();
        let (server, peer) = listener.accept().unwrap();
        (client, server, Connection::new(peer, local.port()))
    }

    #[test]
    fn severs_the_right_connection_and_no_other() {
        for bind in ["127.0.0.1:0", "[::1]:0"] {
            let (mut client, _server, connection) = pair(bind);
            let (mut other_client, mut other_server, other) = pair(bind);
            assert!(!connection.is_severed());
            connection.send_and_sever(b"bye");
            assert!(connection.is_severed() && !other.is_severed());
            let mut got = Vec::new();
            client.read_to_end(&mut got).unwrap();
            assert_eq!(got, b"bye");
            other_server.write_all(b"x").unwrap();
            other_client.read_exact(&mut [0]).unwrap();
        }
    }

    #[test]
    fn what_had_arrived_is_thrown_away() {
        let (mut client, mut server, connection) = pair("127.0.0.1:0");
        client.write_all(&[b'x'; 100_000]).unwrap();
        connection.sever();
        let mut left = Vec::new();
        let _ = server.read_to_end(&mut left);
        // Loopback delivers before `write_all` returns, but for what is on its way in this very moment.
        assert!(left.len() < 100_000, "{}", left.len());
    }

    #[test]
    fn sees_whether_the_client_has_ended() {
        let (client, mut server, connection) = pair("127.0.0.1:0");
        assert!(!connection.has_ended());
        (&client).write_all(b"x").unwrap();
        client.shutdown(std::net::Shutdown::Write).unwrap();
        assert!(!connection.has_ended(), "something is to be read yet");
        server.read_exact(&mut [0]).unwrap();
        assert_eq!(server.read(&mut [0]).unwrap(), 0);
        assert!(connection.has_ended());
    }

    #[test]
    fn looking_leaves_no_descriptor_open() {
        let (_client, _server, connection) = pair("127.0.0.1:0");
        let copy = connection.find().unwrap();
        assert!(connection.is_at(copy.0));
        let number = copy.0;
        drop(copy);
        assert!(!connection.is_at(number) || connection.find().is_some_and(|other| other.0 != number));
    }

    #[test]
    fn a_connection_that_is_gone_is_no_trouble() {
        let (client, server, connection) = pair("127.0.0.1:0");
        drop((client, server));
        connection.sever();
        connection.send_and_sever(b"x");
    }
}
