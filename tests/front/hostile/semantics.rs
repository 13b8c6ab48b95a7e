//! RFC 9110: what the parts of a message may hold and mean, whatever its framing.

use super::case::{
    Case, case, dropped, get, line, only_fields, post, refused, section, served, served_odd, unparsed, with,
};

pub fn table() -> Vec<Case> {
    [userinfo(), names(), limits(), values(), hosts(), connection_options(), upgrades()]
        .into_iter()
        .chain([methods(), expectations(), statuses()])
        .flatten()
        .collect()
}

fn userinfo() -> Vec<Case> {
    section(
        "9110 4.2.4",
        [
            case("a URL with a user", get("http://user@other/odd"), refused(400)),
            case("a URL with a user and a password", get("http://user:pass@other/odd"), refused(400)),
            case("a URL with a user of no length", get("http://@other/odd"), refused(400)),
            case("a URL with a host for a user", get("http://other:80@127.0.0.1:1/odd"), refused(400)),
            case("a URL with a user and no host", get("http://user@/odd"), refused(400)),
        ],
    )
}

fn names() -> Vec<Case> {
    let mut table = section(
        "9110 5.1",
        [
            case("a field without a name", with(": a"), refused(400)),
            case("a space in a name", with("X Y: a"), unparsed(400)),
            case("a tab in a name", with("X\tY: a"), unparsed(400)),
            case("a vertical tab in a name", with("X\x0bY: a"), unparsed(400)),
            case("a carriage return in a name", with("X\rY: a"), unparsed(400)),
            case("a line feed in a name", with("X\nY: a"), unparsed(400)),
            case("a zero byte in a name", with("X\0Y: a"), refused(400)),
            case("a control character in a name", with("X\x01Y: a"), refused(400)),
            case("a delete character in a name", with("X\x7fY: a"), refused(400)),
            case("a name outside ASCII", with("Ünicode: a"), dropped()),
            case("all of a token for a name", with("!#$%&'*+-.^_`|~9z: a"), served_odd()),
        ],
    );
    // Delimiters, but for the colon, which ends the name.
    table.extend("\"(),/;<=>?@[\\]{}".chars().flat_map(|delimiter| {
        section(
            "9110 5.1",
            [case(format!("'{delimiter}' in a name"), with(format!("X{delimiter}Y: a")), refused(400))],
        )
    }));
    table
}

fn limits() -> Vec<Case> {
    let fields = |count: usize| with(vec!["X: y"; count].join("\r\n"));
    section(
        "9110 5.4",
        [
            case("a hundred fields", fields(99), served_odd()),
            case("a hundred fields and one", fields(100), refused(431)),
            case("a thousand fields", fields(1000), refused(431)),
            case("a field of 20 KB", with(format!("X: {}", "y".repeat(20_000))), served_odd()),
            case("a field of 40 KB", with(format!("X: {}", "y".repeat(40_000))), refused(431)),
            case("a name of 40 KB", with(format!("{}: y", "X".repeat(40_000))), refused(431)),
            case(
                "fields of 40 KB together",
                with(format!("X: {}\r\nY: {0}", "y".repeat(20_000))),
                refused(431),
            ),
            case("a Host of 40 KB", only_fields(format!("Host: {}", "a".repeat(40_000))), refused(431)),
        ],
    )
}

fn values() -> Vec<Case> {
    section(
        "9110 5.5",
        [
            case("a zero byte in a value", with("X: a\0b"), refused(400)),
            case("a carriage return in a value", with("X: a\rb"), refused(400)),
            case("a line feed in a value", with("X: a\nb"), refused(400)),
            case("a field behind a line feed", with("X: a\nY: b"), refused(400)),
            case("a Host behind a line feed", only_fields("X: a\nHost: b"), refused(400)),
            case(
                "a coding behind a line feed",
                post("X: a\nTransfer-Encoding: chunked", "0\r\n\r\n"),
                refused(400),
            ),
            case("a length behind a line feed", post("X: a\nContent-Length: 5", "hello"), refused(400)),
            case("a length behind a carriage return", post("X: a\rContent-Length: 5", "hello"), refused(400)),
            case("an end of the head of line feeds", with("X: a\n\nGET /hidden HTTP/1.1"), refused(400)),
            case("a backspace in a value", with("X: a\x08b"), refused(400)),
            case("a vertical tab in a value", with("X: a\x0bb"), refused(400)),
            case("a form feed in a value", with("X: a\x0cb"), refused(400)),
            case("an escape character in a value", with("X: a\x1b[2Jb"), refused(400)),
            case("a delete character in a value", with("X: a\x7fb"), refused(400)),
            case("a value outside ASCII", with("X: ä"), dropped()),
            case("a byte above ASCII in a value", with(b"X: \xff"), dropped()),
            case("a tab in a value", with("X: a\tb"), served_odd()),
            case("every delimiter in a value", with("X: \"(),/:;<=>?@[\\]{}"), served_odd()),
        ],
    )
}

