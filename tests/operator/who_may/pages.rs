//! Visitors of one kind: a browser's pages, names that were made to point here, neighbours, proxies, replicas.

use http::Method;
use ringmaster::admin::{Call, Endpoint, Need, Visitor};

use super::table::headers;
use super::{BEARER, CHANGES, Caller, MADE, NOT_MADE, TOKEN, admin_side, balancer, with_token};

/// What everybody may.
const OPEN: [&str; 4] = ["/rep", "/_ringmaster", "/_ringmaster/health", "/_ringmaster/ready"];

#[test]
fn nothing_is_changed_by_a_method_that_only_looks() {
    for (server, launcher) in [balancer(""), with_token("")] {
        let before = (launcher.calls(), server.listed());
        let mut caller = Caller::of(server.address);
        for method in ["GET", "HEAD", "OPTIONS", "TRACE"] {
            for path in ["/add", "/rm", "/rep", "/_ringmaster/status", "/_ringmaster/"] {
                for other in ["POST", "DELETE"] {
                    let target = format!("{path}?_method={other}&n=1&method={other}");
                    let fields = [
                        ("Host", "localhost"),
                        BEARER,
                        ("X-HTTP-Method-Override", other),
                        ("X-HTTP-Method", other),
                        ("X-Method-Override", other),
                    ];
                    for target in [path, &target] {
                        for body in ["", MADE] {
                            let answer = caller.ask(method, target, &fields, body);
                            let looks = ["GET", "HEAD"].contains(&method);
                            let is_page = !["/add", "/rm"].contains(&path);
                            let status = if looks && is_page { 200 } else { 405 };
                            assert_eq!(answer.status, status, "{method} {target}");
                        }
                    }
                }
            }
        }
        assert_eq!((launcher.calls(), server.listed()), before);
    }
}

/// A browser says in `Origin` from which page a POST comes, or `null` where it will not say; it has done so with every POST
/// for years. Without `Origin` come GET and HEAD (a link, an image), of which nothing here changes anything.
#[test]
fn a_page_of_somebody_else_changes_nothing_and_is_given_nothing_to_read() {
    for (server, launcher) in [balancer(""), with_token("")] {
        let before = (launcher.calls(), server.listed());
        let host = server.address.to_string();
        let mut caller = Caller::of(server.address);
        for origin in ["http://evil.example", "null", "https://localhost", "http://127.0.0.1:1", ""] {
            for kind in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"]
            {
                for (method, path) in CHANGES {
                    let fields =
                        [("Host", host.as_str()), BEARER, ("Origin", origin), ("Content-Type", kind)];
                    let answer = caller.ask(method, path, &fields, MADE);
                    assert_eq!(answer.status, 403, "{method} {path} from '{origin}'");
                    assert!(answer.error().contains("origin"), "{}", answer.text());
                    assert!(gives_no_leave(&answer.headers), "{answer:?}");
                }
            }
        }
        for path in ["/add", "/rm", "/rep", "/_ringmaster/status", "/_ringmaster/metrics", "/_ringmaster/"] {
            let fields = [("Host", host.as_str()), ("Origin", "http://evil.example"), BEARER];
            assert!(gives_no_leave(&caller.ask("GET", path, &fields, "").headers), "{path}");
            let asks_first = [("Access-Control-Request-Method", "DELETE"), fields[0], fields[1]];
            let answer = caller.ask("OPTIONS", path, &asks_first, "");
            assert!(answer.status == 405 && gives_no_leave(&answer.headers), "{path}: {answer:?}");
        }
        for path in ["/add", "/rm"] {
            let fields = [("Host", host.as_str()), ("Sec-Fetch-Site", "cross-site"), BEARER];
            assert_eq!(caller.ask("GET", path, &fields, "").status, 405, "a link or an image");
        }
        // Should something between have taken `Origin` away: a form that is sent, and a script.
        for site in ["cross-site", "same-site", "something-new"] {
            for mode in ["navigate", "no-cors", "cors"] {
                let says = [("Sec-Fetch-Site", site), ("Sec-Fetch-Mode", mode)];
                for (method, path) in CHANGES {
                    let fields = [("Host", host.as_str()), BEARER, says[0], says[1]];
                    let answer = caller.ask(method, path, &fields, MADE);
                    assert_eq!(answer.status, 403, "{method} {path} by {says:?}");
                }
                let fields = [("Host", host.as_str()), BEARER, says[0], says[1]];
                let status = if mode == "navigate" { 200 } else { 403 };
                let answer = caller.ask("GET", "/_ringmaster/", &fields, "");
                assert_eq!(answer.status, status, "the page by {says:?}");
            }
        }
        assert_eq!((launcher.calls(), server.listed()), before);
        let own = format!("http://{host}");
        let fields = [("Host", host.as_str()), ("Origin", own.as_str()), BEARER];
        assert_eq!(caller.ask("POST", "/add", &fields, MADE).listed().len(), 4, "a page of ours");
    }
}

