//! Messages: JSON with a `version`, content type `application/json`.
//!
//! Fields are added with a new version only, and none is unknown: a process that
//! reads a version it does not know must not guess. docs/WIRE.md describes the
//! messages for people; `golden` below holds them to it.
//!
//! It is public so that any bytes can be tried on it: a queue may hold what no process wrote.

use std::borrow::Cow;

use domain::event::{AcceptedOrders, Event, SettledOrders};
use domain::ids::{ShowId, UserId};
use domain::order::{Lane, Lanes, MAX_LANES, Order, Quantity};
use domain::receipt::{ProcessId, TicketId};
use domain::show::{SeatCounts, ShowSeats};
use domain::ticket::{RejectionReason, Status, Ticket, Verdict};
use domain::time::Timestamp;
use domain::user::PriorityClass;
use lapin::protocol::BasicProperties;
use serde::{Deserialize, Serialize};

/// The version that this build writes, and the newest that it reads.
const VERSION: u32 = 1;

/// The type of a message without orders, which proves that a queue answers.
pub(crate) const MARKER: &str = "tickets.marker";

/// Whether the message is there to prove something, and says nothing.
pub(crate) fn is_marker(properties: &BasicProperties) -> bool {
    properties
        .kind()
        .as_ref()
        .is_some_and(|kind| kind.as_str() == MARKER)
}

pub(crate) const CONTENT_TYPE: &str = "application/json";

/// Why a message could not be read.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// A newer process wrote it; a newer process can read it.
    #[error("the message is of version {0}; this build reads up to {VERSION}")]
    Newer(u32),
    /// Nobody can.
    #[error("the message cannot be decoded: {0}")]
    Invalid(String),
}

/// Orders are rows, and what they have in common is said once: half the bytes,
/// and the broker's cost of an order is in its bytes.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct OrdersMessage<'a> {
    version: u32,
    #[serde(borrow)]
    class: Cow<'a, str>,
    accepted_by: u32,
    redriven: bool,
    columns: Vec<Cow<'a, str>>,
    orders: Vec<OrderRow<'a>>,
}

/// Names of the parts of an [`OrderRow`]; the last is in microseconds since 1970.
const ORDER_COLUMNS: [&str; 5] = [
    "ticket_id",
    "show_id",
    "user_id",
    "quantity",
    "requested_at",
];

#[derive(Serialize, Deserialize)]
struct OrderRow<'a>(
    #[serde(borrow)] Cow<'a, str>,
    #[serde(borrow)] Cow<'a, str>,
    #[serde(borrow)] Cow<'a, str>,
    u32,
    i64,
);

/// An order that stands alone, in an event.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct OrderBody<'a> {
    #[serde(borrow)]
    ticket_id: Cow<'a, str>,
    #[serde(borrow)]
    show_id: Cow<'a, str>,
    #[serde(borrow)]
    user_id: Cow<'a, str>,
    quantity: u32,
    #[serde(borrow)]
    class: Cow<'a, str>,
    /// Microseconds since 1970.
    requested_at: i64,
    accepted_by: u32,
    redriven: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct EventsMessage<'a> {
    version: u32,
    #[serde(borrow)]
    events: Vec<EventBody<'a>>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
