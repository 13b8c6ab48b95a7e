//! What is counted of the way to a replica, and that nothing is counted where nothing is to be.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method};
use ringmaster::fleet::Fleet;
use ringmaster::forward::{Body, Forwarder, Lines, Outbound};
use ringmaster::replica::{Hostname, Instance};
use ringmaster::ring::RingId;

use crate::support::backend::{Backend, answer};
use crate::support::settings;

fn get() -> Outbound<'static> {
    Outbound {
        method: Method::GET,
        target: PathAndQuery::from_static("/"),
        headers: HeaderMap::new(),
        client: IpAddr::from(Ipv4Addr::LOCALHOST),
        is_old: false,
        waited: Duration::ZERO,
        id: HeaderValue::from_static("1"),
        attempts: 0,
        body: Body::Empty,
    }
}

#[test]
fn the_time_until_an_answer_begins_is_counted_only_where_requests_are_measured() {
    let backend = Backend::start(Arc::new(|_, stream| answer(stream, "200 OK", &[], b"")));
    for (flags, counted) in [("--metrics on", 3), ("--metrics off", 0)] {
        let settings = settings(flags);
        let fleet = Fleet::new(settings.ring, settings.policy);
        let instance = Instance { key: "1".into(), address: backend.address };
        let id = fleet.restore(Hostname::numbered(1).into(), RingId(1), &[], Some(instance)).unwrap();
        assert_eq!(fleet.admit(&[id]), 1);
        let forwarder = Forwarder::new(fleet.clone(), &settings.forward, Lines::default(), Box::new(|_| {}));
        for _ in 0..3 {
            assert_eq!(forwarder.forward(&mut get()).unwrap().status, 200);
        }
        let meter = fleet.replica(id).unwrap().meter;
        assert_eq!(meter.latencies().count(), counted, "{flags}");
    }
}
