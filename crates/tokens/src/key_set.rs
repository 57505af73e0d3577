//! The keys that signatures are checked with.

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyOperations, PublicKeyUse};
use jsonwebtoken::{DecodingKey, DecodingKeyKind};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::Value;

use crate::Algorithm;

/// The most keys that a set may have: it bounds how many of them a token without `kid` is tried
/// with. Large providers have about ten.
pub(crate) const MAX_KEYS: usize = 32;

/// Why a text is not a set of keys.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeySetError {
    #[error("it is not a JWKS")]
    NotJwks(#[from] serde_json::Error),
    #[error("it has {0} keys; at most {MAX_KEYS} are allowed")]
    TooManyKeys(usize),
}

/// Keys, each for one algorithm.
#[derive(Debug)]
pub(crate) struct KeySet {
    keys: Vec<Key>,
    /// The keys that cannot be used, with their reasons.
    pub(crate) ignored: Vec<Ignored>,
}

#[derive(Debug)]
struct Key {
    id: Option<String>,
    algorithm: Algorithm,
    key: DecodingKey,
}

/// A key of a set that is not used.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Ignored {
    pub(crate) id: Option<String>,
    pub(crate) reason: &'static str,
}

impl KeySet {
    /// A set of secrets, each for every `kid`.
    pub(crate) fn of_secrets(secrets: &[SecretString]) -> Self {
        let keys = secrets.iter().map(|secret| Key {
            id: None,
            algorithm: Algorithm::Hs256,
            key: DecodingKey::from_secret(secret.expose_secret().as_bytes()),
        });
        Self {
            keys: keys.collect(),
            ignored: Vec::new(),
        }
    }

    /// The keys of a JWKS (RFC 7517) for the `accepted` algorithms. A key that cannot be used is
    /// ignored, as the RFC wants: a provider may add a type that this release does not know.
    pub(crate) fn parse(jwks: &[u8], accepted: &[Algorithm]) -> Result<Self, KeySetError> {
        #[derive(Deserialize)]
        struct Jwks {
            keys: Vec<Value>,
        }

        let Jwks { keys: entries } = serde_json::from_slice(jwks)?;
        if entries.len() > MAX_KEYS {
            return Err(KeySetError::TooManyKeys(entries.len()));
        }
        let (mut keys, mut ignored) = (Vec::new(), Vec::new());
        for entry in entries {
            let id = entry.get("kid").and_then(Value::as_str).map(str::to_owned);
            match usable(entry, accepted) {
                Ok((algorithm, key)) => keys.push(Key { id, algorithm, key }),
                Err(reason) => ignored.push(Ignored { id, reason }),
            }
        }
        Ok(Self { keys, ignored })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The keys that may have signed a token with this header. Where one side has no `kid`, the
    /// algorithm decides; several keys may have the same one.
    pub(crate) fn find<'a>(
        &'a self,
        algorithm: Algorithm,
        id: Option<&'a str>,
    ) -> impl Iterator<Item = &'a DecodingKey> {
        let is_meant = move |key: &&Key| {
            let has_id = match (key.id.as_deref(), id) {
                (Some(own), Some(wanted)) => own == wanted,
                _ => true,
            };
            key.algorithm == algorithm && has_id
        };
        self.keys.iter().filter(is_meant).map(|key| &key.key)
    }
}

/// The one algorithm of the key, by its type and never by what a token says.
fn usable(entry: Value, accepted: &[Algorithm]) -> Result<(Algorithm, DecodingKey), &'static str> {
    let jwk: Jwk =
        serde_json::from_value(entry).map_err(|_| "its type is unknown or it is invalid")?;
    let algorithm = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => Algorithm::Rs256,
        AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => {
            Algorithm::Es256
        }
        AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => {
            Algorithm::EdDsa
        }
        AlgorithmParameters::OctetKey(_) => return Err("it is a shared secret"),
        _ => return Err("its type or curve is not supported"),
    };
    let common = &jwk.common;
    let has_use = common.public_key_use.as_ref();
    let has_operations = common.key_operations.as_ref();
    if has_use.is_some_and(|of| *of != PublicKeyUse::Signature)
        || has_operations.is_some_and(|all| !all.contains(&KeyOperations::Verify))
    {
        return Err("it is not for verifying signatures");
    }
    let named = common.key_algorithm;
    if named.is_some_and(|named| named != algorithm.of_library().into())
        || !accepted.contains(&algorithm)
    {
        return Err("it is for an algorithm that is not accepted");
    }
    let key = DecodingKey::from_jwk(&jwk).map_err(|_| "it is invalid")?;
    match (algorithm, key.kind()) {
        (Algorithm::Rs256, DecodingKeyKind::RsaModulusExponent { n, .. })
            if !(2048..=8192).contains(&bits(n)) =>
        {
            Err("its modulus does not have 2048 to 8192 bits")
        }
        (Algorithm::Es256, DecodingKeyKind::SecretOrDer(point)) if point.len() != 65 => {
            Err("its point does not have the length of the curve")
        }
        (Algorithm::EdDsa, DecodingKeyKind::SecretOrDer(key)) if key.len() != 32 => {
            Err("it does not have the length of the curve")
        }
        _ => Ok((algorithm, key)),
    }
}

/// Of a number in big-endian bytes.
fn bits(number: &[u8]) -> usize {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    let first = number.get(zeros).map_or(0, |first| first.leading_zeros());
    (number.len() - zeros) * 8 - first as usize
}
