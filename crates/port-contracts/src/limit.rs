//! The contract of a rate for each of many clients, wherever its tokens are kept.

use std::sync::Arc;
use std::time::Duration;

use limits::{Exceeded, Limit, Rate, Subject};
use tokio::time::sleep;

use crate::harness::LimitHarness;

contract!($ limit_contract, limit, [
    each_client_has_its_tokens_and_no_more,
    addresses_and_users_do_not_meet,
    a_check_takes_nothing,
    a_refused_client_learns_when_there_is_a_token,
    tokens_come_back_one_by_one,
    many_at_once_get_no_more_than_there_is,
]);

fn rate(text: &str) -> Rate {
    text.parse().unwrap()
}

async fn take(limit: &Arc<Limit>, user: &str) -> Result<(), Exceeded> {
    limit.take(Subject::User(user)).await
}

/// What one of them does is nothing to the other.
pub async fn each_client_has_its_tokens_and_no_more(harness: &LimitHarness) {
    let limit = harness.limit(rate("5/h"));
    for user in ["ada", "bob"] {
        for _ in 0..5 {
            take(&limit, user).await.unwrap();
        }
        for _ in 0..3 {
            take(&limit, user).await.unwrap_err();
        }
    }
}

/// All addresses of a /64 are one client.
pub async fn addresses_and_users_do_not_meet(harness: &LimitHarness) {
    let limit = harness.limit(rate("1/h"));
    let at = |address: &str| Subject::Address(address.parse::<std::net::IpAddr>().unwrap().into());
    limit.take(at("2001:db8::1")).await.unwrap();
    limit.take(at("2001:db8::ffff")).await.unwrap_err();
    limit.take(at("2001:db8:0:1::1")).await.unwrap();
    limit.take(at("192.0.2.7")).await.unwrap();
    limit.take(at("::ffff:192.0.2.7")).await.unwrap_err();
}

/// And says what a taking would.
pub async fn a_check_takes_nothing(harness: &LimitHarness) {
    let limit = harness.limit(rate("2/h"));
    let ada = Subject::User("ada");
    for _ in 0..9 {
        limit.check(ada).await.unwrap();
    }
    limit.take(ada).await.unwrap();
    limit.check(ada).await.unwrap();
    limit.take(ada).await.unwrap();
    limit.check(ada).await.unwrap_err();
    limit.take(ada).await.unwrap_err();
}

/// `Retry-After` is of the token that comes next, not of the period.
pub async fn a_refused_client_learns_when_there_is_a_token(harness: &LimitHarness) {
    let limit = harness.limit(rate("4/h"));
    for _ in 0..4 {
        take(&limit, "ada").await.unwrap();
    }
    let refused = take(&limit, "ada").await.unwrap_err();
    let seconds = refused.retry_after();
    assert!((800..=900).contains(&seconds), "{seconds}");
    assert_eq!(refused.rate_limit(), format!("\"limit\";r=0;t={seconds}"));
    assert_eq!(refused.rate_limit_policy(), r#""limit";q=4;w=3600"#);
}

/// A client that is refused gets its next token all the same.
pub async fn tokens_come_back_one_by_one(harness: &LimitHarness) {
    let limit = harness.limit(rate("2/s"));
    while take(&limit, "ada").await.is_ok() {}
    for _ in 0..2 {
        while take(&limit, "ada").await.is_err() {
            sleep(Duration::from_millis(5)).await;
        }
    }
}

/// However they come together.
pub async fn many_at_once_get_no_more_than_there_is(harness: &LimitHarness) {
    let limit = harness.limit(rate("100/h"));
    let asking = (0..300).map(|_| take(&limit, "ada"));
    let answers = futures_util::future::join_all(asking).await;
    let taken = answers.iter().filter(|answer| answer.is_ok()).count();
    assert_eq!(taken, 100);
}
