//! Who answers for which request, as settings: the ring, the policy and the routing key.

use std::net::IpAddr;

use ipnet::IpNet;

use super::options::Given;
use crate::balance::{Bound, Policy};
use crate::forward::RoutingKey;
use crate::ring::{Probing, Ring, RingId, Scheme, Shape};

pub(super) fn shape(given: &Given) -> Result<Shape, String> {
    let probing =
        given.choice("probing", &[("linear", Probing::Linear), ("quadratic", Probing::Quadratic)])?;
    let schemes = [
        ("even", Scheme::Even),
        ("statement", Scheme::Statement(probing)),
        ("ketama", Scheme::Ketama),
        ("maglev", Scheme::Maglev),
        ("rendezvous", Scheme::Rendezvous),
    ];
    let scheme = given.choice("scheme", &schemes)?;
    if given.is_given("probing") && !matches!(scheme, Scheme::Statement(_)) {
        return given.refuse("probing", format!("of use with scheme {scheme}, only with scheme statement"));
    }
    let usual = Shape::of(scheme);
    let slots = measure(given, "slots", scheme.has_slots(), scheme, usual.slots())?;
    let virtual_servers =
        measure(given, "virtual-servers", scheme.has_virtual_servers(), scheme, usual.virtual_servers())?;
    Shape::new(scheme, slots, virtual_servers).or_else(|why| {
        let is_about_slots =
            given.is_given("slots") && Shape::new(scheme, slots, usual.virtual_servers()).is_err();
        let name = if is_about_slots { "slots" } else { "virtual-servers" };
        given.refuse(name, format!("possible with scheme {scheme}: {why}"))
    })
}

/// A number of the ring's, or what is usual with the scheme.
fn measure(
    given: &Given,
    name: &'static str,
    has_any: bool,
    scheme: Scheme,
    usual: usize,
) -> Result<usize, String> {
    match given.plain(name).as_str() {
        "auto" => Ok(usual),
        _ if !has_any => given.refuse(name, format!("of use with scheme {scheme}, which has none")),
        _ => given.number(name, 0..=1_000_000),
    }
}

/// How many servers find their places on a ring when they join one after another. For quadratic probing fewer than the
/// slots would do for.
pub(super) fn room(shape: Shape) -> usize {
    match shape.scheme() {
        Scheme::Statement(_) => {
            let mut ring = Ring::new(shape);
            (1..).map(RingId).take_while(|&id| ring.place(id).is_ok()).count()
        }
        _ => shape.max_servers(),
    }
}

pub(super) fn policy(given: &Given) -> Result<Policy, String> {
    let text = given.plain("bound");
    let bound = match text.parse().ok().and_then(Bound::new) {
        Some(bound) => bound,
        None => return given.refuse("bound", "a number from 1.01 to 100, like 1.25"),
    };
    let policies = [
        ("hash", Policy::Hash),
        ("hash-bounded", Policy::HashBounded(bound)),
        ("round-robin", Policy::RoundRobin),
        ("least-connections", Policy::LeastConnections),
        ("two-choices", Policy::TwoChoices),
        ("random", Policy::Random),
    ];
    let policy = given.choice("policy", &policies)?;
    let name = given.plain("policy");
    if given.is_given("bound") && !matches!(policy, Policy::HashBounded(_)) {
        return given.refuse("bound", format!("of use with policy {name}, only with policy hash-bounded"));
    }
    if given.is_given("key") && !policy.is_hashed() {
        return given.refuse("key", format!("of use with policy {name}, only with hash and hash-bounded"));
    }
    Ok(policy)
}

pub(super) fn key(given: &Given) -> Result<RoutingKey, String> {
    let key: RoutingKey =
        given.plain("key").parse().or_else(|why| given.refuse("key", format!("a list of keys: {why}")))?;
    if given.is_given("trusted-proxies") && !key.has_client_ip() {
        return given.refuse("trusted-proxies", "of use but with key client-ip");
    }
    Ok(key.trusting(trusted_proxies(given)?))
}

fn trusted_proxies(given: &Given) -> Result<Vec<IpNet>, String> {
    let texts = given.plain("trusted-proxies");
    let parse = |text: &str| {
        let single = || text.parse::<IpAddr>().ok().map(IpNet::from);
        text.parse::<IpNet>().ok().or_else(single).map_or_else(
            || {
                let allowed = "a list of addresses and networks, like 10.0.0.0/8,::1";
                given.refuse("trusted-proxies", format!("{allowed}: '{}' is neither", text.escape_debug()))
            },
            Ok,
        )
    };
    texts.split(',').map(str::trim).filter(|text| !text.is_empty()).map(parse).collect()
}
