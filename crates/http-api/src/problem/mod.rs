//! Every error as a client sees it: RFC 9457 `application/problem+json`.

mod code;
mod failure_log;
mod faults;
mod refusals;
mod request_id;
mod unproved;

use std::fmt;
use std::ops::RangeInclusive;
use std::rc::Rc;

use actix_web::http::StatusCode;
use actix_web::http::header::{
    ALLOW, HeaderName, RETRY_AFTER, SEC_WEBSOCKET_VERSION, UPGRADE, WWW_AUTHENTICATE,
};
use actix_web::{HttpResponse, ResponseError};
use domain::ports::{
    Cause, ChangeShowError, CreateShowError, CreateUserError, LedgerError, PublishError,
    ShowRepositoryError, UserRepositoryError,
};
use domain::receipt::TicketId;
use domain::rule::{Refusal, TermsRefused};
use domain::show::{SalesWindow, TermsError};
use domain::ticket::Status;
use domain::use_cases::{
    ChangeTicketError, ListShowTicketsError, ListTicketsError, PlaceOrderError, ReadTicketError,
};
use limits::Exceeded;
use schemars::JsonSchema;
use serde::{Serialize, Serializer};
use tokens::TokenError;

use crate::open_connections::{Refused, TooManyConnections};
use crate::openapi::schemas;

pub(crate) use self::code::Code;
pub(crate) use self::failure_log::FailureLog;
pub(crate) use self::faults::{Fault, Faults};
pub(crate) use self::refusals::Refusals;
pub(crate) use self::request_id::{RequestId, X_REQUEST_ID};
pub(crate) use self::unproved::Unproved;

/// The most bytes of a body; more than any request of this API needs.
pub(crate) const MAX_BODY: usize = 16 * 1_024;
/// An answer is no page: nothing in it is to be run, loaded or framed.
pub(crate) const NO_PAGE: &str = "default-src 'none'; frame-ancestors 'none'";
/// When a client that was refused may come again.
const RETRY_AFTER_SECONDS: RangeInclusive<u64> = 1..=3;
/// What is left of a limit, and what the limit is.
const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// Everything that a request can be refused for.
#[derive(Debug)]
pub(crate) enum ApiError {
    NotHttp,
    HeadTooLarge,
    UnsupportedMediaType,
    UnsupportedEncoding,
    BodyTooLarge,
    BodyIncomplete,
    RequestTimeout,
    NotJson { detail: String },
    InvalidFields(Faults),
    InvalidParameters(Faults),
    Unauthorized(Unproved),
    NoOperator,
    Forbidden,
    HttpsRequired,
    HostNotAllowed,
    OriginNotAllowed,
    RouteNotFound,
    MethodNotAllowed { allows: Rc<str> },
    ShowNotFound,
    UserNotFound,
    TicketNotFound,
    ShowExists,
    UserExists,
    CapacityInUse { held: u32, sold: u32 },
    SalesClosed(SalesWindow),
    SoldOut,
    IdempotencyConflict,
    NotDecided,
    HoldExpired,
    NotReserved(Status),
    TicketRejected,
    ClockOff,
    QueueUnavailable(PublishError),
    OutcomeUnknown(TicketId),
    StoreUnavailable(Cause),
    NotAWebSocket(String),
    LiveConnectionsExhausted { max: usize },
    ConnectionsExhausted(TooManyConnections),
    RateLimited(Exceeded),
    ListsExhausted { max: usize },
    ShuttingDown,
}

/// An error as the client gets it: RFC 9457.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Problem")]
pub(crate) struct Problem<'a> {
    /// `urn:tickets:problem:` and the code.
    #[serde(rename = "type")]
    kind: String,
    /// The status in words.
    title: &'a str,
    /// Of the answer.
    status: u16,
    /// What programs tell problems by.
    code: &'a str,
    /// What people can do.
    detail: &'a str,
    /// Ties it to the log.
    request_id: String,
    /// Of an order that may or may not be queued.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "written")]
    #[schemars(schema_with = "schemas::ticket_id")]
    ticket_id: Option<TicketId>,
    /// The first things that are wrong with the request.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'a [Fault],
}

/// An [`ApiError`] as the client gets it, without what is the same for all.
struct Explanation {
    code: Code,
    detail: String,
}

fn explanation(code: Code, detail: impl Into<String>) -> Explanation {
    Explanation {
        code,
        detail: detail.into(),
    }
}

