//! The database of one run: made, filled with users, read past the service, dropped.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail};
use futures_util::TryStreamExt;
use sqlx::QueryBuilder;
use sqlx::mysql::{MySqlPool, MySqlPoolOptions};
use test_servers::database;
use uuid::Uuid;

use crate::administration::Seats;
use crate::names::{Names, is_high};
use crate::proof::history::{Change, Journaled};
use crate::proof::ticket::{State, StoredTicket};
use crate::store_server;

/// Rows of one statement.
const USERS_PER_STATEMENT: u32 = 1_000;
/// How the schema writes the classes.
const HIGH: u8 = 0;
/// As above.
const STANDARD: u8 = 1;

/// As the schema has them: id, show, user, quantity, verdict, status,
/// `requested_at`, `decided_at` and `decision_seq`.
type TicketRow = (
    Vec<u8>,
    Vec<u8>,
    Vec<u8>,
    u32,
    u8,
    u8,
    i64,
    i64,
    Option<u64>,
);
/// Show, seq, at, kind, ticket and capacity.
type JournalRow = (Vec<u8>, u64, i64, u8, Option<Vec<u8>>, Option<u32>);

fn verdict_of(code: u8) -> anyhow::Result<State> {
    Ok(match code {
        0 => State::Reserved,
        1 => State::Confirmed,
        2 => State::SoldOut,
        3 => State::LimitExceeded,
        4 => State::SalesClosed,
        5 | 6 => State::RejectedOtherwise,
        _ => bail!("a ticket of verdict {code}"),
    })
}

/// An id; one that is no text is nobody's.
fn text(id: &[u8]) -> &str {
    std::str::from_utf8(id).unwrap_or_default()
}

/// The time in µs since 1970, as the service writes it.
pub fn now_micros() -> anyhow::Result<i64> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
    Ok(i64::try_from(now.as_micros())?)
}

/// A database that nobody else uses.
#[derive(Clone)]
pub struct Database {
    name: String,
    url: String,
    pool: MySqlPool,
}

