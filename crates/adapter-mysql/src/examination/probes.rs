//! What the server does when it is tried.

use domain::ports::Finding;
use sqlx::{Executor, MySqlConnection};

use crate::error::StoreError;
use crate::servers::{Servers, close};
use crate::session::Session;

/// Rights on each table that serving needs, tried without touching a row.
const TABLES: [(&str, &str); 10] = [
    ("users", "id"),
    ("shows", "id"),
    ("tickets", "id"),
    ("holds", "ticket_id"),
    ("live_seats", "seats"),
    ("journal", "seq"),
    ("workers", "id"),
    ("lane_claims", "lane"),
    ("write_check", "id"),
    ("erasures", "user_id"),
];

pub(super) async fn findings(
    servers: &Servers,
    session: &mut Session,
) -> Result<Vec<Finding>, StoreError> {
    let mut findings = rights(&mut session.connection).await;
    if !findings.is_empty() {
        // What is tried next would fail for the same reason.
        return Ok(findings);
    }
    findings.extend(constraints(&mut session.connection).await?);
    findings.extend(engines(&mut session.connection).await?);
    let mut other = servers.connect().await?;
    // Another server may be used from now on.
    if other.server == session.server {
        findings.extend(locks(&mut session.connection, &mut other.connection).await?);
    }
    close(other).await;
    Ok(findings)
}

async fn rights(connection: &mut MySqlConnection) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (table, column) in TABLES {
        for sql in [
            format!("SELECT {column} FROM {table} WHERE 1 = 0"),
            format!("INSERT INTO {table} SELECT * FROM {table} WHERE 1 = 0"),
            format!("UPDATE {table} SET {column} = {column} WHERE 1 = 0"),
            format!("DELETE FROM {table} WHERE 1 = 0"),
        ] {
            if let Err(error) = connection.execute(sql.as_str()).await {
                let error = StoreError::from(error);
                findings.push(Finding::broken(
                    table,
                    error.remedy().unwrap_or_else(|| error.to_string()),
                    "grant the user of mysql.url what it says; the schema is made by \
                     `tickets migrate`",
                ));
                break;
            }
        }
    }
    findings
}

/// The last line of defence against overselling is a constraint.
async fn constraints(connection: &mut MySqlConnection) -> Result<Vec<Finding>, StoreError> {
    connection.execute("START TRANSACTION").await?;
    let taken = connection
        .execute("INSERT INTO write_check (id, checks) VALUES (2, 0)")
        .await;
    connection.execute("ROLLBACK").await?;
    Ok(match taken {
        Ok(_) => vec![Finding::broken(
            "CHECK",
            "constraints are not enforced: a seat that is sold twice would be committed",
            "use a server that enforces them (TiDB: tidb_enable_check_constraint = ON before the \
             schema is made)",
        )],
        Err(_) => Vec::new(),
    })
}

async fn engines(connection: &mut MySqlConnection) -> Result<Vec<Finding>, StoreError> {
    // MySQL gives the names that it keeps in its dictionary as bytes.
    let other: Vec<(String, String)> = sqlx::query_as(
        "SELECT CAST(table_name AS CHAR), CAST(engine AS CHAR) FROM information_schema.tables \
         WHERE table_schema = DATABASE() AND table_type = 'BASE TABLE' AND engine <> 'InnoDB'",
    )
    .fetch_all(connection)
    .await?;
    Ok(other
        .into_iter()
        .map(|(table, engine)| {
            Finding::broken(
                table.clone(),
                format!("is a table of {engine}, which has no transactions"),
                format!("ALTER TABLE {table} ENGINE = InnoDB"),
            )
        })
        .collect())
}

/// Whether a row that one has locked is locked for the other.
async fn locks(
    one: &mut MySqlConnection,
    other: &mut MySqlConnection,
) -> Result<Vec<Finding>, StoreError> {
    const LOCK: &str = "SELECT id FROM write_check WHERE id = 1 FOR UPDATE";
    one.execute("START TRANSACTION").await?;
    let locked: Vec<u8> = sqlx::query_scalar(LOCK).fetch_all(&mut *one).await?;
    let free: Vec<u8> = sqlx::query_scalar(&format!("{LOCK} SKIP LOCKED"))
        .fetch_all(&mut *other)
        .await?;
    one.execute("ROLLBACK").await?;
    let isolation: Vec<(String, String)> = sqlx::query_as(
        "SHOW SESSION VARIABLES WHERE Variable_name IN ('transaction_isolation', 'tx_isolation')",
    )
    .fetch_all(other)
    .await?;
    let mut findings = Vec::new();
    if locked.is_empty() {
        findings.push(Finding::unknown(
            "FOR UPDATE",
            "was not checked: the row of write_check is gone",
            "run a process that serves: its readiness inserts the row again",
        ));
    }
    if !free.is_empty() {
        findings.push(Finding::broken(
            "FOR UPDATE",
            "does not lock: two workers could decide about the same seats",
            "use a server whose transactions lock rows (TiDB: tidb_txn_mode = pessimistic)",
        ));
    }
    if let Some((_, isolation)) = isolation.iter().find(|(_, set)| set != "READ-COMMITTED") {
        findings.push(Finding::broken(
            "isolation",
            format!("is {isolation}, although READ COMMITTED was asked for"),
            "use a server that has it",
        ));
    }
    Ok(findings)
}
