//! Which header fields pass a proxy (RFC 9110 section 7.6.1), as data and one function.

use std::net::IpAddr;

use http::header::{self, HeaderMap, HeaderName, HeaderValue};

use super::request_id::X_REQUEST_ID;

/// Fields that are about one connection and never forwarded, in either direction. `Content-Length` and
/// `Transfer-Encoding` are among them because each side frames its messages anew.
const HOP_BY_HOP: [HeaderName; 9] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::CONTENT_LENGTH,
    HeaderName::from_static("http2-settings"),
];

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// Removes the hop-by-hop fields and those that `Connection` names.
///
/// A sender may name any field there; `Host` stays, because a request without one is no request.
pub(super) fn strip_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .filter(|name| name != header::HOST)
        .collect();
    for name in named.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
}

/// Makes a client's fields those of the forwarded request. `Expect` goes too: the answer to it is ours to give, and
/// has been given when the body arrives. Our own fields come last, so that no `Connection` can name them away.
///
/// `X-Forwarded-Proto` and `-Host` say what we saw, whatever the client claims; `X-Forwarded-For` goes on with the
/// client's list, whose last entry is the only one that is ours.
pub(super) fn for_replica(headers: &mut HeaderMap, client: IpAddr, is_old: bool, id: HeaderValue) {
    strip_hop_by_hop(headers);
    headers.remove(header::EXPECT);
    append_forwarded_for(headers, client);
    headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static("http"));
    match headers.get(header::HOST).cloned() {
        Some(host) => headers.insert(X_FORWARDED_HOST, host),
        None => headers.remove(X_FORWARDED_HOST),
    };
    headers.append(
        header::VIA,
        HeaderValue::from_static(if is_old { "1.0 ringmaster" } else { "1.1 ringmaster" }),
    );
    headers.insert(X_REQUEST_ID, id);
}

/// Makes a replica's fields those of the answer.
pub(super) fn for_client(headers: &mut HeaderMap) {
    strip_hop_by_hop(headers);
    headers.append(header::VIA, HeaderValue::from_static("1.1 ringmaster"));
}

/// Adds the client to the list of those the request came through; several fields are joined into one.
fn append_forwarded_for(headers: &mut HeaderMap, client: IpAddr) {
    let mut list = Vec::new();
    for earlier in headers.get_all(X_FORWARDED_FOR) {
        list.extend_from_slice(earlier.as_bytes());
        list.extend_from_slice(b", ");
    }
    list.extend_from_slice(client.to_canonical().to_string().as_bytes());
    if let Ok(value) = HeaderValue::from_bytes(&list) {
        headers.insert(X_FORWARDED_FOR, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(fields: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn hop_by_hop_fields_and_those_that_connection_names_go() {
        let mut headers = map(&[
            ("host", "a"),
            ("connection", "keep-alive, X-Secret"),
            ("connection", "x-other,host"),
            ("keep-alive", "timeout=5"),
            ("x-secret", "1"),
            ("x-other", "1"),
            ("te", "trailers"),
            ("upgrade", "h2c"),
            ("http2-settings", "x"),
            ("transfer-encoding", "chunked"),
            ("content-length", "3"),
            ("proxy-connection", "close"),
            ("trailer", "x"),
            ("accept", "*/*"),
            ("set-cookie", "a=1"),
            ("set-cookie", "b=2"),
        ]);
        strip_hop_by_hop(&mut headers);
        assert_eq!(
            headers,
            map(&[("host", "a"), ("accept", "*/*"), ("set-cookie", "a=1"), ("set-cookie", "b=2")])
        );
    }

    #[test]
    fn the_client_is_appended_to_the_list_it_came_through() {
        for (before, client, after) in [
            (&[][..], "192.0.2.1", "192.0.2.1"),
            (&[("x-forwarded-for", "10.0.0.1")], "192.0.2.1", "10.0.0.1, 192.0.2.1"),
            (&[("x-forwarded-for", "a"), ("x-forwarded-for", "b")], "::1", "a, b, ::1"),
            (&[], "::ffff:192.0.2.1", "192.0.2.1"),
            (&[("connection", "x-forwarded-for"), ("x-forwarded-for", "lie")], "192.0.2.1", "192.0.2.1"),
        ] {
            let mut headers = map(before);
            for_replica(&mut headers, client.parse().unwrap(), false, HeaderValue::from_static("1"));
            assert_eq!(headers.get_all(X_FORWARDED_FOR).iter().collect::<Vec<_>>(), [after]);
        }
    }

    #[test]
    fn what_we_saw_is_told_whatever_the_client_claims() {
        let mut headers = map(&[
            ("host", "a:5000"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "evil"),
            ("x-forwarded-host", "worse"),
            ("connection", "via, x-forwarded-host"),
            ("x-request-id", "7f-1"),
        ]);
        for_replica(&mut headers, IpAddr::from([192, 0, 2, 1]), true, HeaderValue::from_static("7f-2"));
        let expected = map(&[
            ("host", "a:5000"),
            ("x-forwarded-for", "192.0.2.1"),
            ("x-forwarded-proto", "http"),
            ("x-forwarded-host", "a:5000"),
            ("via", "1.0 ringmaster"),
            ("x-request-id", "7f-2"),
        ]);
        assert_eq!(headers, expected);
    }
}