enum EventBody<'a> {
    #[serde(borrow)]
    Ticket(AnnouncedTicket<'a>),
    Show(ShowSeatsBody<'a>),
    Accepted(AcceptedBody<'a>),
    Settled(SettledBody<'a>),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct AnnouncedTicket<'a> {
    order: OrderBody<'a>,
    /// `reserved`, `confirmed`, or why the order was rejected.
    #[serde(borrow)]
    verdict: Cow<'a, str>,
    hold_expires_at: Option<i64>,
    decided_at: i64,
    decision_seq: Option<u64>,
    #[serde(borrow)]
    status: Cow<'a, str>,
    version: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ShowSeatsBody<'a> {
    #[serde(borrow)]
    show_id: Cow<'a, str>,
    available: u32,
    held: u32,
    sold: u32,
    seq: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct AcceptedBody<'a> {
    accepted_by: u32,
    lane: u8,
    #[serde(borrow)]
    class: Cow<'a, str>,
    /// Microseconds since 1970.
    through: i64,
    total: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SettledBody<'a> {
    accepted_by: u32,
    lane: u8,
    #[serde(borrow)]
    class: Cow<'a, str>,
    /// Microseconds since 1970.
    through: i64,
}

impl<'a> From<&'a Order> for OrderBody<'a> {
    fn from(order: &'a Order) -> Self {
        Self {
            ticket_id: order.ticket_id.to_string().into(),
            show_id: order.show_id.as_str().into(),
            user_id: order.user_id.as_str().into(),
            quantity: order.quantity.seats(),
            class: order.class.as_str().into(),
            requested_at: order.requested_at.as_micros(),
            accepted_by: order.accepted_by.get(),
            redriven: order.redriven,
        }
    }
}

/// Short, whatever names the message has: it becomes a header, and a header of more than a frame
/// would close the connection each time that the message is put aside.
fn invalid(what: impl std::fmt::Display) -> DecodeError {
    const MAX: usize = 200;

    DecodeError::Invalid(what.to_string().chars().take(MAX).collect())
}

fn ticket_id(text: &str) -> Result<TicketId, DecodeError> {
    text.parse()
        .map_err(|error| invalid(format_args!("ticket_id: {error}")))
}

fn show_id(text: &str) -> Result<ShowId, DecodeError> {
    ShowId::stored(text).map_err(|error| invalid(format_args!("show_id: {error}")))
}

fn class(name: &str) -> Result<PriorityClass, DecodeError> {
    PriorityClass::parse(name).ok_or_else(|| invalid("class: is neither high nor standard"))
}

fn instant(field: &str, micros: i64) -> Result<Timestamp, DecodeError> {
    Timestamp::from_micros(micros).map_err(|error| invalid(format_args!("{field}: {error}")))
}

impl TryFrom<OrderBody<'_>> for Order {
    type Error = DecodeError;

    fn try_from(body: OrderBody<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            ticket_id: ticket_id(&body.ticket_id)?,
            show_id: show_id(&body.show_id)?,
            user_id: UserId::stored(&body.user_id)
                .map_err(|error| invalid(format_args!("user_id: {error}")))?,
            quantity: Quantity::new(body.quantity).ok_or_else(|| invalid("quantity: is 0"))?,
            class: class(&body.class)?,
            requested_at: instant("requested_at", body.requested_at)?,
            accepted_by: ProcessId::new(body.accepted_by),
            redriven: body.redriven,
            trace: None,
        })
    }
}

impl<'a> From<&'a Event> for EventBody<'a> {
    fn from(event: &'a Event) -> Self {
        match event {
            Event::Ticket(ticket) => {
                let (verdict, hold_expires_at) = match ticket.verdict {
                    Verdict::Reserved { hold_expires_at } => {
                        (RESERVED, Some(hold_expires_at.as_micros()))
                    }
                    Verdict::Confirmed => (CONFIRMED, None),
                    Verdict::Rejected(reason) => (reason.as_str(), None),
                };
                Self::Ticket(AnnouncedTicket {
                    order: (&ticket.order).into(),
                    verdict: verdict.into(),
                    hold_expires_at,
                    decided_at: ticket.decided_at.as_micros(),
                    decision_seq: ticket.decision_seq,
                    status: ticket.status.as_str().into(),
                    version: ticket.version,
                })
            }
            Event::Show(show) => Self::Show(ShowSeatsBody {
                show_id: show.show_id.as_str().into(),
                available: show.seats.available,
                held: show.seats.held,
                sold: show.seats.sold,
                seq: show.seq,
            }),
            Event::Accepted(accepted) => Self::Accepted(AcceptedBody {
                accepted_by: accepted.accepted_by.get(),
                lane: accepted.lane.index(),
                class: accepted.class.as_str().into(),
                through: accepted.through.as_micros(),
                total: accepted.total,
            }),
            Event::Settled(settled) => Self::Settled(SettledBody {
                accepted_by: settled.accepted_by.get(),
                lane: settled.lane.index(),
                class: settled.class.as_str().into(),
                through: settled.through.as_micros(),
            }),
        }
    }
}

