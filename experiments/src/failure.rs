//! Ends that have an exit status of their own.

use std::fmt;

/// Why there is no result.
#[derive(Debug, PartialEq, Eq)]
pub enum Failure {
    /// The command line makes no sense.
    Usage(String),
    /// Nobody answers at this URL.
    Unreachable(String),
    /// A signal came.
    Interrupted,
}

impl Failure {
    /// The exit status of an error, whatever it is.
    pub fn status_of(error: &anyhow::Error) -> u8 {
        match error.downcast_ref() {
            Some(Failure::Usage(_) | Failure::Unreachable(_)) => 2,
            Some(Failure::Interrupted) => 130,
            None => 1,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Usage(why) | Failure::Unreachable(why) => f.write_str(why),
            Failure::Interrupted => f.write_str("interrupted"),
        }
    }
}

impl std::error::Error for Failure {}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;

    #[test]
    fn the_status_survives_what_is_said_around_an_error() {
        let unreachable = || Err::<(), _>(Failure::Unreachable("nobody".to_owned()));
        assert_eq!(Failure::status_of(&unreachable().context("a1").unwrap_err()), 2);
        assert_eq!(Failure::status_of(&anyhow::anyhow!("else")), 1);
        assert_eq!(Failure::status_of(&Failure::Interrupted.into()), 130);
    }
}
