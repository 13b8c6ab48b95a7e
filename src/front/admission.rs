//! What a request must be before anything is done with it. Pure: a head goes in, an admitted head or a refusal
//! comes out.
//!
//! tiny_http trusts what it reads. Here everything is checked that decides where a message ends and where it goes
//! (RFC 9112 sections 3.2 and 6.3), so that the replica behind us can never see another request than we did.

use std::net::Ipv6Addr;

use http::header::{CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use http::uri::{Authority, PathAndQuery};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};

use tiny_http::Request;

use super::incoming::LARGEST_BODY;
use crate::quoting::shown;

/// Longest target: what most servers and browsers take.
const LONGEST_TARGET: usize = 8 * 1024;

/// Largest head: half of what the way to a replica can carry, so that the fields we add always fit.
const LARGEST_HEAD: usize = 32 * 1024;

/// Most fields in a head; the limit of most servers.
const MOST_FIELDS: usize = 100;

/// A head as it was read: nothing about it has been checked.
pub(super) struct RawHead<'a> {
    pub(super) method: &'a str,
    pub(super) target: &'a str,
    pub(super) version: (u8, u8),
    pub(super) fields: Vec<(&'a str, &'a str)>,
}

impl RawHead<'_> {
    /// The head of a request as tiny_http has read it.
    pub(super) fn of(request: &Request) -> RawHead<'_> {
        let version = request.http_version();
        RawHead {
            method: request.method().as_str(),
            target: request.url(),
            version: (version.0, version.1),
            fields: request.headers().iter().map(|h| (h.field.as_str().as_str(), h.value.as_str())).collect(),
        }
    }
}

/// A head that is sound.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) method: Method,
    /// What is asked for; `*`, the server itself, with method OPTIONS only.
    pub(super) target: PathAndQuery,
    pub(super) headers: HeaderMap,
    pub(super) framing: Framing,
    /// HTTP/1.0, whose clients know no chunked coding.
    pub(super) is_old: bool,
    /// Whether the client wants to use the connection again.
    pub(super) keeps_alive: bool,
}

/// Where the body ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Framing {
    /// There is none.
    None,
    /// After so many bytes, at least one.
    Length(u64),
    /// After the last chunk.
    Chunked,
}

/// Why a request is not served.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) why: String,
}

fn refuse<T>(status: StatusCode, why: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal { status, why: why.into() })
}

fn bad<T>(why: impl Into<String>) -> Result<T, Refusal> {
    refuse(StatusCode::BAD_REQUEST, why)
}

/// Checks a head.
pub(super) fn admit(raw: &RawHead<'_>) -> Result<Head, Refusal> {
    if raw.version < (1, 0) || raw.version > (1, 1) {
        return refuse(StatusCode::HTTP_VERSION_NOT_SUPPORTED, "only HTTP/1.0 and HTTP/1.1 are spoken here");
    }
    let is_old = raw.version == (1, 0);
    let Ok(method) = Method::from_bytes(raw.method.as_bytes()) else {
        return bad("the method is not a token");
    };
    if method == Method::CONNECT {
        return refuse(StatusCode::METHOD_NOT_ALLOWED, "CONNECT is not served here");
    }
    let mut headers = fields(raw)?;
    check_host(&headers, is_old)?;
    let target = match (&method, raw.target) {
        (&Method::OPTIONS, "*") => PathAndQuery::from_static("*"),
        _ => target(raw.target, &mut headers)?,
    };
    Ok(Head {
        target,
        framing: framing(&headers, is_old)?,
        keeps_alive: keeps_alive(&headers, is_old),
        method,
        headers,
        is_old,
    })
}

fn fields(raw: &RawHead<'_>) -> Result<HeaderMap, Refusal> {
    // Name, colon, space, value, line end; and the request line.
    let size: usize = raw.fields.iter().map(|(name, value)| name.len() + value.len() + 4).sum();
    if size + raw.method.len() > LARGEST_HEAD || raw.fields.len() > MOST_FIELDS {
        let why = format!("the head is larger than {LARGEST_HEAD} bytes or {MOST_FIELDS} fields");
        return refuse(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, why);
    }
    let mut headers = HeaderMap::with_capacity(raw.fields.len());
    for (name, value) in &raw.fields {
        let Ok(name) = HeaderName::from_bytes(name.as_bytes()) else {
            return bad(format!("field name '{}' is not a token", shown(name)));
        };
        let Ok(value) = HeaderValue::from_str(value) else {
            return bad(format!("the value of field '{}' holds a control character", shown(name.as_str())));
        };
        headers.append(name, value);
    }
    Ok(headers)
}

