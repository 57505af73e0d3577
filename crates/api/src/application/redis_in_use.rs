//! Redis, as this process uses it.

use std::sync::Arc;

use async_trait::async_trait;
use domain::ports::{Dependency, DependencyDown};
use limits::SharedTokens;

/// For readiness: a server that answers may still be of no use for limits, because it is too slow
/// or the process may not run scripts.
pub(super) struct RedisInUse {
    pub(super) server: Arc<dyn Dependency>,
    pub(super) tokens: Option<Arc<SharedTokens>>,
}

#[async_trait]
impl Dependency for RedisInUse {
    fn name(&self) -> &'static str {
        self.server.name()
    }

    async fn check(&self) -> Result<(), DependencyDown> {
        self.server.check().await?;
        let tokens = self.tokens.as_ref();
        match tokens.and_then(|tokens| tokens.failure()) {
            None => Ok(()),
            Some(failure) => Err(DependencyDown::because(format!(
                "limits of clients are not shared: {failure}; the service goes on without it"
            ))),
        }
    }
}
