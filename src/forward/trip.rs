//! One request's way to a replica, as far as it got and as long as it may take. The wire notes it, the retry rule and
//! the body ask.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::Settings;

/// How far a request got, in the words of the retry rule.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Progress {
    /// No byte of it has left.
    NothingSent,
    /// Something may have reached the replica; nothing has come back.
    Sent,
    /// Something has come back.
    AnswerBegun,
}

/// What is known of the request that a client carries at the moment. One client carries one request at a time, so this
/// is one for each client; the lock is never contended.
#[derive(Clone, Debug)]
pub(super) struct Trip(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    progress: Progress,
    /// The body comes from the client as it is forwarded.
    streams: bool,
    /// The connection was made for this request.
    fresh: bool,
    /// Nothing more of the body is of use to the replica: it has answered, or does not take it.
    cut: bool,
    /// The replica broke the connection instead of ending it.
    reset: bool,
    /// When a replica was chosen.
    begun: Instant,
    /// When the answer must have begun.
    deadline: Instant,
    request_timeout: Duration,
    first_byte_timeout: Duration,
    stall_timeout: Duration,
}

impl Trip {
    pub(super) fn new(settings: &Settings) -> Trip {
        Trip(Arc::new(Mutex::new(State {
            progress: Progress::NothingSent,
            streams: false,
            fresh: false,
            cut: false,
            reset: false,
            begun: Instant::now(),
            deadline: Instant::now(),
            request_timeout: settings.request_timeout,
            first_byte_timeout: settings.first_byte_timeout,
            stall_timeout: settings.stall_timeout,
        })))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins: nothing was sent, and the answer must have begun at `deadline`. A body that streams may take as long as it
    /// likes; then the time counts from the last of it.
    pub(super) fn begin(&self, begun: Instant, deadline: Instant, streams: bool) {
        let mut state = self.lock();
        (state.progress, state.cut, state.reset) = (Progress::NothingSent, false, false);
        (state.deadline, state.streams, state.fresh) = (deadline, streams, false);
        state.begun = begun;
    }

    pub(super) fn begun(&self) -> Instant {
        self.lock().begun
    }

    pub(super) fn progress(&self) -> Progress {
        self.lock().progress
    }

    /// Something is about to be sent; one that fails may have sent a part. Returns how long that may take.
    pub(super) fn sending(&self) -> Duration {
        let mut state = self.lock();
        if state.progress == Progress::NothingSent {
            state.progress = Progress::Sent;
        }
        state.stall_timeout
    }

    /// Something was sent.
    pub(super) fn sent(&self) {
        let mut state = self.lock();
        if state.streams {
            state.deadline = Instant::now() + state.request_timeout;
        }
    }

    /// How long the next of the answer may take from now.
    pub(super) fn patience(&self) -> Duration {
        let state = self.lock();
        match state.progress {
            Progress::AnswerBegun => state.stall_timeout,
            _ => state.first_byte_timeout.min(state.deadline.saturating_duration_since(Instant::now())),
        }
    }

    /// Something has come back.
    pub(super) fn received(&self) {
        self.lock().progress = Progress::AnswerBegun;
    }

    /// How long connecting may take, if nothing else limits it.
    pub(super) fn left(&self) -> Duration {
        self.lock().deadline.saturating_duration_since(Instant::now())
    }

    /// A connection was made.
    pub(super) fn connected(&self) {
        self.lock().fresh = true;
    }

    /// Whether the request went out on a connection that had been used before, which may have ended just then.
    pub(super) fn was_on_old_connection(&self) -> bool {
        !self.lock().fresh
    }

    /// The replica has answered before it had the whole request, or takes no more of it.
    pub(super) fn cut(&self) {
        self.lock().cut = true;
    }

    pub(super) fn is_cut(&self) -> bool {
        self.lock().cut
    }

    /// Whether a piece of a body is being sent of which more is to come.
    pub(super) fn is_under_way(&self) -> bool {
        let state = self.lock();
        state.streams && state.progress == Progress::Sent
    }

    /// The connection was reset.
    pub(super) fn reset(&self) {
        self.lock().reset = true;
    }

    pub(super) fn was_reset(&self) -> bool {
        self.lock().reset
    }
}
