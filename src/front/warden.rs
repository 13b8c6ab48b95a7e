//! Ends connections that hold a thread, descriptors or memory without using them, as tiny_http never does: those on which
//! a head drips in or does not end, and those that are too many.
//!
//! A few times a second it compares what the system knows of each connection (`survey`) with what it was before. It
//! judges only connections that have no request under way.

use std::collections::{HashMap, HashSet};
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam_channel::Sender;

use super::connection;
use super::survey::{Seen, Survey};
use super::turns::Turns;
use crate::shutdown::Shutdown;

/// Time between two looks. A look at some connections takes a fraction of a millisecond, at thousands a few.
const LOOKS: Duration = Duration::from_millis(200);

/// How long a surplus connection may wait until it sends its request, which is then refused with an answer, or served if
/// it is an admin request: an operator must be able to come in when everybody else is there already.
const SURPLUS_PATIENCE: Duration = Duration::from_secs(1);

/// Surplus connections at a time: an eighth of those that are allowed, and this many in any case. Whoever comes on top of
/// that is turned away without a word.
const LEAST_SURPLUS: usize = 64;

/// Connections that are dead and still open: an HTTP/2 preface, or any request that claims a version above 1.1, makes
/// tiny_http's thread wait for itself, for ever, with two descriptors. Nothing from outside ends it but the end of the
/// process, so at this many a successor takes over. They cost about five megabytes.
const MOST_LEAKED: usize = 256;

/// Looks at the connections for each look at the descriptors.
const LEAK_LOOKS: u64 = 10;

/// Bytes on a connection that are no request yet: eight times the largest head that is admitted. tiny_http keeps a head
/// that does not end in memory, all of it.
const LARGEST_UNREAD: u64 = 256 * 1024;

/// How long they may be that.
const UNREAD_PATIENCE: Duration = Duration::from_secs(1);

/// Shortest time between two successions, as far as leaks go that come slower than [`MOST_LEAKED_AT_ONCE`]: each costs
/// requests that take long, and idle connections.
const SUCCESSION_PAUSE: Duration = Duration::from_secs(60);

/// At so many nobody waits for that: they hold some twenty megabytes and two thousand descriptors.
const MOST_LEAKED_AT_ONCE: usize = 1024;

/// What the warden allows.
#[derive(Clone, Debug)]
pub(super) struct Limits {
    /// How long a head may take from its first byte to its last.
    pub(super) head_timeout: Duration,
    /// Connections at a time.
    pub(super) most: usize,
}

/// The clients that came when as many were there as may be.
#[derive(Clone, Default)]
pub(super) struct Surplus {
    peers: Arc<Mutex<HashSet<SocketAddr>>>,
    /// How many there are, so that nobody takes the lock for none.
    count: Arc<AtomicUsize>,
}

impl Surplus {
    /// Whether the client at `peer` is one of them.
    pub(super) fn contains(&self, peer: SocketAddr) -> bool {
        self.count.load(Relaxed) > 0 && self.lock().contains(&peer)
    }

    fn set(&self, peers: HashSet<SocketAddr>) {
        self.count.store(peers.len(), Relaxed);
        *self.lock() = peers;
    }

    fn lock(&self) -> MutexGuard<'_, HashSet<SocketAddr>> {
        self.peers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the warden works with.
pub(super) struct Post {
    /// Where clients come in.
    pub(super) door: SocketAddr,
    /// Who has a request under way.
    pub(super) turns: Arc<Turns>,
    /// Told who is one too many.
    pub(super) surplus: Surplus,
    /// Told how many there are; `None` while that cannot be found out.
    pub(super) count: Box<dyn Fn(Option<usize>) + Send>,
    /// Told when [`MOST_LEAKED`] connections have leaked.
    pub(super) worn_out: Sender<()>,
}

/// Starts the warden; it ends when `closed` begins.
///
/// # Errors
/// The system has no thread for it.
pub(super) fn start(post: Post, limits: Limits, closed: Shutdown) -> io::Result<JoinHandle<()>> {
    thread::Builder::new().name("warden".into()).spawn(move || {
        let survey = Survey::of(post.door);
        if let Err(error) = &survey {
            log::warn!("connections are not counted, and slow heads not ended: no socket diagnosis: {error}");
        }
        let (mut watch, begun) = (Watch::new(limits), Instant::now());
        for round in 1_u64.. {
            if closed.sleep(LOOKS) {
                return;
            }
            if let Ok(survey) = &survey {
                post.end_who_is_to_go(|| survey.take(), &mut watch);
            }
            if round.is_multiple_of(LEAK_LOOKS) {
                post.look_for_leaks(begun.elapsed());
            }
        }
    })
}

impl Post {
    fn end_who_is_to_go(&self, look: impl FnOnce() -> io::Result<Vec<Seen>>, watch: &mut Watch) {
        // Who is busy before or after the look may have been busy at it.
        let mut busy = self.turns.busy();
        let seen = match look() {
            Ok(seen) => seen,
            Err(error) => {
                // The last number would pass for one of now.
                (self.count)(None);
                return log::debug!("cannot look at the connections: {error}");
            }
        };
        busy.extend(self.turns.busy());
        (self.count)(Some(seen.len()));
        let ended = watch.look(&seen, &busy, Instant::now());
        self.surplus.set(watch.surplus());
        if !ended.is_empty() {
            log::debug!("ending {} connections that are slow or too many", ended.len());
            connection::sever_all(&ended, self.door.port());
        }
    }

