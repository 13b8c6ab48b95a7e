//! RFC 9112, section 3.2: the target in its four forms, and the `Host` that belongs to it. Nothing of either may lead
//! anywhere but to a path of a replica.

use super::case::{
    Case, answered_here, case, dropped, get, line, only_fields, refused, section, served, served_odd,
    unparsed,
};

pub fn table() -> Vec<Case> {
    [hosts(), paths(), elsewhere(), harmless(), absolute(), no_absolute(), authority(), asterisk()]
        .into_iter()
        .flatten()
        .collect()
}

fn hosts() -> Vec<Case> {
    let old = |fields: &str| format!("GET /odd HTTP/1.0\r\n{fields}\r\n");
    section(
        "9112 3.2",
        [
            case("no Host", "GET /odd HTTP/1.1\r\n\r\n", refused(400)),
            case("no Host but another field", only_fields("Accept: */*"), refused(400)),
            case("no Host but nearly one", only_fields("Hosts: a"), refused(400)),
            case("the same Host twice", only_fields("Host: a\r\nHost: a"), refused(400)),
            case("the same Host in other letters", only_fields("Host: a\r\nhOST: a"), refused(400)),
            case("two Hosts", only_fields("Host: a\r\nHost: b"), refused(400)),
            case("two Hosts far apart", only_fields("Host: a\r\nX: y\r\nHost: b"), refused(400)),
            case("two Hosts, one folded", only_fields("Host: a\r\n Host: b"), refused(400)),
            case("two Hosts, one empty", only_fields("Host: a\r\nHost:"), refused(400)),
            case("no Host on HTTP/1.0", old(""), served_odd().then_ends()),
            case("two Hosts on HTTP/1.0", old("Host: a\r\nHost: b\r\n"), refused(400)),
            case("a Host that is none on HTTP/1.0", old("Host: a/b\r\n"), refused(400)),
        ],
    )
}

fn paths() -> Vec<Case> {
    section(
        "9112 3.2.1",
        [
            case("a zero byte in the target", get("/a\0b"), refused(400)),
            case("a control character in the target", get("/a\x01b"), refused(400)),
            case("an escape character in the target", get("/a\x1b[2Jb"), refused(400)),
            case("a delete character in the target", get("/a\x7fb"), refused(400)),
            case("a tab in the target", get("/a\tb"), refused(400)),
            case("a line feed in the target", get("/a\nb"), refused(400)),
            case("a space in the target", get("/a b"), unparsed(400)),
            case("a target outside ASCII", get("/é"), dropped()),
            case("a byte above ASCII in the target", get(b"/\xff"), dropped()),
            case("a fragment", get("/odd#b"), refused(400)),
            case("a fragment in the query", get("/odd?a#b"), refused(400)),
            case("nothing but a fragment", get("#"), refused(400)),
            case("an opening angle bracket", get("/a<b"), refused(400)),
            case("a closing angle bracket", get("/a>b"), refused(400)),
            case("angle brackets in the query", get("/?<script>"), refused(400)),
            case("a quote in the query", get("/?a=\"b\""), refused(400)),
            case("a backtick in the path", get("/`id`"), refused(400)),
            case("nothing but a query", get("?x"), refused(400)),
            case("a path without a slash", get("odd"), refused(400)),
            case("a path that climbs, without a slash", get("../odd"), refused(400)),
            case("a slash that is escaped", get("%2fodd"), refused(400)),
            case("a backslash for the slash", get("\\odd"), refused(400)),
        ],
    )
}

/// Targets that name another host when they are joined to the address of a replica.
fn elsewhere() -> Vec<Case> {
    section(
        "9112 3.2.1",
        [
            case("two backslashes and a host", get("\\\\127.0.0.1\\odd"), refused(400)),
            case("an at sign and a host", get("@127.0.0.1:1/odd"), refused(400)),
            case("a user, an at sign and a host", get("user:pass@127.0.0.1/odd"), refused(400)),
            case("more digits for a port", get("81/"), refused(400)),
            case("a port", get(":81/"), refused(400)),
            case("more labels for a name", get(".example.com/"), refused(400)),
            case("a host and a path", get("127.0.0.1/odd"), refused(400)),
            case("an address in brackets", get("[::1]/odd"), refused(400)),
        ],
    )
}

/// Paths that look worse than they are; a replica gets them as they came.
fn harmless() -> Vec<Case> {
    let served_as_sent = |target: &str| served("GET", target, "");
    let all = "/-._~!$&'()*+,;=:@%20az09/";
    let long = format!("/{}", "x".repeat(8000));
    section(
        "9112 3.2.1",
        [
            case("two slashes and a host", get("//127.0.0.1:1/x"), served_as_sent("//127.0.0.1:1/x")),
            case("a slash, an at sign and a host", get("/@127.0.0.1:1/"), served_as_sent("/@127.0.0.1:1/")),
            case("a slash and a URL", get("/http://127.0.0.1:1/"), served_as_sent("/http://127.0.0.1:1/")),
            case("a path that climbs", get("/../../etc/passwd"), served_as_sent("/../../etc/passwd")),
            case("a path that climbs, escaped", get("/%2e%2e%2f%00"), served_as_sent("/%2e%2e%2f%00")),
            case("an escape that is none", get("/%zz?%"), served_as_sent("/%zz?%")),
            case("a path of ours, escaped", get("/%72ep"), served_as_sent("/%72ep")),
            case("a path of ours, with two slashes", get("//rep"), served_as_sent("//rep")),
            case("a line end, escaped", get("/a%0d%0aHost:%20b"), served_as_sent("/a%0d%0aHost:%20b")),
            case("question marks in the query", get("/odd?a?b=/c&;d"), served_as_sent("/odd?a?b=/c&;d")),
            case("every character of a path", get(all), served_as_sent(all)),
            case("a target of 8000 bytes", get(&long), served_as_sent(&long)),
        ],
    )
}

