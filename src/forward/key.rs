//! What a request is hashed by: the routing key, taken from the request as its client sent it.
//!
//! Bytes count as they are: `/a` and `/%61` are two paths. A key that a request lacks, or has empty, gives way to the next of
//! the list, and after the last of them to a random number, so that requests without a key are spread over everybody.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use http::header::{COOKIE, HeaderName};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::balance::random_request_id;
use crate::ring::key_id;

/// One thing that requests may be told apart by.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Source {
    /// Nothing of the request's: a random six-digit number.
    RequestId,
    Path,
    /// Path and query.
    Uri,
    /// The first parameter of the query with this name.
    Query(String),
    Header(HeaderName),
    /// The first cookie with this name.
    Cookie(String),
    /// The address of whoever sent it: the peer, or whoever proxies that are trusted say it was.
    ClientIp,
}

/// How requests get their routing keys.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RoutingKey {
    /// In the order in which they are tried.
    sources: Vec<Source>,
    /// Whose `X-Forwarded-For` is believed.
    trusted: Vec<IpNet>,
}

impl FromStr for RoutingKey {
    type Err = String;

    /// Reads a list like `cookie:session,client-ip`.
    fn from_str(text: &str) -> Result<RoutingKey, String> {
        let sources: Vec<Source> =
            text.split(',').map(|word| word.trim().parse()).collect::<Result<_, _>>()?;
        // What every request has leaves nothing for those behind it.
        if let [before @ .., _] = &sources[..]
            && let Some(source) = before.iter().find(|source| source.is_always_there())
        {
            return Err(format!("nothing behind '{source}' is ever asked for, as every request has that"));
        }
        Ok(RoutingKey { sources, trusted: Vec::new() })
    }
}

impl Source {
    /// Whether every request has it.
    fn is_always_there(&self) -> bool {
        matches!(self, Source::RequestId | Source::Path | Source::Uri | Source::ClientIp)
    }
}

impl FromStr for Source {
    type Err = String;

    fn from_str(word: &str) -> Result<Source, String> {
        let unknown = || {
            format!(
                "'{}' is not request-id, path, uri, query:NAME, header:NAME, cookie:NAME or client-ip",
                word.escape_debug()
            )
        };
        let (kind, name) = word.split_once(':').map_or((word, None), |(kind, name)| (kind, Some(name)));
        match (kind, name) {
            ("request-id", None) => Ok(Source::RequestId),
            ("path", None) => Ok(Source::Path),
            ("uri", None) => Ok(Source::Uri),
            ("client-ip", None) => Ok(Source::ClientIp),
            ("query", Some(name)) if !name.is_empty() => Ok(Source::Query(name.to_owned())),
            ("header", Some(name)) => name.parse().map(Source::Header).map_err(|_| unknown()),
            // A cookie's name is a token, as the name of a field is (RFC 6265 section 4.1.1), but case counts.
            ("cookie", Some(name)) if name.parse::<HeaderName>().is_ok() => {
                Ok(Source::Cookie(name.to_owned()))
            }
            _ => Err(unknown()),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::RequestId => f.write_str("request-id"),
            Source::Path => f.write_str("path"),
            Source::Uri => f.write_str("uri"),
            Source::Query(name) => write!(f, "query:{name}"),
            Source::Header(name) => write!(f, "header:{name}"),
            Source::Cookie(name) => write!(f, "cookie:{name}"),
            Source::ClientIp => f.write_str("client-ip"),
        }
    }
}

impl fmt::Display for RoutingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<String> = self.sources.iter().map(Source::to_string).collect();
        f.write_str(&words.join(","))
    }
}

impl RoutingKey {
    /// The same, with proxies whose word about their clients is taken.
    pub fn trusting(self, trusted: Vec<IpNet>) -> RoutingKey {
        RoutingKey { trusted: trusted.into_iter().map(canonical).collect(), ..self }
    }

    /// Whether it asks for the client's address.
    pub fn has_client_ip(&self) -> bool {
        self.sources.contains(&Source::ClientIp)
    }

    /// The request id by which a request is routed. `headers` are the client's own, `peer` is who the connection is from.
    pub(super) fn request_id(&self, target: &PathAndQuery, headers: &HeaderMap, peer: IpAddr) -> u64 {
        let key = |source| self.key_of(source, target, headers, peer);
        self.sources.iter().find_map(key).unwrap_or_else(random_request_id)
    }