fn hosts() -> Vec<Case> {
    let host = |host: &str| only_fields(format!("Host: {host}"));
    let good = |name: &str, text: &'static str| case(name, host(text), served_odd().for_host(text));
    let bad = |name: &str, text: &str| case(name, host(text), refused(400));
    section(
        "9110 7.2",
        [
            good("a Host with a port", "a.example:80"),
            good("a Host that is an address", "127.0.0.1:5000"),
            good("a Host that is an IPv6 address", "[::1]:5000"),
            bad("an empty Host", ""),
            bad("a Host of spaces", "   "),
            bad("a Host with a path", "a/b"),
            bad("a Host with a query", "a?b"),
            bad("a Host with a fragment", "a#b"),
            bad("a Host with a user", "user@a"),
            bad("a Host with a user and a password", "user:pass@a"),
            bad("a Host with a user of no length", "@a"),
            bad("a Host that is a URL", "http://a"),
            bad("a Host with a space", "a b"),
            bad("a Host with a tab", "a\tb"),
            bad("a Host with a backslash", "a\\b"),
            bad("a Host with a quote", "a\"b"),
            bad("a Host with angle brackets", "<a>"),
            bad("a Host with braces", "{a}"),
            bad("a Host with a circumflex", "a^b"),
            bad("a Host with a bar", "a|b"),
            bad("a Host with a backtick", "a`b"),
            bad("a Host with a zero byte", "a\0b"),
            bad("a Host with a control character", "a\x01b"),
            bad("a Host that is a port", ":80"),
            bad("a Host with letters for a port", "a:b"),
            bad("a Host with a sign before the port", "a:+80"),
            bad("a Host with a minus before the port", "a:-80"),
            bad("a Host with a space before the port", "a: 80"),
            bad("a Host with two ports", "a:80:80"),
            bad("a Host with a port that there is not", "a:65536"),
            bad("a Host with a port of very many digits", "a:99999999999999999999"),
            bad("a Host with a bracket that stays open", "[::1"),
            bad("a Host with a bracket that was never opened", "::1]"),
            bad("a Host with text behind the brackets", "[::1]a"),
            bad("a Host with nothing in the brackets", "[]"),
            bad("a Host with a name in the brackets", "[a.example]"),
            bad("a Host that is an IPv6 address without brackets", "::1"),
            case("a Host outside ASCII", host("bücher.example"), dropped()),
        ],
    )
}

fn connection_options() -> Vec<Case> {
    section(
        "9110 7.6.1",
        [
            case("a Connection that names Host", with("Connection: Host"), served_odd().for_host("a")),
            case(
                "a Connection that names the length",
                post("Connection: Content-Length\r\nContent-Length: 5", "hello"),
                served("POST", "/odd", "hello"),
            ),
            case(
                "a Connection that names the coding",
                post(
                    "Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked",
                    "5\r\nhello\r\n0\r\n\r\n",
                ),
                served("POST", "/odd", "hello"),
            ),
            case("a Connection that names what is no name", with("Connection: (x), \"y\", /"), served_odd()),
            case("a wish for trailers", with("Connection: TE\r\nTE: trailers"), served_odd()),
            case("a field of proxies of old", with("Proxy-Connection: keep-alive"), served_odd()),
        ],
    )
}

