//! Why a token is refused, and why there is no verifier.

/// Why a token is refused. The texts are for clients: they have nothing of the token but the name
/// of a claim.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It is not a signed token: three parts in base64url, of which the first two are JSON objects
    /// without repeated members, with a known algorithm and without critical extensions (`crit`).
    #[error("the token cannot be read as a signed JWT")]
    Malformed,
    /// It is longer than [`crate::MAX_TOKEN_LENGTH`].
    #[error("the token is longer than {} bytes", crate::MAX_TOKEN_LENGTH)]
    TooLong,
    /// Its algorithm is known and not accepted.
    #[error("the token is signed with an algorithm that is not accepted")]
    Algorithm,
    /// No key of its algorithm has its `kid`. The keys were fetched again before, unless another
    /// unknown key led to that within a minute.
    #[error("the token is signed with an unknown key")]
    UnknownKey,
    /// The signature is wrong.
    #[error("the token's signature is wrong")]
    Signature,
    /// It has expired, leeway included.
    #[error("the token has expired")]
    Expired,
    /// It is valid later (`nbf`), leeway included.
    #[error("the token is not valid yet")]
    NotYetValid,
    /// Another issuer made it.
    #[error("the token is of another issuer")]
    Issuer,
    /// It is for another audience.
    #[error("the token is for another audience")]
    Audience,
    /// A claim is missing or has an unusable value.
    #[error("the token's claim `{name}` is missing or has an invalid value")]
    Claim {
        /// The claim's name.
        name: String,
    },
    /// There are no keys: the key set's URL has not answered since the process started, or the set
    /// has no key that can be used. The token may be good; later is worth a try.
    #[error("tokens cannot be verified now: the signing keys are not available")]
    KeysUnavailable,
}

impl TokenError {
    /// What each is called among operators' figures, by [`Self::index`].
    pub(crate) const NAMES: [&str; 11] = [
        "malformed",
        "too_long",
        "algorithm",
        "unknown_key",
        "signature",
        "expired",
        "not_yet_valid",
        "issuer",
        "audience",
        "claim",
        "keys_unavailable",
    ];

    /// The place in [`Self::NAMES`].
    pub(crate) const fn index(&self) -> usize {
        match self {
            Self::Malformed => 0,
            Self::TooLong => 1,
            Self::Algorithm => 2,
            Self::UnknownKey => 3,
            Self::Signature => 4,
            Self::Expired => 5,
            Self::NotYetValid => 6,
            Self::Issuer => 7,
            Self::Audience => 8,
            Self::Claim { .. } => 9,
            Self::KeysUnavailable => 10,
        }
    }
}

/// Why there is no verifier.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// [`crate::Rules::algorithms`] is empty, or has one that does not go with the keys.
    #[error("{0}")]
    Algorithms(&'static str),
    /// The secret is too short.
    #[error("the secret has {bytes} bytes; HS256 needs at least 32")]
    ShortSecret {
        /// The length of the secret, in bytes.
        bytes: usize,
    },
    /// The URL is neither `https` nor `http`, or has a user or a password.
    #[error("the key set's URL must begin with https:// or http:// and have no user")]
    Url,
    /// TLS is impossible.
    #[error("the key set's URL cannot be asked over TLS")]
    Tls(#[source] rustls::Error),
    /// This machine trusts no certificates.
    #[error(
        "this machine trusts no certificates: install its `ca-certificates`, or name a file with \
         certificates in SSL_CERT_FILE"
    )]
    NoCertificates,
    /// The file cannot be read, is not a JWKS, or has no key for the accepted algorithms.
    #[error("the file with the key set is of no use")]
    File(#[source] Box<dyn std::error::Error + Send + Sync>),
}
