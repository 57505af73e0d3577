//! How many requests were refused, for operators: an attack is seen in the log.

use std::sync::atomic::{AtomicU64, Ordering};

use tracing::info;

use super::ApiError;

/// Refused requests since the last line of the log, by why. Nothing of them is kept.
#[derive(Default)]
pub(crate) struct Refusals {
    unauthorized: AtomicU64,
    forbidden: AtomicU64,
    rate_limited: AtomicU64,
}

impl Refusals {
    pub(crate) fn count(&self, error: &ApiError) {
        let counter = match error {
            ApiError::Unauthorized(unproved) if !unproved.is_our_fault() => &self.unauthorized,
            ApiError::NoOperator | ApiError::Forbidden => &self.forbidden,
            ApiError::RateLimited(_) => &self.rate_limited,
            _ => return,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// One line, unless there was none. `wrong_ids` of tickets were asked for.
    pub(crate) fn log(&self, wrong_ids: u64) {
        let [unauthorized, forbidden, rate_limited] =
            [&self.unauthorized, &self.forbidden, &self.rate_limited]
                .map(|counter| counter.swap(0, Ordering::Relaxed));
        if [unauthorized, forbidden, rate_limited, wrong_ids] != [0; 4] {
            info!(
                requests.unauthorized = unauthorized,
                requests.forbidden = forbidden,
                requests.rate_limited = rate_limited,
                ids.wrong = wrong_ids,
                "requests were refused"
            );
        }
    }
}
