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

/// `http://user:password@host:port`, the management API of that broker.
///
/// # Panics
/// Like [`mysql_url`].
#[must_use]
pub fn rabbitmq_management_url() -> String {
    url("TICKETS_TEST_RABBITMQ_MANAGEMENT_URL")
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
    server: String,
    name: String,
}

#[cfg(feature = "mysql")]
impl TestDatabase {
    /// Creates one.
    ///
    /// # Panics
    /// When there is no server or it refuses.
    pub async fn create() -> Self {
        Self::create_on(mysql_url()).await
    }

    /// Creates one on another server than that of all tests.
    ///
    /// # Panics
    /// When it refuses.
    pub async fn create_on(server: String) -> Self {
        let name = format!("tickets_test_{:016x}", rand::random::<u64>());
        run_sql(&server, &format!("CREATE DATABASE {name}")).await;
        Self { server, name }
    }

    /// `mysql://user:password@host:port/database`
    #[must_use]
    pub fn url(&self) -> String {
        format!("{}/{}", self.server, self.name)
    }

    /// Its name on the server.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Runs statements in it, past the adapter.
    ///
    /// # Panics
    /// When the server refuses.
    #[expect(clippy::unwrap_used, reason = "fails the test that needs it")]
    pub async fn execute(&self, sql: &str) {
        use sqlx::Executor;

        self.connect().await.execute(sql).await.unwrap();
    }

    /// One number out of it.
    ///
    /// # Panics
    /// When the server refuses.
    #[expect(clippy::unwrap_used, reason = "fails the test that needs it")]
    pub async fn number(&self, sql: &str) -> i64 {
        let mut connection = self.connect().await;
        let (number,) = sqlx::query_as(sql)
            .fetch_one(&mut connection)
            .await
            .unwrap();
        number
    }

    /// Transactions in it that hold row locks, by the server's numbers. The
    /// server looks again only if nobody has asked for 100 ms.
    ///
    /// # Panics
    /// When the server refuses.
    #[expect(clippy::unwrap_used, reason = "fails the test that needs it")]
    pub async fn locking_transactions(&self) -> std::collections::BTreeSet<u64> {
        let mut connection = self.connect().await;
        let transactions: Vec<(u64,)> = sqlx::query_as(
            "SELECT CAST(t.trx_id AS UNSIGNED) FROM information_schema.innodb_trx t \
             JOIN information_schema.processlist p ON p.id = t.trx_mysql_thread_id \
             WHERE p.db = ? AND t.trx_rows_locked > 0",
        )
        .bind(&self.name)
        .fetch_all(&mut connection)
        .await
        .unwrap();
        transactions.into_iter().map(|(id,)| id).collect()
    }

    /// A transaction past the adapter that has done `sql` and goes on.
    ///
    /// # Panics
    /// When the server refuses.
    pub async fn hold_lock(&self, sql: &str) -> HeldLock {
        let mut held = HeldLock(self.connect().await);
        held.execute("START TRANSACTION").await;
        held.execute(sql).await;
        held
    }

    async fn connect(&self) -> sqlx::MySqlConnection {
        connect_to(&self.url()).await
    }
}

/// A transaction that keeps its locks until it is released.
#[cfg(feature = "mysql")]
pub struct HeldLock(sqlx::MySqlConnection);

#[cfg(feature = "mysql")]
#[expect(clippy::unwrap_used, reason = "fails the test that needs it")]
impl HeldLock {
    /// One more statement of it.
    ///
    /// # Panics
    /// When the server refuses.
    pub async fn execute(&mut self, sql: &str) {
        use sqlx::Executor;

        self.0.execute(sql).await.unwrap();
    }

    /// Undoes it.
    ///
    /// # Panics
    /// When the server refuses.
    pub async fn release(mut self) {
        use sqlx::Connection;

        self.execute("ROLLBACK").await;
        self.0.close().await.unwrap();
    }
}

