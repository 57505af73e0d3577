//! What is set on the server.

use std::collections::HashMap;

use domain::ports::{Finding, Level};

use crate::error::StoreError;
use crate::session::Session;

/// The largest statement that deciding sends is below 1 MiB.
const MIN_PACKET: i64 = 4 * 1_024 * 1_024;
/// Texts of statements that one connection keeps prepared, with room.
const STATEMENTS_PER_CONNECTION: i64 = 100;

/// Variables and counters of the server by name. What it does not know is not there.
struct Values(HashMap<String, String>);

impl Values {
    fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    fn is_on(&self, name: &str) -> bool {
        matches!(self.text(name), Some("ON" | "1" | "YES"))
    }

    fn number(&self, name: &str) -> Option<i64> {
        // Some are too large for it, and then larger than anything that is compared.
        self.text(name).map(|text| text.parse().unwrap_or(i64::MAX))
    }

    /// The value under the first name that the server knows: MySQL has renamed some.
    fn first(&self, names: &[&str]) -> Option<&str> {
        names.iter().find_map(|name| self.text(name))
    }
}

async fn read(session: &mut Session) -> Result<Values, StoreError> {
    let mut values = HashMap::new();
    for sql in ["SHOW GLOBAL VARIABLES", "SHOW GLOBAL STATUS"] {
        let rows: Vec<(String, String)> = sqlx::query_as(sql)
            .fetch_all(&mut session.connection)
            .await?;
        values.extend(rows);
    }
    Ok(Values(values))
}

pub(super) async fn findings(
    session: &mut Session,
    has_replicas: bool,
) -> Result<Vec<Finding>, StoreError> {
    Ok(judge(&read(session).await?, has_replicas))
}

fn judge(values: &Values, has_replicas: bool) -> Vec<Finding> {
    let mut findings = durability(values);
    findings.extend(kind(values));
    findings.extend(limits(values));
    if has_replicas {
        findings.extend(replication(values));
    }
    findings
}

/// What a machine that fails takes with it.
fn durability(values: &Values) -> Vec<Finding> {
    let mut findings = Vec::new();
    if values.number("innodb_flush_log_at_trx_commit") != Some(1) {
        let value = values.text("innodb_flush_log_at_trx_commit");
        findings.push(Finding::broken(
            "innodb_flush_log_at_trx_commit",
            format!(
                "is {}, not 1: the last second of verdicts that buyers were told of is lost \
                 when the server's machine fails",
                value.unwrap_or("unknown")
            ),
            "SET GLOBAL innodb_flush_log_at_trx_commit = 1, and in the server's configuration",
        ));
    }
    if values.is_on("log_bin") && values.number("sync_binlog") != Some(1) {
        findings.push(Finding::risk(
            "sync_binlog",
            format!(
                "is {}, not 1: when the server's machine fails, replicas and backups from the \
                 binary log may lack verdicts that the server has",
                values.text("sync_binlog").unwrap_or("unknown")
            ),
            "SET GLOBAL sync_binlog = 1, and in the server's configuration",
        ));
    }
    if values.text("innodb_doublewrite") == Some("OFF") {
        findings.push(Finding::risk(
            "innodb_doublewrite",
            "is OFF: a power cut in the middle of a page leaves it unreadable, unless the file \
             system writes whole pages",
            "set innodb_doublewrite = ON in the server's configuration, and start it again",
        ));
    }
    if values.is_on("log_bin") && values.text("binlog_format") == Some("STATEMENT") {
        findings.push(Finding::broken(
            "binlog_format",
            "is STATEMENT, with which InnoDB refuses all changes of this service",
            "SET GLOBAL binlog_format = ROW, and in the server's configuration",
        ));
    }
    findings
}

