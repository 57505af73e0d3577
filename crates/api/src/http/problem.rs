//! Every error as a client sees it: RFC 9457 `application/problem+json`.

use std::fmt;
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use actix_http::error::DispatchError;
use actix_web::http::StatusCode;
use actix_web::http::header::{
    ALLOW, HeaderMap, RETRY_AFTER, SEC_WEBSOCKET_VERSION, UPGRADE, WWW_AUTHENTICATE,
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
use serde::{Serialize, Serializer};
use tracing::{info, warn};

use super::MAX_BODY;
use super::open_connections::TooManyConnections;
use crate::live::Refused;
use crate::worker::chain;

/// When a client that was refused may come again.
const RETRY_AFTER_SECONDS: RangeInclusive<u64> = 1..=3;

/// One thing that is wrong with a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Fault {
    #[serde(flatten)]
    place: Place,
    detail: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Place {
    /// RFC 6901, into the body.
    Pointer(String),
    /// Of the path or the query.
    Parameter(String),
    Header(String),
}

impl Fault {
    /// A field of the body's object; the empty name is the whole body.
    pub(super) fn field(name: &str, detail: impl fmt::Display) -> Self {
        let pointer = if name.is_empty() {
            String::new()
        } else {
            format!("/{}", Self::escaped(name))
        };
        Self::at(Place::Pointer(pointer), detail)
    }

    /// Any place of a JSON text.
    pub(crate) fn pointer(pointer: &str, detail: impl fmt::Display) -> Self {
        Self::at(Place::Pointer(pointer.to_owned()), detail)
    }

    /// A field's name as it stands in a pointer.
    pub(crate) fn escaped(name: &str) -> String {
        name.replace('~', "~0").replace('/', "~1")
    }

    pub(super) fn parameter(name: &str, detail: impl fmt::Display) -> Self {
        Self::at(Place::Parameter(name.to_owned()), detail)
    }

    pub(super) fn header(name: &str, detail: impl fmt::Display) -> Self {
        Self::at(Place::Header(name.to_owned()), detail)
    }

    fn at(place: Place, detail: impl fmt::Display) -> Self {
        let place = match place {
            Place::Pointer(pointer) => Place::Pointer(shortened(pointer)),
            Place::Parameter(name) => Place::Parameter(shortened(name)),
            Place::Header(name) => Place::Header(name),
        };
        let detail = shortened(detail.to_string());
        Self { place, detail }
    }
}

/// A name may be as long as the request that it stands in.
fn shortened(mut text: String) -> String {
    const MAX: usize = 200;

    if text.len() > MAX {
        text.truncate(text.floor_char_boundary(MAX));
        text.push('…');
    }
    text
}

/// What is wrong with a request: the first faults, and how many more there are, so that no
/// answer is much larger than its request.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Faults {
    told: Vec<Fault>,
    untold: usize,
}

impl Faults {
    const MAX_TOLD: usize = 32;

    pub(crate) fn note(&mut self, fault: impl FnOnce() -> Fault) {
        if self.told.len() < Self::MAX_TOLD {
            self.told.push(fault());
        } else {
            self.untold += 1;
        }
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.told.is_empty()
    }

    pub(crate) fn told(&self) -> &[Fault] {
        &self.told
    }

    /// For the end of a sentence that speaks of those that are told.
    pub(crate) fn and_more(&self) -> String {
        match self.untold {
            0 => String::new(),
            untold => format!(" {untold} more are not listed."),
        }
    }
}

impl From<Fault> for Faults {
    fn from(fault: Fault) -> Self {
        Self {
            told: vec![fault],
            untold: 0,
        }
    }
}

