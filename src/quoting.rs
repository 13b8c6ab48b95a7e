//! Other people's words in messages of ours.

/// Most characters that are repeated: enough to recognise what was sent, and too few to flood a log.
const LONGEST: usize = 80;

/// A client's value as a message repeats it, between the quotes of the message: its beginning, in which everything is
/// escaped that does not print or would look like the end of the quotation. An ellipsis where something is left out.
pub fn shown(text: &str) -> String {
    let mut chars = text.chars();
    let mut shown: String = chars.by_ref().take(LONGEST).flat_map(char::escape_debug).collect();
    if chars.next().is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_long_is_cut_and_what_does_not_print_is_escaped() {
        for (text, expected) in [
            ("", ""),
            ("lb.example.com:5000", "lb.example.com:5000"),
            ("ä→", "ä→"),
            ("a\r\nb\u{1b}[2J", "a\\r\\nb\\u{1b}[2J"),
            ("\u{9b}2J \u{202e}x\u{0}", "\\u{9b}2J \\u{202e}x\\0"),
            ("it's \"x\\", "it\\'s \\\"x\\\\"),
        ] {
            assert_eq!(shown(text), expected, "{text:?}");
        }
        assert_eq!(shown(&"ä".repeat(80)), "ä".repeat(80));
        assert_eq!(shown(&"ä".repeat(10_000)), "ä".repeat(80) + "…");
        assert_eq!(shown(&"\u{1b}".repeat(81)), "\\u{1b}".repeat(80) + "…");
    }
}
