//! Numbers, times and other people's texts, as short as they can be read.

/// A text of the balancer's as nothing but text: whoever wrote it, it moves no cursor and sets no colour.
pub(super) fn plain(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            // Of use in a path or a message, and harmless.
            '\'' | '"' | '\\' => shown.push(c),
            _ => shown.extend(c.escape_debug()),
        }
    }
    shown
}

/// JSON without characters that a terminal may obey; the same JSON to a program.
///
/// The serialiser escapes the controls of ASCII, but for `DEL`. Beyond ASCII there are more of them.
pub(super) fn json(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        let is_shown = c == '\n' || c.escape_debug().len() == 1 || matches!(c, '\'' | '"' | '\\');
        match is_shown {
            true => shown.push(c),
            // Beyond 16 bits JSON has pairs of escapes, and there is nothing that a terminal obeys.
            false if c.len_utf16() == 1 => shown.push_str(&format!("\\u{:04x}", u32::from(c))),
            false => shown.push(c),
        }
    }
    shown
}

/// At most `most` characters of a text, with a sign that there was more.
pub(super) fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => text.to_owned(),
        Some(_) => text.chars().take(most.saturating_sub(1)).chain(['…']).collect(),
    }
}

/// A text in lines of at most `width` characters, broken at blanks where it has any; all but the first begin with two.
pub(super) fn wrap(text: &str, width: usize) -> Vec<String> {
    const INDENT: usize = 2;
    let (mut lines, mut rest) = (Vec::new(), text.to_owned());
    // A line that has room for nothing but what it begins with would never end.
    let width = width.max(2 * INDENT + 1);
    while let Some((end, _)) = rest.char_indices().nth(width) {
        let indented = if lines.is_empty() { 0 } else { INDENT };
        // A blank right behind the line will do.
        let next = end + rest[end..].chars().next().map_or(0, char::len_utf8);
        let at = rest[indented..next].rfind(' ').map_or(end, |at| at + indented);
        let at = if rest[..at].trim().is_empty() { end } else { at };
        lines.push(rest[..at].trim_end().to_owned());
        rest = format!("{:INDENT$}{}", "", rest[at..].trim_start());
    }
    lines.push(rest);
    lines
}

/// Lines that are no wider than `width`, if that matters.
pub(super) fn broken(lines: Vec<String>, width: Option<usize>) -> Vec<String> {
    match width {
        Some(width) => lines.iter().flat_map(|line| wrap(line, width)).collect(),
        None => lines,
    }
}

/// What was measured, or the sign that it was not.
pub(super) fn or_dash<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

/// A text of the balancer's, short enough for a cell.
pub(super) fn word(text: Option<&str>) -> String {
    // A legal name has 63.
    or_dash(text.filter(|text| !text.is_empty()).map(|text| cut(&plain(text), 63)))
}

/// A span in its two largest units: `450ms`, `42s`, `3m12s`, `5h0m`, `12d3h`.
pub(super) fn span(ms: f64) -> String {
    // What is negative or no number becomes 0.
    let ms = ms as u64;
    let (s, m, h) = (ms / 1000, ms / 60_000, ms / 3_600_000);
    match ms {
        0..1000 => format!("{ms}ms"),
        1000..60_000 => format!("{s}s"),
        60_000..3_600_000 => format!("{m}m{}s", s % 60),
        3_600_000..86_400_000 => format!("{h}h{}m", m % 60),
        _ => format!("{}d{}h", h / 24, h % 24),
    }
}

/// How long something took, with about two digits that mean something: `0.06ms`, `0.6ms`, `42ms`, `1.5s`.
pub(super) fn latency(ms: f64) -> String {
    match ms {
        _ if !ms.is_finite() || ms < 0.0 => "-".to_owned(),
        ..0.1 => format!("{ms:.2}ms"),
        ..9.95 => format!("{ms:.1}ms"),
        ..999.5 => format!("{ms:.0}ms"),
        ..60_000.0 => format!("{:.1}s", ms / 1000.0),
        _ => span(ms),
    }
}

/// A rate: a decimal only where it says something.
pub(super) fn rate(per_second: f64) -> String {
    match per_second {
        ..0.05 => "0".to_owned(),
        ..9.95 => format!("{per_second:.1}"),
        _ => format!("{per_second:.0}"),
    }
}

/// A part of 1 as a percentage.
pub(super) fn percent(part: f64) -> String {
    match part.is_finite() {
        true => format!("{:.1}%", part * 100.0),
        false => "-".to_owned(),
    }
}