    fn key_of(
        &self,
        source: &Source,
        target: &PathAndQuery,
        headers: &HeaderMap,
        peer: IpAddr,
    ) -> Option<u64> {
        let key = match source {
            Source::RequestId => return Some(random_request_id()),
            Source::ClientIp => return Some(address_id(client(headers, peer, &self.trusted))),
            Source::Path => target.path().as_bytes(),
            Source::Uri => target.as_str().as_bytes(),
            Source::Query(name) => parameter(target.query()?, name)?.as_bytes(),
            Source::Header(name) => headers.get(name)?.as_bytes(),
            Source::Cookie(name) => headers.get_all(COOKIE).iter().find_map(|field| cookie(field, name))?,
        };
        (!key.is_empty()).then(|| key_id(key))
    }
}

fn parameter<'a>(query: &'a str, name: &str) -> Option<&'a str> {
    let pairs = query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    pairs.into_iter().find(|(key, _)| *key == name).map(|(_, value)| value)
}

fn cookie<'a>(field: &'a HeaderValue, name: &str) -> Option<&'a [u8]> {
    let pairs = field.as_bytes().split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
    pairs.into_iter().find_map(|pair| pair.strip_prefix(name.as_bytes())?.strip_prefix(b"="))
}

/// Who sent a request: the peer, unless it is a trusted proxy. Then it is who that says it was, unless that one is a trusted
/// proxy, and so on. What comes before the first that is not trusted anyone may have written.
fn client(headers: &HeaderMap, peer: IpAddr, trusted: &[IpNet]) -> IpAddr {
    let is_trusted = |address: &IpAddr| trusted.iter().any(|network| network.contains(address));
    let mut client = peer.to_canonical();
    let fields = headers.get_all("x-forwarded-for").iter().rev();
    let words = fields.flat_map(|field| field.to_str().unwrap_or("?").rsplit(',')).map(str::trim);
    // Empty elements of a list mean nothing (RFC 9110 section 5.6.1.2).
    for word in words.filter(|word| !word.is_empty()) {
        let Some(before) = is_trusted(&client).then(|| address(word)).flatten() else { break };
        client = before;
    }
    client
}

/// A network of IPv4 addresses as such also where it was written as one of IPv6, as addresses are compared.
fn canonical(network: IpNet) -> IpNet {
    let mapped = |network: Ipv6Net| {
        let address = network.addr().to_ipv4_mapped()?;
        Ipv4Net::new(address, network.prefix_len().checked_sub(96)?).ok()
    };
    match network {
        IpNet::V6(wide) => mapped(wide).map_or(network, IpNet::V4),
        IpNet::V4(_) => network,
    }
}

/// An address, with or without a port.
fn address(word: &str) -> Option<IpAddr> {
    let with_port = || word.parse::<SocketAddr>().ok().map(|it| it.ip());
    let bare = word.strip_prefix('[').and_then(|word| word.strip_suffix(']')).unwrap_or(word);
    bare.parse::<IpAddr>().ok().or_else(with_port).map(|address| address.to_canonical())
}

