//! Orders that could not be decided, kept for people to look at.

use async_trait::async_trait;

use super::Cause;
use crate::order::Order;
use crate::time::Timestamp;

/// The dead letters' queue did not answer; retrying is safe.
#[derive(Debug, thiserror::Error)]
pub enum DeadLettersError {
    /// It did not answer.
    #[error("the dead letters are unavailable")]
    Unavailable(#[source] Cause),
    /// There is no room for another one.
    #[error("there are {capacity} dead letters, which is the limit; redrive them first")]
    Full {
        /// The configured limit, in dead letters.
        capacity: usize,
    },
}

/// One order, or what should have been one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// When it was put aside.
    pub at: Timestamp,
    /// Why, for people.
    pub reason: String,
    /// The order; `None` if the payload could not be decoded.
    pub order: Option<Order>,
    /// The payload that could not be decoded; empty if there is an order.
    pub payload: Vec<u8>,
}

/// Keeps what could not be decided. Its tickets stay `processing`.
///
/// ```
/// use domain::ports::{DeadLetters, DeadLettersError};
///
/// async fn reasons(letters: &dyn DeadLetters) -> Result<Vec<String>, DeadLettersError> {
///     let oldest = letters.list(100).await?;
///     Ok(oldest.into_iter().map(|letter| letter.reason).collect())
/// }
/// ```
#[async_trait]
pub trait DeadLetters: Send + Sync {
    /// Puts one aside; durable when it returns, so that its delivery can be acked.
    ///
    /// # Errors
    /// [`DeadLettersError`]; the delivery must not be acked then.
    async fn put(&self, letter: DeadLetter) -> Result<(), DeadLettersError>;

    /// Up to `limit` dead letters, the oldest first. Takes none away.
    ///
    /// # Errors
    /// [`DeadLettersError`].
    async fn list(&self, limit: usize) -> Result<Vec<DeadLetter>, DeadLettersError>;

    /// How many there are. Those that somebody reads or puts back at this moment may be missing.
    ///
    /// # Errors
    /// [`DeadLettersError`].
    async fn count(&self) -> Result<usize, DeadLettersError>;

    /// Puts up to `limit` orders back at the end of their lanes, the oldest
    /// first, marked as redriven, each durably in its lane before it leaves
    /// the dead letters. What has no order stays. Returns how many it put back.
    ///
    /// # Errors
    /// [`DeadLettersError`]; the orders that were put back stay so.
    async fn redrive(&self, limit: usize) -> Result<usize, DeadLettersError>;
}