/// The time of day of a moment like `2026-11-21T15:20:03.456Z`, or the text itself if it is none.
pub(super) fn time_of_day(moment: &str) -> String {
    let time = moment.split_once('T').and_then(|(_, time)| time.get(..8));
    let is_time = |time: &str| time.bytes().all(|byte| byte.is_ascii_digit() || byte == b':');
    match time.filter(|time| is_time(time)) {
        Some(time) => time.to_owned(),
        None => cut(&plain(moment), 32),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_drives_the_terminal() {
        assert_eq!(plain("it's \"C:\\\" – ünüsual"), "it's \"C:\\\" – ünüsual");
        assert_eq!(plain("\x1b[2J\x07\r\n\t\x7f"), "\\u{1b}[2J\\u{7}\\r\\n\\t\\u{7f}");
        // The eight-bit escape, an order to write backwards, a line that is none.
        assert_eq!(plain("\u{9b}31m\u{202e}\u{2028}"), "\\u{9b}31m\\u{202e}\\u{2028}");
    }

    #[test]
    fn json_stays_the_same_json() {
        let text = serde_json::json!({"a\u{9b}": "\x1b\u{7f}\u{202e}\\\"'é\n🎪"});
        let shown = json(&serde_json::to_string_pretty(&text).unwrap());
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), text);
        assert!(
            shown.contains("\\u009b") && shown.contains("\\u007f") && shown.contains("\\u202e"),
            "{shown}"
        );
        assert!(shown.contains("é\\n🎪"), "{shown}");
    }

    #[test]
    fn what_is_cut_says_so() {
        for (text, cut_to_3) in [("", ""), ("abc", "abc"), ("abcd", "ab…"), ("äöüß", "äö…")] {
            assert_eq!(cut(text, 3), cut_to_3);
        }
        assert_eq!(cut("abc", 0), "…");
    }

    #[test]
    fn what_is_long_is_broken_at_blanks_and_nothing_is_lost() {
        for (text, lines) in [
            ("", vec![""]),
            ("seven c", vec!["seven c"]),
            ("four and more of it", vec!["four", "  and", "  more", "  of it"]),
            ("1234567 9", vec!["1234567", "  9"]),
            ("12345678901234", vec!["1234567", "  89012", "  34"]),
            ("äöü äöüäöüäöü", vec!["äöü", "  äöüäö", "  üäöü"]),
        ] {
            assert_eq!(wrap(text, 7), lines, "{text}");
        }
        assert_eq!(wrap("abcdef", 0), ["abcde", "  f"]);
    }

    #[test]
    fn spans_are_short() {
        for (ms, text) in [
            (0.0, "0ms"),
            (999.9, "999ms"),
            (1000.0, "1s"),
            (59_999.0, "59s"),
            (192_000.0, "3m12s"),
            (3_600_000.0, "1h0m"),
            (90_000_000.0, "1d1h"),
            (-5.0, "0ms"),
            (f64::NAN, "0ms"),
        ] {
            assert_eq!(span(ms), text, "{ms}");
        }
    }

    #[test]
    fn latencies_and_rates_have_the_digits_that_matter() {
        for (ms, text) in [
            (0.0, "0.00ms"),
            (0.06, "0.06ms"),
            (0.61, "0.6ms"),
            (9.96, "10ms"),
            (42.4, "42ms"),
            (999.7, "1.0s"),
            (1500.0, "1.5s"),
            (61_000.0, "1m1s"),
            (-1.0, "-"),
            (f64::NAN, "-"),
        ] {
            assert_eq!(latency(ms), text, "{ms}");
        }
        for (per_second, text) in [(0.0, "0"), (0.04, "0"), (0.5, "0.5"), (9.97, "10"), (1234.4, "1234")] {
            assert_eq!(rate(per_second), text, "{per_second}");
        }
        assert_eq!((percent(1.0 / 3.0), percent(f64::INFINITY)), ("33.3%".to_owned(), "-".to_owned()));
    }

    #[test]
    fn a_moment_is_shown_as_its_time_of_day() {
        for (moment, shown) in [
            ("2026-11-21T15:20:03.456Z", "15:20:03"),
            ("soon", "soon"),
            ("T\x1b[2J\x1b[2J", "T\\u{1b}[2J\\u{1b}[2J"),
            ("2026-11-21T15", "2026-11-21T15"),
        ] {
            assert_eq!(time_of_day(moment), shown);
        }
    }
}
