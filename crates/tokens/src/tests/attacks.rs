//! Tokens that must be refused, and why.

use serde_json::json;

use super::issuer::{
    NOW, SECRET, TestKey, buyer, buyer_with, clock, encoded, of_secret, of_set, rules,
};
use crate::{Algorithm, MAX_TOKEN_LENGTH, TokenError};

const PUBLIC: [Algorithm; 3] = [Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa];

#[tokio::test]
async fn a_good_token_is_verified_and_then_known() {
    let keys = PUBLIC.map(|algorithm| TestKey::new(algorithm, algorithm.as_str()));
    let verifier = of_set(&[keys[0].jwk(), keys[1].jwk(), keys[2].jwk()]).await;
    for key in &keys {
        let token = key.token(&buyer());
        assert_eq!(verifier.known(&token), None);
        let identity = verifier.verify(&token).await.unwrap();
        assert_eq!(identity.user.as_ref().unwrap().as_str(), "alice");
        assert_eq!(verifier.known(&token), Some(identity));
    }
    let verifier = of_secret(rules(&[Algorithm::Hs256]), clock()).await;
    let token = TestKey::new(Algorithm::Hs256, "any").token(&buyer());
    assert!(verifier.verify(&token).await.is_ok());
    assert!(verifier.known(&token).is_some());
}

#[tokio::test]
async fn a_token_without_a_signature_is_refused() {
    let key = TestKey::new(Algorithm::EdDsa, "1");
    let verifier = of_set(&[key.jwk()]).await;
    for none in ["none", "None", "NONE", "nOnE", ""] {
        let header = json!({"alg": none, "kid": "1"}).to_string();
        let signed = key.sign(&header, &buyer().to_string());
        let (message, _) = signed.rsplit_once('.').unwrap();
        for token in [format!("{message}."), message.to_owned(), signed.clone()] {
            assert_eq!(
                verifier.verify(&token).await,
                Err(TokenError::Malformed),
                "{none}"
            );
        }
    }
    let token = key.token(&buyer());
    let (message, _) = token.rsplit_once('.').unwrap();
    let unsigned = format!("{message}.");
    assert_eq!(verifier.verify(&unsigned).await, Err(TokenError::Signature));
}

#[tokio::test]
async fn a_public_key_is_no_hmac_secret() {
    let keys = PUBLIC.map(|algorithm| TestKey::new(algorithm, "1"));
    for key in &keys {
        let verifier = of_set(&[key.jwk()]).await;
        let der = key.public();
        let pem = format!(
            "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
            encoded(&der)
        );
        for secret in [&der[..], pem.as_bytes(), key.jwk().to_string().as_bytes()] {
            let token = TestKey::hmac(secret, "1").token(&buyer());
            assert_eq!(verifier.verify(&token).await, Err(TokenError::Algorithm));
        }
    }
}

#[tokio::test]
async fn the_header_chooses_no_algorithm_and_no_key() {
    let keys = PUBLIC.map(|algorithm| TestKey::new(algorithm, algorithm.as_str()));
    let verifier = of_set(&[keys[0].jwk(), keys[1].jwk(), keys[2].jwk()]).await;
    for key in &keys {
        for other in PUBLIC {
            let header = json!({"alg": other.as_str(), "kid": key.id}).to_string();
            let token = key.sign(&header, &buyer().to_string());
            let expected = (other != key.algorithm).then_some(TokenError::UnknownKey);
            assert_eq!(verifier.verify(&token).await.err(), expected);
        }
    }
    // The attacker's own key, in the header.
    let own = TestKey::new(Algorithm::EdDsa, Algorithm::EdDsa.as_str());
    let header = json!({"alg": "EdDSA", "kid": own.id, "jwk": own.jwk(), "jku": "http://evil"});
    let token = own.sign(&header.to_string(), &buyer().to_string());
    assert_eq!(verifier.verify(&token).await, Err(TokenError::Signature));
    // Known algorithms that were not configured.
    for other in ["HS256", "HS384", "RS384", "PS256", "ES384"] {
        let header = json!({"alg": other, "kid": "RS256"}).to_string();
        let token = keys[0].sign(&header, &buyer().to_string());
        assert_eq!(
            verifier.verify(&token).await,
            Err(TokenError::Algorithm),
            "{other}"
        );
    }
}

