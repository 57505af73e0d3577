//! Who may: what a handler needs stands first in its signature.

use std::future::{Ready, ready};
use std::ops::Deref;
use std::sync::Arc;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest};
use domain::principal::Principal;
use futures_util::FutureExt;
use futures_util::future::{Either, Map};

use crate::guard::Identified;
use crate::problem::ApiError;
use crate::state::State;

/// What a route needs of its caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// Nothing.
    Nothing,
    /// A caller who has proved who it is. For whom it may act is the use case's to say.
    Caller,
    /// The same, once in the query where no header can be sent.
    Listener,
    /// An operator.
    Operator,
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

macro_rules! who {
    ($($(#[$doc:meta])* $name:ident: $needs:ident by |$state:ident, $request:ident| $found:expr;)*)
    => {$(
        $(#[$doc])*
        pub(crate) struct $name(Arc<Principal>);

        impl Access for $name {
            const NEEDS: Needs = Needs::$needs;
        }

        impl Deref for $name {
            type Target = Arc<Principal>;

            fn deref(&self) -> &Arc<Principal> {
                &self.0
            }
        }

        impl FromRequest for $name {
            type Error = ApiError;
            type Future = Map<Identified, fn(Result<Arc<Principal>, ApiError>) -> Result<Self, ApiError>>;

            fn from_request($request: &HttpRequest, _: &mut Payload) -> Self::Future {
                // Without the state none of the routes that need it is served.
                let found = match $request.app_data::<State>() {
                    Some($state) => $found,
                    None => Either::Left(ready(Err(ApiError::RouteNotFound))),
                };
                found.map(|found| found.map(Self))
            }
        }
    )*};
}

who! {
    /// A caller who has proved who it is, if that is asked for (`auth.mode`).
    Caller: Caller by |state, request| state.guard.identify(request);
    /// A caller who orders. Past a buyer's limit it is refused here.
    Orderer: Caller by |state, request| {
        state.guard.identify_orderer(request, &state.process.limits)
    };
    /// A caller who listens, from a browser perhaps, which sends a ticket in the query.
    Listener: Listener by |state, request| state.guard.identify_listener(request);
    /// Somebody who administers.
    Operator: Operator by |state, request| state.guard.identify_operator(request);
}
