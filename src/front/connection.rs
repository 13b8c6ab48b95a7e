//! What tiny_http cannot do to a connection and a proxy must: end it for good, and answer on it without first
//! reading the rest of a body.
//!
//! tiny_http keeps its sockets to itself. But a process may look through its own descriptors, and a request that is
//! held keeps its connection's descriptors open: the one whose two ends are those of the request is that
//! connection's, and stays so until the request is dropped.

use std::net::SocketAddr;
use std::os::fd::RawFd;

use nix::sys::socket::{
    AddressFamily, MsgFlags, Shutdown, SockaddrLike, SockaddrStorage, getpeername, getsockname, send,
    shutdown,
};

/// The two ends of a client's connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Connection {
    peer: SocketAddr,
    local_port: u16,
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
    /// Call it only while the request that came over it is held.
    pub(super) fn sever(&self) {
        match self.descriptor() {
            Some(descriptor) => {
                let _ = shutdown(descriptor, Shutdown::Both);
            }
            None => log::debug!("no open connection from {}", self.peer),
        }
    }

    /// Writes `bytes` past tiny_http and ends the connection. For the last answer on a connection whose request body
    /// is not going to be read. Call it only while the request is held.
    pub(super) fn send_and_sever(&self, bytes: &[u8]) {
        let Some(descriptor) = self.descriptor() else {
            return;
        };
        // A fresh connection's send buffer takes an error page whole; a client that lets it fill up gets a part.
        let _ = send(descriptor, bytes, MsgFlags::MSG_NOSIGNAL | MsgFlags::MSG_DONTWAIT);
        let _ = shutdown(descriptor, Shutdown::Both);
    }

    fn descriptor(&self) -> Option<RawFd> {
        let open = std::fs::read_dir("/proc/self/fd").ok()?;
        open.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
            .find(|&descriptor| self.is_at(descriptor))
    }

    fn is_at(&self, descriptor: RawFd) -> bool {
        let ends =
            || Some((address(getpeername(descriptor).ok()?)?, address(getsockname(descriptor).ok()?)?));
        ends().is_some_and(|(peer, local)| peer == self.peer && local.port() == self.local_port)
    }
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
    use std::io::{Read, Write};
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
            let (mut other_client, mut other_server, _other) = pair(bind);
            connection.send_and_sever(b"bye");
            let mut got = Vec::new();
            client.read_to_end(&mut got).unwrap();
            assert_eq!(got, b"bye");
            other_server.write_all(b"x").unwrap();
            other_client.read_exact(&mut [0]).unwrap();
        }
    }

    #[test]
    fn a_connection_that_is_gone_is_no_trouble() {
        let (client, server, connection) = pair("127.0.0.1:0");
        drop((client, server));
        connection.sever();
        connection.send_and_sever(b"x");
    }
}
