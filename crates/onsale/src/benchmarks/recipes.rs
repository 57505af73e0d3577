//! The same flash sale by two usual recipes: a guarded `UPDATE` before the answer,
//! and a counter in Redis before the store.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::ensure;
use black_box::deployment::Deployment;
use black_box::load::drive;
use black_box::process::Process;
use black_box::usage::Watched;
use black_box::waiting::wait_for;
use clap::Args;
use serde::{Deserialize, Serialize};

use super::benchmark::{Benchmark, Setting};
use super::beside;
use super::cpu::Meter;
use super::flash_sale::{FlashSales, Row, Sale, table};
use super::orders::{Orders, users};
use super::redis_server::{REDIS, RedisServer};
use crate::baselines::redis_counter::RedisCounter;
use crate::baselines::transactions::put_on_sale;
use crate::table::Table;

const UPDATE_EACH: &str = "update_each";
const REDIS_COUNTER: &str = "redis_counter";
/// Orders whose fate is looked at when Redis is killed.
const DOOMED_ORDERS: u64 = 2_000;

/// How the recipes are measured; orders and seats are those of the flash sale.
#[derive(Debug, Clone, Args)]
pub(crate) struct RecipesArgs {
    /// recipes: concurrent transactions of the guarded `UPDATE`.
    #[arg(long, default_value_t = 16)]
    pub(crate) update_each_connections: u32,
}

/// Both sales.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Recipes {
    pub(super) orders: u64,
    pub(super) seats: u32,
    pub(super) update_each: Sale,
    pub(super) redis_counter: Sale,
    /// Orders that the recipe with Redis had answered, and how many of them were
    /// gone after Redis was killed.
    pub(super) redis_answered: u64,
    pub(super) redis_lost: u64,
}

impl Recipes {
    /// Beside this engine, where that was measured.
    pub(super) fn rows(&self, sales: Option<&FlashSales>) -> [Row<'_>; 2] {
        let engine = sales.map(|sales| sales.open_gate.stored_after_seconds);
        [
            ("guarded `UPDATE` without a queue", &self.update_each),
            ("Redis counter in front of the store", &self.redis_counter),
        ]
        .map(|(way, sale)| {
            let beside = engine.map(|engine| sale.stored_after_seconds / engine);
            (way.to_owned(), sale, beside)
        })
    }
}

impl Benchmark for Recipes {
    type Args = RecipesArgs;

    async fn measure(setting: &Setting<'_>, args: &RecipesArgs) -> anyhow::Result<Self> {
        let connections = args.update_each_connections;
        let update_each =
            async |deployment: &Deployment| update_each(setting, deployment, connections).await;
        let redis_counter =
            async |deployment: &Deployment| redis_counter(setting, deployment).await;
        let (orders, seats) = setting.flash_sale;
        Ok(Self {
            orders,
            seats,
            update_each: setting.deploy(0, update_each).await?,
            redis_counter: setting.deploy(0, redis_counter).await?,
            redis_answered: DOOMED_ORDERS,
            redis_lost: lose_orders(setting).await?,
        })
    }

    fn table(&self) -> Table {
        let mut table = table(self.rows(None));
        table.note = format!(
            "Redis killed before the store had them: {} of {} answered orders lost.",
            self.redis_lost, self.redis_answered
        );
        table
    }

    fn missed(&self, _: &Setting<'_>, _: &RecipesArgs) -> Vec<Option<String>> {
        Vec::new()
    }
}

async fn update_each(
    setting: &Setting<'_>,
    deployment: &Deployment,
    connections: u32,
) -> anyhow::Result<Sale> {
    let set_up = |command: &mut Command| {
        command
            .args(["--connections", &connections.to_string()])
            .env("ONSALE_MYSQL_URL", deployment.database.url());
    };
    let mut process = beside::start(UPDATE_EACH, set_up).await?;
    let watched = vec![process.watched(UPDATE_EACH)];
    let sold = sell(setting, deployment, &process, watched).await?;
    process.stop().await?;
    Ok(sold)
}

async fn redis_counter(setting: &Setting<'_>, deployment: &Deployment) -> anyhow::Result<Sale> {
    let (_, seats) = setting.flash_sale;
    let redis = RedisServer::start().await?;
    let mysql = Some(deployment.database.url());
    let mut process = start_redis_counter(&redis, mysql, seats).await?;
    let watched = vec![process.watched(REDIS_COUNTER), redis.process.watched(REDIS)];
    let sold = sell(setting, deployment, &process, watched).await?;
    process.stop().await?;
    Ok(sold)
}

async fn start_redis_counter(
    redis: &RedisServer,
    mysql_url: Option<&str>,
    seats: u32,
) -> anyhow::Result<Process> {
    let url = redis.url();
    RedisCounter::connect(&url)
        .await?
        .put_on_sale(seats)
        .await?;
    let set_up = |command: &mut Command| {
        command.env("ONSALE_REDIS_URL", &url);
        if let Some(mysql_url) = mysql_url {
            command.env("ONSALE_MYSQL_URL", mysql_url);
        }
    };
    beside::start(REDIS_COUNTER, set_up).await
}

async fn sell(
    setting: &Setting<'_>,
    deployment: &Deployment,
    process: &Process,
    watched: Vec<Watched>,
) -> anyhow::Result<Sale> {
    let (orders, seats) = setting.flash_sale;
    let database = &deployment.database;
    put_on_sale(database.pool(), seats).await?;
    let meter = Meter::on(deployment, watched)?;
    let mut sent = Orders::new(users(setting.users, orders));
    let measured = drive(process.address, setting.connections, None, &mut sent).await?;
    let (confirmed, refused) = (measured.count(202), measured.count(409));
    ensure!(
        confirmed + refused == orders,
        "{}: {:?}",
        process.address,
        measured.by_status
    );
    wait_for(confirmed, async || database.tickets().await).await?;
    let stored_after = measured.started.elapsed();
    let cpu_micros_per_order = meter.per(orders)?;
    let tickets = database.tickets().await?;
    let expected = u64::from(seats).min(orders);
    ensure!(
        (confirmed, tickets) == (expected, expected),
        "{confirmed} confirmed, {tickets} stored of {expected} seats"
    );
    Ok(Sale::of(&measured, stored_after, cpu_micros_per_order))
}

/// How many answered orders are gone when Redis dies before they are stored.
async fn lose_orders(setting: &Setting<'_>) -> anyhow::Result<u64> {
    let mut redis = RedisServer::start().await?;
    let mut process = start_redis_counter(&redis, None, u32::MAX >> 1).await?;
    let mut orders = Orders::new(users(setting.users, DOOMED_ORDERS));
    let sent = drive(process.address, setting.connections, None, &mut orders).await?;
    sent.expect_only(202)?;
    redis.crash().await?;
    let started = Instant::now();
    let mut counter = loop {
        match RedisCounter::connect(&redis.url()).await {
            Ok(counter) => break counter,
            Err(error) => ensure!(started.elapsed() < Duration::from_secs(10), "{error:#}"),
        }
    };
    let left = counter.waiting().await?;
    process.stop().await?;
    Ok(DOOMED_ORDERS.saturating_sub(left))
}
