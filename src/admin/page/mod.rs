//! `/_ringmaster/`: one document with its style and its script, so that it needs nothing from anywhere else.
//!
//! A browser is told to run this script and nothing else (content security policy): each answer has a number that nobody can
//! guess, and only what carries it counts.

use std::fs::File;
use std::io::{self, Read};

use http::StatusCode;

use super::Reply;

const DOCUMENT: &str = include_str!("page.html");
const STYLE: &str = include_str!("page.css");

/// In the order in which they build on each other.
const SCRIPTS: [&str; 7] = [
    include_str!("text.js"),
    include_str!("ring.js"),
    include_str!("charts.js"),
    include_str!("table.js"),
    include_str!("events.js"),
    include_str!("changes.js"),
    include_str!("page.js"),
];

/// The page, with this status; it is told whether a token is wanted, so that it need not ask in vain.
pub(super) fn reply(status: StatusCode, token_wanted: bool) -> Reply {
    let nonce = match nonce() {
        Ok(nonce) => nonce,
        Err(error) => {
            let why = format!("no random numbers for the page: {error}");
            return Reply::failure(StatusCode::INTERNAL_SERVER_ERROR, &why);
        }
    };
    let page = DOCUMENT
        .replace("@NONCE@", &nonce)
        .replace("@TOKEN_WANTED@", if token_wanted { "yes" } else { "no" })
        .replace("@STYLE@", STYLE)
        .replace("@SCRIPT@", &SCRIPTS.join("\n"));
    let policy = format!(
        "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; connect-src 'self'; img-src data:; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
    );
    Reply::text("text/html; charset=utf-8", page)
        .with_status(status)
        .with("Content-Security-Policy", policy)
        .with("Referrer-Policy", "no-referrer")
        .with("X-Frame-Options", "DENY")
}

/// 128 bits that nobody can guess. Everything in the page is ours, so nothing depends on them yet; a page that one day holds
/// something of somebody else's is safe already.
fn nonce() -> io::Result<String> {
    let mut bits = [0; 16];
    File::open("/dev/urandom")?.read_exact(&mut bits)?;
    Ok(format!("{:032x}", u128::from_ne_bytes(bits)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_whole_and_asks_nobody_else() {
        let reply = reply(StatusCode::OK, false);
        assert!(
            !reply.body.contains('@')
                || !["@NONCE@", "@TOKEN_WANTED@", "@STYLE@", "@SCRIPT@"]
                    .iter()
                    .any(|it| reply.body.contains(it))
        );
        // But for the name of a language, and patterns of the page's own.
        let body = reply.body.replace("http://www.w3.org/2000/svg", "").replace("url(#", "");
        for foreign in ["http://", "https://", "\"//", "@import", "url("] {
            assert!(!body.contains(foreign), "{foreign}");
        }
        for unwanted in [" style=\"", " onclick", "javascript:", "innerHTML", "eval("] {
            assert!(!reply.body.contains(unwanted), "{unwanted}");
        }
    }

    #[test]
    fn each_answer_has_a_number_of_its_own() {
        let policy =
            |reply: Reply| reply.fields.into_iter().find(|(name, _)| *name == "Content-Security-Policy");
        let (one, other) = (reply(StatusCode::OK, false), reply(StatusCode::OK, false));
        let nonce =
            one.body.split("nonce=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap().to_owned();
        assert_eq!(nonce.len(), 32);
        assert!(policy(one.clone()).unwrap().1.contains(&format!("script-src 'nonce-{nonce}'")));
        assert_ne!(one.body, other.body);
    }
}