const RESERVED: &str = "reserved";
const CONFIRMED: &str = "confirmed";

fn verdict(name: &str, hold_expires_at: Option<i64>) -> Result<Verdict, DecodeError> {
    match (name, hold_expires_at) {
        (RESERVED, Some(micros)) => Ok(Verdict::Reserved {
            hold_expires_at: instant("hold_expires_at", micros)?,
        }),
        (CONFIRMED, None) => Ok(Verdict::Confirmed),
        (reason, None) => RejectionReason::parse(reason)
            .map(Verdict::Rejected)
            .ok_or_else(|| invalid("verdict: is unknown")),
        (_, Some(_)) => Err(invalid("hold_expires_at: belongs to a reserved ticket")),
    }
}

fn lane(index: u8) -> Result<Lane, DecodeError> {
    let lane = Lanes::new(MAX_LANES).and_then(|lanes| lanes.get(index));
    lane.ok_or_else(|| invalid("lane: is none"))
}

impl TryFrom<EventBody<'_>> for Event {
    type Error = DecodeError;

    fn try_from(body: EventBody<'_>) -> Result<Self, DecodeError> {
        Ok(match body {
            EventBody::Ticket(ticket) => Self::Ticket(Ticket {
                order: ticket.order.try_into()?,
                verdict: verdict(&ticket.verdict, ticket.hold_expires_at)?,
                decided_at: instant("decided_at", ticket.decided_at)?,
                decision_seq: ticket.decision_seq,
                status: Status::parse(&ticket.status)
                    .ok_or_else(|| invalid("status: is unknown"))?,
                version: ticket.version,
            }),
            EventBody::Show(show) => Self::Show(ShowSeats {
                show_id: show_id(&show.show_id)?,
                seats: SeatCounts {
                    available: show.available,
                    held: show.held,
                    sold: show.sold,
                },
                seq: show.seq,
            }),
            EventBody::Accepted(accepted) => Self::Accepted(AcceptedOrders {
                accepted_by: ProcessId::new(accepted.accepted_by),
                lane: lane(accepted.lane)?,
                class: class(&accepted.class)?,
                through: instant("through", accepted.through)?,
                total: accepted.total,
            }),
            EventBody::Settled(settled) => Self::Settled(SettledOrders {
                accepted_by: ProcessId::new(settled.accepted_by),
                lane: lane(settled.lane)?,
                class: class(&settled.class)?,
                through: instant("through", settled.through)?,
            }),
        })
    }
}

#[expect(clippy::expect_used, reason = "strings and numbers always serialize")]
fn encode(message: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(message).expect("JSON of plain data")
}

fn decode<'a, T: Deserialize<'a>>(payload: &'a [u8]) -> Result<T, DecodeError> {
    // A derived reader takes the items of an array for fields: `[2]` would be of version 2, and no
    // newer worker comes to take it.
    if payload.trim_ascii_start().first() != Some(&b'{') {
        return Err(invalid("is not an object"));
    }
    serde_json::from_slice(payload).map_err(|error| {
        #[derive(Deserialize)]
        struct Version {
            version: u32,
        }
        match serde_json::from_slice(payload) {
            Ok(Version { version }) if version > VERSION => DecodeError::Newer(version),
            _ => invalid(error),
        }
    })
}

fn readable(version: u32) -> Result<(), DecodeError> {
    match version {
        VERSION => Ok(()),
        newer if newer > VERSION => Err(DecodeError::Newer(newer)),
        _ => Err(invalid("version: is 0")),
    }
}

/// A message of orders. All are of one class, accepting process and kind, as the first of them is.
#[must_use]
pub fn encode_orders(orders: &[Order]) -> Vec<u8> {
    let Some(first) = orders.first() else {
        return Vec::new();
    };
    debug_assert!(orders.iter().all(|order| {
        (order.class, order.accepted_by, order.redriven)
            == (first.class, first.accepted_by, first.redriven)
    }));
    encode(&OrdersMessage {
        version: VERSION,
        class: first.class.as_str().into(),
        accepted_by: first.accepted_by.get(),
        redriven: first.redriven,
        columns: ORDER_COLUMNS.map(Cow::from).into(),
        orders: orders
            .iter()
            .map(|order| {
                OrderRow(
                    order.ticket_id.to_string().into(),
                    order.show_id.as_str().into(),
                    order.user_id.as_str().into(),
                    order.quantity.seats(),
                    order.requested_at.as_micros(),
                )
            })
            .collect(),
    })
}

