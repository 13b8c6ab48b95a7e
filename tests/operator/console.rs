//! `ringmaster status` and `ringmaster top` as the real program, before a balancer that says what the test tells it.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::backend::{Backend, Script, Seen, answer};
use crate::support::program::{command, run, signal};
use crate::support::{FakeLauncher, TestServer, dead_addr, wait_for};
use serde_json::{Value, json};

fn balancer(script: impl Fn(&Seen, &mut TcpStream) + Send + Sync + 'static) -> Backend {
    Backend::start(Arc::new(script))
}

/// One that answers everything with these bytes.
fn saying(status: &'static str, body: impl Into<Vec<u8>>) -> Backend {
    let body = body.into();
    balancer(move |_, stream| answer(stream, status, &[], &body))
}

fn successful(message: &Value) -> Vec<u8> {
    json!({"message": message, "status": "successful"}).to_string().into_bytes()
}

/// The status of a run after so many seconds, at ten requests a second.
fn example(started: &str, second: u32) -> Value {
    let (requests, uptime_ms) = (second * 10, second * 1000);
    json!({
        "version": "0.1.0", "started": started, "now": "2026-11-21T15:20:03.456Z", "uptime_ms": uptime_ms,
        "N": 2, "serving": 1, "panic": false, "policy": "hash", "scheme": "even", "slots": 512,
        "totals": {"requests": requests, "answers": {"5xx": 0}, "retries": 2, "in_flight": 1, "queued": 0,
                   "connections": 5},
        "replicas": [
            {"name": "server_1", "state": "serving", "since_ms": 59000, "share": 1.0, "in_flight": 1,
             "requests": requests, "answers": {"5xx": 0}, "errors": 0,
             "latency": {"p50_ms": 0.61, "p99_ms": 4.2}, "relaunches": {"count": 0},
             "heartbeat": {"result": "good", "latency_ms": 0.8, "streak": 9}, "last_error": null},
            {"name": "server_2", "state": "failed", "failures": 2, "next_try_ms": 500,
             "last_error": "killed \u{1b}[2J\u{9b}31m"}
        ]
    })
}

/// A balancer that lives for a second whenever it is asked, and something happens to it once.
fn living(started: &'static str) -> Script {
    let second = AtomicU32::new(0);
    Arc::new(move |seen, stream| {
        let message = match seen.target.as_str() {
            "/_ringmaster/status" => example(started, second.fetch_add(1, SeqCst) + 1),
            "/_ringmaster/events?after=0" => json!({"last": 1, "first": 1, "events": [
                {"seq": 1, "time": "2026-11-21T15:19:03.123Z", "kind": "relaunched", "replica": "server_2",
                 "text": format!("in run {started}"), "request_id": null}]}),
            "/_ringmaster/events?after=1" => json!({"last": 1, "first": 1, "events": []}),
            other => panic!("{other} was asked for"),
        };
        answer(stream, "200 OK", &[], &successful(&message));
    })
}

fn status(address: SocketAddr, more: &[&str]) -> Output {
    let address = address.to_string();
    run(&[&["status", "--listen", &address], more].concat())
}

#[track_caller]
fn told(output: &Output) -> String {
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), &*error), (Some(0), ""));
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[track_caller]
fn error_line(output: &Output, status: i32) -> String {
    let error = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(
        (output.status.code(), output.stdout.len(), error.lines().count()),
        (Some(status), 0, 1),
        "{error}"
    );
    assert!(!error.trim_end().contains(char::is_control), "{error:?}");
    error
}

