//! RFC 9112, sections 2 and 3: the request line.

use super::case::{
    Case, case, dropped, get, line, only_fields, refused, section, served, served_odd, unparsed,
};

pub fn table() -> Vec<Case> {
    [lines(), versions(), words(), methods()].into_iter().flatten().collect()
}

fn lines() -> Vec<Case> {
    section(
        "9112 2.2",
        [
            case(
                "an empty line before the request",
                "\r\nGET /odd HTTP/1.1\r\nHost: a\r\n\r\n",
                unparsed(400),
            ),
            case("nothing but an empty line", "\r\n", unparsed(400)),
            case("nothing at all", "", dropped()).and_half_closes(),
            case("half a request line", "GET /od", dropped()).and_half_closes(),
            case("half a head", "GET /odd HTTP/1.1\r\nHost: a\r\n", dropped()).and_half_closes(),
            case("a line feed for a line end", "GET /odd HTTP/1.1\nHost: a\r\n\r\n", unparsed(400)),
            case("a line feed in front of a line end", only_fields("Host: a\n"), served_odd().for_host("a")),
            case("a carriage return in the target", get("/o\rdd"), refused(400)),
            case("a carriage return for a space", line("GET\r/odd HTTP/1.1"), unparsed(400)),
            case("a carriage return twice", line("GET /odd HTTP/1.1\r"), served_odd()),
            case("space before the first field", "GET /odd HTTP/1.1\r\n Host: a\r\n\r\n", served_odd()),
            case("a line of spaces", "GET /odd HTTP/1.1\r\n \r\nHost: a\r\n\r\n", unparsed(400)),
            case("a head in pieces", "GET /od", served_odd())
                .and_then("d HTTP/1.1\r")
                .and_then("\nHost: a\r\n\r")
                .and_then("\n"),
            case("a greeting of TLS", b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03 \r\n\r\n", dropped()),
            case("a greeting of SSH", "SSH-2.0-OpenSSH_9.6\r\n\r\n", unparsed(400)),
        ],
    )
}

fn versions() -> Vec<Case> {
    let old = "GET /odd HTTP/0.9\r\nConnection: keep-alive\r\n\r\n";
    section(
        "9112 2.3",
        [
            case("no version, as in HTTP/0.9", "GET /odd\r\n\r\n", unparsed(400)),
            case("HTTP/0.9, called so", line("GET /odd HTTP/0.9"), refused(505)),
            case("HTTP/0.9 that wants to stay", old, refused(505)),
            case("HTTP/1.2", line("GET /odd HTTP/1.2"), unparsed(400)),
            case("HTTP/1.10", line("GET /odd HTTP/1.10"), unparsed(400)),
            case("HTTP/01.1", line("GET /odd HTTP/01.1"), unparsed(400)),
            case("HTTP/1", line("GET /odd HTTP/1"), unparsed(400)),
            case("HTTP/11", line("GET /odd HTTP/11"), unparsed(400)),
            case("HTTP/1,1", line("GET /odd HTTP/1,1"), unparsed(400)),
            case("HTTP/+1.1", line("GET /odd HTTP/+1.1"), unparsed(400)),
            case("HTTP/9.9", line("GET /odd HTTP/9.9"), unparsed(400)),
            case("http/1.1 in small letters", line("GET /odd http/1.1"), unparsed(400)),
            case("HTTPS/1.1", line("GET /odd HTTPS/1.1"), unparsed(400)),
            case("RTSP/1.0", line("GET /odd RTSP/1.0"), unparsed(400)),
            case("a zero byte behind the version", line("GET /odd HTTP/1.1\0"), unparsed(400)),
        ],
    )
}

fn words() -> Vec<Case> {
    section(
        "9112 3",
        [
            case("two spaces behind the method", line("GET  /odd HTTP/1.1"), unparsed(400)),
            case("two spaces behind the target", line("GET /odd  HTTP/1.1"), unparsed(400)),
            case("a tab behind the method", line("GET\t/odd HTTP/1.1"), unparsed(400)),
            case("a tab behind the target", line("GET /odd\tHTTP/1.1"), unparsed(400)),
            case("a form feed behind the target", line("GET /odd\x0cHTTP/1.1"), unparsed(400)),
            case("nothing but a method", line("GET"), unparsed(400)),
            case("nothing but spaces", line("   "), unparsed(400)),
            case("no method", line("/odd HTTP/1.1"), unparsed(400)),
            case("no target", line("GET HTTP/1.1"), unparsed(400)),
            case("a target of no length", line("GET  HTTP/1.1"), refused(400)),
            // The parser keeps to itself what is around the three words.
            case("a space before the method", line(" GET /odd HTTP/1.1"), served_odd()),
            case("a space behind the version", line("GET /odd HTTP/1.1 "), served_odd()),
            case("a word behind the version", line("GET /odd HTTP/1.1 junk"), served_odd()),
            case("a second version", line("GET /odd HTTP/1.1 HTTP/1.0"), served_odd()),
        ],
    )
}

fn methods() -> Vec<Case> {
    let (long, longest) = ("M".repeat(1000), "M".repeat(40_000));
    let token = "!#$%&'*+-.^_`|~9z";
    section(
        "9112 3.1",
        [
            case("a method with a bracket", line("G(T /odd HTTP/1.1"), refused(400)),
            case("a method with a colon", line("GET: /odd HTTP/1.1"), refused(400)),
            case("a method with a slash", line("GET/ /odd HTTP/1.1"), refused(400)),
            case("a method with a comma", line("GET,POST /odd HTTP/1.1"), refused(400)),
            case("a method in quotes", line("\"GET\" /odd HTTP/1.1"), refused(400)),
            case("a method in angle brackets", line("<GET> /odd HTTP/1.1"), refused(400)),
            case("a method with a zero byte", line("G\0T /odd HTTP/1.1"), refused(400)),
            case("a method with a tab", line("G\tT /odd HTTP/1.1"), refused(400)),
            case("a method with a carriage return", line("G\rT /odd HTTP/1.1"), refused(400)),
            case("a method with a line feed", line("G\nT /odd HTTP/1.1"), refused(400)),
            case("a method with a control character", line("G\x01T /odd HTTP/1.1"), refused(400)),
            case("a method with a delete character", line("G\x7fT /odd HTTP/1.1"), refused(400)),
            case("a method outside ASCII", line("GÉT /odd HTTP/1.1"), dropped()),
            case("a method of 40 KB", line(format!("{longest} /odd HTTP/1.1")), refused(431)),
            case("a method of 1 KB", line(format!("{long} /odd HTTP/1.1")), served(&long, "/odd", "")),
            case("a method that nobody knows", line("BREW /odd HTTP/1.1"), served("BREW", "/odd", "")),
            case("a method in small letters", line("get /odd HTTP/1.1"), served("get", "/odd", "")),
            case("all of a token", line(format!("{token} /odd HTTP/1.1")), served(token, "/odd", "")),
        ],
    )
}
