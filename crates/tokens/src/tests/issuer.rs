//! Makes keys and tokens.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use domain::time::Timestamp;
use port_contracts::ManualClock;
use ring::hmac;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256,
    RsaKeyPair, RsaPublicKeyComponents,
};
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::current_keys::Pace;
use crate::key_source::KeySource;
use crate::{Algorithm, Keys, Rules, Verifier};

pub(crate) const NOW: i64 = 1_767_225_600;
pub(crate) const SECRET: &str = "a secret of the tests, 32 bytes or more";

enum Private {
    Secret(hmac::Key),
    Rsa(Box<RsaKeyPair>),
    P256(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

/// A private key.
pub(crate) struct TestKey {
    pub(crate) id: &'static str,
    pub(crate) algorithm: Algorithm,
    key: Private,
}

impl TestKey {
    /// A new key, but for RSA, which ring does not make.
    pub(crate) fn new(algorithm: Algorithm, id: &'static str) -> Self {
        let rng = SystemRandom::new();
        let key = match algorithm {
            Algorithm::Hs256 => return Self::hmac(SECRET.as_bytes(), id),
            Algorithm::Rs256 => Private::Rsa(Box::new(rsa())),
            Algorithm::Es256 => {
                let curve = &ECDSA_P256_SHA256_FIXED_SIGNING;
                let pkcs8 = EcdsaKeyPair::generate_pkcs8(curve, &rng).unwrap();
                Private::P256(EcdsaKeyPair::from_pkcs8(curve, pkcs8.as_ref(), &rng).unwrap())
            }
            Algorithm::EdDsa => {
                let pkcs8 = Ed25519KeyPair::generate_pkcs8(&rng).unwrap();
                Private::Ed25519(Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).unwrap())
            }
        };
        Self { id, algorithm, key }
    }

    pub(crate) fn hmac(secret: &[u8], id: &'static str) -> Self {
        Self {
            id,
            algorithm: Algorithm::Hs256,
            key: Private::Secret(hmac::Key::new(hmac::HMAC_SHA256, secret)),
        }
    }

    /// The public half, as a provider publishes it.
    pub(crate) fn jwk(&self) -> Value {
        let public = self.public();
        let mut jwk = match &self.key {
            Private::Secret(_) => panic!("a secret is not published"),
            Private::Rsa(pair) => {
                let RsaPublicKeyComponents::<Vec<u8>> { n, e } = pair.public_key().into();
                json!({"kty": "RSA", "n": encoded(n), "e": encoded(e)})
            }
            Private::P256(_) => {
                let (x, y) = public[1..].split_at(32);
                json!({"kty": "EC", "crv": "P-256", "x": encoded(x), "y": encoded(y)})
            }
            Private::Ed25519(_) => json!({"kty": "OKP", "crv": "Ed25519", "x": encoded(public)}),
        };
        jwk["kid"] = self.id.into();
        jwk["use"] = "sig".into();
        jwk["alg"] = self.algorithm.as_str().into();
        jwk
    }

    /// The bytes of the public half: PKCS #1 in DER for RSA, the point for the others.
    pub(crate) fn public(&self) -> Vec<u8> {
        match &self.key {
            Private::Secret(_) => panic!("a secret is not published"),
            Private::Rsa(pair) => pair.public_key().as_ref().to_vec(),
            Private::P256(pair) => pair.public_key().as_ref().to_vec(),
            Private::Ed25519(pair) => pair.public_key().as_ref().to_vec(),
        }
    }

    /// A token with these claims.
    pub(crate) fn token(&self, claims: &Value) -> String {
        let header = json!({"alg": self.algorithm.as_str(), "kid": self.id});
        self.sign(&header.to_string(), &claims.to_string())
    }

    /// A token of these texts.
    pub(crate) fn sign(&self, header: &str, claims: &str) -> String {
        let message = format!("{}.{}", encoded(header), encoded(claims));
        let signature = encoded(self.signature(message.as_bytes()));
        format!("{message}.{signature}")
    }

    fn signature(&self, message: &[u8]) -> Vec<u8> {
        let rng = SystemRandom::new();
        match &self.key {
            Private::Secret(key) => hmac::sign(key, message).as_ref().to_vec(),
            Private::Rsa(pair) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &rng, message, &mut signature)
                    .unwrap();
                signature
            }
            Private::P256(pair) => pair.sign(&rng, message).unwrap().as_ref().to_vec(),
            Private::Ed25519(pair) => pair.sign(message).as_ref().to_vec(),
        }
    }
}

fn rsa() -> RsaKeyPair {
    let pem = include_str!("rsa_test_key.pem");
    let base64 = pem
        .lines()
        .skip(2)
        .take_while(|line| !line.starts_with('-'));
    let pkcs8 = STANDARD.decode(base64.collect::<String>()).unwrap();
    RsaKeyPair::from_pkcs8(&pkcs8).unwrap()
}

pub(crate) fn encoded(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The claims of a buyer, for an hour.
pub(crate) fn buyer() -> Value {
    json!({"iss": "https://id.example", "aud": "tickets", "sub": "alice", "exp": NOW + 3_600})
}

/// [`buyer`] with another value of a claim; `null` removes it.
pub(crate) fn buyer_with(claim: &str, value: Value) -> Value {
    let mut claims = buyer();
    if value.is_null() {
        claims.as_object_mut().unwrap().remove(claim);
    } else {
        claims[claim] = value;
    }
    claims
}

pub(crate) fn rules(algorithms: &[Algorithm]) -> Rules {
    Rules {
        issuer: "https://id.example".to_owned(),
        audience: "tickets".to_owned(),
        algorithms: algorithms.to_vec(),
        leeway_seconds: 30,
        user_claim: "sub".to_owned(),
        roles_claim: "roles".to_owned(),
        priority_claim: None,
    }
}

pub(crate) fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::new(instant(NOW)))
}

pub(crate) fn instant(seconds: i64) -> Timestamp {
    Timestamp::from_micros(seconds * 1_000_000).unwrap()
}

pub(crate) fn jwks(keys: &[Value]) -> String {
    json!({ "keys": keys }).to_string()
}

/// Verifies what [`SECRET`] signs.
pub(crate) async fn of_secret(rules: Rules, clock: Arc<ManualClock>) -> Verifier {
    let keys = Keys::Secrets(vec![SecretString::from(SECRET)]);
    let stop = CancellationToken::new();
    Verifier::start(rules, keys, clock, stop).await.unwrap()
}

/// Verifies what these keys sign, and never looks for others.
pub(crate) async fn of_set(keys: &[Value]) -> Verifier {
    let pace = Pace {
        unknown_key: Pace::URL.refresh,
        ..Pace::URL
    };
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), jwks(keys)).unwrap();
    let source = KeySource::File(file.path().to_owned());
    let rules = rules(&[Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa]);
    let stop = CancellationToken::new();
    Verifier::start_at(pace, rules, source, clock(), stop)
        .await
        .unwrap()
}
