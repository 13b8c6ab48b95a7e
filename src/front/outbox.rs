//! Waiting for clients that costs no thread of those who serve. What a socket does not take at once of an answer of ours
//! is sent by one thread for all of them; it also gives clients that were still sending the time to read why that was in
//! vain, and ends bodies that do not arrive. So whoever reads slowly, or does not finish, holds up nobody else.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};

use super::connection::{Rest, Socket};

/// Answers that may wait for their clients at a time; each has a descriptor and the rest of its bytes. On top of that,
/// connections are ended in the middle of their answers.
const MOST: usize = 256;

/// Pause between two looks. A descriptor that is only a number cannot be waited for without unsafe code.
const LOOK: Duration = Duration::from_millis(5);

/// How long a client may take to read an answer, or the last one on its connection: long enough for one that is a few
/// hundred milliseconds away.
const PATIENCE: Duration = Duration::from_secs(2);

/// Bytes of an answer for which it has a second more.
const SLOWEST: usize = 16 * 1024;

/// What becomes of a connection when its answer is sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum After {
    /// The next request.
    Next,
    /// It ends.
    End,
    /// It ends when the client, which is still sending, has had time to read the answer (RFC 9112 section 9.6): to end it
    /// at once would reset it, and that may overtake the answer.
    EndGently,
}

/// What is to be done when an answer has been sent, and what must not be dropped before its connection is done with.
pub(super) trait Errand: Send {
    /// The answer was sent, whole or not.
    fn sent(&mut self, complete: bool);
}

/// An answer on its way to a client, past tiny_http. Nobody else may be writing on the connection.
pub(super) struct Delivery {
    socket: Socket,
    bytes: Vec<u8>,
    sent: usize,
    after: After,
    /// Everything is sent, and the client is given time to read it.
    lingers: bool,
    deadline: Instant,
    errand: Box<dyn Errand>,
}

impl Delivery {
    /// One of these bytes.
    pub(super) fn new(socket: Socket, bytes: Vec<u8>, after: After, errand: Box<dyn Errand>) -> Delivery {
        let time = PATIENCE + Duration::from_secs((bytes.len() / SLOWEST) as u64);
        Delivery { socket, bytes, sent: 0, after, lingers: false, deadline: Instant::now() + time, errand }
    }

    /// Goes on as far as is possible without waiting; whether that is to the end.
    fn go_on(&mut self) -> bool {
        if self.lingers {
            return self.is_read();
        }
        while self.sent < self.bytes.len() {
            match self.socket.send_now(&self.bytes[self.sent..]) {
                Ok(n) => self.sent += n,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => {
                    let waits = error.kind() == std::io::ErrorKind::WouldBlock;
                    return !(waits && Instant::now() < self.deadline) && self.break_off();
                }
            }
        }
        self.errand.sent(true);
        match self.after {
            After::Next => true,
            After::End => self.end(),
            After::EndGently => {
                self.socket.finish();
                (self.lingers, self.deadline) = (true, Instant::now() + PATIENCE);
                self.is_read()
            }
        }
    }

    /// Whether the client has read its answer, or had time enough.
    fn is_read(&mut self) -> bool {
        let is_over = self.socket.throw_away() == Rest::Ended || Instant::now() >= self.deadline;
        is_over && self.end()
    }

    fn break_off(&mut self) -> bool {
        self.errand.sent(false);
        self.end()
    }

    /// Ends the connection now: too many wait already.
    fn give_up(mut self) {
        if !self.lingers {
            self.errand.sent(false);
        }
        self.end();
    }

    fn end(&mut self) -> bool {
        self.socket.sever();
        true
    }
}

/// Ends the reading of a body that takes too long; dropping it lets the body be.
pub(super) struct Curfew {
    is_lifted: Arc<AtomicBool>,
}

impl Drop for Curfew {
    fn drop(&mut self) {
        self.is_lifted.store(true, Relaxed);
    }
}

/// The other end of a [`Curfew`].
struct Watched {
    socket: Socket,
    deadline: Instant,
    is_lifted: Arc<AtomicBool>,
}

impl Watched {
    fn is_over(&self) -> bool {
        // First of all: what is read there now may be the next request.
        if self.is_lifted.load(Relaxed) {
            return true;
        }
        let is_late = Instant::now() >= self.deadline;
        if is_late {
            self.socket.stop_reading();
        }
        is_late
    }
}

enum Job {
    Deliver(Delivery),
    Watch(Watched),
}

/// The way to the thread that waits; it ends when nobody has it any more.
#[derive(Clone)]
pub(super) struct Outbox {
    jobs: Sender<Job>,
}

impl Outbox {
    /// Starts the thread.
    ///
    /// # Errors
    /// The system has none.
    pub(super) fn start() -> std::io::Result<Outbox> {
        let (jobs, received) = bounded(MOST);
        thread::Builder::new().name("outbox".into()).spawn(move || Waiting::default().serve(&received))?;
        Ok(Outbox { jobs })
    }

    /// Sends an answer: now, as far as the client takes it, and the rest when it does. Never waits.
    pub(super) fn deliver(&self, mut delivery: Delivery) {
        if delivery.go_on() {
            return;
        }
        if let Err(full) = self.jobs.try_send(Job::Deliver(delivery))
            && let Job::Deliver(delivery) = full.into_inner()
        {
            delivery.give_up();
        }
    }

