//! A second balancer that cannot take over leaves the first one what it has.

use super::{FLAGS, serving};
use crate::support::fake_docker::FakeEngine;
use crate::support::{Program, wait_for};

#[test]
fn one_that_takes_over_in_vain_touches_nothing_of_the_first() {
    let engine = FakeEngine::new();
    let first = Program::start_command(engine.balancer(&format!("{FLAGS} --on-exit keep")));
    wait_for("all three to serve", || serving(&first) == 3);
    let before = engine.containers();
    // It finds nobody well, for a reason of its own.
    let flags = format!(
        "--listen {} --take-over yes --heartbeat-interval 50ms --heartbeat-path /nope --start-timeout 2s",
        first.address
    );
    let second = engine.balancer(&flags).output().unwrap();
    let told = String::from_utf8_lossy(&second.stderr).into_owned();
    assert_eq!(second.status.code(), Some(1), "{told}");
    assert!(told.contains("no replica serves, so nobody is relieved"), "{told}");
    assert_eq!(engine.containers(), before, "{told}");
    assert_eq!(serving(&first), 3, "{:?}", first.log());
    assert!(!first.log().iter().any(|line| line.contains("failed")), "{:?}", first.log());
}
