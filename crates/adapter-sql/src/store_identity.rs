//! Which deployment this database belongs to: drawn by the migration, read once.

use async_trait::async_trait;
use domain::ports::{DependencyDown, DeploymentId, StoreIdentity};

use crate::database::Database;
use crate::engine::Engine;
use crate::error::{Fault, cause};
use crate::statements::SqlSession;
use crate::store::SqlStore;

#[async_trait]
impl<E: Engine> StoreIdentity for SqlStore<E> {
    async fn deployment(&self) -> Result<DeploymentId, DependencyDown> {
        let id = read(&self.db).await;
        id.map_err(|error| DependencyDown {
            reason: error.to_string(),
            source: Some(cause(error)),
        })
    }
}

async fn read<E: Engine>(db: &Database<E>) -> Result<DeploymentId, E::Error> {
    let reading = async |session: &mut E::Session| session.deployments().await;
    let ids = db.claiming.run(reading).await?;
    let id = match ids.as_slice() {
        [id] => DeploymentId::new(*id),
        _ => None,
    };
    let corrupt = || Fault::Corrupt {
        table: "deployment",
        what: format!("{ids:?}, not one id from 1 to {}", DeploymentId::MAX),
    };
    Ok(id.ok_or_else(corrupt)?)
}
