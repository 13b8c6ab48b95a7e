//! What has happened, as it happens.

use std::thread;

use serde_json::Value;

use super::common::{ask, number};
use crate::support::{CALM, Client, FakeLauncher, PATIENCE, Response, TestServer, wait_for};

/// Opens a stream with this target and fields.
fn open(server: &TestServer, target: &str, fields: &[(&str, &str)]) -> (Client, Response) {
    let mut client = server.connect();
    let fields = [&[("Accept", "text/event-stream")], fields].concat();
    client.send(&crate::support::client::request_bytes("GET", target, &fields, b""));
    let head = client.answer(true);
    (client, head)
}

fn stream(server: &TestServer, target: &str, fields: &[(&str, &str)]) -> Client {
    let (client, head) = open(server, target, fields);
    assert_eq!((head.status, head.header("content-type")), (200, Some("text/event-stream")));
    assert_eq!((head.header("cache-control"), head.header("connection")), (Some("no-store"), Some("close")));
    client
}

/// The next event; comments are passed over, as many as come in half a minute. Its three lines must say the same.
fn next(client: &mut Client) -> Value {
    for _ in 0..6 {
        let part = client.until("\n\n").unwrap();
        if part.starts_with(':') {
            continue;
        }
        let lines: Vec<&str> = part.lines().collect();
        let [id, event, data, ""] = lines[..] else { panic!("{part:?}") };
        let json: Value = serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
        let (_run, seq) = id.strip_prefix("id: ").unwrap().split_once('-').unwrap();
        assert_eq!(seq, json["seq"].to_string());
        assert_eq!(event, format!("event: {}", json["kind"].as_str().unwrap()));
        return json;
    }
    panic!("no event");
}

fn started() -> (TestServer, FakeLauncher) {
    let launcher = FakeLauncher::new();
    let server = TestServer::start(CALM, launcher.clone());
    wait_for("four events", || ask(&server, "/_ringmaster/events")["last"] == 4);
    (server, launcher)
}

#[test]
fn a_stream_tells_what_happens_and_nothing_older() {
    let (server, launcher) = started();
    let mut client = stream(&server, "/_ringmaster/events", &[]);
    launcher.end("server_1");
    let first = next(&mut client);
    assert_eq!(
        (number(&first["seq"]), &first["kind"], &first["replica"]),
        (5, &"failed".into(), &"server_1".into())
    );
    assert_eq!(next(&mut client)["kind"], "relaunched");
    assert_eq!(server.admin("POST", "/add", "no").status, 400);
    let refused = next(&mut client);
    assert_eq!((number(&refused["seq"]), &refused["kind"]), (7, &"refused".into()));
    let listed = ask(&server, "/_ringmaster/events?after=6");
    assert_eq!(listed["events"][0], refused, "the list says the same");
}

#[test]
fn a_stream_goes_on_where_it_broke_off() {
    let (server, _launcher) = started();
    let seqs = |target: &str, fields: &[(&str, &str)], count: usize| {
        let mut client = stream(&server, target, fields);
        (0..count).map(|_| number(&next(&mut client)["seq"])).collect::<Vec<_>>()
    };
    let run = {
        let mut client = stream(&server, "/_ringmaster/events?after=3", &[]);
        let part = client.until("\n\n").unwrap();
        part.lines().next().unwrap().strip_prefix("id: ").unwrap().strip_suffix("-4").unwrap().to_owned()
    };
    assert_eq!(seqs("/_ringmaster/events", &[("Last-Event-ID", &format!("{run}-2"))], 2), [3, 4]);
    assert_eq!(seqs("/_ringmaster/events?after=3", &[], 1), [4]);
    assert_eq!(seqs("/_ringmaster/events?after=3", &[("Last-Event-ID", &format!("{run}-1"))], 3), [2, 3, 4]);
    // From an earlier run, whether that had more to tell or less.
    for id in ["1-4000", "1-2"] {
        assert_eq!(seqs("/_ringmaster/events", &[("Last-Event-ID", id)], 4), [1, 2, 3, 4], "{id}");
    }
    assert_eq!(open(&server, "/_ringmaster/events?after=x", &[]).1.status, 400);
    let head =
        server.connect().request("HEAD", "/_ringmaster/events", &[("Accept", "text/event-stream")], b"");
    assert_eq!((head.status, head.header("content-type")), (200, Some("application/json")));
}

/// Several seconds, since that is how long a stream may be silent.
#[test]
fn a_silent_stream_says_that_it_is_there() {
    let (server, _launcher) = started();
    let mut client = stream(&server, "/_ringmaster/events", &[]);
    assert_eq!(client.until("\n\n").unwrap(), ": still here\n\n");
    assert_eq!(server.admin("POST", "/add", "no").status, 400);
    assert_eq!(next(&mut client)["kind"], "refused");
}

#[test]
fn streams_end_with_the_balancer_and_hold_up_nothing() {
    let launcher = FakeLauncher::new();
    let server = TestServer::start(&format!("{CALM} --drain-timeout 600s"), launcher);
    let mut clients: Vec<Client> = (0..3).map(|_| stream(&server, "/_ringmaster/events", &[])).collect();
    let stopped = thread::spawn(move || server.stop());
    for client in &mut clients {
        assert_eq!(next(client)["kind"], "stopping");
        assert!(client.is_ended());
    }
    wait_for("the end", || stopped.is_finished());
    stopped.join().unwrap();
    assert!(PATIENCE.as_secs() < 600);
}

#[test]
fn one_stream_too_many_is_refused_until_another_goes() {
    let (server, _launcher) = started();
    let mut streams: Vec<Client> = (0..16).map(|_| stream(&server, "/_ringmaster/events", &[])).collect();
    for _ in 0..3 {
        let (mut client, refused) = open(&server, "/_ringmaster/events", &[]);
        assert_eq!((refused.status, refused.header("retry-after")), (503, Some("1")));
        assert!(client.until("}").unwrap().contains("too many streams"));
    }
    let totals = ask(&server, "/_ringmaster/status")["totals"].take();
    assert_eq!(totals["refused"]["too_many_streams"], 3);
    assert_eq!(ask(&server, "/_ringmaster/events")["last"], 4, "a list is none");
    // The one that goes is noticed when there is something to tell it.
    drop(streams.pop());
    wait_for("its place to be free", || {
        assert!([200, 400].contains(&server.admin("POST", "/rm", "no").status));
        let (client, head) = open(&server, "/_ringmaster/events", &[]);
        if head.status == 200 {
            streams.push(client);
        }
        head.status == 200
    });
    assert_eq!(streams.len(), 16);
}

/// The rest of a body would be waited for in the end, and hold a stream's place meanwhile.
#[test]
fn a_request_for_a_stream_that_announces_a_body_is_refused_at_once() {
    let (server, _launcher) = started();
    for framing in ["Content-Length: 1000000000", "Transfer-Encoding: chunked"] {
        let mut client = server.connect();
        let head = format!(
            "GET /_ringmaster/events HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n{framing}\r\n\r\n"
        );
        client.send(head.as_bytes());
        assert_eq!(client.answer(false).status, 400, "{framing}");
        assert!(client.is_ended());
    }
}