#[test]
fn a_status_is_a_table() {
    let balancer = saying("200 OK", successful(&example("a", 60)));
    let table = told(&status(balancer.address, &[]));
    assert_eq!(
        table,
        format!(
            r"ringmaster 0.1.0 at {}, up 1m0s
1 of 2 serving, policy hash, scheme even
600 requests, 0 answered 5xx, 2 retries, 1 in flight, 0 queued, 5 connections

NAME      STATE    SINCE   SHARE  IN-FLIGHT  REQUESTS  5XX  ERRORS  BEGIN-P50  BEGIN-P99  HEARTBEAT   RELAUNCHES
server_1  serving    59s  100.0%          1       600    0       0      0.6ms      4.2ms  good 0.8ms           0
server_2  failed       -       -          -         -    -       -          -          -  -                    -

server_2: killed \u{{1b}}[2J\u{{9b}}31m; 2 failures in a row; next try in 500ms
",
            balancer.address
        )
    );
    assert_eq!(balancer.seen().len(), 1);
    assert_eq!(balancer.seen()[0].target, "/_ringmaster/status");
    assert!(balancer.seen()[0].header("authorization").is_empty());
}

#[test]
fn as_json_it_is_all_that_was_said_and_nothing_that_a_terminal_obeys() {
    let message = json!({"replicas": [], "later": {"N": 1.5, "text": "\u{9b}31m\u{7f}"}});
    let balancer = saying("200 OK", successful(&message));
    let shown = told(&status(balancer.address, &["--json"]));
    assert_eq!(serde_json::from_str::<Value>(&shown).unwrap(), message);
    assert!(shown.starts_with("{\n  \"later\": {\n"), "{shown}");
    assert!(!shown.replace('\n', "").contains(char::is_control), "{shown:?}");
}

#[test]
fn a_balancer_of_this_version_is_understood() {
    let server = TestServer::start("--replicas 2", FakeLauncher::new());
    let table = told(&status(server.address, &[]));
    assert!(table.contains(", policy hash, scheme even\n"), "{table}");
    for name in ["server_1", "server_2"] {
        let row = table.lines().find(|line| line.starts_with(name)).unwrap();
        assert!(row.contains("serving") && row.contains("50.0%"), "{table}");
    }
}

#[test]
fn the_admin_side_is_asked_where_it_is() {
    let balancer = saying("200 OK", successful(&example("a", 1)));
    let (dead, address) = (dead_addr(), balancer.address.to_string());
    told(&status(dead, &["--admin-listen", &address]));
    told(&status(balancer.address, &["--admin-listen", ""]));
    told(&command(&["status"]).env("RINGMASTER_LISTEN", &address).output().unwrap());
    let anywhere: SocketAddr = ([0, 0, 0, 0], balancer.address.port()).into();
    assert!(told(&status(anywhere, &[])).contains(&address));
    assert!(
        error_line(&status(dead, &["--admin-listen", "here"]), 2).contains("--admin-listen: 'here' is not")
    );
}

#[test]
fn what_is_no_status_is_one_line_that_says_who_and_why() {
    let failure = |text: &str| json!({"message": format!("<Error> {text}"), "status": "failure"}).to_string();
    let elsewhere = "if its admin side is elsewhere: --admin-listen ADDR:PORT";
    for (code, body, parts) in [
        ("401 Unauthorized", failure("no"), ["wants a token", "--admin-token-file FILE"]),
        ("403 Forbidden", failure("not from\x1b[2J there"), ["refuses (403): not from\\u{1b}[2J there", ""]),
        ("404 Not Found", "<html>".to_owned(), ["no Ringmaster answers at ", elsewhere]),
        ("400 Bad Request", failure("'/x' does not exist"), ["it says ''/x' does not exist'", elsewhere]),
        ("503 Service Unavailable", failure("too busy"), ["refuses (503): too busy", ""]),
        ("302 Found", String::new(), ["it says 302", elsewhere]),
        ("200 OK", "hello".to_owned(), ["its answer is none of ours", elsewhere]),
        ("200 OK", failure("never mind"), ["its answer says that it failed", elsewhere]),
        ("200 OK", r#"{"message":{"replicas":["#.to_owned(), ["none of ours: EOF while parsing", elsewhere]),
        ("200 OK", r#"{"message":"hello","status":"successful"}"#.to_owned(), ["has no replicas", elsewhere]),
        (
            "200 OK",
            r#"{"message":{"replicas":[{"name":7}]},"status":"successful"}"#.to_owned(),
            ["its status is odd: invalid type", elsewhere],
        ),
        ("200 OK", "[".repeat(100_000), ["none of ours", elsewhere]),
    ] {
        let balancer = saying(code, body);
        let error = error_line(&status(balancer.address, &[]), 1);
        assert!(error.contains(&balancer.address.to_string()), "{error}");
        for part in parts {
            assert!(error.contains(part), "no {part} in {error}");
        }
    }
    let dead = dead_addr();
    let error = error_line(&status(dead, &["--json"]), 1);
    assert!(error.starts_with(&format!("ringmaster: nothing listens at {dead}")), "{error}");
}

#[test]
fn who_speaks_no_http_hangs_trickles_or_never_ends_is_left_in_time() {
    let never_ends = |_: &Seen, stream: &mut TcpStream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
        while stream.write_all(&[b' '; 65536]).is_ok() {}
    };
    let trickles = |_: &Seen, stream: &mut TcpStream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n");
        while stream.write_all(b" ").is_ok() {
            thread::sleep(Duration::from_millis(100));
        }
    };
    let no_http = |_: &Seen, stream: &mut TcpStream| {
        let _ = stream.write_all(b"SSH-2.0-OpenSSH\r\n\r\n");
    };
    let hung = saying("200 OK", "");
    hung.hang();
    for (balancer, part) in [
        (balancer(never_ends), "its answer is longer than 8 MiB"),
        (saying("200 OK", vec![b' '; 9 << 20]), "its answer is longer than 8 MiB"),
        (balancer(trickles), "does not answer within 2s"),
        (balancer(no_http), "no Ringmaster answers at"),
        (hung, "does not answer within 2s"),
    ] {
        let begun = Instant::now();
        let error = error_line(&status(balancer.address, &[]), 1);
        assert!(error.contains(part), "{error}");
        assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    }
}

/// A file that is gone when the test ends.
struct TokenFile(std::path::PathBuf);

impl TokenFile {
    fn new(name: &str, text: &str) -> TokenFile {
        let path = std::env::temp_dir().join(format!("ringmaster-console-{name}-{}", std::process::id()));
        std::fs::write(&path, text).unwrap();
        TokenFile(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for TokenFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[test]
fn a_token_is_brought_from_a_flag_a_variable_or_a_file() {
    let balancer = balancer(|seen, stream| match seen.header("authorization")[..] {
        ["Bearer s3cret-and-long-enough"] => answer(stream, "200 OK", &[], &successful(&example("a", 1))),
        _ => answer(stream, "401 Unauthorized", &[("WWW-Authenticate", "Bearer")], b"{}"),
    });
    let (file, address) = (TokenFile::new("right", "s3cret-and-long-enough\n"), balancer.address.to_string());
    told(&status(balancer.address, &["--admin-token", "s3cret-and-long-enough"]));
    told(&status(balancer.address, &["--admin-token-file", file.path()]));
    told(
        &command(&["status", "--listen", &address])
            .env("RINGMASTER_ADMIN_TOKEN", "s3cret-and-long-enough")
            .output()
            .unwrap(),
    );
    assert!(error_line(&status(balancer.address, &[]), 1).contains("wants a token"));
    let error = error_line(&status(balancer.address, &["--admin-token", "wr0ng-and-long-enough"]), 1);
    assert!(
        error.contains("does not accept this token") && !error.contains("wr0ng-and-long-enough"),
        "{error}"
    );
    let error = error_line(&run(&["top", "--listen", &address]), 1);
    assert!(error.contains("wants a token"), "{error}");
}

#[test]
fn a_token_that_is_none_is_refused_without_being_repeated() {
    let (empty, odd) = (TokenFile::new("empty", " \n"), TokenFile::new("odd", "one\ntwo-and-long-enough"));
    for (flags, part) in [
        (["--admin-token", "two words that are long enough"], "--admin-token: the token holds other than"),
        (["--admin-token", "two"], "--admin-token: the token has 3 characters"),
        (["--admin-token", ""], "--admin-token: the token has 0 characters"),
        (["--admin-token-file", empty.path()], "--admin-token-file: the token has 1 characters"),
        (["--admin-token-file", odd.path()], "--admin-token-file: the token holds other than"),
        (
            ["--admin-token-file", "/no/such/file"],
            "--admin-token-file: the file cannot be read: No such file",
        ),
    ] {
        for command in ["status", "top"] {
            let error = error_line(&run(&[command, flags[0], flags[1]]), 2);
            assert!(error.contains(part) && !error.contains("two"), "{error}");
        }
    }
    let both = run(&["status", "--admin-token", "a", "--admin-token-file", odd.path()]);
    assert!(error_line(&both, 2).contains("beside --admin-token"));
    assert!(error_line(&run(&["top", "--json"]), 2).contains("--json goes with"));
}

/// `ringmaster top` whose frames are read; killed when it is dropped.
struct Top {
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Top {
    fn start(address: SocketAddr) -> Top {
        let mut command = command(&["top", "--listen", &address.to_string()]);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let lines: Arc<Mutex<Vec<String>>> = Arc::default();
        let (read, out) = (lines.clone(), BufReader::new(child.stdout.take().unwrap()));
        thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                read.lock().unwrap().push(line);
            }
        });
        Top { child, lines }
    }

    /// All frames that have been shown whole.
    fn frames(&self) -> Vec<String> {
        let mut frames: Vec<String> = Vec::new();
        let mut is_marked = false;
        for line in self.lines.lock().unwrap().iter() {
            let marks = line.starts_with("NO ANSWER");
            if marks || (line.starts_with("ringmaster ") && !is_marked) {
                frames.push(String::new());
            }
            is_marked = marks;
            frames.last_mut().unwrap().push_str(&format!("{line}\n"));
        }
        frames.pop();
        frames
    }

    /// Waits for a frame behind the first `skip` that is as wanted; how many there were up to it.
    fn wait_for(&self, what: &str, skip: usize, wanted: impl Fn(&str) -> bool) -> usize {
        let mut found = None;
        wait_for(what, || {
            found = self.frames().iter().skip(skip).position(|frame| wanted(frame));
            found.is_some()
        });
        skip + found.unwrap() + 1
    }

    fn end(mut self) -> Option<i32> {
        signal(self.child.id(), "TERM");
        let mut status = None;
        wait_for("top to end", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap().code()
    }
}

impl Drop for Top {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn top_shows_rates_outlives_its_balancer_and_takes_the_next_for_a_new_one() {
    let mut balancer = Backend::start(living("first"));
    let address = balancer.address;
    let top = Top::start(address);
    let seen = top.wait_for("rates", 0, |frame| frame.contains(" requests (10/s), 0 answered 5xx (0/s)"));
    let first = &top.frames()[0];
    assert!(first.contains("10 requests, 0 answered") && first.contains("REQ/S"), "{first}");
    assert!(first.contains("15:19:03  relaunched server_2: in run first"), "{first}");

    balancer.kill();
    let stale = |frame: &str| {
        frame.contains(&format!(" s, shown as of 15:20:03 UTC: nothing listens at {address}\n"))
            && frame.contains("server_1")
    };
    let seen = top.wait_for("a frame that is stale", seen, stale);

    let _balancer = Backend::start_at(address, living("second"));
    let afresh = |frame: &str| frame.contains("10 requests, 0 answered") && frame.contains("in run second");
    let seen = top.wait_for("the new balancer", seen, afresh);
    let frame = &top.frames()[seen - 1];
    assert!(!frame.contains("in run first"), "{frame}");
    top.wait_for("its rates", seen, |frame| frame.contains("20 requests (10/s)"));
    assert!(!top.lines.lock().unwrap().iter().any(|line| line.contains(char::is_control)));
    assert_eq!(top.end(), Some(0));
}

#[test]
fn top_ends_at_once_when_told_to_while_the_balancer_hangs() {
    let balancer = Backend::start(living("only"));
    let top = Top::start(balancer.address);
    wait_for("a frame", || !top.lines.lock().unwrap().is_empty());
    balancer.hang();
    let is_marked = |line: &String| line.contains("NO ANSWER") && line.contains("does not answer within 2s");
    wait_for("a mark", || top.lines.lock().unwrap().iter().any(is_marked));
    assert_eq!(top.end(), Some(0));
}

#[test]
fn top_begins_with_an_answer_and_ends_when_nobody_reads_it() {
    let dead = dead_addr();
    let error = error_line(&run(&["top", "--listen", &dead.to_string()]), 1);
    assert!(error.contains(&format!("nothing listens at {dead}")), "{error}");
    let balancer = Backend::start(living("only"));
    let mut command = command(&["top", "--listen", &balancer.address.to_string()]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    wait_for("top to end", || child.try_wait().unwrap().is_some());
    assert_eq!(error_free(child), Some(0));
}

fn error_free(child: Child) -> Option<i32> {
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    output.status.code()
}