impl ApiError {
    /// Stable code, and what the client can do.
    #[expect(
        clippy::too_many_lines,
        reason = "a table: what the client is told of each error"
    )]
    fn explanation(&self) -> Explanation {
        use Code as C;
        match self {
            Self::NotHttp => explanation(
                C::NotHttp,
                "This cannot be read as a request of HTTP/1.1. Nothing was done.",
            ),
            Self::HeadTooLarge => explanation(
                C::HeadTooLarge,
                "Send fewer or shorter headers, or a shorter path.",
            ),
            Self::UnsupportedMediaType => explanation(
                C::UnsupportedMediaType,
                "Send the body as JSON with the header Content-Type: application/json.",
            ),
            Self::UnsupportedEncoding => explanation(
                C::UnsupportedMediaType,
                "Send the body uncompressed, without the header Content-Encoding.",
            ),
            Self::BodyTooLarge => explanation(
                C::BodyTooLarge,
                format!("Send a body of at most {MAX_BODY} bytes."),
            ),
            Self::BodyIncomplete => explanation(
                C::BodyIncomplete,
                "The body broke off or could not be decoded. Send the request again.",
            ),
            Self::RequestTimeout => explanation(
                C::RequestTimeout,
                "The request did not come in time (server.request_timeout_ms), so nothing was done. \
                 Send the request again, all of it at once.",
            ),
            Self::NotJson { detail } => explanation(
                C::NotJson,
                format!("The body is not JSON: {detail}. Send one JSON object."),
            ),
            Self::InvalidFields(faults) => explanation(
                C::InvalidFields,
                format!("Correct the fields named in errors.{}", faults.and_more()),
            ),
            Self::InvalidParameters(faults) => explanation(
                C::InvalidParameter,
                format!(
                    "Correct the parameters named in errors.{}",
                    faults.and_more()
                ),
            ),
            Self::Unauthorized(unproved) if unproved.is_our_fault() => {
                explanation(C::KeysUnavailable, unproved.detail())
            }
            Self::Unauthorized(unproved) => explanation(C::Unauthorized, unproved.detail()),
            Self::NoOperator => explanation(
                C::Forbidden,
                "Administration needs a token with the role operator, or admin.token.",
            ),
            Self::Forbidden => explanation(
                C::Forbidden,
                "This token acts for its own user only; for others a token needs the role agent. \
                 Operators may look, and order or change no tickets.",
            ),
            Self::HttpsRequired => explanation(
                C::HttpsRequired,
                "Plain HTTP is not served (tls.mode). Send the request over HTTPS; what this one \
                 had in it can have been read on the way.",
            ),
            Self::HostNotAllowed => explanation(
                C::HostNotAllowed,
                "This service does not go by the name in Host. Ask it by its address, or add the \
                 name to server.allowed_hosts.",
            ),
            Self::OriginNotAllowed => explanation(
                C::OriginNotAllowed,
                "Pages of this origin may not ask this. cors.allowed_origins names those that may.",
            ),
            Self::RouteNotFound => explanation(C::RouteNotFound, "There is nothing at this path."),
            Self::MethodNotAllowed { allows } => {
                explanation(C::MethodNotAllowed, format!("This path takes {allows}."))
            }
            Self::ShowNotFound => explanation(C::ShowNotFound, "There is no show with this id."),
            Self::UserNotFound => explanation(C::UserNotFound, "There is no user with this id."),
            Self::TicketNotFound => explanation(
                C::TicketNotFound,
                "No ticket with this id was ever issued. Use the ticket_id of an order's answer.",
            ),
            Self::ShowExists => explanation(
                C::ShowExists,
                "There is a show with this id; PATCH /shows/{id} changes it.",
            ),
            Self::UserExists => explanation(
                C::UserExists,
                "There is a user with this id; PATCH /users/{id} changes it.",
            ),
            Self::CapacityInUse { held, sold } => explanation(
                C::CapacityInUse,
                format!(
                    "{held} seats are held and {sold} sold; give a capacity of at least {}.",
                    u64::from(*held) + u64::from(*sold)
                ),
            ),
            Self::SalesClosed(window) => explanation(C::SalesClosed, sales_closed_detail(window)),
            Self::SoldOut => explanation(
                C::SoldOut,
                "The show has no seats left. Seats that come back go on sale again at once: \
                 try again later, or listen to the show over GET /ws.",
            ),
            Self::IdempotencyConflict => explanation(
                C::IdempotencyConflict,
                "This Idempotency-Key belongs to an order with another body. \
                 Repeat that body, or use a new key.",
            ),
            Self::NotDecided => explanation(
                C::NotDecided,
                "The order still waits for its verdict. Try again when GET /tickets/{id} \
                 shows another status than processing.",
            ),
            Self::HoldExpired => explanation(
                C::HoldExpired,
                "The hold is over and its seats went back on sale. Place a new order.",
            ),
            Self::NotReserved(status) => explanation(
                C::NotReserved,
                format!(
                    "Only a reserved ticket can be confirmed; this one is {}.",
                    status.as_str()
                ),
            ),
            Self::TicketRejected => explanation(
                C::TicketRejected,
                "The order was rejected, so there are no seats to give back.",
            ),
            Self::ClockOff => explanation(
                C::ClockOff,
                "The clock of this process is not known to be right, so it takes no orders. \
                 This one was not queued; send it again.",
            ),
            Self::QueueUnavailable(PublishError::Full { .. }) => explanation(
                C::QueueUnavailable,
                "Too many orders wait already. This one was not queued; send it again later.",
            ),
            Self::QueueUnavailable(_) => explanation(
                C::QueueUnavailable,
                "The queue cannot be reached. The order was not queued; send it again later.",
            ),
            Self::OutcomeUnknown(_) => explanation(
                C::OutcomeUnknown,
                "The order may or may not be queued. Poll GET /tickets/{ticket_id}, \
                 or send it again with the same Idempotency-Key; without one a repeated \
                 order can be a second order.",
            ),
            Self::StoreUnavailable(_) => explanation(
                C::StoreUnavailable,
                "The store cannot be reached, or a record in it is damaged. \
                 Send the request again later.",
            ),
            Self::NotAWebSocket(what) => explanation(
                C::NotAWebsocket,
                format!("This path is for WebSocket handshakes (RFC 6455, version 13): {what}."),
            ),
            Self::LiveConnectionsExhausted { max } => explanation(
                C::LiveConnectionsExhausted,
                format!(
                    "{max} live connections are open on this process (live.max_connections). \
                     Try again later, or poll GET /tickets/{{id}}."
                ),
            ),
            Self::ConnectionsExhausted(_) => explanation(
                C::ConnectionsExhausted,
                "This process has reached its limit of connections and closes this one. \
                 Send the request again later.",
            ),
            Self::RateLimited(exceeded) => explanation(
                C::RateLimited,
                format!(
                    "This is more than {exceeded}. Send the request again when the seconds of \
                     Retry-After are over."
                ),
            ),
            Self::ListsExhausted { max } => explanation(
                C::ListsExhausted,
                format!(
                    "{max} lists are being read on this process, and too many others wait. \
                     Send the request again later."
                ),
            ),
            Self::ShuttingDown => explanation(
                C::ShuttingDown,
                "This process is stopping and accepts no new requests. Send the request again.",
            ),
        }
    }

    /// Its answer's status.
    pub(crate) fn status(&self) -> StatusCode {
        self.explanation().code.status()
    }

    /// Its stable code.
    pub(crate) fn code(&self) -> &'static str {
        self.explanation().code.as_str()
    }

    /// The answer to the client. Nothing from below a port is in it.
    pub(crate) fn response(&self, request_id: &RequestId) -> HttpResponse {
        let explanation = self.explanation();
        let status = explanation.code.status();
        let mut response = HttpResponse::build(status);
        response.content_type("application/problem+json");
        if status == StatusCode::SERVICE_UNAVAILABLE {
            // Spread, or all whom one moment refused would come again in one moment.
            let seconds: u64 = rand::random_range(RETRY_AFTER_SECONDS);
            response.insert_header((RETRY_AFTER, seconds));
        }
        match self {
            Self::Unauthorized(unproved) if !unproved.is_our_fault() => {
                response.insert_header((WWW_AUTHENTICATE, unproved.challenge()));
            }
            Self::MethodNotAllowed { allows } => {
                response.insert_header((ALLOW, &**allows));
            }
            Self::RateLimited(exceeded) => {
                response.insert_header((RETRY_AFTER, exceeded.retry_after()));
                response.insert_header((RATE_LIMIT, exceeded.rate_limit()));
                response.insert_header((RATE_LIMIT_POLICY, exceeded.rate_limit_policy()));
            }
            Self::NotAWebSocket(_) => {
                response.insert_header((UPGRADE, "websocket"));
                response.insert_header((SEC_WEBSOCKET_VERSION, "13"));
            }
            _ => {}
        }
        response.json(self.problem(&explanation, request_id))
    }

    /// The answer as it goes over the wire where no handler writes it and the connection ends.
    pub(crate) fn last_words(&self, request_id: &RequestId) -> Vec<u8> {
        let explanation = self.explanation();
        let problem = self.problem(&explanation, request_id);
        let body = serde_json::to_string(&problem).unwrap_or_default();
        let (status, length) = (explanation.code.status(), body.len());
        let head = format!(
            "HTTP/1.1 {status}\r\nconnection: close\r\ncache-control: no-store\r\n\
             content-security-policy: {NO_PAGE}\r\nx-content-type-options: nosniff\r\n\
             x-request-id: {request_id}\r\n\
             content-type: application/problem+json\r\ncontent-length: {length}\r\n\r\n"
        );
        (head + &body).into_bytes()
    }

    fn problem<'a>(&'a self, explained: &'a Explanation, request_id: &RequestId) -> Problem<'a> {
        let Explanation { code, detail } = explained;
        let (status, code) = (code.status(), code.as_str());
        Problem {
            kind: format!("urn:tickets:problem:{code}"),
            title: status.canonical_reason().unwrap_or(code),
            status: status.as_u16(),
            code,
            detail,
            request_id: request_id.to_string(),
            ticket_id: match self {
                Self::OutcomeUnknown(id) => Some(*id),
                _ => None,
            },
            errors: match self {
                Self::InvalidFields(faults) | Self::InvalidParameters(faults) => faults.told(),
                _ => &[],
            },
        }
    }

    /// What went wrong on our side, for the log.
    fn failure(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::StoreUnavailable(cause) => Some(cause.as_ref()),
            // A full queue is the limit doing its duty.
            Self::QueueUnavailable(PublishError::Full { .. }) => None,
            Self::QueueUnavailable(error) => Some(error),
            Self::ConnectionsExhausted(error) => Some(error),
            _ => None,
        }
    }
}

