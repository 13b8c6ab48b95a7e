//! The access log of the real program: a line for every request, whatever becomes of it, and no request that waits for it.

use std::io::{BufRead, BufReader, PipeReader, Read, Write};
use std::net::Shutdown;
use std::sync::{Arc, Mutex};
use std::thread;

use crate::support::backend::{Backend, Script, answer};
use crate::support::client::request_bytes;
use crate::support::program::{command, signal};
use crate::support::{CALM, Client, Gate, Program, wait_for};
use serde_json::{Value, json};

/// A balancer before servers of ours, with its standard output.
struct Logged {
    program: Program,
    lines: Arc<Mutex<Vec<String>>>,
}

/// Starts the program; what it writes on standard output is to be read.
fn start(flags: &str) -> (Program, PipeReader) {
    let (reader, writer) = std::io::pipe().unwrap();
    let mut args = vec!["--listen", "127.0.0.1:0"];
    args.extend(flags.split_whitespace());
    let mut program = command(&args);
    program.stdout(writer);
    (Program::start_command(program), reader)
}

/// Starts it before these servers.
fn before(backends: &[&Backend], flags: &str) -> (Program, PipeReader) {
    let addresses: Vec<String> = backends.iter().map(|backend| backend.address.to_string()).collect();
    start(&format!("{CALM} --launcher static --backends {} {flags}", addresses.join(",")))
}

impl Logged {
    fn new((program, reader): (Program, PipeReader)) -> Logged {
        let lines: Arc<Mutex<Vec<String>>> = Arc::default();
        let noted = lines.clone();
        thread::spawn(move || {
            for line in BufReader::new(reader).lines() {
                noted.lock().unwrap().push(line.unwrap());
            }
        });
        Logged { program, lines }
    }

    fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }

    /// Waits for so many lines.
    fn wait_for_lines(&self, count: usize) -> Vec<String> {
        wait_for("the lines", || self.lines().len() >= count);
        assert_eq!(self.lines().len(), count, "{:#?}", self.lines());
        self.lines()
    }

    /// The last of so many lines, as JSON.
    fn line(&self, count: usize) -> Value {
        serde_json::from_str(&self.wait_for_lines(count)[count - 1]).unwrap()
    }

    fn connect(&self) -> Client {
        Client::connect(self.program.address)
    }

    fn send(&self, bytes: &[u8]) -> Client {
        let mut client = self.connect();
        client.send(bytes);
        client
    }
}

/// What a server of ours is called.
fn name_of(backend: &Backend) -> String {
    backend.address.to_string().replace(':', "-")
}

/// A server that answers by the path: `/cut` breaks off, `/break` answers nothing, `/chunks` is chunked, `/held` waits.
fn server(gate: &Gate) -> Backend {
    let gate = gate.clone();
    let script: Script = Arc::new(move |seen, stream| match seen.target.as_str() {
        "/cut" => {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n0123456789");
            let _ = stream.shutdown(Shutdown::Both);
        }
        "/break" => _ = stream.shutdown(Shutdown::Both),
        "/chunks" => {
            let _ = stream.write_all(
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n3\r\nfgh\r\n0\r\n\r\n",
            );
        }
        "/held" => {
            gate.pass();
            answer(stream, "200 OK", &[], &vec![b'x'; 8 * 1024 * 1024]);
        }
        "/missing" => answer(stream, "404 Not Found", &[], b"no"),
        _ if seen.method == "HEAD" => {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");
        }
        _ => answer(stream, "200 OK", &[], b"hello"),
    });
    Backend::start(script)
}

