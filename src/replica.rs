//! What a replica is to the rest of the program: a name that is safe everywhere, and where it runs.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::quoting::shown;

/// The name of a replica: its container's name, its DNS name on the network and its `SERVER_ID`.
///
/// Holds `[a-zA-Z0-9][a-zA-Z0-9_.-]{1,62}` by construction, the pattern that the engine takes for container names,
/// cut to the 63 bytes of a DNS label. A value of this type may therefore stand on a command line: it is never
/// empty, never starts with a dash and holds no character that means something to a shell.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Hostname(Arc<str>);

impl Hostname {
    /// Shortest and longest name in bytes.
    const LENGTH: std::ops::RangeInclusive<usize> = 2..=63;

    /// Takes `name` if it is a legal one.
    ///
    /// # Errors
    /// A sentence that names the offending value and what is allowed.
    pub fn parse(name: &str) -> Result<Hostname, String> {
        let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
        if Self::LENGTH.contains(&name.len())
            && name.starts_with(|c: char| c.is_ascii_alphanumeric())
            && name.chars().all(legal)
        {
            return Ok(Hostname(name.into()));
        }
        Err(format!(
            "'{}' is not a legal hostname: 2 to 63 of a-z A-Z 0-9 _ . - starting with a letter or digit",
            shown(name)
        ))
    }

    /// `server_<k>`, the name that the balancer gives when nobody chose one.
    pub fn numbered(k: usize) -> Hostname {
        Hostname(format!("server_{k}").into())
    }

    /// A new random name, `server_` and twelve hexadecimal digits.
    pub fn random(digits: u64) -> Hostname {
        Hostname(format!("server_{:012x}", digits & 0xffff_ffff_ffff).into())
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Hostname {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One running incarnation of a replica, as its launcher knows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Instance {
    /// What the launcher stops it by: the full container id, or a number that the launcher gave it.
    pub key: Arc<str>,
    /// Where it serves.
    pub address: SocketAddr,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_the_names_of_the_contract_and_nothing_else() {
        for good in ["S5", "server_1", "a-b.c_d", "0x", &"a".repeat(63)] {
            assert_eq!(Hostname::parse(good).unwrap().as_str(), good);
        }
        let long = "a".repeat(64);
        for bad in [
            "",
            "a",
            "-rm",
            "--privileged",
            "_a",
            ".a",
            "a b",
            "a;reboot",
            "$(id)",
            "a/b",
            "ä1",
            "a\nb",
            &long,
        ] {
            let error = Hostname::parse(bad).unwrap_err();
            assert!(error.contains("not a legal hostname"), "{bad:?}: {error}");
        }
    }

    #[test]
    fn names_that_we_make_are_legal() {
        for made in [
            Hostname::numbered(1),
            Hostname::numbered(usize::MAX),
            Hostname::random(0),
            Hostname::random(u64::MAX),
        ] {
            assert_eq!(Hostname::parse(made.as_str()), Ok(made));
        }
    }
}
