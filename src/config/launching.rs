//! How replicas are started, as settings.

use std::path::PathBuf;

use super::Launcher;
use super::options::Given;
use crate::balance::Policy;
use crate::launcher::{Backend, DockerSettings};
use crate::ring::{Shape, Weight};

pub(super) fn launcher(given: &Given, ring: Shape, policy: Policy) -> Result<Launcher, String> {
    // Read in any case: a bad value is told even while it is not used.
    let docker = DockerSettings {
        image: given.word("image", "_.:/@-")?,
        network: network(given)?,
        fleet: given.word("fleet", "_.-")?,
        ring_shape: format!("{}/{}/{}", ring.scheme(), ring.slots(), ring.virtual_servers()),
        memory: memory(given)?,
        pids: given.number("replica-pids", 16..=1_000_000)?,
        leash: Some(PathBuf::from("/proc/self/exe")),
    };
    let backends = backends(given)?;
    let kinds = [
        ("process", Launcher::Process),
        ("docker", Launcher::Docker(docker)),
        ("static", Launcher::Static(backends)),
    ];
    let launcher = given.choice("launcher", &kinds)?;
    match &launcher {
        Launcher::Process if given.is_given("on-exit") && given.plain("on-exit") == "keep" => {
            given.refuse("on-exit", "possible with launcher process: children end with the balancer")
        }
        Launcher::Static(backends) if backends.is_empty() => {
            given.refuse("backends", "a list of host:port, which launcher static needs")
        }
        Launcher::Static(backends) if policy.is_hashed() && !ring.scheme().has_weights() => {
            match backends.iter().find(|backend| backend.weight() != Weight::ONE) {
                Some(backend) => {
                    let (name, scheme) = (backend.name(), ring.scheme());
                    given.refuse(
                        "backends",
                        format!("possible with scheme {scheme}, which has no weights: {name} has one"),
                    )
                }
                None => Ok(launcher),
            }
        }
        Launcher::Process | Launcher::Docker(_) if given.is_given("backends") => {
            given.refuse("backends", "of use but with launcher static")
        }
        _ => Ok(launcher),
    }
}

fn backends(given: &Given) -> Result<Vec<Backend>, String> {
    let texts = given.plain("backends");
    let mut backends: Vec<Backend> = Vec::new();
    for text in texts.split(',').map(str::trim).filter(|text| !text.is_empty()) {
        let backend = Backend::parse(text)
            .or_else(|why| given.refuse("backends", format!("a list of host:port: {why}")))?;
        if backends.iter().any(|other| other.name() == backend.name()) {
            return given.refuse("backends", format!("a list of different servers: '{text}' is there twice"));
        }
        backends.push(backend);
    }
    Ok(backends)
}

fn network(given: &Given) -> Result<String, String> {
    let name = given.word("network", "_.-")?;
    match name.as_str() {
        "host" | "none" | "bridge" => given.refuse("network", "a network on which containers have names"),
        _ => Ok(name),
    }
}

fn memory(given: &Given) -> Result<String, String> {
    let size = given.plain("replica-memory");
    let digits = size.strip_suffix(['b', 'k', 'm', 'g']).unwrap_or(&size);
    match !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        true => Ok(size),
        false => given.refuse("replica-memory", "a size like 64m or 1g"),
    }
}
