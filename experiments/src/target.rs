//! Where requests go.

use std::net::{SocketAddr, ToSocketAddrs};

use crate::failure::Failure;

/// The balancer's address, looked up once, and how requests name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Where to connect.
    pub address: SocketAddr,
    /// What `Host` says.
    pub host: String,
}

impl Target {
    /// Reads `http://HOST:PORT`, with or without a slash behind it; the port is 80 if it is not given.
    ///
    /// # Errors
    /// This is no such URL, or there is no such host.
    pub fn parse(url: &str) -> Result<Target, Failure> {
        let bad = |why: &str| Failure::Usage(format!("--url {url}: {why}"));
        let rest = url.strip_prefix("http://").ok_or_else(|| bad("must be http://HOST:PORT"))?;
        let host = rest.strip_suffix('/').unwrap_or(rest);
        if host.is_empty() || host.contains(['/', '?', '#', '@', ' ']) {
            return Err(bad("must be http://HOST:PORT"));
        }
        let has_port = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let lookup = if has_port { host.to_owned() } else { format!("{host}:80") };
        let mut found = lookup
            .to_socket_addrs()
            .map_err(|error| Failure::Unreachable(format!("cannot find {url}: {error}")))?;
        let address = found.next().ok_or_else(|| Failure::Unreachable(format!("{url} has no address")))?;
        Ok(Target { address, host: host.to_owned() })
    }

    /// The balancer at an address.
    pub fn at(address: SocketAddr) -> Target {
        Target { address, host: address.to_string() }
    }

    /// As a URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.host)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_with_and_without_port_and_slash() {
        for (url, address, host) in [
            ("http://127.0.0.1:5000", "127.0.0.1:5000", "127.0.0.1:5000"),
            ("http://127.0.0.1:5000/", "127.0.0.1:5000", "127.0.0.1:5000"),
            ("http://127.0.0.1", "127.0.0.1:80", "127.0.0.1"),
            ("http://[::1]:81", "[::1]:81", "[::1]:81"),
        ] {
            let target = Target::parse(url).unwrap();
            assert_eq!((target.address.to_string().as_str(), target.host.as_str()), (address, host));
        }
    }

    #[test]
    fn what_is_no_url_of_a_balancer() {
        for url in ["127.0.0.1:5000", "https://127.0.0.1", "http://", "http://a/b", "http://u@h"] {
            assert!(matches!(Target::parse(url), Err(Failure::Usage(_))), "{url}");
        }
    }
}
