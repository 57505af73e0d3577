//! Which deployment this database belongs to: drawn by the migration, read once.

use async_trait::async_trait;
use domain::ports::{DependencyDown, DeploymentId, StoreIdentity};

use crate::MySqlStore;
use crate::database::Database;
use crate::error::StoreError;

#[async_trait]
impl StoreIdentity for MySqlStore {
    async fn deployment(&self) -> Result<DeploymentId, DependencyDown> {
        let told = self.db.read(read(&self.db)).await;
        told.map_err(|error| DependencyDown {
            reason: error.to_string(),
            source: Some(error.cause()),
        })
    }
}

async fn read(db: &Database) -> Result<DeploymentId, StoreError> {
    let mut lease = db.lease_claiming().await?;
    let ids: Vec<u32> = sqlx::query_scalar("SELECT id FROM deployment")
        .fetch_all(lease.connection())
        .await?;
    lease.give_back();
    let id = match ids.as_slice() {
        [id] => DeploymentId::new(*id),
        _ => None,
    };
    id.ok_or_else(|| StoreError::Corrupt {
        table: "deployment",
        what: format!("{ids:?}, not one id from 1 to {}", DeploymentId::MAX),
    })
}