/// The URL holds the password.
impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Database")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl Database {
    /// Creates one on the server at `url`.
    pub async fn create(url: &str) -> anyhow::Result<Self> {
        Self::at(&database::create(url, "bench").await?)
    }

    /// Uses an existing database.
    pub fn at(url: &str) -> anyhow::Result<Self> {
        Ok(Self {
            pool: MySqlPoolOptions::new().connect_lazy(url)?,
            name: database::name(url)?.to_owned(),
            url: url.to_owned(),
        })
    }

    /// `mysql://user:password@host:port/database`
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The pool of connections to the database.
    #[must_use]
    pub const fn pool(&self) -> &MySqlPool {
        &self.pool
    }

    /// Drops it with all that is in it.
    pub async fn drop(self) -> anyhow::Result<()> {
        self.pool.close().await;
        database::drop(&self.url).await
    }

    /// Inserts so many users, of whom a share is of the class `high`. Asking the service
    /// for each of them takes longer than what is measured.
    pub async fn insert_users(&self, names: &Names, number: u32, high: f64) -> anyhow::Result<()> {
        let mut first = 0;
        while first < number {
            let next = number.min(first + USERS_PER_STATEMENT);
            let mut sql = QueryBuilder::new("INSERT INTO users (id, name, priority) ");
            sql.push_values(first..next, |mut row, user| {
                let class = if is_high(user, high) { HIGH } else { STANDARD };
                row.push_bind(names.user(user).into_bytes())
                    .push_bind(format!("User {user}"))
                    .push_bind(class);
            });
            sql.build().execute(&self.pool).await?;
            first = next;
        }
        Ok(())
    }

    /// How the shows of a run stand.
    pub async fn seats(&self) -> anyhow::Result<Seats> {
        let sql = "SELECT CAST(COALESCE(SUM(available), 0) AS UNSIGNED), \
                   CAST(COALESCE(SUM(held), 0) AS UNSIGNED), \
                   CAST(COALESCE(SUM(sold), 0) AS UNSIGNED) FROM shows";
        let (available, held, sold) = sqlx::query_as(sql).fetch_one(&self.pool).await?;
        Ok(Seats {
            available,
            held,
            sold,
        })
    }

    /// Orders that are decided: every change that is not in the journal is a decision.
    pub async fn decided(&self) -> anyhow::Result<u64> {
        let sql = "SELECT CAST((SELECT COALESCE(SUM(seq), 0) FROM shows) \
                   - (SELECT COUNT(*) FROM journal) AS UNSIGNED)";
        Ok(sqlx::query_scalar(sql).fetch_one(&self.pool).await?)
    }

    /// All tickets of a run.
    ///
    /// # Errors
    /// When the server does not answer, or has a ticket of somebody else.
    pub async fn stored_tickets(&self, names: &Names) -> anyhow::Result<Vec<StoredTicket>> {
        let sql = "SELECT id, show_id, user_id, quantity, verdict, status, requested_at, \
                   decided_at, decision_seq FROM tickets";
        let mut rows = sqlx::query_as::<_, TicketRow>(sql).fetch(&self.pool);
        let mut tickets = Vec::new();
        while let Some(row) = rows.try_next().await? {
            let (id, show, user, quantity, verdict, status, requested_at, decided_at, seq) = row;
            tickets.push(StoredTicket {
                id: Uuid::from_slice(&id)?,
                show: names
                    .show_number(text(&show))
                    .context("another show's ticket")?,
                user: names
                    .user_number(text(&user))
                    .context("another user's ticket")?,
                quantity,
                verdict: verdict_of(verdict)?,
                state: match status {
                    0 => State::Reserved,
                    1 => State::Confirmed,
                    2 => verdict_of(verdict)?,
                    3 => State::Expired,
                    4 => State::Cancelled,
                    _ => bail!("a ticket of status {status}"),
                },
                requested_at,
                decided_at,
                // Of an order for a show that does not exist: a gap in any history.
                decision_seq: seq.unwrap_or_default(),
            });
        }
        Ok(tickets)
    }

    /// Every change of a run's shows that is not a decision.
    pub async fn journal(&self, names: &Names) -> anyhow::Result<Vec<Journaled>> {
        let sql = "SELECT show_id, seq, at, kind, ticket_id, capacity FROM journal";
        let mut rows = sqlx::query_as::<_, JournalRow>(sql).fetch(&self.pool);
        let mut journal = Vec::new();
        while let Some((show, seq, at, kind, ticket, capacity)) = rows.try_next().await? {
            journal.push(Journaled {
                show: names
                    .show_number(text(&show))
                    .context("another show's change")?,
                seq,
                at,
                change: match (kind, ticket, capacity) {
                    (0, _, Some(capacity)) => Change::TermsSet { capacity },
                    (1, Some(ticket), _) => Change::Confirmed(Uuid::from_slice(&ticket)?),
                    (2, Some(ticket), _) => Change::CancelledHeld(Uuid::from_slice(&ticket)?),
                    (3, Some(ticket), _) => Change::CancelledSold(Uuid::from_slice(&ticket)?),
                    (4, Some(ticket), _) => Change::Expired(Uuid::from_slice(&ticket)?),
                    _ => bail!("a change of kind {kind}"),
                },
            });
        }
        Ok(journal)
    }

    /// Changes that all shows have had.
    pub async fn changes(&self) -> anyhow::Result<u64> {
        let sql = "SELECT CAST(COALESCE(SUM(seq), 0) AS UNSIGNED) FROM shows";
        Ok(sqlx::query_scalar(sql).fetch_one(&self.pool).await?)
    }

    /// Seats of a show that are held or sold.
    ///
    /// # Errors
    /// When there is no such show.
    pub async fn seats_taken(&self, show: &str) -> anyhow::Result<u64> {
        let sql = "SELECT CAST(held + sold AS UNSIGNED) FROM shows WHERE id = ?";
        let taken = sqlx::query_scalar(sql).bind(show.as_bytes());
        Ok(taken.fetch_one(&self.pool).await?)
    }

    /// How many tickets there are.
    pub async fn tickets(&self) -> anyhow::Result<u64> {
        let sql = "SELECT CAST(COUNT(*) AS UNSIGNED) FROM tickets";
        Ok(sqlx::query_scalar(sql).fetch_one(&self.pool).await?)
    }

    /// Orders decided at each instant since `since_micros`, in sequence; the
    /// orders of a show in one batch have one instant.
    pub async fn decided_at(&self, since_micros: i64) -> anyhow::Result<Vec<(i64, u64)>> {
        let sql = "SELECT decided_at, CAST(COUNT(*) AS UNSIGNED) FROM tickets \
                   WHERE decided_at >= ? GROUP BY decided_at ORDER BY decided_at";
        let rows = sqlx::query_as(sql).bind(since_micros);
        Ok(rows.fetch_all(&self.pool).await?)
    }

    /// What server this is and how durably it commits: `MariaDB 10.11.14, sync_binlog=0`.
    pub async fn server(&self) -> anyhow::Result<String> {
        store_server::describe(&self.pool).await
    }
}
