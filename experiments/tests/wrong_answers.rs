//! The whole program against a server that answers as it is told: what is wrong must be seen, and said.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use std::thread;

/// What the server answers to `GET /home` number k.
type Script = dyn Fn(usize) -> String + Send + Sync;

const LISTING: &str = r#"{"message":{"N":3,"replicas":["a1","b2","c3"]},"status":"successful"}"#;

fn hello(name: &str) -> String {
    format!(r#"{{"message":"Hello from Server: {name}","status":"successful"}}"#)
}

/// Answers on a port of the system's choice for as long as the test runs.
fn serve(script: impl Fn(usize) -> String + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let script: Arc<Script> = Arc::new(script);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let script = Arc::clone(&script);
            thread::spawn(move || answer(&stream, &*script));
        }
    });
    address
}

fn answer(stream: &TcpStream, script: &Script) {
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    let mut count = 0;
    while let Some(first) = lines.next() {
        lines.by_ref().take_while(|line| !line.is_empty()).for_each(drop);
        let (status, body) = match first.split(' ').nth(1) {
            Some("/rep") => (200, LISTING.to_owned()),
            Some("/home") => {
                count += 1;
                (200, script(count))
            }
            _ => (404, String::new()),
        };
        let length = body.len();
        let whole = format!("HTTP/1.1 {status} Some\r\nContent-Length: {length}\r\n\r\n{body}");
        let mut to = stream;
        if to.write_all(whole.as_bytes()).is_err() {
            return;
        }
    }
}

/// A folder for one test, that is not there yet.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
    let _ = fs::remove_dir_all(&folder);
    folder
}

fn a1(address: SocketAddr, out: &Path) -> Output {
    run(&["a1"], address, out)
}

fn run(experiments: &[&str], address: SocketAddr, out: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_experiments"))
        .args(experiments)
        .args(["--requests", "40", "--connections", "1", "--url", &format!("http://{address}"), "--out"])
        .arg(out)
        .output()
        .unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn right_answers_are_success_and_are_reported_without_a_prediction() {
    let out = folder("right");
    let output = a1(serve(|_| hello("b2")), &out);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert_eq!(said(&output), "");
    let report = fs::read_to_string(out.join("REPORT.md")).unwrap();
    assert!(report.contains("| b2 | 40 | – | 100.00 |"), "{report}");
    assert!(report.contains("no prediction is possible"), "{report}");
    let mut files: Vec<_> = fs::read_dir(&out).unwrap().map(|file| file.unwrap().file_name()).collect();
    files.sort();
    assert_eq!(files, ["REPORT.md", "a1.json", "a1.svg"]);
    fs::remove_dir_all(out).unwrap();
}

#[test]
fn a_body_that_is_not_the_contracts_is_seen() {
    let out = folder("body");
    let wrong = |k: usize| if k == 3 { hello("a1").replace("Hello", "Hallo") } else { hello("a1") };
    let output = a1(serve(wrong), &out);
    let said = said(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("wrong answers: 1") && said.contains("Hallo from Server: a1"), "{said}");
    assert!(fs::read_to_string(out.join("REPORT.md")).unwrap().contains("Wrong answers: 1"));
    fs::remove_dir_all(out).unwrap();
}

#[test]
fn an_answer_from_somebody_who_is_not_listed_is_seen() {
    let out = folder("stranger");
    let output = a1(serve(|k| hello(if k == 5 { "d4" } else { "c3" })), &out);
    let said = said(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("wrong answers: 1") && said.contains("'d4'"), "{said}");
    fs::remove_dir_all(out).unwrap();
}

/// The server adds and removes nobody, so that `a2` cannot go on after `a1`.
#[test]
fn an_error_later_does_not_hide_wrong_answers() {
    let out = folder("later");
    let output = run(&["a1", "a2"], serve(|_| hello("d4")), &out);
    let said = said(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("before that there were wrong answers: 40"), "{said}");
    fs::remove_dir_all(out).unwrap();
}

#[test]
fn requests_that_get_no_answer_are_wrong() {
    let out = folder("silent");
    let output = a1(serve(|k| if k < 10 { hello("a1") } else { panic!("ends the connection") }), &out);
    let said = said(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("wrong answers: "), "{said}");
    fs::remove_dir_all(out).unwrap();
}

#[test]
fn a_result_of_another_version_is_named_and_stops_nothing() {
    let out = folder("old");
    fs::create_dir_all(&out).unwrap();
    fs::write(out.join("a2.json"), r#"{"experiment":"a2"}"#).unwrap();
    let output = a1(serve(|_| hello("a1")), &out);
    let said = said(&output);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("a2.json cannot be read"), "{said}");
    let report = fs::read_to_string(out.join("REPORT.md")).unwrap();
    assert!(report.contains("run a2 again") && report.contains("| a1 | 40 |"), "{report}");
    fs::remove_dir_all(out).unwrap();
}

#[test]
fn nobody_at_the_url_is_one_line() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let out = folder("nobody");
    let output = a1(address, &out);
    let said = said(&output);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.starts_with("experiments: nobody answers at http://127.0.0.1:"), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(!out.exists());
}
