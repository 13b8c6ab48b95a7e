//! Lets in the connections that tiny_http forgets at the door.
//!
//! tiny_http serves each connection on a thread of a pool, until the connection ends. When several arrive at once,
//! the pool counts an idle thread more than once and queues connections behind threads that may not come free for
//! as long as their keep-alive connections last: of eight opened together, four are never answered.
//!
//! The cure needs only what any client may do. A connection that is opened and closed at once, while no pool thread
//! is idle, makes the pool start a thread; that thread is done with it immediately and takes a waiting connection
//! from the queue. The doorman makes such connections after new clients have come, as long as they make the pool
//! start threads: when one more does not, an idle thread took it, and nobody can be waiting.
//!
//! It sees that clients have come from the system's count of accepted connections, a read of some 20 µs. Reading the
//! table of all connections instead would take milliseconds each time. The count is that of the whole network
//! namespace, so others' connections (a second balancer's doorman, say) call ours too; when that was for nothing, it
//! takes its time before it looks again.

use std::fs::File;
use std::io::Read;
use std::net::{Shutdown as Half, SocketAddr, TcpStream};
use std::ops::RangeInclusive;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::shutdown::Shutdown;

/// Shortest and longest time between two looks: while clients are coming, and otherwise.
const LOOKS: RangeInclusive<Duration> = Duration::from_millis(5)..=Duration::from_millis(50);

/// Time after which the doorman tries even though nobody seems to have come. It covers what the counts cannot show, a
/// pool thread that ended at the moment another was started, keeps tiny_http's accept call from ever waiting as long
/// as the listening socket's timeout, and notices when nobody accepts any more.
const ROUTINE: Duration = Duration::from_millis(250);

/// Most connections made at once. More would only queue.
const LARGEST_BATCH: usize = 64;

/// How long a connection of the doorman's may take to be served. One that takes longer stands in the queue itself,
/// and the next one will find no idle thread.
const PATIENCE: Duration = Duration::from_millis(20);

/// Batches in a row that may be given up; after that the listener has another trouble than this one.
const MOST_GIVEN_UP: usize = 5;

/// Rounds in a row in which nobody was let in until tiny_http is taken to accept no more: half a second and more.
const MOST_UNSERVED: usize = 3;

/// Shortest and longest pause between two times that accepting is begun again: each costs a few threads that stay,
/// and while what stopped it lasts (no descriptors, say) it will not succeed.
const REOPENINGS: RangeInclusive<Duration> = Duration::from_millis(500)..=Duration::from_secs(1);

/// Threads that are kept for those who come last.
const STANDBY: usize = 4;

/// What a round of visits showed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Round {
    /// The pool started threads: somebody may have been waiting.
    Grown,
    /// An idle thread took the visit: nobody can be waiting.
    Idle,
    /// No visit was served.
    Unserved,
}

/// Starts the doorman of the listener at `door`; it ends when `closed` begins. When tiny_http accepts no more, because
/// `is_lost` says so or because nobody is let in, it calls `reopen`.
///
/// # Errors
/// The system has no thread for it.
pub(super) fn start(
    door: SocketAddr,
    closed: Shutdown,
    is_lost: impl Fn() -> bool + Send + 'static,
    reopen: impl Fn() + Send + 'static,
) -> std::io::Result<JoinHandle<()>> {
    thread::Builder::new().name("doorman".into()).spawn(move || {
        let accepted = Accepted::open();
        let (mut seen, mut last) = (accepted.count(), Instant::now());
        let (mut pause, mut unserved) = (*LOOKS.end(), 0);
        let (mut reopening, mut not_before) = (*REOPENINGS.start(), Instant::now());
        while !closed.sleep(pause) {
            if (is_lost() || unserved >= MOST_UNSERVED) && Instant::now() >= not_before {
                // tiny_http panics where the system has no thread for it.
                if catch_unwind(AssertUnwindSafe(&reopen)).is_err() {
                    log::error!("accepting connections could not begin again");
                }
                unserved = 0;
                not_before = Instant::now() + reopening;
                reopening = (reopening * 2).min(*REOPENINGS.end());
            }
            let now = accepted.count();
            if now == seen && last.elapsed() < ROUTINE {
                continue;
            }
            let (round, visits) = let_in(door);
            // Our own visits were accepted too; whoever came meanwhile is seen at the next look.
            (seen, last) = (now + visits, Instant::now());
            pause = if round == Round::Grown { *LOOKS.start() } else { (pause * 2).min(*LOOKS.end()) };
            unserved = if round == Round::Unserved { unserved + 1 } else { 0 };
            if round != Round::Unserved && Instant::now() >= not_before + reopening {
                reopening = *REOPENINGS.start();
            }
        }
    })
}

