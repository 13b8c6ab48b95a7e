//! RFC 9112, section 5: field lines.

use super::case::{Case, case, only_fields, post, refused, section, served, served_odd, unparsed, with};

pub fn table() -> Vec<Case> {
    section(
        "9112 5",
        [
            case("a field line without a colon", with("no colon"), unparsed(400)),
            case("a field line of one word", with("Accept"), unparsed(400)),
            case("a second request line", with("GET /odd HTTP/1.1"), unparsed(400)),
            case("a field without a value", with("X:"), served_odd()),
            case("a field without a space", with("X:y"), served_odd()),
            case("a value with colons", with("X: a:b: c"), served_odd()),
        ],
    )
    .into_iter()
    .chain(section(
        "9112 5.1",
        [
            case("a space before the colon", with("X : a"), unparsed(400)),
            case("a tab before the colon", with("X\t: a"), unparsed(400)),
            case("a space before the colon of Host", only_fields("Host : a"), unparsed(400)),
            case("a space before the colon of a length", post("Content-Length : 5", "hello"), unparsed(400)),
            case(
                "a space before the colon of a coding",
                post("Transfer-Encoding : chunked", "0\r\n\r\n"),
                unparsed(400),
            ),
        ],
    ))
    .chain(section(
        "9112 5.2",
        [
            case("a folded value", with("X: a\r\n b"), unparsed(400)),
            case("a value folded with a tab", with("X: a\r\n\tb"), unparsed(400)),
            case("a folded Host", only_fields("Host:\r\n a"), unparsed(400)),
            case("a length that is folded away", post("Content-Length:\r\n 5", "hello"), unparsed(400)),
            case(
                "a coding that is folded away",
                post("Transfer-Encoding:\r\n chunked", "0\r\n\r\n"),
                unparsed(400),
            ),
            // The parser takes these for fields of their own, and the replica gets them framed anew.
            case("a folded line that looks like a field", with("X: a\r\n Y: b"), served_odd()),
            case(
                "a folded line that looks like a length",
                post("X: a\r\n Content-Length: 5", "hello"),
                served("POST", "/odd", "hello"),
            ),
            case(
                "a folded line that looks like a coding",
                post("X: a\r\n Transfer-Encoding: chunked", "5\r\nhello\r\n0\r\n\r\n"),
                served("POST", "/odd", "hello"),
            ),
            case(
                "a folded length beside a coding",
                post("Transfer-Encoding: chunked\r\n Content-Length: 5", "0\r\n\r\n"),
                refused(400),
            ),
        ],
    ))
    .collect()
}
