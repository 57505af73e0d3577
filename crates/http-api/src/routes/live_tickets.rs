//! `/live-tickets`.

use actix_web::HttpResponse;
use serde::Serialize;

use crate::access::Caller;
use crate::state::{Answer, State};

/// What a browser puts into the query of a stream.
#[derive(Serialize)]
struct LiveTicketBody {
    /// For `?ticket=`, once.
    ticket: String,
    /// 30 s after the request.
    expires_at: String,
}

/// `POST /live-tickets`.
pub(crate) async fn issue(caller: Caller, state: State) -> Answer {
    let (ticket, expires_at) = state.guard.issue_live_ticket(&caller);
    Ok(HttpResponse::Created().json(LiveTicketBody {
        ticket,
        expires_at: expires_at.to_string(),
    }))
}
