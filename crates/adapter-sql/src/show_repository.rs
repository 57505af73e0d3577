//! Shows.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use async_trait::async_trait;
use domain::author::Author;
use domain::ids::ShowId;
use domain::ports::{
    CreateShowError, ShowRepository, ShowRepositoryError, TermsSet, UnreadableShow,
};
use domain::rule::{ShowSaved, open_show};
use domain::show::{Show, ShowStanding};

use crate::authors::author;
use crate::connections::Connections;
use crate::engine::Engine;
use crate::error::{SqlError, cause};
use crate::look_ups::Found;
use crate::page::page;
use crate::row::readable;
use crate::statements::{ShowStatements, SqlSession, TicketStatements};
use crate::store::SqlStore;

/// Shows asked for in one query.
pub(crate) const MAX_SHOWS: usize = 128;

pub(crate) async fn find_all<E: Engine>(
    connections: Arc<Connections<E>>,
    ids: Vec<ShowId>,
) -> Result<Vec<Found<ShowStanding>>, E::Error> {
    let finding = async |session: &mut E::Session| session.shows(&ids).await;
    let mut found: HashMap<Vec<u8>, _> = HashMap::with_capacity(ids.len());
    for row in connections.run(finding).await? {
        found.insert(row.id.clone(), ShowStanding::try_from(row));
    }
    let found = |id: &ShowId| found.get(id.as_str().as_bytes()).cloned().transpose();
    Ok(ids.iter().map(found).collect())
}

fn unavailable(error: impl SqlError) -> ShowRepositoryError {
    ShowRepositoryError::Unavailable(cause(error))
}

#[async_trait]
impl<E: Engine> ShowRepository for SqlStore<E> {
    async fn find(&self, id: &ShowId) -> Result<Option<Arc<Show>>, ShowRepositoryError> {
        let standing = self.shows.find(id.clone()).await.map_err(unavailable)?;
        Ok(standing.map(|standing| Arc::new(standing.show)))
    }

    async fn standings(&self, ids: &[ShowId]) -> Result<Vec<ShowStanding>, ShowRepositoryError> {
        if let [id] = ids {
            let found = self.standings.find(id.clone()).await;
            return Ok(found.map_err(unavailable)?.into_iter().collect());
        }
        // Each once, even if it is in two chunks.
        let ids: BTreeSet<_> = ids.iter().cloned().collect();
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let ids: Vec<_> = ids.into_iter().collect();
        let finding = self.db.reading.run_to_the_end(move |session| {
            Box::pin(async move {
                let mut found = Vec::with_capacity(ids.len());
                for some in ids.chunks(MAX_SHOWS) {
                    found.extend(session.shows(some).await?);
                }
                Ok(readable(found))
            })
        });
        finding.await.map_err(unavailable)
    }

    async fn list(
        &self,
        after: Option<&ShowId>,
        limit: usize,
    ) -> Result<Vec<ShowStanding>, ShowRepositoryError> {
        let after = after.map_or_else(Vec::new, |id| id.as_str().as_bytes().to_vec());
        let listing = self.db.reading.run_to_the_end(move |session| {
            Box::pin(page(
                session,
                after,
                limit,
                |session, after, missing| session.shows_after(after, missing),
                |row| row.id.clone(),
            ))
        });
        listing.await.map_err(unavailable)
    }

    async fn unreadable(&self) -> Result<Vec<UnreadableShow>, ShowRepositoryError> {
        let reading = async |session: &mut E::Session| unreadable::<E>(session).await;
        self.db.reading.run(reading).await.map_err(unavailable)
    }

    async fn terms_history(
        &self,
        id: &ShowId,
        after_seq: u64,
        limit: usize,
    ) -> Result<Vec<TermsSet>, ShowRepositoryError> {
        let reading = async |session: &mut E::Session| {
            let rows = session.terms_after(id, after_seq, limit).await?;
            let terms = rows.into_iter().map(TermsSet::try_from);
            Ok(terms.collect::<Result<_, _>>()?)
        };
        self.db.reading.run(reading).await.map_err(unavailable)
    }

    async fn create(
        &self,
        show: &Show,
        by: Option<&Author>,
    ) -> Result<ShowStanding, CreateShowError> {
        let saved = open_show(show.clone(), self.db.clock.now());
        let creating = async |session: &mut E::Session| insert::<E>(session, &saved, by).await;
        match self.db.changing.run(creating).await {
            Ok(()) => Ok(saved.standing()),
            Err(error) if error.is_duplicate() => Err(CreateShowError::AlreadyExists),
            Err(error) => Err(CreateShowError::Unavailable(cause(error))),
        }
    }
}

/// Rows of shows that are none, by id.
async fn unreadable<E: Engine>(session: &mut E::Session) -> Result<Vec<UnreadableShow>, E::Error> {
    const ROWS: usize = 1_000;

    let (mut after, mut found) = (Vec::new(), Vec::new());
    loop {
        let rows = session.shows_after(&after, ROWS).await?;
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
            return Ok(found);
        }
    }
}

async fn insert<E: Engine>(
    session: &mut E::Session,
    saved: &ShowSaved,
    by: Option<&Author>,
) -> Result<(), E::Error> {
    let entry: Vec<_> = saved.entry.iter().collect();
    session.begin().await?;
    session.insert_show(saved).await?;
    let author = author::<E>(session, by).await?;
    session.insert_journal(&entry, author).await?;
    session.commit().await
}
