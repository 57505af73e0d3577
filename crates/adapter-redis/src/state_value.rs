//! A state as a value in Redis: `format:version:` and JSON. Scripts read what is before the JSON,
//! in every format; a value of another one, or none at all, is a miss.

use std::borrow::Cow;
use std::num::NonZeroU32;

use domain::ids::{ShowId, UserId};
use domain::order::{Order, Quantity};
use domain::ports::State;
use domain::receipt::ProcessId;
use domain::show::{
    Capacity, HoldSeconds, SalesWindow, SeatCounts, Show, ShowStanding, Terms, Title,
};
use domain::ticket::{RejectionReason, Status, Ticket, Verdict};
use domain::time::Timestamp;
use domain::user::PriorityClass;
use serde::{Deserialize, Serialize};

/// The format that this build writes, and the only one that it reads. Whoever changes the JSON
/// takes the next number.
const FORMAT: &str = "1";

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
enum StateBody<'a> {
    #[serde(borrow)]
    Ticket(TicketBody<'a>),
    #[serde(borrow)]
    Show(ShowBody<'a>),
}

/// Times are in microseconds since 1970.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct TicketBody<'a> {
    ticket_id: String,
    #[serde(borrow)]
    show_id: Cow<'a, str>,
    #[serde(borrow)]
    user_id: Cow<'a, str>,
    quantity: u32,
    #[serde(borrow)]
    class: Cow<'a, str>,
    requested_at: i64,
    accepted_by: u32,
    redriven: bool,
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
struct ShowBody<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow)]
    title: Cow<'a, str>,
    capacity: u32,
    max_per_user: NonZeroU32,
    hold_seconds: u32,
    sales_open_at: Option<i64>,
    sales_close_at: Option<i64>,
    available: u32,
    held: u32,
    sold: u32,
    seq: u64,
}

const RESERVED: &str = "reserved";
const CONFIRMED: &str = "confirmed";

impl<'a> From<&'a Ticket> for TicketBody<'a> {
    fn from(ticket: &'a Ticket) -> Self {
        let order = &ticket.order;
        let (verdict, hold_expires_at) = match ticket.verdict {
            Verdict::Reserved { hold_expires_at } => (RESERVED, Some(hold_expires_at.as_micros())),
            Verdict::Confirmed => (CONFIRMED, None),
            Verdict::Rejected(reason) => (reason.as_str(), None),
        };
        Self {
            ticket_id: order.ticket_id.to_string(),
            show_id: order.show_id.as_str().into(),
            user_id: order.user_id.as_str().into(),
            quantity: order.quantity.seats(),
            class: order.class.as_str().into(),
            requested_at: order.requested_at.as_micros(),
            accepted_by: order.accepted_by.get(),
            redriven: order.redriven,
            verdict: verdict.into(),
            hold_expires_at,
            decided_at: ticket.decided_at.as_micros(),
            decision_seq: ticket.decision_seq,
            status: ticket.status.as_str().into(),
            version: ticket.version,
        }
    }
}

impl TicketBody<'_> {
    fn read(self) -> Option<Ticket> {
        let verdict = match (&*self.verdict, self.hold_expires_at) {
            (RESERVED, Some(micros)) => Verdict::Reserved {
                hold_expires_at: Timestamp::from_micros(micros).ok()?,
            },
            (CONFIRMED, None) => Verdict::Confirmed,
            (reason, None) => Verdict::Rejected(RejectionReason::parse(reason)?),
            (_, Some(_)) => return None,
        };
        Some(Ticket {
            order: Order {
                ticket_id: self.ticket_id.parse().ok()?,
                show_id: ShowId::stored(&self.show_id).ok()?,
                user_id: UserId::stored(&self.user_id).ok()?,
                quantity: Quantity::new(self.quantity)?,
                class: PriorityClass::parse(&self.class)?,
                requested_at: Timestamp::from_micros(self.requested_at).ok()?,
                accepted_by: ProcessId::new(self.accepted_by),
                redriven: self.redriven,
                trace: None,
            },
            verdict,
            decided_at: Timestamp::from_micros(self.decided_at).ok()?,
            decision_seq: self.decision_seq,
            status: Status::parse(&self.status)?,
            version: self.version,
        })
    }
}

impl<'a> From<&'a ShowStanding> for ShowBody<'a> {
    fn from(standing: &'a ShowStanding) -> Self {
        let ShowStanding { show, seats, seq } = standing;
        let (terms, window) = (&show.terms, &show.terms.window);
        Self {
            id: show.id.as_str().into(),
            title: show.title.as_str().into(),
            capacity: terms.capacity.seats(),
            max_per_user: terms.max_per_user,
            hold_seconds: terms.hold.seconds(),
            sales_open_at: window.open_at().map(Timestamp::as_micros),
            sales_close_at: window.close_at().map(Timestamp::as_micros),
            available: seats.available,
            held: seats.held,
            sold: seats.sold,
            seq: *seq,
        }
    }
}

