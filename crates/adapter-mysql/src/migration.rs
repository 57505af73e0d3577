//! The schema, brought up to date step by step.
//!
//! Every step does nothing where it is done already, so a step that was interrupted is finished
//! by the next attempt, and two processes that do the same step do no harm.

use std::collections::BTreeSet;
use std::time::Duration;

use sqlx::migrate::{Migrate, Migration};
use sqlx::{Connection, Executor, MySqlConnection};
use tokio::time::{Instant, sleep};
use tracing::{info, warn};

use crate::error::{MigrateError, StoreError};
use crate::servers::{Servers, close};
use crate::session::Session;

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

async fn apply_missing(servers: &Servers, steps: &[&Migration]) -> Result<(), MigrateError> {
    let mut session = match servers.connect().await {
        Err(error) if error.is_unknown_database() => {
            create_database(servers).await?;
            servers.connect().await?
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
        let mut session = servers.connect().await?;
        // Perhaps the other one has done it meanwhile.
        let missing_ones = missing(&mut session.connection, steps).await?;
        apply(&mut session.connection, &missing_ones).await?;
        close(session).await;
        Ok(())
    };
    lock.hold(applying).await
}

/// On the first server that lets it be done; another process may do it at the same time.
async fn create_database(servers: &Servers) -> Result<(), MigrateError> {
    let mut last = StoreError::Closed;
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
    Err(last.into())
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
                Err(error) => return Err(error.into()),
            }
        }
        info!(step = step.version, took = ?begun.elapsed(), "the schema has this step");
    }
    Ok(())
}

fn is_table_in_use(error: &sqlx::migrate::MigrateError) -> bool {
    use sqlx::migrate::MigrateError::{Execute, ExecuteMigration};

    let (Execute(error) | ExecuteMigration(error, _)) = error else {
        return false;
    };
    crate::error::is_contention(error)
}

/// The right to migrate, in a session of its own.
struct Lock(Session);

impl Lock {
    async fn wait(servers: &Servers) -> Result<Self, MigrateError> {
        let begun = Instant::now();
        let mut session = servers.connect().await?;
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
