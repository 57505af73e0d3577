//! Where the real servers are that adapters are tested against.

use std::{env, fs};

/// Written by `make services`; variables of the same names come first.
const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../.local/services.env");

/// A MySQL or MariaDB server, without a database in the URL; its user may create databases.
///
/// # Panics
/// When there is none: a missing service fails a test, it is never skipped.
#[must_use]
pub fn mysql_url() -> String {
    url("TICKETS_TEST_MYSQL_URL")
}

/// A RabbitMQ broker.
///
/// # Panics
/// Like [`mysql_url`].
#[must_use]
pub fn rabbitmq_url() -> String {
    url("TICKETS_TEST_RABBITMQ_URL")
}

#[expect(clippy::panic, reason = "fails the test that needs the service")]
fn url(name: &str) -> String {
    let from_file = || {
        let file = fs::read_to_string(FILE).ok()?;
        file.lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
            .map(str::to_owned)
    };
    env::var(name)
        .ok()
        .or_else(from_file)
        .unwrap_or_else(|| panic!("{name} is not set and no server is known; run `make services`"))
}

/// A database that nobody else uses, empty at first; dropped with the value.
#[cfg(feature = "mysql")]
pub struct TestDatabase {
    name: String,
}

#[cfg(feature = "mysql")]
impl TestDatabase {
    /// Creates one.
    ///
    /// # Panics
    /// When there is no server or it refuses.
    pub async fn create() -> Self {
        let name = format!("tickets_test_{:016x}", rand::random::<u64>());
        run_sql(&format!("CREATE DATABASE {name}")).await;
        Self { name }
    }

    /// `mysql://user:password@host:port/database`
    #[must_use]
    pub fn url(&self) -> String {
        format!("{}/{}", mysql_url(), self.name)
    }
}

#[cfg(feature = "mysql")]
impl Drop for TestDatabase {
    fn drop(&mut self) {
        let drop = format!("DROP DATABASE {}", self.name);
        on_a_thread(async move { run_sql(&drop).await });
    }
}

#[cfg(feature = "mysql")]
#[expect(clippy::unwrap_used, reason = "fails the test that needs it")]
async fn run_sql(sql: &str) {
    use sqlx::{Connection, Executor, MySqlConnection};

    let mut connection = MySqlConnection::connect(&mysql_url()).await.unwrap();
    connection.execute(sql).await.unwrap();
    connection.close().await.unwrap();
}

/// A prefix of queues and exchanges that nobody else uses; what has it when the
/// value is dropped is deleted.
#[cfg(feature = "rabbitmq")]
pub struct TestPrefix {
    prefix: String,
}

#[cfg(feature = "rabbitmq")]
impl TestPrefix {
    /// Nothing has it yet.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "two values are never equal")]
    pub fn new() -> Self {
        Self {
            prefix: format!("test-{:016x}-", rand::random::<u64>()),
        }
    }

    /// The prefix.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.prefix
    }
}

#[cfg(feature = "rabbitmq")]
impl Drop for TestPrefix {
    fn drop(&mut self) {
        let prefix = self.prefix.clone();
        on_a_thread(async move { delete_topology(&prefix).await });
    }
}

#[cfg(feature = "rabbitmq")]
#[expect(clippy::unwrap_used, reason = "fails the test that needs it")]
async fn delete_topology(prefix: &str) {
    use lapin::options::{ExchangeDeleteOptions, QueueDeleteOptions};
    use lapin::{Connection, ConnectionProperties};

    use crate::LANES;

    let connection = Connection::connect(&rabbitmq_url(), ConnectionProperties::default())
        .await
        .unwrap();
    let channel = connection.create_channel().await.unwrap();
    let lanes = LANES
        .iter()
        .flat_map(|lane| [format!("high.{lane}"), format!("standard.{lane}")]);
    for queue in lanes.chain(["dead".to_owned(), "lanes".to_owned()]) {
        let queue = format!("{prefix}tickets.{queue}");
        let options = QueueDeleteOptions::default();
        channel.queue_delete(queue.into(), options).await.unwrap();
    }
    for exchange in ["tickets", "ticket-events", "ticket-workers"] {
        let exchange = format!("{prefix}{exchange}");
        let options = ExchangeDeleteOptions::default();
        let deleted = channel.exchange_delete(exchange.into(), options).await;
        deleted.unwrap();
    }
    connection.close(200, "OK".into()).await.unwrap();
}

/// The test's runtime may be gone by now, and its threads must not wait.
#[cfg(any(feature = "mysql", feature = "rabbitmq"))]
#[expect(clippy::unwrap_used, reason = "fails the test that needs it")]
fn on_a_thread(work: impl Future<Output = ()> + Send + 'static) {
    let working = std::thread::spawn(|| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(work);
    });
    working.join().unwrap();
}
