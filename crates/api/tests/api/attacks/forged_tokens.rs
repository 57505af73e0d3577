//! Tokens that prove nothing, against every kind of route. `crates/tokens` tries more of each kind.

use api::application::Role;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use reqwest::Method;
use ring::hmac;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::helpers::{Answer, SHOW, TestService, USER};
use crate::identity::{ADMIN, HOUR, asking, buyer, claims, get, guarded, seconds};

enum Pair {
    Ed25519(Ed25519KeyPair),
    P256(EcdsaKeyPair),
}

/// A key of the issuer, or of somebody else.
struct Key {
    id: &'static str,
    pair: Pair,
}

impl Key {
    fn ed25519(id: &'static str) -> Self {
        let made = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        let pair = Ed25519KeyPair::from_pkcs8(made.as_ref()).unwrap();
        Self {
            id,
            pair: Pair::Ed25519(pair),
        }
    }

    fn p256(id: &'static str) -> Self {
        let (curve, random) = (&ECDSA_P256_SHA256_FIXED_SIGNING, SystemRandom::new());
        let made = EcdsaKeyPair::generate_pkcs8(curve, &random).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(curve, made.as_ref(), &random).unwrap();
        Self {
            id,
            pair: Pair::P256(pair),
        }
    }

    fn algorithm(&self) -> &'static str {
        match self.pair {
            Pair::Ed25519(_) => "EdDSA",
            Pair::P256(_) => "ES256",
        }
    }

    fn public(&self) -> &[u8] {
        match &self.pair {
            Pair::Ed25519(pair) => pair.public_key().as_ref(),
            Pair::P256(pair) => pair.public_key().as_ref(),
        }
    }

    /// What the issuer publishes.
    fn jwk(&self) -> Value {
        let part = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let mut jwk = match self.pair {
            Pair::Ed25519(_) => json!({"kty": "OKP", "crv": "Ed25519", "x": part(self.public())}),
            Pair::P256(_) => {
                let (x, y) = self.public()[1..].split_at(32);
                json!({"kty": "EC", "crv": "P-256", "x": part(x), "y": part(y)})
            }
        };
        jwk["kid"] = self.id.into();
        jwk
    }

    fn header(&self) -> Value {
        json!({"alg": self.algorithm(), "kid": self.id})
    }

    fn sign(&self, header: &Value, claims: &Value) -> String {
        let said = said(header, claims);
        let signature = match &self.pair {
            Pair::Ed25519(pair) => pair.sign(said.as_bytes()).as_ref().to_vec(),
            Pair::P256(pair) => {
                let signed = pair.sign(&SystemRandom::new(), said.as_bytes());
                signed.unwrap().as_ref().to_vec()
            }
        };
        format!("{said}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    fn token(&self, claims: &Value) -> String {
        self.sign(&self.header(), claims)
    }
}

fn said(header: &Value, claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}", part(header), part(claims))
}

