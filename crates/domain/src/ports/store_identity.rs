//! Which deployment a store belongs to.

use std::fmt;
use std::num::NonZeroU32;

use async_trait::async_trait;

use super::DependencyDown;

/// Names a deployment: one store, one queue, the processes on them. Drawn when the store was
/// made, so two deployments have different ones but for a chance of one in two thousand million.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeploymentId(NonZeroU32);

impl DeploymentId {
    /// The largest number that an id can have.
    pub const MAX: u32 = i32::MAX.unsigned_abs();

    /// From 1 to [`Self::MAX`].
    #[must_use]
    pub fn new(id: u32) -> Option<Self> {
        (id <= Self::MAX).then(|| NonZeroU32::new(id).map(Self))?
    }

    /// The id as a number.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0.get()
    }
}

impl fmt::Display for DeploymentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Knows which deployment the store belongs to. A queue that outlives its processes asks, so
/// that no order of one deployment is decided in the store of another.
///
/// ```
/// use domain::ports::{DependencyDown, DeploymentId, StoreIdentity};
///
/// type Answer = Result<bool, DependencyDown>;
///
/// async fn is_ours(store: &dyn StoreIdentity, queue: DeploymentId) -> Answer {
///     Ok(store.deployment().await? == queue)
/// }
/// ```
#[async_trait]
pub trait StoreIdentity: Send + Sync {
    /// The same as long as the store lives, for every process and after a restore.
    ///
    /// # Errors
    /// [`DependencyDown`] if the store does not tell now.
    async fn deployment(&self) -> Result<DeploymentId, DependencyDown>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_fit_into_what_a_broker_can_record() {
        assert_eq!(DeploymentId::new(0), None);
        assert_eq!(DeploymentId::new(1).map(DeploymentId::get), Some(1));
        let last = DeploymentId::new(DeploymentId::MAX).unwrap();
        assert!(i32::try_from(last.get()).is_ok());
        assert_eq!(DeploymentId::new(DeploymentId::MAX + 1), None);
    }
}