#[cfg(feature = "mysql")]
impl Drop for TestDatabase {
    fn drop(&mut self) {
        let (server, drop) = (self.server.clone(), format!("DROP DATABASE {}", self.name));
        on_a_thread(async move { run_sql(&server, &drop).await });
    }
}

#[cfg(feature = "mysql")]
#[expect(clippy::unwrap_used, reason = "fails the test that needs it")]
async fn run_sql(server: &str, sql: &str) {
    use sqlx::{Connection, Executor};

    let mut connection = connect_to(server).await;
    connection.execute(sql).await.unwrap();
    connection.close().await.unwrap();
}

/// A session of a test, whatever the server's defaults are.
#[cfg(feature = "mysql")]
#[expect(clippy::unwrap_used, reason = "fails the test that needs it")]
pub(crate) async fn connect_to(url: &str) -> sqlx::MySqlConnection {
    use sqlx::{Connection, Executor};

    let mut connection = sqlx::MySqlConnection::connect(url).await.unwrap();
    let sql = "SET SESSION TRANSACTION READ WRITE; \
        SET SESSION autocommit = 1, completion_type = 'NO_CHAIN', sql_mode = '', \
        sql_safe_updates = 0, sql_select_limit = 18446744073709551615, wait_timeout = 600, lock_wait_timeout = 60 \
        /*!80000 , max_execution_time = 0 */ /*M! , max_statement_time = 0 */";
    connection.execute(sql).await.unwrap();
    connection
}

/// A prefix of queues and exchanges that nobody else uses; what has it when the
/// value is dropped is deleted.
#[cfg(feature = "rabbitmq")]
pub struct TestPrefix {
    url: String,
    prefix: String,
}

#[cfg(feature = "rabbitmq")]
impl TestPrefix {
    /// Nothing has it yet.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "two values are never equal")]
    pub fn new() -> Self {
        Self::on(&rabbitmq_url())
    }

