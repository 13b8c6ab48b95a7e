//! What one request is told apart by, all the way: `X-Request-Id` in the request that a replica gets, in the access log, in
//! the debug log, and in the answer if the balancer has to answer itself.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};

/// The field that holds the id.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Longest id of a client that is kept: longer than any format in use (a UUID has 36 characters).
const LONGEST: usize = 128;

/// The id of a request: the client's if it sent one that is sane, or else 32 random hexadecimal digits.
pub fn identify(headers: &HeaderMap) -> HeaderValue {
    match (headers.get_all(X_REQUEST_ID).iter().next(), headers.get_all(X_REQUEST_ID).iter().count()) {
        (Some(id), 1) if is_sane(id) && !is_hop_by_hop(headers) => id.clone(),
        _ => random(),
    }
}

/// At most [`LONGEST`] characters that mean nothing in a log or a shell.
fn is_sane(id: &HeaderValue) -> bool {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:+/=@".contains(byte);
    (1..=LONGEST).contains(&id.len()) && id.as_bytes().iter().all(is_plain)
}

/// Whether the client means the field for us alone.
fn is_hop_by_hop(headers: &HeaderMap) -> bool {
    let named = headers.get_all(header::CONNECTION).iter().filter_map(|value| value.to_str().ok());
    named
        .flat_map(|value| value.split(','))
        .any(|name| X_REQUEST_ID.as_str().eq_ignore_ascii_case(name.trim()))
}

/// 128 random bits.
fn random() -> HeaderValue {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let bits = fastrand::u128(..);
    let digits: [u8; 32] = std::array::from_fn(|at| DIGITS[(bits >> (4 * at)) as usize & 15]);
    HeaderValue::from_bytes(&digits).unwrap_or(HeaderValue::from_static("-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(ids: &[&str]) -> HeaderMap {
        ids.iter().map(|id| (X_REQUEST_ID, HeaderValue::from_str(id).unwrap())).collect()
    }

    #[test]
    fn a_sane_id_is_kept_and_any_other_replaced() {
        assert_eq!(identify(&map(&["7f-1"])), "7f-1");
        let long = "x".repeat(129);
        let several = {
            let mut several = map(&["a"]);
            several.append(X_REQUEST_ID, HeaderValue::from_static("b"));
            several
        };
        let mut named = map(&["a"]);
        named.insert(header::CONNECTION, HeaderValue::from_static("close, X-Request-ID"));
        let others = ["a b", "a\tb", "$(id)", "", long.as_str()].map(|id| map(&[id]));
        for headers in others.into_iter().chain([map(&[]), several, named]) {
            let made = identify(&headers);
            assert_eq!(made.len(), 32, "{headers:?}");
            assert_ne!(made, identify(&headers), "{headers:?}");
        }
    }
}
