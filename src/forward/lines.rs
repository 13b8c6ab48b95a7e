//! The open connections to the replicas, so that requests on one that has failed can be set free.
//!
//! A replica that hangs says nothing, and whoever waits for its answer would do so until its connection ends: when it is
//! killed, which an engine may take long for, or at the end of the request's time. Its connections are cut as soon as it
//! is known to have failed instead, and the retry rule decides what becomes of the requests.

use std::collections::HashMap;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

/// How long a request may be on its way to a replica that it was given before it enters its connection: longer than any
/// connecting may take.
const LONGEST_WAY: Duration = Duration::from_secs(120);

/// All connections, by the replica's address; clones share them. The lock is taken when a connection is made and when
/// some are cut, for as long as it takes to go through those of one address.
#[derive(Clone, Default, Debug)]
pub struct Lines(Arc<Mutex<Open>>);

#[derive(Default, Debug)]
struct Open {
    by_address: HashMap<SocketAddr, Vec<Weak<Line>>>,
    /// When connections to an address were cut last, for those that were on their way at that moment.
    cut: HashMap<SocketAddr, Instant>,
    /// So many addresses make it worth while to look which of them are still in use.
    many: usize,
}

impl Open {
    /// Forgets what has been dropped: of one address each time, of all only when they have become twice as many, so that
    /// entering one costs little however many there are.
    fn tidy(&mut self, address: SocketAddr) -> &mut Vec<Weak<Line>> {
        let is_open = |line: &Weak<Line>| line.strong_count() > 0;
        if self.by_address.len() > self.many {
            self.by_address.retain(|_, lines| lines.iter().any(is_open));
            self.many = 2 * self.by_address.len() + 16;
        }
        let lines = self.by_address.entry(address).or_default();
        lines.retain(is_open);
        lines
    }
}

/// One connection to a replica.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) stream: TcpStream,
    cut: AtomicBool,
}

impl Line {
    fn end(&self) {
        self.cut.store(true, Relaxed);
        // An error means that it has ended already.
        let _ = self.stream.shutdown(Shutdown::Both);
    }

    /// Whether its end was our doing: then it says nothing about the length of an answer.
    pub(super) fn was_cut(&self) -> bool {
        self.cut.load(Relaxed)
    }
}

impl Lines {
    fn lock(&self) -> MutexGuard<'_, Open> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Enters a connection that was made for a request which was under way at `since`; it is forgotten when it is dropped.
    /// If the others were cut after that, it is too.
    pub(super) fn enter(&self, address: SocketAddr, stream: TcpStream, since: Instant) -> Arc<Line> {
        let line = Arc::new(Line { stream, cut: AtomicBool::new(false) });
        let mut open = self.lock();
        if open.cut.get(&address).is_some_and(|cut| *cut >= since) {
            line.end();
        }
        open.tidy(address).push(Arc::downgrade(&line));
        line
    }

    /// Ends all connections to `address`, those that carry a request too; returns how many there were.
    pub fn cut(&self, address: SocketAddr) -> usize {
        let now = Instant::now();
        let mut open = self.lock();
        open.cut.retain(|_, cut| now.saturating_duration_since(*cut) < LONGEST_WAY);
        open.cut.insert(address, now);
        let lines = open.by_address.remove(&address).unwrap_or_default();
        drop(open);
        lines.iter().filter_map(Weak::upgrade).map(|line| line.end()).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::net::TcpListener;

    #[test]
    fn those_to_one_address_end_and_the_others_do_not() {
        let (one, other) =
            (TcpListener::bind("127.0.0.1:0").unwrap(), TcpListener::bind("127.0.0.1:0").unwrap());
        let lines = Lines::default();
        let connect = |to: &TcpListener| {
            let address = to.local_addr().unwrap();
            lines.enter(address, TcpStream::connect(address).unwrap(), Instant::now())
        };
        let before = Instant::now();
        let (first, second, kept, gone) = (connect(&one), connect(&one), connect(&other), connect(&one));
        drop(gone);
        assert_eq!(lines.cut(one.local_addr().unwrap()), 2);
        for line in [first, second] {
            assert!(line.was_cut());
            assert_eq!((&line.stream).read(&mut [0]).unwrap(), 0);
        }
        assert!(!kept.was_cut());
        assert_eq!(lines.cut(one.local_addr().unwrap()), 0, "they are forgotten");
        let late = lines.enter(
            one.local_addr().unwrap(),
            TcpStream::connect(one.local_addr().unwrap()).unwrap(),
            before,
        );
        assert!(late.was_cut(), "it was on its way");
        drop(late);
        let again = connect(&one);
        assert!(!again.was_cut(), "who has the address next is another");
        assert_eq!(lines.lock().by_address.len(), 2);
    }

    #[test]
    fn what_was_dropped_is_forgotten() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (lines, connection) = (Lines::default(), TcpStream::connect(address).unwrap());
        for _ in 0..100 {
            drop(lines.enter(address, connection.try_clone().unwrap(), Instant::now()));
        }
        assert_eq!(lines.lock().by_address[&address].len(), 1);
        for port in 1..1000 {
            drop(lines.enter(([127, 0, 0, 2], port).into(), connection.try_clone().unwrap(), Instant::now()));
        }
        assert!(lines.lock().by_address.len() <= 20, "{}", lines.lock().by_address.len());
    }
}
