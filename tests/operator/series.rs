//! However a fleet comes and goes, and whatever replicas answer, there are only so many series.

use super::common::{scripted, settle};
use super::exposition::scrape;
use crate::support::{CALM, FakeLauncher, TestServer, wait_for};

#[test]
fn replicas_that_have_gone_leave_no_series() {
    let (launcher, _gate) = scripted();
    let server = TestServer::start(&format!("{CALM} --change-rate 1000 --policy round-robin"), launcher);
    let mut client = server.connect();
    let mut ask = |times: usize| {
        for _ in 0..times {
            assert_eq!(client.request("GET", "/200", &[], b"").status, 200);
        }
    };
    ask(12);
    let add = |body: &str| server.admin("POST", "/add", body);
    let remove = |body: &str| server.admin("DELETE", "/rm", body);
    wait_for("clients and answers of the admin side to be counted", || {
        let page = scrape(&server);
        let is_there = |name: &str, labels: &[_]| page.get(name, labels).is_some();
        is_there("ringmaster_connections", &[])
            && is_there("ringmaster_admin_requests_total", &[("code", "200")])
            && page.by("ringmaster_heartbeat_latency_seconds", "replica").len() == 3
    });
    let before = scrape(&server).series();
    for round in 0..50 {
        let body = format!(r#"{{"n":1,"hostnames":["round-{round}"]}}"#);
        assert_eq!(add(&body).status, 200);
        ask(8);
        settle(&server, 12 + 8 * (round + 1));
        let of_new = [("replica", &*format!("round-{round}")), ("code", "200")];
        assert!(scrape(&server).value("ringmaster_requests_total", &of_new) > 0.0, "it was asked");
        assert_eq!(remove(&body).status, 200);
    }
    wait_for("the series to be those of before", || scrape(&server).series() == before);
    settle(&server, 12 + 50 * 8);
}

#[test]
fn replicas_that_change_their_names_leave_no_series() {
    let launcher = FakeLauncher::new();
    let flags = format!("{CALM} --respawn-name random --longest-pause 1s --replicas 2");
    let server = TestServer::start(&flags, launcher.clone());
    wait_for("a good heartbeat of each", || {
        scrape(&server).by("ringmaster_heartbeat_latency_seconds", "replica").len() == 2
    });
    let names = |label: &str| {
        scrape(&server).series().into_iter().filter_map(|(_, labels)| labels.get(label).cloned()).collect()
    };
    let before = scrape(&server).series().len();
    for _ in 0..3 {
        let old = server.listed()[0].clone();
        launcher.end(&old);
        wait_for("another name", || !server.listed().contains(&old) && server.serving() == 2);
        let named: std::collections::BTreeSet<String> = names("replica");
        let listed = server.listed();
        assert!(named.iter().all(|name| name == "-" || listed.contains(name)), "{named:?} of {listed:?}");
    }
    wait_for("a good heartbeat of each", || {
        scrape(&server).by("ringmaster_heartbeat_latency_seconds", "replica").len() == 2
    });
    let after = scrape(&server).series().len();
    assert!(after <= before + 2, "{after} after {before}");
}

#[test]
fn codes_that_replicas_make_up_have_no_series_of_their_own() {
    let (launcher, _gate) = scripted();
    let server = TestServer::start(&format!("{CALM} --replicas 1 --replica-404 pass"), launcher);
    let mut client = server.connect();
    let mut sent = 0;
    for code in (200..600).step_by(2).chain(401..420) {
        assert_eq!(client.request("GET", &format!("/{code}"), &[], b"").status, code);
        sent += 1;
    }
    settle(&server, sent);
    let page = scrape(&server);
    let codes = page.by("ringmaster_requests_total", "code");
    assert_eq!(codes.values().sum::<f64>(), sent as f64);
    assert!(codes.len() <= 53, "{} of {sent}: {codes:?}", codes.len());
    assert!(codes["2xx"] > 40.0 && !codes.contains_key("418"), "{codes:?}");
}
