//! What administration may do, and who administration is.

use actix_web::http::header::AUTHORIZATION;
use actix_web::{HttpRequest, HttpResponse};
use secrecy::{ExposeSecret, SecretString};

use super::problem::ApiError;
use super::{Answer, HttpState, State};
use crate::audit::AuditReport;

/// Only the hash is kept; two hashes are compared in constant time.
pub(super) struct AdminToken(blake3::Hash);

impl AdminToken {
    pub(super) fn new(token: &SecretString) -> Self {
        Self(blake3::hash(token.expose_secret().as_bytes()))
    }

    fn is(&self, given: &str) -> bool {
        self.0 == blake3::hash(given.as_bytes())
    }
}

impl HttpState {
    /// Everybody passes where no token is configured, which production does not allow.
    pub(super) fn authorize(&self, request: &HttpRequest) -> Result<(), ApiError> {
        let Some(token) = &self.admin_token else {
            return Ok(());
        };
        let given = request
            .headers()
            .get(AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
        match given {
            Some((_, given)) if token.is(given.trim()) => Ok(()),
            _ => Err(ApiError::Unauthorized),
        }
    }
}

/// `GET /admin/audit`: replays every show. Takes a second per million changes or so.
pub(super) async fn audit(state: State, request: HttpRequest) -> Answer {
    state.authorize(&request)?;
    let _turn = state.lists.audit_turn().await?;
    let report = AuditReport::of(&*state.office.shows, &*state.office.ledger).await?;
    Ok(HttpResponse::Ok().json(report))
}
