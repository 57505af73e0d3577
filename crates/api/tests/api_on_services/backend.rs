//! What the services of these tests are made of: a database and a part of the broker.

use std::sync::Arc;

use test_servers::{TestDatabase, TestPrefix, services};

/// What is on servers is not open to everybody.
pub(crate) const TOKEN: &str = "administration's token in tests";

/// Deleted when the last service that uses it is gone.
#[derive(Clone)]
pub(crate) struct Backend(Arc<(TestDatabase, TestPrefix)>);

impl Backend {
    pub(crate) async fn start() -> Self {
        Self(Arc::new((TestDatabase::create().await, TestPrefix::new())))
    }

    /// On a broker of several nodes.
    #[allow(
        dead_code,
        reason = "one of the two programs that have this file uses it"
    )]
    pub(crate) async fn on_cluster(url: &str) -> Self {
        Self(Arc::new((
            TestDatabase::create().await,
            TestPrefix::on(url),
        )))
    }

    pub(crate) fn database(&self) -> &TestDatabase {
        &self.0.0
    }

    pub(crate) fn queue(&self) -> &TestPrefix {
        &self.0.1
    }

    /// What administration needs.
    #[allow(
        dead_code,
        reason = "one of the two programs that have this file uses it"
    )]
    pub(crate) const fn token() -> Option<&'static str> {
        Some(TOKEN)
    }

    pub(crate) fn variables(&self) -> Vec<(String, String)> {
        [
            ("APP__QUEUE__ADAPTER", "rabbitmq".to_owned()),
            ("APP__RABBITMQ__URL", services::rabbitmq_url()),
            ("APP__RABBITMQ__PREFIX", self.queue().as_str().to_owned()),
            ("APP__STORE__ADAPTER", "mysql".to_owned()),
            ("APP__MYSQL__URL", self.database().url()),
            ("APP__MYSQL__MIGRATE_AT_START", "true".to_owned()),
            ("APP__ADMIN__TOKEN", TOKEN.to_owned()),
            (
                "APP__TICKETS__ID_SECRETS",
                "a secret of the tests".to_owned(),
            ),
            ("APP__AUTH__MODE", "off".to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }
}
