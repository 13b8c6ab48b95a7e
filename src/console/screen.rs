//! A terminal that is drawn over again and again, and given back as it was; or, where there is none, plain lines.
//!
//! How large a terminal is can only be asked in ways that are closed to safe code. So nothing depends on it: lines
//! are not wrapped but cut by the terminal itself, each goes to a row by its number, and rows beyond the last fall onto
//! that, where at the end the footer stays. `LINES` and `COLUMNS`, if exported, are believed; what is shown is made to fit
//! the width that nearly every terminal has where they say nothing.

use std::fmt::Write as _;
use std::io::{self, Write};

use super::{table, text};

/// To the other screen, without a cursor and without wrapping.
const ENTER: &str = "\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[2J";
/// All of that back.
const LEAVE: &str = "\x1b[?7h\x1b[?25h\x1b[?1049l";
const REVERSED: &str = "\x1b[7m";
const NORMAL: &str = "\x1b[0m";

/// Clears what is left of a longer line, and the last place of the row, where a terminal that cuts a line puts its last
/// character: a digit there would belong to another number.
const CLEAR: &str = "\x1b[K\x1b[999G\x1b[K";

const FOOTER: &str = "each second; Ctrl-C ends";

/// How wide a terminal is taken for that does not say.
const USUAL_WIDTH: usize = 80;

/// What is known about where frames go.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    /// It obeys control sequences.
    pub is_terminal: bool,
    /// Rows, if known.
    pub lines: Option<usize>,
    /// Characters in a row, if known.
    pub columns: Option<usize>,
}

impl Window {
    /// How wide lines may be; no matter where there is no terminal.
    pub(super) fn width(self) -> Option<usize> {
        self.is_terminal.then(|| self.columns.unwrap_or(USUAL_WIDTH))
    }
}

/// What is shown at a time.
pub(super) struct Frame {
    /// What is wrong with it.
    pub(super) warning: Option<String>,
    pub(super) lines: Vec<String>,
}

/// Shows frames until it is dropped, which gives the terminal back.
pub(super) struct Screen<W: Write> {
    out: W,
    window: Window,
}

impl<W: Write> Screen<W> {
    pub(super) fn open(mut out: W, window: Window) -> io::Result<Screen<W>> {
        if window.is_terminal {
            out.write_all(ENTER.as_bytes())?;
        }
        Ok(Screen { out, window })
    }

    /// Shows a frame in place of the one before, or after it.
    pub(super) fn show(&mut self, frame: Frame) -> io::Result<()> {
        let text = match self.window.is_terminal {
            true => drawn(frame, self.window),
            false => printed(frame),
        };
        // In one piece: what is half drawn is not seen.
        self.out.write_all(text.as_bytes())?;
        self.out.flush()
    }
}

impl<W: Write> Drop for Screen<W> {
    fn drop(&mut self) {
        if self.window.is_terminal {
            // Nobody is left to tell.
            let _ = self.out.write_all(LEAVE.as_bytes()).and_then(|()| self.out.flush());
        }
    }
}

fn drawn(frame: Frame, window: Window) -> String {
    let broken = |text: String| text::wrap(&text, window.width().unwrap_or(USUAL_WIDTH));
    let warning: Vec<String> = frame.warning.map(broken).unwrap_or_default();
    let warned = warning.len();
    let lines: Vec<String> = warning.into_iter().chain(frame.lines).collect();
    let rows = window.lines.map(|lines| lines.saturating_sub(1).max(1));
    let lines = table::fit(lines, rows, window.columns);
    let mut text = String::new();
    for (k, line) in lines.iter().map(String::as_str).chain([FOOTER]).enumerate() {
        let (begin, end) = if k < warned.min(lines.len()) { (REVERSED, NORMAL) } else { ("", "") };
        // Writing to a string cannot fail.
        let _ = write!(text, "\x1b[{};1H{begin}{line}{end}{CLEAR}", k + 1);
    }
    // What is left of a longer frame.
    text + "\x1b[J"
}

fn printed(frame: Frame) -> String {
    let lines = frame.warning.into_iter().chain(frame.lines);
    lines.map(|line| line + "\n").chain(["\n".to_owned()]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(window: Window, frame: Frame) -> String {
        let mut out = Vec::new();
        Screen::open(&mut out, window).unwrap().show(frame).unwrap();
        String::from_utf8(out).unwrap().replace(CLEAR, "|")
    }

    fn frame(warning: Option<&str>) -> Frame {
        let lines = ["one", "two", "three"].map(str::to_owned).to_vec();
        Frame { warning: warning.map(str::to_owned), lines }
    }

    #[test]
    fn without_a_terminal_frames_are_lines_and_a_blank_one() {
        let window = Window { is_terminal: false, lines: Some(2), columns: Some(2) };
        assert_eq!(shown(window, frame(None)), "one\ntwo\nthree\n\n");
        assert_eq!(shown(window, frame(Some("old"))), "old\none\ntwo\nthree\n\n");
    }

    #[test]
    fn a_terminal_is_drawn_row_by_row_and_given_back() {
        let window = Window { is_terminal: true, lines: None, columns: None };
        let rows = "\x1b[1;1H\x1b[7mold\x1b[0m|\x1b[2;1Hone|\x1b[3;1Htwo|\x1b[4;1Hthree|";
        let end = format!("\x1b[5;1H{FOOTER}|\x1b[J");
        assert_eq!(shown(window, frame(Some("old"))), format!("{ENTER}{rows}{end}{LEAVE}"));
        // A long warning goes on in the next row.
        let long = shown(Window { columns: Some(10), ..window }, frame(Some("old, and that is why")));
        let begin =
            "\x1b[1;1H\x1b[7mold, and\x1b[0m|\x1b[2;1H\x1b[7m  that is\x1b[0m|\x1b[3;1H\x1b[7m  why\x1b[0m|";
        assert!(long.starts_with(&format!("{ENTER}{begin}\x1b[4;1Hone|")), "{long:?}");
    }

    #[test]
    fn a_terminal_of_known_size_gets_what_fits() {
        let window = Window { is_terminal: true, lines: Some(3), columns: Some(4) };
        let rows = "\x1b[1;1Hone|\x1b[2;1H… 2…|\x1b[3;1H";
        assert_eq!(shown(window, frame(None)), format!("{ENTER}{rows}{FOOTER}|\x1b[J{LEAVE}"));
    }
}
