//! Why a caller has not proved who it is.

use tokens::TokenError;

/// Why a caller has not proved who it is.
#[derive(Debug)]
pub(crate) enum Unproved {
    /// Administration needs `admin.token`, and nobody else has to prove anything.
    NoAdminToken,
    /// There is no token.
    NoToken,
    /// The header is there and is not one bearer token.
    NotOneBearer,
    /// The token is not valid, or not known to be.
    Token(TokenError),
    /// The ticket for a stream is not valid.
    LiveTicket,
}

impl Unproved {
    /// Whether the token could not be verified, whatever it is.
    pub(super) const fn is_our_fault(&self) -> bool {
        matches!(self, Self::Token(TokenError::KeysUnavailable))
    }

    /// What the client can do.
    pub(super) fn detail(&self) -> String {
        let detail = match self {
            Self::NoAdminToken => {
                "Administration needs the header Authorization: Bearer <admin.token>."
            }
            Self::NoToken => "Send the header Authorization: Bearer <token>.",
            Self::NotOneBearer => {
                "The header Authorization must be there once, as Bearer and a token."
            }
            Self::Token(error) if self.is_our_fault() => {
                return format!("{error}. Try again later.");
            }
            Self::Token(error) => return format!("{error}. Get a new token."),
            Self::LiveTicket => {
                "The ticket in the query is over, was used, or was not issued here. Get a new one \
                 by POST /live-tickets."
            }
        };
        detail.to_owned()
    }

    /// RFC 6750, section 3: without a token the answer names no error.
    pub(super) const fn challenge(&self) -> &'static str {
        match self {
            Self::NoAdminToken => "Bearer realm=\"administration\"",
            Self::NoToken => "Bearer realm=\"tickets\"",
            Self::NotOneBearer => "Bearer realm=\"tickets\", error=\"invalid_request\"",
            Self::Token(_) | Self::LiveTicket => {
                "Bearer realm=\"tickets\", error=\"invalid_token\""
            }
        }
    }
}
