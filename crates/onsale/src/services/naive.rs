//! The baseline of deciding: what a service does that gives each ticket a
//! transaction of its own.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use futures_util::future::try_join_all;
use serde::Serialize;
use sqlx::Executor;
use sqlx::mysql::{MySqlPool, MySqlPoolOptions};

use super::Setting;
use crate::cpu::CpuMicros;
use crate::deciding::now_micros;
use crate::deployment::Deployment;
use crate::load::ratio;

const SHOW: &[u8] = b"onsale";
const SEATS: u32 = 10_000_000;

/// Tickets sold one by one.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Naive {
    pub(super) connections: u32,
    pub(super) tickets: u64,
    pub(super) per_second: f64,
    pub(super) cpu_micros_per_ticket: CpuMicros,
}

/// Sells for `time`, in a database of the service's own schema on the same server.
pub(super) async fn measure(
    setting: &Setting<'_>,
    connections: u32,
    time: Duration,
) -> anyhow::Result<Naive> {
    ensure!(connections > 0, "--naive-connections must be at least 1");
    let program = setting.program.clone();
    let on = async |deployment: &Deployment| sell(deployment, connections, time).await;
    // Users are not looked up: that would only slow the baseline down.
    Deployment::with(setting.servers, program, 0, on).await
}

async fn sell(deployment: &Deployment, connections: u32, time: Duration) -> anyhow::Result<Naive> {
    let pool = MySqlPoolOptions::new()
        .min_connections(connections)
        .max_connections(connections)
        .after_connect(|connection, _| {
            Box::pin(async move {
                // As the service has it.
                let level = "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED";
                connection.execute(level).await?;
                Ok(())
            })
        })
        .connect(deployment.database.url())
        .await?;
    sqlx::query(
        "INSERT INTO shows (id, title, capacity, max_per_user, hold_seconds, available, held, \
         sold, seq) VALUES (?, 'On sale', ?, ?, 0, ?, 0, 0, 1)",
    )
    .bind(SHOW)
    .bind(SEATS)
    .bind(SEATS)
    .bind(SEATS)
    .execute(&pool)
    .await?;

    let meter = deployment.meter([])?;
    let started = Instant::now();
    let selling = (0..connections).map(|seller| {
        let pool = &pool;
        async move {
            let mut sold = 0_u64;
            while started.elapsed() < time {
                sell_one(pool, &format!("{seller}-{sold}")).await?;
                sold += 1;
            }
            anyhow::Ok(sold)
        }
    });
    let sold = try_join_all(selling).await.context("the naive sale")?;
    let elapsed = started.elapsed();
    let tickets = sold.iter().sum();
    let cpu_micros_per_ticket = meter.per(tickets)?;

    let counts: (u64, u64) = sqlx::query_as(
        "SELECT CAST(sold AS UNSIGNED), (SELECT CAST(COUNT(*) AS UNSIGNED) FROM tickets) \
         FROM shows",
    )
    .fetch_one(&pool)
    .await?;
    pool.close().await;
    ensure!(
        counts == (tickets, tickets),
        "{tickets} naive sales, but seats sold and tickets are {counts:?}"
    );
    Ok(Naive {
        connections,
        tickets,
        per_second: ratio(tickets, elapsed.as_secs_f64()),
        cpu_micros_per_ticket,
    })
}

/// Takes a seat and writes the ticket, in a transaction.
async fn sell_one(pool: &MySqlPool, user: &str) -> anyhow::Result<()> {
    let now = now_micros()?;
    let mut transaction = pool.begin().await?;
    // `sold` only because the schema checks that seats add up.
    let taken = sqlx::query(
        "UPDATE shows SET available = available - 1, sold = sold + 1 \
         WHERE id = ? AND available > 0",
    )
    .bind(SHOW)
    .execute(&mut *transaction)
    .await?;
    ensure!(taken.rows_affected() == 1, "no seat was left");
    sqlx::query(
        "INSERT INTO tickets (id, show_id, user_id, quantity, class, requested_at, accepted_by, \
         redriven, verdict, decided_at, status, version) \
         VALUES (?, ?, ?, 1, 1, ?, 0, 0, 1, ?, 1, 1)",
    )
    .bind(ticket_id(now, rand::random()).to_be_bytes().to_vec())
    .bind(SHOW)
    .bind(user.as_bytes())
    .bind(now)
    .bind(now)
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(())
}

/// Sorted by time, as the service's ids are: random ones would make the
/// baseline's inserts dearer.
fn ticket_id(now_micros: i64, random: u64) -> u128 {
    u128::from(now_micros.unsigned_abs()) << 64 | u128::from(random)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_sort_by_time() {
        assert!(ticket_id(1, u64::MAX) < ticket_id(2, 0));
        assert_ne!(ticket_id(1, 1), ticket_id(1, 2));
    }
}
