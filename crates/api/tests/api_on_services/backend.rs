//! What the services of these tests are made of: a database and a part of the broker.

use std::sync::Arc;

use port_contracts::services::{self, TestDatabase, TestPrefix};

/// Deleted when the last service that uses it is gone.
#[derive(Clone)]
pub(crate) struct Backend(Arc<(TestDatabase, TestPrefix)>);

impl Backend {
    pub(crate) async fn start() -> Self {
        Self(Arc::new((TestDatabase::create().await, TestPrefix::new())))
    }

    pub(crate) fn variables(&self) -> Vec<(String, String)> {
        let (database, prefix) = &*self.0;
        [
            ("APP__QUEUE__ADAPTER", "rabbitmq".to_owned()),
            ("APP__RABBITMQ__URL", services::rabbitmq_url()),
            ("APP__RABBITMQ__PREFIX", prefix.as_str().to_owned()),
            ("APP__STORE__ADAPTER", "mysql".to_owned()),
            ("APP__MYSQL__URL", database.url()),
            ("APP__MYSQL__MIGRATE_AT_START", "true".to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }
}
