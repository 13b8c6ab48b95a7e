//! Somebody who reads the balancer's metrics once a second, as a monitoring system does, only more often.

use std::net::SocketAddr;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};

use crate::client::Client;

/// Where the metrics are.
const PATH: &str = "/_ringmaster/metrics";

/// Time from one reading to the next.
const EVERY: Duration = Duration::from_secs(1);

/// Reads the metrics over a kept connection for as long as `work` takes; returns what that returns, and how often they
/// were read.
///
/// # Errors
/// Those of `work`, or the metrics could not be read.
pub fn beside<T>(address: SocketAddr, work: impl FnOnce() -> Result<T>) -> Result<(T, u64)> {
    let (end, ended) = mpsc::channel();
    thread::scope(|scope| {
        let scraper = scope.spawn(move || scrape(address, &ended));
        let done = work();
        drop(end);
        let scrapes = scraper.join().map_err(|_| anyhow!("the thread that reads the metrics panicked"))?;
        Ok((done?, scrapes.context("read the metrics")?))
    })
}

/// Reads them until the other end of `ended` is gone, and at least once.
fn scrape(address: SocketAddr, ended: &Receiver<()>) -> Result<u64> {
    let mut client = Client::connect(address)?;
    for count in 1.. {
        let begin = Instant::now();
        let answer = client.get(PATH)?;
        ensure!(answer.status == 200, "{PATH} was answered with {}", answer.status);
        if ended.recv_timeout(EVERY.saturating_sub(begin.elapsed())) == Err(RecvTimeoutError::Disconnected) {
            return Ok(count);
        }
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Write};
    use std::net::TcpListener;

    use super::*;

    /// Answers each request on one connection with this status; returns how many there were.
    fn answer_all(listener: &TcpListener, status: u16) -> usize {
        let (mut stream, _) = listener.accept().unwrap();
        let lines = BufReader::new(stream.try_clone().unwrap()).lines();
        let ends = lines.map_while(Result::ok).filter(String::is_empty);
        ends.map(|_| write!(stream, "HTTP/1.1 {status} X\r\nContent-Length: 2\r\n\r\nx\n").unwrap()).count()
    }

    #[test]
    fn metrics_are_read_while_something_is_done_and_no_longer() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = thread::spawn(move || answer_all(&listener, 200));
        let work = || {
            thread::sleep(EVERY * 3 / 2);
            Ok("done")
        };
        let (done, scrapes) = beside(address, work).unwrap();
        assert_eq!((done, scrapes), ("done", server.join().unwrap() as u64));
        assert!(scrapes >= 1, "{scrapes}");
    }

    #[test]
    fn metrics_that_cannot_be_read_are_an_error() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = thread::spawn(move || answer_all(&listener, 404));
        let error = beside(address, || Ok(())).unwrap_err();
        assert!(format!("{error:#}").contains("404"), "{error:#}");
        assert_eq!(server.join().unwrap(), 1);
    }
}