/// What the server is.
fn kind(values: &Values) -> Vec<Finding> {
    let version = values.text("version").unwrap_or_default();
    let comment = values.text("version_comment").unwrap_or_default();
    let is = |name: &str| {
        let name = name.to_lowercase();
        [version, comment]
            .iter()
            .any(|text| text.to_lowercase().contains(&name))
    };
    let mut findings = Vec::new();
    let mut find = |level, what: String, remedy: &str| {
        findings.push(Finding::new(level, "the server", what, remedy));
    };
    if is("vitess") {
        find(
            Level::Broken,
            "is Vitess, which commits a batch over several shards without atomicity: a batch may \
             be decided in part"
                .to_owned(),
            "use MySQL 8.4 or later, or MariaDB 10.11 or later",
        );
    } else if is("tidb") {
        find(
            Level::Risk,
            "is TiDB, on which this service was never tried".to_owned(),
            "see docs/OPERATIONS.md, \"Set-ups of MySQL\"",
        );
    } else if let Some(old) = too_old(version, is("mariadb")) {
        find(
            Level::Broken,
            format!("is of version {version}, before {old}"),
            "use MySQL 8.4 or later, or MariaDB 10.11 or later",
        );
    }
    if values.is_on("wsrep_on") && values.text("wsrep_cluster_status") != Some("Primary") {
        find(
            Level::Broken,
            format!(
                "is a member of a Galera cluster that has lost its majority ({})",
                values.text("wsrep_cluster_status").unwrap_or("unknown")
            ),
            "bring the other members back",
        );
    }
    findings
}

/// The version that is needed, if this one is older.
fn too_old(version: &str, is_mariadb: bool) -> Option<&'static str> {
    let mut parts = version.split(|c: char| !c.is_ascii_digit());
    let mut part = || parts.next().and_then(|part| part.parse::<u32>().ok());
    let version = (part()?, part()?, part().unwrap_or(0));
    // `SKIP LOCKED` there, constraints that are checked here.
    let (needed, name) = if is_mariadb {
        ((10, 6, 0), "10.6")
    } else {
        ((8, 0, 16), "8.0.16")
    };
    (version < needed).then_some(name)
}

/// What it has room for.
fn limits(values: &Values) -> Vec<Finding> {
    let mut findings = Vec::new();
    if values
        .number("max_allowed_packet")
        .is_some_and(|bytes| bytes < MIN_PACKET)
    {
        findings.push(Finding::broken("max_allowed_packet",
            format!(
                "is {} bytes: a large batch cannot be decided",
                values.text("max_allowed_packet").unwrap_or_default()
            ),
            format!("SET GLOBAL max_allowed_packet = {MIN_PACKET} or more, and in the server's configuration"),
        ));
    }
    let connections = values.number("max_connections").unwrap_or(i64::MAX);
    let prepared = values.number("max_prepared_stmt_count");
    let needed = connections
        .min(1_000)
        .saturating_mul(STATEMENTS_PER_CONNECTION);
    if prepared.is_some_and(|prepared| prepared < 1_000.min(needed)) {
        findings.push(Finding::broken("max_prepared_stmt_count",
            format!(
                "is {}: each connection keeps up to {STATEMENTS_PER_CONNECTION} statements prepared",
                values.text("max_prepared_stmt_count").unwrap_or_default()
            ),
            "set it to 256 times the connections of all processes, or leave it at 16382",
        ));
    }
    findings
}

