//! How long the broker may take.

use std::time::Duration;

use tokio::time::timeout;

use crate::error::BrokerError;

/// How long one request to the broker may take before it counts as lost.
pub(crate) const TIME_LIMIT: Duration = Duration::from_secs(5);
/// How long closing may take.
pub(crate) const CLOSE_LIMIT: Duration = Duration::from_secs(2);

/// Bounds what a request to the broker may take.
pub(crate) async fn within<T, E: Into<BrokerError>>(
    limit: Duration,
    request: impl Future<Output = Result<T, E>>,
) -> Result<T, BrokerError> {
    match timeout(limit, request).await {
        Ok(answer) => answer.map_err(Into::into),
        Err(_) => Err(BrokerError::TimedOut(limit)),
    }
}

/// Bounds what a request to the broker may take, where nobody waits for it.
pub(crate) async fn within_limit<T, E: Into<BrokerError>>(
    request: impl Future<Output = Result<T, E>>,
) -> Result<T, BrokerError> {
    within(TIME_LIMIT, request).await
}