/// Offers that a server may pass over: the request is served as if there were none.
fn upgrades() -> Vec<Case> {
    let h2c = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAA";
    let socket = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                  Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";
    let chunks = "5\r\nhello\r\n0\r\n\r\n";
    let hello = || served("POST", "/odd", "hello");
    section(
        "9110 7.8",
        [
            case("an offer of HTTP/2", with(h2c), served_odd().then_ends()),
            case("an offer of a web socket", with(socket), served_odd().then_ends()),
            case("an offer that Connection does not name", with("Upgrade: h2c"), served_odd()),
            case(
                "an offer in a second Connection",
                with("Connection: x\r\nConnection: upgrade\r\nUpgrade: h2c"),
                served_odd(),
            ),
            case("an upgrade to nothing", with("Connection: upgrade"), served_odd().then_ends()),
            case(
                "an upgrade to an empty protocol",
                with("Connection: upgrade\r\nUpgrade:"),
                served_odd().then_ends(),
            ),
            case(
                "an offer with a body",
                post(format!("{h2c}\r\nContent-Length: 5"), "hello"),
                hello().then_ends(),
            ),
            case(
                "an offer with chunks",
                post(format!("{h2c}\r\nTransfer-Encoding: chunked"), chunks),
                hello().then_ends(),
            ),
            case(
                "an offer with broken chunks",
                post(format!("{h2c}\r\nTransfer-Encoding: chunked"), "zz\r\nhello\r\n0\r\n\r\n"),
                refused(400),
            ),
            case(
                "an offer with a body in doubt",
                post(format!("{h2c}\r\nTransfer-Encoding: chunked\r\nContent-Length: 5"), chunks),
                refused(400),
            ),
            case(
                "an offer with two lengths",
                post(format!("{socket}\r\nContent-Length: 0\r\nContent-Length: 5"), "hello"),
                refused(400),
            ),
            case("an offer without a Host", only_fields(socket), refused(400)),
        ],
    )
}

fn methods() -> Vec<Case> {
    section(
        "9110 9.3",
        [
            case("HEAD", line("HEAD /odd HTTP/1.1"), served("HEAD", "/odd", "")),
            case(
                "HEAD with a body",
                "HEAD /odd HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
                served("HEAD", "/odd", "hello"),
            ),
            case(
                "DELETE with a body",
                "DELETE /odd HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
                served("DELETE", "/odd", "hello"),
            ),
            case("TRACE", line("TRACE /odd HTTP/1.1"), served("TRACE", "/odd", "")),
        ],
    )
}

fn expectations() -> Vec<Case> {
    let waits = |fields: &str| post(format!("Expect: 100-continue\r\n{fields}"), "");
    let hello = || served("POST", "/odd", "hello").continued();
    let large = "x".repeat(100_000);
    section(
        "9110 10.1.1",
        [
            case("a body that waits", waits("Content-Length: 5"), hello()).and_then("hello"),
            case("chunks that wait", waits("Transfer-Encoding: chunked"), hello())
                .and_then("5\r\nhello\r\n0\r\n\r\n"),
            case(
                "a large body that waits",
                waits("Content-Length: 100000"),
                served("POST", "/odd", &large).continued(),
            )
            .and_then(&large),
            case(
                "a body that waits, in capitals",
                post("Expect: 100-CONTINUE\r\nContent-Length: 5", ""),
                hello(),
            )
            .and_then("hello"),
            case("no body that waits", with("Expect: 100-continue"), served_odd()),
            case("too large a body that waits", waits("Content-Length: 1000000000000"), refused(413)),
            case("a body in doubt that waits", waits("Content-Length: 5\r\nContent-Length: 6"), refused(400)),
            case("chunks in doubt that wait", waits("Transfer-Encoding: x"), refused(501)),
            case(
                "a body that waits, without a Host",
                "POST /odd HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n",
                refused(400),
            ),
            case(
                "a body that waits and is broken",
                waits("Transfer-Encoding: chunked"),
                refused(400).continued(),
            )
            .and_then("zz\r\n"),
            case("another expectation", with("Expect: a miracle"), unparsed(417)),
            case("an empty expectation", with("Expect:"), unparsed(417)),
            case("two expectations", with("Expect: 100-continue, x"), unparsed(417)),
            case("an expectation with a parameter", with("Expect: 100-continue;a=b"), unparsed(417)),
        ],
    )
}

fn statuses() -> Vec<Case> {
    let long = |length: usize| format!("/{}", "x".repeat(length));
    section(
        "9110 15.5.15",
        [
            case("a target of 9 KB", get(long(9000)), refused(414)),
            case("a query of 9 KB", get(format!("/odd?{}", long(9000))), refused(414)),
            case("a target of 40 KB", get(long(40_000)), refused(414)),
            case("a target of 100 KB", get(long(100_000)), refused(414)),
            case("a URL of 9 KB", get(format!("http://other{}", long(9000))), refused(414)),
        ],
    )
}
