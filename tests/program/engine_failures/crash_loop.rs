//! A replica dies again and again.

use super::{Stage, status_of};
use crate::support::fake_docker::Mode;
use crate::support::wait_for;

#[test]
fn a_replica_that_dies_again_and_again_is_launched_ever_more_rarely_and_heals() {
    let stage = Stage::with(&super::FLAGS.replace("--longest-pause 1s", "--longest-pause 4s"));
    for death in 0..3 {
        wait_for("it to serve", || status_of(&stage.program, "server_2")["state"] == "serving");
        stage.engine.kill("server_2");
        let line = [
            "server_2 failed",
            "server_2 is in a crash loop, next try in 1 s, last error: ",
            "next try in 2 s",
        ];
        wait_for("its death to be told", || stage.logged(line[death]) > 0);
    }
    // From here on it does not even begin to serve.
    stage.engine.set_mode(Mode::Crashes);
    let line = "cannot launch server_2: crash loop, next try in 4 s, last error: ";
    wait_for("launches to fail", || stage.logged(line) >= 2);
    let ended = |error: &str| error.contains("ended at once");
    stage.wait_for_status("server_2", "all that is known of it", |status| {
        status["state"] == "crash loop"
            && status["failures"].as_u64().is_some_and(|failures| failures >= 5)
            && status["next_try_ms"].as_u64().is_some_and(|ms| ms <= 4000)
            && status["last_error"].as_str().is_some_and(ended)
    });
    stage.assert_add_refused("ended at once");
    stage.assert_flowing();
    stage.engine.set_mode(Mode::Works);
    stage.end_unharmed();
}
