//! What claims mean.

use domain::user::PriorityClass;
use serde_json::{Value, json};

use super::issuer::{TestKey, buyer, buyer_with, clock, of_secret, rules};
use crate::{Algorithm, Identity, Roles, TokenError};

async fn identity_of(claims: &Value) -> Result<Identity, TokenError> {
    let mut rules = rules(&[Algorithm::Hs256]);
    rules.priority_claim = Some("class".to_owned());
    let verifier = of_secret(rules, clock()).await;
    let token = TestKey::new(Algorithm::Hs256, "1").token(claims);
    verifier
        .verify(&token)
        .await
        .map(|identity| (*identity).clone())
}

async fn refusal_of(claim: &str, value: Value) -> Option<TokenError> {
    identity_of(&buyer_with(claim, value)).await.err()
}

fn invalid(name: &str) -> Option<TokenError> {
    let name = name.to_owned();
    Some(TokenError::Claim { name })
}

#[tokio::test]
async fn issuer_and_audience_must_be_ours() {
    for other in ["https://id.example/", "HTTPS://id.example", "", "tickets"] {
        assert_eq!(
            refusal_of("iss", other.into()).await,
            Some(TokenError::Issuer),
            "{other}"
        );
    }
    for other in [
        json!("ticket"),
        json!(""),
        json!(["others", "tickets2"]),
        json!([]),
    ] {
        assert_eq!(refusal_of("aud", other).await, Some(TokenError::Audience));
    }
    assert_eq!(refusal_of("aud", json!(["others", "tickets"])).await, None);
    for (claim, value) in [
        ("iss", json!(null)),
        ("iss", json!(5)),
        ("iss", json!(["https://id.example"])),
        ("iss", json!(["https://other", "https://id.example"])),
        ("iss", json!({"https://id.example": 1})),
        ("aud", json!(null)),
        ("aud", json!(5)),
        ("aud", json!([5])),
        ("exp", json!(null)),
        ("exp", json!("1767229200")),
        ("nbf", json!("0")),
    ] {
        assert_eq!(
            refusal_of(claim, value.clone()).await,
            invalid(claim),
            "{claim}: {value}"
        );
    }
}

#[tokio::test]
async fn a_registered_claim_is_no_list() {
    for claim in ["exp", "nbf", "sub"] {
        let refusal = refusal_of(claim, json!([1])).await;
        assert_eq!(refusal, Some(TokenError::Malformed), "{claim}");
    }
}

#[tokio::test]
async fn a_buyer_has_a_valid_id() {
    let user = |claims: Value| async move {
        let identity = identity_of(&claims).await.unwrap();
        identity.user.map(|user| user.as_str().to_owned())
    };
    assert_eq!(user(buyer()).await.as_deref(), Some("alice"));
    assert_eq!(
        user(buyer_with("sub", json!(42))).await.as_deref(),
        Some("42")
    );
    let long = "x".repeat(65);
    for bad in [
        json!(null),
        json!(""),
        json!("a b"),
        json!(long),
        json!(-1),
        json!(1.5),
    ] {
        assert_eq!(
            refusal_of("sub", bad.clone()).await,
            invalid("sub"),
            "{bad}"
        );
    }
}

#[tokio::test]
async fn roles_are_a_list_or_a_string() {
    let (operator, agent) = (true, true);
    let none = Roles::default();
    for (claim, roles) in [
        (json!("operator"), Roles { operator, ..none }),
        (json!("agent  other"), Roles { agent, ..none }),
        (json!("agent operator"), Roles { operator, agent }),
        (json!(["operator", "agent", "x"]), Roles { operator, agent }),
        (json!(["operator agent"]), none),
        (json!("Operator operators"), none),
        (json!(""), none),
        (json!([]), none),
    ] {
        let identity = identity_of(&buyer_with("roles", claim.clone()))
            .await
            .unwrap();
        assert_eq!(identity.roles, roles, "{claim}");
    }
    for bad in [
        json!(5),
        json!({"operator": true}),
        json!(["operator", 5]),
        json!(true),
    ] {
        assert_eq!(
            refusal_of("roles", bad.clone()).await,
            invalid("roles"),
            "{bad}"
        );
    }
}

#[tokio::test]
async fn only_a_role_goes_without_a_user() {
    for (roles, is_enough) in [("operator", true), ("agent", true), ("other", false)] {
        let mut claims = buyer_with("sub", json!(null));
        claims["roles"] = roles.into();
        match identity_of(&claims).await {
            Ok(identity) => assert!(is_enough && identity.user.is_none(), "{roles}"),
            Err(error) => assert_eq!((is_enough, Some(error)), (false, invalid("sub"))),
        }
        claims["sub"] = "not valid".into();
        assert_eq!(identity_of(&claims).await.err(), invalid("sub"));
    }
}

#[tokio::test]
async fn the_class_is_that_of_the_claim() {
    let class = |value: Value| async move {
        let identity = identity_of(&buyer_with("class", value)).await;
        identity.map(|identity| identity.priority)
    };
    assert_eq!(class(json!("high")).await, Ok(Some(PriorityClass::High)));
    assert_eq!(
        class(json!("standard")).await,
        Ok(Some(PriorityClass::Standard))
    );
    assert_eq!(class(json!(null)).await, Ok(None));
    for bad in [json!("vip"), json!(1)] {
        assert_eq!(class(bad).await.err(), invalid("class"));
    }
}

#[tokio::test]
async fn a_class_counts_only_if_its_claim_is_configured() {
    let verifier = of_secret(rules(&[Algorithm::Hs256]), clock()).await;
    let token = TestKey::new(Algorithm::Hs256, "1").token(&buyer_with("class", json!("high")));
    assert_eq!(verifier.verify(&token).await.unwrap().priority, None);
}
