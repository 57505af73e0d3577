//! The tokens of clients, for all api processes together: one call for many clients.

use std::error::Error;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use limits::{Lease, TokenStore, TokensUnavailable, Want};
use redis::Script;

use crate::connection::{Redis, sentence};

/// Keys are `limits:<policy>:<rate>:<client>`: what one rate has taken means nothing to another, so
/// processes with other rates, and a process that was started with another one, count anew.
pub struct RedisTokens {
    redis: Redis,
    lease: Script,
    calls: AtomicU64,
}

impl RedisTokens {
    /// Asks this server.
    #[must_use]
    pub fn new(redis: Redis) -> Self {
        Self {
            redis,
            lease: Script::new(include_str!("lease.lua")),
            calls: AtomicU64::new(0),
        }
    }
}

#[async_trait]
impl TokenStore for RedisTokens {
    async fn lease(&self, wants: &[Want]) -> Result<Vec<Lease>, TokensUnavailable> {
        let number = self.calls.fetch_add(1, Ordering::Relaxed);
        let mut call = self.lease.prepare_invoke();
        call.arg(number);
        for want in wants {
            let rate = want.rate;
            let name = format!("limits:{}:{rate}:{}", want.policy, want.client);
            let (count, period) = (rate.count(), rate.period().as_secs());
            let key = self.redis.key(&name).await;
            call.key(key.map_err(|error| unavailable(sentence(&error)))?);
            call.arg(period * 1_000_000);
            call.arg(count.get()).arg(want.tokens);
        }
        let answer = call.invoke_async::<Vec<u64>>(&mut self.redis.clone()).await;
        let answer = answer.map_err(|error| unavailable(sentence(&error)))?;
        read(number, wants.len(), &answer).ok_or_else(|| {
            // Whatever answers here does not answer what was asked.
            self.redis.reconnect();
            unavailable("it answered something else than it was asked")
        })
    }
}

fn unavailable(error: impl Into<Box<dyn Error + Send + Sync>>) -> TokensUnavailable {
    TokensUnavailable(error.into())
}

/// What the script returned to the call of that number.
fn read(number: u64, wants: usize, answer: &[u64]) -> Option<Vec<Lease>> {
    let (first, leases) = answer.split_first()?;
    let (leases, []) = leases.as_chunks() else {
        return None;
    };
    if *first != number || leases.len() != wants {
        return None;
    }
    let leases = leases.iter().map(|[tokens, micros]| {
        Some(Lease {
            tokens: u32::try_from(*tokens).ok()?,
            next_in: Duration::from_micros(*micros),
        })
    });
    leases.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_answer_to_the_call_itself_is_read() {
        let lease = |tokens, micros| Lease {
            tokens,
            next_in: Duration::from_micros(micros),
        };
        let leases = vec![lease(3, 0), lease(0, 7)];
        assert_eq!(read(5, 2, &[5, 3, 0, 0, 7]), Some(leases));
        assert_eq!(read(5, 0, &[5]), Some(Vec::new()));
        for answer in [
            &[][..],
            &[4, 3, 0, 0, 7],
            &[5, 3, 0],
            &[5, 3, 0, 0],
            &[5, u64::MAX, 0, 0, 7],
        ] {
            assert_eq!(read(5, 2, answer), None, "{answer:?}");
        }
    }
}
