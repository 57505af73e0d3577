//! The database server, as it says itself.

use sqlx::mysql::MySqlPool;

/// Its name, its version, and what decides how durable a commit is and what it costs.
pub(crate) async fn describe(pool: &MySqlPool) -> anyhow::Result<String> {
    let version: String = sqlx::query_scalar("SELECT VERSION()")
        .fetch_one(pool)
        .await?;
    let settings: Vec<(String, String)> = sqlx::query_as(
        "SHOW GLOBAL VARIABLES WHERE Variable_name IN \
         ('innodb_flush_log_at_trx_commit', 'sync_binlog', 'log_bin', 'innodb_doublewrite', \
          'innodb_flush_method', 'innodb_buffer_pool_size', 'innodb_log_file_size', \
          'innodb_redo_log_capacity')",
    )
    .fetch_all(pool)
    .await?;
    Ok(words(&version, settings))
}

fn words(version: &str, mut settings: Vec<(String, String)>) -> String {
    let product = if version.contains("MariaDB") {
        "MariaDB"
    } else {
        "MySQL"
    };
    settings.sort();
    let settings = settings
        .iter()
        .map(|(name, value)| format!(", {name}={value}"));
    format!("{product} {version}{}", settings.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_tells_its_product_and_settings() {
        let settings = [("sync_binlog", "0"), ("log_bin", "OFF")];
        let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(
            words("10.11.14-MariaDB-log", settings.to_vec()),
            "MariaDB 10.11.14-MariaDB-log, log_bin=OFF, sync_binlog=0"
        );
        assert_eq!(words("8.4.6", Vec::new()), "MySQL 8.4.6");
    }
}
