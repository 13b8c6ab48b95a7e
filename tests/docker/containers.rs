//! What the engine says of the containers and images: confined, labelled, small, and quick to end.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt;
use std::process;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::asked;
use crate::engine::{FLEET_LABEL, Foreign, docker, inspect, wait_for};
use crate::http::{self, hello};
use crate::stack::{FIRST_THREE, Stack};

#[test]
fn replicas_are_labelled_named_confined_and_not_published() {
    if !asked() {
        return;
    }
    let stack = Stack::up();
    let mut ring_ids = BTreeSet::new();
    for name in FIRST_THREE {
        let replica = inspect(name);
        check_identity(&replica, name, &stack);
        check_confinement(&replica);
        let labels = &replica["Config"]["Labels"];
        ring_ids.insert(labels["ringmaster.ring-id"].as_str().expect("a ring identity").to_owned());
    }
    assert_eq!(ring_ids.len(), 3, "ring identities are unique: {ring_ids:?}");
}

fn check_identity(replica: &Value, name: &str, stack: &Stack) {
    let config = &replica["Config"];
    assert_eq!(config["Labels"][FLEET_LABEL], stack.fleet());
    assert_eq!(config["Hostname"], name);
    let variable = json!(format!("SERVER_ID={name}"));
    assert!(config["Env"].as_array().expect("an environment").contains(&variable), "{}", config["Env"]);
    let networks = replica["NetworkSettings"]["Networks"].as_object().expect("networks");
    assert_eq!(networks.keys().collect::<Vec<_>>(), [stack.network()]);
    let aliases = networks[stack.network()]["Aliases"].as_array().expect("aliases");
    assert!(aliases.contains(&json!(name)), "{aliases:?}");
}

fn check_confinement(replica: &Value) {
    let host = &replica["HostConfig"];
    assert_eq!(host["Privileged"], false);
    assert!(host["Memory"].as_u64().is_some_and(|bytes| bytes > 0), "no memory limit");
    assert!(host["PidsLimit"].as_u64().is_some_and(|limit| limit > 0), "no limit of processes");
    assert_eq!(host["Binds"], Value::Null, "a replica mounts nothing of the host");
    assert_eq!(published(replica), [""; 0], "a replica's port is published");
    assert_ne!(replica["Config"]["User"], "", "a replica runs as root");
}

/// Host addresses of every published port.
fn published(container: &Value) -> Vec<&str> {
    let ports = container["NetworkSettings"]["Ports"].as_object().expect("ports");
    let bindings = ports.values().filter_map(Value::as_array).flatten();
    bindings.map(|binding| binding["HostIp"].as_str().expect("an address")).collect()
}

#[test]
fn the_balancer_is_confined_published_on_loopback_alone_and_healthy() {
    if !asked() {
        return;
    }
    let stack = Stack::up();
    let id = stack.balancer();
    let balancer = inspect(&id);
    let host = &balancer["HostConfig"];
    assert_eq!(host["ReadonlyRootfs"], true);
    assert_eq!(host["CapDrop"], json!(["ALL"]));
    // Only to step down from root.
    assert_eq!(capabilities(&host["CapAdd"]), ["SETGID", "SETUID"]);
    assert_eq!(host["SecurityOpt"], json!(["no-new-privileges:true"]));
    assert_eq!(host["Privileged"], false);
    assert_eq!(host["RestartPolicy"]["Name"], "unless-stopped");
    assert_eq!(published(&balancer), ["127.0.0.1"]);
    wait_for("a healthy balancer", Duration::from_secs(40), || {
        (inspect(&id)["State"]["Health"]["Status"] == "healthy").then_some(())
    });
}

/// Names of capabilities: some engines put `CAP_` before them.
fn capabilities(list: &Value) -> Vec<&str> {
    let names = list.as_array().expect("a list").iter().filter_map(Value::as_str);
    names.map(|name| name.strip_prefix("CAP_").unwrap_or(name)).collect()
}

/// The number of the group that may use the engine's socket here differs from host to host, and nobody told it.
#[test]
fn the_balancer_is_nobody_in_the_group_of_the_socket_and_has_no_capability() {
    if !asked() {
        return;
    }
    let socket = std::fs::metadata("/var/run/docker.sock");
    let stack = Stack::up();
    let pid = inspect(&stack.balancer())["State"]["Pid"].as_u64().expect("a process id");
    let Ok(status) = std::fs::read_to_string(format!("/proc/{pid}/status")) else {
        println!("the engine's processes cannot be seen from here");
        return;
    };
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.expect("a line of the kernel's").split_whitespace().collect::<Vec<_>>()
    };
    let socket = socket.expect("the engine's socket");
    if socket.mode() & 0o020 == 0 {
        assert!(stack.log().contains("goes on as root: the engine's socket is for user"));
        return;
    }
    let gid = socket.gid().to_string();
    assert_eq!(field("Uid"), ["65534"; 4]);
    assert_eq!(field("Gid"), [gid.as_str(); 4]);
    assert_eq!(field("Groups"), [""; 0], "no group beside that of the socket");
    for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
        assert_eq!(field(set), ["0000000000000000"], "{set}");
    }
    assert_eq!(field("NoNewPrivs"), ["1"]);
}

#[test]
fn images_are_small() {
    if !asked() {
        return;
    }
    for (image, most_megabytes) in [("ringmaster", 160), ("ringmaster-server", 8)] {
        let size = docker(&["image", "inspect", "--format", "{{.Size}}", image]);
        let bytes: u64 = size.parse().expect("a number of bytes");
        println!("image {image}: {:.1} MB", bytes as f64 / 1e6);
        assert!(bytes < most_megabytes * 1_000_000, "{image} has {bytes} bytes");
    }
}

#[test]
fn a_replica_alone_answers_by_its_contract_and_ends_at_once_when_stopped() {
    if !asked() {
        return;
    }
    let name = format!("ringmaster-test-{}-alone", process::id());
    let _replica = Foreign::start(&name);
    let address = replica_address(&name);
    let home = wait_for("the replica's answer", Duration::from_secs(10), || {
        http::try_request(address, "GET", "/home", "").ok()
    });
    assert_eq!((home.status, home.body), (200, hello(&name)));
    let heartbeat = http::request(address, "GET", "/heartbeat", "");
    assert_eq!((heartbeat.status, heartbeat.body.as_str()), (200, ""));
    let unknown = http::request(address, "GET", "/nothing", "");
    assert_eq!(unknown.status, 404);
    assert!(unknown.body.ends_with(r#","status":"failure"}"#), "{}", unknown.body);

    let begin = Instant::now();
    docker(&["stop", &name]);
    let took = begin.elapsed();
    println!("docker stop of a replica took {:.2} s", took.as_secs_f64());
    assert!(took < Duration::from_secs(2), "the replica did not end when asked");
    let code = inspect(&name)["State"]["ExitCode"].as_i64();
    assert_ne!(code, Some(137), "the replica was killed");
}

#[test]
fn each_container_answers_with_its_own_name() {
    if !asked() {
        return;
    }
    let _stack = Stack::up();
    for name in FIRST_THREE {
        assert_eq!(http::request(replica_address(name), "GET", "/home", "").body, hello(name));
    }
}

/// Where a container's replica listens, on the one network that the container is on.
fn replica_address(container: &str) -> SocketAddr {
    let inspected = inspect(container);
    let networks = inspected["NetworkSettings"]["Networks"].as_object().expect("networks");
    let endpoint = networks.values().next().expect("one network");
    let address = endpoint["IPAddress"].as_str().and_then(|address| address.parse().ok());
    SocketAddr::new(address.expect("an address"), 5000)
}
