//! The start and the end of a balancer on the host, and launches that fail.

use std::process::{self, Command};
use std::time::{Duration, Instant};

use crate::asked;
use crate::balancer::HostBalancer;
use crate::engine::{Foreign, fleet_ids, has_network, output_of, try_docker, wait_for};
use crate::http::{self, hello};
use crate::stack::{FIRST_THREE, REP_OF_THREE};

#[test]
fn a_balancer_on_the_host_makes_its_network_serves_and_takes_its_replicas_with_it() {
    if !asked() {
        return;
    }
    let name = format!("ringmaster-test-{}-bystander", process::id());
    let bystander = Foreign::start(&name);
    let mut balancer = HostBalancer::start();
    wait_for("three replicas", Duration::from_secs(30), || {
        (balancer.get("/rep")? == REP_OF_THREE).then_some(())
    });
    for name in FIRST_THREE {
        wait_for(name, Duration::from_secs(30), || (balancer.get("/home")? == hello(name)).then_some(()));
    }
    assert!(has_network(&balancer.network));
    assert_eq!(fleet_ids(&balancer.fleet).len(), 3);

    let begin = Instant::now();
    let status = balancer.terminate();
    println!("ended {:.2?} after SIGTERM", begin.elapsed());
    assert_eq!(status.code(), Some(0), "{status}");
    assert_eq!(fleet_ids(&balancer.fleet), [""; 0], "replicas are left");
    assert!(!has_network(&balancer.network), "the network that it made is left");
    bystander.assert_untouched();
}

/// `docker run` makes the container before it finds that it cannot start it.
#[test]
fn a_launch_that_fails_leaves_no_container_and_no_name_taken() {
    if !asked() {
        return;
    }
    let image = format!("ringmaster-test-{}-broken", process::id());
    let archive = output_of(Command::new("sh").args([
        "-c",
        &format!(
            "tar -cf - --files-from /dev/null | docker import --change 'ENTRYPOINT [\"/nothing\"]' - {image}"
        ),
    ]));
    archive.expect("an image whose program is missing");
    let mut balancer = HostBalancer::start_of(&image);
    let add = http::try_request(balancer.address, "POST", "/add", r#"{"n":1,"hostnames":["S5"]}"#);
    let add = add.expect("an answer");
    assert_eq!(add.status, 500, "{}", add.body);
    assert!(add.body.contains("'S5' did not start") && add.body.contains("/nothing"), "{}", add.body);
    assert!(try_docker(&["container", "inspect", "S5"]).is_err(), "its container is left");
    assert_eq!(balancer.get("/rep").as_deref(), Some(REP_OF_THREE), "N does not waver");
    assert_eq!(balancer.terminate().code(), Some(0));
    assert_eq!(fleet_ids(&balancer.fleet), [""; 0], "containers are left");
    assert!(!has_network(&balancer.network));
    let _ = try_docker(&["rmi", &image]);
}
