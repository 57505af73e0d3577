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

/// Drops the database of this URL with all that is in it.
pub async fn drop(url: &str) -> anyhow::Result<()> {
    execute(url, &format!("DROP DATABASE {}", name(url)?)).await
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
