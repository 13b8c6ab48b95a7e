//! Replicas that somebody else runs: known from the start, never started, never stopped.

use std::collections::BTreeSet;
use std::fmt;
use std::net::{SocketAddr, ToSocketAddrs};
use std::time::Duration;

use super::{LaunchError, Launcher, Order, Survivor};
use crate::replica::{Hostname, Instance};
use crate::ring::{RingId, Weight};

/// A server that runs already, as it was given: `host:port`, the host a name or an address; with a weight as
/// `host:port*3`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Backend {
    /// What it is called here: host and port, with everything that no name may hold replaced by a dash.
    name: Hostname,
    text: String,
    weight: Weight,
}

impl Backend {
    /// Reads `host:port`, `address:port` or `[address]:port`, each with `*weight` behind it or without.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Backend, String> {
        let (text, weight) = match text.split_once('*') {
            None => (text, Weight::ONE),
            Some((rest, weight)) => {
                let legal = weight.parse().ok().and_then(Weight::new);
                let weight = legal.ok_or_else(|| {
                    format!("weight '{}' is not a number from 1 to {}", weight.escape_debug(), Weight::MAX)
                })?;
                (rest, weight)
            }
        };
        let malformed = || format!("'{}' is not host:port", text.escape_debug());
        let (host, port) = text.rsplit_once(':').ok_or_else(malformed)?;
        let is_address = text.parse::<SocketAddr>().is_ok();
        let is_name = !host.is_empty()
            && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
        if !port.parse::<u16>().is_ok_and(|port| port > 0) || !(is_address || is_name) {
            return Err(malformed());
        }
        let dashed = format!("{host}-{port}").replace(|c: char| !c.is_ascii_alphanumeric() && c != '.', "-");
        let name = Hostname::parse(dashed.trim_start_matches(['-', '.'])).map_err(|_| malformed())?;
        Ok(Backend { name, text: text.to_owned(), weight })
    }

    /// How large its share is beside those of others.
    pub fn weight(&self) -> Weight {
        self.weight
    }

    /// What it is called.
    pub fn name(&self) -> &Hostname {
        &self.name
    }

    /// Where it is; the first address if its name has several.
    fn resolve(&self) -> Result<SocketAddr, LaunchError> {
        let failed =
            |why: &dyn fmt::Display| LaunchError(format!("cannot find the address of {}: {why}", self.text));
        let mut addresses = self.text.to_socket_addrs().map_err(|error| failed(&error))?;
        addresses.next().ok_or_else(|| failed(&"it has none"))
    }

    fn instance(&self) -> Result<Instance, LaunchError> {
        Ok(Instance { key: self.text.as_str().into(), address: self.resolve()? })
    }
}

/// Servers that run already. The fleet is these, from the start to the end; they are members also while they do not
/// answer.
pub struct Fixed {
    backends: Vec<Backend>,
}

impl Fixed {
    /// A launcher that starts nothing and knows these.
    pub fn new(backends: Vec<Backend>) -> Fixed {
        Fixed { backends }
    }
}

impl Launcher for Fixed {
    fn is_fixed(&self) -> bool {
        true
    }

    fn prepare(&self) -> Result<(), LaunchError> {
        Ok(())
    }

    /// All of them. Their ring identities are their places in the list, so that balancers that were given the same
    /// list agree.
    fn survivors(&self) -> Result<Vec<Survivor>, LaunchError> {
        let survivor = |(ring_id, backend): (u32, &Backend)| Survivor {
            order: Order {
                hostname: backend.name.clone(),
                ring_id: RingId(ring_id),
                slots: Vec::new(),
                weight: backend.weight,
            },
            key: backend.text.as_str().into(),
            instance: backend.instance().inspect_err(|error| log::warn!("{error}")).ok(),
        };
        Ok((1..).zip(&self.backends).map(survivor).collect())
    }

    fn taken_names(&self) -> Result<BTreeSet<String>, LaunchError> {
        Ok(BTreeSet::new())
    }

    /// Finds out where it is, for one whose name could not be resolved before.
    fn start(&self, order: &Order) -> Result<Instance, LaunchError> {
        match self.backends.iter().find(|backend| backend.name == order.hostname) {
            Some(backend) => backend.instance(),
            None => Err(LaunchError(format!("'{}' is not among the backends", order.hostname))),
        }
    }

    fn stop(&self, _: &str, _: Option<Duration>) -> Result<(), LaunchError> {
        Ok(())
    }

    fn clean_up(&self) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backends_have_names_that_tell_them_apart() {
        for (text, name) in [
            ("127.0.0.1:8080", "127.0.0.1-8080"),
            ("app:80", "app-80"),
            ("app_1.example.org:80", "app-1.example.org-80"),
            ("[::1]:80", "1--80"),
            ("[2001:db8::7]:80", "2001-db8--7--80"),
        ] {
            assert_eq!(Backend::parse(text).unwrap().name().as_str(), name);
        }
        for text in
            ["", "app", "app:", ":80", "app:0", "app:99999", "a b:80", "http://app:80", "::1:80", "a/b:1"]
        {
            let error = Backend::parse(text).unwrap_err();
            assert_eq!(error, format!("'{text}' is not host:port"));
        }
    }

    #[test]
    fn all_are_there_from_the_start_and_none_is_ever_touched() {
        let fixed =
            Fixed::new(vec![Backend::parse("127.0.0.1:1").unwrap(), Backend::parse("127.0.0.1:2").unwrap()]);
        let survivors = fixed.survivors().unwrap();
        let ids: Vec<u32> = survivors.iter().map(|survivor| survivor.order.ring_id.0).collect();
        assert_eq!(ids, [1, 2]);
        assert_eq!(survivors[1].instance.as_ref().unwrap().address, "127.0.0.1:2".parse().unwrap());
        assert_eq!(fixed.start(&survivors[0].order).ok(), survivors[0].instance.clone());
    }
}
