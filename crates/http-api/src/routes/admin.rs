//! `/admin`.

use actix_web::HttpResponse;
use serde_json::json;

use crate::access::Operator;
use crate::audit_report::AuditReport;
use crate::openapi::{Operation, schemas};
use crate::problem::Code;
use crate::state::{Answer, State};

/// `GET /admin/audit`: replays every show. Takes a second per million changes or so.
pub(crate) async fn audit(_: Operator, state: State) -> Answer {
    let _turn = state.lists.audit_turn().await?;
    let report = AuditReport::from(state.office.audit_shows().await?);
    Ok(HttpResponse::Ok().json(report))
}

pub(super) fn audit_described() -> Operation {
    Operation::new("audit", "Replays every show and counts broken promises")
        .about("Takes a second per million changes or so.")
        .json(
            200,
            "What the replay of every show found.",
            schemas::of::<AuditReport>,
            json!({"shows": [{
                "show_id": "230920", "capacity": 50000, "available": 49998, "held": 0, "sold": 2,
                "changes": 1,
                "verdicts": {"reserved": 0, "confirmed": 1, "rejected": {
                    "sold_out": 0, "limit_exceeded": 0, "sales_closed": 0, "user_not_found": 0,
                }},
                "inversions": 0, "violations": 0, "examples": [],
            }], "violations": 0}),
        )
        .problems([Code::ListsExhausted, Code::StoreUnavailable])
}
