//! The baseline of deciding: what a service does that gives each ticket a
//! transaction of its own.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use black_box::deployment::Deployment;
use black_box::load::ratio;
use futures_util::future::try_join_all;
use serde::{Deserialize, Serialize};

use super::benchmark::Setting;
use super::cpu::{CpuMicros, Meter};
use super::orders::SEATS;
use crate::baselines::transactions::{connect, put_on_sale, random_id, sell_one};

/// Tickets sold one by one.
#[derive(Debug, Clone, Serialize, Deserialize)]
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
    let on = async |deployment: &Deployment| sell(deployment, connections, time).await;
    // Users are not looked up: that would only slow the baseline down.
    setting.deploy(0, on).await
}

async fn sell(deployment: &Deployment, connections: u32, time: Duration) -> anyhow::Result<Naive> {
    let pool = connect(deployment.database.url(), connections).await?;
    put_on_sale(&pool, SEATS).await?;

    let meter = Meter::on(deployment, [])?;
    let started = Instant::now();
    let selling = (0..connections).map(|seller| {
        let pool = &pool;
        async move {
            let mut sold = 0_u64;
            while started.elapsed() < time {
                let user = format!("{seller}-{sold}");
                let ticket = sell_one(pool, random_id()?, &user).await?;
                ensure!(ticket, "no seat was left");
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