    /// On another broker than that of the other tests.
    #[must_use]
    pub fn on(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            prefix: format!("test-{:016x}-", rand::random::<u64>()),
        }
    }

    async fn connect(&self) -> lapin::Connection {
        connect(&self.url).await
    }

    /// The prefix.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.prefix
    }

    /// Puts a message into `tickets.<queue>`, past the adapter.
    ///
    /// # Panics
    /// When the broker refuses.
    pub async fn publish(&self, queue: &str, payload: &[u8]) {
        self.publish_as("", queue, payload).await;
    }

    /// The same with a type.
    ///
    /// # Panics
    /// When the broker refuses.
    #[expect(clippy::unwrap_used, reason = "fails the test that needs it")]
    pub async fn publish_as(&self, kind: &str, queue: &str, payload: &[u8]) {
        use lapin::BasicProperties;
        use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};

        let connection = self.connect().await;
        let channel = connection.create_channel().await.unwrap();
        let confirm = ConfirmSelectOptions::default();
        channel.confirm_select(confirm).await.unwrap();
        let published = channel.basic_publish(
            "".into(),
            format!("{}tickets.{queue}", self.prefix).into(),
            BasicPublishOptions::default(),
            payload,
            BasicProperties::default().with_type(kind.into()),
        );
        published.await.unwrap().await.unwrap();
        connection.close(200, "OK".into()).await.unwrap();
    }

    /// Deletes an exchange.
    ///
    /// # Panics
    /// When the broker refuses.
    #[expect(clippy::unwrap_used, reason = "fails the test that needs it")]
    pub async fn delete_exchange(&self, exchange: &str) {
        use lapin::options::ExchangeDeleteOptions;

        let connection = self.connect().await;
        let channel = connection.create_channel().await.unwrap();
        let name = format!("{}{exchange}", self.prefix);
        let deleting = channel.exchange_delete(name.into(), ExchangeDeleteOptions::default());
        deleting.await.unwrap();
        connection.close(200, "OK".into()).await.unwrap();
    }

    /// Makes an exchange of that kind.
    ///
    /// # Panics
    /// When the broker refuses.
    #[expect(clippy::unwrap_used, reason = "fails the test that needs it")]
    pub async fn declare_exchange(&self, exchange: &str, kind: lapin::ExchangeKind) {
        use lapin::options::ExchangeDeclareOptions;
        use lapin::types::FieldTable;

        let connection = self.connect().await;
        let channel = connection.create_channel().await.unwrap();
        let durable = ExchangeDeclareOptions {
            durable: true,
            ..ExchangeDeclareOptions::default()
        };
        let name = format!("{}{exchange}", self.prefix);
        let declaring = channel.exchange_declare(name.into(), kind, durable, FieldTable::default());
        declaring.await.unwrap();
        connection.close(200, "OK".into()).await.unwrap();
    }

    /// Makes `tickets.<queue>` a queue that is not replicated.
    ///
    /// # Panics
    /// When the broker refuses.
    #[expect(clippy::unwrap_used, reason = "fails the test that needs it")]
    pub async fn declare_classic(&self, queue: &str) {
        use lapin::options::QueueDeclareOptions;
        use lapin::types::FieldTable;

        let connection = self.connect().await;
        let channel = connection.create_channel().await.unwrap();
        let name = format!("{}tickets.{queue}", self.prefix);
        let durable = QueueDeclareOptions::durable();
        let declaring = channel.queue_declare(name.into(), durable, FieldTable::default());
        declaring.await.unwrap();
        connection.close(200, "OK".into()).await.unwrap();
    }

    /// Takes away what leads from the exchange to `tickets.<queue>`.
    ///
    /// # Panics
    /// When the broker refuses.
    #[expect(clippy::unwrap_used, reason = "fails the test that needs it")]
    pub async fn unbind(&self, queue: &str) {
        use lapin::types::FieldTable;

        let connection = self.connect().await;
        let channel = connection.create_channel().await.unwrap();
        let name = format!("{}tickets.{queue}", self.prefix);
        let exchange = format!("{}tickets", self.prefix);
        let unbinding = channel.queue_unbind(
            name.into(),
            exchange.into(),
            queue.into(),
            FieldTable::default(),
        );
        unbinding.await.unwrap();
        connection.close(200, "OK".into()).await.unwrap();
    }

    /// Has `tickets.<queue>` record another number, whatever a process records meanwhile.
    ///
    /// # Panics
    /// When the broker refuses.
    #[expect(clippy::unwrap_used, reason = "fails the test that needs it")]
    pub async fn record(&self, queue: &str, number: i32) {
        use lapin::options::QueueDeclareOptions;
        use lapin::types::{AMQPValue, FieldTable};

        let mut arguments = FieldTable::default();
        let quorum = AMQPValue::LongString("quorum".into());
        arguments.insert("x-queue-type".into(), quorum);
        arguments.insert("x-max-length".into(), AMQPValue::LongInt(number));
        let name = format!("{}tickets.{queue}", self.prefix);
        loop {
            self.delete_queue(queue).await;
            let connection = self.connect().await;
            let channel = connection.create_channel().await.unwrap();
            let declaring = channel.queue_declare(
                name.as_str().into(),
                QueueDeclareOptions::durable(),
                arguments.clone(),
            );
            let declared = declaring.await;
            connection.close(200, "OK".into()).await.unwrap();
            // A process that runs may have been quicker.
            if declared.is_ok() {
                return;
            }
        }
    }

    /// Whether there is a queue `tickets.<queue>`.
    ///
    /// # Panics
    /// When there is no broker.
    pub async fn has_queue(&self, queue: &str) -> bool {
        self.count(queue).await.is_ok()
    }

    /// Messages that wait in `tickets.<queue>` and no consumer has.
    ///
    /// # Panics
    /// When the broker refuses.
    #[expect(clippy::unwrap_used, reason = "fails the test that needs it")]
    pub async fn messages(&self, queue: &str) -> u32 {
        self.count(queue).await.unwrap()
    }

    #[expect(clippy::unwrap_used, reason = "fails the test that needs it")]
    async fn count(&self, queue: &str) -> lapin::Result<u32> {
        use lapin::options::QueueDeclareOptions;
        use lapin::types::FieldTable;

        let connection = self.connect().await;
        let channel = connection.create_channel().await.unwrap();
        let name = format!("{}tickets.{queue}", self.prefix);
        let passive = QueueDeclareOptions::durable().passive();
        let asking = channel.queue_declare(name.into(), passive, FieldTable::default());
        let counted = asking.await.map(|queue| queue.message_count());
        connection.close(200, "OK".into()).await.unwrap();
        counted
    }

    /// Deletes `tickets.<queue>`.
    ///
    /// # Panics
    /// When the broker refuses.
    #[expect(clippy::unwrap_used, reason = "fails the test that needs it")]
    pub async fn delete_queue(&self, queue: &str) {
        use lapin::options::QueueDeleteOptions;

        let connection = self.connect().await;
        let channel = connection.create_channel().await.unwrap();
        let name = format!("{}tickets.{queue}", self.prefix);
        let deleting = channel.queue_delete(name.into(), QueueDeleteOptions::default());
        deleting.await.unwrap();
        connection.close(200, "OK".into()).await.unwrap();
    }

    /// Takes the first message out of `tickets.<queue>`, once it can be had.
    ///
    /// # Panics
    /// When the broker refuses.
    #[expect(clippy::unwrap_used, reason = "fails the test that needs it")]
    pub async fn take_first(&self, queue: &str) -> Vec<u8> {
        use futures_util::StreamExt;
        use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions};
        use lapin::types::FieldTable;

        let connection = self.connect().await;
        let channel = connection.create_channel().await.unwrap();
        // As many as a lane's owner gets: what a consumer leaves behind goes
        // behind everything else that came back, unless it had all of it.
        let all = channel.basic_qos(u16::MAX, BasicQosOptions::default());
        all.await.unwrap();
        let consuming = channel.basic_consume(
            format!("{}tickets.{queue}", self.prefix).into(),
            "".into(),
            BasicConsumeOptions::default(),
            FieldTable::default(),
        );
        let mut consumer = consuming.await.unwrap();
        let first = consumer.next().await.unwrap().unwrap();
        let tag = first.delivery_tag;
        let acked = channel.basic_ack(tag, BasicAckOptions::default());
        acked.await.unwrap();
        // The ack is on its way before the connection's orderly end.
        connection.close(200, "OK".into()).await.unwrap();
        first.data
    }
}

