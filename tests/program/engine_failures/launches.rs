//! The engine works, but for launches.

use super::Stage;
use crate::support::fake_docker::Mode;
use crate::support::wait_for;

/// No launch works from when `fail` was done until `mend` was.
fn launches_fail(fail: impl Fn(&Stage), mend: impl Fn(&Stage), words: &str) {
    let stage = Stage::set();
    fail(&stage);
    stage.assert_add_refused(words);
    stage.engine.kill("server_2");
    stage.wait_for_failing_launches("server_2", words);
    stage.assert_add_refused(words);
    stage.assert_flowing();
    mend(&stage);
    stage.end_unharmed();
}

#[test]
fn the_disk_is_full() {
    launches_fail(
        |stage| stage.engine.set_mode(Mode::DiskFull),
        |stage| stage.engine.set_mode(Mode::Works),
        "no space left on device",
    );
}

#[test]
fn the_image_is_missing() {
    launches_fail(
        |stage| stage.engine.remove_image("ringmaster-server"),
        |stage| stage.engine.put_image("ringmaster-server"),
        "No such image: ringmaster-server",
    );
}

#[test]
fn a_foreign_container_takes_the_name_of_a_replica_that_is_dead() {
    let stage = Stage::set();
    stage.engine.set_mode(Mode::DiskFull);
    stage.engine.kill("server_2");
    stage.wait_for_failing_launches("server_2", "no space left on device");
    assert_eq!(stage.engine.container("server_2"), None);
    stage.engine.put_container("server_2");
    stage.engine.put_container("S5");
    stage.engine.set_mode(Mode::Works);
    let words = "the name 'server_2' belongs to a container that is not of fleet 'ringmaster'";
    stage.wait_for_failing_launches("server_2", words);
    stage.assert_add_refused("hostname 'S5' is taken by another container");
    stage.assert_flowing();
    let foreign = stage.engine.container("server_2").expect("a container that is not ours");
    assert_eq!(foreign.fleet, "");
    stage.engine.remove_container("server_2");
    stage.wait_until_whole();
    assert!(stage.engine.container("S5").is_some(), "a container that is not ours was removed");
    stage.end_unharmed();
}

#[test]
fn a_network_that_is_missing_is_made_again() {
    let stage = Stage::set();
    assert_eq!(stage.engine.network("net1").as_deref(), Some("ringmaster"));
    stage.engine.remove_network("net1");
    stage.engine.kill("server_2");
    wait_for("the network", || stage.engine.network("net1").as_deref() == Some("ringmaster"));
    stage.wait_until_whole();
    // For an addition too.
    stage.engine.remove_network("net1");
    let more = stage.program.admin("POST", "/add", r#"{"n":1,"hostnames":["S5"]}"#).listed();
    assert_eq!(more, ["server_1", "server_2", "server_3", "S5"]);
    let fewer = stage.program.admin("DELETE", "/rm", r#"{"n":1,"hostnames":["S5"]}"#).listed();
    assert_eq!(fewer.len(), 3);
    stage.end_unharmed();
}
