//! The schema, brought up to date step by step.
//!
//! Every step does nothing where it is done already, so a step that was interrupted is finished
//! by the next attempt, and two processes that do the same step do no harm.

use std::collections::BTreeSet;
use std::time::Duration;

use adapter_sql::Fault;
use sqlx::migrate::{Migrate, Migration};
use sqlx::{Connection, Executor, MySqlConnection};
use tokio::time::{Instant, sleep, timeout};
use tracing::{info, warn};

use crate::error::{MigrateError, StoreError};
use crate::servers::{Servers, close};
use crate::session::Session;

/// How long a server is waited for that is starting, or does not answer.
const CONNECT_LIMIT: Duration = Duration::from_secs(60);
/// Between two lines of the log that say what is waited for.
const TELL_AGAIN: Duration = Duration::from_secs(5);
/// How long another process that migrates is waited for.
const BUSY_LIMIT: Duration = Duration::from_secs(60);
/// How long a step tries to get at its table while transactions that use it are open.
const TABLE_LIMIT: Duration = Duration::from_secs(60);
/// Between two attempts.
const TRY_AGAIN: Duration = Duration::from_secs(1);
/// Well before the server ends a silent session.
const SIGN_OF_LIFE: Duration = Duration::from_secs(3);

/// Who migrates holds the lock of this row. A named lock (`GET_LOCK`) is not to be had
/// everywhere, and Galera has row locks by member only: there the steps themselves are safe.
const LOCK_TABLE: &str = "CREATE TABLE IF NOT EXISTS migration_lock \
     (id TINYINT UNSIGNED NOT NULL PRIMARY KEY) ENGINE = InnoDB";
const LOCK_ROW: &str = "INSERT IGNORE INTO migration_lock (id) VALUES (1)";
const LOCK: &str = "SELECT id FROM migration_lock WHERE id = 1 FOR UPDATE";

/// Brings the schema up to date, creating the database if there is none.
pub(crate) async fn run(servers: &Servers) -> Result<(), MigrateError> {
    let embedded = sqlx::migrate!();
    let steps: Vec<&Migration> = embedded.iter().collect();
    apply_missing(servers, &steps).await
}

/// What `connecting` ends with. Says again and again what it waits for, and for which server.
async fn in_time<T>(
    servers: &Servers,
    limit: Duration,
    connecting: impl Future<Output = Result<T, StoreError>>,
) -> Result<Result<T, StoreError>, MigrateError> {
    let begun = Instant::now();
    tokio::pin!(connecting);
    loop {
        let left = limit.saturating_sub(begun.elapsed());
        if let Ok(ended) = timeout(left.min(TELL_AGAIN), &mut connecting).await {
            return Ok(ended);
        }
        let why = match servers.refusal() {
            Some(refused) => refused.to_string(),
            None => format!("{} did not answer", servers.addresses()),
        };
        if begun.elapsed() >= limit {
            return Err(MigrateError::NotReached { why, limit });
        }
        warn!(why, "cannot migrate yet: waiting for the database");
    }
}

async fn connect(servers: &Servers) -> Result<Session, MigrateError> {
    Ok(in_time(servers, CONNECT_LIMIT, servers.connect()).await??)
}

async fn apply_missing(servers: &Servers, steps: &[&Migration]) -> Result<(), MigrateError> {
    let mut session = match in_time(servers, CONNECT_LIMIT, servers.connect()).await? {
        Err(error) if error.is_unknown_database() => {
            in_time(servers, CONNECT_LIMIT, create_database(servers)).await??;
            connect(servers).await?
        }
        connected => connected?,
    };
    let missing_ones = missing(&mut session.connection, steps).await?;
    close(session).await;
    // Nothing to do needs no right to do it.
    if missing_ones.is_empty() {
        return Ok(());
    }
    let lock = Lock::wait(servers).await?;
    let applying = async {
        let mut session = connect(servers).await?;
        // Perhaps the other one has done it meanwhile.
        let missing_ones = missing(&mut session.connection, steps).await?;
        apply(&mut session.connection, &missing_ones).await?;
        close(session).await;
        Ok(())
    };
    lock.hold(applying).await
}

