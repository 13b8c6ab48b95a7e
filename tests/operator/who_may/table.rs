//! All combinations of who asks, how, what, and from where. What is expected is worked out naively from what SECURITY.md
//! says: each part of a request is labelled by hand as what it is, and a few sentences put that together.

use std::net::IpAddr;
use std::thread;

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use ringmaster::admin::{Admin, Call, Endpoint, Visitor};

use super::{Caller, MADE, NOT_MADE, TOKEN, admin_side, balancer, with_token};

type Fields = &'static [(&'static str, &'static str)];

/// The fields that carry a token, and whether they carry the right one as it has to be.
const PROOFS: [(Fields, bool); 8] = [
    (&[], false),
    (&[("Authorization", "Bearer f3b1c07d29e84a56-wrong")], false),
    (&[("Authorization", "Bearer f3b1c07d29e84a56-right")], true),
    (
        &[
            ("Authorization", "Bearer f3b1c07d29e84a56-right"),
            ("Authorization", "Bearer f3b1c07d29e84a56-right"),
        ],
        false,
    ),
    (&[("Authorization", "Basic f3b1c07d29e84a56-right")], false),
    (&[("Authorization", "Digest f3b1c07d29e84a56-right")], false),
    (&[("Authorization", "bearer f3b1c07d29e84a56-right")], true),
    (&[("Authorization", "Bearer f3b1c07d29e84a56-rightf3b1c07d29e84a56-right")], false),
];

/// `Host`, and whether nobody else can have that name.
const HOSTS: [(&str, bool); 9] = [
    ("127.0.0.1:5000", true),
    ("[::1]:5000", true),
    ("localhost:5000", true),
    ("balancer:5000", false),
    ("lb.example.com", true),
    ("lb.example.com.evil.example", false),
    ("evil.example:5000", false),
    ("127.0.0.1.evil.example", false),
    ("notlb.example.com", false),
];

/// What proxies say, and whether everybody for whom they may be asking is near.
const CLAIMS: [(Fields, bool); 11] = [
    (&[], true),
    (&[("X-Forwarded-For", "10.0.0.7, ::1")], true),
    (&[("X-Forwarded-For", "203.0.113.1")], false),
    (&[("X-Forwarded-For", "203.0.113.1, 10.0.0.7")], false),
    (&[("X-Forwarded-For", "unknown")], false),
    (&[("X-Forwarded-For", "10.0.0.7"), ("X-Forwarded-For", "203.0.113.1")], false),
    (&[("X-Forwarded-For", "203.0.113.1"), ("X-Forwarded-For", "10.0.0.7")], false),
    (&[("Forwarded", "for=10.0.0.7;proto=http")], true),
    (&[("Forwarded", "for=10.0.0.7, for=\"[2001:db8::1]:99\"")], false),
    (&[("Via", "1.1 proxy")], false),
    (&[("Via", "1.1 proxy"), ("X-Forwarded-For", "10.0.0.7")], false),
];

/// Where a connection can come from, and whether that is on this machine or a private network.
const PEERS: [(&str, bool); 18] = [
    ("127.0.0.1", true),
    ("127.8.9.10", true),
    ("::1", true),
    ("10.1.2.3", true),
    ("172.16.0.1", true),
    ("172.31.255.254", true),
    ("192.168.7.7", true),
    ("fd12:3456::1", true),
    ("fe80::1", true),
    ("::ffff:192.168.7.7", true),
    ("::ffff:127.0.0.1", true),
    ("172.32.0.1", false),
    ("172.15.255.255", false),
    ("203.0.113.1", false),
    ("100.64.0.1", false),
    ("2001:db8::1", false),
    ("::ffff:203.0.113.1", false),
    ("64:ff9b::a00:1", false),
];

/// The page that asks, if one does: the same as the host, or another.
#[derive(Clone, Copy, Debug)]
enum Page {
    None,
    Same,
    Foreign,
    Null,
    /// The same machine, but another port: what somebody else serves there.
    OtherPort,
    /// None, but a browser: somebody has typed the address.
    Person,
    /// Another, whose link is followed or whose form is sent, by a browser that does not say its origin.
    Followed,
    /// Another one of the same machine or a sister name, likewise.
    SisterFollowed,
    /// Another, which asks by itself, likewise.
    Asking,
    /// Another one of the same machine or a sister name, likewise.
    SisterAsking,
}

const PAGES: [Page; 10] = [
    Page::None,
    Page::Same,
    Page::Foreign,
    Page::Null,
    Page::OtherPort,
    Page::Person,
    Page::Followed,
    Page::SisterFollowed,
    Page::Asking,
    Page::SisterAsking,
];

