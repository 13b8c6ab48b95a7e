//! The head of a request, reduced to what the replica acts on.
//!
//! Framing is strict, because a server that guesses where a request ends can be made to see one that nobody sent:
//! a length and a coding together, a length twice or not in plain digits, a coding other than `chunked` are all
//! refused. The host is not looked at; there is one site here.

use httparse::{Header, Status};

/// The longest head: more than any balancer that admits heads of 64 KiB adds headers to.
pub(crate) const MAX_HEAD: usize = (64 + 4) * 1024;

/// The most headers: the 100 that servers commonly admit, and room for those that the balancer adds.
pub(crate) const MAX_HEADERS: usize = 128;

/// The most of a body, its chunk framing included. Bodies are thrown away and cost no memory, so this only ends the
/// one that would not end by itself.
pub(crate) const MAX_BODY: u64 = 1 << 30;

/// A request without its body.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) method: String,
    /// The target up to its query.
    pub(crate) path: String,
    pub(crate) body: Framing,
    /// HTTP/1.0, where a connection is kept only if both sides say so.
    pub(crate) http_1_0: bool,
    /// Whether another request may follow on the connection.
    pub(crate) keep_alive: bool,
    /// Whether the client waits for a word before it sends the body.
    pub(crate) expects_continue: bool,
}

/// How the end of a body is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// After so many bytes, at most [`MAX_BODY`]; 0 also when there is no body.
    Length(u64),
    /// After the chunk of size 0.
    Chunked,
}

/// Why a request is not read to its end. The connection cannot go on: where the next request begins is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    Malformed,
    HeadTooLarge,
    BodyTooLarge,
}

impl Head {
    /// Reads a head from the start of `bytes`, with its length; `None` as long as its end is missing.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Option<(Self, usize)>, Refusal> {
        let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut request = httparse::Request::new(&mut headers);
        let length = match request.parse(bytes) {
            Ok(Status::Complete(length)) if length <= MAX_HEAD => length,
            Ok(Status::Partial) if bytes.len() < MAX_HEAD => return Ok(None),
            Ok(_) | Err(httparse::Error::TooManyHeaders) => return Err(Refusal::HeadTooLarge),
            Err(_) => return Err(Refusal::Malformed),
        };
        let (Some(method), Some(target), Some(minor)) = (request.method, request.path, request.version)
        else {
            return Err(Refusal::Malformed);
        };
        let http_1_0 = minor == 0;
        let keep_alive = if http_1_0 { lists(request.headers, "Connection", "keep-alive") } else { true };
        let head = Self {
            method: method.to_owned(),
            path: target.split('?').next().unwrap_or(target).to_owned(),
            body: framing(request.headers, http_1_0)?,
            http_1_0,
            keep_alive: keep_alive && !lists(request.headers, "Connection", "close"),
            expects_continue: !http_1_0 && lists(request.headers, "Expect", "100-continue"),
        };
        Ok(Some((head, length)))
    }
}

fn framing(headers: &[Header], http_1_0: bool) -> Result<Framing, Refusal> {
    let mut codings = values(headers, "Transfer-Encoding");
    let mut lengths = values(headers, "Content-Length");
    match (codings.next(), codings.next(), lengths.next(), lengths.next()) {
        (None, None, None, None) => Ok(Framing::Length(0)),
        (None, None, Some(length), None) => match decimal(length).ok_or(Refusal::Malformed)? {
            length @ 0..=MAX_BODY => Ok(Framing::Length(length)),
            _ => Err(Refusal::BodyTooLarge),
        },
        // HTTP/1.0 has no codings: whoever put one there and whoever passed it on may disagree about its meaning.
        (Some(coding), None, None, None) if coding.eq_ignore_ascii_case(b"chunked") && !http_1_0 => {
            Ok(Framing::Chunked)
        }
        _ => Err(Refusal::Malformed),
    }
}