fn address_id(address: IpAddr) -> u64 {
    match address {
        IpAddr::V4(address) => key_id(&address.octets()),
        IpAddr::V6(address) => key_id(&address.octets()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        headers
    }

    fn id(key: &str, target: &str, fields: &[(&'static str, &str)], peer: &str) -> u64 {
        let key: RoutingKey = key.parse().unwrap();
        let trusted =
            ["10.0.0.0/8", "::1/128", "::ffff:172.16.0.0/108"].map(|network| network.parse().unwrap());
        key.trusting(trusted.to_vec()).request_id(
            &target.parse().unwrap(),
            &headers(fields),
            peer.parse().unwrap(),
        )
    }

    #[test]
    fn keys_are_what_the_request_says() {
        let cookies = [("cookie", "a=1; sid=x=y;b=2"), ("cookie", "late=7")];
        for (key, target, fields, expected) in [
            ("path", "/a/b?c=1", &[][..], "/a/b"),
            ("path", "/%61", &[], "/%61"),
            ("uri", "/a/b?c=1", &[], "/a/b?c=1"),
            ("uri", "/a/b", &[], "/a/b"),
            ("query:user", "/?a=1&user=7&user=8", &[], "7"),
            ("query:user", "/?auser=1&user=a%20b", &[], "a%20b"),
            ("header:x-user", "/", &[("x-user", "Zoë"), ("x-user", "other")], "Zoë"),
            ("header:X-User", "/", &[("x-user", "7")], "7"),
            ("cookie:sid", "/", &cookies, "x=y"),
            ("cookie:late", "/", &cookies, "7"),
            ("cookie:late, path", "/p", &[], "/p"),
            ("header:x-user,query:user,uri", "/p?user=5", &[("x-user", "")], "5"),
        ] {
            assert_eq!(id(key, target, fields, "192.0.2.1"), key_id(expected.as_bytes()), "{key} {target}");
        }
    }

    #[test]
    fn without_a_key_the_request_id_is_random_and_has_six_digits() {
        for key in ["request-id", "cookie:sid", "query:user,header:x-user"] {
            let ids: Vec<u64> =
                (0..20).map(|_| id(key, "/?user=&x", &[("cookie", "SID=1")], "192.0.2.1")).collect();
            assert!(
                ids.iter().all(|id| id.to_string().len() == 6) && ids.iter().any(|id| *id != ids[0]),
                "{key}: {ids:?}"
            );
        }
    }

    #[test]
    fn the_client_is_the_last_that_a_trusted_proxy_names_and_who_is_not_one() {
        let from = |peer, forwarded: &[&str]| {
            let fields: Vec<_> = forwarded.iter().map(|value| ("x-forwarded-for", *value)).collect();
            id("client-ip", "/", &fields, peer)
        };
        for (peer, forwarded, client) in [
            ("192.0.2.1", &[][..], "192.0.2.1"),
            ("::ffff:192.0.2.1", &[], "192.0.2.1"),
            ("192.0.2.1", &["203.0.113.9"], "192.0.2.1"),
            ("10.0.0.1", &[], "10.0.0.1"),
            ("10.0.0.1", &["203.0.113.9"], "203.0.113.9"),
            ("10.0.0.1", &["6.6.6.6, 203.0.113.9, 10.1.1.1"], "203.0.113.9"),
            ("10.0.0.1", &["6.6.6.6, 203.0.113.9", "10.1.1.1 ,10.2.2.2"], "203.0.113.9"),
            ("10.0.0.1", &["10.3.3.3"], "10.3.3.3"),
            ("10.0.0.1", &["203.0.113.9, unknown"], "10.0.0.1"),
            ("10.0.0.1", &["6.6.6.6, ,203.0.113.9, ,", ""], "203.0.113.9"),
            ("172.17.0.1", &["203.0.113.9"], "203.0.113.9"),
            ("172.32.0.1", &["203.0.113.9"], "172.32.0.1"),
            ("10.0.0.1", &["203.0.113.9:4711"], "203.0.113.9"),
            ("::1", &["[2001:db8::7]:80"], "2001:db8::7"),
            ("::1", &["[2001:db8::7]"], "2001:db8::7"),
            ("::1", &["2001:db8::7"], "2001:db8::7"),
        ] {
            assert_eq!(from(peer, forwarded), address_id(client.parse().unwrap()), "{peer} {forwarded:?}");
        }
    }

    #[test]
    fn lists_are_read_back_as_they_are_written_and_nonsense_is_named() {
        for last in ["request-id", "path", "uri", "client-ip", "query:b"] {
            let list = format!("cookie:sid,header:x-user,query:q,{last}");
            assert_eq!(list.parse::<RoutingKey>().unwrap().to_string(), list);
        }
        for (text, named) in [
            ("", "'' is"),
            ("paths", "'paths' is"),
            ("path,", "'' is"),
            ("header:", "'header:' is"),
            ("header:a b", "'header:a b' is"),
            ("cookie:a=b", "'cookie:a=b' is"),
            ("query:", "'query:' is"),
            ("path:x", "'path:x' is"),
            ("path,cookie:x", "nothing behind 'path'"),
            ("cookie:x,client-ip,path", "nothing behind 'client-ip'"),
        ] {
            let error = text.parse::<RoutingKey>().unwrap_err();
            assert!(error.starts_with(named), "{text}: {error}");
        }
    }
}
