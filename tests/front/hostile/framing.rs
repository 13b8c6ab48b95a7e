//! RFC 9112, sections 6 to 8: where the body ends. In doubt, what one server takes for a body is a request to the
//! next.

use super::case::{BREAKS_OFF, Case, case, chunked, dropped, line, post, refused, section, served, unparsed};

/// A body that is one request to whoever takes it for none.
const HIDDEN: &str = "GET /hidden HTTP/1.1\r\nHost: a\r\n\r\n";

pub fn table() -> Vec<Case> {
    [
        codings(),
        codings_beside_lengths(),
        lengths(),
        large_lengths(),
        short_bodies(),
        chunks(),
        broken_chunks(),
    ]
    .into_iter()
    .chain([late_breaks(), extensions(), trailers(), incomplete()])
    .flatten()
    .collect()
}

fn codings() -> Vec<Case> {
    let coded = |coding: &str| post(format!("Transfer-Encoding:{coding}"), "5\r\nhello\r\n0\r\n\r\n");
    let hello = || served("POST", "/odd", "hello");
    let underscore = "Transfer_Encoding: chunked";
    section(
        "9112 6.1",
        [
            case("chunked in capital letters", coded(" CHUNKED"), hello()),
            case("chunked in mixed letters", coded(" ChUnKeD"), hello()),
            case("chunked without a space", coded("chunked"), hello()),
            case("chunked with tabs around it", coded("\t chunked \t"), hello()),
            case(
                "chunked on GET",
                "GET /odd HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
                served("GET", "/odd", "hello"),
            ),
            // The parser keeps to itself what is around a value.
            case("chunked behind a vertical tab", coded(" \x0bchunked"), hello()),
            case("chunked before a form feed", coded(" chunked\x0c"), hello()),
            case("chunked with a vertical tab within", coded(" chun\x0bked"), refused(400)),
            case("chunked with a zero byte", coded(" chunked\0"), refused(400)),
            case("chunked with a carriage return", coded(" chun\rked"), refused(400)),
            case("chunked with a line feed", coded(" chun\nked"), refused(400)),
            case("chunked with a letter before it", coded(" xchunked"), refused(501)),
            case("chunked with a letter behind it", coded(" chunkedx"), refused(501)),
            case("chunked in quotes", coded(" \"chunked\""), refused(501)),
            case("chunked, escaped", coded(" c%68unked"), refused(501)),
            case("chunked with a parameter", coded(" chunked;q=1"), refused(501)),
            case("chunked twice in a list", coded(" chunked, chunked"), refused(501)),
            case(
                "chunked twice, in two fields",
                coded(" chunked\r\nTransfer-Encoding: chunked"),
                refused(501),
            ),
            case(
                "chunked and another, in two fields",
                coded(" chunked\r\ntransfer-encoding: x"),
                refused(501),
            ),
            case("chunked and nothing, in two fields", coded(" chunked\r\nTransfer-Encoding:"), refused(501)),
            case("chunked and a comma", coded(" chunked,"), refused(501)),
            case("a comma and chunked", coded(" ,chunked"), refused(501)),
            case("chunked and another word", coded(" chunked x"), refused(501)),
            case("identity", coded(" identity"), refused(501)),
            case("identity behind chunked", coded(" chunked, identity"), refused(501)),
            case("identity before chunked", coded(" identity, chunked"), refused(501)),
            case("gzip", coded(" gzip"), refused(501)),
            case("gzip, and then chunked", coded(" gzip, chunked"), refused(501)),
            case("gzip behind chunked", coded(" chunked, gzip"), refused(501)),
            case("an empty coding", coded(""), refused(501)),
            case("a comma for a coding", coded(" ,"), refused(501)),
            case("a number for a coding", coded(" 5"), refused(501)),
            case("a coding outside ASCII", coded(" chunkéd"), dropped()),
            case(
                "chunked on HTTP/1.0",
                "POST /odd HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                refused(400),
            ),
            case(
                "chunked on HTTP/1.0 that wants to stay",
                "POST /odd HTTP/1.0\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                refused(400),
            ),
            // A field like any other, and chunks that are no request.
            case(
                "a name with an underscore",
                post(underscore, "5\r\nhello\r\n0\r\n\r\n"),
                served("POST", "/odd", "").then(unparsed(400)),
            ),
        ],
    )
}