impl ShowBody<'_> {
    fn read(self) -> Option<ShowStanding> {
        let instant = |micros: Option<i64>| micros.map(Timestamp::from_micros).transpose().ok();
        let (open_at, close_at) = (instant(self.sales_open_at)?, instant(self.sales_close_at)?);
        Some(ShowStanding {
            show: Show {
                id: ShowId::stored(&self.id).ok()?,
                title: Title::new(&self.title).ok()?,
                terms: Terms {
                    capacity: Capacity::new(self.capacity).ok()?,
                    max_per_user: self.max_per_user,
                    hold: HoldSeconds::new(self.hold_seconds).ok()?,
                    window: SalesWindow::new(open_at, close_at).ok()?,
                },
            },
            seats: SeatCounts {
                available: self.available,
                held: self.held,
                sold: self.sold,
            },
            seq: self.seq,
        })
    }
}

#[expect(clippy::expect_used, reason = "strings and numbers always serialize")]
pub(crate) fn encode(state: &State) -> String {
    let body = match state {
        State::Ticket(ticket) => StateBody::Ticket(ticket.into()),
        State::Show(standing) => StateBody::Show(standing.into()),
    };
    let json = serde_json::to_string(&body).expect("JSON of plain data");
    format!("{FORMAT}:{}:{json}", state.version())
}

/// No counter reaches it: a higher number was written by somebody else.
const MAX_SEQ: u64 = i64::MAX.unsigned_abs();

/// `None` for what this build did not write.
pub(crate) fn decode(value: &[u8]) -> Option<State> {
    let rest = std::str::from_utf8(value).ok()?.strip_prefix(FORMAT)?;
    let (version, json) = rest.strip_prefix(':')?.split_once(':')?;
    let (state, seq) = match serde_json::from_str(json).ok()? {
        StateBody::Ticket(ticket) => {
            let seq = ticket.decision_seq.unwrap_or_default();
            (State::Ticket(ticket.read()?), seq)
        }
        StateBody::Show(show) => {
            let seq = show.seq;
            (State::Show(show.read()?), seq)
        }
    };
    // By which it was compared.
    (version.parse() == Ok(state.version()) && seq <= MAX_SEQ).then_some(state)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Processes of other releases share the cache: another form needs another format number.
    #[test]
    fn values_stay_as_they_are_and_others_are_none() {
        const TICKET: &str = r#"1:2:{"ticket":{"ticket_id":"0199a2b4-7d3e-8801-8a5f-3c0d9e412b77","show_id":"7","user_id":"1","quantity":2,"class":"high","requested_at":1,"accepted_by":3,"redriven":false,"verdict":"reserved","hold_expires_at":4,"decided_at":5,"decision_seq":6,"status":"confirmed","version":2}}"#;
        const SHOW: &str = r#"1:9:{"show":{"id":"7","title":"Zoë","capacity":3,"max_per_user":1,"hold_seconds":60,"sales_open_at":1,"sales_close_at":null,"available":1,"held":1,"sold":1,"seq":9}}"#;
        for value in [TICKET, SHOW] {
            let state = decode(value.as_bytes()).unwrap();
            assert_eq!(encode(&state), value);
        }
        let spoilt = [
            (TICKET, "1:2", "2:2"),
            (TICKET, "1:2", "1:3"),
            (TICKET, "1:2:", ""),
            (TICKET, "reserved", "sold_out"),
            (TICKET, "\"quantity\":2", "\"quantity\":0"),
            (TICKET, "seq\":6", "seq\":18446744073709551615"),
            (TICKET, "\"version\":2", "\"version\":2,\"new\":1"),
            (SHOW, "\"max_per_user\":1", "\"max_per_user\":0"),
            (SHOW, "Zoë", ""),
            (SHOW, "}}", "}"),
        ];
        for (value, from, to) in spoilt {
            let other = value.replacen(from, to, 1);
            assert_eq!(decode(other.as_bytes()), None, "{other}");
        }
        let highest = SHOW.replace('9', "18446744073709551615");
        assert_eq!(decode(highest.as_bytes()), None);
        for other in [&b""[..], b"1", b"1:", b"1:1:", b"\xff", b"1:9:{}"] {
            assert_eq!(decode(other), None);
        }
    }
}
