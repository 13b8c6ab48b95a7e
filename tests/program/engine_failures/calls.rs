//! Calls of the engine fail, each in the same way.

use super::Stage;
use crate::support::fake_docker::Mode;
use crate::support::wait_for;

/// No call works from when `fail` was done until `mend` was.
fn calls_fail(fail: impl Fn(&Stage), mend: impl Fn(&Stage), words: &str) {
    let stage = Stage::set();
    fail(&stage);
    stage.assert_add_refused(words);
    stage.assert_rm_refused(words);
    stage.engine.kill("server_2");
    stage.wait_for_failing_launches("server_2", words);
    stage.assert_add_refused(words);
    stage.assert_flowing();
    mend(&stage);
    stage.end_unharmed();
}

#[test]
fn docker_is_missing() {
    calls_fail(
        |stage| stage.engine.hide(true),
        |stage| stage.engine.hide(false),
        "cannot run it: No such file",
    );
}

#[test]
fn the_daemon_is_away() {
    calls_fail(
        |stage| stage.engine.set_mode(Mode::Away),
        |stage| stage.engine.set_mode(Mode::Works),
        "Cannot connect to the Docker daemon at unix:///var/run/docker.sock",
    );
}

/// The longest test: a call that hangs is given up on only after some seconds, and the next may hang too.
#[test]
fn the_engine_hangs() {
    let stage = Stage::set();
    stage.engine.set_mode(Mode::Hangs);
    stage.engine.kill("server_2");
    wait_for("the death to be noticed", || stage.logged("server_2 failed") > 0);
    stage.assert_flowing();
    stage.assert_add_refused("no answer within");
    stage.assert_flowing();
    stage.engine.set_mode(Mode::Works);
    // The calls for the relaunch hang for a while yet.
    wait_for("them to be given up on", || stage.logged("cannot launch server_2") > 0);
    stage.end_unharmed();
}

#[test]
fn the_engine_says_nonsense() {
    let stage = Stage::set();
    stage.engine.set_mode(Mode::Garbage);
    let words = "'<html>502 Bad Gateway</html>' is not a container id";
    stage.assert_add_refused(words);
    stage.assert_rm_refused(words);
    stage.engine.kill("server_2");
    stage.wait_for_failing_launches("server_2", "<html>502 Bad Gateway</html>");
    stage.assert_flowing();
    stage.engine.set_mode(Mode::Works);
    stage.end_unharmed();
}