#[tokio::test]
async fn only_configured_algorithms_are_accepted() {
    let verifier = of_secret(rules(&[Algorithm::Hs256]), clock()).await;
    let key = TestKey::new(Algorithm::EdDsa, "1");
    let token = key.token(&buyer());
    assert_eq!(verifier.verify(&token).await, Err(TokenError::Algorithm));
    let wrong = TestKey::hmac(&SECRET.as_bytes()[1..], "1").token(&buyer());
    assert_eq!(verifier.verify(&wrong).await, Err(TokenError::Signature));
}

#[tokio::test]
async fn a_changed_byte_anywhere_is_found() {
    for algorithm in PUBLIC {
        let key = TestKey::new(algorithm, "1");
        let verifier = of_set(&[key.jwk()]).await;
        let token = key.token(&buyer());
        assert!(verifier.verify(&token).await.is_ok());
        for at in 0..token.len() {
            let mut changed = token.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert!(
                verifier.verify(&changed).await.is_err(),
                "{algorithm:?}, byte {at}"
            );
            assert_eq!(verifier.known(&changed), None);
        }
    }
}

#[tokio::test]
async fn what_is_not_a_token_is_refused() {
    let key = TestKey::new(Algorithm::EdDsa, "1");
    let verifier = of_set(&[key.jwk()]).await;
    let good = key.token(&buyer());
    let header = r#"{"alg":"EdDSA","kid":"1"}"#;
    let claims = buyer().to_string();
    let padded = good.replacen('.', "=.", 1);
    let deep = format!(r#"{{"a":{}{}}}"#, "[".repeat(1_500), "]".repeat(1_500));
    let cases = [
        String::new(),
        ".".to_owned(),
        "..".to_owned(),
        "...".to_owned(),
        format!("{good}."),
        format!("{good}.."),
        format!(".{good}"),
        format!("{good} "),
        format!(" {good}"),
        good.replace('.', " ."),
        padded,
        "not base64!.not base64!.not base64!".to_owned(),
        "é.é.é".to_owned(),
        key.sign("[]", &claims),
        key.sign("{}", &claims),
        key.sign(r#"{"alg":5}"#, &claims),
        key.sign("\u{feff}{}", &claims),
        key.sign(&deep, &claims),
        key.sign(header, &deep),
        key.sign(header, ""),
        key.sign(header, "[]"),
        key.sign(header, "\"sub\""),
        key.sign(header, "null"),
        key.sign(header, &format!("{claims}{claims}")),
        key.sign(header, r#"{"exp":1e999}"#),
        // RFC 7515, section 4.1.11: an extension that is not understood.
        key.sign(
            r#"{"alg":"EdDSA","kid":"1","crit":["exp"],"exp":1}"#,
            &claims,
        ),
        key.sign(
            r#"{"alg":"EdDSA","kid":"1","crit":["b64"],"b64":false}"#,
            &claims,
        ),
        key.sign(r#"{"alg":"EdDSA","kid":"1","crit":[]}"#, &claims),
    ];
    for token in &cases {
        assert_eq!(
            verifier.verify(token).await,
            Err(TokenError::Malformed),
            "{token}"
        );
    }
}

#[tokio::test]
async fn repeated_members_are_refused() {
    let key = TestKey::new(Algorithm::EdDsa, "1");
    let verifier = of_set(&[key.jwk()]).await;
    let claims = buyer().to_string();
    for header in [
        r#"{"alg":"EdDSA","alg":"EdDSA","kid":"1"}"#,
        r#"{"alg":"none","alg":"EdDSA","kid":"1"}"#,
        r#"{"alg":"EdDSA","kid":"2","kid":"1"}"#,
        r#"{"alg":"EdDSA","kid":"1","\u0061lg":"none"}"#,
    ] {
        let token = key.sign(header, &claims);
        assert_eq!(
            verifier.verify(&token).await,
            Err(TokenError::Malformed),
            "{header}"
        );
    }
    for member in [
        r#""sub":"bob""#,
        r#""\u0073ub":"bob""#,
        r#""iss":"https://id.example""#,
        r#""aud":"others""#,
        r#""exp":9"#,
        r#""roles":"operator","roles":"""#,
        r#""unused":1,"unused":1"#,
    ] {
        let repeated = claims.replacen('{', &format!("{{{member},"), 1);
        let token = key.sign(r#"{"alg":"EdDSA","kid":"1"}"#, &repeated);
        assert_eq!(
            verifier.verify(&token).await,
            Err(TokenError::Malformed),
            "{member}"
        );
    }
}

#[tokio::test]
async fn a_long_token_is_not_looked_at() {
    let key = TestKey::new(Algorithm::EdDsa, "1");
    let verifier = of_set(&[key.jwk()]).await;
    let of_length = |filling: usize| key.token(&buyer_with("x", "x".repeat(filling).into()));
    let shortest = of_length(0).len();
    let longest = (MAX_TOKEN_LENGTH - shortest) / 4 * 3;
    let (good, long) = (of_length(longest), of_length(longest + 5));
    assert!(good.len() <= MAX_TOKEN_LENGTH && long.len() > MAX_TOKEN_LENGTH);
    assert!(verifier.verify(&good).await.is_ok());
    assert_eq!(verifier.verify(&long).await, Err(TokenError::TooLong));
    assert_eq!(verifier.known(&long), None);
}

#[tokio::test]
async fn times_have_a_leeway_to_the_microsecond() {
    let key = TestKey::new(Algorithm::Hs256, "1");
    let clock = clock();
    let verifier = of_secret(rules(&[Algorithm::Hs256]), clock.clone()).await;
    let instant = super::issuer::instant;
    let no_time = |name: &str| {
        let name = name.to_owned();
        Some(TokenError::Claim { name })
    };
    // exp, nbf, now as distance from NOW in microseconds, what is expected.
    let second = 1_000_000;
    let cases = [
        (json!(NOW), json!(null), 30 * second - 1, None),
        (
            json!(NOW),
            json!(null),
            30 * second,
            Some(TokenError::Expired),
        ),
        (
            json!(NOW as f64 + 0.5),
            json!(null),
            30 * second + 499_999,
            None,
        ),
        (
            json!(NOW as f64 + 0.5),
            json!(null),
            30 * second + 500_000,
            Some(TokenError::Expired),
        ),
        (json!(NOW + 900), json!(NOW), -30 * second, None),
        (
            json!(NOW + 900),
            json!(NOW),
            -30 * second - 1,
            Some(TokenError::NotYetValid),
        ),
        (json!(0), json!(null), 0, Some(TokenError::Expired)),
        (json!(-1), json!(null), 0, Some(TokenError::Expired)),
        (json!(-1e300), json!(null), 0, Some(TokenError::Expired)),
        (json!(u64::MAX), json!(null), 0, no_time("exp")),
        (json!(1e300), json!(null), 0, no_time("exp")),
        (json!(NOW + 900), json!(-1e300), 0, None),
        (json!(NOW + 900), json!(u64::MAX), 0, no_time("nbf")),
        (json!(NOW + 900), json!(1e300), 0, no_time("nbf")),
    ];
    for (case, (exp, nbf, now, refusal)) in cases.into_iter().enumerate() {
        let mut claims = buyer_with("exp", exp);
        // A token that was verified is known, whatever the clock does.
        claims["jti"] = case.into();
        if !nbf.is_null() {
            claims["nbf"] = nbf;
        }
        let now = domain::time::Timestamp::from_micros(instant(NOW).as_micros() + now).unwrap();
        clock.set(now);
        assert_eq!(
            verifier.verify(&key.token(&claims)).await.err(),
            refusal,
            "{claims}"
        );
    }
}

#[tokio::test]
async fn a_known_token_expires() {
    let key = TestKey::new(Algorithm::Hs256, "1");
    let clock = clock();
    let verifier = of_secret(rules(&[Algorithm::Hs256]), clock.clone()).await;
    let token = key.token(&buyer());
    let identity = verifier.verify(&token).await.unwrap();
    assert_eq!(identity.expires_at, super::issuer::instant(NOW + 3_630));
    clock.advance_seconds(3_629);
    assert!(verifier.known(&token).is_some());
    clock.advance_seconds(1);
    assert_eq!(verifier.known(&token), None);
    assert_eq!(verifier.verify(&token).await, Err(TokenError::Expired));
}
