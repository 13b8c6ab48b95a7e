//! The threads that take pulses, so that a replica that does not answer holds up nobody else's heartbeat.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;

use crossbeam_channel::{Receiver, Sender, unbounded};

use crate::fleet::ReplicaId;
use crate::heartbeat::{self, Heartbeat, Pulse};
use crate::replica::{Hostname, Instance};

/// Heartbeats under way at the same time. A good one takes a millisecond, so one thread serves hundreds of replicas;
/// one that is not answered holds a thread for the whole timeout, so this many replicas may hang at once before the
/// others' heartbeats are late.
const MOST_THREADS: usize = 32;

/// What to ask.
pub(super) struct Question {
    pub(super) id: ReplicaId,
    /// What runs the replica.
    pub(super) instance: Instance,
    /// Who it must be if it says who it is.
    pub(super) expected: Option<Hostname>,
}

/// A pulse that was taken.
pub(super) struct Taken {
    pub(super) id: ReplicaId,
    /// What was running the replica when it was asked.
    pub(super) instance: Instance,
    pub(super) pulse: Pulse,
}

/// Takes pulses in the background. The threads end when this is dropped.
///
/// The queue has no bound of its own: the watchdog has at most one question out for each replica.
pub(super) struct Pulses {
    questions: Sender<Question>,
}

impl Pulses {
    /// Starts as many threads as `most_replicas` can need, which hand each pulse to `answer`.
    pub(super) fn start(
        most_replicas: usize,
        settings: &heartbeat::Settings,
        answer: impl Fn(Taken) + Clone + Send + 'static,
    ) -> std::io::Result<Pulses> {
        let (questions, queue) = unbounded();
        for k in 0..most_replicas.clamp(1, MOST_THREADS) {
            let (queue, answer, heartbeat) = (queue.clone(), answer.clone(), Heartbeat::new(settings));
            thread::Builder::new()
                .name(format!("pulse-{k}"))
                .spawn(move || take(&queue, &heartbeat, &answer))?;
        }
        Ok(Pulses { questions })
    }

    /// None that are taken: the questions come out at the other end.
    #[cfg(test)]
    pub(super) fn untaken() -> (Pulses, Receiver<Question>) {
        let (questions, queue) = unbounded();
        (Pulses { questions }, queue)
    }

    /// Has a pulse taken soon.
    pub(super) fn ask(&self, question: Question) {
        // The threads hold the receiver for as long as `self` lives: sending cannot fail.
        let _ = self.questions.send(question);
    }
}

fn take(queue: &Receiver<Question>, heartbeat: &Heartbeat, answer: &impl Fn(Taken)) {
    for Question { id, instance, expected } in queue {
        let ask = || heartbeat.pulse(instance.address, expected.as_ref().map(Hostname::as_str));
        // Whatever happens there is an answer: the watchdog asks about a replica again only after the last one.
        let pulse = catch_unwind(AssertUnwindSafe(ask))
            .unwrap_or_else(|_| Pulse::Unknown("taking the heartbeat panicked".to_owned()));
        answer(Taken { id, instance, pulse });
    }
}
