//! The checks of `admission` held against a second reading of the same bytes. Nothing here takes part in serving: the
//! fuzzer in `fuzz/` and the test over what it has found, `tests/fuzz_corpus.rs`, call it.

use http::{HeaderMap, Method, Uri};

use super::admission::{self, Framing, Head, RawHead, Refusal};
use super::incoming::LARGEST_BODY;

/// What became of a head.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// tiny_http does not get as far as handing it over.
    Unparsed,
    /// Refused with this status.
    Refused(u16),
    /// Sound.
    Admitted,
}

/// A head in parts, as tiny_http takes it apart.
struct Parts<'a> {
    method: &'a str,
    target: &'a str,
    version: (u8, u8),
    fields: Vec<tiny_http::Header>,
}

/// Reads the bytes as tiny_http does and has them admitted.
///
/// # Panics
/// The head was admitted, and something does not hold that must hold for every admitted head; or it was refused, and
/// not as a refusal should be.
pub fn check_head(bytes: &[u8]) -> Verdict {
    let Some(parts) = parts(bytes) else {
        return Verdict::Unparsed;
    };
    let fields: Vec<(&str, &str)> =
        parts.fields.iter().map(|field| (field.field.as_str().as_str(), field.value.as_str())).collect();
    let raw = RawHead { method: parts.method, target: parts.target, version: parts.version, fields };
    match admission::admit(&raw) {
        Ok(head) => {
            check_target(&head);
            check_host(&raw, &head.headers);
            check_fields(&raw, &head.headers);
            check_framing(&raw, head.framing);
            check_persistence(&raw, &head);
            Verdict::Admitted
        }
        Err(refusal) => check_refusal(&refusal),
    }
}

/// The head at the beginning of `bytes`, if it has an end and tiny_http can read it.
fn parts(bytes: &[u8]) -> Option<Parts<'_>> {
    let end = bytes.windows(2).position(|pair| pair == b"\r\n")?;
    let line = ascii(&bytes[..end])?.trim();
    let mut words = line.split(' ');
    let (method, target) = (words.next()?, words.next()?);
    let version = match words.next()? {
        "HTTP/0.9" => (0, 9),
        "HTTP/1.0" => (1, 0),
        "HTTP/1.1" => (1, 1),
        "HTTP/2.0" => (2, 0),
        "HTTP/3.0" => (3, 0),
        _ => return None,
    };
    let mut fields = Vec::new();
    let mut rest = &bytes[end + 2..];
    loop {
        let end = rest.windows(2).position(|pair| pair == b"\r\n")?;
        if end == 0 {
            return Some(Parts { method, target, version, fields });
        }
        fields.push(ascii(&rest[..end])?.trim().parse().ok()?);
        rest = &rest[end + 2..];
    }
}

fn ascii(line: &[u8]) -> Option<&str> {
    str::from_utf8(line).ok().filter(|line| line.is_ascii())
}

/// Joined to the address of a replica, the target leads to that replica and to nobody else.
fn check_target(head: &Head) {
    let target = head.target.as_str();
    if target == "*" {
        assert_eq!(head.method, Method::OPTIONS, "the server itself is a target of OPTIONS only");
        return;
    }
    assert!(target.starts_with('/'), "{target:?} is no path");
    assert!(target.bytes().all(|byte| (b'!'..=b'~').contains(&byte) && byte != b'#'), "{target:?}");
    let joined: Result<Uri, _> =
        Uri::builder().scheme("http").authority("127.0.0.1:1").path_and_query(head.target.clone()).build();
    let read: Option<Result<Uri, _>> = joined.as_ref().ok().map(|uri| uri.to_string().parse());
    match (joined, read) {
        (Ok(joined), Some(Ok(read))) => {
            for uri in [joined, read] {
                assert_eq!(uri.authority().map(|authority| authority.as_str()), Some("127.0.0.1:1"));
                assert_eq!(uri.path_and_query().map(|target| target.as_str()), Some(target));
            }
        }
        other => panic!("{target:?} makes no address: {other:?}"),
    }
}

/// The values that fields of this name have, whatever its letters.
fn values<'a>(raw: &RawHead<'a>, name: &str) -> Vec<&'a str> {
    let same = raw.fields.iter().filter(|(field, _)| field.eq_ignore_ascii_case(name));
    same.map(|(_, value)| *value).collect()
}

