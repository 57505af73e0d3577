//! What a verifier needs to start, and what it logs.

use std::cell::RefCell;
use std::io;
use std::time::Duration;

use secrecy::SecretString;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::issuer::{SECRET, TestKey, buyer, clock, jwks, rules};
use super::provider::{Answer, Provider, until};
use crate::current_keys::Pace;
use crate::key_source::KeySource;
use crate::{Algorithm, Keys, StartError, TokenError, Verifier};

async fn started(algorithms: &[Algorithm], keys: Keys) -> Result<Verifier, StartError> {
    Verifier::start(rules(algorithms), keys, clock(), CancellationToken::new()).await
}

#[tokio::test]
async fn the_algorithms_go_with_the_keys() {
    use Algorithm::{EdDsa, Es256, Hs256, Rs256};
    let secret = || Keys::Secrets(vec![SecretString::from(SECRET)]);
    assert!(started(&[Hs256], secret()).await.is_ok());
    for wrong in [&[][..], &[Rs256], &[Hs256, Rs256], &[Hs256, Hs256]] {
        let error = started(wrong, secret()).await.err().unwrap();
        assert!(matches!(error, StartError::Algorithms(_)), "{wrong:?}");
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    let key = TestKey::new(EdDsa, "1");
    std::fs::write(file.path(), jwks(&[key.jwk()])).unwrap();
    let set = || Keys::File(file.path().to_owned());
    assert!(started(&[Rs256, Es256, EdDsa], set()).await.is_ok());
    for wrong in [&[][..], &[Hs256], &[Hs256, EdDsa]] {
        let error = started(wrong, set()).await.err().unwrap();
        assert!(matches!(error, StartError::Algorithms(_)), "{wrong:?}");
    }
}

#[tokio::test]
async fn a_short_secret_is_refused() {
    for bytes in [0, 31, 32] {
        let of = |length| SecretString::from("x".repeat(length));
        let keys = Keys::Secrets(vec![of(40), of(bytes)]);
        match started(&[Algorithm::Hs256], keys).await {
            Ok(_) => assert_eq!(bytes, 32),
            Err(error) => {
                assert!(matches!(error, StartError::ShortSecret { bytes: b } if b == bytes))
            }
        }
    }
}

#[tokio::test]
async fn a_file_must_have_a_usable_key() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jwks.json");
    let start = || started(&[Algorithm::Es256], Keys::File(path.clone()));
    assert!(matches!(start().await, Err(StartError::File(_))));
    let unaccepted = jwks(&[TestKey::new(Algorithm::EdDsa, "1").jwk()]);
    for text in ["", "{\"keys\":[]}", &unaccepted] {
        std::fs::write(&path, text).unwrap();
        assert!(matches!(start().await, Err(StartError::File(_))), "{text}");
    }
}

#[tokio::test]
async fn a_url_is_one_of_http_without_a_password() {
    for url in [
        "ftp://id.example/jwks",
        "file:///jwks",
        "data:,{}",
        "https://user@id.example/jwks",
        "http://:password@id.example/jwks",
    ] {
        let keys = Keys::Url(url.parse().unwrap());
        let error = started(&[Algorithm::Es256], keys).await.err().unwrap();
        assert!(matches!(error, StartError::Url), "{url}");
    }
}

#[tokio::test]
async fn a_provider_that_is_down_at_the_start_is_asked_until_it_answers() {
    // A port that nobody listens at.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap().to_string();
    drop(free);
    let source = KeySource::url(&format!("http://{address}/jwks").parse().unwrap()).unwrap();
    let pace = Pace {
        retry: Duration::from_millis(1),
        ..Pace::URL
    };
    let rules = rules(&[Algorithm::Es256]);
    let stop = CancellationToken::new();
    let verifier = Verifier::start_at(pace, rules, source, clock(), stop)
        .await
        .unwrap();
    let key = TestKey::new(Algorithm::Es256, "1");
    let token = key.token(&buyer());
    assert_eq!(
        verifier.verify(&token).await,
        Err(TokenError::KeysUnavailable)
    );
    let body = jwks(&[key.jwk()]).into_bytes();
    let _provider = Provider::at(&address, Answer::Body(body)).await;
    until(async || verifier.verify(&token).await.is_ok()).await;
}

thread_local! {
    /// What this test logged: a test of tokio has one thread, and each its own.
    static LOG: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

fn logged() -> String {
    LOG.with_borrow(|log| String::from_utf8(log.clone()).unwrap())
}

struct Log;

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        LOG.with_borrow_mut(|log| log.extend_from_slice(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn the_log_says_once_what_fails_and_nothing_of_tokens() {
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(|| Log)
        .finish();
    // Of all threads: what a thread logs without a subscriber is never asked for again.
    tracing::subscriber::set_global_default(subscriber).unwrap();
    let key = TestKey::new(Algorithm::Es256, "key-1");
    let set = |keys| Answer::Body(jwks(keys).into_bytes());
    let future = json!({"kty": "future", "kid": "key-2"});
    let keys = [key.jwk(), future.clone()];
    let provider = Provider::start(set(&keys)).await;
    let pace = Pace {
        refresh: Duration::from_millis(1),
        retry: Duration::from_millis(1),
        ..Pace::URL
    };
    let source = KeySource::url(&provider.url).unwrap();
    let rules = rules(&[Algorithm::Es256]);
    let stop = CancellationToken::new();
    let verifier = Verifier::start_at(pace, rules, source, clock(), stop)
        .await
        .unwrap();
    let good = key.token(&buyer());
    verifier.verify(&good).await.unwrap();
    let bad = TestKey::new(Algorithm::Es256, "key-3").token(&buyer());
    verifier.verify(&bad).await.unwrap_err();
    provider.is_asked(5).await;
    provider.answers(Answer::Nothing);
    provider.is_asked(5).await;
    provider.answers(set(&[future, key.jwk()]));
    until(async || logged().contains("works again")).await;
    provider.is_asked(5).await;
    let text = logged();
    for (words, times) in [
        ("failed; trying again until it works", 1),
        ("works again", 1),
        ("a key of the key set is not used", 1),
        ("key-2", 1),
        ("alice", 0),
    ] {
        let lines = text.lines().filter(|line| line.contains(words));
        assert_eq!(lines.count(), times, "{words} in\n{text}");
    }
    for token in [good, bad] {
        for part in token.split('.') {
            assert!(!text.contains(part), "{text}");
        }
    }
}
