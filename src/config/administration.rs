//! What operators see, as settings.

use super::options::Given;
use crate::access_log::Format;

pub(super) fn access_log(given: &Given) -> Result<Option<Format>, String> {
    let formats = [("off", None), ("combined", Some(Format::Combined)), ("json", Some(Format::Json))];
    given.choice("access-log", &formats)
}
