//! What operators see and who may touch it, as settings.

use std::fs;
use std::net::{SocketAddr, ToSocketAddrs};

use http::uri::Authority;

use super::options::{Given, SETTINGS};
use crate::access_log::Format;
use crate::admin::{Rules, Token};

/// Most changes in a second that anybody can ask for: a thousand launches a second are more than any engine does.
const MOST_CHANGES: u32 = 1000;

/// Where the admin side is served by itself, if it is.
pub(super) fn listen(given: &Given) -> Result<Option<SocketAddr>, String> {
    if given.plain("admin-listen").is_empty() {
        return Ok(None);
    }
    let (admin, traffic) = (given.address("admin-listen")?, given.address("listen")?);
    let is_same = admin.ip() == traffic.ip() || admin.ip().is_unspecified() || traffic.ip().is_unspecified();
    match is_same && admin.port() == traffic.port() && admin.port() != 0 {
        true => given.refuse("admin-listen", "an address beside that of --listen"),
        false => Ok(Some(admin)),
    }
}

/// Where the admin side of a balancer that runs with these settings is: at a place of its own, or with the traffic.
/// That may be a name, since it is only asked.
pub(super) fn address(given: &Given) -> Result<SocketAddr, String> {
    let name = if given.plain("admin-listen").is_empty() { "listen" } else { "admin-listen" };
    given.address(name).or_else(|why| {
        let found = given.plain(name).to_socket_addrs().ok().and_then(|mut found| found.next());
        found.ok_or(why)
    })
}

pub(super) fn rules(given: &Given) -> Result<Rules, String> {
    let change_rate = given.number("change-rate", 1..=MOST_CHANGES)?;
    Ok(Rules { token: token(given)?, hosts: hosts(given)?, change_rate })
}

/// The token, from the command line or from a file. No message repeats it, nor the name of the file: somebody may have
/// given the token itself there.
pub(super) fn token(given: &Given) -> Result<Option<Token>, String> {
    let (plain, file) = (given.is_given("admin-token"), given.is_given("admin-token-file"));
    let read = |name: &'static str, text: &str| {
        Token::new(text).map(Some).map_err(|why| format!("{}: the token {why}", given.source(name)))
    };
    match (plain, file) {
        (false, false) => Ok(None),
        (true, true) => Err(format!("{}: of no use beside --admin-token", given.source("admin-token-file"))),
        // An empty one is wrong and not none: a variable that was to hold it may be missing.
        (true, false) => read("admin-token", &given.plain("admin-token")),
        (false, true) => {
            let path = given.plain("admin-token-file");
            match fs::read_to_string(&path) {
                Ok(text) => read("admin-token-file", text.trim_end_matches(['\r', '\n'])),
                Err(error) => {
                    Err(format!("{}: the file cannot be read: {error}", given.source("admin-token-file")))
                }
            }
        }
    }
}

fn hosts(given: &Given) -> Result<Vec<String>, String> {
    let texts = given.plain("admin-hosts");
    let names = texts.split(',').map(str::trim).filter(|name| !name.is_empty());
    let is_name = |name: &str| Authority::try_from(name).is_ok_and(|whole| whole.host() == name);
    let read = |name: &str| match is_name(name) {
        true => Ok(name.to_owned()),
        false => given.refuse("admin-hosts", format!("a list of names: '{}' is none", name.escape_debug())),
    };
    names.map(read).collect()
}

pub(super) fn access_log(given: &Given) -> Result<Option<Format>, String> {
    let formats = [("off", None), ("combined", Some(Format::Combined)), ("json", Some(Format::Json))];
    given.choice("access-log", &formats)
}

/// All settings as they were given, or their defaults, for people; but not the token.
pub(super) fn texts(given: &Given) -> Vec<(&'static str, String)> {
    let value = |name| match name {
        "admin-token" if given.is_given(name) => "(set)".to_owned(),
        "admin-token" => "(not set)".to_owned(),
        _ => given.plain(name),
    };
    SETTINGS.iter().map(|setting| (setting.name, value(setting.name))).collect()
}