/// Whoever was told something by us can say which request it was about.
#[test]
fn every_answer_of_ours_has_the_id_of_its_request_and_so_has_its_line() {
    let token = "0123456789abcdef0123456789abcdef";
    let log = Logged::new(start(&format!("{CALM} --admin-token {token} --access-log json --replicas 1")));
    log.program.wait_until_all_serve();
    let cases: [(&str, &str, u16); 8] = [
        ("GET", "/rep", 200),
        ("GET", "/_ringmaster/health", 200),
        ("GET", "/_ringmaster/status", 401),
        ("PUT", "/add", 405),
        ("POST", "/add", 401),
        ("GET", "/no-such-path", 400),
        ("OPTIONS", "*", 200),
        ("GET", "/a#b", 400),
    ];
    for (at, (method, target, status)) in cases.into_iter().enumerate() {
        let id = format!("case-{at}");
        let response = log.connect().request(method, target, &[("X-Request-Id", &id)], b"");
        assert_eq!(response.status, status, "{method} {target}: {}", response.text());
        assert_eq!(response.header("x-request-id"), Some(id.as_str()), "{method} {target}");
        let field = format!("\"request_id\":\"{id}\"");
        wait_for("its line", || log.lines().iter().any(|line| line.contains(&field)));
    }
}

#[test]
fn each_request_has_a_line_of_json() {
    let gate = Gate::default();
    let backend = server(&gate);
    let name = name_of(&backend);
    let log = Logged::new(before(&[&backend], "--access-log json"));
    let mut seen = 0;
    let mut check = |bytes: &[u8], wanted: Value| {
        let method = bytes.split(|byte| *byte == b' ').next().unwrap();
        let answer = log.send(bytes).try_answer(method == b"HEAD");
        seen += 1;
        let line = log.line(seen);
        for (key, value) in wanted.as_object().unwrap() {
            assert_eq!(line[key], *value, "{key} of {line}");
        }
        assert_eq!(line.as_object().unwrap().len(), 14, "{line}");
        assert_eq!(line["client"], "127.0.0.1");
        assert!(line["took_ms"].as_f64().unwrap() >= 0.0 && line["time"].as_str().unwrap().ends_with('Z'));
        if let Ok(answer) = answer {
            assert_eq!((&line["status"], &line["bytes"]), (&answer.status.into(), &answer.body.len().into()));
            assert_eq!(line["complete"], true);
        }
        line
    };
    let fields = [("User-Agent", "curl/8.0"), ("Referer", "http://a/b"), ("X-Request-Id", "id-1")];
    let forwarded = json!({
        "method": "GET", "target": "/a?b=c", "version": "HTTP/1.1", "status": 200, "bytes": 5, "referer": "http://a/b",
        "user_agent": "curl/8.0", "replica": name, "attempts": 1, "request_id": "id-1", "complete": true,
    });
    check(&request_bytes("GET", "/a?b=c", &fields, b""), forwarded);
    let head = json!({"method": "HEAD", "bytes": 0, "replica": name, "referer": null, "user_agent": null});
    check(&request_bytes("HEAD", "/", &[], b""), head);
    check(b"GET /old HTTP/1.0\r\n\r\n", json!({"version": "HTTP/1.0", "bytes": 5, "replica": name}));
    let upload = request_bytes("PUT", "/up", &[], &vec![b'x'; 100_000]);
    check(&upload, json!({"method": "PUT", "status": 200, "bytes": 5, "replica": name}));
    check(&request_bytes("GET", "/chunks", &[], b""), json!({"bytes": 8, "complete": true}));
    check(&request_bytes("GET", "/missing", &[], b""), json!({"status": 404, "bytes": 2, "replica": name}));
    let own = json!({"replica": null, "attempts": 0, "status": 200, "target": "/rep"});
    let line = check(&request_bytes("GET", "/rep", &[], b""), own);
    assert_eq!(line["request_id"].as_str().unwrap().len(), 32, "{line}");
    let none = json!({"replica": null, "status": 404, "attempts": 0});
    check(&request_bytes("GET", "/_ringmaster/x", &[], b""), none);
    check(&request_bytes("HEAD", "/rep", &[], b""), json!({"bytes": 0, "status": 200}));
    let cut = json!({"status": 200, "bytes": 10, "complete": false, "replica": name, "target": "/cut"});
    check(&request_bytes("GET", "/cut", &[], b""), cut);
    let broken = json!({"status": 502, "replica": null, "attempts": 1, "target": "/break", "complete": true});
    check(&request_bytes("POST", "/break", &[], b"x"), broken);
}

