//! Signs tokens, as the identity provider of a deployment does.

use std::cell::Cell;
use std::fs;
use std::path::Path;

use anyhow::{Context, anyhow, ensure};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use ring::hmac;
use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject;
use serde_json::{Value, json};

/// Longer than any run.
const VALID_SECONDS: i64 = 24 * 3_600;
/// Of a secret, as the service asks for it.
const MIN_SECRET: usize = 32;

/// A key with what tokens say of their origin. It signs for everybody, so that it has no `Debug`.
pub struct Issuer {
    key: Key,
    issuer: String,
    audience: String,
    issued: Cell<u64>,
}

enum Key {
    EdDsa(Box<Ed25519KeyPair>),
    Hs256(hmac::Key),
}

impl Issuer {
    /// With a new key.
    pub fn new(issuer: &str, audience: &str) -> anyhow::Result<Self> {
        let pair = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new())
            .map_err(|_| anyhow!("no random numbers"))?;
        Ok(Self::with(eddsa(pair.as_ref())?, issuer, audience))
    }

    /// With the key in this file: a private key of Ed25519 as PEM (PKCS #8), or else the secret
    /// of HS256, as it is but for the end of its line.
    ///
    /// # Errors
    /// When there is neither in it.
    pub fn read(file: &Path, issuer: &str, audience: &str) -> anyhow::Result<Self> {
        let reading = || format!("the key of tokens in {}", file.display());
        let text = fs::read(file).with_context(reading)?;
        let key = if text.starts_with(b"-----BEGIN") {
            let pair = PrivatePkcs8KeyDer::from_pem_slice(&text).with_context(reading)?;
            eddsa(pair.secret_pkcs8_der()).with_context(reading)?
        } else {
            let secret = text.trim_ascii_end();
            ensure!(
                secret.len() >= MIN_SECRET,
                "{}: neither PEM nor a secret of {MIN_SECRET} bytes or more",
                reading()
            );
            Key::Hs256(hmac::Key::new(hmac::HMAC_SHA256, secret))
        };
        Ok(Self::with(key, issuer, audience))
    }

    fn with(key: Key, issuer: &str, audience: &str) -> Self {
        Self {
            key,
            issuer: issuer.to_owned(),
            audience: audience.to_owned(),
            issued: Cell::new(0),
        }
    }

    /// A token of a buyer. No two are the same.
    #[must_use]
    pub fn of_user(&self, user: &str) -> String {
        self.token("sub", &user.into())
    }

    /// A token with the role `agent`, who acts for every buyer.
    #[must_use]
    pub fn of_agent(&self) -> String {
        self.token("roles", &json!(["agent"]))
    }

    fn token(&self, claim: &str, value: &Value) -> String {
        let number = self.issued.replace(self.issued.get() + 1);
        let now = Timestamp::now().as_second();
        let algorithm = match &self.key {
            Key::EdDsa(_) => "EdDSA",
            Key::Hs256(_) => "HS256",
        };
        let header = json!({"alg": algorithm, "typ": "JWT"});
        let claims = json!({"iss": self.issuer, "aud": self.audience, "iat": now,
            "exp": now + VALID_SECONDS, "jti": number, claim: value});
        let encoded = |part: Value| URL_SAFE_NO_PAD.encode(part.to_string());
        let mut token = format!("{}.{}", encoded(header), encoded(claims));
        let signature = match &self.key {
            Key::EdDsa(key) => URL_SAFE_NO_PAD.encode(key.sign(token.as_bytes())),
            Key::Hs256(key) => URL_SAFE_NO_PAD.encode(hmac::sign(key, token.as_bytes())),
        };
        token.push('.');
        token.push_str(&signature);
        token
    }

    /// The JWKS with which the tokens are verified; no key in it for a secret.
    #[must_use]
    pub fn key_set(&self) -> String {
        let key = match &self.key {
            Key::EdDsa(pair) => {
                let public = URL_SAFE_NO_PAD.encode(pair.public_key());
                Some(json!({"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "x": public}))
            }
            Key::Hs256(_) => None,
        };
        json!({"keys": Vec::from_iter(key)}).to_string()
    }
}

fn eddsa(pkcs8: &[u8]) -> anyhow::Result<Key> {
    // Without the public key in it, as OpenSSL writes it, there is nothing to check.
    let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(pkcs8);
    let pair = pair.map_err(|wrong| anyhow!("no key of Ed25519: {wrong}"))?;
    Ok(Key::EdDsa(Box::new(pair)))
}

#[cfg(test)]
mod tests {
    use ring::signature::{ED25519, UnparsedPublicKey};
    use serde::Deserialize;
    use tempfile::TempDir;

    use super::*;

    /// As `openssl genpkey -algorithm ed25519` writes it: without the public key.
    const OPENSSL: &str = "-----BEGIN PRIVATE KEY-----\n\
        MC4CAQAwBQYDK2VwBCIEIOhmyE3WbK+Znd1WxAV5O9S5cRAkPAqy1Qij95W6Mc0s\n\
        -----END PRIVATE KEY-----\n";

    fn read(text: &str) -> anyhow::Result<Issuer> {
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("key");
        fs::write(&file, text).unwrap();
        Issuer::read(&file, "an issuer", "an audience")
    }

    fn decoded(part: &str) -> Vec<u8> {
        URL_SAFE_NO_PAD.decode(part).unwrap()
    }

    #[test]
    fn a_key_of_openssl_signs_tokens_of_users() {
        #[derive(Deserialize)]
        struct KeySet {
            keys: [Key; 1],
        }
        #[derive(Deserialize)]
        struct Key {
            x: String,
        }
        let issuer = read(OPENSSL).unwrap();
        let token = issuer.of_user("ada");
        let (message, signature) = token.rsplit_once('.').unwrap();
        let set: KeySet = serde_json::from_str(&issuer.key_set()).unwrap();
        UnparsedPublicKey::new(&ED25519, decoded(&set.keys[0].x))
            .verify(message.as_bytes(), &decoded(signature))
            .unwrap();
        let (_, claims) = message.split_once('.').unwrap();
        let claims: Value = serde_json::from_slice(&decoded(claims)).unwrap();
        assert_eq!(claims["sub"], "ada");
        assert_eq!(
            (&claims["iss"], &claims["aud"]),
            (&json!("an issuer"), &json!("an audience"))
        );
        assert_ne!(issuer.of_user("ada"), token);
    }

    #[test]
    fn a_file_without_a_key_is_no_secret() {
        let of_another_type = OPENSSL.replace("MC4CAQAwBQYDK2Vw", "MC4CAQAwBQYDK2Vu");
        let certificate = OPENSSL.replace("PRIVATE KEY", "CERTIFICATE");
        for wrong in ["", "short\n", &of_another_type, &certificate] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
