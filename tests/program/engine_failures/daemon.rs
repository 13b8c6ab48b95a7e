//! The daemon is restarted, and everything that it ran ends with it.

use std::thread;
use std::time::Duration;

use super::{CLIENTS, Stage, serving};
use crate::support::fake_docker::Mode;
use crate::support::wait_for;

#[test]
fn the_daemon_is_restarted() {
    let stage = Stage::set();
    stage.engine.shut_down();
    wait_for("nobody to serve", || serving(&stage.program) == 0);
    let early = stage.load.seen().failures.len();
    stage.assert_listed();
    stage.assert_add_refused("Cannot connect to the Docker daemon");
    // As long as a daemon may take, and longer than a launch waits at first.
    thread::sleep(Duration::from_secs(2));
    stage.assert_listed();
    assert_eq!(stage.load.seen().cut, 0);
    stage.engine.set_mode(Mode::Works);
    stage.wait_until_whole();
    wait_for("the events to be followed again", || {
        stage.logged("following the engine's events again") == 1
            && stage.engine.followers("ringmaster").len() == 1
    });
    let before = stage.load.seen().failures;
    // Requests that met replicas which had just ended tried all of them; the last of these may end now.
    let tried = |failure: &&String| failure.starts_with("502: ");
    assert!(before.iter().all(|failure| tried(&failure) || failure.starts_with("503: ")), "{before:?}");
    assert!(before.len() > early + CLIENTS, "requests are refused while nobody serves");
    assert!(before[early..].iter().filter(tried).count() <= CLIENTS, "{:?}", &before[early..]);
    stage.load.wait_for_answers(30);
    let after = stage.load.stop();
    assert_eq!(
        (after.failures.len(), after.cut),
        (before.len(), 0),
        "whole, and yet {:?}",
        after.failures.last()
    );
}
