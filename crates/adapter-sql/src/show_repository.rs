//! Shows.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use async_trait::async_trait;
use domain::ids::ShowId;
use domain::ports::{CreateShowError, ShowRepository, ShowRepositoryError, UnreadableShow};
use domain::rule::open_show;
use domain::show::{Show, ShowStanding};
use runtime::Coalescer;

use crate::connections::Lease;
use crate::database::Database;
use crate::engine::Engine;
use crate::error::{SqlError, cause};
use crate::page::Page;
use crate::row::readable;
use crate::statements::{ShowStatements, SqlSession, TicketStatements};
use crate::store::{Found, SqlStore};

/// Shows asked for in one query.
const MAX_LOOK_UPS: usize = 128;

/// For those who order.
pub(crate) fn look_ups<E: Engine>(
    db: Arc<Database<E>>,
) -> Coalescer<ShowId, Found<ShowStanding>, E::Error> {
    Coalescer::new(MAX_LOOK_UPS, move |ids| {
        let db = Arc::clone(&db);
        async move {
            let lease = db.lease_selling();
            db.read(find_all(lease, &ids)).await
        }
    })
}

/// For everybody: one show's page is asked for by thousands.
pub(crate) fn public_look_ups<E: Engine>(
    db: Arc<Database<E>>,
) -> Coalescer<ShowId, Found<ShowStanding>, E::Error> {
    Coalescer::new(MAX_LOOK_UPS, move |ids| {
        let db = Arc::clone(&db);
        async move {
            let lease = db.lease_reading();
            db.read(find_all(lease, &ids)).await
        }
    })
}

async fn find_all<E: Engine>(
    lease: impl Future<Output = Result<Lease<E>, E::Error>>,
    ids: &[ShowId],
) -> Result<Vec<Found<ShowStanding>>, E::Error> {
    let mut lease = lease.await?;
    let found = lease.session().shows(ids).await?;
    lease.give_back();
    let mut by_id: HashMap<Vec<u8>, _> = HashMap::with_capacity(found.len());
    for row in found {
        by_id.insert(row.id.clone(), ShowStanding::try_from(row));
    }
    let found = |id: &ShowId| by_id.get(id.as_str().as_bytes()).cloned().transpose();
    Ok(ids.iter().map(found).collect())
}

fn unavailable(error: impl SqlError) -> ShowRepositoryError {
    ShowRepositoryError::Unavailable(cause(error))
}

impl<E: Engine> SqlStore<E> {
    async fn look_up(
        &self,
        shows: &Coalescer<ShowId, Found<ShowStanding>, E::Error>,
        id: &ShowId,
    ) -> Result<Option<ShowStanding>, ShowRepositoryError> {
        let found = shows.call(id.clone()).await;
        let found = found.and_then(|found| found.map_err(E::Error::from));
        found.map_err(unavailable)
    }
}

#[async_trait]
impl<E: Engine> ShowRepository for SqlStore<E> {
    async fn find(&self, id: &ShowId) -> Result<Option<Arc<Show>>, ShowRepositoryError> {
        let standing = self.look_up(&self.shows, id).await?;
        Ok(standing.map(|standing| Arc::new(standing.show)))
    }

    async fn standings(&self, ids: &[ShowId]) -> Result<Vec<ShowStanding>, ShowRepositoryError> {
        if let [id] = ids {
            let found = self.look_up(&self.standings, id).await?;
            return Ok(found.into_iter().collect());
        }
        // Each once, even if it is in two chunks.
        let ids: BTreeSet<_> = ids.iter().cloned().collect();
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let ids: Vec<_> = ids.into_iter().collect();
        let db = Arc::clone(&self.db);
        let reading = async move {
            let mut lease = db.lease_reading().await?;
            let mut found = Vec::with_capacity(ids.len());
            for some in ids.chunks(MAX_LOOK_UPS) {
                found.extend(lease.session().shows(some).await?);
            }
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
        let (db, after) = (Arc::clone(&self.db), after.cloned());
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
            Err(error) => Err(CreateShowError::Unavailable(cause(error))),
        }
    }
}

async fn list<E: Engine>(
    db: &Database<E>,
    after: Option<&ShowId>,
    limit: usize,
) -> Result<Vec<ShowStanding>, E::Error> {
    let after = after.map_or_else(Vec::new, |id| id.as_str().as_bytes().to_vec());
    let mut page = Page::after(after, limit);
    let mut lease = db.lease_reading().await?;
    while page.missing > 0 {
        let session = lease.session();
        let rows = session.shows_after(&page.after, page.missing).await?;
        page.fill(rows, |row| row.id.clone());
    }
    lease.give_back();
    Ok(page.values)
}

/// Rows of shows that are none, by id.
async fn unreadable<E: Engine>(db: &Database<E>) -> Result<Vec<UnreadableShow>, E::Error> {
    const ROWS: usize = 1_000;

    let mut lease = db.lease_reading().await?;
    let (mut after, mut found) = (Vec::new(), Vec::new());
    loop {
        let rows = lease.session().shows_after(&after, ROWS).await?;
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

async fn create<E: Engine>(db: &Database<E>, show: &Show) -> Result<ShowStanding, E::Error> {
    let saved = open_show(show.clone(), db.clock.now());
    let entry: Vec<_> = saved.entry.iter().collect();
    let mut lease = db.lease_changing().await?;
    let session = lease.session();
    session.begin().await?;
    session.insert_show(&saved).await?;
    session.insert_journal(&entry).await?;
    session.commit().await?;
    lease.give_back();
    Ok(saved.standing())
}