/// On the first server that lets it be done; another process may do it at the same time.
async fn create_database(servers: &Servers) -> Result<(), StoreError> {
    let mut last = Fault::Closed.into();
    for server in servers.all() {
        let creating = async {
            let mut session = Session::begin(&server.without_database).await?;
            if !session.takes_changes().await? {
                return Err(StoreError::ReadOnly);
            }
            let name = server.database.replace('`', "``");
            let sql = format!("CREATE DATABASE IF NOT EXISTS `{name}`");
            session.connection.execute(sql.as_str()).await?;
            info!(
                database = server.database,
                server = server.address,
                "created"
            );
            close(session).await;
            Ok(())
        };
        match creating.await {
            Ok(()) => return Ok(()),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// The steps that the database does not say are done.
async fn missing<'a>(
    connection: &mut MySqlConnection,
    steps: &[&'a Migration],
) -> Result<Vec<&'a Migration>, MigrateError> {
    let has_marks: i64 = sqlx::query_scalar(
        "SELECT COUNT(*) FROM information_schema.tables \
         WHERE table_schema = DATABASE() AND table_name = '_sqlx_migrations'",
    )
    .fetch_one(&mut *connection)
    .await?;
    let done: BTreeSet<i64> = if has_marks == 0 {
        BTreeSet::new()
    } else {
        let done = sqlx::query_scalar("SELECT version FROM _sqlx_migrations WHERE success");
        done.fetch_all(connection).await?.into_iter().collect()
    };
    if let Some(newest) = done.last()
        && steps.iter().all(|step| step.version < *newest)
    {
        return Err(MigrateError::Newer { version: *newest });
    }
    let steps = steps.iter().filter(|step| !done.contains(&step.version));
    Ok(steps.copied().collect())
}

async fn apply(connection: &mut MySqlConnection, steps: &[&Migration]) -> Result<(), MigrateError> {
    connection.ensure_migrations_table().await?;
    for step in steps {
        let begun = Instant::now();
        loop {
            // Of an attempt that was interrupted.
            connection
                .execute("DELETE FROM _sqlx_migrations WHERE NOT success")
                .await?;
            match connection.apply(step).await {
                Ok(_) => break,
                Err(error) if is_table_in_use(&error) && begun.elapsed() < TABLE_LIMIT => {
                    warn!(
                        step = step.version,
                        "a table is in use by an open transaction; trying again"
                    );
                    // What has failed is undone.
                    connection.execute("ROLLBACK").await?;
                    sleep(TRY_AGAIN).await;
                }
                // The server finishes a statement although the process that sent it was killed, and
                // no lock of ours outlives that process. The next attempt sees what is there.
                Err(error) if is_there_already(&error) && begun.elapsed() < TABLE_LIMIT => {
                    warn!(
                        step = step.version,
                        "an interrupted migration has just finished a part of this step; trying \
                         again"
                    );
                    sleep(TRY_AGAIN).await;
                }
                Err(error) => return Err(error.into()),
            }
        }
        info!(step = step.version, took = ?begun.elapsed(), "applied a step of the schema");
    }
    Ok(())
}

fn is_table_in_use(error: &sqlx::migrate::MigrateError) -> bool {
    of_a_statement(error).is_some_and(crate::error::is_contention)
}

fn is_there_already(error: &sqlx::migrate::MigrateError) -> bool {
    of_a_statement(error).is_some_and(crate::error::is_there_already)
}

fn of_a_statement(error: &sqlx::migrate::MigrateError) -> Option<&sqlx::Error> {
    use sqlx::migrate::MigrateError::{Execute, ExecuteMigration};

    match error {
        Execute(error) | ExecuteMigration(error, _) => Some(error),
        _ => None,
    }
}

/// The right to migrate, in a session of its own.
struct Lock(Session);

impl Lock {
    async fn wait(servers: &Servers) -> Result<Self, MigrateError> {
        let begun = Instant::now();
        let mut session = connect(servers).await?;
        let connection = &mut session.connection;
        connection.execute(LOCK_TABLE).await?;
        connection.execute(LOCK_ROW).await?;
        loop {
            connection.execute("START TRANSACTION").await?;
            match connection.execute(LOCK).await {
                Ok(_) => return Ok(Self(session)),
                Err(error) if !crate::error::is_contention(&error) => return Err(error.into()),
                Err(_) if begun.elapsed() > BUSY_LIMIT => return Err(MigrateError::Busy),
                Err(_) => {
                    connection.execute("ROLLBACK").await?;
                }
            }
        }
    }

    /// Keeps it as long as `work` takes.
    async fn hold(
        mut self,
        work: impl Future<Output = Result<(), MigrateError>>,
    ) -> Result<(), MigrateError> {
        let work = async {
            tokio::pin!(work);
            loop {
                tokio::select! {
                    done = &mut work => return done,
                    () = sleep(SIGN_OF_LIFE) => {}
                }
                // That it is lost does no harm to what is under way.
                let _lost = self.0.connection.ping().await;
            }
        };
        let done = work.await;
        close(self.0).await;
        done
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;
    use std::net::TcpListener;

    use port_contracts::within;
    use sqlx::migrate::MigrationType;
    use tcp_proxy::{TcpProxy, host_and_port};
    use test_servers::{TestDatabase, services};

    use super::*;
    use crate::servers::Wanted;

    fn servers(url: String) -> Servers {
        Servers::new(&[url], Wanted::Writable).unwrap()
    }

    fn step(version: i64, sql: &str) -> Migration {
        Migration::new(
            version,
            Cow::Borrowed("test"),
            MigrationType::Simple,
            Cow::Owned(sql.to_owned()),
            false,
        )
    }

    /// A server that is not started, and one that hangs.
    #[tokio::test(flavor = "multi_thread")]
    async fn a_server_that_does_not_answer_is_named_when_the_time_is_over() {
        const LIMIT: Duration = Duration::from_millis(100);

        let [silent, gone] = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let [silent_port, gone_port] =
            [&silent, &gone].map(|listener| listener.local_addr().unwrap().port());
        drop(gone);
        for (port, word) in [(gone_port, "refused"), (silent_port, "did not answer")] {
            let servers = servers(format!("mysql://u:hunter2@127.0.0.1:{port}/tickets"));
            let connecting = in_time(&servers, LIMIT, servers.connect());
            let told = within("it is given up", connecting).await.map(drop);
            let told = told.unwrap_err().to_string();
            assert!(told.contains(word), "{told}");
            assert!(told.contains(&format!("127.0.0.1:{port}")), "{told}");
            assert!(!told.contains("hunter"), "{told}");
        }
    }

    /// Longer than the server keeps a silent session.
    #[tokio::test(flavor = "multi_thread")]
    async fn a_slow_step_is_done_once_although_another_process_comes() {
        const SLOW: &str = "CREATE TABLE IF NOT EXISTS done (id INT AUTO_INCREMENT PRIMARY KEY); \
            DO SLEEP(17); INSERT INTO done VALUES ()";

        let database = TestDatabase::create().await;
        let servers = servers(database.url());
        let steps = [step(1, SLOW)];
        let steps: Vec<_> = steps.iter().collect();
        let (one, other) = tokio::join!(
            apply_missing(&servers, &steps),
            apply_missing(&servers, &steps)
        );
        one.unwrap();
        other.unwrap();
        assert_eq!(database.number("SELECT COUNT(*) FROM done").await, 1);
    }

    /// The process dies, or its connection.
    #[tokio::test(flavor = "multi_thread")]
    async fn a_step_that_was_interrupted_is_finished_by_the_next_attempt() {
        const HALF: &str = "CREATE TABLE IF NOT EXISTS half (id INT PRIMARY KEY); ";

        let database = TestDatabase::create().await;
        let proxy = TcpProxy::start(&host_and_port(&services::mysql_url()))
            .await
            .unwrap();
        let cut_off = servers(proxy.url(&database.url()));
        let slow = [step(1, &format!("{HALF} DO SLEEP(60)"))];
        let slow: Vec<_> = slow.iter().collect();
        let is_half_done = async {
            let made = "SELECT COUNT(*) FROM information_schema.tables \
                WHERE table_schema = DATABASE() AND table_name = 'half'";
            while database.number(made).await == 0 {}
            proxy.cut();
        };
        let (ended, ()) = tokio::join!(apply_missing(&cut_off, &slow), is_half_done);
        ended.unwrap_err();
        assert_eq!(
            database
                .number("SELECT COUNT(*) FROM _sqlx_migrations WHERE NOT success")
                .await,
            1
        );
        let whole = [step(
            1,
            &format!("{HALF} INSERT IGNORE INTO half VALUES (1)"),
        )];
        let whole: Vec<_> = whole.iter().collect();
        apply_missing(&cut_off, &whole).await.unwrap();
        assert_eq!(database.number("SELECT COUNT(*) FROM half").await, 1);
    }

    /// Whichever statement was its last.
    #[tokio::test(flavor = "multi_thread")]
    async fn every_step_can_be_interrupted_after_every_statement() {
        let embedded = sqlx::migrate!();
        let steps: Vec<_> = embedded.iter().collect();
        for (place, step) in steps.iter().enumerate() {
            let statements: Vec<_> = step.sql.split_inclusive(";\n").collect();
            for count in 1..=statements.len() {
                let database = TestDatabase::create().await;
                let servers = servers(database.url());
                apply_missing(&servers, &steps[..place]).await.unwrap();
                let mark = "INSERT INTO _sqlx_migrations \
                    (version, description, success, checksum, execution_time) VALUES";
                database.execute(CREATE_MARKS).await;
                let version = step.version;
                let mark = format!("{mark} ({version}, 'x', FALSE, '', -1)");
                database.execute(&mark).await;
                database.execute(&statements[..count].concat()).await;
                apply_missing(&servers, &steps).await.unwrap();
                for (sql, wanted) in [
                    ("SELECT COUNT(*) FROM deployment", 1),
                    ("SELECT COUNT(*) FROM lane_claims", 64),
                    ("SELECT COUNT(*) FROM write_check", 1),
                    ("SELECT COUNT(changed_at) FROM users", 0),
                    ("SELECT COUNT(changed_by_at) FROM users", 0),
                    ("SELECT COUNT(author_id) FROM journal", 0),
                ] {
                    assert_eq!(
                        database.number(sql).await,
                        wanted,
                        "{sql} {version} {count}"
                    );
                }
            }
        }
    }

    /// As the library makes them.
    const CREATE_MARKS: &str = "CREATE TABLE IF NOT EXISTS _sqlx_migrations (\
        version BIGINT PRIMARY KEY, description TEXT NOT NULL, \
        installed_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP, success BOOLEAN NOT NULL, \
        checksum BLOB NOT NULL, execution_time BIGINT NOT NULL)";

    /// Other statements wait behind one that waits for the table.
    #[tokio::test(flavor = "multi_thread")]
    async fn a_table_that_is_in_use_is_waited_for_in_short_turns() {
        const OTHERS: &str = "SET SESSION lock_wait_timeout = 10; SELECT * FROM used";

        let database = TestDatabase::create().await;
        let servers = servers(database.url());
        database.execute("CREATE TABLE used (id INT)").await;
        let mut reading = database.hold_lock("SELECT * FROM used").await;
        let steps = [step(1, "ALTER TABLE used ADD COLUMN more INT")];
        let steps: Vec<_> = steps.iter().collect();
        let others = async {
            let waiting = "SELECT COUNT(*) FROM information_schema.processlist \
                WHERE db = DATABASE() AND state LIKE 'Waiting for table metadata lock%'";
            while database.number(waiting).await == 0 {}
            database.execute(OTHERS).await;
            reading.execute("ROLLBACK").await;
        };
        let applying = apply_missing(&servers, &steps);
        let (applied, ()) = Box::pin(within("it is done", async {
            tokio::join!(applying, others)
        }))
        .await;
        applied.unwrap();
        database.number("SELECT COUNT(more) FROM used").await;
    }

    /// The process that sent the statement was killed; the server does not notice while it waits.
    #[tokio::test(flavor = "multi_thread")]
    async fn a_step_that_the_server_finishes_meanwhile_is_no_failure() {
        let database = TestDatabase::create().await;
        let servers = servers(database.url());
        let embedded = sqlx::migrate!();
        let steps: Vec<_> = embedded.iter().collect();
        let (first, second) = (&steps[..1], &steps[..2]);
        assert!(second[1].sql.contains("ADD COLUMN changed_at"));
        apply_missing(&servers, first).await.unwrap();
        let mut reading = database.hold_lock("SELECT * FROM users").await;
        let waiting = async |count| {
            let waiting = "SELECT COUNT(*) FROM information_schema.processlist \
                WHERE db = DATABASE() AND state LIKE 'Waiting for table metadata lock%'";
            while database.number(waiting).await < count {}
        };
        let left_behind = database.execute(
            "SET SESSION lock_wait_timeout = 60; \
            ALTER TABLE users ADD COLUMN changed_at TIMESTAMP(6) NOT NULL \
                DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6), \
                ADD KEY users_by_change (changed_at)",
        );
        let applying = async {
            waiting(1).await;
            apply_missing(&servers, second).await
        };
        let releasing = async {
            waiting(2).await;
            reading.execute("ROLLBACK").await;
        };
        let ((), applied, ()) = Box::pin(within("it is done", async {
            tokio::join!(left_behind, applying, releasing)
        }))
        .await;
        applied.unwrap();
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_database_of_a_newer_release_is_left_alone() {
        let database = TestDatabase::create().await;
        let servers = servers(database.url());
        let newer = [step(1, "DO 0"), step(99, "DO 0")];
        let newer: Vec<_> = newer.iter().collect();
        apply_missing(&servers, &newer).await.unwrap();
        let told = run(&servers).await.unwrap_err().to_string();
        assert!(told.contains("99") && told.contains("newer"), "{told}");
    }
}
