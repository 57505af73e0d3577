//! The messages to clients. `docs/NOTIFICATIONS.md` describes it for them, and
//! `docs/notifications.schema.json` for their machines.

use bytestring::ByteString;
use domain::ids::ShowId;
use domain::receipt::TicketId;
use domain::show::ShowSeats;
use limits::Exceeded;
use serde::Serialize;

use crate::json::ticket::{TicketBody, WaitingLineBody};
use crate::problem::{Fault, Faults};

/// Of the messages' format. A new field or type does not change it.
const VERSION: u32 = 1;

/// How a connection writes messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// One JSON text.
    WebSocket,
    /// Lines of `text/event-stream`.
    EventStream,
}

impl Dialect {
    /// As spans name it.
    pub(crate) const fn protocol(self) -> &'static str {
        match self {
            Self::WebSocket => "websocket",
            Self::EventStream => "sse",
        }
    }
}

/// Why the service closes a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Closing {
    /// The outgoing buffer ran over.
    SlowReader,
    /// The process stops.
    ShuttingDown,
    /// The client answers no ping.
    NoHeartbeat,
    /// A message is longer than is read.
    MessageTooLarge,
    /// The token that the connection was opened with is over.
    TokenExpired,
    /// What came is not WebSocket.
    ProtocolError,
    /// A text is not UTF-8.
    InvalidUtf8,
    /// The only ticket of the connection turned out never to have been issued.
    TicketNotFound,
}

impl Closing {
    /// All of them, as they are declared.
    pub(crate) const ALL: [Self; 8] = [
        Self::SlowReader,
        Self::ShuttingDown,
        Self::NoHeartbeat,
        Self::MessageTooLarge,
        Self::TokenExpired,
        Self::ProtocolError,
        Self::InvalidUtf8,
        Self::TicketNotFound,
    ];

    /// The stable code.
    pub(crate) const fn code(self) -> &'static str {
        match self {
            Self::SlowReader => "slow_reader",
            Self::ShuttingDown => "shutting_down",
            Self::NoHeartbeat => "no_heartbeat",
            Self::MessageTooLarge => "message_too_large",
            Self::TokenExpired => "token_expired",
            Self::ProtocolError => "protocol_error",
            Self::InvalidUtf8 => "invalid_utf8",
            Self::TicketNotFound => "ticket_not_found",
        }
    }

    const fn detail(self) -> &'static str {
        match self {
            Self::SlowReader => {
                "More messages waited than live.outgoing_buffer, because they were not read fast \
                 enough. Connect again: the current state comes first."
            }
            Self::ShuttingDown => {
                "This process stops. Connect again: another one tells the current state first."
            }
            Self::NoHeartbeat => {
                "No ping was answered for two heartbeats (live.heartbeat_seconds). Connect again."
            }
            Self::MessageTooLarge => {
                "A message may have 65536 bytes. Connect again and send several smaller ones."
            }
            Self::TokenExpired => {
                "The token that this connection was opened with is over. Get a new one and connect \
                 again: the current state comes first."
            }
            Self::ProtocolError => "What was sent is not WebSocket (RFC 6455).",
            Self::InvalidUtf8 => {
                "A text message is not UTF-8. Connect again and send JSON in UTF-8."
            }
            Self::TicketNotFound => {
                "No ticket with this id was ever issued. Use the ticket_id of an order's answer."
            }
        }
    }
}

/// Something that a client asked for and does not get; the connection stays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The client's message is not understood.
    InvalidMessage(Faults),
    /// The limit of subscriptions is reached; so many were left out.
    TooManySubscriptions { max: usize, left_out: usize },
    /// The client has tried too many wrong ids; so many were left out, right or wrong.
    RateLimited { exceeded: Exceeded, left_out: usize },
    /// The id was never issued; it is not subscribed to.
    TicketNotFound(TicketId),
    /// There is no such show; it is not subscribed to.
    ShowNotFound(ShowId),
    /// The state is sent once the store answers again.
    StoreUnavailable,
}

impl Failure {
    const fn code(&self) -> &'static str {
        match self {
            Self::InvalidMessage(_) => "invalid_message",
            Self::TooManySubscriptions { .. } => "too_many_subscriptions",
            Self::RateLimited { .. } => "rate_limited",
            Self::TicketNotFound(_) => "ticket_not_found",
            Self::ShowNotFound(_) => "show_not_found",
            Self::StoreUnavailable => "store_unavailable",
        }
    }

    fn detail(&self) -> String {
        match self {
            Self::InvalidMessage(faults) => format!(
                "The message was ignored. Correct what errors names and send it again.{}",
                faults.and_more()
            ),
            Self::TooManySubscriptions { max, left_out } => format!(
                "A connection may have {max} subscriptions (live.max_subscriptions); {left_out} \
                 were left out. Unsubscribe from others or open another connection."
            ),
            Self::RateLimited { exceeded, left_out } => format!(
                "Of ids that were never issued there were more than {exceeded}; {left_out} tickets \
                 were left out. Subscribe to them again in {} s.",
                exceeded.retry_after()
            ),
            Self::TicketNotFound(_) => Closing::TicketNotFound.detail().to_owned(),
            Self::ShowNotFound(_) => "There is no show with this id.".to_owned(),
            Self::StoreUnavailable => "The store cannot be reached. The subscriptions stand, and \
                their state is told as soon as it can."
                .to_owned(),
        }
    }
}