fn written<S: Serializer>(id: &Option<TicketId>, serializer: S) -> Result<S::Ok, S::Error> {
    match id {
        Some(id) => serializer.collect_str(id),
        None => serializer.serialize_none(),
    }
}

fn sales_closed_detail(window: &SalesWindow) -> String {
    match (window.open_at(), window.close_at()) {
        (None, None) => "The show takes no orders now.".to_owned(),
        (Some(open), None) => format!("The sale opens at {open}."),
        (None, Some(close)) => format!("The sale closed at {close}."),
        (Some(open), Some(close)) => format!("The show is on sale from {open} until {close}."),
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// Only the status: `traffic::watch` writes the rest, because only there the
/// request's id is known.
impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        self.explanation().code.status()
    }
}

impl From<Exceeded> for ApiError {
    fn from(exceeded: Exceeded) -> Self {
        Self::RateLimited(exceeded)
    }
}

impl From<Refused> for ApiError {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::InAll(error) => Self::ConnectionsExhausted(error),
            Refused::ByAddress(exceeded) => exceeded.into(),
        }
    }
}

impl From<Unproved> for ApiError {
    fn from(unproved: Unproved) -> Self {
        Self::Unauthorized(unproved)
    }
}

impl From<TokenError> for ApiError {
    fn from(error: TokenError) -> Self {
        Unproved::Token(error).into()
    }
}

