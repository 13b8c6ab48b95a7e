//! The token: compared in a time that does not tell how much of it was right, and never shown.

use std::fmt;
use std::hint::black_box;

/// Shortest token: at a million tries a second one of sixteen hexadecimal digits, chosen at random, is found in
/// 300,000 years on average.
const SHORTEST: usize = 16;

/// Longest token; more would not fit into a head along with everything else.
const LONGEST: usize = 1024;

/// What admin requests must bring. It cannot be compared with `==`, which would take the longer the more of it is right:
///
/// ```compile_fail,E0369
/// # use ringmaster::admin::Token;
/// # let (one, other) = (Token::new("0123456789abcdef").unwrap(), Token::new("0123456789abcdef").unwrap());
/// one == other
/// # ;
/// ```
#[derive(Clone)]
pub struct Token(Box<str>);

impl Token {
    /// Takes a token of 16 to 1,024 printable ASCII characters without spaces.
    ///
    /// # Errors
    /// What is wrong with it, without saying it.
    pub fn new(text: &str) -> Result<Token, String> {
        if !(SHORTEST..=LONGEST).contains(&text.len()) {
            return Err(format!("has {} characters, {SHORTEST} to {LONGEST} are allowed", text.len()));
        }
        match text.bytes().all(|byte| byte.is_ascii_graphic()) {
            true => Ok(Token(text.into())),
            false => Err("holds other than printable ASCII characters".to_owned()),
        }
    }

    /// Whether `given` is the token. How long that takes depends on the length of what is given, which who asks knows.
    pub(super) fn matches(&self, given: &[u8]) -> bool {
        let own = self.0.as_bytes();
        let mut different = u8::from(own.len() != given.len());
        for (at, byte) in given.iter().enumerate() {
            // Every byte of what is given is compared with one of ours, whatever came before.
            different |= black_box(byte ^ own[at % own.len()]);
        }
        black_box(different) == 0
    }

    /// The token itself, to be sent.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_token_matches() {
        let text = "0123456789abcdef";
        let token = Token::new(text).unwrap();
        assert!(token.matches(text.as_bytes()));
        let doubled = text.repeat(2);
        for wrong in ["", "0", "0123456789abcde", "0123456789abcdeF", "X123456789abcdef", doubled.as_str()] {
            assert!(!token.matches(wrong.as_bytes()), "{wrong}");
        }
    }

    #[test]
    fn a_token_is_long_and_plain_and_never_shown() {
        for wrong in ["short", "with a space in the middle", "0123456789abcde\n", "0123456789abcdeü"] {
            let why = Token::new(wrong).unwrap_err();
            assert!(!why.contains(wrong), "{why}");
        }
        assert!(Token::new(&"x".repeat(1025)).is_err());
        assert_eq!(format!("{:?}", Token::new("0123456789abcdef").unwrap()), "Token(…)");
    }
}