fn absolute() -> Vec<Case> {
    let other = |target: &str| served("GET", target, "").for_host("other");
    section(
        "9112 3.2.2",
        [
            case("a URL", get("http://other/odd?q=http://x/"), other("/odd?q=http://x/")),
            case("a URL without a path", get("http://other"), other("/")),
            case("a URL with a query and no path", get("http://other?q"), other("/?q")),
            case("a URL with a port", get("http://other:81/odd"), served_odd().for_host("other:81")),
            case(
                "a URL of a loopback address",
                get("http://127.0.0.1:1/odd"),
                served_odd().for_host("127.0.0.1:1"),
            ),
            case("a URL of an IPv6 address", get("http://[::1]:1/odd"), served_odd().for_host("[::1]:1")),
            case("a URL in capital letters", get("HTTP://other/odd"), other("/odd")),
            case("a URL of a secure server", get("https://other/odd"), other("/odd")),
            case("a URL whose path has two slashes", get("http://other//x/odd"), other("//x/odd")),
            case(
                "a URL on HTTP/1.0 without a Host",
                "GET http://other/odd HTTP/1.0\r\n\r\n",
                other("/odd").then_ends(),
            ),
            case("a URL without a Host", "GET http://other/odd HTTP/1.1\r\n\r\n", refused(400)),
            case("a URL of ours", get("http://other/rep"), answered_here(200)),
        ],
    )
}

fn no_absolute() -> Vec<Case> {
    section(
        "9112 3.2.2",
        [
            case("a URL with another scheme", get("ftp://other/odd"), refused(400)),
            case("a URL of a file", get("file:///etc/passwd"), refused(400)),
            case("a URL of gopher", get("gopher://127.0.0.1:1/_odd"), refused(400)),
            case("a URL of a script", get("javascript:alert(1)"), refused(400)),
            case("a URL of a web socket", get("ws://other/odd"), refused(400)),
            case("a URL without a scheme", get("://other/odd"), refused(400)),
            case("a URL with one slash", get("http:/other/odd"), refused(400)),
            case("a URL without slashes", get("http:odd"), refused(400)),
            case("a URL without a host", get("http:///odd"), refused(400)),
            case("nothing but a scheme", get("http://"), refused(400)),
            case("a URL with a port and no host", get("http://:81/odd"), refused(400)),
            case("a URL with letters for a port", get("http://other:x/odd"), refused(400)),
            case("a URL with a bracket that stays open", get("http://[::1/odd"), refused(400)),
            case("a URL with a backslash", get("http://other\\@127.0.0.1/odd"), refused(400)),
            case("a URL with a fragment", get("http://other/odd#b"), refused(400)),
            case("a URL with a control character", get("http://oth\x01er/odd"), refused(400)),
            case("a URL with a space", get("http://oth er/odd"), unparsed(400)),
        ],
    )
}

fn authority() -> Vec<Case> {
    section(
        "9112 3.2.3",
        [
            case("a host and a port with GET", get("other:443"), refused(400)),
            case("a host with GET", get("other.example"), refused(400)),
            case("CONNECT to a host and a port", line("CONNECT other:443 HTTP/1.1"), refused(405)),
            case("CONNECT to a loopback address", line("CONNECT 127.0.0.1:1 HTTP/1.1"), refused(405)),
            case("CONNECT to a path", line("CONNECT /odd HTTP/1.1"), refused(405)),
            case("CONNECT to a path of ours", line("CONNECT /rep HTTP/1.1"), refused(405)),
            case("CONNECT to an asterisk", line("CONNECT * HTTP/1.1"), refused(405)),
            case("CONNECT on HTTP/1.0", "CONNECT other:443 HTTP/1.0\r\n\r\n", refused(405)),
            case("connect in small letters", line("connect other:443 HTTP/1.1"), refused(400)),
        ],
    )
}

fn asterisk() -> Vec<Case> {
    let options = "OPTIONS * HTTP/1.1\r\n";
    section(
        "9112 3.2.4",
        [
            case("an asterisk with OPTIONS", line("OPTIONS * HTTP/1.1"), answered_here(200)),
            case(
                "an asterisk with OPTIONS, to end",
                format!("{options}Host: a\r\nConnection: close\r\n\r\n"),
                answered_here(200).then_ends(),
            ),
            case(
                "an asterisk with OPTIONS on HTTP/1.0",
                "OPTIONS * HTTP/1.0\r\n\r\n",
                answered_here(200).then_ends(),
            ),
            case("an asterisk with OPTIONS without a Host", format!("{options}\r\n"), refused(400)),
            case(
                "an asterisk with OPTIONS and two Hosts",
                format!("{options}Host: a\r\nHost: a\r\n\r\n"),
                refused(400),
            ),
            case(
                "an asterisk with OPTIONS and a body in doubt",
                format!(
                    "{options}Host: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
                ),
                refused(400),
            ),
            case("an asterisk with options in small letters", line("options * HTTP/1.1"), refused(400)),
            case("an asterisk with GET", get("*"), refused(400)),
            case("an asterisk with POST", line("POST * HTTP/1.1"), refused(400)),
            case("an asterisk and a path", line("OPTIONS */odd HTTP/1.1"), refused(400)),
            case("two asterisks", line("OPTIONS ** HTTP/1.1"), refused(400)),
            case("an asterisk and a query", line("OPTIONS *?x HTTP/1.1"), refused(400)),
            case("a path with OPTIONS", line("OPTIONS /odd HTTP/1.1"), served("OPTIONS", "/odd", "")),
        ],
    )
}
