//! Who may: what a handler needs stands first in its signature.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::http::header::AUTHORIZATION;
use actix_web::{FromRequest, HttpRequest};

use crate::admin_token::AdminToken;
use crate::problem::ApiError;
use crate::state::State;

/// What a route needs of its caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Needs {
    /// Nothing.
    Nothing,
    /// Administration.
    Administration,
}

/// The first parameter of every handler. It refuses the request before anything of it is read.
pub(crate) trait Access: FromRequest {
    /// For the table of routes.
    const NEEDS: Needs;
}

/// Everybody may.
pub(crate) struct Anybody;

impl Access for Anybody {
    const NEEDS: Needs = Needs::Nothing;
}

impl FromRequest for Anybody {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(_: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Ok(Self))
    }
}

/// A caller that has `admin.token`. Without one in the configuration everybody has it, which
/// production does not allow.
pub(crate) struct Administration;

impl Access for Administration {
    const NEEDS: Needs = Needs::Administration;
}

impl FromRequest for Administration {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let may = |state: &State| {
            let token = state.admin_token.as_ref();
            token.is_none_or(|token| has(request, token))
        };
        // Without the state none of the routes that need it is served.
        ready(match request.app_data::<State>() {
            Some(state) if may(state) => Ok(Self),
            _ => Err(ApiError::Unauthorized),
        })
    }
}

fn has(request: &HttpRequest, token: &AdminToken) -> bool {
    let given = request
        .headers()
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    given.is_some_and(|(_, given)| token.is(given.trim()))
}