    fn look_for_leaks(&self, age: Duration) {
        let dead = connection::dead(self.door.port());
        let too_many = dead >= if age < SUCCESSION_PAUSE { MOST_LEAKED_AT_ONCE } else { MOST_LEAKED };
        // Told once: the channel holds one.
        if too_many && self.worn_out.try_send(()).is_ok() {
            log::warn!("{dead} connections have ended and will never be let go of");
        }
    }
}

/// What is remembered of one connection.
struct Watched {
    arrived: Instant,
    /// It came when as many were there as may be.
    surplus: bool,
    /// The counters when it last had no request, not even the beginning of one.
    rest: (u64, u64),
    /// Since when something has come that is no request yet.
    head_begun: Option<Instant>,
}

/// Judges connections. Reads no clock.
struct Watch {
    limits: Limits,
    watched: HashMap<SocketAddr, Watched>,
}

impl Watch {
    fn new(limits: Limits) -> Watch {
        Watch { limits, watched: HashMap::new() }
    }

    /// Takes in who is connected and who of them has a request under way; returns who is to go.
    fn look(&mut self, seen: &[Seen], busy: &HashSet<SocketAddr>, now: Instant) -> HashSet<SocketAddr> {
        let there: HashSet<SocketAddr> = seen.iter().map(|seen| seen.peer).collect();
        self.watched.retain(|peer, _| there.contains(peer));
        let Limits { head_timeout, most } = self.limits;
        let mut regular = self.watched.values().filter(|watched| !watched.surplus).count();
        let mut surplus = self.watched.len() - regular;
        let most_surplus = LEAST_SURPLUS.max(most / 8);
        let mut ended = HashSet::new();
        for connection in seen {
            let counters = (connection.received, connection.acknowledged);
            let watched = self.watched.entry(connection.peer).or_insert_with(|| {
                let is_surplus = regular >= most;
                *(if is_surplus { &mut surplus } else { &mut regular }) += 1;
                // It may have been answered since it came. (The handshake counts as one byte.)
                let rest = if counters.1 > 1 { counters } else { (0, counters.1) };
                Watched { arrived: now, surplus: is_surplus, rest, head_begun: None }
            });
            if watched.surplus && regular < most {
                (watched.surplus, regular, surplus) = (false, regular + 1, surplus - 1);
            }
            if busy.contains(&connection.peer) {
                (watched.rest, watched.head_begun) = (counters, None);
                continue;
            }
            // An answer was sent: what came before it was a request, or the most of what came.
            if counters.1 != watched.rest.1 {
                (watched.rest, watched.head_begun) = (counters, None);
            }
            if counters.0 > watched.rest.0 {
                watched.head_begun.get_or_insert(now);
            }
            let too_slow = watched.head_begun.is_some_and(|begun| now - begun >= head_timeout);
            let too_many =
                watched.surplus && (surplus > most_surplus || now - watched.arrived >= SURPLUS_PATIENCE);
            // Not at the first look: an upload that was just answered looks the same until the answer has arrived.
            let too_large = counters.0.saturating_sub(watched.rest.0) > LARGEST_UNREAD
                && watched.head_begun.is_some_and(|begun| now - begun >= UNREAD_PATIENCE);
            if too_slow || too_large || too_many {
                surplus -= usize::from(watched.surplus);
                self.watched.remove(&connection.peer);
                ended.insert(connection.peer);
            }
        }
        ended
    }

