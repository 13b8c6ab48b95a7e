//! What is told of those who were refused, how often one may change something, and that the token is never told.

use std::fs;
use std::time::{Duration, Instant};

use http::Method;
use ringmaster::admin::{Call, Endpoint, Visitor};
use serde_json::Value;

use super::table::headers;
use super::{BEARER, CHANGES, Caller, MADE, NOT_MADE, TOKEN, WRONG, admin_side, balancer, replicas};
use crate::support::program::{command, run, signal};
use crate::support::{Client, Program, TestServer, wait_for};

/// How often each reason is counted, as the metrics have it.
fn counted(metrics: &str, reason: &str) -> u64 {
    let begin = format!("ringmaster_refusals_total{{reason=\"{reason}\"}} ");
    let line = metrics.lines().find_map(|line| line.strip_prefix(&begin));
    line.unwrap_or_else(|| panic!("no {reason} in {metrics}")).parse().unwrap()
}

/// The texts of the events that are refusals.
fn refusals(events: &Value) -> Vec<String> {
    let events = events["message"]["events"].as_array().unwrap();
    let of = events.iter().filter(|event| event["kind"] == "refused");
    of.map(|event| event["text"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn refusals_are_counted_by_reason_and_told_with_the_peer() {
    let (server, _launcher) = balancer("");
    let token = format!("--admin-token {TOKEN} --change-rate 1");
    let (guarded, _guarded_launcher) = balancer(&token);
    let here = ("Host", "localhost");
    type Fields = Vec<(&'static str, &'static str)>;
    let cases: [(&TestServer, &str, &str, Fields, u16); 5] = [
        (&server, "peer", "'203.0.113.9', no private", vec![here, ("X-Forwarded-For", "203.0.113.9")], 403),
        (&server, "host", "host 'evil.example'", vec![("Host", "evil.example")], 403),
        (&server, "origin", "origin 'null'", vec![here, ("Origin", "null")], 403),
        (&guarded, "token", "a token is wanted", vec![here], 401),
        (&guarded, "too_many_changes", "more than 1 changes", vec![here, BEARER], 429),
    ];
    for (server, reason, why, fields, status) in cases {
        let mut caller = Caller::of(server.address);
        let mut sent = 0;
        // A few a second are noted; so it is tried until one is.
        wait_for("the refusal to be told", || {
            let answer = caller.ask("POST", "/add", &fields, NOT_MADE);
            sent += u64::from(answer.status == status);
            let events = caller.ask("GET", "/_ringmaster/events", &[here, BEARER], "").json();
            let told = |text: &String| text.starts_with("POST /add from 127.0.0.1: ") && text.contains(why);
            refusals(&events).iter().any(told)
        });
        let metrics = caller.ask("GET", "/_ringmaster/metrics", &[here, BEARER], "").text();
        assert_eq!(counted(&metrics, reason), sent, "{reason}");
        assert!(sent > 0);
    }
}

/// From wherever it comes and whenever it is refused, before the body is read or after.
#[test]
fn every_refusal_is_told_in_one_form_and_an_address_in_one() {
    let (server, _launcher) = balancer("");
    let mut caller = Caller::of(server.address);
    let here = [("Host", "localhost")];
    for (method, path) in CHANGES {
        let told = format!("{method} {path} from 127.0.0.1: ");
        wait_for("the refusal to be told", || {
            assert_eq!(caller.ask(method, path, &here, NOT_MADE).status, 400);
            let events = caller.ask("GET", "/_ringmaster/events", &here, "").json();
            refusals(&events).iter().any(|text| text.starts_with(&told) && text.contains("at least 1, not 0"))
        });
    }
    // A socket for both kinds of addresses tells those of the old kind in the words of the new.
    let admin = admin_side("");
    let headers = headers(here.into_iter());
    let call = |peer: &str, endpoint, method| {
        let visitor = Visitor::new(peer.parse().unwrap(), &headers);
        Call { endpoint, method, query: None, visitor, request_id: "-" }
    };
    let far = call("::ffff:203.0.113.9", Endpoint::Add, &Method::POST);
    let told = admin.refusal(far).unwrap().body;
    assert!(told.contains("203.0.113.9 is not") && !told.contains("ffff"), "{told}");
    let near = call("::ffff:127.0.0.1", Endpoint::Add, &Method::POST);
    assert_eq!(admin.change(near, NOT_MADE.as_bytes()).status.as_u16(), 400);
    let events = admin.look(call("127.0.0.1", Endpoint::Events, &Method::GET)).body;
    let texts = refusals(&serde_json::from_str(&events).unwrap());
    assert_eq!(texts.len(), 2, "{texts:?}");
    assert!(texts[0].starts_with("POST /add from 203.0.113.9: "), "{texts:?}");
    assert!(texts[1].starts_with("POST /add from 127.0.0.1: "), "{texts:?}");
}

#[test]
fn a_flood_of_wrong_tokens_is_refused_and_counted_and_does_not_flood_the_log() {
    const TRIES: u64 = 500;
    let begin = Instant::now();
    let program = Program::start(&format!("--replicas 1 --admin-token {TOKEN}"));
    let mut caller = Caller::of(program.address);
    let wrong = format!("Bearer {WRONG}");
    let fields = [("Host", "localhost"), ("Authorization", wrong.as_str())];
    for k in 0..TRIES {
        let (method, path) =
            [("GET", "/_ringmaster/status"), ("POST", "/add"), ("DELETE", "/rm")][k as usize % 3];
        let body = if method == "GET" { "" } else { MADE };
        let answer = caller.ask(method, path, &fields, body);
        assert_eq!(answer.status, 401);
        assert_eq!(answer.header("www-authenticate"), Some("Bearer realm=\"ringmaster\""));
    }
    let own = [("Host", "localhost"), BEARER];
    let metrics = caller.ask("GET", "/_ringmaster/metrics", &own, "").text();
    assert_eq!(counted(&metrics, "token"), TRIES);
    assert_eq!(program.listed(), ["server_1"]);
    let events = refusals(&caller.ask("GET", "/_ringmaster/events", &own, "").json());
    let most = 10 * (begin.elapsed().as_secs() + 2);
    wait_for("the log", || program.log().iter().any(|line| line.contains("refused: ")));
    let lines = program.log().into_iter().filter(|line| line.contains("refused: "));
    let lines: Vec<String> = lines.collect();
    assert!(lines.iter().all(|line| line.contains("from 127.0.0.1: ")), "{lines:?}");
    assert!(!events.is_empty() && events.len() as u64 <= most, "{} events", events.len());
    assert!(lines.len() as u64 <= most, "{} lines in the log, {most} are many", lines.len());
}

#[test]
fn the_token_is_never_told() {
    let folder = std::env::temp_dir().join(format!("ringmaster-who-may-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let (stdout, file) = (folder.join("stdout"), folder.join("token"));
    fs::write(&file, format!("{TOKEN}\n")).unwrap();
    for given in [["--admin-token", TOKEN], ["--admin-token-file", file.to_str().unwrap()]] {
        let mut flags = vec!["--listen", "127.0.0.1:0", "--replicas", "1", "--log-level", "debug"];
        flags.extend(["--access-log", "json"].into_iter().chain(given));
        let mut command = command(&flags);
        command.stdout(fs::File::create(&stdout).unwrap());
        let mut program = Program::start_command(command);
        program.wait_until_all_serve();
        let mut caller = Caller::of(program.address);
        let longer = format!("Bearer {TOKEN}{TOKEN}");
        let mut told = String::new();
        for (name, value) in [
            BEARER,
            ("Authorization", &longer),
            ("Authorization", &format!("Basic {TOKEN}")),
            ("Authorization", TOKEN),
        ] {
            for path in
                ["/home", "/rep", "/nothing", "/add", "/rm", "/_ringmaster/status", "/_ringmaster/events"]
                    .into_iter()
                    .chain([
                        "/_ringmaster/history",
                        "/_ringmaster/metrics",
                        "/_ringmaster/",
                        "/_ringmaster/x",
                    ])
            {
                for (method, body) in [("GET", ""), ("POST", MADE), ("POST", "{"), ("DELETE", NOT_MADE)] {
                    let answer = caller.ask(method, path, &[("Host", "localhost"), (name, value)], body);
                    told += &format!("{} {:?} {}\n", answer.status, answer.headers, answer.text());
                }
            }
        }
        let mut broken = Client::connect(program.address);
        broken.send(
            format!("GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {TOKEN}\u{1}\r\n\r\n").as_bytes(),
        );
        told += &broken.answer(false).text();
        signal(program.pid(), "TERM");
        assert_eq!(program.end(), Some(0));
        wait_for("the end of the log", || program.log().iter().any(|line| line.contains("stopped")));
        let (log, access) = (program.log().join("\n"), fs::read_to_string(&stdout).unwrap());
        assert!(log.contains("DEBUG") && access.contains("/_ringmaster/status") && told.contains("401 "));
        assert!(told.contains("replica=") && told.contains("\"settings\""), "the pages were read");
        for (what, text) in [("the answers", &told), ("the log", &log), ("the access log", &access)] {
            assert!(!text.contains(TOKEN), "{what} tell the token, given by {}", given[0]);
        }
    }
    fs::remove_dir_all(&folder).unwrap();
    let settings = format!("{:?}", crate::support::settings(&format!("--admin-token {TOKEN}")));
    assert!(settings.contains("Token(") && !settings.contains(TOKEN), "{settings}");
    let mut helped = command(&["--help"]);
    let helped = helped.env("RINGMASTER_ADMIN_TOKEN", TOKEN).output().unwrap();
    let help = String::from_utf8(helped.stdout).unwrap();
    assert!(help.contains("--admin-token") && !help.contains(TOKEN), "{help}");
    assert!(run(&["--help"]).status.success());
}

#[test]
fn changes_come_at_their_rate_after_a_burst_and_those_refused_do_not_use_it_up() {
    let launcher = replicas();
    let server = TestServer::start("--change-rate 1", launcher.clone());
    let before = launcher.calls();
    let mut caller = Caller::of(server.address);
    for _ in 0..50 {
        let fields = [("Host", "localhost"), ("Origin", "http://evil.example")];
        assert_eq!(caller.ask("POST", "/add", &fields, MADE).status, 403);
    }
    let begin = Instant::now();
    let mut passed = 0;
    let fields = [("Host", "localhost")];
    let told = loop {
        let answer = caller.ask("POST", "/add", &fields, NOT_MADE);
        match answer.status {
            400 => passed += 1,
            _ => break answer,
        }
        assert!(begin.elapsed() < Duration::from_secs(30), "{passed} changes and no end");
    };
    assert_eq!((told.status, told.header("retry-after")), (429, Some("1")));
    assert!(told.error().contains("1 changes in a second"), "{}", told.text());
    assert!(passed >= 10 && passed <= 10 + begin.elapsed().as_secs(), "{passed} at once");
    assert_eq!(caller.ask("GET", "/_ringmaster/status", &fields, "").status, 200, "looking is no change");
    assert_eq!(launcher.calls(), before);
    wait_for("changes to be taken again", || caller.ask("POST", "/add", &fields, NOT_MADE).status == 400);
}

/// What it starts runs code of others: replicas, and the engine's command.
#[test]
fn no_process_that_the_balancer_starts_is_given_the_token() {
    let mut command = command(&["--listen", "127.0.0.1:0", "--replicas", "2"]);
    command.env("RINGMASTER_ADMIN_TOKEN", TOKEN).env("SOMETHING_ELSE", "stays");
    let program = Program::start_command(command);
    program.wait_until_all_serve();
    let environment = |pid: u32| fs::read_to_string(format!("/proc/{pid}/environ")).unwrap();
    assert!(environment(program.pid()).contains(TOKEN));
    let children = program.children();
    assert_eq!(children.len(), 2);
    for child in children {
        let environment = environment(child.pid);
        assert!(!environment.contains(TOKEN) && environment.contains("SOMETHING_ELSE"), "{environment:?}");
    }
}

#[test]
fn who_opens_the_page_and_is_asked_for_the_token_was_not_turned_away() {
    let (server, _launcher) = super::with_token("");
    let mut caller = Caller::of(server.address);
    let refused = |caller: &mut Caller| {
        let status = caller.ask("GET", "/_ringmaster/status", &[("Host", "localhost"), BEARER], "").json();
        status["message"]["totals"]["refused"]["token"].as_u64().unwrap()
    };
    let open = [("Host", "localhost")];
    let page = caller.ask("GET", "/_ringmaster/", &open, "");
    assert_eq!((page.status, page.header("www-authenticate")), (401, Some("Bearer realm=\"ringmaster\"")));
    assert!(page.text().contains("data-token-wanted=\"yes\""));
    assert_eq!(refused(&mut caller), 0);
    let wrong = format!("Bearer {WRONG}");
    assert_eq!(caller.ask("GET", "/_ringmaster/", &[open[0], ("Authorization", &wrong)], "").status, 401);
    assert_eq!(refused(&mut caller), 1);
    let page = caller.ask("GET", "/_ringmaster/", &[open[0], BEARER], "");
    assert_eq!(page.status, 200);
}