fn codings_beside_lengths() -> Vec<Case> {
    let both = |fields: &str| post(fields, format!("0\r\n\r\n{HIDDEN}"));
    section(
        "9112 6.1",
        [
            case(
                "a length before a coding",
                both("Content-Length: 5\r\nTransfer-Encoding: chunked"),
                refused(400),
            ),
            case(
                "a coding before a length",
                both("Transfer-Encoding: chunked\r\nContent-Length: 5"),
                refused(400),
            ),
            case(
                "a length of none beside a coding",
                both("Content-Length: 0\r\nTransfer-Encoding: chunked"),
                refused(400),
            ),
            case(
                "a coding that is none beside a length",
                both("Content-Length: 5\r\nTransfer-Encoding: x"),
                refused(400),
            ),
            case(
                "an empty coding beside a length",
                both("Content-Length: 5\r\nTransfer-Encoding:"),
                refused(400),
            ),
            case(
                "an empty length beside a coding",
                both("Content-Length:\r\nTransfer-Encoding: chunked"),
                refused(400),
            ),
            case(
                "two lengths beside two codings",
                both(
                    "Content-Length: 5\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\nTransfer-Encoding: chunked",
                ),
                refused(400),
            ),
            case(
                "a coding beside a length on HTTP/1.0",
                "POST /odd HTTP/1.0\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                refused(400),
            ),
        ],
    )
}

fn lengths() -> Vec<Case> {
    let long = |length: &str| post(format!("Content-Length:{length}"), "hello");
    let twice = |first, second| post(format!("Content-Length: {first}\r\nContent-Length: {second}"), "hello");
    let hello = || served("POST", "/odd", "hello");
    section(
        "9112 6.2",
        [
            case("a length of none", post("Content-Length: 0", ""), served("POST", "/odd", "")),
            case("a length with zeros before it", long(" 005"), hello()),
            case("a length with very many zeros before it", long(&format!(" {}5", "0".repeat(60))), hello()),
            case("a length without a space", long("5"), hello()),
            case("a length with tabs around it", long("\t 5 \t"), hello()),
            case(
                "a length on GET",
                "GET /odd HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
                served("GET", "/odd", "hello"),
            ),
            // The parser keeps to itself what is around a value.
            case("a length behind a vertical tab", long(" \x0b5"), hello()),
            case("a length with a plus sign", long(" +5"), refused(400)),
            case("a length with a minus sign", long(" -5"), refused(400)),
            case("a length of minus nothing", long(" -0"), refused(400)),
            case("a length in hexadecimal", long(" 0x5"), refused(400)),
            case("a length in hexadecimal, without a prefix", long(" 5a"), refused(400)),
            case("a length with a point", long(" 5.0"), refused(400)),
            case("a length with an exponent", long(" 5e0"), refused(400)),
            case("a length with an underscore", long(" 0_5"), refused(400)),
            case("a length with a space within", long(" 0 5"), refused(400)),
            case("a length with a tab within", long(" 0\t5"), refused(400)),
            case("a length with a zero byte", long(" 5\0"), refused(400)),
            case("a length with a line feed", long(" 5\n5"), refused(400)),
            case("a length in quotes", long(" \"5\""), refused(400)),
            case("a length in words", long(" five"), refused(400)),
            case("a length with a unit", long(" 5 bytes"), refused(400)),
            case("an empty length", long(""), refused(400)),
            case("a length of spaces", long("   "), refused(400)),
            case("a length in other digits", long(" ٥"), dropped()),
            case("two lengths in a list", long(" 5, 5"), refused(400)),
            case("two different lengths in a list", long(" 5, 6"), refused(400)),
            case("a length and a comma", long(" 5,"), refused(400)),
            case("a comma and a length", long(" ,5"), refused(400)),
            case("the same length twice", twice("5", "5"), refused(400)),
            case("the same length twice, written otherwise", twice("5", "05"), refused(400)),
            case("two lengths, the first less", twice("0", "5"), refused(400)),
            case("two lengths, the second less", twice("5", "0"), refused(400)),
            case("two lengths, one of them empty", twice("5", ""), refused(400)),
            case(
                "two lengths, one of them folded",
                post("Content-Length: 5\r\n Content-Length: 6", "hello"),
                refused(400),
            ),
            case(
                "two lengths on HTTP/1.0",
                "POST /odd HTTP/1.0\r\nContent-Length: 5\r\nContent-Length: 0\r\n\r\nhello",
                refused(400),
            ),
        ],
    )
}

