//! No queue: each order takes its seat in a transaction of its own before it is
//! answered. `UPDATE … WHERE available > 0` never oversells; everybody waits for
//! the row of the show.

use std::net::Ipv4Addr;

use actix_web::{App, HttpResponse, HttpServer, web};
use clap::Parser;
use onsale::baseline::{Order, Ticket};
use onsale::one_by_one::{connect, sell_one};
use sqlx::mysql::MySqlPool;

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

async fn place(
    pool: web::Data<MySqlPool>,
    order: web::Json<Order>,
) -> actix_web::Result<HttpResponse> {
    let ticket = Ticket::from(order.into_inner());
    Ok(match sell_one(&pool, ticket.id(), ticket.user_id()).await {
        Ok(true) => {
            let ticket = ticket.confirmed();
            let body = ticket.body()?;
            ticket.accepted(body)
        }
        Ok(false) => HttpResponse::Conflict().finish(),
        Err(_) => HttpResponse::ServiceUnavailable().finish(),
    })
}

#[actix_web::main]
async fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    let pool = web::Data::new(connect(&cli.mysql_url, cli.connections).await?);
    HttpServer::new(move || {
        App::new()
            .app_data(pool.clone())
            .route("/tickets", web::post().to(place))
            .route("/health", web::get().to(HttpResponse::Ok))
    })
    .bind((Ipv4Addr::LOCALHOST, cli.port))?
    .run()
    .await?;
    Ok(())
}
