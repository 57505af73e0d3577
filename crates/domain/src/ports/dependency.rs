//! What readiness asks.

use async_trait::async_trait;

use super::Cause;

/// The dependency does not answer as it should; says why.
#[derive(Debug, thiserror::Error)]
#[error("{reason}")]
pub struct DependencyDown {
    /// For operators: what is wrong and, if known, what to do. No secrets.
    pub reason: String,
    /// The driver's error, if there is one.
    #[source]
    pub source: Option<Cause>,
}

/// Something the process cannot work without: a broker, a store, its clock.
#[async_trait]
pub trait Dependency: Send + Sync {
    /// A short, stable name: `queue`, `store`.
    fn name(&self) -> &'static str;

    /// Asks the real thing whether it would do its duty now. Bounded in time by the caller.
    ///
    /// # Errors
    /// [`DependencyDown`] when it would not.
    async fn check(&self) -> Result<(), DependencyDown>;
}