#[cfg(feature = "rabbitmq")]
#[expect(clippy::unwrap_used, reason = "fails the test that needs it")]
async fn connect(url: &str) -> lapin::Connection {
    let properties = lapin::ConnectionProperties::default();
    lapin::Connection::connect(url, properties).await.unwrap()
}

#[cfg(feature = "rabbitmq")]
impl Drop for TestPrefix {
    fn drop(&mut self) {
        let (url, prefix) = (self.url.clone(), self.prefix.clone());
        on_a_thread(async move { delete_topology(&url, &prefix).await });
    }
}

#[cfg(feature = "rabbitmq")]
#[expect(clippy::unwrap_used, reason = "fails the test that needs it")]
async fn delete_topology(url: &str, prefix: &str) {
    use lapin::options::{ExchangeDeleteOptions, QueueDeleteOptions};

    use crate::LANES;

    let connection = connect(url).await;
    let channel = connection.create_channel().await.unwrap();
    let lanes = LANES
        .iter()
        .flat_map(|lane| [format!("high.{lane}"), format!("standard.{lane}")]);
    let others = ["dead", "lanes", "deployment"].map(str::to_owned);
    for queue in lanes.chain(others) {
        let queue = format!("{prefix}tickets.{queue}");
        let options = QueueDeleteOptions::default();
        channel.queue_delete(queue.into(), options).await.unwrap();
    }
    for exchange in ["tickets", "ticket-events"] {
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
