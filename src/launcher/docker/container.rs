//! A container as the engine describes it, and the record of a replica that its labels are.
//!
//! The record is all that outlives the balancer: which fleet it is of, which identity on the ring it has, and which slots.
//! A container that carries it, running or exited, is wanted; one that is not wanted any more has been removed.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

use serde::Deserialize;

use super::REPLICA_PORT;
use crate::launcher::{Order, Survivor};
use crate::replica::{Hostname, Instance};
use crate::ring::{RingId, Weight};

/// Label: the name of the fleet that a container belongs to.
pub(super) const FLEET: &str = "ringmaster.fleet";
/// Label: the replica's identity on the ring.
const RING_ID: &str = "ringmaster.ring-id";
/// Label: the replica's slots on the ring, as `shape:slot,slot,…`.
const SLOTS: &str = "ringmaster.slots";
/// Label: the replica's weight; none for one that was started before there were any.
const WEIGHT: &str = "ringmaster.weight";

/// What we read of `docker container inspect`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Container {
    /// In full.
    pub(super) id: String,
    name: String,
    state: ContainerState,
    config: ContainerConfig,
    network_settings: NetworkSettings,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ContainerState {
    running: bool,
    /// `created`, `running`, `paused`, `exited` and so on.
    #[serde(default)]
    status: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ContainerConfig {
    labels: Option<HashMap<String, String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct NetworkSettings {
    networks: Option<HashMap<String, Endpoint>>,
}

#[derive(Deserialize)]
struct Endpoint {
    #[serde(rename = "IPAddress")]
    ip_address: String,
}

impl Container {
    /// What a label of ours says.
    pub(super) fn label(&self, name: &str) -> Option<&str> {
        self.config.labels.as_ref()?.get(name).map(String::as_str)
    }

    /// The engine reports names with a leading slash.
    fn name(&self) -> &str {
        self.name.trim_start_matches('/')
    }

    /// Whether it was made and has never been started.
    pub(super) fn is_new(&self) -> bool {
        self.state.status == "created"
    }

    /// What runs, if it does and can be reached on `network`.
    pub(super) fn instance(&self, network: &str) -> Option<Instance> {
        let ip: IpAddr = self.network_settings.networks.as_ref()?.get(network)?.ip_address.parse().ok()?;
        let address = SocketAddr::new(ip, REPLICA_PORT);
        Some(Instance { key: self.id.as_str().into(), address }).filter(|_| self.state.running)
    }

    /// The ring identity that it was started with, if it is ours.
    pub(super) fn ring_id(&self) -> Option<RingId> {
        self.label(RING_ID)?.parse().ok().filter(|id| *id > 0).map(RingId)
    }

    fn weight(&self) -> Weight {
        let recorded = self.label(WEIGHT).and_then(|text| text.parse().ok()).and_then(Weight::new);
        recorded.unwrap_or(Weight::ONE)
    }

    /// What it is the record of; says so if that cannot be read.
    pub(super) fn survivor(self, network: &str, ring_shape: &str) -> Option<Survivor> {
        let read = || {
            let hostname = Hostname::parse(self.name()).ok()?;
            let recorded = self.label(SLOTS).and_then(|text| recorded_slots(text, ring_shape));
            let slots = recorded.unwrap_or_default();
            Some(Order { hostname, ring_id: self.ring_id()?, slots, weight: self.weight() })
        };
        let Some(order) = read() else {
            log::warn!("container '{}' carries our label but no readable record: left alone", self.name());
            return None;
        };
        let instance = self.instance(network);
        Some(Survivor { order, key: self.id.into(), instance })
    }
}

/// The labels that make a container the record of a replica.
pub(super) fn record(order: &Order, fleet: &str, ring_shape: &str) -> [String; 4] {
    let slots: Vec<String> = order.slots.iter().map(usize::to_string).collect();
    [
        format!("{FLEET}={fleet}"),
        format!("{RING_ID}={}", order.ring_id),
        format!("{SLOTS}={ring_shape}:{}", slots.join(",")),
        format!("{WEIGHT}={}", order.weight),
    ]
}

fn recorded_slots(label: &str, ring_shape: &str) -> Option<Vec<usize>> {
    let (shape, slots) = label.split_once(':')?;
    if shape != ring_shape {
        return None;
    }
    slots.split(',').map(|slot| slot.parse().ok()).collect()
}