#[test]
fn who_is_refused_or_goes_has_a_line_too() {
    let gate = Gate::default();
    let backend = server(&gate);
    let log = Logged::new(before(&[&backend], "--access-log json"));
    for (count, bytes, status, method, target) in [
        (1, "GET /nohost HTTP/1.1\r\n\r\n", 400, "GET", "/nohost"),
        (2, "CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", 405, "CONNECT", "a:1"),
        (3, "GET /t HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", 501, "GET", "/t"),
    ] {
        let answer = log.send(bytes.as_bytes()).answer(false);
        let line = log.line(count);
        assert_eq!((answer.status, &line["status"]), (status, &status.into()), "{line}");
        assert_eq!((&line["method"], &line["target"]), (&method.into(), &target.into()));
        assert_eq!(line["bytes"], answer.body.len(), "{line}");
        assert_eq!((&line["replica"], &line["attempts"]), (&Value::Null, &0.into()));
    }
    // One that goes before its answer, which is larger than what sockets hold.
    let client = log.send(&request_bytes("GET", "/held", &[], b""));
    wait_for("the request to be there", || gate.waiting() == 1);
    drop(client);
    gate.open();
    let line = log.line(4);
    assert_eq!(
        (&line["complete"], &line["target"], &line["status"]),
        (&false.into(), &"/held".into(), &200.into())
    );
    assert!(line["bytes"].as_u64().unwrap() < 8 * 1024 * 1024, "{line}");
}

/// The fields of a combined line, as one who reads them by the book takes them apart.
fn fields(line: &str) -> Vec<String> {
    let (mut found, mut rest) = (Vec::new(), line);
    while !rest.is_empty() {
        let (field, after) = match rest.as_bytes()[0] {
            b'[' => rest[1..].split_once("]").unwrap(),
            b'"' => {
                let mut end = 1;
                while rest.as_bytes()[end] != b'"' {
                    end += if rest.as_bytes()[end] == b'\\' { 2 } else { 1 };
                }
                (&rest[1..end], &rest[end + 1..])
            }
            _ => rest.split_at(rest.find(' ').unwrap_or(rest.len())),
        };
        found.push(field.to_owned());
        rest = after.strip_prefix(' ').unwrap_or_else(|| {
            assert!(after.is_empty(), "{line}");
            after
        });
    }
    found
}

