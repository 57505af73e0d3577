//! Routes: parse, call a use case, answer.

mod admin;
mod health;
mod live_tickets;
mod show_tickets;
mod shows;
mod table;
mod tickets;
mod users;

use actix_web::{HttpRequest, web};

pub use self::table::Route;
use self::table::{Endpoint, delete, get, patch, post, stream};
use crate::access::Listener;
use crate::live;
use crate::problem::ApiError;
use crate::request_counts::RequestCounts;
use crate::state::{Answer, State};

/// Every route of a process that accepts orders.
#[must_use]
pub fn routes() -> Vec<Route> {
    let endpoints = health_routes().into_iter().chain(accepting_routes());
    endpoints.flat_map(|endpoint| endpoint.routes()).collect()
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
        endpoints.extend(accepting_routes());
    }
    table::serve(services, endpoints, counts);
}

fn health_routes() -> [Endpoint; 3] {
    [
        get("/health", health::up),
        get("/health/live", health::up),
        get("/health/ready", health::ready),
    ]
}

fn accepting_routes() -> [Endpoint; 20] {
    [
        get("/tickets", tickets::list),
        post("/tickets", tickets::place),
        get("/tickets/{id}", tickets::read),
        stream("/tickets/{id}/events", tickets::events),
        post("/tickets/{id}/confirm", tickets::confirm),
        post("/tickets/{id}/cancel", tickets::cancel),
        stream("/ws", websocket),
        post("/live-tickets", live_tickets::issue),
        get("/shows", shows::list),
        post("/shows", shows::create),
        get("/shows/{id}", shows::read),
        patch("/shows/{id}", shows::change),
        get("/shows/{id}/terms", shows::terms),
        get("/shows/{id}/tickets", show_tickets::list),
        get("/users", users::list),
        post("/users", users::create),
        get("/users/{id}", users::read),
        patch("/users/{id}", users::change),
        delete("/users/{id}", users::erase),
        get("/admin/audit", admin::audit),
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

/// For every other path.
pub(crate) async fn not_found() -> Answer {
    Err(ApiError::RouteNotFound)
}
