//! JWKS: whatever a provider publishes, a token is good only with the key that signed it.

use std::fs;
use std::sync::{Arc, LazyLock};

use crate::support::{FixedClock, RUNTIME, claims, message, rules};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{Ed25519KeyPair, KeyPair};
use tempfile::NamedTempFile;
use tokens::{Algorithm, Keys, Verifier};
use tokio_util::sync::CancellationToken;

static FILE: LazyLock<NamedTempFile> = LazyLock::new(|| NamedTempFile::new().unwrap());
static KEY: LazyLock<Ed25519KeyPair> =
    LazyLock::new(|| Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap());
static TOKEN: LazyLock<String> = LazyLock::new(|| {
    let message = message(r#"{"alg":"EdDSA","kid":"k"}"#, &claims());
    let signature = KEY.sign(message.as_bytes());
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
});

/// Tries the input.
pub fn run(jwks: &[u8]) {
    fs::write(FILE.path(), jwks).unwrap();
    let rules = rules(&[Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa]);
    let keys = Keys::File(FILE.path().to_owned());
    let stop = CancellationToken::new();
    RUNTIME.block_on(async {
        let started = Verifier::start(rules, keys, Arc::new(FixedClock), stop.clone()).await;
        if let Ok(verifier) = started
            && verifier.verify(&TOKEN).await.is_ok()
        {
            let public = URL_SAFE_NO_PAD.encode(KEY.public_key());
            let set: serde_json::Value = serde_json::from_slice(jwks).unwrap();
            let mut keys = set["keys"].as_array().unwrap().iter();
            assert!(
                keys.any(|key| key["x"] == *public && key["crv"] == "Ed25519"),
                "{set}"
            );
        }
    });
    stop.cancel();
}
