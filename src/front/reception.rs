//! Takes requests in, with no more threads between a client and a replica than need be.
//!
//! Workers receive from tiny_http themselves: a thread that only received would cost every request one more change of
//! threads. But when all who receive are busy, somebody has to go on, because admin requests do not wait for workers, and
//! because a client that comes when too many wait already is told so at once. That is the stand-in, a thread that receives
//! while no worker does, and puts traffic away for workers that rest or come free.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::incoming::Incoming;
use super::listener::{Generation, Listener, Received};
use super::team::{Taker, Task, Team};
use super::turns::{Arrival, Turns};
use super::workers::Desks;

/// How long the stand-in receives until it looks whether a worker does again.
const SHIFT: Duration = Duration::from_millis(5);

/// Where workers get their requests.
pub(super) struct Reception {
    turns: Arc<Turns>,
    counter: Arc<Counter>,
}

/// What stands between those who take requests in and those who serve them.
struct Counter {
    listener: Arc<Listener>,
    desks: Desks,
    team: Team,
    /// Held by the one who receives, until what was received has its place among the requests of its connection: two that
    /// received side by side could change the order of two requests on the same connection. Nobody waits for it who has
    /// anything else to do.
    baton: Mutex<()>,
}

/// One worker's place at the reception.
pub(super) struct Place {
    reception: Arc<Reception>,
    working: bool,
}

impl Place {
    /// Waits for the next request of traffic; `None` when the front has been closed.
    pub(super) fn next(&mut self) -> Option<Arrival> {
        let Reception { turns, counter } = &*self.reception;
        loop {
            let was_working = std::mem::replace(&mut self.working, true);
            match counter.team.next_task(was_working) {
                Task::Serve(arrival) => return Some(arrival),
                Task::End => return None,
                Task::Receive => {}
            }
            let baton = counter.take_baton();
            let put_away = counter.team.take();
            let received = put_away.is_none().then(|| counter.listener.receive());
            counter.team.end_receiving();
            if put_away.is_some() {
                return put_away;
            }
            let arrival = match received {
                Some(Received::Request(incoming)) => turns.arrive(incoming),
                _ => None,
            };
            drop(baton);
            if let Some(traffic) = arrival.and_then(|arrival| counter.desks.sort(arrival)) {
                return Some(traffic);
            }
        }
    }
}

impl Reception {
    /// A reception for `team`; what is no traffic goes to `desks`.
    pub(super) fn new(listener: Arc<Listener>, desks: Desks, team: Team) -> Arc<Reception> {
        let counter = Arc::new(Counter { listener, desks, team, baton: Mutex::default() });
        let onward = counter.clone();
        let turns = Turns::new(Box::new(move |arrival| onward.put(arrival)));
        Arc::new(Reception { turns, counter })
    }

    /// A worker's place.
    pub(super) fn place(self: &Arc<Self>) -> Place {
        Place { reception: self.clone(), working: false }
    }

    /// The connections whose requests are under way.
    pub(super) fn turns(&self) -> &Arc<Turns> {
        &self.turns
    }

    /// Starts the stand-in.
    ///
    /// # Errors
    /// The system has no thread for it.
    pub(super) fn start_stand_in(self: &Arc<Self>) -> std::io::Result<JoinHandle<()>> {
        let reception = self.clone();
        thread::Builder::new().name("stand-in".into()).spawn(move || {
            while reception.counter.team.wait_until_unattended() {
                reception.stand_in();
            }
        })
    }

    fn stand_in(&self) {
        let listener = &self.counter.listener;
        let _baton = self.counter.take_baton();
        while self.counter.team.nobody_receives() {
            if let Some(incoming) = listener.receive_within(SHIFT) {
                self.take_in(incoming);
            }
        }
        // tiny_http may have told us of one that we then did not wait for; a worker would not be told again.
        while let Some(incoming) = listener.receive_now() {
            self.take_in(incoming);
        }
    }

    /// A panic in here would end the stand-in.
    fn take_in(&self, incoming: Incoming) {
        let take_in = || {
            if let Some(arrival) = self.turns.arrive(incoming) {
                self.counter.put(arrival);
            }
        };
        if catch_unwind(AssertUnwindSafe(take_in)).is_err() {
            log::error!("taking in a request panicked");
        }
    }

    /// Accepts connections again after tiny_http has stopped to; requests on the connections that there are go on being
    /// received, by a thread of their own.
    pub(super) fn reopen(self: &Arc<Self>) {
        let Some(old) = self.counter.listener.reopen() else {
            return;
        };
        let reception = self.clone();
        let receiver = thread::Builder::new().name("old-receiver".into());
        if let Err(error) = receiver.spawn(move || reception.receive_from(&old)) {
            log::error!("older connections are not served any more: no thread: {error}");
        }
    }

    fn receive_from(&self, old: &Generation) {
        loop {
            match self.counter.listener.receive_from(old) {
                Received::Request(incoming) => self.take_in(incoming),
                Received::Nothing => {}
                Received::End => return,
            }
        }
    }

    /// Lets everybody who waits for requests go.
    pub(super) fn close(&self) {
        self.counter.team.close();
        self.counter.listener.release();
    }
}

impl Counter {
    fn take_baton(&self) -> MutexGuard<'_, ()> {
        self.baton.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a request where it belongs. Never waits.
    fn put(&self, arrival: Arrival) {
        let Some(traffic) = self.desks.sort(arrival) else {
            return;
        };
        match self.team.put(traffic) {
            Ok(Taker::Receiver) => self.listener.wake_one(),
            Ok(Taker::Other) => {}
            Err(surplus) => self.desks.refuse(surplus),
        }
    }
}