/// Everything that a request can be refused for.
#[derive(Debug)]
pub(crate) enum ApiError {
    UnsupportedMediaType,
    UnsupportedEncoding,
    BodyTooLarge,
    BodyIncomplete,
    RequestTimeout,
    NotJson { detail: String },
    InvalidFields(Faults),
    InvalidParameters(Faults),
    Unauthorized,
    RouteNotFound,
    MethodNotAllowed { allows: &'static str },
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
    ListsExhausted { max: usize },
    ShuttingDown,
}

/// An [`ApiError`] as the client gets it, without what is the same for all.
struct Told {
    status: StatusCode,
    code: &'static str,
    detail: String,
}

fn told(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Told {
    Told {
        status,
        code,
        detail: detail.into(),
    }
}

impl ApiError {
    /// Status, stable code, and what the client can do.
    fn told(&self) -> Told {
        use StatusCode as S;
        match self {
            Self::UnsupportedMediaType => told(
                S::UNSUPPORTED_MEDIA_TYPE,
                "unsupported_media_type",
                "Send the body as JSON with the header Content-Type: application/json.",
            ),
            Self::UnsupportedEncoding => told(
                S::UNSUPPORTED_MEDIA_TYPE,
                "unsupported_media_type",
                "Send the body as it is, without compression and the header Content-Encoding.",
            ),
            Self::BodyTooLarge => told(
                S::PAYLOAD_TOO_LARGE,
                "body_too_large",
                format!("Send a body of at most {MAX_BODY} bytes."),
            ),
            Self::BodyIncomplete => told(
                S::BAD_REQUEST,
                "body_incomplete",
                "The body broke off or could not be decoded. Send the request again.",
            ),
            Self::RequestTimeout => told(
                S::REQUEST_TIMEOUT,
                "request_timeout",
                "The body did not come in time (server.request_timeout_ms), so nothing was done. \
                 Send the request again, all of it at once.",
            ),
            Self::NotJson { detail } => told(
                S::BAD_REQUEST,
                "not_json",
                format!("The body is not JSON: {detail}. Send one JSON object."),
            ),
            Self::InvalidFields(faults) => told(
                S::UNPROCESSABLE_ENTITY,
                "invalid_fields",
                format!("Correct the fields named in errors.{}", faults.and_more()),
            ),
            Self::InvalidParameters(faults) => told(
                S::BAD_REQUEST,
                "invalid_parameter",
                format!(
                    "Correct the parameters named in errors.{}",
                    faults.and_more()
                ),
            ),
            Self::Unauthorized => told(
                S::UNAUTHORIZED,
                "unauthorized",
                "Administration needs the header Authorization: Bearer <admin.token>.",
            ),
            Self::RouteNotFound => told(
                S::NOT_FOUND,
                "route_not_found",
                "There is nothing at this path.",
            ),
            Self::MethodNotAllowed { allows } => told(
                S::METHOD_NOT_ALLOWED,
                "method_not_allowed",
                format!("This path takes {allows}."),
            ),
            Self::ShowNotFound => told(
                S::NOT_FOUND,
                "show_not_found",
                "There is no show with this id.",
            ),
            Self::UserNotFound => told(
                S::NOT_FOUND,
                "user_not_found",
                "There is no user with this id.",
            ),
            Self::TicketNotFound => told(
                S::NOT_FOUND,
                "ticket_not_found",
                "No ticket with this id was ever issued. Use the ticket_id of an order's answer.",
            ),
            Self::ShowExists => told(
                S::CONFLICT,
                "show_exists",
                "There is a show with this id; PATCH /shows/{id} changes it.",
            ),
            Self::UserExists => told(
                S::CONFLICT,
                "user_exists",
                "There is a user with this id; PATCH /users/{id} changes it.",
            ),
            Self::CapacityInUse { held, sold } => told(
                S::CONFLICT,
                "capacity_in_use",
                format!(
                    "{held} seats are held and {sold} sold; give a capacity of at least {}.",
                    u64::from(*held) + u64::from(*sold)
                ),
            ),
            Self::SalesClosed(window) => {
                told(S::CONFLICT, "sales_closed", sales_closed_detail(window))
            }
            Self::SoldOut => told(
                S::CONFLICT,
                "sold_out",
                "The show has no seats left. Seats that come back go on sale again at once: \
                 try again later, or listen to the show over GET /ws.",
            ),
            Self::IdempotencyConflict => told(
                S::UNPROCESSABLE_ENTITY,
                "idempotency_conflict",
                "This Idempotency-Key belongs to an order with another body. \
                 Repeat that body, or use a new key.",
            ),
            Self::NotDecided => told(
                S::CONFLICT,
                "not_decided",
                "The order still waits for its verdict. Try again when GET /tickets/{id} \
                 shows another status than processing.",
            ),
            Self::HoldExpired => told(
                S::CONFLICT,
                "hold_expired",
                "The hold is over and its seats went back on sale. Place a new order.",
            ),
            Self::NotReserved(status) => told(
                S::CONFLICT,
                "not_reserved",
                format!(
                    "Only a reserved ticket can be confirmed; this one is {}.",
                    status.as_str()
                ),
            ),
            Self::TicketRejected => told(
                S::CONFLICT,
                "ticket_rejected",
                "The order was rejected, so there are no seats to give back.",
            ),
            Self::ClockOff => told(
                S::SERVICE_UNAVAILABLE,
                "clock_off",
                "The clock of this process is not known to be right, so it takes no orders. \
                 This one was not queued; send it again.",
            ),
            Self::QueueUnavailable(PublishError::Full { .. }) => told(
                S::SERVICE_UNAVAILABLE,
                "queue_unavailable",
                "Too many orders wait already. This one was not queued; send it again later.",
            ),
            Self::QueueUnavailable(_) => told(
                S::SERVICE_UNAVAILABLE,
                "queue_unavailable",
                "The queue cannot be reached. The order was not queued; send it again later.",
            ),
            Self::OutcomeUnknown(_) => told(
                S::SERVICE_UNAVAILABLE,
                "outcome_unknown",
                "The order may or may not be queued. Poll GET /tickets/{ticket_id}, \
                 or send it again with the same Idempotency-Key; without one a repeated \
                 order can be a second order.",
            ),
            Self::StoreUnavailable(_) => told(
                S::SERVICE_UNAVAILABLE,
                "store_unavailable",
                "The store cannot be reached. Send the request again later.",
            ),
            Self::NotAWebSocket(what) => told(
                S::UPGRADE_REQUIRED,
                "not_a_websocket",
                format!("This path is for WebSocket handshakes (RFC 6455, version 13): {what}."),
            ),
            Self::LiveConnectionsExhausted { max } => told(
                S::SERVICE_UNAVAILABLE,
                "live_connections_exhausted",
                format!(
                    "{max} live connections are open on this process (live.max_connections). \
                     Try again later, or poll GET /tickets/{{id}}."
                ),
            ),
            Self::ConnectionsExhausted(_) => told(
                S::SERVICE_UNAVAILABLE,
                "connections_exhausted",
                "This process has as many connections as it can take, and closes this one. \
                 Send the request again later.",
            ),
            Self::ListsExhausted { max } => told(
                S::SERVICE_UNAVAILABLE,
                "lists_exhausted",
                format!(
                    "{max} lists are being read on this process, and as many wait as may. \
                     Send the request again later."
                ),
            ),
            Self::ShuttingDown => told(
                S::SERVICE_UNAVAILABLE,
                "shutting_down",
                "This process stops and takes nothing new any more. Send the request again.",
            ),
        }
    }

    /// The answer to the client. Nothing from below a port is in it.
    pub(super) fn response(&self, request_id: &RequestId) -> HttpResponse {
        #[derive(Serialize)]
        struct Problem<'a> {
            #[serde(rename = "type")]
            kind: String,
            title: &'a str,
            status: u16,
            code: &'a str,
            detail: &'a str,
            request_id: &'a str,
            #[serde(skip_serializing_if = "Option::is_none", serialize_with = "written")]
            ticket_id: Option<TicketId>,
            #[serde(skip_serializing_if = "<[_]>::is_empty")]
            errors: &'a [Fault],
        }
        let Told {
            status,
            code,
            detail,
        } = self.told();
        let mut response = HttpResponse::build(status);
        response.content_type("application/problem+json");
        if status == StatusCode::SERVICE_UNAVAILABLE {
            // Spread, or all whom one moment refused would come again in one moment.
            let seconds: u64 = rand::random_range(RETRY_AFTER_SECONDS);
            response.insert_header((RETRY_AFTER, seconds));
        }
        match self {
            Self::Unauthorized => {
                response.insert_header((WWW_AUTHENTICATE, "Bearer realm=\"administration\""));
            }
            Self::MethodNotAllowed { allows } => {
                response.insert_header((ALLOW, *allows));
            }
            Self::NotAWebSocket(_) => {
                response.insert_header((UPGRADE, "websocket"));
                response.insert_header((SEC_WEBSOCKET_VERSION, "13"));
            }
            _ => {}
        }
        response.json(Problem {
            kind: format!("urn:tickets:problem:{code}"),
            title: status.canonical_reason().unwrap_or(code),
            status: status.as_u16(),
            code,
            detail: &detail,
            request_id: &request_id.0,
            ticket_id: match self {
                Self::OutcomeUnknown(id) => Some(*id),
                _ => None,
            },
            errors: match self {
                Self::InvalidFields(faults) | Self::InvalidParameters(faults) => faults.told(),
                _ => &[],
            },
        })
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
        f.write_str(self.told().code)
    }
}

/// Only the status: `traffic::watch` writes the rest, because only there the
/// request's id is known.
impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        self.told().status
    }
}

