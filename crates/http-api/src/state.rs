//! What handlers share.

use std::sync::Arc;

use actix_web::{HttpResponse, web};
use domain::use_cases::BoxOffice;
use secrecy::SecretString;

use crate::admin_token::AdminToken;
use crate::health::Health;
use crate::lists::Lists;
use crate::live::Live;
use crate::problem::{ApiError, FailureLog};
use crate::traffic::Traffic;

/// What a handler gives.
pub(crate) type Answer = Result<HttpResponse, ApiError>;
/// One per thread, which counts its users without meeting other threads.
pub(crate) type State = web::Data<Arc<HttpState>>;

/// What handlers share.
pub struct HttpState {
    /// The use cases.
    pub office: Arc<BoxOffice>,
    /// Those who are told.
    pub live: Arc<Live>,
    /// Requests in flight, and whether the process stops.
    pub traffic: Traffic,
    pub(crate) health: Health,
    pub(crate) lists: Lists,
    pub(crate) admin_token: Option<AdminToken>,
    pub(crate) failures: FailureLog,
}

impl HttpState {
    /// Administration is open to everybody without an `admin_token`.
    #[must_use]
    pub fn new(
        office: Arc<BoxOffice>,
        live: Arc<Live>,
        health: Health,
        admin_token: Option<&SecretString>,
    ) -> Self {
        Self {
            office,
            live,
            traffic: Traffic::default(),
            health,
            lists: Lists::default(),
            admin_token: admin_token.map(AdminToken::new),
            failures: FailureLog::default(),
        }
    }
}
