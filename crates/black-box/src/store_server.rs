//! The database server, as it says itself.

use std::collections::BTreeMap;
use std::fmt;

use sqlx::mysql::MySqlPool;

/// Which it is, and how durable it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreServer {
    /// Such as `10.11.14-MariaDB-0+deb12u2`.
    pub version: String,
    /// What decides how durable a commit is and what it costs.
    pub settings: BTreeMap<String, String>,
}

impl StoreServer {
    pub(crate) async fn ask(pool: &MySqlPool) -> anyhow::Result<Self> {
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
        Ok(Self {
            version,
            settings: settings.into_iter().collect(),
        })
    }

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
