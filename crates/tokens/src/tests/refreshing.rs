//! Keys that come and go, and providers that do not answer.

use std::sync::Arc;
use std::time::Duration;

use domain::ports::Dependency;
use futures_util::FutureExt;
use futures_util::future::join_all;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::issuer::{TestKey, buyer, buyer_with, clock, jwks, rules};
use super::provider::{Answer, Provider, until};
use crate::current_keys::{CurrentKeys, Pace};
use crate::key_source::{KeySource, MAX_LENGTH, SourceError};
use crate::{Algorithm, TokenError, Verifier};

const HOUR: Duration = Duration::from_secs(3_600);
/// Reads only when a test makes it.
const STILL: Pace = Pace {
    refresh: HOUR,
    unknown_key: HOUR,
    retry: HOUR,
    time_limit: HOUR,
};
/// Reads all the time, but never for an unknown key.
const BUSY: Pace = Pace {
    refresh: Duration::from_millis(2),
    retry: Duration::from_millis(1),
    ..STILL
};

fn key(id: &'static str) -> TestKey {
    TestKey::new(Algorithm::EdDsa, id)
}

fn set_of(keys: &[&TestKey]) -> Answer {
    let keys: Vec<_> = keys.iter().map(|key| key.jwk()).collect();
    Answer::Body(jwks(&keys).into_bytes())
}

async fn verifier_of(provider: &Provider, pace: Pace) -> Verifier {
    let source = KeySource::url(&provider.url).unwrap();
    let stop = CancellationToken::new();
    Verifier::start_at(pace, rules(&[Algorithm::EdDsa]), source, clock(), stop)
        .await
        .unwrap()
}

#[tokio::test]
async fn many_tokens_of_a_new_key_cost_one_request() {
    let (old, new) = (key("old"), key("new"));
    let provider = Provider::start(set_of(&[&old])).await;
    let verifier = verifier_of(&provider, STILL).await;
    let Answer::Body(body) = set_of(&[&old, &new]) else {
        unreachable!()
    };
    let gate = Arc::new(Semaphore::new(0));
    provider.answers(Answer::Held(body, gate.clone()));
    let tokens: Vec<_> = (0..100_u64)
        .map(|user| new.token(&buyer_with("sub", user.into())))
        .collect();
    let all = join_all(tokens.iter().map(|token| verifier.verify(token)));
    let open = async {
        provider.is_asked(1).await;
        gate.add_permits(100);
    };
    let (verified, ()) = tokio::join!(all, open);
    for identity in verified {
        identity.unwrap();
    }
    assert_eq!(provider.requests(), 2);
}

#[tokio::test]
async fn unknown_keys_lead_to_a_request_once_in_a_while() {
    let provider = Provider::start(set_of(&[&key("known")])).await;
    let verifier = verifier_of(&provider, STILL).await;
    for id in ["a", "b", "c"] {
        let token = key(id).token(&buyer());
        assert_eq!(verifier.verify(&token).await, Err(TokenError::UnknownKey));
        assert_eq!(provider.requests(), 2);
    }
    let often = Pace {
        unknown_key: Duration::ZERO,
        ..STILL
    };
    let verifier = verifier_of(&provider, often).await;
    for requests in 4..7 {
        let token = key("d").token(&buyer());
        assert_eq!(verifier.verify(&token).await, Err(TokenError::UnknownKey));
        assert_eq!(provider.requests(), requests);
    }
    assert_eq!(Pace::URL.unknown_key, Duration::from_secs(60));
}

#[tokio::test]
async fn a_caller_that_goes_away_ends_no_request() {
    let (old, new) = (key("old"), key("new"));
    let provider = Provider::start(set_of(&[&old])).await;
    let verifier = verifier_of(&provider, STILL).await;
    let Answer::Body(body) = set_of(&[&new]) else {
        unreachable!()
    };
    let gate = Arc::new(Semaphore::new(0));
    provider.answers(Answer::Held(body, gate.clone()));
    let token = new.token(&buyer());
    assert!(verifier.verify(&token).now_or_never().is_none());
    provider.is_asked(1).await;
    gate.add_permits(100);
    verifier.verify(&token).await.unwrap();
    assert_eq!(provider.requests(), 2);
}

#[tokio::test]
async fn a_withdrawn_key_verifies_nothing_not_even_known_tokens() {
    let (old, new) = (key("old"), key("new"));
    let provider = Provider::start(set_of(&[&old])).await;
    let verifier = verifier_of(&provider, BUSY).await;
    let known = old.token(&buyer());
    verifier.verify(&known).await.unwrap();
    provider.answers(set_of(&[&old, &new]));
    let next = new.token(&buyer());
    until(async || verifier.verify(&next).await.is_ok()).await;
    verifier.verify(&known).await.unwrap();
    provider.answers(set_of(&[&new]));
    until(async || verifier.known(&known).is_none()).await;
    assert_eq!(verifier.verify(&known).await, Err(TokenError::UnknownKey));
    verifier.verify(&next).await.unwrap();
    // The same id, another key.
    provider.answers(set_of(&[&key("new")]));
    until(async || verifier.known(&next).is_none()).await;
    assert_eq!(verifier.verify(&next).await, Err(TokenError::Signature));
    // No key at all is an answer, too, after which the process is not ready.
    assert!(verifier.check().await.is_ok());
    provider.answers(set_of(&[]));
    until(async || verifier.verify(&next).await == Err(TokenError::KeysUnavailable)).await;
    assert!(verifier.check().await.is_err());
}