impl Page {
    fn origin(self, host: &str) -> Option<String> {
        let name = host.strip_suffix(":5000").unwrap_or(host);
        match self {
            Page::Same => Some(format!("http://{host}")),
            Page::Foreign => Some("http://evil.example".to_owned()),
            Page::Null => Some("null".to_owned()),
            Page::OtherPort => Some(format!("http://{name}:8080")),
            _ => None,
        }
    }

    /// What browsers say beside the origin; old ones do not.
    fn site(self) -> Fields {
        match self {
            Page::Same => &[("Sec-Fetch-Site", "same-origin"), ("Sec-Fetch-Mode", "cors")],
            Page::Person => &[("Sec-Fetch-Site", "none"), ("Sec-Fetch-Mode", "navigate")],
            Page::Followed => &[("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Mode", "navigate")],
            Page::SisterFollowed => &[("Sec-Fetch-Site", "same-site"), ("Sec-Fetch-Mode", "navigate")],
            Page::Asking => &[("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Mode", "no-cors")],
            Page::SisterAsking => &[("Sec-Fetch-Site", "same-site"), ("Sec-Fetch-Mode", "no-cors")],
            _ => &[],
        }
    }
}

/// What matters of a request, by name.
#[derive(Clone, Copy, Debug)]
struct Ask<'a> {
    method: &'a str,
    path: &'a str,
    token_is_set: bool,
    token_is_right: bool,
    is_near: bool,
    host_is_ours: bool,
    page: Page,
}

/// The status with which it is refused, as the documents say it; `None` if it is not.
fn refused(ask: &Ask) -> Option<u16> {
    let methods: &[&str] = match ask.path {
        "/add" => &["POST"],
        "/rm" => &["POST", "DELETE"],
        // Where there is nothing, no method is the wrong one.
        "/_ringmaster/nothing" | "/_ringmaster/status/" => &["GET", "HEAD", "POST", "DELETE"],
        path if path == "/rep" || path == "/_ringmaster" || path.starts_with("/_ringmaster/") => {
            &["GET", "HEAD"]
        }
        _ => return None, // a replica's: open to whoever reaches the port
    };
    if !methods.contains(&ask.method) {
        return Some(405);
    }
    if ["/rep", "/_ringmaster", "/_ringmaster/health", "/_ringmaster/ready"].contains(&ask.path) {
        return None;
    }
    if ask.token_is_set && !ask.token_is_right {
        return Some(401);
    }
    if !ask.token_is_set && (!ask.is_near || !ask.host_is_ours) {
        return Some(403);
    }
    let is_change = ask.path == "/add" || ask.path == "/rm";
    let is_for_a_page_of_ours = matches!(ask.page, Page::None | Page::Same | Page::Person);
    let is_followed_to_look = matches!(ask.page, Page::Followed | Page::SisterFollowed) && !is_change;
    if (is_change && !ask.host_is_ours) || !(is_for_a_page_of_ours || is_followed_to_look) {
        return Some(403);
    }
    None
}

/// The status of what is not refused, where replicas answer 200 to everything and changes ask for nothing.
fn served(ask: &Ask) -> u16 {
    match ask.path {
        "/add" | "/rm" => 400,
        "/_ringmaster" => 308,
        "/_ringmaster/nothing" | "/_ringmaster/status/" => 404,
        _ => 200,
    }
}

/// Over sockets, so from loopback.
#[test]
fn every_combination_is_answered_as_the_documents_say() {
    let asked = [false, true].map(|token_is_set| thread::spawn(move || ask_everything(token_is_set)));
    let counts = asked.map(|thread| thread.join().unwrap());
    println!(
        "{} requests over sockets, {} of them refused",
        counts[0].0 + counts[1].0,
        counts[0].1 + counts[1].1
    );
}

