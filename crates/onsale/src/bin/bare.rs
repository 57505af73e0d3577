//! The ceiling: a handler with the service's JSON in and out, and nothing behind it.

use std::net::Ipv4Addr;

use actix_web::http::header::LOCATION;
use actix_web::{App, HttpResponse, HttpServer, web};
use clap::Parser;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

#[derive(Debug, Parser)]
struct Cli {
    /// Port to listen on, on loopback.
    #[arg(long)]
    port: u16,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Order {
    show_id: String,
    user_id: String,
    #[serde(default = "one")]
    quantity: u32,
}

const fn one() -> u32 {
    1
}

#[derive(Serialize)]
struct Ticket {
    ticket_id: Uuid,
    show_id: String,
    user_id: String,
    quantity: u32,
    status: &'static str,
}

async fn place(order: web::Json<Order>) -> HttpResponse {
    let order = order.into_inner();
    let ticket = Ticket {
        ticket_id: Uuid::from_u128(rand::random()),
        show_id: order.show_id,
        user_id: order.user_id,
        quantity: order.quantity,
        status: "processing",
    };
    HttpResponse::Accepted()
        .insert_header((LOCATION, format!("/tickets/{}", ticket.ticket_id)))
        .json(ticket)
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