impl From<PlaceOrderError> for ApiError {
    fn from(error: PlaceOrderError) -> Self {
        match error {
            PlaceOrderError::QuantityAboveLimit { max } => Self::InvalidFields(
                Fault::pointer(
                    "/quantity",
                    format_args!("must be at most {} (tickets.max_quantity)", max.seats()),
                )
                .into(),
            ),
            PlaceOrderError::Forbidden => Self::Forbidden,
            PlaceOrderError::SoldOut => Self::SoldOut,
            PlaceOrderError::ShowNotFound => Self::ShowNotFound,
            PlaceOrderError::UserNotFound => Self::UserNotFound,
            PlaceOrderError::SalesClosed(window) => Self::SalesClosed(window),
            PlaceOrderError::KeyConflict => Self::IdempotencyConflict,
            PlaceOrderError::ClockOff => Self::ClockOff,
            PlaceOrderError::NotQueued(error) => Self::QueueUnavailable(error),
            PlaceOrderError::OutcomeUnknown(id) => Self::OutcomeUnknown(id),
            PlaceOrderError::StoreUnavailable(cause) => Self::StoreUnavailable(cause),
        }
    }
}

impl From<ReadTicketError> for ApiError {
    fn from(error: ReadTicketError) -> Self {
        match error {
            ReadTicketError::NotFound => Self::TicketNotFound,
            ReadTicketError::Unreadable(cause) | ReadTicketError::StoreUnavailable(cause) => {
                Self::StoreUnavailable(cause)
            }
        }
    }
}

