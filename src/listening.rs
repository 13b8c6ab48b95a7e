//! The socket on which clients come in, before anybody serves there: opened as the only one of its port, or beside that
//! of a predecessor which is to be relieved.
//!
//! Every balancer lets others of the same user share its port (`SO_REUSEPORT`), and the system then spreads new
//! connections over all that listen. Whether one may join is asked of the one that comes: it says so or is refused.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;

use socket2::{Domain, SockFilter, SockRef, Socket, Type};

/// The sockets of a balancer: where clients come in, and where those of the admin side do if that has an address of its own.
#[derive(Debug)]
pub struct Doors {
    /// Everybody's, or all but the admin side's.
    pub traffic: TcpListener,
    /// The admin side's own.
    pub admin: Option<TcpListener>,
}

/// Opens the socket of `address`. With `take_over` there may be others already, and it does not listen yet, so that
/// nobody is led to it before it can serve; `listen` on it begins that.
///
/// # Errors
/// The address is taken or not ours.
pub fn open(address: SocketAddr, take_over: bool) -> io::Result<TcpListener> {
    if !take_over {
        // Alone at first, or starting a second one by mistake would pass for intended.
        let socket = TcpListener::bind(address)?;
        SockRef::from(&socket).set_reuse_port(true)?;
        return Ok(socket);
    }
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    // As std does: what is left of earlier connections is in nobody's way.
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.bind(&address.into())?;
    Ok(TcpListener::from(OwnedFd::from(socket)))
}

/// From now on nobody new comes in at `socket`, and nobody is told so: who tries is not answered and tries again, after
/// a second as a rule, when another one listens or the port is closed. Connections that have begun come about.
///
/// # Errors
/// The system has no such filters.
pub fn hold_off(socket: &TcpListener) -> io::Result<()> {
    /// Classic BPF: load a byte, jump if it has these bits, return how much of the packet is let through.
    const LOAD_BYTE: u16 = 0x30;
    const JUMP_IF_SET: u16 = 0x45;
    const RETURN: u16 = 0x06;
    /// Where a TCP header has its flags, and the one with which a connection begins.
    const FLAGS: u32 = 13;
    const SYN: u32 = 0x02;
    SockRef::from(socket).attach_filter(&[
        SockFilter::new(LOAD_BYTE, 0, 0, FLAGS),
        SockFilter::new(JUMP_IF_SET, 0, 1, SYN),
        SockFilter::new(RETURN, 0, 0, 0),
        SockFilter::new(RETURN, 0, 0, u32::MAX),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{ErrorKind, Read, Write};
    use std::net::TcpStream;
    use std::time::Duration;

    const BOTH: [&str; 2] = ["127.0.0.1:0", "[::1]:0"];

    fn listen(socket: &TcpListener) {
        SockRef::from(socket).listen(128).unwrap();
    }

    #[test]
    fn only_who_takes_over_may_share_a_port() {
        for address in BOTH {
            let first = open(address.parse().unwrap(), false).unwrap();
            let address = first.local_addr().unwrap();
            assert_eq!(open(address, false).unwrap_err().kind(), ErrorKind::AddrInUse, "{address}");
            let second = open(address, true).unwrap();
            let client = TcpStream::connect(address).unwrap();
            assert_eq!(
                first.accept().unwrap().1,
                client.local_addr().unwrap(),
                "the second does not listen yet"
            );
            listen(&second);
            let third = open(address, true).unwrap();
            listen(&third);
            drop((first, second));
            let client = TcpStream::connect(address).unwrap();
            assert_eq!(third.accept().unwrap().1, client.local_addr().unwrap());
            assert_eq!(open(address, false).unwrap_err().kind(), ErrorKind::AddrInUse, "{address}");
        }
    }

    #[test]
    fn who_takes_over_from_nobody_is_the_first() {
        let socket = open("127.0.0.1:0".parse().unwrap(), true).unwrap();
        let address = socket.local_addr().unwrap();
        listen(&socket);
        TcpStream::connect(address).unwrap();
        assert_eq!(open(address, false).unwrap_err().kind(), ErrorKind::AddrInUse);
    }

    #[test]
    fn who_is_held_off_hears_nothing_and_who_is_there_is_served() {
        for address in BOTH {
            let socket = open(address.parse().unwrap(), false).unwrap();
            let address = socket.local_addr().unwrap();
            let mut early = TcpStream::connect(address).unwrap();
            hold_off(&socket).unwrap();
            // A time that passes whole: nothing is to happen in it.
            let late = TcpStream::connect_timeout(&address, Duration::from_millis(50));
            assert_eq!(late.unwrap_err().kind(), ErrorKind::TimedOut, "{address}");
            let mut served = socket.accept().unwrap().0;
            early.write_all(b"x").unwrap();
            served.read_exact(&mut [0]).unwrap();
        }
    }
}