/// A message to clients.
pub(crate) enum Content<'a> {
    /// A ticket's state; its version is 0 while it waits.
    Ticket(TicketBody<'a>),
    /// A show's seats.
    Show(&'a ShowSeats),
    /// Where the line is for a ticket that waits.
    WaitingLine(TicketId, &'a WaitingLineBody),
    /// Something went wrong, and the connection stays.
    Failure(&'a Failure),
    /// The connection is closed after this.
    Closing(Closing),
}

/// A message that is written at most once in each dialect, however many listen.
pub(crate) struct Message<'a> {
    content: Content<'a>,
    websocket: Option<ByteString>,
    event_stream: Option<ByteString>,
}

impl<'a> Message<'a> {
    pub(crate) const fn new(content: Content<'a>) -> Self {
        Self {
            content,
            websocket: None,
            event_stream: None,
        }
    }

    /// As a connection of that dialect sends it. Cheap when repeated.
    pub(crate) fn written(&mut self, dialect: Dialect) -> ByteString {
        let (written, write): (_, fn(&Content<'_>) -> String) = match dialect {
            Dialect::WebSocket => (&mut self.websocket, websocket),
            Dialect::EventStream => (&mut self.event_stream, event_stream),
        };
        written
            .get_or_insert_with(|| write(&self.content).into())
            .clone()
    }
}

/// The message alone, as a connection of that dialect sends it.
pub(crate) fn write(content: Content<'_>, dialect: Dialect) -> ByteString {
    Message::new(content).written(dialect)
}

/// A show's seats.
#[derive(Serialize)]
struct ShowBody<'a> {
    /// The show.
    show_id: &'a str,
    /// Seats that can be ordered.
    available: u32,
    /// Seats of reserved tickets.
    held: u32,
    /// Seats of confirmed tickets.
    sold: u32,
    /// Whether no seat is left and none can come back by the end of a hold.
    sold_out: bool,
    /// Number of the latest change of the show's seats.
    seq: u64,
}

impl<'a> From<&'a ShowSeats> for ShowBody<'a> {
    fn from(
        ShowSeats {
            show_id,
            seats,
            seq,
        }: &'a ShowSeats,
    ) -> Self {
        Self {
            show_id: show_id.as_str(),
            available: seats.available,
            held: seats.held,
            sold: seats.sold,
            sold_out: seats.is_sold_out(),
            seq: *seq,
        }
    }
}

/// What the client asked for and does not get.
#[derive(Serialize)]
struct FailureBody<'a> {
    /// What programs tell failures by.
    code: &'static str,
    /// What people can do.
    detail: String,
    /// The ticket that was never issued.
    #[serde(skip_serializing_if = "Option::is_none")]
    ticket_id: Option<String>,
    /// The show that there is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    show_id: Option<&'a str>,
    /// The first things that are wrong with the message.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'a [Fault],
}

impl<'a> From<&'a Failure> for FailureBody<'a> {
    fn from(failure: &'a Failure) -> Self {
        let mut body = Self {
            code: failure.code(),
            detail: failure.detail(),
            ticket_id: None,
            show_id: None,
            errors: &[],
        };
        match failure {
            Failure::TicketNotFound(id) => body.ticket_id = Some(id.to_string()),
            Failure::ShowNotFound(id) => body.show_id = Some(id.as_str()),
            Failure::InvalidMessage(faults) => body.errors = faults.told(),
            Failure::TooManySubscriptions { .. }
            | Failure::RateLimited { .. }
            | Failure::StoreUnavailable => {}
        }
        body
    }
}

/// Why the connection is closed.
#[derive(Serialize)]
struct ClosingBody {
    /// What programs tell reasons by.
    code: &'static str,
    /// What people can do.
    detail: &'static str,
}

impl From<Closing> for ClosingBody {
    fn from(closing: Closing) -> Self {
        Self {
            code: closing.code(),
            detail: closing.detail(),
        }
    }
}

fn websocket(content: &Content<'_>) -> String {
    #[derive(Serialize)]
    #[serde(tag = "type", rename_all = "snake_case")]
    enum Body<'a> {
        Ticket {
            ticket: &'a TicketBody<'a>,
        },
        Show {
            show: ShowBody<'a>,
        },
        WaitingLine {
            ticket_id: String,
            waiting_line: &'a WaitingLineBody,
        },
        Error(FailureBody<'a>),
        Closing(ClosingBody),
    }
    #[derive(Serialize)]
    struct Envelope<'a> {
        version: u32,
        #[serde(flatten)]
        body: Body<'a>,
    }
    json(&Envelope {
        version: VERSION,
        body: match content {
            Content::Ticket(ticket) => Body::Ticket { ticket },
            Content::Show(seats) => Body::Show {
                show: (*seats).into(),
            },
            Content::WaitingLine(id, waiting_line) => Body::WaitingLine {
                ticket_id: id.to_string(),
                waiting_line,
            },
            Content::Failure(failure) => Body::Error((*failure).into()),
            Content::Closing(closing) => Body::Closing((*closing).into()),
        },
    })
}

