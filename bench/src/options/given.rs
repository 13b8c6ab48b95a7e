//! Reads a command line word by word.

use std::ffi::OsString;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;

use anyhow::{Context, Result, bail};
use lexopt::{Arg, Parser, ValueExt};

/// A command line of which some is read.
pub struct Given {
    parser: Parser,
}

impl Given {
    /// One of which nothing is read.
    pub fn new(args: impl IntoIterator<Item = OsString>) -> Given {
        Given { parser: Parser::from_args(args) }
    }

    /// The first word, if there is one.
    pub fn first(&mut self) -> Result<Option<Arg<'_>>> {
        Ok(self.parser.next()?)
    }

    /// The next flag's name.
    ///
    /// # Errors
    /// The next word is no flag.
    pub fn flag(&mut self) -> Result<Option<String>> {
        match self.parser.next()? {
            None => Ok(None),
            Some(Arg::Long(name)) => Ok(Some(name.to_owned())),
            Some(Arg::Short('h')) => Ok(Some("help".to_owned())),
            Some(other) => Err(other.unexpected().into()),
        }
    }

    /// The value of a flag that is a path.
    ///
    /// # Errors
    /// There is none.
    pub fn path(&mut self) -> Result<PathBuf> {
        Ok(self.parser.value()?.into())
    }

    /// The value of a flag.
    ///
    /// # Errors
    /// It is missing, or not what it should be.
    pub fn parsed<T: FromStr>(&mut self, flag: &str) -> Result<T> {
        let text = self.parser.value()?.string()?;
        text.parse().ok().with_context(|| format!("--{flag} {text}: not understood"))
    }

    /// The value of a flag that must not be less than `least`.
    ///
    /// # Errors
    /// As for [`Given::parsed`], or it is less.
    pub fn at_least<T: FromStr + PartialOrd + std::fmt::Display>(
        &mut self,
        flag: &str,
        least: T,
    ) -> Result<T> {
        let value: T = self.parsed(flag)?;
        if value < least {
            bail!("--{flag} {value}: must be {least} or more");
        }
        Ok(value)
    }

    /// The value of a flag that must be in a range.
    ///
    /// # Errors
    /// As for [`Given::parsed`], or it is not.
    pub fn within(&mut self, flag: &str, allowed: RangeInclusive<usize>) -> Result<usize> {
        let value = self.parsed(flag)?;
        if !allowed.contains(&value) {
            bail!("--{flag} {value}: must be {} to {}", allowed.start(), allowed.end());
        }
        Ok(value)
    }
}

/// The error for a flag that the job does not have.
///
/// # Errors
/// Always.
pub fn unknown<T>(flag: &str) -> Result<T> {
    bail!("there is no --{flag} here; see --help")
}