/// What a message of orders says: at least one order.
///
/// # Errors
/// [`DecodeError`].
pub fn decode_orders(payload: &[u8]) -> Result<Vec<Order>, DecodeError> {
    let message: OrdersMessage<'_> = decode(payload)?;
    readable(message.version)?;
    if message.columns != ORDER_COLUMNS {
        return Err(invalid(format_args!("columns: must be {ORDER_COLUMNS:?}")));
    }
    if message.orders.is_empty() {
        return Err(invalid("orders: is empty"));
    }
    let rows = message.orders.into_iter();
    rows.map(
        |OrderRow(ticket_id, show_id, user_id, quantity, requested_at)| {
            Order::try_from(OrderBody {
                ticket_id,
                show_id,
                user_id,
                quantity,
                class: message.class.clone(),
                requested_at,
                accepted_by: message.accepted_by,
                redriven: message.redriven,
            })
        },
    )
    .collect()
}

/// A message of events, in their sequence.
#[must_use]
pub fn encode_events(events: &[Event]) -> Vec<u8> {
    encode(&EventsMessage {
        version: VERSION,
        events: events.iter().map(EventBody::from).collect(),
    })
}

/// What a message of events says.
///
/// # Errors
/// [`DecodeError`].
pub fn decode_events(payload: &[u8]) -> Result<Vec<Event>, DecodeError> {
    let message: EventsMessage<'_> = decode(payload)?;
    readable(message.version)?;
    message.events.into_iter().map(Event::try_from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORDERS: &str = r#"{"version":1,"class":"high","accepted_by":268435455,"redriven":false,"columns":["ticket_id","show_id","user_id","quantity","requested_at"],"orders":[["0199a2b4-7d3e-8001-8a5f-3c0d9e412b77","230920","u~1.-_",2,1795600000123456]]}"#;
    const EVENTS: &str = r#"{"version":1,"events":[{"ticket":{"order":{"ticket_id":"0199a2b4-7d3e-8001-8a5f-3c0d9e412b77","show_id":"230920","user_id":"u~1.-_","quantity":2,"class":"high","requested_at":1795600000123456,"accepted_by":268435455,"redriven":false},"verdict":"reserved","hold_expires_at":1795600600000000,"decided_at":1795600000200000,"decision_seq":7,"status":"reserved","version":1}},{"show":{"show_id":"230920","available":1,"held":2,"sold":3,"seq":9}},{"accepted":{"accepted_by":268435455,"lane":63,"class":"standard","through":1795600000123456,"total":1234}},{"settled":{"accepted_by":268435455,"lane":63,"class":"standard","through":1795600000123456}}]}"#;

    fn order() -> Order {
        Order {
            ticket_id: "0199a2b4-7d3e-8001-8a5f-3c0d9e412b77".parse().unwrap(),
            show_id: ShowId::from(230_920),
            user_id: UserId::new("u~1.-_").unwrap(),
            quantity: Quantity::new(2).unwrap(),
            class: PriorityClass::High,
            requested_at: Timestamp::from_micros(1_795_600_000_123_456).unwrap(),
            accepted_by: ProcessId::new(u32::MAX),
            redriven: false,
            trace: None,
        }
    }

    fn events() -> Vec<Event> {
        let at = |micros| Timestamp::from_micros(micros).unwrap();
        let reserved = Ticket {
            order: order(),
            verdict: Verdict::Reserved {
                hold_expires_at: at(1_795_600_600_000_000),
            },
            decided_at: at(1_795_600_000_200_000),
            decision_seq: Some(7),
            status: Status::Reserved,
            version: 1,
        };
        let seats = ShowSeats {
            show_id: ShowId::from(230_920),
            seats: SeatCounts {
                available: 1,
                held: 2,
                sold: 3,
            },
            seq: 9,
        };
        let accepted = AcceptedOrders {
            accepted_by: ProcessId::new(u32::MAX),
            lane: Lanes::new(MAX_LANES).unwrap().get(63).unwrap(),
            class: PriorityClass::Standard,
            through: at(1_795_600_000_123_456),
            total: 1_234,
        };
        let settled = SettledOrders {
            accepted_by: accepted.accepted_by,
            lane: accepted.lane,
            class: accepted.class,
            through: accepted.through,
        };
        vec![
            Event::Ticket(reserved),
            Event::Show(seats),
            Event::Accepted(accepted),
            Event::Settled(settled),
        ]
    }

    /// A difference here breaks every process of the release before.
    #[test]
    fn what_an_earlier_release_took_is_read() {
        let dot = UserId::stored(".").unwrap();
        let order = Order {
            user_id: dot,
            ..order()
        };
        let encoded = encode_orders(std::slice::from_ref(&order));
        assert_eq!(decode_orders(&encoded).unwrap(), [order]);
    }

    #[test]
    fn golden() {
        let encoded = encode_orders(&[order()]);
        assert_eq!(String::from_utf8(encoded).unwrap(), ORDERS);
        assert_eq!(decode_orders(ORDERS.as_bytes()).unwrap(), [order()]);
        let encoded = encode_events(&events());
        assert_eq!(String::from_utf8(encoded).unwrap(), EVENTS);
        assert_eq!(decode_events(EVENTS.as_bytes()).unwrap(), events());
    }

    #[test]
    fn every_verdict_and_status_survives() {
        let mut all = Vec::new();
        for verdict in RejectionReason::ALL
            .into_iter()
            .map(Verdict::Rejected)
            .chain([Verdict::Confirmed])
        {
            for status in Status::ALL {
                all.push(Event::Ticket(Ticket {
                    order: order(),
                    verdict,
                    decided_at: Timestamp::MAX,
                    decision_seq: None,
                    status,
                    version: u32::MAX,
                }));
            }
        }
        assert_eq!(decode_events(&encode_events(&all)).unwrap(), all);
    }

    #[test]
    fn a_reason_is_short_whatever_the_message_says() {
        let name = "ä".repeat(200_000);
        for unknown in ["redriven", "ticket_id"] {
            let message = ORDERS.replace(unknown, &name);
            let error = decode_orders(message.as_bytes()).unwrap_err();
            assert!(error.to_string().len() < 500, "{unknown}");
        }
    }

    #[test]
    fn newer_and_broken_messages_are_told_apart() {
        let newer = ORDERS.replace(r#""version":1"#, r#""version":2"#);
        assert_eq!(decode_orders(newer.as_bytes()), Err(DecodeError::Newer(2)));
        let other_fields = r#"{"version":3,"shape":"unknown"}"#;
        assert_eq!(
            decode_orders(other_fields.as_bytes()),
            Err(DecodeError::Newer(3))
        );
        for broken in [
            "",
            "\u{0}",
            "{}",
            "[2]",
            r#"[1,"high",1,false,["ticket_id","show_id","user_id","quantity","requested_at"],[["0199a2b4-7d3e-8001-8a5f-3c0d9e412b77","1","1",1,0]]]"#,
            &format!("{}[]}}", ORDERS.split_once("[[").unwrap().0),
            &ORDERS.replace("[[", "[").replace("]]", "]"),
            &ORDERS.replace(r#""user_id","quantity""#, r#""quantity","user_id""#),
            &ORDERS.replace(r#""version":1"#, r#""version":0"#),
            &ORDERS.replace(r#""version":1"#, r#""version":"1""#),
            &ORDERS.replace("redriven", "unknown"),
            &ORDERS.replace(r#""high""#, r#""low""#),
            &ORDERS.replace(",2,", ",0,"),
            &ORDERS.replace("230920", "2 30920"),
            &ORDERS.replace("8001", "4001"),
        ] {
            let decoded = decode_orders(broken.as_bytes());
            assert!(
                matches!(decoded, Err(DecodeError::Invalid(_))),
                "{broken}: {decoded:?}"
            );
        }
    }
}
