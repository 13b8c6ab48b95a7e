//! The balancer's own paths: which replicas there are, how they are, more of them, fewer of them.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::http::{Answer, Client};
use crate::interrupt;
use crate::target::Target;

/// Where the balancer says how its replicas are.
pub const STATUS: &str = "/_ringmaster/status";

/// How long replicas may take until they serve.
const START: Duration = Duration::from_secs(30);

#[derive(Deserialize)]
struct Envelope<M> {
    message: M,
}

#[derive(Deserialize)]
struct Listing {
    #[serde(rename = "N")]
    n: usize,
    replicas: Vec<String>,
}

/// The fleet at one moment, as far as it is used here.
#[derive(Clone, Debug, Deserialize)]
pub struct Status {
    /// How keys find their replicas.
    pub scheme: Option<String>,
    /// How a replica is chosen for a request.
    pub policy: Option<String>,
    /// Slots of the ring.
    pub slots: usize,
    /// All of them, with those that come and go.
    pub replicas: Vec<Replica>,
}

/// One replica.
#[derive(Clone, Debug, Deserialize)]
pub struct Replica {
    /// Its name.
    pub name: String,
    /// Its number on the ring.
    pub ring_id: u32,
    /// What it is at, in the balancer's words.
    pub state: String,
    /// What tells it from the one before it of the same name.
    pub instance: Option<String>,
    /// How large its share is beside those of others.
    #[serde(default = "one")]
    pub weight: u32,
    /// Its slots; with schemes that know no slots, none.
    #[serde(default)]
    pub slots: Vec<usize>,
}

fn one() -> u32 {
    1
}

impl Replica {
    /// Whether it takes requests.
    pub fn is_serving(&self) -> bool {
        self.state == "serving"
    }
}

/// Asks a balancer, each time on a new connection: who asks seldom finds the old one closed.
#[derive(Clone, Debug)]
pub struct Admin {
    target: Target,
}

impl Admin {
    /// The admin API of this balancer.
    pub fn new(target: Target) -> Admin {
        Admin { target }
    }

    /// One request.
    ///
    /// # Errors
    /// There was no whole answer.
    pub fn call(&self, method: &str, path: &str, body: &str) -> io::Result<Answer> {
        Client::connect(&self.target)?.request(method, path, body)
    }

    /// The names of the replicas.
    ///
    /// # Errors
    /// There was no answer, or not a listing.
    pub fn names(&self) -> Result<Vec<String>> {
        self.listing("GET", "/rep", "")
    }

    /// The fleet; `None` from a balancer that does not say.
    pub fn status(&self) -> Option<Status> {
        self.watch().status()
    }

    /// For asking about the fleet over and over, on one connection.
    pub fn watch(&self) -> Watch<'_> {
        Watch { target: &self.target, client: None }
    }

    /// Waits until every replica serves, or a balancer does not say whether they do.
    ///
    /// # Errors
    /// Some do not in time.
    pub fn wait_until_all_serve(&self) -> Result<()> {
        let all_serve = interrupt::wait_until(START, || {
            let serve = |status: Status| status.replicas.iter().all(Replica::is_serving);
            Ok(self.status().is_none_or(serve))
        })?;
        if all_serve { Ok(()) } else { bail!("not all replicas serve after {} s", START.as_secs()) }
    }

    /// Adds replicas: `n` of them, the first with these names.
    ///
    /// # Errors
    /// It was refused or failed.
    pub fn add(&self, n: usize, names: &[String]) -> Result<Vec<String>> {
        self.listing("POST", "/add", &change(n, names))
    }

    /// Removes these replicas.
    ///
    /// # Errors
    /// It was refused or failed.
    pub fn remove(&self, names: &[String]) -> Result<Vec<String>> {
        self.listing("DELETE", "/rm", &change(names.len(), names))
    }

    /// Has `n` replicas serve: adds some, or removes the last ones of the list. Returns their names.
    ///
    /// # Errors
    /// It was refused or failed.
    pub fn bring_to(&self, n: usize) -> Result<Vec<String>> {
        let names = self.names()?;
        let names = match names.len() {
            count if count < n => self.add(n - count, &[])?,
            count if count > n => self.remove(&names[n..])?,
            _ => names,
        };
        if names.len() != n {
            bail!("{n} replicas were asked for, and there are {}", names.len());
        }
        self.wait_until_all_serve()?;
        Ok(names)
    }

    /// Has exactly these replicas again, those that have gone with these weights.
    ///
    /// # Errors
    /// It was refused or failed.
    pub fn restore(&self, wanted: &[String], weights: &BTreeMap<String, u32>) -> Result<()> {
        let there: BTreeSet<String> = self.names()?.into_iter().collect();
        let missing: Vec<String> = wanted.iter().filter(|name| !there.contains(*name)).cloned().collect();
        let surplus: Vec<String> = there.into_iter().filter(|name| !wanted.contains(name)).collect();
        // First more, then fewer: a balancer refuses to be left without any.
        if !missing.is_empty() {
            self.listing("POST", "/add", &addition(&missing, weights))?;
        }
        if !surplus.is_empty() {
            self.remove(&surplus)?;
        }
        Ok(())
    }

    fn listing(&self, method: &str, path: &str, body: &str) -> Result<Vec<String>> {
        let what = || format!("{method} {path} {body}").trim_end().to_owned();
        let answer = self.call(method, path, body).with_context(what)?;
        if answer.status != 200 {
            bail!("{}: answered with {} {}", what(), answer.status, answer.text());
        }
        let listing: Listing = message(&answer).with_context(what)?;
        if listing.n != listing.replicas.len() {
            bail!("{}: N is {}, with {} names", what(), listing.n, listing.replicas.len());
        }
        Ok(listing.replicas)
    }
}