fn check_host(headers: &HeaderMap, is_old: bool) -> Result<(), Refusal> {
    let mut hosts = headers.get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (None, _) if is_old => Ok(()),
        (None, _) => bad("field 'Host' is missing"),
        (Some(_), Some(_)) => bad("field 'Host' is there twice"),
        (Some(host), None) => {
            let text = host.to_str().unwrap_or_default();
            match is_host(text) {
                true => Ok(()),
                false => bad(format!("'{}' is not a host", shown(text))),
            }
        }
    }
}

/// The path and query to be forwarded. Nothing but a target that begins with a slash is ever joined to a replica's
/// address: `@evil/x` or `81/` would change where the request goes. An absolute target is reduced to its path, and says
/// which host is meant, whatever `Host` says (RFC 9112 section 3.2.2).
fn target(raw: &str, headers: &mut HeaderMap) -> Result<PathAndQuery, Refusal> {
    if raw.len() > LONGEST_TARGET {
        let why = format!("the target is longer than {LONGEST_TARGET} bytes");
        return refuse(StatusCode::URI_TOO_LONG, why);
    }
    let illegal = || bad(format!("'{}' is not a path", shown(raw)));
    if raw.contains('#') {
        return illegal();
    }
    let parsed = match raw.starts_with('/') {
        true => raw.parse::<PathAndQuery>().ok(),
        false => raw.parse::<Uri>().ok().and_then(|uri| {
            let host = absolute_host(&uri)?;
            headers.insert(HOST, host);
            let target = uri.path_and_query()?;
            // Of `http://host?query`, http keeps `?query`, and adds the slash only when it is shown.
            target.to_string().parse().ok()
        }),
    };
    match parsed.filter(|target| target.path().starts_with('/')) {
        Some(target) => Ok(target),
        None => illegal(),
    }
}

/// The host that an absolute target names, if it is one.
fn absolute_host(uri: &Uri) -> Option<HeaderValue> {
    let authority = uri.authority().filter(|authority| is_host(authority.as_str()))?;
    let is_web = matches!(uri.scheme_str(), Some("http" | "https"));
    HeaderValue::from_str(authority.as_str()).ok().filter(|_| is_web)
}

/// `host [":" port]` of RFC 9110 section 7.2: a name, or an address in brackets, and a port that there can be.
fn is_host(text: &str) -> bool {
    let (host, port) = match text.rfind(':').filter(|colon| !text[*colon..].contains(']')) {
        Some(colon) => (&text[..colon], &text[colon + 1..]),
        None => (text, ""),
    };
    let is_address = |host: &str| host.parse::<Ipv6Addr>().is_ok();
    let is_host = match host.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']').is_some_and(is_address),
        None => !host.is_empty() && !host.contains(['@', ':', '[', ']']) && Authority::try_from(host).is_ok(),
    };
    let is_port =
        port.bytes().all(|byte| byte.is_ascii_digit()) && (port.is_empty() || port.parse::<u16>().is_ok());
    is_host && is_port
}

fn framing(headers: &HeaderMap, is_old: bool) -> Result<Framing, Refusal> {
    let codings: Vec<&HeaderValue> = headers.get_all(TRANSFER_ENCODING).iter().collect();
    let lengths: Vec<&HeaderValue> = headers.get_all(CONTENT_LENGTH).iter().collect();
    match (codings.as_slice(), lengths.as_slice()) {
        ([], []) => Ok(Framing::None),
        ([], [length]) => content_length(length),
        ([], _) => bad("field 'Content-Length' is there twice"),
        (_, [_, ..]) => bad("both 'Transfer-Encoding' and 'Content-Length' are given"),
        (_, []) if is_old => bad("HTTP/1.0 knows no 'Transfer-Encoding'"),
        ([coding], []) if coding.as_bytes().eq_ignore_ascii_case(b"chunked") => Ok(Framing::Chunked),
        _ => refuse(StatusCode::NOT_IMPLEMENTED, "the only transfer coding served here is 'chunked', once"),
    }
}

