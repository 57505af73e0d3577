//! The service's JSON in and out, for programs that it is compared with.

use actix_web::HttpResponse;
use actix_web::http::header::LOCATION;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

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
    /// Its id.
    #[must_use]
    pub const fn id(&self) -> Uuid {
        self.ticket_id
    }

    /// Who ordered it.
    #[must_use]
    pub fn user_id(&self) -> &str {
        &self.user_id
    }

    /// The same with its verdict in it.
    #[must_use]
    pub fn confirmed(self) -> Self {
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