#[test]
fn combined_lines_hold_whatever_clients_send() {
    let gate = Gate::default();
    let backend = server(&gate);
    let name = name_of(&backend);
    let log = Logged::new(before(&[&backend], "--access-log combined"));
    log.send(&request_bytes("GET", "/a", &[("X-Request-Id", "i-7"), ("User-Agent", "x")], b"")).answer(false);
    let line = fields(&log.wait_for_lines(1)[0]);
    assert_eq!(line[..3], ["127.0.0.1", "-", "-"]);
    assert!(line[3].ends_with(" +0000") && line[3].len() == 26, "{line:?}");
    assert_eq!(line[4..11], ["GET /a HTTP/1.1", "200", "5", "-", "x", &name, "1"]);
    assert!(line[11].parse::<f64>().unwrap() >= 0.0 && line[11].split_once('.').unwrap().1.len() == 6);
    assert_eq!(line[12..], ["i-7"]);
    let hostile = [("User-Agent", "a\" 200 1 \"b\\"), ("Referer", "t\tb"), ("X-Request-Id", "a b\"c")];
    log.send(&request_bytes("GET", "/q?%22\"x", &hostile, b"")).answer(false);
    let text = &log.wait_for_lines(2)[1];
    assert!(text.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{text}");
    let line = fields(text);
    assert_eq!(line.len(), 13, "{line:?}");
    // One that cannot be parsed as a target is refused, and its line holds it all the same.
    assert!(line[4].starts_with("GET /q?%22\\\"x "), "{line:?}");
    log.send(&request_bytes("GET", "/fields", &hostile, b"")).answer(false);
    let line = fields(&log.wait_for_lines(3)[2]);
    assert_eq!((line[7].as_str(), line[8].as_str()), ("t\\x09b", "a\\\" 200 1 \\\"b\\\\"));
    assert!(line[12].len() == 32 && line[12].bytes().all(|byte| byte.is_ascii_hexdigit()), "{line:?}");
    // A control character is refused and cannot be smuggled into a line.
    log.send(b"GET /c HTTP/1.1\r\nHost: a\r\nUser-Agent: a\x1b[2J\r\n\r\n").answer(false);
    let line = fields(&log.wait_for_lines(4)[3]);
    assert_eq!((line[4].as_str(), line[5].as_str(), line[8].as_str()), ("GET /c -", "400", "-"));
}

#[test]
fn pipelined_requests_have_a_line_each_in_their_order() {
    let backend = server(&Gate::default());
    let log = Logged::new(before(&[&backend], "--access-log json"));
    let mut client = log.connect();
    let all: Vec<u8> = (0..9).flat_map(|k| request_bytes("GET", &format!("/{k}"), &[], b"")).collect();
    client.send(&all);
    (0..9).for_each(|_| assert_eq!(client.answer(false).status, 200));
    let targets: Vec<String> = log
        .wait_for_lines(9)
        .iter()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["target"].as_str().unwrap().to_owned())
        .collect();
    assert!(targets.iter().enumerate().all(|(k, target)| *target == format!("/{k}")), "{targets:?}");
}

