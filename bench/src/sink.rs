//! A backend that takes and gives long bodies.

use std::io::{BufReader, ErrorKind, Read, Result, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::thread;

use anyhow::Context;

use crate::http::{self, Body, Head};
use crate::payload::{Payload, Tally};

/// How much is read at a time.
const BUFFER: usize = 64 * 1024;

/// Starts one. It runs until the process ends.
///
/// # Errors
/// It cannot listen.
pub fn start() -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("listen as a backend")?;
    let address = listener.local_addr()?;
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // What goes wrong on a connection is seen by the client behind the balancer.
            thread::spawn(|| serve(stream));
        }
    });
    Ok(address)
}

fn serve(stream: TcpStream) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut writer = stream.try_clone()?;
    let mut reader = BufReader::with_capacity(BUFFER, stream);
    while let Some(head) = http::read_head(&mut reader)? {
        let mut tally = Tally::default();
        copy(&mut Body::new(&head, &mut reader), &mut tally)?;
        answer(&head, &tally, &mut writer)?;
        if head.closes {
            break;
        }
    }
    Ok(())
}

fn answer(head: &Head, tally: &Tally, to: &mut TcpStream) -> Result<()> {
    let path = head.first.split(' ').nth(1).unwrap_or_default();
    let (kind, length) = path.rsplit_once('/').unwrap_or_default();
    match (kind, length.parse()) {
        ("/by-length", Ok(length)) => {
            write!(to, "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n")?;
            http::write_body(to, Payload::new(length), false)
        }
        ("/in-chunks", Ok(length)) => {
            write!(to, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
            http::write_body(to, Payload::new(length), true)
        }
        _ => {
            let text = tally.to_text();
            write!(to, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{text}", text.len())
        }
    }
}

/// Copies to the end with a buffer that is large enough not to matter.
///
/// # Errors
/// Reading or writing failed.
pub fn copy(from: &mut impl Read, to: &mut impl Write) -> Result<()> {
    let mut buffer = vec![0; BUFFER];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(read) => to.write_all(&buffer[..read])?,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
