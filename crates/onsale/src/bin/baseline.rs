//! What the service is measured beside: the usual ways of taking orders, with its JSON in and
//! out.

use std::sync::Arc;

use actix_web::web;
use async_trait::async_trait;
use clap::{Parser, Subcommand};
use onsale::baselines::publish_each::{self, Publisher};
use onsale::baselines::redis_counter::RedisCounter;
use onsale::baselines::transactions::{connect, sell_one};
use onsale::baselines::{Seller, accept, sell, serve};
use sqlx::mysql::MySqlPool;
use uuid::Uuid;

#[derive(Debug, Parser)]
struct Cli {
    /// Port to listen on, on loopback.
    #[arg(long)]
    port: u16,
    #[command(subcommand)]
    way: Way,
}

#[derive(Debug, Subcommand)]
#[command(rename_all = "snake_case")]
enum Way {
    /// The ceiling: a handler with nothing behind it.
    Bare,
    /// Each order is a message of its own, answered when the broker has confirmed it.
    PublishEach {
        /// The queue; declared, never deleted.
        #[arg(long)]
        queue: String,
        /// `amqp://user:password@host:port`
        #[arg(long, env = "ONSALE_RABBITMQ_URL", hide_env_values = true)]
        rabbitmq_url: String,
    },
    /// No queue: each order takes its seat in a transaction of its own before it is answered.
    ///
    /// `UPDATE … WHERE available > 0` never oversells; everybody waits for the row of the show.
    UpdateEach {
        /// `mysql://user:password@host:port/database`, with the service's schema.
        #[arg(long, env = "ONSALE_MYSQL_URL", hide_env_values = true)]
        mysql_url: String,
        /// Connections to the store.
        #[arg(long, default_value_t = 16)]
        connections: u32,
    },
    /// A counter in Redis decides before the answer, the store is written afterwards.
    RedisCounter {
        /// `redis://host:port`
        #[arg(long, env = "ONSALE_REDIS_URL", hide_env_values = true)]
        redis_url: String,
        /// `mysql://user:password@host:port/database`, with the service's schema; without it
        /// winners stay in Redis.
        #[arg(long, env = "ONSALE_MYSQL_URL", hide_env_values = true)]
        mysql_url: Option<String>,
    },
}

struct InTransactions(MySqlPool);

#[async_trait]
impl Seller for InTransactions {
    async fn sell(&self, id: Uuid, user: &str) -> anyhow::Result<bool> {
        sell_one(&self.0, id, user).await
    }
}

#[actix_web::main]
async fn main() -> anyhow::Result<()> {
    let Cli { port, way } = Cli::parse();
    match way {
        Way::Bare => serve(port, |app| {
            app.route("/tickets", web::post().to(accept));
        })?,
        Way::PublishEach {
            queue,
            rabbitmq_url,
        } => {
            let publisher = Publisher::connect(&rabbitmq_url, &queue).await?;
            let publisher = web::Data::new(publisher);
            serve(port, move |app| {
                app.app_data(publisher.clone())
                    .route("/tickets", web::post().to(publish_each::place));
            })?
        }
        Way::UpdateEach {
            mysql_url,
            connections,
        } => {
            let pool = connect(&mysql_url, connections).await?;
            sell(port, Arc::new(InTransactions(pool)))?
        }
        Way::RedisCounter {
            redis_url,
            mysql_url,
        } => {
            let server = sell(port, Arc::new(RedisCounter::connect(&redis_url).await?))?;
            if let Some(mysql_url) = &mysql_url {
                let pool = connect(mysql_url, 2).await?;
                let writer = RedisCounter::connect(&redis_url).await?;
                return tokio::select! {
                    ended = server => Ok(ended?),
                    failed = writer.write_winners(&pool) => failed,
                };
            }
            server
        }
    }
    .await?;
    Ok(())
}