/// Makes connections until one more does not make the pool start a thread; returns what that showed, and how many it
/// made.
pub(super) fn let_in(door: SocketAddr) -> (Round, u64) {
    let (mut round, mut visits) = (Round::Unserved, 0);
    let (mut batch, mut idle_seen, mut given_up) = (1, 0, 0);
    // A pool that miscounts does so for as long as a thread takes to wake up; it is asked twice.
    while idle_seen < 2 && given_up < MOST_GIVEN_UP {
        let before = threads();
        visits += batch as u64;
        if !visit(door, batch) {
            given_up += 1;
        } else if threads() > before {
            (idle_seen, given_up, round) = (0, 0, Round::Grown);
            batch = (batch * 2).min(LARGEST_BATCH);
        } else {
            idle_seen += 1;
            batch = 1;
            round = if round == Round::Unserved { Round::Idle } else { round };
        }
    }
    (round, visits)
}

/// Makes connections that each hold a thread of tiny_http's for as long as they are open. Once it accepts no more, nobody
/// can make it start a thread for those whom it has forgotten at the last moment; but they get those that come free when
/// these connections end.
pub(super) fn stand_by(door: SocketAddr) -> Vec<TcpStream> {
    let standby = (0..STANDBY).map_while(|_| TcpStream::connect_timeout(&door, PATIENCE).ok()).collect();
    // Only then do all of them have a thread.
    let_in(door);
    standby
}

/// Opens `batch` connections, says on each that nothing will come, and waits until all have been served; whether
/// they were.
fn visit(door: SocketAddr, batch: usize) -> bool {
    let connect = || {
        let stream = TcpStream::connect_timeout(&door, PATIENCE).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).ok()?;
        stream.shutdown(Half::Write).ok()?;
        Some(stream)
    };
    let visits: Vec<TcpStream> = (0..batch).map_while(|_| connect()).collect();
    visits.len() == batch && visits.iter().all(|mut stream| matches!(stream.read(&mut [0]), Ok(0)))
}

/// How many threads this process has: the system shows each as a folder, and a folder's links count its folders.
fn threads() -> u64 {
    std::fs::metadata("/proc/self/task").map(|task| task.nlink()).unwrap_or_default()
}

/// The system's count of connections that were accepted, by anybody, in our network namespace.
struct Accepted(Option<File>);

impl Accepted {
    fn open() -> Accepted {
        Accepted(File::open("/proc/self/net/snmp").ok())
    }

    /// The count; a constant where the system has none, so that only the routine is left.
    fn count(&self) -> u64 {
        // The whole table is about 1.5 KiB.
        let mut buffer = [0; 8192];
        let read = self.0.as_ref().and_then(|file| file.read_at(&mut buffer, 0).ok()).unwrap_or(0);
        passive_opens(&String::from_utf8_lossy(&buffer[..read])).unwrap_or(0)
    }
}

/// Reads `PassiveOpens` from the two `Tcp:` lines of the table, names and values.
fn passive_opens(table: &str) -> Option<u64> {
    let mut lines = table.lines().filter_map(|line| line.strip_prefix("Tcp: "));
    let at = lines.next()?.split(' ').position(|name| name == "PassiveOpens")?;
    lines.next()?.split(' ').nth(at)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_count_of_accepted_connections() {
        let table = "Ip: Forwarding DefaultTTL\nIp: 1 64\nTcp: RtoMin RtoMax PassiveOpens AttemptFails\n\
                     Tcp: 200 120000 4711 3\nUdp: InDatagrams\nUdp: 9\n";
        assert_eq!(passive_opens(table), Some(4711));
        assert_eq!(passive_opens(""), None);
        assert_eq!(passive_opens("Tcp: PassiveOpens\n"), None);
    }

    #[test]
    fn the_count_grows_with_every_connection() {
        let accepted = Accepted::open();
        let before = accepted.count();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let _client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        assert!(accepted.count() > before);
    }

    #[test]
    fn counts_the_threads_of_this_process() {
        assert!(threads() > 2);
    }
}
