//! How long looking may take.

use std::time::Duration;

use adapter_sql::Fault;
use tokio::time::timeout;

use crate::error::StoreError;

/// The longest that one part of it may take.
pub(super) const LIMIT: Duration = Duration::from_secs(5);

pub(super) async fn within_limit<T>(
    looking: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    let in_time = timeout(LIMIT, looking).await;
    in_time.unwrap_or(Err(Fault::TimedOut { limit: LIMIT }.into()))
}
