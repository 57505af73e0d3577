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
    use std::sync::LazyLock;

    use jsonschema::Validator;
    use proptest::collection::vec;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    static ORDERS_MESSAGE: LazyLock<Validator> = LazyLock::new(|| definition("orders_message"));
    static EVENTS_MESSAGE: LazyLock<Validator> = LazyLock::new(|| definition("events_message"));

    /// Of the schema for those who read messages with other programs.
    fn definition(name: &str) -> Validator {
        let schema = include_str!("../../../docs/wire.schema.json");
        let schema: Value = serde_json::from_str(schema).unwrap();
        let definitions = &schema["definitions"];
        let one = json!({
            "$schema": schema["$schema"],
            "definitions": definitions,
            "allOf": [{"$ref": format!("#/definitions/{name}")}],
        });
        jsonschema::validator_for(&one).unwrap()
    }

    fn assert_documented(definition: &Validator, message: &[u8]) {
        let message = serde_json::from_slice(message).unwrap();
        let faults: Vec<_> = definition.iter_errors(&message).collect();
        assert!(faults.is_empty(), "{message}: {faults:?}");
    }

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
        assert_documented(&ORDERS_MESSAGE, ORDERS.as_bytes());
        assert_documented(&EVENTS_MESSAGE, EVENTS.as_bytes());
    }

    fn id() -> impl Strategy<Value = String> {
        "[A-Za-z0-9._~-]{1,64}"
    }

    fn class() -> impl Strategy<Value = PriorityClass> {
        prop::sample::select(&PriorityClass::ALL[..])
    }

    fn instant() -> impl Strategy<Value = Timestamp> {
        let micros = Timestamp::MIN.as_micros()..=Timestamp::MAX.as_micros();
        micros.prop_map(|micros| Timestamp::from_micros(micros).unwrap())
    }

    fn lane() -> impl Strategy<Value = Lane> {
        let lanes = Lanes::new(MAX_LANES).unwrap();
        (0..MAX_LANES).prop_map(move |index| lanes.get(index).unwrap())
    }

    fn any_order() -> impl Strategy<Value = Order> {
        let ticket = "[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}";
        let origin = (any::<u32>(), any::<bool>());
        (ticket, id(), id(), 1_u32.., class(), instant(), origin).prop_map(
            |(ticket_id, show_id, user_id, seats, class, requested_at, origin)| Order {
                ticket_id: ticket_id.parse().unwrap(),
                show_id: ShowId::stored(&show_id).unwrap(),
                user_id: UserId::stored(&user_id).unwrap(),
                quantity: Quantity::new(seats).unwrap(),
                class,
                requested_at,
                accepted_by: ProcessId::new(origin.0),
                redriven: origin.1,
                trace: None,
            },
        )
    }

    fn any_verdict() -> impl Strategy<Value = Verdict> {
        prop_oneof![
            instant().prop_map(|hold_expires_at| Verdict::Reserved { hold_expires_at }),
            Just(Verdict::Confirmed),
            prop::sample::select(&RejectionReason::ALL[..]).prop_map(Verdict::Rejected),
        ]
    }

    fn any_count() -> impl Strategy<Value = AcceptedOrders> {
        let count = (any::<u32>(), lane(), class(), instant(), any::<u64>());
        count.prop_map(|(process, lane, class, through, total)| AcceptedOrders {
            accepted_by: ProcessId::new(process),
            lane,
            class,
            through,
            total,
        })
    }

    fn any_event() -> impl Strategy<Value = Event> {
        let status = prop::sample::select(&Status::ALL[..]);
        let seq = prop::option::of(1_u64..);
        let ticket = (any_order(), any_verdict(), instant(), seq, status, 1_u32..);
        let ticket = ticket.prop_map(
            |(order, verdict, decided_at, decision_seq, status, version)| {
                Event::Ticket(Ticket {
                    order,
                    verdict,
                    decided_at,
                    decision_seq,
                    status,
                    version,
                })
            },
        );
        let show = (id(), any::<[u32; 3]>(), 1_u64..);
        let show = show.prop_map(|(show_id, [available, held, sold], seq)| {
            Event::Show(ShowSeats {
                show_id: ShowId::stored(&show_id).unwrap(),
                seats: SeatCounts {
                    available,
                    held,
                    sold,
                },
                seq,
            })
        });
        let settled = |count: AcceptedOrders| SettledOrders {
            accepted_by: count.accepted_by,
            lane: count.lane,
            class: count.class,
            through: count.through,
        };
        prop_oneof![
            ticket,
            show,
            any_count().prop_map(Event::Accepted),
            any_count().prop_map(move |count| Event::Settled(settled(count))),
        ]
    }

    proptest! {
        #[test]
        fn what_is_written_is_as_documented_and_is_read(
            mut orders in vec(any_order(), 1..5),
            events in vec(any_event(), 1..5),
        ) {
            let first = orders[0].clone();
            for order in &mut orders {
                order.class = first.class;
                order.accepted_by = first.accepted_by;
                order.redriven = first.redriven;
            }
            let encoded = encode_orders(&orders);
            assert_documented(&ORDERS_MESSAGE, &encoded);
            prop_assert_eq!(decode_orders(&encoded).unwrap(), orders);
            let encoded = encode_events(&events);
            assert_documented(&EVENTS_MESSAGE, &encoded);
            prop_assert_eq!(decode_events(&encoded).unwrap(), events);
        }
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
            if let Ok(broken) = serde_json::from_str(broken) {
                assert!(!ORDERS_MESSAGE.is_valid(&broken), "{broken} is documented");
            }
        }
    }
}