/// More than is taken, and more than numbers of the machine can hold. What follows may be hidden behind the length, and
/// is not waited for.
fn large_lengths() -> Vec<Case> {
    let long = |length: &str| post(format!("Content-Length: {length}"), "hello");
    section(
        "9112 6.2",
        [
            case("a length of a byte more than is taken", long("1073741825"), refused(413)),
            case("a length of 10^12", long("1000000000000"), refused(413)),
            case("a length of 2^32 and 5", long("4294967301"), refused(413)),
            case("a length of 2^63 - 1", long("9223372036854775807"), refused(413)),
            case("a length of 2^63", long("9223372036854775808"), refused(413)),
            case("a length of 2^64 - 1", long("18446744073709551615"), refused(413)),
            case("a length of 2^64", long("18446744073709551616"), refused(413)),
            case("a length of 2^64 and 5", long("18446744073709551621"), refused(413)),
            case("a length of 10^30", long(&format!("1{}", "0".repeat(30))), refused(413)),
            case("a length of a thousand digits", long(&"9".repeat(1000)), refused(413)),
            case("a length of 2^64 below zero", long("-18446744073709551616"), refused(400)),
            case(
                "a length of 10^12 on GET",
                "GET /odd HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000000\r\n\r\n",
                refused(413),
            ),
        ],
    )
}

fn short_bodies() -> Vec<Case> {
    section(
        "9112 6.3",
        [
            case("no length and no body", line("POST /odd HTTP/1.1"), served("POST", "/odd", "")),
            case(
                "a body behind no length",
                post("X: y", "hello\r\n\r\n"),
                served("POST", "/odd", "").then(unparsed(400)),
            ),
            case(
                "more than the length",
                post("Content-Length: 3", "hello\r\n\r\n"),
                served("POST", "/odd", "hel").then(unparsed(400)),
            ),
        ],
    )
}