#[tokio::test]
async fn known_tokens_stay_known_while_the_set_stays() {
    let key = key("1");
    let provider = Provider::start(set_of(&[&key])).await;
    let verifier = verifier_of(&provider, BUSY).await;
    let token = key.token(&buyer());
    verifier.verify(&token).await.unwrap();
    provider.is_asked(5).await;
    assert!(verifier.known(&token).is_some());
}

#[tokio::test]
async fn keys_stay_while_the_provider_fails() {
    let key = key("1");
    let provider = Provider::start(set_of(&[&key])).await;
    let pace = Pace {
        time_limit: Duration::from_millis(20),
        ..BUSY
    };
    let verifier = verifier_of(&provider, pace).await;
    let huge = format!("{{\"keys\":[],\"x\":\"{}\"}}", "x".repeat(MAX_LENGTH));
    for (user, answer) in [
        Answer::Nothing,
        Answer::Silence,
        Answer::Body(b"<html>".to_vec()),
        Answer::Body(huge.into_bytes()),
        Answer::Raw(b"HTTP/1.1 500 Oh\r\ncontent-length: 11\r\n\r\n{\"keys\":[]}".to_vec()),
        Answer::Raw(b"no HTTP at all\r\n\r\n".to_vec()),
    ]
    .into_iter()
    .enumerate()
    {
        provider.answers(answer);
        // The one under way may have read the answer before.
        provider.is_asked(3).await;
        let token = key.token(&buyer_with("sub", user.into()));
        verifier.verify(&token).await.unwrap();
    }
    let new = TestKey::new(Algorithm::EdDsa, "2");
    provider.answers(set_of(&[&new]));
    let token = new.token(&buyer());
    until(async || verifier.verify(&token).await.is_ok()).await;
}

#[tokio::test]
async fn each_failure_is_told_apart() {
    let provider = Provider::start(Answer::Nothing).await;
    let source = KeySource::url(&provider.url).unwrap();
    let read = |answer, limit| {
        provider.answers(answer);
        source.read(limit)
    };
    let elsewhere = Provider::start(set_of(&[&key("1")])).await;
    let redirect = format!(
        "HTTP/1.1 302 Found\r\nlocation: {}\r\ncontent-length: 0\r\n\r\n",
        elsewhere.url
    );
    let error = read(Answer::Raw(redirect.into_bytes()), HOUR)
        .await
        .unwrap_err();
    assert!(
        matches!(error, SourceError::Status(status) if status == 302),
        "{error:?}"
    );
    assert_eq!(elsewhere.requests(), 0);

    let error = read(Answer::Nothing, HOUR).await.unwrap_err();
    assert!(matches!(error, SourceError::Exchange(_)), "{error:?}");
    let error = read(Answer::Silence, Duration::from_millis(5))
        .await
        .unwrap_err();
    assert!(matches!(error, SourceError::TimedOut(_)), "{error:?}");
    // Announced and not sent, so that it is refused by what it announces or when time is up.
    let drip = Answer::Raw(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{".to_vec());
    let error = read(drip, HOUR).await.unwrap_err();
    assert!(matches!(error, SourceError::Exchange(_)), "{error:?}");

    let full = vec![b' '; MAX_LENGTH];
    assert_eq!(read(Answer::Body(full.clone()), HOUR).await.unwrap(), full);
    let more = [&full[..], b" "].concat();
    let error = read(Answer::Body(more.clone()), HOUR).await.unwrap_err();
    assert!(matches!(error, SourceError::TooLong), "{error:?}");
    let without_end = KeySource::File("/dev/zero".into());
    let error = without_end.read(HOUR).await.unwrap_err();
    assert!(matches!(error, SourceError::File(_)), "{error:?}");
    let endless = [b"HTTP/1.1 200 OK\r\n\r\n", &more[..]].concat();
    let error = read(Answer::Raw(endless), HOUR).await.unwrap_err();
    assert!(matches!(error, SourceError::TooLong), "{error:?}");
}

#[tokio::test]
async fn a_changed_file_is_read_again() {
    let (old, new) = (key("old"), key("new"));
    let file = tempfile::NamedTempFile::new().unwrap();
    let write = |keys: &[&TestKey]| {
        let Answer::Body(body) = set_of(keys) else {
            unreachable!()
        };
        std::fs::write(file.path(), body).unwrap();
    };
    write(&[&old]);
    let source = KeySource::File(file.path().to_owned());
    let stop = CancellationToken::new();
    let verifier = Verifier::start_at(
        BUSY,
        rules(&[Algorithm::EdDsa]),
        source,
        clock(),
        stop.clone(),
    )
    .await
    .unwrap();
    let (before, after) = (old.token(&buyer()), new.token(&buyer()));
    verifier.verify(&before).await.unwrap();
    write(&[&new]);
    until(async || verifier.verify(&after).await.is_ok()).await;
    assert_eq!(verifier.verify(&before).await, Err(TokenError::UnknownKey));
    std::fs::remove_file(file.path()).unwrap();
    verifier.verify(&after).await.unwrap();
}

#[tokio::test]
async fn the_stop_ends_the_task_wherever_it_is() {
    for pace in [STILL, BUSY] {
        let provider = Provider::start(Answer::Silence).await;
        let source = KeySource::url(&provider.url).unwrap();
        let keys = CurrentKeys::of(source, vec![Algorithm::EdDsa], pace);
        let stop = CancellationToken::new();
        let task = tokio::spawn(keys.keep_current(stop.clone()));
        if pace.retry < HOUR {
            provider.is_asked(1).await;
        }
        stop.cancel();
        timeout(Duration::from_secs(20), task)
            .await
            .unwrap()
            .unwrap();
    }
}