/// What the death of the primary takes with it.
fn replication(values: &Values) -> Vec<Finding> {
    const ENABLED: [&str; 2] = [
        "rpl_semi_sync_source_enabled",
        "rpl_semi_sync_master_enabled",
    ];
    const CLIENTS: [&str; 2] = [
        "Rpl_semi_sync_source_clients",
        "Rpl_semi_sync_master_clients",
    ];
    const TIMEOUT: [&str; 2] = [
        "rpl_semi_sync_source_timeout",
        "rpl_semi_sync_master_timeout",
    ];
    const POINT: [&str; 2] = [
        "rpl_semi_sync_source_wait_point",
        "rpl_semi_sync_master_wait_point",
    ];
    /// A day, in milliseconds: for ever, for all that buyers know.
    const FOR_EVER: i64 = 86_400_000;

    if values.is_on("wsrep_on")
        || values
            .text("group_replication_group_name")
            .is_some_and(|name| !name.is_empty())
    {
        return Vec::new();
    }
    if values.first(&ENABLED) != Some("ON") {
        return vec![Finding::risk(
            "replication",
            "is asynchronous: verdicts of the last moments before the primary dies are lost, and \
             the audit cannot show it",
            "use semi-synchronous replication; see docs/OPERATIONS.md, \"Set-ups of MySQL\"",
        )];
    }
    let mut findings = Vec::new();
    if values.first(&CLIENTS) == Some("0") {
        findings.push(Finding::risk(
            "replication",
            "has no replica that acknowledges: commits wait for one, until the timeout",
            "start a replica with rpl_semi_sync_replica_enabled = ON",
        ));
    }
    let timeout = values.first(&TIMEOUT);
    let timeout = timeout.and_then(|text| text.parse::<i64>().ok());
    if timeout.is_some_and(|timeout| timeout < FOR_EVER) {
        findings.push(Finding::risk(
            "rpl_semi_sync_source_timeout",
            "lets commits go on without a replica: what is committed from then on is lost if the \
             primary dies",
            "set it to a day or more (86400000), if no verdict may be lost",
        ));
    }
    if values.first(&POINT) == Some("AFTER_COMMIT") {
        findings.push(Finding::risk(
            "rpl_semi_sync_source_wait_point",
            "is AFTER_COMMIT: buyers may read a verdict that no replica has yet",
            "set it to AFTER_SYNC",
        ));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOUND: [(&str, &str); 12] = [
        ("version", "10.11.14-MariaDB-0+deb12u2-log"),
        ("version_comment", "Debian 12"),
        ("innodb_flush_log_at_trx_commit", "1"),
        ("log_bin", "ON"),
        ("sync_binlog", "1"),
        ("binlog_format", "MIXED"),
        ("innodb_doublewrite", "ON"),
        ("max_allowed_packet", "16777216"),
        ("max_connections", "151"),
        ("max_prepared_stmt_count", "16382"),
        ("rpl_semi_sync_master_enabled", "ON"),
        ("rpl_semi_sync_master_timeout", "1000000000"),
    ];

    /// Of a sound server with these differences.
    fn found(differences: &[(&str, &str)]) -> Vec<(Level, String)> {
        let all = SOUND.iter().chain(differences);
        let values = all.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let findings = judge(&Values(values.collect()), true).into_iter();
        findings
            .map(|finding| (finding.level, finding.subject))
            .collect()
    }

    #[test]
    fn each_setting_that_would_cost_something_is_found() {
        assert_eq!(found(&[]), []);
        for (name, value, level, subject) in [
            ("innodb_flush_log_at_trx_commit", "2", Level::Broken, ""),
            ("sync_binlog", "0", Level::Risk, ""),
            ("innodb_doublewrite", "OFF", Level::Risk, ""),
            ("binlog_format", "STATEMENT", Level::Broken, ""),
            ("version", "8.0.11", Level::Broken, "the server"),
            ("version", "10.5.9-MariaDB", Level::Broken, "the server"),
            ("version", "8.0.11-TiDB-v7.5.1", Level::Risk, "the server"),
            ("version", "8.0.30-Vitess", Level::Broken, "the server"),
            ("wsrep_on", "ON", Level::Broken, "the server"),
            ("max_allowed_packet", "1048576", Level::Broken, ""),
            ("max_prepared_stmt_count", "0", Level::Broken, ""),
            (
                "rpl_semi_sync_master_enabled",
                "OFF",
                Level::Risk,
                "replication",
            ),
            (
                "Rpl_semi_sync_master_clients",
                "0",
                Level::Risk,
                "replication",
            ),
            (
                "rpl_semi_sync_master_timeout",
                "10000",
                Level::Risk,
                "rpl_semi_sync_source_timeout",
            ),
        ] {
            let subject = if subject.is_empty() { name } else { subject };
            let wanted = [(level, subject.to_owned())];
            let mut differences = vec![(name, value)];
            if value.starts_with("8.0.11") && !value.contains("TiDB") {
                differences.push(("version_comment", "MySQL Community Server"));
            }
            assert_eq!(found(&differences), wanted, "{name} {value}");
        }
        let without_log = [("log_bin", "OFF"), ("sync_binlog", "0")];
        assert_eq!(found(&without_log), []);
    }
}
