//! Shows.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use async_trait::async_trait;
use domain::ids::ShowId;
use domain::ports::{CreateShowError, ShowRepository, ShowRepositoryError, UnreadableShow};
use domain::rule::open_show;
use domain::show::{Show, ShowStanding};
use sqlx::Executor;

use crate::MySqlStore;
use crate::connections::Lease;
use crate::database::Database;
use crate::error::StoreError;
use crate::page::Page;
use crate::row::{SHOW_COLUMNS, ShowRow, readable};
use crate::ticket_ledger::sql::{self, padded, placeholders};
use runtime::Coalescer;

/// Shows asked for in one query; keeps the texts of its statements few.
const MAX_LOOK_UPS: usize = 128;

/// A row that cannot be read is that show's failure alone.
pub(crate) type Found = Result<Option<ShowStanding>, StoreError>;

/// For those who order.
pub(crate) fn look_ups(db: Database) -> Coalescer<ShowId, Found, StoreError> {
    Coalescer::new(MAX_LOOK_UPS, move |ids| {
        let db = db.clone();
        async move {
            let lease = db.lease_selling();
            db.read(find_all(lease, &ids)).await
        }
    })
}

/// For everybody: one show's page is asked for by thousands.
pub(crate) fn public_look_ups(db: Database) -> Coalescer<ShowId, Found, StoreError> {
    Coalescer::new(MAX_LOOK_UPS, move |ids| {
        let db = db.clone();
        async move {
            let lease = db.lease_reading();
            db.read(find_all(lease, &ids)).await
        }
    })
}

async fn find_all(
    lease: impl Future<Output = Result<Lease, StoreError>>,
    ids: &[ShowId],
) -> Result<Vec<Found>, StoreError> {
    let mut lease = lease.await?;
    let found = rows(&mut lease, ids).await?;
    lease.give_back();
    let mut by_id: HashMap<Vec<u8>, _> = HashMap::with_capacity(found.len());
    for row in found {
        by_id.insert(row.id.clone(), ShowStanding::try_from(row));
    }
    let found = |id: &ShowId| by_id.get(id.as_str().as_bytes()).cloned().transpose();
    Ok(ids.iter().map(found).collect())
}

/// A plain read, which waits for no lock.
async fn rows(lease: &mut Lease, ids: &[ShowId]) -> Result<Vec<ShowRow>, StoreError> {
    let mut found = Vec::with_capacity(ids.len());
    for some in ids.chunks(MAX_LOOK_UPS) {
        let some = padded(some);
        let sql = format!(
            "SELECT {SHOW_COLUMNS} FROM shows WHERE id IN ({})",
            placeholders(some.len())
        );
        let mut query = sqlx::query_as::<_, ShowRow>(&sql);
        for id in some {
            query = query.bind(id.as_str().as_bytes());
        }
        found.extend(query.fetch_all(lease.connection()).await?);
    }
    Ok(found)
}

fn unavailable(error: StoreError) -> ShowRepositoryError {
    ShowRepositoryError::Unavailable(error.cause())
}

#[async_trait]
impl ShowRepository for MySqlStore {
    async fn find(&self, id: &ShowId) -> Result<Option<Arc<Show>>, ShowRepositoryError> {
        let found = self.shows.call(id.clone()).await.and_then(|found| found);
        let standing = found.map_err(unavailable)?;
        Ok(standing.map(|standing| Arc::new(standing.show)))
    }

    async fn standings(&self, ids: &[ShowId]) -> Result<Vec<ShowStanding>, ShowRepositoryError> {
        if let [id] = ids {
            let found = self.standings.call(id.clone()).await;
            let found = found.and_then(|found| found).map_err(unavailable)?;
            return Ok(found.into_iter().collect());
        }
        // Each once, even if it is in two chunks.
        let ids: BTreeSet<_> = ids.iter().cloned().collect();
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let ids: Vec<_> = ids.into_iter().collect();
        let db = self.db.clone();
        let reading = async move {
            let mut lease = db.lease_reading().await?;
            let found = rows(&mut lease, &ids).await?;
            lease.give_back();
            Ok(readable(found))
        };
        let read = self.db.read_to_the_end(reading).await;
        read.map_err(unavailable)
    }

    async fn list(
        &self,
        after: Option<&ShowId>,
        limit: usize,
    ) -> Result<Vec<ShowStanding>, ShowRepositoryError> {
        let (db, after) = (self.db.clone(), after.cloned());
        let reading = async move { list(&db, after.as_ref(), limit).await };
        let read = self.db.read_to_the_end(reading).await;
        read.map_err(unavailable)
    }

    async fn unreadable(&self) -> Result<Vec<UnreadableShow>, ShowRepositoryError> {
        let reading = self.db.read(unreadable(&self.db));
        reading.await.map_err(unavailable)
    }

    async fn create(&self, show: &Show) -> Result<ShowStanding, CreateShowError> {
        match self.db.change(create(&self.db, show)).await {
            Ok(standing) => Ok(standing),
            Err(error) if error.is_duplicate() => Err(CreateShowError::AlreadyExists),
            Err(error) => Err(CreateShowError::Unavailable(error.cause())),
        }
    }
}

async fn list(
    db: &Database,
    after: Option<&ShowId>,
    limit: usize,
) -> Result<Vec<ShowStanding>, StoreError> {
    let after = after.map_or_else(Vec::new, |id| id.as_str().as_bytes().to_vec());
    let mut page = Page::after(after, limit);
    let mut lease = db.lease_reading().await?;
    while page.missing > 0 {
        let rows = rows_after(&mut lease, &page.after, page.missing).await?;
        page.fill(rows, |row| row.id.clone());
    }
    lease.give_back();
    Ok(page.values)
}

async fn rows_after(
    lease: &mut Lease,
    after: &[u8],
    limit: usize,
) -> Result<Vec<ShowRow>, StoreError> {
    let sql = format!("SELECT {SHOW_COLUMNS} FROM shows WHERE id > ? ORDER BY id LIMIT ?");
    let query = sqlx::query_as::<_, ShowRow>(&sql)
        .bind(after)
        .bind(u64::try_from(limit).unwrap_or(u64::MAX));
    Ok(query.fetch_all(lease.connection()).await?)
}

/// Rows of shows that are none, by id.
async fn unreadable(db: &Database) -> Result<Vec<UnreadableShow>, StoreError> {
    const ROWS: usize = 1_000;

    let mut lease = db.lease_reading().await?;
    let (mut after, mut found) = (Vec::new(), Vec::new());
    loop {
        let rows = rows_after(&mut lease, &after, ROWS).await?;
        let is_last = rows.len() < ROWS;
        for row in rows {
            after.clone_from(&row.id);
            let id = String::from_utf8_lossy(&row.id).into_owned();
            if let Err(error) = ShowStanding::try_from(row) {
                let why = error.to_string();
                found.push(UnreadableShow { id, why });
            }
        }
        if is_last {
            break;
        }
    }
    lease.give_back();
    Ok(found)
}

async fn create(db: &Database, show: &Show) -> Result<ShowStanding, StoreError> {
    let saved = open_show(show.clone(), db.clock.now());
    let mut lease = db.lease_changing().await?;
    let connection = lease.connection();
    connection.execute("START TRANSACTION").await?;
    sql::insert_show(connection, &saved).await?;
    sql::insert_journal(connection, &saved.entry.iter().collect::<Vec<_>>()).await?;
    connection.execute("COMMIT").await?;
    lease.give_back();
    Ok(saved.standing())
}
