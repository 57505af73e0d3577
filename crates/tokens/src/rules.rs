//! What every token must satisfy, and where the keys come from.

use std::path::PathBuf;

use secrecy::{ExposeSecret, SecretString};
use url::Url;

use crate::StartError;

/// How tokens are signed. An algorithm has one type of key, so a key can't be used for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// HMAC with SHA-256 by a shared secret.
    Hs256,
    /// RSA (PKCS #1 v1.5) with SHA-256, 2048 to 8192 bits.
    Rs256,
    /// ECDSA on the curve P-256 with SHA-256.
    Es256,
    /// Ed25519.
    EdDsa,
}

impl Algorithm {
    /// Every algorithm.
    pub const ALL: [Self; 4] = [Self::Hs256, Self::Rs256, Self::Es256, Self::EdDsa];

    /// Its name in tokens, key sets (RFC 7518, section 3.1) and settings.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hs256 => "HS256",
            Self::Rs256 => "RS256",
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
        }
    }

    /// As `jsonwebtoken` has it.
    pub(crate) const fn of_library(self) -> jsonwebtoken::Algorithm {
        match self {
            Self::Hs256 => jsonwebtoken::Algorithm::HS256,
            Self::Rs256 => jsonwebtoken::Algorithm::RS256,
            Self::Es256 => jsonwebtoken::Algorithm::ES256,
            Self::EdDsa => jsonwebtoken::Algorithm::EdDSA,
        }
    }

    /// The algorithm of that name. Case matters.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|algorithm| algorithm.as_str() == name)
    }
}

/// What every token must satisfy.
#[derive(Debug, Clone)]
pub struct Rules {
    /// `iss` must be this.
    pub issuer: String,
    /// `aud` must be this or a list that has it.
    pub audience: String,
    /// The algorithms that are accepted, at least one: [`Algorithm::Hs256`] alone with
    /// [`Keys::Secrets`], any of the others with a key set.
    pub algorithms: Vec<Algorithm>,
    /// How far the clock of the issuer may be off, for `exp` and `nbf`.
    pub leeway_seconds: u32,
    /// The claim with the user's id: a string that [`domain::ids::UserId`] takes, or a number.
    pub user_claim: String,
    /// The claim with the roles: a list of strings, or a string with spaces between them.
    pub roles_claim: String,
    /// The claim with the class, `high` or `standard`.
    pub priority_claim: Option<String>,
}

/// Where the keys come from.
#[derive(Debug, Clone)]
pub enum Keys {
    /// Secrets of at least 32 bytes each, shared with the issuer (RFC 7518, section 3.2): the one
    /// that it signs with, and perhaps one that it signed with before.
    Secrets(Vec<SecretString>),
    /// A file with a JWKS (RFC 7517). It is read again while the process runs.
    File(PathBuf),
    /// A URL (`https`, or `http` in a network that can be trusted) that answers with a JWKS. It is
    /// asked again while the process runs.
    Url(Url),
}

/// A secret must not be shorter than the hash (RFC 7518, section 3.2).
const MIN_SECRET: usize = 32;

impl Keys {
    /// Whether they can be used, as far as that is known without looking for them.
    ///
    /// # Errors
    /// [`StartError::ShortSecret`], [`StartError::Url`].
    pub fn check(&self) -> Result<(), StartError> {
        match self {
            Self::Secrets(secrets) => {
                let mut lengths = secrets.iter().map(|secret| secret.expose_secret().len());
                if let Some(bytes) = lengths.find(|bytes| *bytes < MIN_SECRET) {
                    return Err(StartError::ShortSecret { bytes });
                }
            }
            Self::Url(url) => {
                let is_http = matches!(url.scheme(), "http" | "https");
                if !is_http || !url.username().is_empty() || url.password().is_some() {
                    return Err(StartError::Url);
                }
            }
            Self::File(_) => {}
        }
        Ok(())
    }

    /// Whether tokens of these algorithms, and of no other, can be verified with them.
    ///
    /// # Errors
    /// [`StartError::Algorithms`].
    pub fn check_algorithms(&self, algorithms: &[Algorithm]) -> Result<(), StartError> {
        let of_secret = matches!(self, Self::Secrets(_));
        let are_right = match algorithms {
            [] => false,
            [Algorithm::Hs256] => of_secret,
            several => !of_secret && !several.contains(&Algorithm::Hs256),
        };
        if are_right {
            return Ok(());
        }
        Err(StartError::Algorithms(if of_secret {
            "a secret verifies HS256 and no other algorithm"
        } else {
            "a key set verifies RS256, ES256 and EdDSA: name one of them or several, and no other \
             algorithm"
        }))
    }
}
