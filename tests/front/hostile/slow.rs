//! Requests that never become whole: only time ends their connections. The bytes are in order of RFC 9112, and what
//! is no request for a server of HTTP/1.1 comes last.

use super::case::{chunked, line, post};

/// What is sent, in words, and its bytes.
pub fn table() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("nothing", Vec::new()),
        ("half a method", b"GE".to_vec()),
        ("half a request line", b"GET /odd HT".to_vec()),
        ("a request line", b"GET /odd HTTP/1.1\r\n".to_vec()),
        ("half a field", b"GET /odd HTTP/1.1\r\nHo".to_vec()),
        ("a head without its end", b"GET /odd HTTP/1.1\r\nHost: a\r\n".to_vec()),
        ("half the end of a head", b"GET /odd HTTP/1.1\r\nHost: a\r\n\r".to_vec()),
        ("line feeds for line ends", b"GET /odd HTTP/1.1\nHost: a\n\n".to_vec()),
        ("a line feed for the end of the head", b"GET /odd HTTP/1.1\r\nHost: a\r\n\n".to_vec()),
        ("carriage returns for line ends", b"GET /odd HTTP/1.1\rHost: a\r\r".to_vec()),
        ("zero bytes", vec![0; 1000]),
        ("a greeting of TLS without a line end", b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03".to_vec()),
        ("a short body that does not come", post("Content-Length: 5", "")),
        ("half a short body", post("Content-Length: 5", "hel")),
        ("a long body that does not come", post("Content-Length: 5000", "")),
        ("half a long body", post("Content-Length: 5000", "hello")),
        (
            "a body for /add that does not come",
            b"POST /add HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5000\r\n\r\n{".to_vec(),
        ),
        ("chunks that do not come", chunked("")),
        ("half a size", chunked("5")),
        ("a size without a line feed", chunked("5\r")),
        ("half a chunk", chunked("5\r\nhel")),
        ("a chunk of 2^63", chunked("8000000000000000\r\nhello")),
        ("chunks without a last one", chunked("5\r\nhello\r\n")),
        ("half the end of the last chunk", chunked("5\r\nhello\r\n0\r\n\r")),
        ("an extension that does not end", chunked("5;a=b")),
        (
            "a body that waits to be asked for and does not come",
            post("Expect: 100-continue\r\nContent-Length: 5", ""),
        ),
        ("HTTP/2.0", line("GET /odd HTTP/2.0")),
        ("HTTP/3.0", line("GET /odd HTTP/3.0")),
        ("the preface of HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec()),
    ]
}
