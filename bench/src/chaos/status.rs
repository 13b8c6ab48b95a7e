//! What the balancer says of its replicas.

use anyhow::{Context, Result};
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// Where it says so.
pub const PATH: &str = "/_ringmaster/status";

/// The envelope of the balancer's own answers.
#[derive(Deserialize)]
struct Envelope<M> {
    message: M,
}

/// The fleet at one moment. What is not used here is not read.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Status {
    /// How many replicas there should be.
    #[serde(rename = "N")]
    pub n: usize,
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
    /// Where it stands.
    pub state: State,
    /// What tells it from the one before it of the same name: a container's full id.
    pub instance: Option<String>,
    /// Requests that it holds.
    pub in_flight: u64,
    /// Slots whose requests go to it now.
    pub owned_slots: usize,
    /// Why it is not there, if it is not.
    pub last_error: Option<String>,
}

/// Where a replica stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Not there yet.
    Starting,
    /// Not there, being brought back.
    Failed,
    /// Not there, and fails again and again.
    #[serde(rename = "crash loop")]
    CrashLoop,
    /// It takes requests.
    Serving,
    /// Part of a removal under way.
    Draining,
}

impl Status {
    /// Those that take requests, sorted by name, so that a number picks the same one of the same fleet.
    pub fn serving(&self) -> Vec<&Replica> {
        let mut serving: Vec<&Replica> =
            self.replicas.iter().filter(|replica| replica.state == State::Serving).collect();
        serving.sort_by_key(|replica| &replica.name);
        serving
    }

    /// One replica by its name.
    pub fn replica(&self, name: &str) -> Option<&Replica> {
        self.replicas.iter().find(|replica| replica.name == name)
    }
}

/// What is in an answer of the balancer's own.
///
/// # Errors
/// It is none.
pub fn message<M: DeserializeOwned>(body: &[u8]) -> Result<M> {
    let envelope: Envelope<M> = serde_json::from_slice(body)
        .with_context(|| format!("read the answer {}", String::from_utf8_lossy(body)))?;
    Ok(envelope.message)
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// A fleet of these replicas: name, state, instance, slots that it owns of 10.
    pub fn fleet(replicas: &[(&str, State, &str, usize)]) -> Status {
        let replica = |&(name, state, instance, owned_slots): &(&str, State, &str, usize)| Replica {
            name: name.to_owned(),
            state,
            instance: Some(instance.to_owned()).filter(|text| !text.is_empty()),
            in_flight: 0,
            owned_slots,
            last_error: None,
        };
        Status { n: replicas.len(), slots: 10, replicas: replicas.iter().map(replica).collect() }
    }

    #[test]
    fn what_the_balancer_answers_is_understood() {
        let body = br#"{"message":{"version":"0.1.0","N":2,"serving":1,"panic":false,"slots":512,"replicas":[
            {"name":"server_2","ring_id":2,"state":"crash loop","address":null,"instance":null,"in_flight":0,
             "slots":[1],"owned_slots":0,"failures":3,"next_try_ms":1900,"last_error":"no such image"},
            {"name":"server_1","ring_id":1,"state":"serving","address":"127.0.0.1:4","instance":"1","in_flight":2,
             "slots":[12,40],"owned_slots":512,"failures":0,"next_try_ms":null,"last_error":null}
            ]},"status":"successful"}"#;
        let status: Status = message(body).unwrap();
        assert_eq!((status.n, status.slots, status.replicas[0].state), (2, 512, State::CrashLoop));
        let serving: Vec<&str> = status.serving().iter().map(|replica| replica.name.as_str()).collect();
        assert_eq!(serving, ["server_1"]);
        assert!(message::<Status>(b"{}").is_err());
    }
}
