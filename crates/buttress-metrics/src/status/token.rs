//! The token of those who may give commands.

use std::fmt;
use std::hint::black_box;
use std::sync::Arc;

/// How many characters a token has at least: as many as nobody tries out.
pub(super) const SHORTEST: usize = 16;

/// A token. It is not shown.
#[derive(Clone)]
pub(crate) struct Token(Arc<str>);

impl Token {
    pub(super) fn new(token: &str) -> Result<Self, TokenError> {
        if let Some(found) = token.chars().find(|char| !char.is_ascii_graphic()) {
            return Err(TokenError::Unsendable(found));
        }
        if token.len() < SHORTEST {
            return Err(TokenError::TooShort(token.len()));
        }
        Ok(Self(token.into()))
    }

    /// Looks at every byte, so that the time it takes does not tell how many were right.
    pub(super) fn is(&self, given: &[u8]) -> bool {
        let token = self.0.as_bytes();
        let bytes = given.iter().zip(token);
        let differ = bytes.fold(0, |differ, (one, other)| black_box(differ | (one ^ other)));
        black_box(differ) == 0 && given.len() == token.len()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

/// Why a token is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TokenError {
    /// It has only so many characters.
    TooShort(usize),
    /// It has this character, which cannot be sent in a header.
    Unsendable(char),
}

impl fmt::Display for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooShort(found) => write!(
                f,
                "the token has {found} characters; take a random text of at least {SHORTEST}"
            ),
            Self::Unsendable(found) => write!(
                f,
                "the token has the character {found:?}; take letters, digits and ASCII punctuation without spaces"
            ),
        }
    }
}

impl std::error::Error for TokenError {}

#[cfg(test)]
mod tests {
    use super::{Token, TokenError};

    #[test]
    fn only_the_same_token_is_it() {
        let token = Token::new("0123456789abcdef").unwrap();
        assert!(token.is(b"0123456789abcdef"));
        for other in [
            "",
            "0123456789abcde",
            "0123456789abcdef0",
            "0123456789abcdeF",
        ] {
            assert!(!token.is(other.as_bytes()), "{other}");
        }
        assert_eq!(format!("{token:?}"), "Token");
    }

    #[test]
    fn tokens_that_are_guessed_or_cannot_be_sent_are_refused() {
        let error = |token| Token::new(token).unwrap_err();
        assert_eq!(error(""), TokenError::TooShort(0));
        assert_eq!(error("0123456789abcde"), TokenError::TooShort(15));
        assert_eq!(error("0123456789 abcdef"), TokenError::Unsendable(' '));
        assert_eq!(error("0123456789ä0123456"), TokenError::Unsendable('ä'));
        assert!(error("short").to_string().contains("at least 16"));
    }
}
