//! Identifiers of shows and users.

use std::fmt;

use smol_str::{SmolStr, ToSmolStr, format_smolstr};

/// The longest identifier, in characters.
pub const MAX_ID_LENGTH: usize = 64;

/// How the alias of an erased user begins.
const ALIAS: &str = "erased-";

/// Why a text is not an identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// The text is empty.
    #[error("must not be empty; give 1 to {MAX_ID_LENGTH} characters")]
    Empty,
    /// The text is longer than [`MAX_ID_LENGTH`].
    #[error("has {length} characters; at most {MAX_ID_LENGTH} are allowed")]
    TooLong {
        /// Length of the refused text, in characters.
        length: usize,
    },
    /// A path with `.` or `..` as a segment means another path (RFC 3986, section 5.2.4), so
    /// nobody could ask for what has such an identifier.
    #[error("must not be . or .., which mean something else in a path")]
    DotSegment,
    /// It begins like the alias of an erased user.
    #[error("must not begin with {ALIAS}, which stands for users who were erased")]
    Alias,
    /// A character is outside of `A-Za-z0-9._~-`.
    #[error("contains {character:?}; only A-Z a-z 0-9 . _ ~ - are allowed")]
    BadCharacter {
        /// The first character that is not allowed.
        character: char,
    },
}

/// The characters that RFC 3986 calls unreserved: an identifier made of them
/// stands in a URL, a header or a queue name without escaping.
fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'~' | b'-')
}

fn validated(text: &str) -> Result<SmolStr, IdError> {
    if text.is_empty() {
        return Err(IdError::Empty);
    }
    if let Some(character) = text
        .chars()
        .find(|c| !u8::try_from(*c).is_ok_and(is_unreserved))
    {
        return Err(IdError::BadCharacter { character });
    }
    if text.len() > MAX_ID_LENGTH {
        return Err(IdError::TooLong { length: text.len() });
    }
    Ok(SmolStr::new(text))
}

macro_rules! identifier {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(SmolStr);

        impl $name {
            /// Takes 1 to 64 characters of `A-Za-z0-9._~-`, but neither `.` nor `..`.
            ///
            /// # Errors
            /// [`IdError`] says what is wrong with the text.
            pub fn new(text: &str) -> Result<Self, IdError> {
                if matches!(text, "." | "..") {
                    return Err(IdError::DotSegment);
                }
                Self::stored(text)
            }

            /// What this service wrote itself, in a row, a message or a page's cursor: earlier
            /// releases took `.` and `..`, too, and what has such an identifier stays readable.
            ///
            /// # Errors
            /// Like [`Self::new`], without [`IdError::DotSegment`].
            pub fn stored(text: &str) -> Result<Self, IdError> {
                validated(text).map(Self)
            }

            /// The identifier as it was given.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        /// A number stands for its decimal string.
        impl From<u64> for $name {
            fn from(number: u64) -> Self {
                Self(number.to_smolstr())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.0)
            }
        }
    };
}

identifier!(
    /// Names a show.
    ShowId
);
identifier!(
    /// Names a user.
    UserId
);

impl UserId {
    /// Like [`Self::new`], for a user who may be a new one: nobody is to look like an erased user.
    ///
    /// # Errors
    /// [`IdError::Alias`], too.
    pub fn of_new(text: &str) -> Result<Self, IdError> {
        if text.starts_with(ALIAS) {
            return Err(IdError::Alias);
        }
        Self::new(text)
    }

    /// Stands for a user who was erased, and says nothing of whom: `erased-` and 32 digits of a
    /// random number.
    #[must_use]
    pub fn alias(random: u128) -> Self {
        Self(format_smolstr!("{ALIAS}{random:032x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_every_allowed_character_and_length() {
        for text in ["1", "230920", "Az09._~-", &"x".repeat(64)] {
            assert_eq!(ShowId::new(text).unwrap().as_str(), text);
        }
        assert_eq!(UserId::from(1), UserId::new("1").unwrap());
        assert_eq!(UserId::from(u64::MAX).as_str(), "18446744073709551615");
    }

    /// It stays readable and can be asked for.
    #[test]
    fn a_new_user_is_not_called_like_an_erased_one() {
        let alias = UserId::alias(7);
        assert_eq!(UserId::of_new(alias.as_str()), Err(IdError::Alias));
        assert_eq!(UserId::of_new("erased-ada"), Err(IdError::Alias));
        assert_eq!(UserId::of_new("erased").unwrap().as_str(), "erased");
        assert_eq!(UserId::new(alias.as_str()), Ok(alias.clone()));
        assert_eq!(UserId::stored(alias.as_str()), Ok(alias));
    }

    #[test]
    fn refuses_empty_overlong_and_foreign_characters() {
        assert_eq!(ShowId::new(""), Err(IdError::Empty));
        assert_eq!(
            ShowId::new(&"x".repeat(65)),
            Err(IdError::TooLong { length: 65 })
        );
        for text in [".", ".."] {
            assert_eq!(ShowId::new(text), Err(IdError::DotSegment));
            assert_eq!(ShowId::stored(text).unwrap().as_str(), text);
            assert_eq!(UserId::new(text), Err(IdError::DotSegment));
        }
        assert_eq!(ShowId::new("...").unwrap().as_str(), "...");
        for (text, character) in [("a b", ' '), ("a/b", '/'), ("é", 'é'), ("a\n", '\n')] {
            assert_eq!(ShowId::new(text), Err(IdError::BadCharacter { character }));
        }
    }
}