fn check_host(raw: &RawHead<'_>, headers: &HeaderMap) {
    let sent = values(raw, "host").len();
    assert!(sent == 1 || (sent == 0 && raw.version == (1, 0)), "{sent} hosts were sent");
    let admitted: Vec<_> = headers.get_all("host").iter().collect();
    let is_absolute = raw.target != "*" && !raw.target.starts_with('/');
    assert!(admitted.len() == 1 || (sent == 0 && admitted.is_empty() && !is_absolute), "{admitted:?}");
    for host in admitted {
        let (host, authority) = (host.as_bytes(), raw.target.split('/').nth(2));
        let is_the_one = if is_absolute {
            authority.is_some_and(|authority| authority.as_bytes().starts_with(host))
        } else {
            values(raw, "host")[0].as_bytes() == host
        };
        assert!(is_the_one, "the host is not the one that was named");
        assert!(
            !host.is_empty() && host.iter().all(|byte| !b"@/?#\\ ".contains(byte)),
            "{host:?} is no host"
        );
    }
}

/// Every field but the host is there as it was sent, and can break no line.
fn check_fields(raw: &RawHead<'_>, headers: &HeaderMap) {
    for (name, value) in headers {
        let breaks = |byte: &u8| matches!(byte, b'\r' | b'\n' | 0);
        assert!(!value.as_bytes().iter().any(breaks), "field {name} breaks a line: {value:?}");
        let admitted: Vec<&[u8]> = headers.get_all(name).iter().map(|value| value.as_bytes()).collect();
        let sent: Vec<&[u8]> = values(raw, name.as_str()).into_iter().map(str::as_bytes).collect();
        assert!(name == "host" || admitted == sent, "field {name} is not what was sent");
    }
    let without_host = raw.fields.iter().filter(|(name, _)| !name.eq_ignore_ascii_case("host")).count();
    let hosts = headers.get_all("host").iter().count();
    assert_eq!(headers.len(), without_host + hosts, "fields were lost or added");
}

fn check_framing(raw: &RawHead<'_>, framing: Framing) {
    let (codings, lengths) = (values(raw, "transfer-encoding"), values(raw, "content-length"));
    match (codings.as_slice(), lengths.as_slice()) {
        ([], []) => assert_eq!(framing, Framing::None),
        ([], [length]) => {
            assert!(!length.is_empty() && length.bytes().all(|byte| byte.is_ascii_digit()), "{length:?}");
            let digits = length.trim_start_matches('0');
            match framing {
                Framing::None => assert_eq!(digits, ""),
                Framing::Length(length) => {
                    assert_eq!(digits, length.to_string());
                    assert!(length <= LARGEST_BODY, "{length} bytes are too many");
                }
                Framing::Chunked => panic!("chunked, and a length is given"),
            }
        }
        ([coding], []) => {
            assert_eq!(framing, Framing::Chunked);
            assert_eq!(coding.to_ascii_lowercase(), "chunked");
            assert_eq!(raw.version, (1, 1), "HTTP/1.0 knows no codings");
        }
        _ => panic!("the end of the body is in doubt: {codings:?}, {lengths:?}"),
    }
}

/// RFC 9112 section 9.3: whoever says `close` means it; who speaks HTTP/1.0 must ask to stay.
fn check_persistence(raw: &RawHead<'_>, head: &Head) {
    assert_eq!(head.is_old, raw.version == (1, 0));
    let lists = values(raw, "connection");
    let says = |wanted: &str| {
        let mut options = lists.iter().flat_map(|list| list.split(',')).map(str::trim);
        options.any(|option| option.eq_ignore_ascii_case(wanted))
    };
    let stays = !says("close") && (raw.version == (1, 1) || says("keep-alive"));
    assert_eq!(head.keeps_alive, stays, "whether the connection stays, by {lists:?}");
}

/// A refusal is the client's fault or a limit of ours, and what it says can be shown and logged as one line.
fn check_refusal(refusal: &Refusal) -> Verdict {
    let status = refusal.status.as_u16();
    assert!((400..=599).contains(&status), "refused with {status}");
    assert!(!refusal.why.is_empty() && !refusal.why.contains(char::is_control), "{:?}", refusal.why);
    assert!(refusal.why.len() < 2000, "the reason has {} bytes", refusal.why.len());
    Verdict::Refused(status)
}