/// Digits only: `parse` alone would also take a sign.
fn decimal(value: &[u8]) -> Option<u64> {
    let text = str::from_utf8(value).ok()?;
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

fn values<'a>(headers: &'a [Header], name: &'a str) -> impl Iterator<Item = &'a [u8]> {
    headers.iter().filter(move |header| header.name.eq_ignore_ascii_case(name)).map(|header| header.value)
}

/// Whether the comma-separated values of a header contain `word`.
fn lists(headers: &[Header], name: &str, word: &str) -> bool {
    values(headers, name)
        .flat_map(|value| value.split(|byte| *byte == b','))
        .any(|item| item.trim_ascii().eq_ignore_ascii_case(word.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Option<(Head, usize)>, Refusal> {
        Head::parse(text.as_bytes())
    }

    fn with_headers(version: &str, headers: &str) -> Result<Head, Refusal> {
        parse(&format!("POST /home HTTP/{version}\r\n{headers}\r\n")).map(|parsed| parsed.unwrap().0)
    }

    #[test]
    fn a_head_is_read_when_it_is_complete_and_not_before() {
        let whole = "GET /home?a=b HTTP/1.1\r\nHost: x\r\n\r\n";
        for end in 0..whole.len() {
            assert_eq!(parse(&whole[..end]), Ok(None), "{:?}", &whole[..end]);
        }
        let (head, length) = parse(&format!("{whole}GET /next")).unwrap().unwrap();
        assert_eq!((head.method.as_str(), head.path.as_str(), length), ("GET", "/home", whole.len()));
    }

    #[test]
    fn framing_is_understood_or_refused() {
        let bad = Err(Refusal::Malformed);
        let table = [
            ("", Ok(Framing::Length(0))),
            ("Content-Length: 17\r\n", Ok(Framing::Length(17))),
            ("content-length:0\r\n", Ok(Framing::Length(0))),
            ("Content-Length: 1073741824\r\n", Ok(Framing::Length(MAX_BODY))),
            ("Content-Length: 1073741825\r\n", Err(Refusal::BodyTooLarge)),
            ("Content-Length: 9999999999999999999\r\n", Err(Refusal::BodyTooLarge)),
            ("Content-Length: 18446744073709551616\r\n", bad),
            ("Content-Length: +5\r\n", bad),
            ("Content-Length: -5\r\n", bad),
            ("Content-Length: 0x5\r\n", bad),
            ("Content-Length: 5, 5\r\n", bad),
            ("Content-Length: 5\r\nContent-Length: 5\r\n", bad),
            ("Content-Length:\r\n", bad),
            ("Content-Length : 5\r\n", bad),
            ("Transfer-Encoding: Chunked\r\n", Ok(Framing::Chunked)),
            ("Transfer-Encoding: gzip\r\n", bad),
            ("Transfer-Encoding: gzip, chunked\r\n", bad),
            ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", bad),
            ("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", bad),
            ("Content-Length: 5\r\nTransfer-Encoding: identity\r\n", bad),
        ];
        for (headers, expected) in table {
            assert_eq!(with_headers("1.1", headers).map(|head| head.body), expected, "{headers:?}");
        }
        assert_eq!(with_headers("1.0", "Transfer-Encoding: chunked\r\n"), Err(Refusal::Malformed));
    }

    #[test]
    fn persistence_and_expectation() {
        let table = [
            ("1.1", "", true),
            ("1.1", "Connection: keep-alive\r\n", true),
            ("1.1", "Connection: Close\r\n", false),
            ("1.1", "Connection: x, close\r\n", false),
            ("1.1", "Connection: keep-alive\r\nConnection: close\r\n", false),
            ("1.1", "Connection: closed\r\n", true),
            ("1.0", "", false),
            ("1.0", "Connection: Keep-Alive\r\n", true),
            ("1.0", "Connection: keep-alive, close\r\n", false),
        ];
        for (version, headers, expected) in table {
            assert_eq!(with_headers(version, headers).unwrap().keep_alive, expected, "{version} {headers:?}");
        }
        assert!(with_headers("1.1", "Expect: 100-Continue\r\n").unwrap().expects_continue);
        assert!(!with_headers("1.0", "Expect: 100-continue\r\n").unwrap().expects_continue);
        assert!(!with_headers("1.1", "").unwrap().expects_continue);
    }

    #[test]
    fn heads_are_bounded() {
        let of_size = |size: usize| {
            let rest = "GET / HTTP/1.1\r\nX: \r\n\r\n".len();
            format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "a".repeat(size - rest))
        };
        assert!(matches!(parse(&of_size(MAX_HEAD)), Ok(Some((_, MAX_HEAD)))));
        assert_eq!(parse(&of_size(MAX_HEAD + 1)), Err(Refusal::HeadTooLarge));
        assert_eq!(parse(&of_size(MAX_HEAD + 1)[..MAX_HEAD - 1]), Ok(None));
        assert_eq!(parse(&of_size(MAX_HEAD + 1)[..MAX_HEAD]), Err(Refusal::HeadTooLarge));
        assert!(with_headers("1.1", &"X: y\r\n".repeat(MAX_HEADERS)).is_ok());
        assert_eq!(with_headers("1.1", &"X: y\r\n".repeat(MAX_HEADERS + 1)), Err(Refusal::HeadTooLarge));
    }
}
