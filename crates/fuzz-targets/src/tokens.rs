//! Bearer tokens: only what the key has signed stands for somebody, and for whom its claims say.
//!
//! An input with a line break is a header and claims, to be signed; any other is a token.

use std::sync::{Arc, LazyLock};

use crate::support::{AUDIENCE, FixedClock, ISSUER, NOW_SECONDS, RUNTIME, SECRET, rules, signed};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::time::Timestamp;
use ring::hmac;
use serde_json::Value;
use tokens::{Algorithm, Keys, Verifier};
use tokio_util::sync::CancellationToken;

static VERIFIER: LazyLock<Verifier> = LazyLock::new(|| {
    let (rules, keys) = (
        rules(&[Algorithm::Hs256]),
        Keys::Secrets(vec![SECRET.into()]),
    );
    let starting = Verifier::start(rules, keys, Arc::new(FixedClock), CancellationToken::new());
    RUNTIME.block_on(starting).unwrap()
});

/// Tries the input.
pub fn run(input: &[u8]) {
    let Ok(input) = str::from_utf8(input) else {
        return;
    };
    let token = match input.split_once('\n') {
        Some((header, claims)) => signed(header, claims),
        None => input.to_owned(),
    };
    let verified = RUNTIME.block_on(VERIFIER.verify(&token));
    let Ok(identity) = verified else { return };
    let (message, signature) = token.rsplit_once('.').unwrap();
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    hmac::verify(&key, message.as_bytes(), &signature).unwrap();
    let (header, claims) = message.split_once('.').unwrap();
    let [header, claims] = [header, claims].map(|part| {
        let part = URL_SAFE_NO_PAD.decode(part).unwrap();
        serde_json::from_slice::<Value>(&part).unwrap()
    });
    assert_eq!(header["alg"], "HS256");
    assert!(header.get("crit").is_none());
    let names = |claim: &Value, name: &str| match claim {
        Value::Array(names) => names.iter().any(|one| one == name),
        one => one == name,
    };
    assert!(
        names(&claims["iss"], ISSUER) && names(&claims["aud"], AUDIENCE),
        "{claims}"
    );
    let earliest = NOW_SECONDS - rules(&[]).leeway_seconds;
    assert!(claims["exp"].as_f64().unwrap() > f64::from(earliest));
    assert!(identity.expires_at > Timestamp::MIN.plus_seconds(NOW_SECONDS));
    match (&identity.user, &claims["sub"]) {
        (Some(user), Value::String(said)) => assert_eq!(user.as_str(), said),
        (Some(user), Value::Number(said)) => assert_eq!(user.as_str(), said.to_string()),
        (None, Value::Null) => assert!(identity.roles.any()),
        differing => panic!("{differing:?}"),
    }
    // No other text is the same token.
    let changed = |at: usize, sign: &str| {
        let mut token = token.clone();
        token.replace_range(at..=at, sign);
        RUNTIME.block_on(VERIFIER.verify(&token))
    };
    for at in [
        token.len() - 1,
        token.len() - 2,
        message.len() + 1,
        header.to_string().len(),
    ] {
        if let Some(is) = token.get(at..=at) {
            for sign in ["A", "B", "-", "."] {
                assert!(
                    sign == is || changed(at, sign).is_err(),
                    "{token} {at} {sign}"
                );
            }
        }
    }
}