/// Asks how the fleet is, on a connection that is kept.
pub struct Watch<'a> {
    target: &'a Target,
    client: Option<Client>,
}

impl Watch<'_> {
    /// The fleet; `None` if the balancer does not say.
    pub fn status(&mut self) -> Option<Status> {
        let mut client = match self.client.take() {
            Some(client) => client,
            None => Client::connect(self.target).ok()?,
        };
        let answer = client.get(STATUS).ok()?;
        self.client = Some(client).filter(|_| !answer.closes);
        message(&answer).ok()
    }
}

/// The body of a change.
pub fn change(n: usize, names: &[String]) -> String {
    if names.is_empty() {
        json!({ "n": n }).to_string()
    } else {
        json!({ "n": n, "hostnames": names }).to_string()
    }
}

/// The body that adds these; it says nothing of weights where all are one, as not every scheme has any.
fn addition(names: &[String], weights: &BTreeMap<String, u32>) -> String {
    let weights: Vec<u32> = names.iter().map(|name| weights.get(name).copied().unwrap_or(1)).collect();
    if weights.iter().all(|weight| *weight == 1) {
        return change(names.len(), names);
    }
    json!({ "n": names.len(), "hostnames": names, "weights": weights }).to_string()
}

fn message<M: DeserializeOwned>(answer: &Answer) -> Result<M> {
    let envelope: Envelope<M> =
        serde_json::from_slice(&answer.body).with_context(|| format!("read the answer {}", answer.text()))?;
    Ok(envelope.message)
}

/// Brings the replicas back that there were, however an experiment ends.
pub struct Restored<'a> {
    admin: &'a Admin,
    names: Vec<String>,
    weights: BTreeMap<String, u32>,
    is_done: bool,
}

impl<'a> Restored<'a> {
    /// Remembers who is there now.
    ///
    /// # Errors
    /// The balancer does not say.
    pub fn after(admin: &'a Admin) -> Result<Restored<'a>> {
        let replicas = admin.status().map_or_else(Vec::new, |status| status.replicas);
        let weights = replicas.into_iter().map(|replica| (replica.name, replica.weight)).collect();
        Ok(Restored { admin, names: admin.names()?, weights, is_done: false })
    }

    /// Brings them back now.
    ///
    /// # Errors
    /// The balancer does not do that.
    pub fn restore(mut self) -> Result<()> {
        self.is_done = true;
        let restored = self.admin.restore(&self.names, &self.weights);
        restored.context("the replicas are not those that there were")
    }

    /// Who was there.
    pub fn names(&self) -> &[String] {
        &self.names
    }
}

impl Drop for Restored<'_> {
    fn drop(&mut self) {
        if self.is_done {
            return;
        }
        if let Err(error) = self.admin.restore(&self.names, &self.weights) {
            eprintln!("experiments: the replicas are not those that there were: {error:#}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_balancer_says_is_understood() {
        let body = br#"{"message":{"version":"0.1.0","N":2,"serving":1,"panic":false,"slots":512,"replicas":[
            {"name":"server_2","ring_id":2,"state":"crash loop","address":null,"instance":null,"slots":[1]},
            {"name":"server_1","ring_id":1,"state":"serving","address":"127.0.0.1:4","instance":"1"}
            ]},"status":"successful"}"#;
        let status: Status = message(&Answer { status: 200, body: body.to_vec(), closes: false }).unwrap();
        assert_eq!((status.slots, status.replicas[0].slots.as_slice()), (512, [1].as_slice()));
        let serving: Vec<bool> = status.replicas.iter().map(Replica::is_serving).collect();
        assert_eq!(serving, [false, true]);
    }

    #[test]
    fn changes_are_written_as_the_contract_has_them() {
        assert_eq!(change(2, &[]), r#"{"n":2}"#);
        let body: serde_json::Value = serde_json::from_str(&change(1, &["S5".to_owned()])).unwrap();
        assert_eq!(body, json!({ "n": 1, "hostnames": ["S5"] }));
        let names = ["a", "b"].map(str::to_owned);
        assert_eq!(addition(&names, &BTreeMap::new()), change(2, &names));
        let weights = BTreeMap::from([("b".to_owned(), 3)]);
        let body: serde_json::Value = serde_json::from_str(&addition(&names, &weights)).unwrap();
        assert_eq!(body, json!({ "n": 2, "hostnames": ["a", "b"], "weights": [1, 3] }));
    }
}
