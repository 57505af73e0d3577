//! A database that nobody else uses: created and dropped.

use anyhow::Context;
use sqlx::mysql::MySqlConnection;
use sqlx::{Connection, Executor};

/// Creates one on the server at `url`, with a name that begins with `prefix`. Returns its URL.
pub async fn create(url: &str, prefix: &str) -> anyhow::Result<String> {
    let server = url.trim_end_matches('/');
    let name = format!("{prefix}_{:016x}", rand::random::<u64>());
    execute(server, &format!("CREATE DATABASE {name}")).await?;
    Ok(format!("{server}/{name}"))
}

/// Drops the database of this URL with all that is in it, and ends the sessions that use it: a
/// transaction that nobody ends any more would keep its tables until the server gives it up.
pub async fn drop(url: &str) -> anyhow::Result<()> {
    const SESSIONS: &str = "SELECT CAST(id AS UNSIGNED) FROM information_schema.processlist \
        WHERE db = ? AND id <> CONNECTION_ID()";

    let name = name(url)?;
    let mut connection = connect(url).await?;
    let sessions = sqlx::query_scalar(SESSIONS).bind(name);
    let sessions: Vec<u64> = sessions.fetch_all(&mut connection).await?;
    for session in sessions {
        // It may have ended by itself.
        let _ended = connection.execute(&*format!("KILL {session}")).await;
    }
    connection
        .execute(&*format!("DROP DATABASE {name}"))
        .await?;
    connection.close().await?;
    Ok(())
}

/// The name of the database that a URL ends with.
pub fn name(url: &str) -> anyhow::Result<&str> {
    let (_, name) = url.rsplit_once('/').context("no database in the URL")?;
    Ok(name)
}

async fn execute(url: &str, sql: &str) -> anyhow::Result<()> {
    let mut connection = connect(url).await?;
    connection.execute(sql).await?;
    connection.close().await?;
    Ok(())
}

/// A session that does not depend on the server's defaults.
pub async fn connect(url: &str) -> anyhow::Result<MySqlConnection> {
    let connecting = MySqlConnection::connect(url).await;
    let mut connection = connecting.context("connecting to MySQL; `make services` starts it")?;
    let sql = "SET SESSION TRANSACTION READ WRITE; \
        SET SESSION autocommit = 1, completion_type = 'NO_CHAIN', sql_mode = '', \
        sql_safe_updates = 0, sql_select_limit = 18446744073709551615, wait_timeout = 600, lock_wait_timeout = 60 \
        /*!80000 , max_execution_time = 0 */ /*M! , max_statement_time = 0 */";
    connection.execute(sql).await?;
    Ok(connection)
}
