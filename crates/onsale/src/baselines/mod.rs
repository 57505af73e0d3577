//! Programs that the service is compared with, and its JSON in and out for them.

pub mod publish_each;
pub mod redis_counter;
pub mod transactions;

use std::net::Ipv4Addr;
use std::sync::Arc;

use actix_web::dev::Server;
use actix_web::http::header::LOCATION;
use actix_web::{App, HttpResponse, HttpServer, web};
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The show that orders are placed for.
pub const SHOW: &str = "onsale-s0";

/// The body of `POST /tickets`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    show_id: String,
    user_id: String,
    #[serde(default = "one")]
    quantity: u32,
}

const fn one() -> u32 {
    1
}

/// The body of its answer.
#[derive(Debug, Serialize)]
pub struct Ticket {
    ticket_id: Uuid,
    show_id: String,
    user_id: String,
    quantity: u32,
    status: &'static str,
}

impl From<Order> for Ticket {
    /// With a random id.
    fn from(order: Order) -> Self {
        Self {
            ticket_id: Uuid::from_u128(rand::random()),
            show_id: order.show_id,
            user_id: order.user_id,
            quantity: order.quantity,
            status: "processing",
        }
    }
}

impl Ticket {
    fn confirmed(self) -> Self {
        Self {
            status: "confirmed",
            ..self
        }
    }

    /// As JSON.
    ///
    /// # Errors
    /// Never: it is plain data.
    pub fn body(&self) -> serde_json::Result<Vec<u8>> {
        serde_json::to_vec(self)
    }

    /// The answer with that body.
    #[must_use]
    pub fn accepted(&self, body: Vec<u8>) -> HttpResponse {
        HttpResponse::Accepted()
            .insert_header((LOCATION, format!("/tickets/{}", self.ticket_id)))
            .content_type("application/json")
            .body(body)
    }
}

/// Decides an order before it is answered.
#[async_trait]
pub trait Seller: Send + Sync {
    /// Takes a seat for the ticket; false if none is left.
    ///
    /// # Errors
    /// When what it sells from does not answer.
    async fn sell(&self, id: Uuid, user: &str) -> anyhow::Result<bool>;
}

/// Serves these routes on loopback.
///
/// # Errors
/// When the port is taken.
pub fn serve(
    port: u16,
    routes: impl Fn(&mut web::ServiceConfig) + Clone + Send + 'static,
) -> std::io::Result<Server> {
    let server = HttpServer::new(move || {
        App::new()
            .configure(&routes)
            .route("/health", web::get().to(HttpResponse::Ok))
    });
    Ok(server.bind((Ipv4Addr::LOCALHOST, port))?.run())
}

/// Serves `POST /tickets` by that seller.
///
/// # Errors
/// When the port is taken.
pub fn sell(port: u16, seller: Arc<dyn Seller>) -> std::io::Result<Server> {
    let seller = web::Data::from(seller);
    serve(port, move |app| {
        app.app_data(seller.clone())
            .route("/tickets", web::post().to(place));
    })
}

/// Accepts an order and keeps nothing of it.
///
/// # Errors
/// Never: its answer is plain data.
pub async fn accept(order: web::Json<Order>) -> actix_web::Result<HttpResponse> {
    let ticket = Ticket::from(order.into_inner());
    let body = ticket.body()?;
    Ok(ticket.accepted(body))
}

async fn place(
    seller: web::Data<dyn Seller>,
    order: web::Json<Order>,
) -> actix_web::Result<HttpResponse> {
    let ticket = Ticket::from(order.into_inner());
    Ok(match seller.sell(ticket.ticket_id, &ticket.user_id).await {
        Ok(true) => {
            let ticket = ticket.confirmed();
            let body = ticket.body()?;
            ticket.accepted(body)
        }
        Ok(false) => HttpResponse::Conflict().finish(),
        Err(_) => HttpResponse::ServiceUnavailable().finish(),
    })
}