fn content_length(value: &HeaderValue) -> Result<Framing, Refusal> {
    let digits = value.as_bytes();
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return bad(format!("content length '{}' is not a number", shown(&String::from_utf8_lossy(digits))));
    }
    // Digits that do not fit are a length that is too large, like any other.
    match value.to_str().ok().and_then(|text| text.parse().ok()) {
        Some(0) => Ok(Framing::None),
        Some(length) if length <= LARGEST_BODY => Ok(Framing::Length(length)),
        _ => {
            let why = format!("the body is longer than {LARGEST_BODY} bytes");
            refuse(StatusCode::PAYLOAD_TOO_LARGE, why)
        }
    }
}

fn keeps_alive(headers: &HeaderMap, is_old: bool) -> bool {
    let options: Vec<&str> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .collect();
    let says = |wanted: &str| options.iter().any(|option| option.eq_ignore_ascii_case(wanted));
    // Whoever says `close` means it, whatever else they say (RFC 9112 section 9.3).
    !says("close") && (!is_old || says("keep-alive"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn try_admit(
        method: &str,
        target: &str,
        version: (u8, u8),
        fields: &[(&str, &str)],
    ) -> Result<Head, u16> {
        let raw = RawHead { method, target, version, fields: fields.to_vec() };
        admit(&raw).map_err(|refusal| refusal.status.as_u16())
    }

    fn get(target: &str) -> Result<String, u16> {
        try_admit("GET", target, (1, 1), &[("Host", "a")]).map(|head| head.target.to_string())
    }

    #[test]
    fn only_a_path_is_a_target() {
        for (target, admitted) in [
            ("/", "/"),
            ("/a/../b?x=/y&z", "/a/../b?x=/y&z"),
            ("//evil/x", "//evil/x"),
            ("/%00", "/%00"),
            ("http://other/p?q", "/p?q"),
            ("http://other", "/"),
        ] {
            assert_eq!(get(target).as_deref(), Ok(admitted), "{target}");
        }
        for target in [
            "http://u@h/x",
            "http://:80/x",
            "@127.0.0.1:7071/x",
            "81/",
            "*",
            "foo",
            "",
            "h:443",
            "/a#b",
            "#",
            "\\x",
            "/a b",
            "/\u{1}",
            "ftp://x/y",
        ] {
            assert_eq!(get(target), Err(400), "{target}");
        }
        assert_eq!(get(&format!("/{}", "x".repeat(9000))), Err(414));
    }

    #[test]
    fn an_absolute_target_says_which_host_is_meant() {
        let head = try_admit("GET", "http://other:81/p", (1, 1), &[("Host", "a")]).unwrap();
        assert_eq!(head.headers.get_all(HOST).iter().collect::<Vec<_>>(), ["other:81"]);
    }

    #[test]
    fn the_server_itself_is_a_target_of_options_only() {
        let asked =
            |method| try_admit(method, "*", (1, 1), &[("Host", "a")]).map(|head| head.target.to_string());
        assert_eq!(asked("OPTIONS").as_deref(), Ok("*"));
        assert_eq!(asked("GET"), Err(400));
        assert_eq!(asked("options"), Err(400));
    }

    #[test]
    fn the_end_of_the_body_is_beyond_doubt() {
        let framing = |version, fields: &[(&str, &str)]| {
            let mut all = vec![("Host", "a")];
            all.extend(fields);
            try_admit("POST", "/", version, &all).map(|head| head.framing)
        };
        let length = |value| framing((1, 1), &[("Content-Length", value)]);
        assert_eq!(framing((1, 1), &[]), Ok(Framing::None));
        assert_eq!(length("0"), Ok(Framing::None));
        assert_eq!(length("5"), Ok(Framing::Length(5)));
        assert_eq!(length("1073741824"), Ok(Framing::Length(1 << 30)));
        for value in ["", "+5", "-5", "0x21", "5 ", "5, 5", "1e3", "٣"] {
            assert_eq!(length(value), Err(400), "{value:?}");
        }
        for value in ["1073741825", "1000000000000", "9223372036854775813", "99999999999999999999999"] {
            assert_eq!(length(value), Err(413), "{value:?}");
        }
        let coding = |value| framing((1, 1), &[("Transfer-Encoding", value)]);
        assert_eq!(coding("Chunked"), Ok(Framing::Chunked));
        for value in ["identity", "xchunked", "gzip, chunked", "chunked, identity", "", "chunked, chunked"] {
            assert_eq!(coding(value), Err(501), "{value:?}");
        }
        assert_eq!(framing((1, 0), &[("Transfer-Encoding", "chunked")]), Err(400));
        assert_eq!(
            framing((1, 1), &[("Transfer-Encoding", "chunked"), ("Transfer-Encoding", "chunked")]),
            Err(501)
        );
        assert_eq!(framing((1, 1), &[("Transfer-Encoding", "chunked"), ("Content-Length", "3")]), Err(400));
        assert_eq!(framing((1, 1), &[("Content-Length", "3"), ("Content-Length", "3")]), Err(400));
    }

    #[test]
    fn there_is_one_host_and_it_is_one() {
        let host = |version, hosts: &[&str]| {
            let fields: Vec<_> = hosts.iter().map(|host| ("Host", *host)).collect();
            try_admit("GET", "/", version, &fields).map(|_| ())
        };
        for good in ["a", "a.b:80", "a:", "127.0.0.1:5000", "[::1]:5000", "[::1]"] {
            assert_eq!(host((1, 1), &[good]), Ok(()), "{good}");
        }
        for bad in [
            "", "a/b", "a b", "u@h", "a?b", "a\\b", ":80", "a:b", "a:+1", "a:65536", "[]", "[a]", "[::1]a",
            "::1",
        ] {
            assert_eq!(host((1, 1), &[bad]), Err(400), "{bad}");
        }
        assert_eq!(host((1, 1), &[]), Err(400));
        assert_eq!(host((1, 1), &["a", "a"]), Err(400));
        assert_eq!(host((1, 0), &[]), Ok(()));
    }

    #[test]
    fn methods_versions_and_fields_are_held_to_the_grammar() {
        let with = |name, value| try_admit("GET", "/", (1, 1), &[("Host", "a"), (name, value)]).map(|_| ());
        assert_eq!(with("X-Y", "a\tb"), Ok(()));
        for (name, value) in
            [("X Y", "a"), ("", "a"), ("(x)", "a"), ("X\0", "a"), ("X", "a\rb"), ("X", "a\nb"), ("X", "\0")]
        {
            assert_eq!(with(name, value), Err(400), "{name:?}: {value:?}");
        }
        assert_eq!(with("X", &"y".repeat(40_000)), Err(431));
        let many = vec![("Host", "a"); 101];
        assert_eq!(try_admit("GET", "/", (1, 1), &many).map(|_| ()), Err(431));
        for (method, status) in [("G(T", 400), ("", 400), ("CONNECT", 405)] {
            assert_eq!(try_admit(method, "/", (1, 1), &[("Host", "a")]).map(|_| ()), Err(status), "{method}");
        }
        assert!(try_admit("PURGE", "/", (1, 1), &[("Host", "a")]).is_ok());
        assert_eq!(try_admit("GET", "/", (0, 9), &[]).map(|_| ()), Err(505));
    }

    #[test]
    fn knows_who_wants_to_stay() {
        let stays = |version, fields: &[(&str, &str)]| {
            let mut all = vec![("Host", "a")];
            all.extend(fields);
            try_admit("GET", "/", version, &all).unwrap().keeps_alive
        };
        assert!(stays((1, 1), &[]));
        assert!(!stays((1, 1), &[("Connection", "foo"), ("Connection", "x, Close")]));
        assert!(!stays((1, 0), &[]));
        assert!(stays((1, 0), &[("Connection", "Keep-Alive")]));
    }
}