    fn surplus(&self) -> HashSet<SocketAddr> {
        self.watched.iter().filter(|(_, watched)| watched.surplus).map(|(peer, _)| *peer).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(port: u16, received: u64, acknowledged: u64) -> Seen {
        Seen { peer: ([192, 0, 2, 1], port).into(), received, acknowledged, finished: false }
    }

    fn ports(peers: &HashSet<SocketAddr>) -> Vec<u16> {
        let mut ports: Vec<u16> = peers.iter().map(SocketAddr::port).collect();
        ports.sort();
        ports
    }

    fn watch(head_timeout_s: u64, most: usize) -> (Watch, impl Fn(u64) -> Instant) {
        let begun = Instant::now();
        let limits = Limits { head_timeout: Duration::from_secs(head_timeout_s), most };
        (Watch::new(limits), move |seconds| begun + Duration::from_secs(seconds))
    }

    #[test]
    fn how_many_are_connected_is_not_known_while_nobody_can_look() {
        let (told, counts) = crossbeam_channel::unbounded();
        let post = Post {
            door: SocketAddr::from(([127, 0, 0, 1], 1)),
            turns: Turns::new(Box::new(|_| ())),
            surplus: Surplus::default(),
            count: Box::new(move |count| told.send(count).unwrap()),
            worn_out: crossbeam_channel::bounded(1).0,
        };
        let (mut watch, _) = watch(10, 100);
        post.end_who_is_to_go(|| Ok(vec![client(1, 0, 0), client(2, 0, 0)]), &mut watch);
        post.end_who_is_to_go(|| Err(io::ErrorKind::TimedOut.into()), &mut watch);
        post.end_who_is_to_go(|| Ok(vec![client(1, 0, 0)]), &mut watch);
        assert_eq!(counts.try_iter().collect::<Vec<_>>(), [Some(2), None, Some(1)]);
    }

    #[test]
    fn a_head_that_drips_ends_its_connection_however_it_drips() {
        let (mut watch, at) = watch(10, 100);
        let nobody = HashSet::new();
        for second in 0..10 {
            let seen = [client(1, second + 1, 0), client(2, 0, 0), client(3, 50, 0)];
            assert!(watch.look(&seen, &nobody, at(second)).is_empty(), "{second}");
        }
        let seen = [client(1, 11, 0), client(2, 0, 0), client(3, 50, 0)];
        assert_eq!(ports(&watch.look(&seen, &nobody, at(10))), [1, 3], "also one that has stopped half way");
    }

    #[test]
    fn a_client_that_is_served_may_stay_and_drips_on_its_next_head_only_for_so_long() {
        let (mut watch, at) = watch(10, 100);
        let nobody = HashSet::new();
        let busy = HashSet::from([client(1, 0, 0).peer]);
        for second in 0..100 {
            let seen = [client(1, second * 100, second * 300)];
            let busy = if second % 3 == 0 { &busy } else { &nobody };
            assert!(watch.look(&seen, busy, at(second)).is_empty(), "served again and again");
        }
        for second in 100..200 {
            let seen = [client(1, 9900, 29_700), client(2, 100, 300)];
            assert!(watch.look(&seen, &nobody, at(second)).is_empty(), "idle");
        }
        for second in 200..210 {
            assert!(watch.look(&[client(1, 9901, 29_700)], &nobody, at(second)).is_empty(), "one byte");
        }
        assert_eq!(ports(&watch.look(&[client(1, 9901, 29_700)], &nobody, at(210))), [1]);
    }

    #[test]
    fn a_head_without_end_ends_its_connection() {
        let (mut watch, at) = watch(10, 100);
        let nobody = HashSet::new();
        assert!(watch.look(&[client(1, 256 * 1024 + 1, 0)], &nobody, at(0)).is_empty());
        assert_eq!(ports(&watch.look(&[client(1, 256 * 1024 + 1, 0)], &nobody, at(1))), [1]);
        // An upload that was answered since is none.
        assert!(watch.look(&[client(2, 100, 200)], &nobody, at(0)).is_empty());
        assert!(watch.look(&[client(2, 100_000_000, 400)], &nobody, at(1)).is_empty());
        // Nor is one whose answer has been sent and has not arrived yet.
        let busy = HashSet::from([client(2, 0, 0).peer]);
        assert!(watch.look(&[client(2, 101_000_000, 400)], &busy, at(2)).is_empty());
        assert!(watch.look(&[client(2, 102_000_000, 400)], &nobody, at(3)).is_empty());
        assert!(watch.look(&[client(2, 102_000_000, 500)], &nobody, at(4)).is_empty());
        assert!(watch.look(&[client(2, 102_000_000, 500)], &nobody, at(9)).is_empty());
    }

    #[test]
    fn a_request_under_way_is_never_ended() {
        let (mut watch, at) = watch(10, 1);
        let busy = HashSet::from([client(1, 0, 0).peer, client(2, 0, 0).peer]);
        for second in 0..100 {
            let seen = [client(1, second, 0), client(2, second, 0)];
            assert!(watch.look(&seen, &busy, at(second)).is_empty());
        }
    }

    #[test]
    fn those_who_come_last_are_too_many_until_others_leave() {
        let (mut watch, at) = watch(10, 2);
        let nobody = HashSet::new();
        let three = [client(1, 0, 0), client(2, 0, 0), client(3, 0, 0)];
        assert!(watch.look(&three[..2], &nobody, at(0)).is_empty());
        assert!(watch.look(&three, &nobody, at(0)).is_empty());
        assert_eq!(ports(&watch.surplus()), [3], "it may still say what it wants");
        assert!(watch.look(&three[1..], &nobody, at(0)).is_empty());
        assert!(watch.surplus().is_empty(), "there is room now");
        assert!(watch.look(&three, &nobody, at(5)).is_empty());
        assert_eq!(ports(&watch.surplus()), [1], "who comes again comes last");
        assert_eq!(ports(&watch.look(&three, &nobody, at(6))), [1]);
    }

    #[test]
    fn far_too_many_are_turned_away_at_once() {
        let (mut watch, at) = watch(10, 2);
        let crowd: Vec<Seen> = (1..=200).map(|port| client(port, 0, 0)).collect();
        let ended = watch.look(&crowd, &HashSet::new(), at(0));
        assert_eq!(ended.len(), 200 - 2 - LEAST_SURPLUS);
        assert_eq!(watch.surplus().len(), LEAST_SURPLUS);
    }
}
