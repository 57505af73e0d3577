//! What programs tell problems by.

use actix_web::http::StatusCode;
use strum::{EnumIter, EnumMessage, IntoStaticStr};

/// The code of a problem. What is said of each here is what the OpenAPI document says of it.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, EnumIter, EnumMessage, IntoStaticStr,
)]
#[strum(serialize_all = "snake_case")]
pub(crate) enum Code {
    /// This cannot be read as a request of HTTP.
    NotHttp,
    /// The body is not JSON.
    NotJson,
    /// The body broke off.
    BodyIncomplete,
    /// A parameter of the path or the query, or a header, is wrong; `errors` names each.
    InvalidParameter,
    /// No token, or one that is not valid.
    Unauthorized,
    /// The token has no right to this.
    Forbidden,
    /// Plain HTTP is not served.
    HttpsRequired,
    /// Pages of this origin may not ask this.
    OriginNotAllowed,
    /// There is no such show.
    ShowNotFound,
    /// There is no such user.
    UserNotFound,
    /// No such ticket was ever issued, or it is another user's.
    TicketNotFound,
    /// There is nothing at this path.
    RouteNotFound,
    /// The path is served, and this method of it is not.
    MethodNotAllowed,
    /// The request did not come in time; nothing was done.
    RequestTimeout,
    /// No seat is available or held. Never for a request with an `Idempotency-Key`.
    SoldOut,
    /// The show takes no orders now.
    SalesClosed,
    /// The order still waits for its verdict.
    NotDecided,
    /// The hold is over and its seats went back on sale.
    HoldExpired,
    /// Only a reserved ticket can be confirmed.
    NotReserved,
    /// The order was rejected, so there are no seats to give back.
    TicketRejected,
    /// There is a show with this id.
    ShowExists,
    /// There is a user with this id.
    UserExists,
    /// More seats are held and sold than the capacity would be.
    CapacityInUse,
    /// The body is too large.
    BodyTooLarge,
    /// The body is not said to be JSON, or is compressed.
    UnsupportedMediaType,
    /// The service does not go by this name.
    HostNotAllowed,
    /// Fields of the body are wrong; `errors` names each.
    InvalidFields,
    /// The key belongs to an order with another body.
    IdempotencyConflict,
    /// This path is for WebSocket handshakes.
    NotAWebsocket,
    /// More than a limit allows; nothing was done.
    RateLimited,
    /// Too many headers, or too long ones.
    HeadTooLarge,
    /// The order was not queued; send it again.
    QueueUnavailable,
    /// The order may or may not be queued: poll its `ticket_id`, or repeat it with the same key.
    OutcomeUnknown,
    /// This process's clock is off. The order was not queued; send it again.
    ClockOff,
    /// The store cannot be reached. An order was not queued; a confirm or cancel may have been
    /// done, so repeat it.
    StoreUnavailable,
    /// Too many live connections are open on this process.
    LiveConnectionsExhausted,
    /// Too many connections are open on this process, which closes this one.
    ConnectionsExhausted,
    /// Too many lists wait to be read on this process.
    ListsExhausted,
    /// This process stops.
    ShuttingDown,
    /// Tokens cannot be verified now.
    KeysUnavailable,
}

impl Code {
    /// As it is written.
    pub(crate) fn as_str(self) -> &'static str {
        self.into()
    }

    /// The status of its answers.
    pub(crate) const fn status(self) -> StatusCode {
        use StatusCode as S;
        match self {
            Self::NotHttp | Self::NotJson | Self::BodyIncomplete | Self::InvalidParameter => {
                S::BAD_REQUEST
            }
            Self::Unauthorized => S::UNAUTHORIZED,
            Self::Forbidden | Self::HttpsRequired | Self::OriginNotAllowed => S::FORBIDDEN,
            Self::ShowNotFound
            | Self::UserNotFound
            | Self::TicketNotFound
            | Self::RouteNotFound => S::NOT_FOUND,
            Self::MethodNotAllowed => S::METHOD_NOT_ALLOWED,
            Self::RequestTimeout => S::REQUEST_TIMEOUT,
            Self::SoldOut
            | Self::SalesClosed
            | Self::NotDecided
            | Self::HoldExpired
            | Self::NotReserved
            | Self::TicketRejected
            | Self::ShowExists
            | Self::UserExists
            | Self::CapacityInUse => S::CONFLICT,
            Self::BodyTooLarge => S::PAYLOAD_TOO_LARGE,
            Self::UnsupportedMediaType => S::UNSUPPORTED_MEDIA_TYPE,
            Self::HostNotAllowed => S::MISDIRECTED_REQUEST,
            Self::InvalidFields | Self::IdempotencyConflict => S::UNPROCESSABLE_ENTITY,
            Self::NotAWebsocket => S::UPGRADE_REQUIRED,
            Self::RateLimited => S::TOO_MANY_REQUESTS,
            Self::HeadTooLarge => S::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::QueueUnavailable
            | Self::OutcomeUnknown
            | Self::ClockOff
            | Self::StoreUnavailable
            | Self::LiveConnectionsExhausted
            | Self::ConnectionsExhausted
            | Self::ListsExhausted
            | Self::ShuttingDown
            | Self::KeysUnavailable => S::SERVICE_UNAVAILABLE,
        }
    }
}
