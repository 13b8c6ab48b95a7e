//! Who is near: on this machine or on a private network, and so is everybody whom proxies say it is asked for. What
//! a request says can only take from whoever sends it.

use std::net::{IpAddr, SocketAddr};

use http::header::{FORWARDED, HeaderMap, VIA};

use super::{Denied, Visitor, deny};
use crate::metrics::Refused;
use crate::quoting::shown;

/// Refuses a visitor that is not near, or for whom somebody asks that is not.
pub(super) fn check(visitor: Visitor<'_>) -> Result<(), Denied> {
    const ADVICE: &str = "changes and looks from there want a token (--admin-token)";
    if !is_near(visitor.peer) {
        return deny(Refused::Peer, format!("{} is not a private address: {ADVICE}", visitor.peer));
    }
    if let Some(text) = forwarded_for(visitor.headers).find(|text| !address(text).is_some_and(is_near)) {
        let text = shown(&text);
        return deny(Refused::Peer, format!("a proxy asks for '{text}', no private address: {ADVICE}"));
    }
    // Whom such a proxy names may be whom its client has named: not all that add the one field add the others.
    match visitor.headers.get(VIA) {
        Some(via) => {
            let via = shown(&String::from_utf8_lossy(via.as_bytes()));
            deny(Refused::Peer, format!("a proxy ('Via: {via}') asks for anybody: {ADVICE}"))
        }
        None => Ok(()),
    }
}

/// Whom proxies say that they ask for.
fn forwarded_for(headers: &HeaderMap) -> impl Iterator<Item = String> + '_ {
    let entries = |name: &'static str| {
        let values =
            headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
        values.flat_map(|value| value.split(',').map(|entry| entry.trim().to_owned()).collect::<Vec<_>>())
    };
    let named = entries(FORWARDED.as_str()).flat_map(|entry| {
        let pairs = entry.split(';').filter_map(|pair| pair.split_once('='));
        let of = pairs.filter(|(name, _)| name.trim().eq_ignore_ascii_case("for"));
        of.map(|(_, value)| value.trim().trim_matches('"').to_owned()).collect::<Vec<_>>()
    });
    entries("x-forwarded-for").chain(entries("x-real-ip")).chain(named)
}

/// An address, with a port or without.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let found =
        bare.parse::<IpAddr>().or_else(|_| text.parse::<SocketAddr>().map(|with_port| with_port.ip()));
    found.ok().map(|ip| ip.to_canonical())
}

/// Loopback, private (RFC 1918, RFC 4193) or link-local.
fn is_near(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_loopback() || ip.is_private() || ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn private_addresses_are_near() {
        for (peer, near) in [
            ("127.0.0.1", true),
            ("127.9.9.9", true),
            ("10.1.2.3", true),
            ("172.16.0.1", true),
            ("172.31.255.255", true),
            ("192.168.1.1", true),
            ("169.254.1.1", true),
            ("::1", true),
            ("fd00::1", true),
            ("fe80::1", true),
            ("::ffff:10.0.0.1", true),
            ("172.32.0.1", false),
            ("8.8.8.8", false),
            ("100.64.0.1", false),
            ("0.0.0.0", false),
            ("2001:db8::1", false),
            ("::ffff:8.8.8.8", false),
        ] {
            let (peer, headers) = (peer.parse().unwrap(), HeaderMap::new());
            assert_eq!(check(Visitor::new(peer, &headers)).is_ok(), near, "{peer}");
        }
    }

    #[test]
    fn whom_a_proxy_asks_for_has_to_be_near_too() {
        for (name, value, near) in [
            ("x-forwarded-for", "10.0.0.1", true),
            ("x-forwarded-for", "10.0.0.1, 192.168.0.1:80", true),
            ("x-forwarded-for", "[::1]:80,::1,[fd00::1]", true),
            ("x-forwarded-for", "203.0.113.1", false),
            ("x-forwarded-for", "10.0.0.1, 203.0.113.1", false),
            ("x-forwarded-for", "203.0.113.1, 10.0.0.1", false),
            ("x-forwarded-for", "unknown", false),
            ("x-forwarded-for", "", false),
            ("x-real-ip", "203.0.113.1", false),
            ("forwarded", "for=10.0.0.1;proto=http", true),
            ("forwarded", "proto=https;For=\"203.0.113.1:80\"", false),
            ("forwarded", "for=10.0.0.1, for=\"[2001:db8::1]\"", false),
            ("forwarded", "for=_hidden", false),
            ("forwarded", "proto=https", true),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(name, HeaderValue::from_static(value));
            let visitor = Visitor::new(IpAddr::from([10, 0, 0, 9]), &headers);
            assert_eq!(check(visitor).is_ok(), near, "{name}: {value}");
        }
    }

    #[test]
    fn a_proxy_that_says_that_it_is_there_is_not_believed_for_whom() {
        for named in [None, Some("10.0.0.1"), Some("203.0.113.1")] {
            let mut headers = HeaderMap::new();
            headers.insert("via", HeaderValue::from_static("1.1 proxy"));
            if let Some(named) = named {
                headers.insert("x-forwarded-for", HeaderValue::from_static(named));
            }
            let denied = check(Visitor::new(IpAddr::from([127, 0, 0, 1]), &headers)).unwrap_err();
            let why =
                if named == Some("203.0.113.1") { "asks for '203.0.113.1'" } else { "'Via: 1.1 proxy'" };
            assert!(denied.reason == Refused::Peer && denied.why.contains(why), "{}", denied.why);
        }
    }
}