fn ask_everything(token_is_set: bool) -> (usize, usize) {
    let (server, launcher) = if token_is_set { with_token("") } else { balancer("") };
    let before = (launcher.calls(), server.listed());
    let mut caller = Caller::of(server.address);
    let (mut count, mut refusals) = (0, 0);
    let ours = Endpoint::ALL.map(Endpoint::path);
    let paths =
        [&ours[..], &["/_ringmaster/nothing", "/_ringmaster/status/", "/home", "/_ringmasters", "/add/"]];
    let proofs = if token_is_set { &PROOFS[..] } else { &PROOFS[..3] };
    for &(proof, token_is_right) in proofs {
        // The other ways of saying it are in the table of peers.
        for (host, host_is_ours) in [HOSTS[1], HOSTS[2], HOSTS[4], HOSTS[5], HOSTS[6]] {
            for page in PAGES {
                for (claim, is_near) in [CLAIMS[0], CLAIMS[3]] {
                    let origin = page.origin(host);
                    let mut fields = vec![("Host", host)];
                    fields.extend(origin.iter().map(|origin| ("Origin", origin.as_str())));
                    fields.extend(page.site().iter().chain(proof).chain(claim));
                    for path in paths.concat() {
                        for method in ["GET", "HEAD", "POST", "DELETE"] {
                            let ask = Ask {
                                method,
                                path,
                                token_is_set,
                                token_is_right,
                                is_near,
                                host_is_ours,
                                page,
                            };
                            let expected = refused(&ask);
                            // What is to be refused would change something if it were not.
                            let body = match (path, method, expected) {
                                ("/add" | "/rm", "POST" | "DELETE", Some(401 | 403)) => MADE,
                                ("/add" | "/rm", "POST" | "DELETE", None) => NOT_MADE,
                                _ => "",
                            };
                            let answer = caller.ask(method, path, &fields, body);
                            let status = expected.unwrap_or_else(|| served(&ask));
                            assert_eq!(answer.status, status, "{ask:?} {fields:?}: {}", answer.text());
                            if expected.is_some() {
                                assert!(launcher.calls() == before.0, "{ask:?} {fields:?} changed something");
                                refusals += 1;
                            }
                            count += 1;
                        }
                    }
                }
            }
        }
    }
    assert_eq!((launcher.calls(), server.listed()), before);
    (count, refusals)
}

/// From everywhere, by asking the admin side itself, as the front does before anything else.
#[test]
fn every_peer_is_answered_as_the_documents_say() {
    let token = format!("--admin-token {TOKEN}");
    let asked = [(false, ""), (true, token.as_str())].map(|(token_is_set, flags)| {
        let admin = admin_side(&format!("--change-rate 1000 {flags}"));
        thread::spawn(move || ask_from_everywhere(&admin, token_is_set))
    });
    let counts = asked.map(|thread| thread.join().unwrap());
    println!("{} calls from {} peers", counts[0] + counts[1], PEERS.len());
}

fn ask_from_everywhere(admin: &Admin, token_is_set: bool) -> usize {
    let proofs = if token_is_set { &PROOFS[..] } else { &PROOFS[2..3] };
    // Of those that only tell something, some: all of them are asked over sockets.
    let some =
        |endpoint: &Endpoint| !matches!(endpoint, Endpoint::Health | Endpoint::History | Endpoint::OpenApi);
    let endpoints = Endpoint::ALL.into_iter().filter(some).chain([Endpoint::Nothing]);
    let endpoints: Vec<_> = endpoints.map(|endpoint| (endpoint, path_of(endpoint))).collect();
    let peers = PEERS.map(|(peer, near)| (peer.parse::<IpAddr>().unwrap(), near));
    let methods = [Method::GET, Method::POST, Method::DELETE];
    let mut count = 0;
    for &(proof, token_is_right) in proofs {
        for (host, host_is_ours) in HOSTS {
            for page in PAGES {
                for (claim, claim_is_near) in CLAIMS {
                    let origin = page.origin(host);
                    let own = [("Host", host)].into_iter();
                    let own = own.chain(origin.iter().map(|origin| ("Origin", origin.as_str())));
                    let rest = page.site().iter().chain(proof).chain(claim).copied();
                    let headers = headers(own.chain(rest));
                    for (peer, peer_is_near) in peers {
                        let is_near = peer_is_near && claim_is_near;
                        for (endpoint, path) in &endpoints {
                            for method in &methods {
                                let visitor = Visitor::new(peer, &headers);
                                let call = Call {
                                    endpoint: *endpoint,
                                    method,
                                    query: None,
                                    visitor,
                                    request_id: "-",
                                };
                                let ask = Ask {
                                    method: method.as_str(),
                                    path,
                                    token_is_set,
                                    token_is_right,
                                    is_near,
                                    host_is_ours,
                                    page,
                                };
                                let mut said = admin.refusal(call).map(|reply| reply.status.as_u16());
                                // Nobody is as quick as this table; so it waits where others are told to.
                                while said == Some(429) && refused(&ask).is_none() {
                                    thread::yield_now();
                                    said = admin.refusal(call).map(|reply| reply.status.as_u16());
                                }
                                assert_eq!(said, refused(&ask), "{peer} {ask:?} {headers:?}");
                                count += 1;
                            }
                        }
                    }
                }
            }
        }
    }
    count
}

fn path_of(endpoint: Endpoint) -> &'static str {
    if endpoint == Endpoint::Nothing { "/_ringmaster/nothing" } else { endpoint.path() }
}

pub fn headers<'a>(fields: impl Iterator<Item = (&'a str, &'a str)>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        headers.append(name, HeaderValue::from_str(value).unwrap());
    }
    headers
}