#[test]
fn one_id_is_in_everything_that_is_said_of_a_request() {
    let script: Script = Arc::new(|seen, stream| match seen.target.as_str() {
        "/break" => _ = stream.shutdown(Shutdown::Both),
        _ => answer(stream, "200 OK", &[], b""),
    });
    let (one, two) = (Backend::start(script.clone()), Backend::start(script));
    let log = Logged::new(before(&[&one, &two], "--access-log json --log-level debug"));
    let failed = log.send(&request_bytes("GET", "/break", &[], b"")).answer(false);
    let id = failed.header("x-request-id").unwrap().to_owned();
    assert_eq!((failed.status, &failed.json()["request_id"]), (502, &id.as_str().into()));
    let line = log.line(1);
    assert_eq!(
        (&line["request_id"], &line["attempts"], &line["status"]),
        (&id.as_str().into(), &2.into(), &502.into())
    );
    for backend in [&one, &two] {
        assert_eq!(backend.seen()[0].header("x-request-id"), [id.as_str()]);
    }
    let events = log.program.admin("GET", "/_ringmaster/events", "").json();
    let events = events["message"]["events"].as_array().unwrap();
    let told: Vec<&Value> = events.iter().filter(|event| event["kind"] == "request failed").collect();
    assert_eq!((told.len(), &told[0]["request_id"]), (1, &id.as_str().into()));
    let mut said = Vec::new();
    wait_for("what is said of the attempts", || {
        said = log.program.log().into_iter().filter(|text| text.contains(&id)).collect::<Vec<_>>();
        said.iter().filter(|text| text.contains("failed")).count() >= 2
    });
    for (attempt, backends) in [("attempt 1 at", [&one, &two]), ("attempt 2 at", [&one, &two])] {
        let text = said.iter().find(|text| text.contains(attempt)).unwrap_or_else(|| panic!("{said:#?}"));
        assert!(backends.iter().any(|it| text.contains(&name_of(it))), "{text}");
        assert!(text.contains("owner of request-id"), "{text}");
    }
    // A client's own.
    let id = [("X-Request-Id", "mine:1")];
    log.send(&request_bytes("GET", "/fine", &id, b"")).answer(false);
    let lines = log.wait_for_lines(3);
    assert!(lines[2].contains(r#""request_id":"mine:1""#), "{lines:?}");
    let seen = [one.seen(), two.seen()].concat();
    assert!(seen.iter().any(|seen| seen.header("x-request-id") == ["mine:1"]));
}

#[test]
fn nobody_waits_for_a_reader_that_does_not_read() {
    let backend = server(&Gate::default());
    let (program, mut reader) = before(&[&backend], "--access-log json");
    let long = format!("/{}", "x".repeat(6000));
    let dropped = || {
        let status = program.admin("GET", "/_ringmaster/status", "").json();
        status["message"]["totals"]["access_log_dropped"].as_u64().unwrap()
    };
    assert_eq!(dropped(), 0);
    let mut client = Client::connect(program.address);
    let mut sent = 0;
    // Four mebibytes, what one write takes, and the pipe.
    wait_for("lines to be dropped", || {
        for _ in 0..100 {
            assert_eq!(client.request("GET", &long, &[], b"").status, 200);
            sent += 1;
        }
        dropped() > 0
    });
    assert!(sent * long.len() > 4 * 1024 * 1024, "{sent}");
    let page = program.admin("GET", "/_ringmaster/metrics", "").text();
    let told = page.lines().find_map(|line| line.strip_prefix("ringmaster_access_log_dropped_total "));
    assert!(told.unwrap().parse::<u64>().unwrap() > 0);
    // When somebody reads again, whole lines come.
    let mut read = Vec::new();
    let mut part = [0; 64 * 1024];
    while read.len() < 1024 * 1024 {
        let n = reader.read(&mut part).unwrap();
        read.extend_from_slice(&part[..n]);
    }
    let whole = read.split(|byte| *byte == b'\n').rev().skip(1);
    assert!(
        whole.map(|line| serde_json::from_slice::<Value>(line).unwrap()).all(|line| line["status"] == 200)
    );
}

#[test]
fn nobody_notices_that_standard_output_is_closed() {
    let backend = server(&Gate::default());
    let (program, reader) = before(&[&backend], "--access-log json");
    drop(reader);
    let mut client = Client::connect(program.address);
    wait_for("lines to be lost", || {
        assert_eq!(client.request("GET", "/a", &[], b"").status, 200);
        let status = program.admin("GET", "/_ringmaster/status", "").json();
        status["message"]["totals"]["access_log_dropped"].as_u64() > Some(0)
    });
    let complaints = |program: &Program| {
        program.log().iter().filter(|line| line.contains("the access log cannot be written")).count()
    };
    wait_for("a complaint", || complaints(&program) == 1);
    (0..50).for_each(|_| assert_eq!(client.request("GET", "/a", &[], b"").status, 200));
    assert_eq!(complaints(&program), 1, "once");
}

#[test]
fn the_end_writes_what_there_is() {
    let backend = server(&Gate::default());
    let (mut program, mut reader) = before(&[&backend], "--access-log combined");
    let mut client = Client::connect(program.address);
    (0..200).for_each(|_| assert_eq!(client.request("GET", "/a", &[], b"").status, 200));
    signal(program.pid(), "TERM");
    assert_eq!(program.end(), Some(0));
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    assert_eq!(text.lines().count(), 200);
    assert!(text.ends_with('\n'));
}

#[test]
fn without_a_log_nothing_is_said_there() {
    let backend = server(&Gate::default());
    let (mut program, mut reader) = before(&[&backend], "");
    assert_eq!(Client::connect(program.address).request("GET", "/a", &[], b"").status, 200);
    let status = program.admin("GET", "/_ringmaster/status", "").json();
    assert!(status["message"]["totals"]["access_log_dropped"].is_null());
    signal(program.pid(), "TERM");
    assert_eq!(program.end(), Some(0));
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    assert_eq!(text, "");
}
