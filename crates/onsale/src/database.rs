//! The database of one run: made, filled with users, read past the service, dropped.

use std::collections::{BTreeMap, HashSet};
use std::fmt;

use anyhow::Context;
use serde::Serialize;
use sqlx::mysql::{MySqlPool, MySqlPoolOptions};
use sqlx::{Executor, QueryBuilder};
use uuid::Uuid;

/// Rows of one statement.
const USERS_PER_STATEMENT: u64 = 1_000;
/// How the schema writes the class `standard`.
const STANDARD: u8 = 1;

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
    ///
    /// # Errors
    /// When the server does not answer or refuses.
    pub async fn create(url: &str) -> anyhow::Result<Self> {
        let name = format!("bench_{:016x}", rand::random::<u64>());
        let server = url.trim_end_matches('/');
        let pool = MySqlPoolOptions::new()
            .max_connections(1)
            .connect(server)
            .await
            .context("connecting to MySQL; `make services` starts it")?;
        pool.execute(format!("CREATE DATABASE {name}").as_str())
            .await?;
        pool.close().await;
        let url = format!("{server}/{name}");
        Ok(Self {
            pool: MySqlPoolOptions::new().connect_lazy(&url)?,
            name,
            url,
        })
    }

    /// `mysql://user:password@host:port/database`
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Connections to it.
    #[must_use]
    pub const fn pool(&self) -> &MySqlPool {
        &self.pool
    }

    /// Drops it with all that is in it.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn drop(self) -> anyhow::Result<()> {
        let drop = format!("DROP DATABASE {}", self.name);
        self.pool.execute(drop.as_str()).await?;
        self.pool.close().await;
        Ok(())
    }

    /// Inserts users `0` to `users - 1`. Asking the service for each of them
    /// takes longer than what is measured.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn insert_users(&self, users: u64) -> anyhow::Result<()> {
        let mut first = 0;
        while first < users {
            let next = users.min(first + USERS_PER_STATEMENT);
            let mut sql = QueryBuilder::new("INSERT INTO users (id, name, priority) ");
            sql.push_values(first..next, |mut row, user| {
                row.push_bind(user.to_string().into_bytes())
                    .push_bind(format!("User {user}"))
                    .push_bind(STANDARD);
            });
            sql.build().execute(&self.pool).await?;
            first = next;
        }
        Ok(())
    }

    /// Changes that all shows have had.
    ///
    /// # Errors
    /// When the server does not answer.
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
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn tickets(&self) -> anyhow::Result<u64> {
        let sql = "SELECT CAST(COUNT(*) AS UNSIGNED) FROM tickets";
        Ok(sqlx::query_scalar(sql).fetch_one(&self.pool).await?)
    }

    /// Ids of all tickets.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn ticket_ids(&self) -> anyhow::Result<HashSet<Uuid>> {
        let rows: Vec<Vec<u8>> = sqlx::query_scalar("SELECT id FROM tickets")
            .fetch_all(&self.pool)
            .await?;
        let ids = rows.iter().map(|id| Ok(Uuid::from_slice(id)?));
        ids.collect()
    }

    /// Orders decided at each instant since `since_micros`, in sequence; the
    /// orders of a show in one batch have one instant.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn decided_at(&self, since_micros: i64) -> anyhow::Result<Vec<(i64, u64)>> {
        let sql = "SELECT decided_at, CAST(COUNT(*) AS UNSIGNED) FROM tickets \
                   WHERE decided_at >= ? GROUP BY decided_at ORDER BY decided_at";
        let rows = sqlx::query_as(sql).bind(since_micros);
        Ok(rows.fetch_all(&self.pool).await?)
    }

    /// From the acceptance of each order to its decision, in µs.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn waits_micros(&self) -> anyhow::Result<Vec<i64>> {
        let sql = "SELECT decided_at - requested_at FROM tickets";
        Ok(sqlx::query_scalar(sql).fetch_all(&self.pool).await?)
    }

    /// What server this is and how durably it commits.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn server(&self) -> anyhow::Result<StoreServer> {
        let version: String = sqlx::query_scalar("SELECT VERSION()")
            .fetch_one(&self.pool)
            .await?;
        let settings: Vec<(String, String)> = sqlx::query_as(
            "SHOW GLOBAL VARIABLES WHERE Variable_name IN \
             ('innodb_flush_log_at_trx_commit', 'sync_binlog', 'log_bin', 'innodb_doublewrite', \
              'innodb_flush_method', 'innodb_buffer_pool_size', 'innodb_log_file_size', \
              'innodb_redo_log_capacity')",
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(StoreServer {
            version,
            settings: settings.into_iter().collect(),
        })
    }
}

/// A database server, as it says itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StoreServer {
    /// Such as `10.11.14-MariaDB-0+deb12u2`.
    pub version: String,
    /// What decides how durable a commit is and what it costs.
    pub settings: BTreeMap<String, String>,
}

impl StoreServer {
    /// Whether it is MariaDB rather than MySQL.
    #[must_use]
    pub fn is_mariadb(&self) -> bool {
        self.version.contains("MariaDB")
    }
}

impl fmt::Display for StoreServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let product = if self.is_mariadb() {
            "MariaDB"
        } else {
            "MySQL"
        };
        write!(f, "{product} {}", self.version)?;
        for (name, value) in &self.settings {
            write!(f, ", {name}={value}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_tells_its_product_and_settings() {
        let server = StoreServer {
            version: "10.11.14-MariaDB-log".to_owned(),
            settings: [("sync_binlog".to_owned(), "0".to_owned())].into(),
        };
        assert!(server.is_mariadb());
        assert_eq!(
            server.to_string(),
            "MariaDB 10.11.14-MariaDB-log, sync_binlog=0"
        );
        let version = "8.4.6".to_owned();
        assert!(!StoreServer { version, ..server }.is_mariadb());
    }
}
