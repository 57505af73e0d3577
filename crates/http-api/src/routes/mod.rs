//! Routes: parse, call a use case, answer.

mod admin;
mod health;
mod show_tickets;
mod shows;
mod table;
mod tickets;
mod users;

use actix_web::{HttpRequest, web};

use self::table::{delete, get, patch, post, stream};
use crate::access::Anybody;
use crate::live;
use crate::problem::ApiError;
use crate::state::{Answer, State};

/// Everything that is served; a process that only decides, without `accepting`, serves its health.
pub(crate) fn serve(services: &mut web::ServiceConfig, accepting: Option<State>) {
    let mut endpoints = vec![
        get("/health", health::up),
        get("/health/live", health::up),
        get("/health/ready", health::ready),
    ];
    if let Some(state) = accepting {
        services.app_data(state);
        endpoints.extend([
            get("/tickets", tickets::list),
            post("/tickets", tickets::place),
            get("/tickets/{id}", tickets::read),
            stream("/tickets/{id}/events", tickets::events),
            post("/tickets/{id}/confirm", tickets::confirm),
            post("/tickets/{id}/cancel", tickets::cancel),
            stream("/ws", websocket),
            get("/shows", shows::list),
            post("/shows", shows::create),
            get("/shows/{id}", shows::read),
            patch("/shows/{id}", shows::change),
            get("/shows/{id}/tickets", show_tickets::list),
            get("/users", users::list),
            post("/users", users::create),
            get("/users/{id}", users::read),
            patch("/users/{id}", users::change),
            delete("/users/{id}", users::erase),
            get("/admin/audit", admin::audit),
        ]);
    }
    table::serve(services, endpoints);
}

/// `GET /ws`.
async fn websocket(
    _: Anybody,
    state: State,
    request: HttpRequest,
    payload: web::Payload,
) -> Answer {
    let client = state.process.limits.enter_stream(&request)?;
    live::websocket::accept(&state.live, client, &request, payload).await
}

/// For every other path.
pub(crate) async fn not_found() -> Answer {
    Err(ApiError::RouteNotFound)
}