fn chunks() -> Vec<Case> {
    let hello = || served("POST", "/odd", "hello");
    let large = "x".repeat(100_000);
    section(
        "9112 7.1",
        [
            case("chunks of one byte", chunked("1\r\nh\r\n1\r\ne\r\n3\r\nllo\r\n0\r\n\r\n"), hello()),
            case("no chunk but the last", chunked("0\r\n\r\n"), served("POST", "/odd", "")),
            case("zeros before a size", chunked("0000000000000000000005\r\nhello\r\n0\r\n\r\n"), hello()),
            case("a last chunk of many zeros", chunked("5\r\nhello\r\n0000\r\n\r\n"), hello()),
            case(
                "a size in capital letters",
                chunked("A\r\n0123456789\r\n0\r\n\r\n"),
                served("POST", "/odd", "0123456789"),
            ),
            case(
                "a chunk that looks like the end",
                chunked("5\r\n0\r\n\r\n\r\n0\r\n\r\n"),
                served("POST", "/odd", "0\r\n\r\n"),
            ),
            case(
                "a chunk that looks like a request",
                chunked(format!("{:x}\r\n{HIDDEN}\r\n0\r\n\r\n", HIDDEN.len())),
                served("POST", "/odd", HIDDEN),
            ),
            case(
                "a large chunk",
                chunked(format!("186a0\r\n{large}\r\n0\r\n\r\n")),
                served("POST", "/odd", &large),
            ),
            case("chunks in pieces", chunked("5"), hello())
                .and_then("\r")
                .and_then("\nhel")
                .and_then("lo\r\n0\r\n\r")
                .and_then("\n"),
            // The decoder takes these, and the replica gets clean ones.
            case("a size with a plus sign", chunked("+5\r\nhello\r\n0\r\n\r\n"), hello()),
            case("a size with spaces around it", chunked(" 5 \r\nhello\r\n0\r\n\r\n"), hello()),
            case("a size with a line feed before it", chunked("\n5\r\nhello\r\n0\r\n\r\n"), hello()),
            case("a last chunk with a plus sign", chunked("5\r\nhello\r\n+0\r\n\r\n"), hello()),
        ],
    )
}

fn broken_chunks() -> Vec<Case> {
    let broken = |name: &str, body: &str| case(name, chunked(body), refused(400));
    section(
        "9112 7.1",
        [
            broken("a size that is none", "zz\r\nhello\r\n0\r\n\r\n"),
            broken("an empty size", "\r\nhello\r\n0\r\n\r\n"),
            broken("a size with a prefix", "0x5\r\nhello\r\n0\r\n\r\n"),
            broken("a size with a minus sign", "-5\r\nhello\r\n0\r\n\r\n"),
            broken("a last chunk with a minus sign", "5\r\nhello\r\n-0\r\n\r\n"),
            broken("a size with an underscore", "0_5\r\nhello\r\n0\r\n\r\n"),
            broken("a size with a point", "5.0\r\nhello\r\n0\r\n\r\n"),
            broken("a size with a space within", "0 5\r\nhello\r\n0\r\n\r\n"),
            broken("a size with a comma", "5,5\r\nhello\r\n0\r\n\r\n"),
            broken("a size in quotes", "\"5\"\r\nhello\r\n0\r\n\r\n"),
            broken("a size with a zero byte", "5\0\r\nhello\r\n0\r\n\r\n"),
            broken("a size in other digits", "５\r\nhello\r\n0\r\n\r\n"),
            broken("a size of 2^64", "10000000000000000\r\nhello\r\n0\r\n\r\n"),
            broken("a size of 2^64 and 5", "10000000000000005\r\nhello\r\n0\r\n\r\n"),
            broken("a size of many digits", &format!("{}\r\nhello\r\n0\r\n\r\n", "f".repeat(1000))),
            broken("a size with a line feed alone", "5\nhello\r\n0\r\n\r\n"),
            broken("a size with a carriage return alone", "5\rhello\r\n0\r\n\r\n"),
            broken("a chunk without a line end", "5\r\nhello0\r\n\r\n"),
            broken("a chunk with a line feed alone", "5\r\nhello\n0\r\n\r\n"),
            broken("a chunk with other bytes for a line end", "5\r\nhelloXX0\r\n\r\n"),
            broken("a chunk that is longer than its size", "4\r\nhello\r\n0\r\n\r\n"),
            broken("a chunk that is shorter than its size", "6\r\nhello\r\n0\r\n\r\n"),
            broken("a last chunk with a line feed alone", "5\r\nhello\r\n0\n\n"),
            broken("a last chunk and a request at once", &format!("5\r\nhello\r\n0\r\n{HIDDEN}")),
        ],
    )
}

