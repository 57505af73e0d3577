//! `/admin`.

use actix_web::HttpResponse;

use crate::access::Operator;
use crate::audit_report::AuditReport;
use crate::state::{Answer, State};

/// `GET /admin/audit`: replays every show. Takes a second per million changes or so.
pub(crate) async fn audit(_: Operator, state: State) -> Answer {
    let _turn = state.lists.audit_turn().await?;
    let report = AuditReport::from(state.office.audit_shows().await?);
    Ok(HttpResponse::Ok().json(report))
}
