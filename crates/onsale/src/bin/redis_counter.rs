//! The usual recipe for a flash sale, see [`onsale::baselines::redis_counter`]: a counter in
//! Redis decides before the answer, the store is written afterwards.

use std::sync::Arc;

use clap::Parser;
use onsale::baselines::redis_counter::RedisCounter;
use onsale::baselines::serve;
use onsale::baselines::transactions::connect;

#[derive(Debug, Parser)]
struct Cli {
    /// Port to listen on, on loopback.
    #[arg(long)]
    port: u16,
    /// `redis://host:port`
    #[arg(long, env = "ONSALE_REDIS_URL", hide_env_values = true)]
    redis_url: String,
    /// `mysql://user:password@host:port/database`, with the service's schema;
    /// without it winners stay in Redis.
    #[arg(long, env = "ONSALE_MYSQL_URL", hide_env_values = true)]
    mysql_url: Option<String>,
}

#[actix_web::main]
async fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    let counter = RedisCounter::connect(&cli.redis_url).await?;
    let server = serve(cli.port, Arc::new(counter))?;
    let Some(mysql_url) = &cli.mysql_url else {
        return Ok(server.await?);
    };
    let pool = connect(mysql_url, 2).await?;
    let writer = RedisCounter::connect(&cli.redis_url).await?;
    tokio::select! {
        ended = server => Ok(ended?),
        failed = writer.write_winners(&pool) => failed,
    }
}
