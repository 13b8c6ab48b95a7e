//! RFC 9112, section 9: which requests a connection carries, and when it ends.

use super::case::{
    BREAKS_OFF, Case, case, chunked, get, only_fields, post, refused, section, served, served_odd, unparsed,
    with,
};

pub fn table() -> Vec<Case> {
    [persistence(), pipelines(), ends()].into_iter().flatten().collect()
}

fn old(fields: &str) -> String {
    format!("GET /odd HTTP/1.0\r\nHost: a\r\n{fields}\r\n")
}

fn persistence() -> Vec<Case> {
    section(
        "9112 9.3",
        [
            case("HTTP/1.1", with("X: y"), served_odd()),
            case("HTTP/1.1 that wants to stay", with("Connection: keep-alive"), served_odd()),
            case("HTTP/1.1 with an empty Connection", with("Connection:"), served_odd()),
            case("HTTP/1.1 with commas for a Connection", with("Connection: ,,"), served_odd()),
            case("HTTP/1.0", old(""), served_odd().then_ends()),
            case("HTTP/1.0 that wants to stay", old("Connection: keep-alive\r\n"), served_odd()),
            case("HTTP/1.0 that wants to stay, in capitals", old("Connection: KEEP-ALIVE\r\n"), served_odd()),
            case("HTTP/1.0 with another option", old("Connection: x\r\n"), served_odd().then_ends()),
            case(
                "HTTP/1.0 with a body",
                "POST /odd HTTP/1.0\r\nContent-Length: 5\r\n\r\nhello",
                served("POST", "/odd", "hello").then_ends(),
            ),
        ],
    )
}

fn pipelines() -> Vec<Case> {
    let (one, two) = (get("/one"), get("/two"));
    let both = || served("GET", "/one", "").then(served("GET", "/two", ""));
    let after = |last: Vec<u8>| [&one[..], &last, &two].concat();
    section(
        "9112 9.3.2",
        [
            case("two requests at once", [&one[..], &two].concat(), both()),
            case(
                "two requests and a half",
                [&one[..], &two, b"GET /thr"].concat(),
                both().then(served("GET", "/three", "")),
            )
            .and_then("ee HTTP/1.1\r\nHost: a\r\n\r\n"),
            case(
                "a body and a request at once",
                [&post("Content-Length: 5", "hello")[..], &two].concat(),
                served("POST", "/odd", "hello").then(served("GET", "/two", "")),
            ),
            case(
                "chunks and a request at once",
                [&chunked("5\r\nhello\r\n0\r\n\r\n")[..], &two].concat(),
                served("POST", "/odd", "hello").then(served("GET", "/two", "")),
            ),
            case(
                "no body, announced, and a request at once",
                [&post("Content-Length: 0", "")[..], &two].concat(),
                served("POST", "/odd", "").then(served("GET", "/two", "")),
            ),
            case(
                "two requests, the last of which ends",
                [&one[..], &with("Connection: close")].concat(),
                served("GET", "/one", "").then(served_odd().then_ends()),
            ),
            case(
                "two requests, the first of which ends",
                [&with("Connection: close")[..], &two].concat(),
                served_odd().then_ends(),
            ),
            case(
                "HTTP/1.0 and a request at once",
                [old("").as_bytes(), &two].concat(),
                served_odd().then_ends(),
            ),
            case(
                "a refused one between two",
                after(get("odd")),
                served("GET", "/one", "").then(refused(400)),
            ),
            case(
                "one without a Host between two",
                after(only_fields("X: y")),
                served("GET", "/one", "").then(refused(400)),
            ),
            case(
                "one that is none between two",
                after(b"odd\r\n\r\n".to_vec()),
                served("GET", "/one", "").then(unparsed(400)),
            ),
            case(
                "one with two lengths between two",
                after(post("Content-Length: 0\r\nContent-Length: 5", "")),
                served("GET", "/one", "").then(refused(400)),
            ),
            case(
                "broken chunks between two",
                after(chunked("zz\r\n\r\n")),
                served("GET", "/one", "").then(refused(400)),
            ),
            case(
                "an empty line between two",
                [&one[..], b"\r\n", &two].concat(),
                served("GET", "/one", "").then(unparsed(400)),
            ),
        ],
    )
}

fn ends() -> Vec<Case> {
    let ended = || served_odd().then_ends();
    let large = "x".repeat(100_000);
    let large_chunks = format!("186a0\r\n{large}\r\n0\r\n\r\n");
    section(
        "9112 9.6",
        [
            case("the wish to end", with("Connection: close"), ended()),
            case("the wish to end in capitals", with("Connection: CLOSE"), ended()),
            case("the wish to end in a list", with("Connection: x, close"), ended()),
            case("the wish to end first in a list", with("Connection: close, x"), ended()),
            case("the wish to end in a second field", with("Connection: x\r\nConnection: close"), ended()),
            case("the wish to stay and to end", with("Connection: keep-alive, close"), ended()),
            case(
                "the wish to stay, then to end",
                with("Connection: keep-alive\r\nConnection: close"),
                ended(),
            ),
            case("the wish to end on HTTP/1.0", old("Connection: close\r\n"), ended()),
            case(
                "the wish to stay and to end on HTTP/1.0",
                old("Connection: keep-alive, close\r\n"),
                ended(),
            ),
            case(
                "the wish to end with a body",
                post("Connection: close\r\nContent-Length: 5", "hello"),
                served("POST", "/odd", "hello").then_ends(),
            ),
            case(
                "the wish to end with chunks",
                post("Connection: close\r\nTransfer-Encoding: chunked", "5\r\nhello\r\n0\r\n\r\n"),
                served("POST", "/odd", "hello").then_ends(),
            )
            .and_again(),
            case(
                "the wish to end with large chunks",
                format!(
                    "POST {BREAKS_OFF} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\
                     Transfer-Encoding: chunked\r\n\r\n{large_chunks}"
                ),
                served("POST", BREAKS_OFF, &large).then_ends(),
            )
            .and_again(),
            case("a wish to end that is refused", only_fields("Connection: close"), refused(400)),
            case("a request, and no more will be sent", get("/odd"), ended()).and_half_closes(),
            case(
                "a body, and no more will be sent",
                post("Content-Length: 5", "hello"),
                served("POST", "/odd", "hello").then_ends(),
            )
            .and_half_closes(),
        ],
    )
}