/// Whether no page of another origin may read it.
fn gives_no_leave(headers: &[(String, String)]) -> bool {
    headers.iter().all(|(name, _)| !name.starts_with("access-control-"))
}

#[test]
fn a_name_that_was_made_to_point_here_changes_nothing_and_reads_nothing() {
    let (server, launcher) = balancer("");
    let before = (launcher.calls(), server.listed());
    let mut caller = Caller::of(server.address);
    for host in ["evil.example", "127.0.0.1.nip.io", "localhost.evil.example", "lb.example.com.evil.example"]
    {
        let own = format!("http://{host}:{}", server.address.port());
        let host = &own["http://".len()..];
        // To the browser, that page and this balancer are one origin.
        let fields = [("Host", host), ("Origin", own.as_str()), ("Sec-Fetch-Site", "same-origin")];
        for (method, path) in CHANGES {
            let answer = caller.ask(method, path, &fields, MADE);
            assert!(answer.status == 403 && answer.error().contains("--admin-hosts"), "{answer:?}");
        }
        for endpoint in Endpoint::ALL {
            let path = endpoint.path();
            let answer = caller.ask("GET", path, &fields, "");
            let status = match path {
                "/_ringmaster" => 308,
                path if OPEN.contains(&path) => 200,
                "/add" | "/rm" => 405,
                _ => 403,
            };
            assert_eq!(answer.status, status, "{path}");
            assert!(status != 403 || !answer.text().contains("server_1"), "{}", answer.text());
        }
        // The target may name the host, too, and then counts.
        let target = format!("{own}/_ringmaster/status");
        assert_eq!(caller.ask("GET", &target, &[("Host", "localhost")], "").status, 403, "{target}");
    }
    assert_eq!((launcher.calls(), server.listed()), before);
}

#[test]
fn with_a_token_such_a_name_changes_nothing_either() {
    let (server, launcher) = with_token("");
    let before = launcher.calls();
    let mut caller = Caller::of(server.address);
    let fields = [("Host", "evil.example"), ("Origin", "http://evil.example"), BEARER];
    for (method, path) in CHANGES {
        assert_eq!(caller.ask(method, path, &fields, MADE).status, 403);
        assert_eq!(caller.ask(method, path, &[fields[0], BEARER], MADE).status, 403, "nor without a page");
    }
    assert_eq!(launcher.calls(), before);
}

#[test]
fn who_comes_through_a_proxy_is_whom_it_asks_for() {
    let (server, launcher) = balancer("");
    let before = launcher.calls();
    let mut caller = Caller::of(server.address);
    for claim in [
        ("X-Forwarded-For", "203.0.113.9"),
        ("X-Forwarded-For", "127.0.0.1, 203.0.113.9"),
        ("X-Forwarded-For", "203.0.113.9, 127.0.0.1"),
        ("X-Forwarded-For", "127.0.0.1 203.0.113.9"),
        ("X-Real-IP", "203.0.113.9"),
        ("Forwarded", "for=127.0.0.1;x=\", for=203.0.113.9"),
        ("forwarded", "FOR=203.0.113.9"),
        // It is there, and who knows for whom.
        ("Via", "1.1 proxy"),
    ] {
        let fields = [("Host", "localhost"), claim];
        for (method, path) in CHANGES {
            assert_eq!(caller.ask(method, path, &fields, MADE).status, 403, "{claim:?}");
        }
        assert_eq!(caller.ask("GET", "/_ringmaster/status", &fields, "").status, 403, "{claim:?}");
        assert_eq!(caller.ask("GET", "/rep", &fields, "").status, 200, "{claim:?}");
    }
    assert_eq!(launcher.calls(), before);
    // And it takes nothing from whoever has the token.
    let (server, _launcher) = with_token("");
    let fields = [("Host", "localhost"), ("X-Forwarded-For", "203.0.113.9"), ("Via", "1.1 proxy"), BEARER];
    assert_eq!(Caller::of(server.address).ask("POST", "/add", &fields, NOT_MADE).status, 400);
}

