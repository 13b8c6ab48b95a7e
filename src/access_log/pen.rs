//! Writes whole lines to something that may take only a part of them.

use std::io::{self, ErrorKind, Write};
use std::thread;
use std::time::Duration;

/// How long one waits for room in a pipe that says it is full. A pipe holds some hundred lines: with these pauses tens
/// of thousands pass in a second.
const FULL: Duration = Duration::from_millis(10);

/// Writes lines, and knows what became of them.
pub(super) struct Pen {
    out: Box<dyn Write + Send>,
    /// A write failed in the middle of a line, which is not to be continued by another one.
    is_torn: bool,
}

impl Pen {
    pub(super) fn new(out: Box<dyn Write + Send>) -> Pen {
        Pen { out, is_torn: false }
    }

    /// Writes `lines`, and waits where the other side does not read; or how many of them did not come out whole, and why.
    pub(super) fn write(&mut self, lines: &[u8]) -> Result<(), (u64, io::Error)> {
        let mut rest = lines;
        let written = self.end_torn_line().and_then(|()| self.write_all(&mut rest));
        let lost = rest.iter().filter(|byte| **byte == b'\n').count();
        written.map_err(|error| (lost as u64, error))
    }

    fn end_torn_line(&mut self) -> io::Result<()> {
        if self.is_torn { self.write_all(&mut &b"\n"[..]) } else { Ok(()) }
    }

    /// Writes what it can; `rest` is what is left when that fails.
    fn write_all(&mut self, rest: &mut &[u8]) -> io::Result<()> {
        while !rest.is_empty() {
            match self.out.write(rest) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => {
                    let (written, left) = rest.split_at(count);
                    (self.is_torn, *rest) = (!written.ends_with(b"\n"), left);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => thread::sleep(FULL),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    /// Takes so many bytes of each write, or fails; everything at the end.
    struct Fitful {
        moods: std::vec::IntoIter<Result<usize, ErrorKind>>,
        taken: Arc<Mutex<Vec<u8>>>,
    }

    impl Write for Fitful {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let count = self.moods.next().unwrap_or(Ok(bytes.len()))?.min(bytes.len());
            self.taken.lock().unwrap().extend_from_slice(&bytes[..count]);
            Ok(count)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn pen(moods: Vec<Result<usize, ErrorKind>>) -> (Pen, impl Fn() -> String) {
        let taken = Arc::<Mutex<Vec<u8>>>::default();
        let out = Fitful { moods: moods.into_iter(), taken: taken.clone() };
        (Pen::new(Box::new(out)), move || String::from_utf8(taken.lock().unwrap().clone()).unwrap())
    }

    #[test]
    fn only_the_lines_that_did_not_come_out_whole_are_lost() {
        let (mut pen, taken) = pen(vec![Ok(4), Ok(5), Err(ErrorKind::StorageFull)]);
        let (lost, error) = pen.write(b"first\nsecond\nthird\n").unwrap_err();
        assert_eq!((lost, error.kind()), (2, ErrorKind::StorageFull));
        assert_eq!(taken(), "first\nsec");
    }

    #[test]
    fn a_line_that_was_torn_is_ended_before_the_next_one() {
        let full = || Err(ErrorKind::StorageFull);
        let (mut pen, taken) = pen(vec![Ok(3), full(), full(), Ok(1), Ok(2), full()]);
        assert_eq!(pen.write(b"first\n").unwrap_err().0, 1);
        assert_eq!(pen.write(b"second\n").unwrap_err().0, 1, "not even the end of the first");
        assert_eq!(pen.write(b"third\n").unwrap_err().0, 1);
        assert!(pen.write(b"fourth\n").is_ok() && pen.write(b"fifth\n").is_ok());
        assert_eq!(taken(), "fir\nth\nfourth\nfifth\n");
    }

    #[test]
    fn a_line_that_came_out_whole_needs_no_end() {
        let (mut pen, taken) = pen(vec![Ok(6), Err(ErrorKind::BrokenPipe)]);
        assert_eq!(pen.write(b"first\nsecond\n").unwrap_err().0, 1);
        assert!(pen.write(b"third\n").is_ok());
        assert_eq!(taken(), "first\nthird\n");
    }

    #[test]
    fn a_pipe_that_is_full_is_waited_for() {
        let full = || Err(ErrorKind::WouldBlock);
        let (mut pen, taken) = pen(vec![Ok(3), full(), full(), Err(ErrorKind::Interrupted), Ok(1), full()]);
        assert!(pen.write(b"first\nsecond\n").is_ok());
        assert_eq!(taken(), "first\nsecond\n");
    }

    #[test]
    fn an_end_that_takes_nothing_is_no_reason_to_try_for_ever() {
        let (mut pen, _) = pen(vec![Ok(0)]);
        assert_eq!(pen.write(b"first\n").unwrap_err().0, 1);
    }
}