/// The format is the HTML standard's, section 9.2. JSON has no line breaks, so
/// `data` is one line. `error` is what browsers call their own failures.
fn event_stream(content: &Content<'_>) -> String {
    match content {
        Content::Ticket(ticket) => format!(
            "event: ticket\nid: {}\ndata: {}\n\n",
            ticket.ticket_version.unwrap_or_default(),
            json(ticket)
        ),
        Content::Show(seats) => event("show", &ShowBody::from(*seats)),
        Content::WaitingLine(_, waiting_line) => event("waiting_line", waiting_line),
        Content::Failure(failure) => event("problem", &FailureBody::from(*failure)),
        Content::Closing(closing) => event("closing", &ClosingBody::from(*closing)),
    }
}

fn event(name: &str, data: &impl Serialize) -> String {
    format!("event: {name}\ndata: {}\n\n", json(data))
}

#[expect(
    clippy::expect_used,
    reason = "what is written here are structs of texts and numbers"
)]
fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("is always JSON")
}

#[cfg(test)]
mod tests {
    use domain::show::SeatCounts;
    use domain::time::Timestamp;
    use domain::waiting_line::LinePlace;

    use super::*;

    const ID: &str = "0199a2b4-7d3e-8801-8a5f-3c0d9e412b77";

    fn line() -> WaitingLineBody {
        LinePlace {
            now_serving_at: Some(Timestamp::from_micros(1).unwrap()),
            orders_ahead: Some(5),
            wait_ms: None,
            stalled: true,
        }
        .into()
    }

    /// Clients rely on every byte of this.
    #[test]
    fn messages_stay_as_they_are() {
        let id: TicketId = ID.parse().unwrap();
        let line = line();
        let seats = ShowSeats {
            show_id: ShowId::from(7),
            seats: SeatCounts {
                available: 0,
                held: 0,
                sold: 3,
            },
            seq: 4,
        };
        let line_json = r#"{"now_serving_at":"1970-01-01T00:00:00.000001Z","estimated_orders_ahead":5,"estimated_wait_ms":null,"stalled":true}"#;
        let ticket_json = format!(
            r#"{{"ticket_id":"{ID}","status":"processing","ticket_version":0,"waiting_line":{line_json}}}"#
        );
        let show_json =
            r#"{"show_id":"7","available":0,"held":0,"sold":3,"sold_out":true,"seq":4}"#;
        let faults = Failure::InvalidMessage(Fault::pointer("/shows/0", "is bad").into());
        let ticket = || {
            let body = TicketBody::processing(id, None, Some(line.clone()));
            Content::Ticket(body.in_version(0))
        };
        for (content, websocket, event_stream) in [
            (
                ticket(),
                format!(r#"{{"version":1,"type":"ticket","ticket":{ticket_json}}}"#),
                format!("event: ticket\nid: 0\ndata: {ticket_json}\n\n"),
            ),
            (
                Content::Show(&seats),
                format!(r#"{{"version":1,"type":"show","show":{show_json}}}"#),
                format!("event: show\ndata: {show_json}\n\n"),
            ),
            (
                Content::WaitingLine(id, &line),
                format!(
                    r#"{{"version":1,"type":"waiting_line","ticket_id":"{ID}","waiting_line":{line_json}}}"#
                ),
                format!("event: waiting_line\ndata: {line_json}\n\n"),
            ),
            (
                Content::Failure(&faults),
                r#"{"version":1,"type":"error","code":"invalid_message","detail":"The message was ignored. Correct what errors names and send it again.","errors":[{"pointer":"/shows/0","detail":"is bad"}]}"#.to_owned(),
                "event: problem\ndata: {\"code\":\"invalid_message\",\"detail\":\"The message was ignored. Correct what errors names and send it again.\",\"errors\":[{\"pointer\":\"/shows/0\",\"detail\":\"is bad\"}]}\n\n".to_owned(),
            ),
            (
                Content::Closing(Closing::ProtocolError),
                r#"{"version":1,"type":"closing","code":"protocol_error","detail":"What was sent is not WebSocket (RFC 6455)."}"#.to_owned(),
                "event: closing\ndata: {\"code\":\"protocol_error\",\"detail\":\"What was sent is not WebSocket (RFC 6455).\"}\n\n".to_owned(),
            ),
        ] {
            let mut message = Message::new(content);
            assert_eq!(message.written(Dialect::WebSocket), websocket);
            assert_eq!(message.written(Dialect::EventStream), event_stream);
        }
    }
}
