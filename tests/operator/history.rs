//! The last minutes, second by second.

use serde_json::Value;

use super::common::{ask, number, replica, scripted};
use crate::support::{CALM, TestServer, wait_for};

fn samples(server: &TestServer, after: u64) -> Vec<Value> {
    ask(server, &format!("/_ringmaster/history?after={after}"))["samples"].as_array().unwrap().clone()
}

fn sum(samples: &[Value], field: &str) -> u64 {
    samples.iter().map(|sample| number(&sample[field])).sum()
}

#[test]
fn the_seconds_add_up_to_what_was_sent() {
    let (launcher, _gate) = scripted();
    let server = TestServer::start(&format!("{CALM} --replicas 2"), launcher);
    let mut client = server.connect();
    for _ in 0..30 {
        client.request("GET", "/200", &[], b"");
    }
    for _ in 0..7 {
        client.request("GET", "/500", &[], b"");
    }
    for _ in 0..13 {
        client.request("GET", "/404", &[], b"");
    }
    let mut broken = 0;
    for _ in 0..10 {
        broken += u64::from(server.get("/break-at-server_1").status != 200);
    }
    // Those that leave take nothing with them.
    assert_eq!(server.admin("DELETE", "/rm", r#"{"n":1,"hostnames":["server_2"]}"#).status, 200);
    let mut all = Vec::new();
    wait_for("the seconds to be over", || {
        all = samples(&server, 0);
        sum(&all, "requests") >= 60
    });
    assert_eq!((sum(&all, "requests"), sum(&all, "errors")), (60, 7 + broken));
    assert_eq!(sum(&all, "retries"), number(&replica(&server, "server_1")["retries"]));
    // Each begins where the one before it has ended, also where a busy machine let some seconds be read together.
    let mut last = 0;
    for sample in &all {
        let (second, span) = (number(&sample["second"]), number(&sample["span"]));
        assert!(span >= 1 && second == last + span, "{sample} after {last}");
        last = second;
    }
    for sample in &all {
        let is_measured = number(&sample["requests"]) > 0;
        assert_eq!((sample["p50_ms"].is_number(), sample["p99_ms"].is_number()), (is_measured, is_measured));
        assert!(!is_measured || sample["p50_ms"].as_f64() <= sample["p99_ms"].as_f64(), "{sample}");
    }
    let later = samples(&server, last - 1);
    assert_eq!(later[0], all[all.len() - 1]);
    assert!(samples(&server, last + 1000).is_empty());
    wait_for("another second", || number(&ask(&server, "/_ringmaster/history")["now"]) > last);
    let quiet = samples(&server, last);
    assert_eq!((&quiet[0]["requests"], &quiet[0]["p50_ms"]), (&0.into(), &Value::Null));
}
