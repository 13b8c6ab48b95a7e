//! What operators see, as settings.

use super::options::{Given, SETTINGS};
use crate::access_log::Format;

pub(super) fn access_log(given: &Given) -> Result<Option<Format>, String> {
    let formats = [("off", None), ("combined", Some(Format::Combined)), ("json", Some(Format::Json))];
    given.choice("access-log", &formats)
}

/// All settings as they were given, or their defaults, for people.
pub(super) fn in_force(given: &Given) -> Vec<(&'static str, String)> {
    SETTINGS.iter().map(|setting| (setting.name, given.plain(setting.name))).collect()
}
