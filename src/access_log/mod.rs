//! A line for every request that is answered, on standard output: who asked for what, what came of it, and who answered.
//!
//! Whoever serves a request writes its line into a buffer, which takes the time of a copy, and one thread writes that out.
//! So a reader that is slow, or a pipe that is full, holds up nobody: when the buffer is full, lines are dropped, and
//! counted.

mod line;
mod pen;

use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

pub use line::{Format, Line};
use pen::Pen;

/// Most bytes that wait to be written: some twenty thousand lines, a second of heavy traffic.
const ROOM: usize = 4 * 1024 * 1024;

/// How long lines are gathered before they are written together: one call for each line would cost more than the
/// requests.
const GATHERING: Duration = Duration::from_millis(10);

/// How long the end waits for a reader that does not read.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// A handle on the log; clones share it.
#[derive(Clone)]
pub struct AccessLog {
    format: Format,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    /// Told when the first line comes into an empty buffer, at the end, and when all is written.
    changed: Condvar,
    dropped: AtomicU64,
}

#[derive(Default)]
struct Waiting {
    lines: Vec<u8>,
    /// The writer has taken lines and not written them yet.
    writing: bool,
    ended: bool,
}

/// The thread that writes.
pub struct Writer {
    shared: Arc<Shared>,
    thread: JoinHandle<()>,
}

impl AccessLog {
    /// Opens a log that is written to `out`.
    ///
    /// # Errors
    /// The system has no thread for it.
    pub fn open(format: Format, out: Box<dyn Write + Send>) -> std::io::Result<(AccessLog, Writer)> {
        let shared = Arc::<Shared>::default();
        let own = shared.clone();
        let thread = thread::Builder::new().name("access-log".into()).spawn(move || own.write(out))?;
        Ok((AccessLog { format, shared: shared.clone() }, Writer { shared, thread }))
    }

    /// Notes a request. Never waits for a reader.
    pub fn note(&self, line: &Line<'_>) {
        let text = line.render(self.format);
        let mut waiting = self.shared.lock();
        if waiting.lines.len() + text.len() > ROOM {
            drop(waiting);
            self.shared.dropped.fetch_add(1, Relaxed);
            return;
        }
        let is_first = waiting.lines.is_empty();
        waiting.lines.extend_from_slice(text.as_bytes());
        drop(waiting);
        if is_first {
            self.shared.changed.notify_all();
        }
    }

    /// How many lines were dropped because nobody read them in time, or because they could not be written.
    pub fn dropped(&self) -> u64 {
        self.shared.dropped.load(Relaxed)
    }
}

impl Writer {
    /// Writes what waits, if somebody reads it within half a second, and ends.
    pub fn close(self) {
        let deadline = Instant::now() + LAST_WORDS;
        let mut waiting = self.shared.lock();
        waiting.ended = true;
        self.shared.changed.notify_all();
        while (waiting.writing || !waiting.lines.is_empty()) && Instant::now() < deadline {
            let left = deadline.saturating_duration_since(Instant::now());
            waiting =
                self.shared.changed.wait_timeout(waiting, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        let is_done = !waiting.writing && waiting.lines.is_empty();
        drop(waiting);
        // One that is stuck in a full pipe is left behind: the program ends.
        if is_done && self.thread.join().is_err() {
            log::error!("the access log's thread had panicked");
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, out: Box<dyn Write + Send>) {
        let (mut pen, mut is_broken) = (Pen::new(out), false);
        let mut taken = Vec::new();
        loop {
            let mut waiting = self.lock();
            while waiting.lines.is_empty() && !waiting.ended {
                waiting = self.changed.wait(waiting).unwrap_or_else(PoisonError::into_inner);
            }
            if waiting.lines.is_empty() {
                return;
            }
            if !waiting.ended {
                waiting =
                    self.changed.wait_timeout(waiting, GATHERING).unwrap_or_else(PoisonError::into_inner).0;
            }
            std::mem::swap(&mut taken, &mut waiting.lines);
            waiting.writing = true;
            drop(waiting);
            if let Err((lost, error)) = pen.write(&taken) {
                self.dropped.fetch_add(lost, Relaxed);
                if !std::mem::replace(&mut is_broken, true) {
                    log::error!("the access log cannot be written, its lines are dropped: {error}");
                }
            }
            taken.clear();
            self.lock().writing = false;
            self.changed.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;
    use std::sync::mpsc;

    /// Gives what is written to whoever listens, and waits until they take it.
    struct Pipe(mpsc::SyncSender<Vec<u8>>);

    impl Write for Pipe {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.send(bytes.to_vec()).map_err(|_| io::ErrorKind::BrokenPipe)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_come_out_in_order_and_the_last_at_the_end() {
        let (pipe, reader) = mpsc::sync_channel(1000);
        let (log, writer) = AccessLog::open(Format::Json, Box::new(Pipe(pipe))).unwrap();
        for status in 200..300 {
            log.note(&Line { status, ..Line::default() });
        }
        writer.close();
        let text: Vec<u8> = reader.try_iter().flatten().collect();
        let text = String::from_utf8(text).unwrap();
        let statuses = text.lines().map(|line| {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            line["status"].as_u64().unwrap()
        });
        assert!(statuses.eq(200..300));
        assert_eq!(log.dropped(), 0);
    }

    #[test]
    fn a_reader_that_does_not_read_holds_up_nobody_and_what_is_lost_is_counted() {
        let (pipe, reader) = mpsc::sync_channel(0);
        let (log, writer) = AccessLog::open(Format::Json, Box::new(Pipe(pipe))).unwrap();
        let target = "/".repeat(8000);
        let lines = 2 * ROOM / target.len();
        for _ in 0..lines {
            log.note(&Line { target: &target, ..Line::default() });
        }
        let dropped = log.dropped();
        assert!(dropped > 0 && dropped < lines as u64, "{dropped} of {lines}");
        writer.close();
        // Now somebody reads: all that was not dropped is there.
        let mut kept = 0;
        while let Ok(bytes) = reader.recv_timeout(Duration::from_secs(30)) {
            kept += bytes.iter().filter(|byte| **byte == b'\n').count() as u64;
        }
        assert_eq!(kept + dropped, lines as u64);
    }

    #[test]
    fn a_reader_that_has_gone_is_no_reason_to_end() {
        let (pipe, reader) = mpsc::sync_channel(0);
        drop(reader);
        let (log, writer) = AccessLog::open(Format::Combined, Box::new(Pipe(pipe))).unwrap();
        log.note(&Line::default());
        writer.close();
        assert_eq!(log.dropped(), 1);
    }
}