fn signed_with_secret(secret: &[u8], header: &Value, claims: &Value) -> String {
    let said = said(header, claims);
    let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), said.as_bytes());
    format!("{said}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// A buyer who would like to be more.
fn wanted() -> Value {
    claims(USER, "operator agent")
}

fn but(field: &str, value: Value) -> Value {
    let mut claims = wanted();
    claims[field] = value;
    claims
}

/// Without a signature, and with that of somebody who only knows public keys.
fn of_nobody(keys: &[&Key], set: &str) -> Vec<(String, String)> {
    let mut forged = Vec::new();
    for none in ["none", "None", "nOnE", ""] {
        let header = json!({"alg": none, "kid": keys[0].id});
        forged.push((format!("alg {none:?}"), said(&header, &wanted()) + "."));
        let signed = keys[0].sign(&header, &wanted());
        forged.push((format!("alg {none:?}, signed"), signed));
    }
    for key in keys {
        let bare = said(&key.header(), &wanted());
        forged.push(("no signature".to_owned(), format!("{bare}.")));
        let pem = format!(
            "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
            STANDARD.encode(key.public())
        );
        let jwk = key.jwk().to_string();
        for secret in [key.public(), pem.as_bytes(), jwk.as_bytes(), set.as_bytes()] {
            for algorithm in ["HS256", key.algorithm()] {
                let header = json!({"alg": algorithm, "kid": key.id});
                let token = signed_with_secret(secret, &header, &wanted());
                forged.push((format!("{algorithm} by a public key"), token));
            }
        }
    }
    forged
}

/// With a key that is another one than the header says.
fn of_other_keys(ed25519: &Key, p256: &Key) -> Vec<(String, String)> {
    let own = Key::ed25519(ed25519.id);
    let with = |alg: &str, kid: &str| json!({"alg": alg, "kid": kid});
    let forged = [
        ("unknown kid", own.sign(&with("EdDSA", "unknown"), &wanted())),
        ("no kid", own.sign(&json!({"alg": "EdDSA"}), &wanted())),
        ("known kid", own.token(&wanted())),
        (
            "own key in the header",
            own.sign(
                &json!({"alg": "EdDSA", "kid": own.id, "jwk": own.jwk(), "jku": "http://127.0.0.1:1/"}),
                &wanted(),
            ),
        ),
        (
            "kid of a path",
            own.sign(&with("EdDSA", "../../dev/null"), &wanted()),
        ),
        (
            "key of another algorithm, by kid",
            ed25519.sign(&with("EdDSA", p256.id), &wanted()),
        ),
        (
            "key of another algorithm, by alg",
            ed25519.sign(&with("ES256", ed25519.id), &wanted()),
        ),
        (
            "algorithm that is not accepted",
            ed25519.sign(&with("RS256", ed25519.id), &wanted()),
        ),
    ];
    forged.map(|(what, token)| (what.to_owned(), token)).into()
}

/// Signed by the issuer, and not for now or not for here, or changed since.
fn of_the_issuer(key: &Key) -> Vec<(String, String)> {
    let buyers = key.token(&claims(USER, ""));
    let (_, signature) = buyers.rsplit_once('.').unwrap();
    let more = format!("{}.{signature}", said(&key.header(), &wanted()));
    let mut bytes = buyers.clone().into_bytes();
    let middle = buyers.len() / 2;
    bytes[middle] = if bytes[middle] == b'A' { b'B' } else { b'A' };
    let mut no_end = wanted();
    no_end.as_object_mut().unwrap().remove("exp");
    let critical = json!({"alg": key.algorithm(), "kid": key.id, "crit": ["exp"], "exp": 1});
    let forged = [
        ("expired", key.token(&but("exp", json!(seconds() - HOUR)))),
        (
            "not yet valid",
            key.token(&but("nbf", json!(seconds() + HOUR))),
        ),
        ("without an end", key.token(&no_end)),
        (
            "wrong issuer",
            key.token(&but("iss", json!("https://other"))),
        ),
        ("wrong audience", key.token(&but("aud", json!("other")))),
        (
            "many issuers",
            key.token(&but("iss", json!(["https://issuer"]))),
        ),
        (
            "user with a foreign character",
            key.token(&but("sub", json!("a\r\nb"))),
        ),
        ("claims of another token", more),
        ("a changed byte", String::from_utf8(bytes).unwrap()),
        ("unknown critical extension", key.sign(&critical, &wanted())),
        (
            "oversize",
            key.token(&but("more", json!("x".repeat(9_000)))),
        ),
        ("half", buyers[..middle].to_owned()),
    ];
    forged.map(|(what, token)| (what.to_owned(), token)).into()
}

#[tokio::test]
async fn a_forged_token_opens_nothing() {
    let (ed25519, p256) = (Key::ed25519("ed"), Key::p256("ec"));
    let files = TempDir::new().unwrap();
    let file = files.path().join("jwks.json");
    let set = json!({"keys": [ed25519.jwk(), p256.jwk()]}).to_string();
    std::fs::write(&file, &set).unwrap();
    let variables = [
        ("APP__AUTH__MODE", "jwt"),
        ("APP__AUTH__ISSUER", "https://issuer"),
        ("APP__AUTH__AUDIENCE", "tickets"),
        ("APP__AUTH__ALGORITHMS", "EdDSA,ES256"),
        ("APP__AUTH__JWKS_FILE", file.to_str().unwrap()),
        ("APP__ADMIN__TOKEN", ADMIN),
        ("APP__TICKETS__ID_SECRETS", "a secret that signs"),
    ];
    let service = TestService::with(Role::All, &variables).await;
    for key in [&ed25519, &p256] {
        let audit = get(&service, &key.token(&wanted()), "/admin/audit").await;
        assert_eq!(audit.status, 200, "{:?}", audit.body);
    }
    let forged = [
        of_nobody(&[&ed25519, &p256], &set),
        of_other_keys(&ed25519, &p256),
        of_the_issuer(&ed25519),
        of_the_issuer(&p256),
    ]
    .concat();
    let ticket = "/tickets/0199a2b4-7d3e-8001-8a5f-3c0d9e412b77";
    for (what, token) in &forged {
        for (method, path) in [
            (Method::POST, "/tickets"),
            (Method::GET, "/tickets"),
            (Method::GET, &*format!("{ticket}/events")),
            (Method::POST, &*format!("{ticket}/cancel")),
            (Method::GET, "/ws"),
            (Method::POST, "/live-tickets"),
            (Method::DELETE, "/users/1"),
            (Method::GET, "/admin/audit"),
        ] {
            let order = json!({"show_id": SHOW, "user_id": USER});
            let request = asking(&service, token, method.clone(), path).json(&order);
            let answer = Answer::to(request).await;
            assert_eq!(
                answer.status, 401,
                "{what}: {method} {path}: {:?}",
                answer.body
            );
            answer.assert_problem(401, "unauthorized");
        }
    }
    let show = get(&service, "", &format!("/shows/{SHOW}")).await;
    assert_eq!(show.body["available"], show.body["capacity"]);
}

/// Wherever else it stands, nobody looks for it: it would be in logs.
#[tokio::test]
async fn a_token_counts_nowhere_but_in_its_header() {
    let service = guarded(&[]).await;
    let token = buyer(USER);
    for name in ["access_token", "token", "authorization", "ticket"] {
        for path in ["/tickets", "/ws"] {
            let answer = service.get(&format!("{path}?{name}={token}")).await;
            answer.assert_problem(401, "unauthorized");
        }
    }
    for (name, value) in [
        ("Cookie", format!("token={token}; authorization={token}")),
        ("Sec-WebSocket-Protocol", format!("bearer, {token}")),
        ("X-Authorization", format!("Bearer {token}")),
        ("Proxy-Authorization", format!("Bearer {token}")),
        ("Authorization", token.clone()),
        ("Authorization", format!("Bearer {token}, Bearer {token}")),
        ("Authorization", format!("Basic {token}")),
    ] {
        for path in ["/tickets", "/ws"] {
            let request = service.request(Method::GET, path).header(name, &value);
            let answer = Answer::to(request).await;
            answer.assert_problem(401, "unauthorized");
        }
    }
}