/// Bodies that are on their way to a replica already when they turn out to be broken.
fn late_breaks() -> Vec<Case> {
    let head = format!("POST {BREAKS_OFF} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    let large = format!("30d40\r\n{}\r\n", "x".repeat(200_000));
    let broken = |name: &str, end: &str| case(name, format!("{head}{large}{end}"), refused(400));
    section(
        "9112 7.1",
        [
            broken("a size that is none, late", "zz\r\nhello\r\n0\r\n\r\n"),
            broken("a size of 2^64, late", "10000000000000000\r\nhello\r\n0\r\n\r\n"),
            broken("a chunk without a line end, late", "5\r\nhello0\r\n\r\n"),
            broken("a last chunk and a request at once, late", &format!("0\r\n{HIDDEN}")),
            broken("an end within a chunk, late", "5\r\nhel").and_half_closes(),
            broken("an end between chunks, late", "").and_half_closes(),
        ],
    )
}

fn extensions() -> Vec<Case> {
    let hello = || served("POST", "/odd", "hello");
    section(
        "9112 7.1.1",
        [
            case("an extension", chunked("5;a=b\r\nhello\r\n0\r\n\r\n"), hello()),
            case("an extension of the last chunk", chunked("5\r\nhello\r\n0;a\r\n\r\n"), hello()),
            case("an extension in quotes", chunked("5;a=\"b;c\"\r\nhello\r\n0\r\n\r\n"), hello()),
            case("an empty extension", chunked("5;\r\nhello\r\n0\r\n\r\n"), hello()),
            // Passed over by the decoder, and not sent on.
            case("an extension with a line feed", chunked("5;a\nb\r\nhello\r\n0\r\n\r\n"), hello()),
            case("an extension and no size", chunked(";a=b\r\nhello\r\n0\r\n\r\n"), refused(400)),
            case(
                "an extension with a carriage return",
                chunked("5;a\rb\r\nhello\r\n0\r\n\r\n"),
                refused(400),
            ),
        ],
    )
}

fn trailers() -> Vec<Case> {
    section(
        "9112 7.1.2",
        [
            case("a trailer", chunked("5\r\nhello\r\n0\r\nX: y\r\n\r\n"), refused(400)),
            case(
                "a trailer that was announced",
                post("Transfer-Encoding: chunked\r\nTrailer: X", "0\r\nX: y\r\n\r\n"),
                refused(400),
            ),
            case("a trailer that is a length", chunked("0\r\nContent-Length: 5\r\n\r\nhello"), refused(400)),
            case("a trailer without a colon", chunked("0\r\nX\r\n\r\n"), refused(400)),
        ],
    )
}

fn incomplete() -> Vec<Case> {
    let ends = |name: &str, bytes: Vec<u8>, status| case(name, bytes, refused(status)).and_half_closes();
    section(
        "9112 8",
        [
            // The parser waits for a short body before it says a word of the request.
            case("an end within a short body", post("Content-Length: 5", "hel"), dropped()).and_half_closes(),
            case("an end before a short body", post("Content-Length: 5", ""), dropped()).and_half_closes(),
            ends("an end within a long body", post("Content-Length: 5000", "hello"), 400),
            ends("an end before the first chunk", chunked(""), 400),
            ends("an end within a size", chunked("5"), 400),
            ends("an end behind a size", chunked("5\r\n"), 400),
            ends("an end within a chunk", chunked("5\r\nhel"), 400),
            ends("an end behind a chunk", chunked("5\r\nhello"), 400),
            ends("an end between chunks", chunked("5\r\nhello\r\n"), 400),
            ends("an end within the last chunk", chunked("5\r\nhello\r\n0\r\n"), 400),
            ends("an end within an extension", chunked("5;a=b"), 400),
            ends("an end within a chunk of 2^63", chunked("8000000000000000\r\nhello"), 400),
            ends("an end within a chunk of 2^64 - 1", chunked("ffffffffffffffff\r\nhello"), 400),
        ],
    )
}
