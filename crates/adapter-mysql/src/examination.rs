//! Whether the server is set up so that what is committed stays.

use async_trait::async_trait;
use domain::ports::{Examination, Finding, Level};

use crate::error::StoreError;
use crate::store::{Database, MySqlStore};

/// Settings of the server that the guarantees rest on.
struct ServerSettings {
    is_read_only: bool,
    flush_log_at_commit: i64,
    has_binlog: bool,
    sync_binlog: i64,
}

async fn read(db: &Database) -> Result<ServerSettings, StoreError> {
    let mut lease = db.lease_reading().await?;
    let row: (i64, i64, i64, i64) = sqlx::query_as(
        "SELECT CAST(@@global.read_only AS SIGNED), \
         CAST(@@global.innodb_flush_log_at_trx_commit AS SIGNED), \
         CAST(@@global.log_bin AS SIGNED), CAST(@@global.sync_binlog AS SIGNED)",
    )
    .fetch_one(lease.connection())
    .await?;
    lease.give_back();
    let (read_only, flush_log_at_commit, log_bin, sync_binlog) = row;
    Ok(ServerSettings {
        is_read_only: read_only != 0,
        flush_log_at_commit,
        has_binlog: log_bin != 0,
        sync_binlog,
    })
}

fn judge(settings: &ServerSettings) -> Vec<Finding> {
    let mut findings = Vec::new();
    if settings.is_read_only {
        findings.push(Finding::new(
            Level::Broken,
            "read_only",
            "is ON: nothing is decided, confirmed or cancelled",
            "point mysql.url at the primary, or SET GLOBAL read_only = OFF",
        ));
    }
    if settings.flush_log_at_commit != 1 {
        let value = settings.flush_log_at_commit;
        findings.push(Finding::new(
            Level::Broken,
            "innodb_flush_log_at_trx_commit",
            format!(
                "is {value}, not 1: the last second of verdicts that buyers were told of is lost \
                 when the server's machine fails"
            ),
            "SET GLOBAL innodb_flush_log_at_trx_commit = 1, and in the server's configuration",
        ));
    }
    if settings.has_binlog && settings.sync_binlog != 1 {
        findings.push(Finding::new(
            Level::Risk,
            "sync_binlog",
            format!(
                "is {}, not 1: when the server's machine fails, replicas and backups from the \
                 binary log may lack verdicts that the server has",
                settings.sync_binlog
            ),
            "SET GLOBAL sync_binlog = 1, and in the server's configuration",
        ));
    }
    findings
}

#[async_trait]
impl Examination for MySqlStore {
    async fn examine(&self) -> Vec<Finding> {
        match self.db.read(read(&self.db)).await {
            Ok(settings) => judge(&settings),
            Err(error) => vec![Finding::new(
                Level::Unknown,
                "the server's settings",
                format!("could not be read: {error}"),
                "see whether the server answers",
            )],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOUND: ServerSettings = ServerSettings {
        is_read_only: false,
        flush_log_at_commit: 1,
        has_binlog: true,
        sync_binlog: 1,
    };

    fn subjects(settings: &ServerSettings) -> Vec<(Level, String)> {
        let found = judge(settings).into_iter();
        found
            .map(|finding| (finding.level, finding.subject))
            .collect()
    }

    #[test]
    fn what_a_failing_machine_would_lose_is_found() {
        assert_eq!(subjects(&SOUND), []);
        let lazy = ServerSettings {
            is_read_only: true,
            flush_log_at_commit: 2,
            has_binlog: true,
            sync_binlog: 0,
        };
        let found = subjects(&lazy);
        let levels: Vec<_> = found.iter().map(|(level, _)| *level).collect();
        assert_eq!(levels, [Level::Broken, Level::Broken, Level::Risk]);
        let without = ServerSettings {
            has_binlog: false,
            sync_binlog: 0,
            ..SOUND
        };
        assert_eq!(subjects(&without), []);
    }
}
