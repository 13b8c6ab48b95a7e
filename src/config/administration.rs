//! What operators see, as settings.

use std::net::SocketAddr;

use super::options::{Given, SETTINGS};
use crate::access_log::Format;

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

pub(super) fn access_log(given: &Given) -> Result<Option<Format>, String> {
    let formats = [("off", None), ("combined", Some(Format::Combined)), ("json", Some(Format::Json))];
    given.choice("access-log", &formats)
}

/// All settings as they were given, or their defaults, for people.
pub(super) fn in_force(given: &Given) -> Vec<(&'static str, String)> {
    SETTINGS.iter().map(|setting| (setting.name, given.plain(setting.name))).collect()
}
