//! Owners as recorded in `tests/golden/schemes.json`, which a script made without the program: `tests/golden/README.md`
//! tells how. A machine of another byte order or word size that gives other owners fails here.

use crate::fleets::{shape, weighted};
use ringmaster::ring::{RingId, Scheme, key_id};
use serde::Deserialize;

#[derive(Deserialize)]
struct Recorded {
    requests: Vec<u64>,
    keys: Vec<(String, u64)>,
    tables: Vec<Recording>,
}

#[derive(Deserialize)]
struct Recording {
    scheme: String,
    slots: usize,
    virtual_servers: usize,
    servers: Vec<(u32, u32)>,
    owners: Vec<u32>,
    owners_of_keys: Vec<u32>,
}

fn recorded() -> Recorded {
    serde_json::from_str(include_str!("../golden/schemes.json")).unwrap()
}

#[test]
fn owners_are_the_recorded_ones() {
    let Recorded { requests, keys, tables } = recorded();
    assert_eq!((requests.len(), tables.len()), (64, 35));
    assert!(requests.contains(&u64::MAX) && tables.iter().any(|it| it.servers.contains(&(u32::MAX, 1))));
    for Recording { scheme, slots, virtual_servers, servers, owners, owners_of_keys } in tables {
        let scheme = Scheme::ALL.into_iter().find(|one| one.to_string() == scheme).unwrap();
        let ring = weighted(shape(scheme, slots, virtual_servers), &servers);
        let expected = requests.iter().zip(owners).chain(keys.iter().map(|key| &key.1).zip(owners_of_keys));
        for (&request, owner) in expected {
            let got = ring.owner(request);
            assert_eq!(got, Some(RingId(owner)), "{scheme}, {slots} slots, {servers:?}: request {request}");
        }
    }
}

#[test]
fn keys_have_the_recorded_ids() {
    for (key, id) in recorded().keys {
        assert_eq!(key_id(key.as_bytes()), id, "{key}");
    }
}
