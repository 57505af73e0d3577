//! No queue: each order takes its seat in a transaction of its own before it is
//! answered. `UPDATE … WHERE available > 0` never oversells; everybody waits for
//! the row of the show.

use std::sync::Arc;

use async_trait::async_trait;
use clap::Parser;
use onsale::baselines::transactions::{connect, sell_one};
use onsale::baselines::{Seller, serve};
use sqlx::mysql::MySqlPool;
use uuid::Uuid;

#[derive(Debug, Parser)]
struct Cli {
    /// Port to listen on, on loopback.
    #[arg(long)]
    port: u16,
    /// `mysql://user:password@host:port/database`, with the service's schema.
    #[arg(long, env = "ONSALE_MYSQL_URL", hide_env_values = true)]
    mysql_url: String,
    /// Connections to the store.
    #[arg(long, default_value_t = 16)]
    connections: u32,
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
    let cli = Cli::parse();
    let pool = connect(&cli.mysql_url, cli.connections).await?;
    Ok(serve(cli.port, Arc::new(InTransactions(pool)))?.await?)
}
