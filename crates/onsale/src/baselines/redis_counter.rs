//! The usual recipe for a flash sale: a counter in Redis decides at once, a
//! stream in Redis carries the winners to the store, which is written in batches.
//!
//! What it can lose: an order is answered when Redis has it in memory. With
//! Redis's default configuration everything since the last snapshot is gone when
//! Redis dies, with an append-only file up to a second of it; the counter comes
//! back as old as the stream, so that the seats of lost buyers are sold again.

use anyhow::Context;
use async_trait::async_trait;
use black_box::database::now_micros;
use redis::aio::MultiplexedConnection;
use redis::streams::StreamReadReply;
use redis::{AsyncCommands, Client, Script};
use sqlx::QueryBuilder;
use sqlx::mysql::MySqlPool;
use uuid::Uuid;

use super::transactions::take_seats;
use super::{SHOW, Seller};

/// Seats that are left.
const SEATS: &str = "onsale:seats";
/// Winners on their way to the store.
const WINNERS: &str = "onsale:winners";
/// Winners of one transaction.
const BATCH: usize = 1_000;
/// Both or neither, as Redis runs a script without interruption.
const TAKE: &str = "if redis.call('DECR', KEYS[1]) < 0 then \
     redis.call('INCR', KEYS[1]) return 0 end \
     redis.call('XADD', KEYS[2], '*', 'id', ARGV[1], 'user', ARGV[2]) return 1";

/// The counter and the stream.
#[derive(Clone)]
pub struct RedisCounter {
    connection: MultiplexedConnection,
    take: Script,
}

impl RedisCounter {
    /// Connects.
    ///
    /// # Errors
    /// When Redis does not answer.
    pub async fn connect(url: &str) -> anyhow::Result<Self> {
        let connection = Client::open(url)?.get_multiplexed_async_connection().await;
        Ok(Self {
            connection: connection.context("connecting to Redis")?,
            take: Script::new(TAKE),
        })
    }

    /// Sets the seats that are left.
    ///
    /// # Errors
    /// When Redis does not answer.
    pub async fn put_on_sale(&mut self, seats: u32) -> anyhow::Result<()> {
        Ok(self.connection.set(SEATS, seats).await?)
    }

    /// Winners that are not in the store yet.
    ///
    /// # Errors
    /// When Redis does not answer.
    pub async fn waiting(&mut self) -> anyhow::Result<u64> {
        Ok(self.connection.xlen(WINNERS).await?)
    }

    /// Writes winners into the store for as long as that works.
    ///
    /// # Errors
    /// When Redis or the store does not answer.
    pub async fn write_winners(mut self, pool: &MySqlPool) -> anyhow::Result<()> {
        loop {
            let options = redis::streams::StreamReadOptions::default()
                .count(BATCH)
                .block(100);
            // From the start: what is written is deleted.
            let read: Option<StreamReadReply> = self
                .connection
                .xread_options(&[WINNERS], &["0"], &options)
                .await?;
            let entries = read.into_iter().flat_map(|reply| reply.keys);
            let entries: Vec<_> = entries.flat_map(|key| key.ids).collect();
            if entries.is_empty() {
                continue;
            }
            let mut winners = Vec::with_capacity(entries.len());
            for entry in &entries {
                let id: String = entry.get("id").context("an entry without id")?;
                let user: String = entry.get("user").context("an entry without user")?;
                winners.push((Uuid::parse_str(&id)?, user));
            }
            write(pool, &winners).await?;
            let ids: Vec<&str> = entries.iter().map(|entry| entry.id.as_str()).collect();
            let _deleted: u64 = self.connection.xdel(WINNERS, &ids).await?;
        }
    }
}

#[async_trait]
impl Seller for RedisCounter {
    /// Takes a seat and notes who has it.
    async fn sell(&self, id: Uuid, user: &str) -> anyhow::Result<bool> {
        let mut taking = self.take.prepare_invoke();
        taking.key(SEATS).key(WINNERS).arg(id.to_string()).arg(user);
        let mut connection = self.connection.clone();
        Ok(taking.invoke_async(&mut connection).await?)
    }
}

async fn write(pool: &MySqlPool, winners: &[(Uuid, String)]) -> anyhow::Result<()> {
    let now = now_micros()?;
    let mut transaction = pool.begin().await?;
    take_seats(&mut transaction, u32::try_from(winners.len())?).await?;
    let mut sql = QueryBuilder::new(
        "INSERT IGNORE INTO tickets (id, show_id, user_id, quantity, class, requested_at, \
         accepted_by, redriven, verdict, decided_at, status, version) ",
    );
    sql.push_values(winners, |mut row, (id, user)| {
        row.push_bind(id.as_bytes().as_slice())
            .push_bind(SHOW.as_bytes())
            .push_bind(user.as_bytes())
            .push("1, 1")
            .push_bind(now)
            .push("0, 0, 1")
            .push_bind(now)
            .push("1, 1");
    });
    sql.build().execute(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(())
}
