//! Transactions that get in each other's way.

use std::future::Future;
use std::time::Duration;

use rand::RngExt;
use tokio::time::sleep;
use tracing::debug;

use crate::connections::within;
use crate::database::CHANGE_LIMIT;
use crate::error::SqlError;

/// Attempts of a transaction that others get in the way of.
const ATTEMPTS: u32 = 10;

/// Does it again while other transactions are in the way, waiting longer each time, for up to
/// [`CHANGE_LIMIT`]. A key that is
/// there may be one: the same ticket id was decided for another show in the same moment.
pub(super) async fn until_free<T, E, F>(attempt: impl Fn() -> F) -> Result<T, E>
where
    E: SqlError,
    F: Future<Output = Result<T, E>>,
{
    let attempts = async {
        let mut failed = 0;
        loop {
            match attempt().await {
                Err(error)
                    if failed + 1 < ATTEMPTS && (error.is_contention() || error.is_duplicate()) =>
                {
                    failed += 1;
                    debug!(
                        attempts = failed,
                        "another transaction held a lock; retried"
                    );
                    let longest = 1 << failed.min(7);
                    let wait = rand::rng().random_range(1..=longest);
                    sleep(Duration::from_millis(wait)).await;
                }
                ended => return ended,
            }
        }
    };
    within(CHANGE_LIMIT, attempts).await
}
