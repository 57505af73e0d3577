//! A database of one test.

#![expect(clippy::unwrap_used, reason = "fails the test that needs it")]

use std::collections::BTreeSet;

use sqlx::mysql::MySqlConnection;
use sqlx::{Connection, Executor};

use crate::services::mysql_url;
use crate::{database, on_a_thread};

/// A database that nobody else uses, empty at first; dropped with the value. Panics when the
/// server refuses.
pub struct TestDatabase {
    url: String,
}

impl TestDatabase {
    /// Creates a database with a name of its own.
    pub async fn create() -> Self {
        Self::create_on(mysql_url()).await
    }

    /// Creates one on another server than that of all tests.
    pub async fn create_on(server: String) -> Self {
        Self {
            url: database::create(&server, "tickets_test").await.unwrap(),
        }
    }

    /// `mysql://user:password@host:port/database`
    #[must_use]
    pub fn url(&self) -> String {
        self.url.clone()
    }

    /// Its name on the server.
    #[must_use]
    pub fn name(&self) -> &str {
        database::name(&self.url).unwrap()
    }

    /// Runs statements in it, past the adapter.
    pub async fn execute(&self, sql: &str) {
        self.connect().await.execute(sql).await.unwrap();
    }

    /// The number that a query returns.
    pub async fn number(&self, sql: &str) -> i64 {
        let mut connection = self.connect().await;
        let number = sqlx::query_scalar(sql).fetch_one(&mut connection);
        number.await.unwrap()
    }

    /// Transactions in it that hold row locks, by the server's numbers. The
    /// server looks again only if nobody has asked for 100 ms.
    pub async fn locking_transactions(&self) -> BTreeSet<u64> {
        let mut connection = self.connect().await;
        let transactions = sqlx::query_scalar(
            "SELECT CAST(t.trx_id AS UNSIGNED) FROM information_schema.innodb_trx t \
             JOIN information_schema.processlist p ON p.id = t.trx_mysql_thread_id \
             WHERE p.db = ? AND t.trx_rows_locked > 0",
        )
        .bind(self.name())
        .fetch_all(&mut connection)
        .await
        .unwrap();
        transactions.into_iter().collect()
    }

    /// A transaction past the adapter that has done `sql` and goes on.
    pub async fn hold_lock(&self, sql: &str) -> HeldLock {
        let mut held = HeldLock(self.connect().await);
        held.execute("START TRANSACTION").await;
        held.execute(sql).await;
        held
    }

    async fn connect(&self) -> MySqlConnection {
        database::connect(&self.url).await.unwrap()
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let url = self.url.clone();
        on_a_thread(async move { database::drop(&url).await });
    }
}

/// A transaction that keeps its locks until it is released.
pub struct HeldLock(MySqlConnection);

impl HeldLock {
    /// One more statement of it.
    pub async fn execute(&mut self, sql: &str) {
        self.0.execute(sql).await.unwrap();
    }

    /// Undoes it.
    pub async fn release(mut self) {
        self.execute("ROLLBACK").await;
        self.0.close().await.unwrap();
    }
}
