//! Finds out who calls.

use std::future::{Ready, ready};
use std::sync::Arc;

use actix_web::HttpRequest;
use actix_web::http::header::AUTHORIZATION;
use domain::ports::Clock;
use domain::principal::Principal;
use domain::time::Timestamp;
use domain::user::PriorityClass;
use futures_util::future::{Either, FutureExt, LocalBoxFuture, TryFutureExt};
use limits::Exceeded;
use secrecy::SecretString;
use tokens::{Identity, Verifier};

use crate::admin_token::AdminToken;
use crate::client_limits::ClientLimits;
use crate::live_tickets::LiveTickets;
use crate::problem::{ApiError, Unproved};

/// Who calls: known at once, or when the keys of the token are there.
pub(crate) type Identified = Either<Ready<Found>, LocalBoxFuture<'static, Found>>;

type Found = Result<Arc<Principal>, ApiError>;

/// Tokens are asked for, and verified with this.
pub struct Tokens {
    /// Knows the keys.
    pub verifier: Arc<Verifier>,
    /// `auth.create_users`: whether a buyer's first order creates its user.
    pub create_users: bool,
}

/// Tells who a request comes from, by its header `Authorization`.
pub struct Guard {
    /// Without it, and without tokens, everybody administers.
    admin_token: Option<AdminToken>,
    /// `None` if nobody has to prove who they are: `auth.mode` is `off`.
    tokens: Option<Tokens>,
    live_tickets: LiveTickets,
    agent: Arc<Principal>,
    operator: Arc<Principal>,
}

impl Guard {
    /// `secret` signs tickets for browsers.
    #[must_use]
    pub fn new(
        admin_token: Option<&SecretString>,
        tokens: Option<Tokens>,
        secret: &str,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            admin_token: admin_token.map(AdminToken::new),
            tokens,
            live_tickets: LiveTickets::new(secret, clock),
            agent: Arc::new(Principal::agent()),
            operator: Arc::new(Principal::operator()),
        }
    }

    /// Who calls.
    pub(crate) fn identify(&self, request: &HttpRequest) -> Identified {
        let Some(tokens) = &self.tokens else {
            return now(Ok(Arc::clone(&self.agent)));
        };
        let token = match bearer(request) {
            Ok(Some(token)) => token,
            Ok(None) => return now(Err(Unproved::NoToken.into())),
            Err(unproved) => return now(Err(unproved.into())),
        };
        let create_users = tokens.create_users;
        // Nearly every token is one of a buyer who was here before.
        if let Some(identity) = tokens.verifier.known(token) {
            return now(Ok(principal(&identity, create_users)));
        }
        if self.is_admin_token(token) {
            return now(Ok(Arc::clone(&self.operator)));
        }
        let verifier = Arc::clone(&tokens.verifier);
        let token = token.to_owned();
        let verified = async move {
            let identity = verifier.verify(&token).await?;
            Ok(principal(&identity, create_users))
        };
        Either::Right(verified.boxed_local())
    }

    /// Who calls, by a ticket in the query if there is one: browsers cannot send a header with
    /// the handshake of a WebSocket or an `EventSource`.
    pub(crate) fn identify_listener(&self, request: &HttpRequest) -> Identified {
        match LiveTickets::given(request.query_string()) {
            Some(ticket) if self.tokens.is_some() => now(self.live_tickets.check(&ticket)),
            _ => self.identify(request),
        }
    }

    /// Takes the ticket by which [`Self::identify_listener`] knew the caller, if it was by one:
    /// when its stream is opened, so that a request that fails for another reason can be repeated.
    pub(crate) fn take_live_ticket(&self, request: &HttpRequest) -> Result<(), ApiError> {
        match LiveTickets::given(request.query_string()) {
            Some(ticket) if self.tokens.is_some() => self.live_tickets.take(&ticket),
            _ => Ok(()),
        }
    }

    /// A ticket for a stream of this caller. Where nobody proves who they are it has no rights: a
    /// process that asks for tokens takes it, too.
    pub(crate) fn issue_live_ticket(&self, caller: &Principal) -> (String, Timestamp) {
        match &self.tokens {
            Some(_) => self.live_tickets.issue(caller),
            None => self.live_tickets.issue(&Principal::default()),
        }
    }

    /// Somebody who administers.
    pub(crate) fn identify_operator(&self, request: &HttpRequest) -> Identified {
        if self.tokens.is_none() {
            let given = bearer(request).ok().flatten();
            return now(match given {
                _ if self.admin_token.is_none() => Ok(Arc::new(Principal::anybody())),
                Some(given) if self.is_admin_token(given) => Ok(Arc::clone(&self.operator)),
                _ => Err(Unproved::NoAdminToken.into()),
            });
        }
        then(self.identify(request), |principal| {
            now(if principal.operator {
                Ok(principal)
            } else {
                Err(ApiError::NoOperator)
            })
        })
    }

    /// Who orders: a buyer's limit is asked before the body is read.
    pub(crate) fn identify_orderer(
        &self,
        request: &HttpRequest,
        limits: &Arc<ClientLimits>,
    ) -> Identified {
        let limits = Arc::clone(limits);
        then(self.identify(request), move |principal| {
            let Some(user) = principal.only_user() else {
                return now(Ok(principal));
            };
            let asked = limits.admit_order_of(user);
            let admitted = |asked: Result<(), Exceeded>| {
                asked?;
                Ok(principal)
            };
            match asked {
                Either::Left(known) => now(admitted(known.into_inner())),
                Either::Right(waits) => Either::Right(waits.map(admitted).boxed_local()),
            }
        })
    }

    fn is_admin_token(&self, given: &str) -> bool {
        let token = self.admin_token.as_ref();
        token.is_some_and(|token| token.is(given))
    }
}

fn then(
    found: Identified,
    next: impl FnOnce(Arc<Principal>) -> Identified + 'static,
) -> Identified {
    match found {
        Either::Left(found) => match found.into_inner() {
            Ok(principal) => next(principal),
            Err(error) => now(Err(error)),
        },
        Either::Right(found) => Either::Right(found.and_then(next).boxed_local()),
    }
}

fn now(found: Found) -> Identified {
    Either::Left(ready(found))
}

fn principal(identity: &Identity, create_users: bool) -> Arc<Principal> {
    let is_buyer = !identity.roles.agent && !identity.roles.operator;
    Arc::new(Principal {
        user: identity.user.clone(),
        agent: identity.roles.agent,
        operator: identity.roles.operator,
        known_as: "a token without a user",
        enrols_as: (create_users && is_buyer)
            .then(|| identity.priority.unwrap_or(PriorityClass::Standard)),
        until: Some(identity.expires_at),
    })
}

/// The token of `Authorization: Bearer`; `None` without the header.
fn bearer(request: &HttpRequest) -> Result<Option<&str>, Unproved> {
    let mut given = request.headers().get_all(AUTHORIZATION);
    let Some(value) = given.next() else {
        return Ok(None);
    };
    if given.next().is_some() {
        return Err(Unproved::NotOneBearer);
    }
    let text = value.to_str().map_err(|_| Unproved::NotOneBearer)?;
    match text.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => Ok(Some(token.trim())),
        _ => Err(Unproved::NotOneBearer),
    }
}
