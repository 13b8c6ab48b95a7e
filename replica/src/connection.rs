//! One connection from its first request to its close.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use crate::answer::{answer_to, answer_to_refused};
use crate::incoming::{End, Incoming};
use crate::request::{Framing, Head};

/// How long a silent connection is kept. Longer than the balancer keeps an idle one, so that the balancer closes
/// first and never sends a request into a connection that is just being closed here.
const READ_TIMEOUT: Duration = Duration::from_secs(75);

/// How long a client may leave an answer lying. Answers fit into the send buffer of a socket; one that does not
/// leave for this long is not being read.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// How long the rest of what a client sends is read after the last answer, and at most how much of it. Closing with
/// bytes unread resets the connection, and a reset can take the answer away before the client has read it.
const LINGER_TIME: Duration = Duration::from_secs(1);
const LINGER_BYTES: u64 = 1024 * 1024;

/// Answers the requests of a connection in their order until one side ends it.
pub(crate) fn serve(stream: &TcpStream, server_id: &str) -> io::Result<()> {
    // Every answer is one write; holding it back to fill a packet would only delay it.
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(READ_TIMEOUT))?;
    stream.set_write_timeout(Some(WRITE_TIMEOUT))?;

    let (mut incoming, mut outgoing) = (Incoming::new(stream), stream);
    loop {
        match next_request(&mut incoming, outgoing) {
            Ok(head) => {
                outgoing.write_all(&answer_to(&head, server_id).to_bytes(&head))?;
                if !head.keep_alive {
                    return linger(stream);
                }
            }
            Err(End::Refused(refusal)) => {
                outgoing.write_all(&answer_to_refused(refusal).to_closing_bytes())?;
                return linger(stream);
            }
            Err(End::Gone) => return Ok(()),
        }
    }
}

/// Reads one request with its body, which no endpoint has a use for.
fn next_request(incoming: &mut Incoming<&TcpStream>, mut outgoing: &TcpStream) -> Result<Head, End> {
    let head = incoming.head()?;
    if head.expects_continue && head.body != Framing::Length(0) {
        outgoing.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
    }
    incoming.skip_body(head.body)?;
    Ok(head)
}

fn linger(mut stream: &TcpStream) -> io::Result<()> {
    stream.shutdown(Shutdown::Write)?;
    stream.set_read_timeout(Some(LINGER_TIME))?;
    let deadline = Instant::now() + LINGER_TIME;
    let mut rest = Read::take(&mut stream, LINGER_BYTES);
    let mut buffer = [0; 4096];
    while Instant::now() < deadline && rest.read(&mut buffer)? > 0 {}
    Ok(())
}