impl From<PlaceOrderError> for ApiError {
    fn from(error: PlaceOrderError) -> Self {
        match error {
            PlaceOrderError::QuantityAboveLimit { max } => Self::InvalidFields(
                Fault::field(
                    "quantity",
                    format_args!("must be at most {} (tickets.max_quantity)", max.seats()),
                )
                .into(),
            ),
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

impl From<Refused> for ApiError {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Exhausted { max } => Self::LiveConnectionsExhausted { max },
            Refused::ShuttingDown => Self::ShuttingDown,
        }
    }
}

impl From<ReadTicketError> for ApiError {
    fn from(error: ReadTicketError) -> Self {
        match error {
            ReadTicketError::NotFound => Self::TicketNotFound,
            ReadTicketError::StoreUnavailable(cause) => Self::StoreUnavailable(cause),
        }
    }
}

impl From<ListTicketsError> for ApiError {
    fn from(error: ListTicketsError) -> Self {
        match error {
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
        let field = match error {
            TermsError::CapacityTooLarge { .. } => "capacity",
            TermsError::HoldTooLong { .. } => "hold_seconds",
            TermsError::WindowReversed => "sales_close_at",
        };
        Self::InvalidFields(Fault::field(field, error).into())
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

/// Ties a client's problem to the log.
pub(super) struct RequestId(String);

impl RequestId {
    /// The client's `X-Request-Id`, if it is one that can be logged: 1 to 64
    /// visible ASCII characters.
    pub(super) fn given_by(headers: &HeaderMap) -> Option<Self> {
        let id = headers.get("x-request-id")?.to_str().ok()?;
        let fits = (1..=64).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_graphic());
        fits.then(|| Self(id.to_owned()))
    }

    pub(super) fn random() -> Self {
        Self(format!("{:032x}", rand::random::<u128>()))
    }
}

/// Logs what clients are refused for on our account, one line per second: an
/// outage under full load would otherwise fill the disk too.
pub(super) struct FailureLog {
    started: Instant,
    /// Second since the start in which the next line may be written.
    next: AtomicU64,
    unlogged: AtomicU64,
    /// Minute since the start in which the next line of [`Self::broken_off`] may be written.
    next_minute: AtomicU64,
    malformed: AtomicU64,
    broken_off: AtomicU64,
}

impl Default for FailureLog {
    fn default() -> Self {
        Self {
            started: Instant::now(),
            next: AtomicU64::new(0),
            unlogged: AtomicU64::new(0),
            next_minute: AtomicU64::new(0),
            malformed: AtomicU64::new(0),
            broken_off: AtomicU64::new(0),
        }
    }
}

impl FailureLog {
    pub(super) fn log(&self, error: &ApiError, request_id: &RequestId) {
        if let Some(cause) = error.failure() {
            self.write(error.told().code, cause, Some(&request_id.0));
        }
    }

    /// A committed change that was not announced. The client is not told, because its change
    /// is done: the line has a request id only if the client gave one.
    pub(super) fn unannounced(
        &self,
        error: &(dyn std::error::Error + 'static),
        headers: &HeaderMap,
    ) {
        let request_id = RequestId::given_by(headers);
        let request_id = request_id.as_ref().map(|id| id.0.as_str());
        self.write("not_announced", error, request_id);
    }

    /// A connection that did not end in good order; whoever was on the other side is gone.
    pub(super) fn broken_off(&self, error: &DispatchError) {
        let is_malformed = matches!(error, DispatchError::Parse(_));
        let counter = if is_malformed {
            &self.malformed
        } else {
            &self.broken_off
        };
        counter.fetch_add(1, Ordering::Relaxed);
        let minute = self.started.elapsed().as_secs() / 60;
        let due = self
            .next_minute
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |next| {
                (minute >= next).then_some(minute + 1)
            });
        if due.is_ok() {
            info!(
                requests.malformed = self.malformed.swap(0, Ordering::Relaxed),
                connections.broken_off = self.broken_off.swap(0, Ordering::Relaxed),
                error = chain(error),
                "clients sent what is not HTTP, or were gone before their answer"
            );
        }
    }

    fn write(
        &self,
        code: &str,
        error: &(dyn std::error::Error + 'static),
        request_id: Option<&str>,
    ) {
        let second = self.started.elapsed().as_secs();
        let due = self
            .next
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |next| {
                (second >= next).then_some(second + 1)
            });
        if due.is_err() {
            self.unlogged.fetch_add(1, Ordering::Relaxed);
            return;
        }
        warn!(
            code,
            request.id = request_id,
            error = chain(error),
            failures.unlogged = self.unlogged.swap(0, Ordering::Relaxed),
            "a request failed"
        );
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::sync::Arc;

    use actix_http::error::ParseError;
    use actix_web::http::header::{HeaderName, HeaderValue};
    use parking_lot::Mutex;
    use serde_json::Value;

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, some: &[u8]) -> io::Result<usize> {
            self.0.lock().extend_from_slice(some);
            Ok(some.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What `work` logs.
    fn logged(work: impl FnOnce()) -> Vec<Value> {
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = tracing_subscriber::fmt()
            .json()
            .flatten_event(true)
            .with_writer(move || writer.clone())
            .finish();
        tracing::subscriber::with_default(subscriber, work);
        let written = lines.0.lock();
        let lines = serde_json::Deserializer::from_slice(&written).into_iter();
        lines.map(Result::unwrap).collect()
    }

    /// The line of a change that was not announced, for a request with this id.
    fn unannounced(id: Option<&'static str>) -> Value {
        let mut headers = HeaderMap::new();
        if let Some(id) = id {
            let name = HeaderName::from_static("x-request-id");
            headers.insert(name, HeaderValue::from_static(id));
        }
        let mut lines = logged(|| {
            FailureLog::default().unannounced(&io::Error::other("no broker"), &headers);
        });
        lines.remove(0)
    }

    #[test]
    fn clients_that_send_nonsense_cost_one_line_a_minute() {
        let lines = logged(|| {
            let failures = FailureLog::default();
            for _ in 0..10_000 {
                failures.broken_off(&DispatchError::Parse(ParseError::Header));
            }
        });
        assert_eq!(lines.len(), 1);
        assert_eq!(lines[0]["requests.malformed"], 1);
    }

    #[test]
    fn a_change_that_was_not_announced_has_its_clients_request_id_or_none() {
        let line = unannounced(Some("from-the-client"));
        assert_eq!(line["code"], "not_announced");
        assert_eq!(line["request.id"], "from-the-client");
        assert_eq!(unannounced(None).get("request.id"), None);
    }
}
