//! `/live-tickets`.

use actix_web::HttpResponse;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;

use crate::access::Caller;
use crate::openapi::{Operation, schemas};
use crate::state::{Answer, State};

/// What a browser puts into the query of a stream.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "LiveTicket")]
struct LiveTicketBody {
    /// For `?ticket=`, once.
    ticket: String,
    /// 30 s after the request.
    #[schemars(schema_with = "schemas::instant")]
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

pub(super) fn issue_described() -> Operation {
    Operation::new("issueLiveTicket", "A ticket for a stream from a browser")
        .about(
            "A browser cannot send a header with a WebSocket or an `EventSource`: it opens them \
             with `?ticket=`. A ticket is good once and for 30 s.",
        )
        .json(
            201,
            "The ticket.",
            schemas::of::<LiveTicketBody>,
            json!({
                "ticket": "lt1.AZ2Yx8rN1Qk9uVqk3o2r5w", "expires_at": "2026-05-01T18:00:30.000000Z",
            }),
        )
}
