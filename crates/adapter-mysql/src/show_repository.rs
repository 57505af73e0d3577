//! Shows.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use domain::ids::ShowId;
use domain::ports::{CreateShowError, ShowRepository, ShowRepositoryError};
use domain::rule::ShowLedger;
use domain::show::{Show, ShowStanding};

use crate::MySqlStore;
use crate::coalesce::Coalescer;
use crate::error::StoreError;
use crate::row::{SHOW_COLUMNS, ShowRow};
use crate::store::Database;
use crate::ticket_ledger::sql::{self, padded, placeholders};

/// Shows asked for in one query.
const MAX_LOOK_UPS: usize = 128;

/// One query at a time: whoever asks while it is under way shares the next
/// one, so nobody gets an answer from before the question.
pub(crate) fn look_ups(db: Database) -> Coalescer<ShowId, Option<Arc<Show>>> {
    Coalescer::new(MAX_LOOK_UPS, 1, move |ids| {
        let db = db.clone();
        async move { db.within_limit(find_all(&db, &ids)).await }
    })
}

async fn find_all(db: &Database, ids: &[ShowId]) -> Result<Vec<Option<Arc<Show>>>, StoreError> {
    let ids_padded = padded(ids);
    let sql = format!(
        "SELECT {SHOW_COLUMNS} FROM shows WHERE id IN ({})",
        placeholders(ids_padded.len())
    );
    let mut query = sqlx::query_as::<_, ShowRow>(&sql);
    for id in ids_padded {
        query = query.bind(id.as_str().as_bytes());
    }
    let mut found = HashMap::with_capacity(ids.len());
    for row in query.fetch_all(&db.reading).await? {
        let show = ShowStanding::try_from(row)?.show;
        found.insert(show.id.clone(), Arc::new(show));
    }
    Ok(ids.iter().map(|id| found.get(id).cloned()).collect())
}

fn unavailable(error: impl Into<StoreError>) -> ShowRepositoryError {
    ShowRepositoryError::Unavailable(error.into().cause())
}

#[async_trait]
impl ShowRepository for MySqlStore {
    async fn find(&self, id: &ShowId) -> Result<Option<Arc<Show>>, ShowRepositoryError> {
        if let Some(show) = self.show_cache.get(id) {
            return Ok(Some(show));
        }
        let found = self.shows.call(id.clone()).await.map_err(unavailable)?;
        if let Some(show) = &found {
            self.show_cache.insert(id.clone(), Arc::clone(show));
        }
        Ok(found)
    }

    async fn standing(&self, id: &ShowId) -> Result<Option<ShowStanding>, ShowRepositoryError> {
        let sql = format!("SELECT {SHOW_COLUMNS} FROM shows WHERE id = ?");
        let row: Option<ShowRow> = sqlx::query_as(&sql)
            .bind(id.as_str().as_bytes())
            .fetch_optional(&self.db.reading)
            .await
            .map_err(unavailable)?;
        row.map(|row| row.try_into().map_err(unavailable))
            .transpose()
    }

    async fn list(
        &self,
        after: Option<&ShowId>,
        limit: usize,
    ) -> Result<Vec<ShowStanding>, ShowRepositoryError> {
        let sql = format!("SELECT {SHOW_COLUMNS} FROM shows WHERE id > ? ORDER BY id LIMIT ?");
        let rows: Vec<ShowRow> = sqlx::query_as(&sql)
            .bind(after.map_or(&b""[..], |id| id.as_str().as_bytes()))
            .bind(u64::try_from(limit).unwrap_or(u64::MAX))
            .fetch_all(&self.db.reading)
            .await
            .map_err(unavailable)?;
        rows.into_iter()
            .map(|row| row.try_into().map_err(unavailable))
            .collect()
    }

    async fn create(&self, show: &Show) -> Result<(), CreateShowError> {
        match create(&self.db, show).await {
            Ok(()) => Ok(()),
            Err(error) if error.is_duplicate() => Err(CreateShowError::AlreadyExists),
            Err(error) => Err(CreateShowError::Unavailable(error.cause())),
        }
    }
}

async fn create(db: &Database, show: &Show) -> Result<(), StoreError> {
    let now = db.clock.now();
    let (ledger, entry) = ShowLedger::open(show.id.clone(), show.terms.clone(), now);
    let mut transaction = db.changing.begin().await?;
    sql::insert_show(&mut transaction, show, &ledger).await?;
    sql::insert_journal(&mut transaction, &[entry]).await?;
    transaction.commit().await?;
    Ok(())
}
