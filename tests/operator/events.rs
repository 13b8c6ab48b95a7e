//! What has happened, as a list.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Instant;

use serde_json::Value;

use super::common::{
    QUICK, ask, events_after, gated, number, of_kind, scripted, status, wait_for_one, wait_for_replica,
};
use super::exposition::scrape;
use crate::support::backend::{Backend, Script, answer};
use crate::support::{CALM, FakeLauncher, Gate, Hooked, TestServer, settings, wait_for};

/// A name that no resolver looks for anywhere, since part of it is empty.
const NOWHERE: &str = "no..where:80";
const NOWHERE_NAME: &str = "no..where-80";

fn text(event: &Value) -> &str {
    event["text"].as_str().unwrap()
}

/// Numbered from one without a gap, in the order of time.
fn assert_in_order(events: &[Value]) {
    let numbers: Vec<u64> = events.iter().map(|event| number(&event["seq"])).collect();
    assert!(numbers.iter().copied().eq(1..=numbers.len() as u64), "{numbers:?}");
    assert!(events.is_sorted_by_key(|event| event["time"].as_str().unwrap().to_owned()), "{events:#?}");
}

#[test]
fn changes_are_told_with_whom_they_are_about() {
    let (launcher, _gate) = scripted();
    let server = TestServer::start(CALM, launcher.clone());
    wait_for("everybody to have joined", || of_kind(&server, "joined").len() == 3);
    let started = wait_for_one(&server, "started", None);
    assert!(text(&started).contains(&server.address.to_string()), "{started}");
    let mut names: Vec<Value> = of_kind(&server, "joined").iter().map(|it| it["replica"].clone()).collect();
    names.sort_by_key(ToString::to_string);
    assert_eq!(names, ["server_1", "server_2", "server_3"]);
    let seq = number(&ask(&server, "/_ringmaster/events")["last"]);
    assert_eq!(server.admin("POST", "/add", r#"{"n":1,"hostnames":["S5"]}"#).status, 200);
    assert_eq!(server.admin("DELETE", "/rm", r#"{"n":1,"hostnames":["S5"]}"#).status, 200);
    assert_eq!(server.admin("DELETE", "/rm", r#"{"n":1,"hostnames":["S6"]}"#).status, 400);
    launcher.fail_start("S7", 1);
    assert_eq!(server.admin("POST", "/add", r#"{"n":1,"hostnames":["S7"]}"#).status, 500);
    let id = [("X-Request-Id", "abc-1")];
    assert_eq!(server.connect().request("POST", "/break", &id, b"x").status, 502);
    let new = events_after(&server, seq);
    let told: Vec<(&str, &str)> =
        new.iter().map(|it| (it["kind"].as_str().unwrap(), it["replica"].as_str().unwrap_or("-"))).collect();
    let wanted =
        [("joined", "S5"), ("left", "S5"), ("refused", "-"), ("change failed", "-"), ("request failed", "-")];
    assert_eq!(told, wanted);
    assert!(text(&new[2]).contains("/rm") && text(&new[2]).contains("S6"), "{}", new[2]);
    assert!(text(&new[3]).contains("/add") && text(&new[3]).contains("S7"), "{}", new[3]);
    assert!(text(&new[4]).contains("502") && text(&new[4]).contains("/break"), "{}", new[4]);
    let ids: Vec<&Value> = new.iter().map(|it| &it["request_id"]).collect();
    // What somebody was told has the id of the answer; the changes that were made say who they are about.
    assert!(ids[..2].iter().all(|id| id.is_null()) && ids[4] == "abc-1", "{ids:?}");
    assert!(ids[2..4].iter().all(|id| id.as_str().is_some_and(|id| id.len() == 32)), "{ids:?}");
    assert_in_order(&events_after(&server, 0));
}

#[test]
fn a_list_begins_after_what_one_has_and_says_where_it_ends() {
    let server = TestServer::start(CALM, FakeLauncher::new());
    wait_for("four events", || ask(&server, "/_ringmaster/events")["last"] == 4);
    let all = ask(&server, "/_ringmaster/events");
    assert_eq!((&all["first"], all["events"].as_array().unwrap().len()), (&1.into(), 4));
    let some = ask(&server, "/_ringmaster/events?after=2");
    assert_eq!((&some["first"], &some["last"]), (&3.into(), &4.into()));
    assert_eq!(some["events"].as_array().unwrap()[..], all["events"].as_array().unwrap()[2..]);
    let none = ask(&server, "/_ringmaster/events?after=4");
    assert_eq!(
        (&none["first"], &none["last"], none["events"].as_array().unwrap().len()),
        (&Value::Null, &4.into(), 0)
    );
    for wrong in ["x", "-1", "", "18446744073709551616"] {
        let answer = server.get(&format!("/_ringmaster/events?after={wrong}"));
        assert_eq!(answer.status, 400, "{wrong}");
        assert!(answer.error().contains("'after'"), "{}", answer.text());
    }
}

#[test]
fn a_death_and_a_relaunch_are_told_once_each() {
    let launcher = FakeLauncher::new();
    let server = TestServer::start(CALM, launcher.clone());
    launcher.end("server_2");
    let relaunched = wait_for_one(&server, "relaunched", Some("server_2"));
    let failed = wait_for_one(&server, "failed", Some("server_2"));
    assert!(number(&failed["seq"]) < number(&relaunched["seq"]));
    assert!(text(&failed).contains("ended") && text(&relaunched).contains("ended"), "{failed} {relaunched}");
    assert_in_order(&events_after(&server, 0));
}

#[test]
fn launches_that_fail_and_crash_loops_are_told() {
    let launcher = FakeLauncher::new();
    let server = TestServer::start(CALM, launcher.clone());
    launcher.fail_start("server_1", 1);
    launcher.end("server_1");
    let failed = wait_for_one(&server, "launch failed", Some("server_1"));
    assert!(text(&failed).contains("told to fail to start server_1"), "{failed}");
    wait_for_one(&server, "relaunched", Some("server_1"));
    assert!(of_kind(&server, "crash loop").is_empty());
    // It has failed lately, so that its next death is one too many.
    launcher.end("server_1");
    let looping = wait_for_one(&server, "crash loop", Some("server_1"));
    assert!(text(&looping).contains("next try in"), "{looping}");
    wait_for_replica(&server, "server_1", "a crash loop", |it| it["state"] == "crash loop");
    assert_eq!(of_kind(&server, "failed").len(), 2);
    assert_in_order(&events_after(&server, 0));
}

#[test]
fn one_that_comes_back_by_itself_has_recovered() {
    let well: Script = Arc::new(|_, stream| answer(stream, "200 OK", &[], b""));
    let (a, b) = (Backend::start(well.clone()), Backend::start(well));
    let flags = format!("{QUICK} --launcher static --backends {},{}", a.address, b.address);
    let server = TestServer::as_set(&settings(&flags));
    let name = b.address.to_string().replace(':', "-");
    b.fail_heartbeats(2);
    let recovered = wait_for_one(&server, "recovered", Some(&name));
    let failed = wait_for_one(&server, "failed", Some(&name));
    assert!(text(&failed).contains("500") && number(&failed["seq"]) < number(&recovered["seq"]), "{failed}");
    assert!(of_kind(&server, "relaunched").is_empty());
    assert_eq!(status(&server)["may_change"], false, "the servers are somebody else's");
}

/// Of servers of somebody else's that are not there, it is told what is known of them, and no more.
#[test]
fn one_that_was_never_there_has_not_been_well_and_joins_when_it_comes() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let well: Script = Arc::new(|_, stream| answer(stream, "200 OK", &[], b""));
    let here = Backend::start(well.clone());
    let flags = format!("{QUICK} --launcher static --backends {free},{}", here.address);
    let server = TestServer::as_set(&settings(&flags));
    let [late, name] = [free, here.address].map(|address| address.to_string().replace(':', "-"));
    let failed = wait_for_one(&server, "failed", Some(&late));
    assert!(text(&failed).starts_with("never well: "), "{failed}");
    wait_for_one(&server, "joined", Some(&name));
    let _late = Backend::start_at(free, well);
    wait_for("it to join", || of_kind(&server, "joined").len() == 2);
    assert_eq!(of_kind(&server, "joined")[1]["replica"], late);
    assert!(of_kind(&server, "recovered").is_empty() && of_kind(&server, "adopted").is_empty());
}

#[test]
fn one_whose_address_is_not_to_be_found_is_told_with_the_reason() {
    let server = TestServer::as_set(&settings(&format!("{QUICK} --launcher static --backends {NOWHERE}")));
    let told = wait_for_one(&server, "launch failed", Some(NOWHERE_NAME));
    let why = format!("cannot find the address of {NOWHERE}: ");
    assert!(text(&told).contains(&why), "{told}");
    let failed = wait_for_replica(&server, NOWHERE_NAME, "its state", |it| it["state"] == "failed");
    assert!(failed["last_error"].as_str().unwrap().starts_with(&why), "{failed}");
    assert!(failed["address"].is_null() && !failed["next_try_ms"].is_null(), "{failed}");
}

/// An engine gives the address of a replica that has died to the next one.
#[test]
fn one_whose_address_another_gets_has_failed_and_its_relaunch_counts() {
    let launcher = FakeLauncher::new();
    let server = TestServer::start(CALM, launcher.clone());
    let address = launcher.pass_address_on("server_2");
    assert_eq!(server.admin("POST", "/add", r#"{"n":1,"hostnames":["S4"]}"#).status, 200);
    let relaunched = wait_for_one(&server, "relaunched", Some("server_2"));
    let failed = wait_for_one(&server, "failed", Some("server_2"));
    let why = format!("its address {address} has become another's");
    assert!(text(&failed).contains(&why) && text(&relaunched).contains(&why), "{failed} {relaunched}");
    assert!(number(&failed["seq"]) < number(&relaunched["seq"]));
    let back = wait_for_replica(&server, "server_2", "it to serve", |it| it["state"] == "serving");
    assert_eq!((&back["relaunches"]["count"], &back["last_error"]), (&1.into(), &Value::Null));
    assert_eq!(scrape(&server).value("ringmaster_relaunch_duration_seconds_count", &[]), 1.0);
}

#[test]
fn a_relaunch_that_did_not_last_until_it_was_told_counts_and_names_can_be_followed() {
    let (launcher, gate) = (FakeLauncher::new(), Gate::default());
    let door = gate.clone();
    // The replica serves already when what is left of its last life is removed.
    let hooked = Hooked::before_stops(&launcher, move || door.pass());
    let server = TestServer::start(&format!("{QUICK} --respawn-name random"), hooked);
    let before = server.listed();
    launcher.at("server_2", |backend| backend.fail_heartbeats(u32::MAX));
    wait_for("its next life", || gate.waiting() == 1);
    let second = server.listed().into_iter().find(|name| !before.contains(name)).unwrap();
    launcher.end(&second);
    wait_for("its death to be noticed", || of_kind(&server, "failed").len() == 2);
    gate.open();
    wait_for("both relaunches to be told", || of_kind(&server, "relaunched").len() == 2);
    let third = server.listed().into_iter().find(|name| name != &second && !before.contains(name)).unwrap();
    let names = |kind| of_kind(&server, kind).iter().map(|it| it["replica"].clone()).collect::<Vec<_>>();
    assert_eq!(names("failed"), ["server_2", &second]);
    assert_eq!(names("relaunched"), [&*second, &third]);
    let told = of_kind(&server, "relaunched");
    assert!(text(&told[0]).starts_with("(was server_2) ") && text(&told[0]).ends_with("again"), "{told:?}");
    assert!(text(&told[1]).starts_with(&format!("(was {second}) ")), "{told:?}");
    assert_eq!(scrape(&server).value("ringmaster_relaunches_total", &[("replica", &third)]), 2.0);
    assert_eq!(scrape(&server).value("ringmaster_relaunch_duration_seconds_count", &[]), 2.0);
}

#[test]
fn a_panic_is_told_when_it_begins_and_ends() {
    let inner = FakeLauncher::new();
    let (launcher, gate) = gated(&inner);
    let server = TestServer::start(QUICK, launcher);
    gate.close();
    for name in ["server_1", "server_2", "server_3"] {
        inner.at(name, |backend| backend.fail_heartbeats(u32::MAX));
    }
    let begun = wait_for_one(&server, "panic", None);
    assert!(text(&begun).contains("50 %"), "{begun}");
    assert_eq!(status(&server)["panic"], true);
    gate.open();
    let over = wait_for_one(&server, "panic over", None);
    assert!(number(&begun["seq"]) < number(&over["seq"]));
    assert_eq!(status(&server)["panic"], false);
}

#[test]
fn replicas_of_an_earlier_run_are_adopted() {
    let launcher = FakeLauncher::new();
    let first = TestServer::start(CALM, launcher.clone());
    launcher.leave_everything(&[]);
    let second = TestServer::start(CALM, launcher);
    wait_for("all to be adopted", || of_kind(&second, "adopted").len() == 3);
    assert!(of_kind(&second, "joined").is_empty());
    let adopted = of_kind(&second, "adopted");
    assert!(adopted.iter().all(|it| text(it).contains("127.0.0.1:")), "{adopted:?}");
    drop(second);
    drop(first);
}

#[test]
fn what_anybody_can_bring_about_does_not_fill_the_journal() {
    let (launcher, _gate) = scripted();
    let server = TestServer::start(&format!("{CALM} --change-rate 1000"), launcher);
    let mut client = server.connect();
    let begun = Instant::now();
    for _ in 0..60 {
        assert_eq!(client.request("POST", "/add", &[], b"nonsense").status, 400);
    }
    let events = events_after(&server, 0);
    let refused = of_kind(&server, "refused").len();
    // Ten in each second that it took, of which the last has only begun.
    let most = 10 * (begun.elapsed().as_secs() + 1);
    assert!(refused >= 10 && refused as u64 <= most, "{refused} of {most}");
    assert_in_order(&events);
    let page = server.get("/_ringmaster/metrics").text();
    assert!(page.contains("\nringmaster_events_total{kind=\"refused\"} 60\n"), "all are counted");
}