    /// Has the reading of a body end at `deadline`, as if the client had finished.
    pub(super) fn end_reading_at(&self, deadline: Instant, socket: Socket) -> Curfew {
        let is_lifted = Arc::<AtomicBool>::default();
        // Where too much waits already, the body has the patience of the socket.
        _ = self.jobs.try_send(Job::Watch(Watched { socket, deadline, is_lifted: is_lifted.clone() }));
        Curfew { is_lifted }
    }
}

/// What the thread waits for.
#[derive(Default)]
struct Waiting {
    deliveries: Vec<Delivery>,
    watched: Vec<Watched>,
}

impl Waiting {
    fn serve(mut self, jobs: &Receiver<Job>) {
        loop {
            let job = match self.deliveries.is_empty() && self.watched.is_empty() {
                true => jobs.recv().map_err(|_| RecvTimeoutError::Disconnected),
                false => jobs.recv_timeout(LOOK),
            };
            match job {
                Ok(job) => self.take(job),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) if self.deliveries.is_empty() => return,
                // Nobody tells of anything any more: what is under way is brought to its end.
                Err(RecvTimeoutError::Disconnected) => thread::sleep(LOOK),
            }
            while let Ok(job) = jobs.try_recv() {
                self.take(job);
            }
            self.watched.retain(|watched| !watched.is_over());
            self.deliveries.retain_mut(|delivery| {
                // A panic ends one connection, never the thread.
                !catch_unwind(AssertUnwindSafe(|| delivery.go_on())).unwrap_or(true)
            });
        }
    }

    fn take(&mut self, job: Job) {
        match job {
            Job::Watch(watched) => self.watched.push(watched),
            Job::Deliver(delivery) if self.deliveries.len() < MOST => self.deliveries.push(delivery),
            Job::Deliver(delivery) => delivery.give_up(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};

    use crossbeam_channel::unbounded;

    use super::super::connection::Connection;
    use super::*;

    /// Tells whether the answer was sent, and, by its end, that it was dropped.
    struct Told(Sender<bool>);

    impl Errand for Told {
        fn sent(&mut self, complete: bool) {
            self.0.send(complete).unwrap();
        }
    }

    fn connected() -> (TcpStream, TcpStream, Socket) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (server, peer) = listener.accept().unwrap();
        let socket = Connection::new(peer, listener.local_addr().unwrap().port()).socket().unwrap();
        (client, server, socket)
    }

    /// More than a socket takes.
    fn long() -> Vec<u8> {
        (0..16 << 20).map(|at| (at % 251) as u8).collect()
    }

    #[test]
    fn an_answer_that_is_not_taken_at_once_is_sent_as_it_is_taken() {
        for after in [After::Next, After::End, After::EndGently] {
            let outbox = Outbox::start().unwrap();
            let (mut client, mut server, socket) = connected();
            let (told, tidings) = unbounded();
            outbox.deliver(Delivery::new(socket, long(), after, Box::new(Told(told))));
            assert!(tidings.is_empty(), "it was not waited for");
            let mut got = vec![0; long().len()];
            client.read_exact(&mut got).unwrap();
            assert!(got == long());
            assert_eq!(tidings.recv(), Ok(true));
            drop(outbox);
            if after != After::Next {
                assert_eq!(client.read(&mut [0]).unwrap(), 0, "{after:?}");
                drop(client);
            } else {
                server.write_all(b"x").unwrap();
                client.read_exact(&mut [0]).unwrap();
            }
            assert!(tidings.recv().is_err(), "the errand is dropped at last");
        }
    }

    #[test]
    fn who_still_sends_may_read_the_answer_before_the_end() {
        let outbox = Outbox::start().unwrap();
        let (mut client, _server, socket) = connected();
        let (told, tidings) = unbounded();
        outbox.deliver(Delivery::new(socket, b"no".to_vec(), After::EndGently, Box::new(Told(told))));
        assert_eq!(tidings.recv(), Ok(true));
        for _ in 0..50 {
            client.write_all(&[b'x'; 64 * 1024]).unwrap();
        }
        let mut got = Vec::new();
        client.read_to_end(&mut got).unwrap();
        assert_eq!(got, b"no");
        drop(client);
        assert!(tidings.recv().is_err());
    }

    #[test]
    fn who_takes_nothing_has_had_its_time() {
        let (_client, _server, socket) = connected();
        let (told, tidings) = unbounded();
        let mut delivery = Delivery::new(socket, long(), After::Next, Box::new(Told(told)));
        assert!(!delivery.go_on());
        delivery.deadline = Instant::now();
        assert!(delivery.go_on());
        assert_eq!(tidings.recv(), Ok(false));
    }

    #[test]
    fn a_body_that_does_not_come_ends_at_its_time_unless_it_came() {
        let outbox = Outbox::start().unwrap();
        let (_client, mut server, socket) = connected();
        let curfew = outbox.end_reading_at(Instant::now(), socket);
        assert_eq!(server.read(&mut [0]).unwrap(), 0);
        drop(curfew);
        let (mut client, mut server, socket) = connected();
        drop(outbox.end_reading_at(Instant::now() + Duration::from_secs(3600), socket));
        client.write_all(b"x").unwrap();
        assert_eq!(server.read(&mut [0]).unwrap(), 1);
    }
}
