//! Which keys of a set are used.

use serde_json::{Value, json};

use super::issuer::{TestKey, buyer, encoded, jwks, of_set};
use crate::key_set::{KeySet, KeySetError, MAX_KEYS};
use crate::{Algorithm, TokenError};

const ALL: [Algorithm; 3] = [Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa];

/// The key with other members; `null` removes one.
fn changed(key: &TestKey, members: Value) -> Value {
    let mut jwk = key.jwk();
    for (name, value) in members.as_object().unwrap() {
        match value {
            Value::Null => _ = jwk.as_object_mut().unwrap().remove(name),
            _ => jwk[name] = value.clone(),
        }
    }
    jwk
}

fn reason(jwk: &Value, accepted: &[Algorithm]) -> Option<&'static str> {
    let set = KeySet::parse(jwks(std::slice::from_ref(jwk)).as_bytes(), accepted).unwrap();
    assert_eq!(set.is_empty(), !set.ignored.is_empty());
    set.ignored.first().map(|ignored| ignored.reason)
}

#[test]
fn keys_that_cannot_be_used_are_ignored_with_a_reason() {
    let [rsa, ec, ed] = ALL.map(|algorithm| TestKey::new(algorithm, "1"));
    for key in [&rsa, &ec, &ed] {
        assert_eq!(reason(&key.jwk(), &ALL), None);
        let sparse = changed(key, json!({"use": null, "alg": null, "kid": null}));
        assert_eq!(reason(&sparse, &ALL), None);
        let for_this = changed(key, json!({"key_ops": ["verify", "other"], "x-own": [1]}));
        assert_eq!(reason(&for_this, &ALL), None);
    }
    let bits = |number: Vec<u8>| json!({"n": encoded(number)});
    let small = bits([vec![0x7f], vec![0xff; 255]].concat());
    let large = bits(vec![0xff; 1_025]);
    let zeros = bits([vec![0; 128], vec![0xff; 255]].concat());
    let size = "its modulus does not have 2048 to 8192 bits";
    let other_use = "it is not for verifying signatures";
    let other_algorithm = "it is for an algorithm that is not accepted";
    let curve = "its type or curve is not supported";
    let invalid = "its type is unknown or it is invalid";
    for (key, members, why) in [
        (&rsa, small, size),
        (&rsa, large, size),
        (&rsa, zeros, size),
        (&rsa, json!({"n": "!"}), "it is invalid"),
        (&rsa, json!({"alg": "PS256"}), other_algorithm),
        (&rsa, json!({"alg": "RSA-OAEP"}), other_algorithm),
        (&rsa, json!({"alg": "ES256"}), other_algorithm),
        (&rsa, json!({"alg": "HS256"}), other_algorithm),
        (&ec, json!({"alg": "new"}), other_algorithm),
        (&rsa, json!({"use": "enc"}), other_use),
        (&ec, json!({"use": "other"}), other_use),
        (&ed, json!({"key_ops": ["sign"]}), other_use),
        (&ed, json!({"key_ops": []}), other_use),
        (
            &ed,
            json!({"use": "sig", "key_ops": ["encrypt"]}),
            other_use,
        ),
        (&ec, json!({"crv": "P-384"}), curve),
        (&ec, json!({"crv": "Ed25519"}), curve),
        (&ed, json!({"crv": "P-256"}), curve),
        (&ed, json!({"kty": "AKP"}), curve),
        (&ed, json!({"kty": null}), curve),
        (
            &ec,
            json!({"x": encoded([1; 31])}),
            "its point does not have the length of the curve",
        ),
        (
            &ed,
            json!({"x": encoded([1; 31])}),
            "it does not have the length of the curve",
        ),
        (&ed, json!({"kid": 5}), invalid),
        (&ed, json!({"use": 5}), invalid),
    ] {
        let jwk = changed(key, members);
        assert_eq!(reason(&jwk, &ALL), Some(why), "{jwk}");
    }
    assert_eq!(
        reason(&rsa.jwk(), &[Algorithm::Es256]),
        Some(other_algorithm)
    );
    let secret = json!({"kty": "oct", "k": encoded([1; 64]), "alg": "HS256"});
    let everything = Algorithm::ALL;
    assert_eq!(reason(&secret, &everything), Some("it is a shared secret"));
    assert_eq!(reason(&json!(5), &ALL), Some(invalid));
}

#[test]
fn one_bad_key_does_not_spoil_the_others() {
    let key = TestKey::new(Algorithm::EdDsa, "good");
    let set = jwks(&[
        json!({"kty": "future", "kid": "new"}),
        key.jwk(),
        json!(null),
    ]);
    let set = KeySet::parse(set.as_bytes(), &ALL).unwrap();
    assert_eq!(set.find(Algorithm::EdDsa, Some("good")).count(), 1);
    assert_eq!(set.ignored.len(), 2);
    assert_eq!(set.ignored[0].id.as_deref(), Some("new"));
}

#[test]
fn what_is_not_a_set_is_an_error() {
    for text in [
        "",
        "{}",
        "[]",
        r#"{"keys":{}}"#,
        r#"{"keys":null}"#,
        "<html>",
        "{\"keys\":[]",
    ] {
        let error = KeySet::parse(text.as_bytes(), &ALL).unwrap_err();
        assert!(matches!(error, KeySetError::NotJwks(_)), "{text}");
    }
    let jwk = TestKey::new(Algorithm::EdDsa, "1").jwk();
    let most = vec![jwk; MAX_KEYS + 1];
    assert!(KeySet::parse(jwks(&most[1..]).as_bytes(), &ALL).is_ok());
    let error = KeySet::parse(jwks(&most).as_bytes(), &ALL).unwrap_err();
    assert!(matches!(error, KeySetError::TooManyKeys(33)));
}

#[tokio::test]
async fn keys_without_an_id_and_with_the_same_id_are_all_tried() {
    let [a, b, c] = ["same", "same", "gone"].map(|id| TestKey::new(Algorithm::EdDsa, id));
    let verifier = of_set(&[a.jwk(), b.jwk()]).await;
    for key in [&a, &b] {
        assert!(verifier.verify(&key.token(&buyer())).await.is_ok());
        let nameless = key.sign(r#"{"alg":"EdDSA"}"#, &buyer().to_string());
        assert!(verifier.verify(&nameless).await.is_ok());
    }
    assert_eq!(
        verifier.verify(&c.token(&buyer())).await,
        Err(TokenError::UnknownKey)
    );
    let stranger = c.sign(r#"{"alg":"EdDSA"}"#, &buyer().to_string());
    assert_eq!(verifier.verify(&stranger).await, Err(TokenError::Signature));

    let nameless = changed(&a, json!({"kid": null}));
    let verifier = of_set(&[nameless, changed(&b, json!({"kid": null}))]).await;
    for key in [&a, &b] {
        assert!(verifier.verify(&key.token(&buyer())).await.is_ok());
    }
}
