//! The threads that launch and stop replicas: a few, so that five replicas start together, and no more, so that
//! fifty do not bring the engine to its knees.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, PoisonError};

use crate::sync::mpsc::{self, Receiver, RecvError, Sender};
use crate::sync::{Mutex, thread};

/// Launches or stops that run at the same time. Each is mostly waiting for the engine, but the engine does its part
/// on the same cores that serve requests: five containers started together take about three times as long as one.
#[cfg(not(feature = "model"))]
const THREADS: usize = 8;
/// Enough to be side by side, and few enough that jobs have to wait for a thread.
#[cfg(feature = "model")]
const THREADS: usize = 2;

type Job = Box<dyn FnOnce() + Send>;

/// Runs jobs on threads of its own, which end when this is dropped and the jobs at hand are done.
///
/// The queue has no bound of its own: a job is work on one replica, and a replica has at most one at a time (and
/// there is at most one search for strays).
pub(super) struct Crew {
    jobs: Sender<Job>,
}

impl Crew {
    /// Starts the threads; fewer than planned if the system refuses some, an error if it refuses all.
    pub(super) fn start(name: &str) -> std::io::Result<Crew> {
        let (jobs, queue) = mpsc::channel();
        let queue = Arc::new(Mutex::new(queue));
        let mut outcome = Ok(());
        let started = (0..THREADS).filter(|k| {
            let queue = queue.clone();
            let thread = thread::Builder::new().name(format!("{name}-{k}")).spawn(move || work(&queue));
            thread.map_err(|error| outcome = Err(error)).is_ok()
        });
        match started.count() {
            0 => outcome.map(|()| Crew { jobs }),
            _ => Ok(Crew { jobs }),
        }
    }

    /// Queues one job and returns.
    pub(super) fn run(&self, job: impl FnOnce() + Send + 'static) {
        // The threads hold the queue for as long as `self` lives: sending cannot fail.
        let _ = self.jobs.send(Box::new(job));
    }

    /// Runs all jobs side by side and waits for them; the results stand in the order of the jobs. `None` stands for
    /// a job that panicked.
    pub(super) fn run_all<T, F>(&self, jobs: Vec<F>) -> Vec<Option<T>>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        let mut results: Vec<Option<T>> = jobs.iter().map(|_| None).collect();
        let (sender, receiver) = mpsc::channel();
        for (at, job) in jobs.into_iter().enumerate() {
            let sender = sender.clone();
            self.run(move || {
                let _ = sender.send((at, job()));
            });
        }
        drop(sender);
        for (at, result) in receiver {
            results[at] = Some(result);
        }
        results
    }
}

fn work(queue: &Mutex<Receiver<Job>>) {
    while let Ok(job) = next(queue) {
        // A panic ends the job, never the thread; what the job held (a claim, a sender) is given back on the way.
        if catch_unwind(AssertUnwindSafe(job)).is_err() {
            log::error!("work on a replica panicked");
        }
    }
}

/// Waits for a job, as the only one who does: the others wait for the lock. An error once there will be no more.
fn next(queue: &Mutex<Receiver<Job>>) -> Result<Job, RecvError> {
    queue.lock().unwrap_or_else(PoisonError::into_inner).recv()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_the_order_of_the_jobs_and_a_panic_costs_only_its_own() {
        let crew = Crew::start("test").unwrap();
        let jobs: Vec<_> = (0..40)
            .map(|k| {
                move || {
                    if k % 10 == 3 { panic!("job {k} panics for the test") } else { k * 2 }
                }
            })
            .collect();
        for round in 0..3 {
            for (k, result) in crew.run_all(jobs.clone()).into_iter().enumerate() {
                assert_eq!(result, (k % 10 != 3).then_some(k * 2), "round {round}");
            }
        }
    }

    #[test]
    fn jobs_run_side_by_side() {
        let crew = Crew::start("test").unwrap();
        let barrier = std::sync::Arc::new(std::sync::Barrier::new(THREADS));
        let jobs: Vec<_> = (0..THREADS)
            .map(|_| {
                let barrier = barrier.clone();
                move || barrier.wait().is_leader()
            })
            .collect();
        let leaders = crew.run_all(jobs).into_iter().filter(|leader| *leader == Some(true)).count();
        assert_eq!(leaders, 1);
    }
}
