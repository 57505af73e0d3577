//! What readiness asks.

use std::time::Duration;

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

impl DependencyDown {
    /// Without an error of a driver.
    #[must_use]
    pub const fn because(reason: String) -> Self {
        let source = None;
        Self { reason, source }
    }

    /// Whether it answers, and its time is another than this process's.
    #[must_use]
    pub fn is_clock_off(&self) -> bool {
        let source = self.source.as_ref();
        source.is_some_and(|source| source.is::<ClocksDiffer>())
    }
}

/// The source of a [`DependencyDown`] that answers with another time than this process has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the clocks differ by {} ms", skew.as_millis())]
pub struct ClocksDiffer {
    /// The smallest difference that the clocks can have.
    pub skew: Duration,
}

/// Something the process cannot work without: a broker, a store, its clock.
///
/// ```
/// use domain::ports::Dependency;
///
/// async fn fault_of(dependency: &dyn Dependency) -> Option<String> {
///     let down = dependency.check().await.err()?;
///     Some(format!("{}: {}", dependency.name(), down.reason))
/// }
/// ```
#[async_trait]
pub trait Dependency: Send + Sync {
    /// A short, stable name: `queue`, `store`.
    fn name(&self) -> &'static str;

    /// Asks the real thing whether it would do its duty now. Bounded in time by the caller.
    ///
    /// # Errors
    /// [`DependencyDown`] when it would not.
    async fn check(&self) -> Result<(), DependencyDown>;

    /// Only whether it answers with this process's time, also where it would not do its duty.
    ///
    /// # Errors
    /// [`DependencyDown`]; see [`DependencyDown::is_clock_off`].
    async fn check_clock(&self) -> Result<(), DependencyDown> {
        self.check().await
    }
}
