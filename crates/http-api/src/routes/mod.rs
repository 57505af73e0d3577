//! Routes: parse, call a use case, answer.

mod admin;
mod docs;
mod health;
mod live_tickets;
mod show_tickets;
mod shows;
mod table;
mod tickets;
mod users;

use std::sync::LazyLock;

use actix_web::{HttpRequest, web};
use serde_json::json;

use self::docs::Document;
pub use self::table::Route;
use self::table::{Endpoint, delete, get, patch, post, stream};
use crate::access::Listener;
use crate::live;
use crate::openapi::{self, Operation};
use crate::problem::{ApiError, Code};
use crate::request_counts::RequestCounts;
use crate::state::{Answer, State};

/// Every route of a process that accepts orders.
#[must_use]
pub fn routes() -> Vec<Route> {
    all().flat_map(|endpoint| endpoint.routes()).collect()
}

/// The OpenAPI document of these routes, as it is served.
#[must_use]
pub fn openapi() -> &'static str {
    static DOCUMENT: LazyLock<String> =
        LazyLock::new(|| openapi::write(all().map(Endpoint::described)).to_string());
    &DOCUMENT
}

/// Everything that is served; a process that only decides, without `accepting`, serves its health.
pub(crate) fn serve(
    services: &mut web::ServiceConfig,
    accepting: Option<State>,
    counts: &RequestCounts,
) {
    let mut endpoints = Vec::from(health_routes());
    if let Some(state) = accepting {
        services.app_data(state);
        services.app_data(Document(openapi()));
        endpoints.extend(accepting_routes());
    }
    table::serve(services, endpoints, counts);
}

fn all() -> impl Iterator<Item = Endpoint> {
    health_routes().into_iter().chain(accepting_routes())
}

fn health_routes() -> [Endpoint; 4] {
    use health as h;
    [
        get("/health", h::up, h::health_described),
        get("/health/live", h::up, h::live_described),
        get("/health/startup", h::startup, h::startup_described),
        get("/health/ready", h::ready, h::ready_described),
    ]
}

#[rustfmt::skip]
fn accepting_routes() -> [Endpoint; 23] {
    use {docs as d, shows as s, tickets as t, users as u};
    [
        get("/tickets", t::list, t::list_described),
        post("/tickets", t::place, t::place_described),
        get("/tickets/{id}", t::read, t::read_described),
        stream("/tickets/{id}/events", t::events, t::events_described),
        post("/tickets/{id}/confirm", t::confirm, t::confirm_described),
        post("/tickets/{id}/cancel", t::cancel, t::cancel_described),
        stream("/ws", websocket, websocket_described),
        post("/live-tickets", live_tickets::issue, live_tickets::issue_described),
        get("/shows", s::list, s::list_described),
        post("/shows", s::create, s::create_described),
        get("/shows/{id}", s::read, s::read_described),
        patch("/shows/{id}", s::change, s::change_described),
        get("/shows/{id}/terms", s::terms, s::terms_described),
        get("/shows/{id}/tickets", show_tickets::list, show_tickets::list_described),
        get("/users", u::list, u::list_described),
        post("/users", u::create, u::create_described),
        get("/users/{id}", u::read, u::read_described),
        patch("/users/{id}", u::change, u::change_described),
        delete("/users/{id}", u::erase, u::erase_described),
        get("/admin/audit", admin::audit, admin::audit_described),
        get("/openapi.json", d::document, d::document_described),
        get("/docs", d::page, d::page_described),
        get("/docs/{file}", d::file, d::file_described),
    ]
}

/// `GET /ws`.
async fn websocket(
    caller: Listener,
    state: State,
    request: HttpRequest,
    payload: web::Payload,
) -> Answer {
    let client = state.process.limits.enter_stream(&request)?;
    let take = || state.guard.take_live_ticket(&request);
    live::websocket::accept(&state.live, &caller, client, &request, payload, take).await
}

fn websocket_described() -> Operation {
    Operation::new(
        "openWebSocket",
        "Many tickets' changes, and shows' seats, as they happen",
    )
    .about("A WebSocket (RFC 6455). docs/notifications.schema.json has the messages of both sides.")
    .fixed_header("Connection", "Upgrade")
    .fixed_header("Upgrade", "websocket")
    .fixed_header("Sec-WebSocket-Version", "13")
    .header(
        "Sec-WebSocket-Key",
        "16 random bytes in base64.",
        json!({"type": "string", "pattern": "^[A-Za-z0-9+/]{22}==$"}),
    )
    .bare(101, "The WebSocket is open.")
    .with(&["Upgrade", "Sec-WebSocket-Accept"])
    .problems([
        Code::NotAWebsocket,
        Code::LiveConnectionsExhausted,
        Code::ShuttingDown,
    ])
}

/// For every other path.
pub(crate) async fn not_found() -> Answer {
    Err(ApiError::RouteNotFound)
}
