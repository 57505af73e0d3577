//! The ceiling: a handler with the service's JSON in and out, and nothing behind it.

use std::net::Ipv4Addr;

use actix_web::{App, HttpResponse, HttpServer, web};
use clap::Parser;
use onsale::baselines::{Order, Ticket};

#[derive(Debug, Parser)]
struct Cli {
    /// Port to listen on, on loopback.
    #[arg(long)]
    port: u16,
}

async fn place(order: web::Json<Order>) -> actix_web::Result<HttpResponse> {
    let ticket = Ticket::from(order.into_inner());
    let body = ticket.body()?;
    Ok(ticket.accepted(body))
}

#[actix_web::main]
async fn main() -> std::io::Result<()> {
    let cli = Cli::parse();
    HttpServer::new(|| {
        App::new()
            .route("/tickets", web::post().to(place))
            .route("/health", web::get().to(HttpResponse::Ok))
    })
    .bind((Ipv4Addr::LOCALHOST, cli.port))?
    .run()
    .await
}