/// A proxy between may add that it is there and leave out for whom, and its client may add whom it likes.
#[test]
fn nothing_that_is_said_of_a_client_gives_it_anything() {
    let (server, launcher) = balancer("");
    let before = launcher.calls();
    let mut caller = Caller::of(server.address);
    for named in
        [("X-Forwarded-For", "127.0.0.1"), ("X-Real-IP", "127.0.0.1"), ("Forwarded", "for=127.0.0.1")]
    {
        let fields = [("Host", "localhost"), ("Via", "1.1 proxy"), named];
        let answer = caller.ask("POST", "/add", &fields, MADE);
        assert!(answer.status == 403 && answer.error().contains("'Via: 1.1 proxy'"), "{named:?}: {answer:?}");
    }
    assert_eq!(launcher.calls(), before);
}

/// What somebody at `peer` who calls us `host` is answered, endpoint by endpoint; 200 stands for all that is not refused.
fn answers(flags: &str, peer: &str, host: &str) -> Vec<(&'static str, u16)> {
    let admin = admin_side(flags);
    let headers = headers([("Host", host)].into_iter());
    let answer = |endpoint: Endpoint| {
        let method = if endpoint.need() == Need::Changing { Method::POST } else { Method::GET };
        let visitor = Visitor::new(peer.parse().unwrap(), &headers);
        let refusal =
            admin.refusal(Call { endpoint, method: &method, query: None, visitor, request_id: "-" });
        (endpoint.path(), refusal.map_or(200, |reply| reply.status.as_u16()))
    };
    Endpoint::ALL.map(answer).to_vec()
}

#[test]
fn a_neighbour_and_a_replica_may_all_without_a_token_and_with_one_what_everybody_may() {
    let token = format!("--admin-token {TOKEN}");
    for (peer, host) in [("172.18.0.5", "172.18.0.2:5000"), ("192.168.1.20", "192.168.1.2:5000")] {
        for (path, status) in answers("", peer, host) {
            assert_eq!(status, 200, "{peer} {path}");
        }
        for (path, status) in answers(&token, peer, host) {
            assert_eq!(status, if OPEN.contains(&path) { 200 } else { 401 }, "{peer} {path}");
        }
    }
}

#[test]
fn who_is_far_away_may_what_everybody_may() {
    for peer in ["203.0.113.9", "2001:db8::9", "::ffff:203.0.113.9"] {
        for (path, status) in answers("", peer, "192.0.2.1:5000") {
            assert_eq!(status, if OPEN.contains(&path) { 200 } else { 403 }, "{peer} {path}");
        }
    }
}

#[test]
fn with_the_token_a_browser_still_changes_things_from_a_page_of_ours_only() {
    let (server, launcher) = with_token("");
    let before = launcher.calls();
    let mut caller = Caller::of(server.address);
    for (origin, status) in [
        (None, 400),
        (Some("http://lb.example.com"), 400),
        (Some("https://lb.example.com"), 400),
        (Some("http://lb.example.com:81"), 403),
        (Some("http://evil.example"), 403),
        (Some("null"), 403),
    ] {
        let mut fields = vec![("Host", "lb.example.com"), BEARER];
        fields.extend(origin.map(|origin| ("Origin", origin)));
        let body = if status == 403 { MADE } else { NOT_MADE };
        assert_eq!(caller.ask("POST", "/add", &fields, body).status, status, "{origin:?}");
    }
    assert_eq!(launcher.calls(), before);
}