impl From<ListTicketsError> for ApiError {
    fn from(error: ListTicketsError) -> Self {
        match error {
            ListTicketsError::Forbidden => Self::Forbidden,
            ListTicketsError::UserNotFound => Self::UserNotFound,
            ListTicketsError::StoreUnavailable(cause) => Self::StoreUnavailable(cause),
        }
    }
}

impl From<ListShowTicketsError> for ApiError {
    fn from(error: ListShowTicketsError) -> Self {
        match error {
            ListShowTicketsError::ShowNotFound => Self::ShowNotFound,
            ListShowTicketsError::StoreUnavailable(cause) => Self::StoreUnavailable(cause),
        }
    }
}

impl From<ChangeTicketError> for ApiError {
    fn from(error: ChangeTicketError) -> Self {
        match error {
            ChangeTicketError::Forbidden => Self::Forbidden,
            ChangeTicketError::NotFound => Self::TicketNotFound,
            ChangeTicketError::NotDecided => Self::NotDecided,
            ChangeTicketError::Refused(_, Refusal::HoldExpired) => Self::HoldExpired,
            ChangeTicketError::Refused(ticket, Refusal::NotReserved) => {
                Self::NotReserved(ticket.status)
            }
            ChangeTicketError::Refused(_, Refusal::Rejected) => Self::TicketRejected,
            ChangeTicketError::StoreUnavailable(cause) => Self::StoreUnavailable(cause),
        }
    }
}

impl From<TermsError> for ApiError {
    fn from(error: TermsError) -> Self {
        let pointer = match error {
            TermsError::CapacityTooLarge { .. } => "/capacity",
            TermsError::HoldTooLong { .. } => "/hold_seconds",
            TermsError::WindowReversed => "/sales_close_at",
        };
        Self::InvalidFields(Fault::pointer(pointer, error).into())
    }
}

impl From<ChangeShowError> for ApiError {
    fn from(error: ChangeShowError) -> Self {
        match error {
            ChangeShowError::NotFound => Self::ShowNotFound,
            ChangeShowError::Refused(TermsRefused::Terms(error)) => error.into(),
            ChangeShowError::Refused(TermsRefused::BelowHeldAndSold { held, sold }) => {
                Self::CapacityInUse { held, sold }
            }
            ChangeShowError::Unavailable(cause) => Self::StoreUnavailable(cause),
        }
    }
}

impl From<CreateShowError> for ApiError {
    fn from(error: CreateShowError) -> Self {
        match error {
            CreateShowError::AlreadyExists => Self::ShowExists,
            CreateShowError::Unavailable(cause) => Self::StoreUnavailable(cause),
        }
    }
}

impl From<CreateUserError> for ApiError {
    fn from(error: CreateUserError) -> Self {
        match error {
            CreateUserError::AlreadyExists => Self::UserExists,
            CreateUserError::Unavailable(cause) => Self::StoreUnavailable(cause),
        }
    }
}

impl From<ShowRepositoryError> for ApiError {
    fn from(error: ShowRepositoryError) -> Self {
        match error {
            ShowRepositoryError::Unavailable(cause) => Self::StoreUnavailable(cause),
        }
    }
}

impl From<UserRepositoryError> for ApiError {
    fn from(error: UserRepositoryError) -> Self {
        match error {
            UserRepositoryError::Unavailable(cause) => Self::StoreUnavailable(cause),
        }
    }
}

impl From<LedgerError> for ApiError {
    fn from(error: LedgerError) -> Self {
        Self::StoreUnavailable(Box::new(error))
    }
}
