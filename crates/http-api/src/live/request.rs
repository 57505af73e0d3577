//! What clients say over a WebSocket.

use domain::ids::ShowId;
use domain::receipt::TicketId;
use domain::use_cases::LineHint;
use fields::{Fields, Given, Value, all, word};

use super::ticket_request::TicketRequest;
use crate::json::hint::hint;
use crate::json::read_object;
use crate::json::values::{show_id, ticket_id};
use crate::problem::{Fault, Faults};

/// A client's message.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Request {
    /// Tell me of these from now on.
    Subscribe {
        tickets: Vec<TicketRequest>,
        shows: Vec<ShowId>,
    },
    /// Tell me no more of these.
    Unsubscribe {
        tickets: Vec<TicketId>,
        shows: Vec<ShowId>,
    },
}

#[derive(Clone, Copy)]
enum Kind {
    Subscribe,
    Unsubscribe,
}

impl Request {
    /// Reads a message; every fault of it is found, not only the first.
    pub(crate) fn parse(text: &str) -> Result<Self, Faults> {
        let message = serde_json::from_str(text)
            .map_err(|error| Fault::pointer("", format_args!("is not JSON: {error}")))?;
        read_object(message, Self::read)
    }

    fn read(fields: &mut Fields<'_, '_>) -> Option<Self> {
        let kinds = word([
            ("subscribe", Kind::Subscribe),
            ("unsubscribe", Kind::Unsubscribe),
        ]);
        let kind = fields.required("type", kinds);
        if !fields.has("tickets") && !fields.has("shows") {
            fields.fault_of_all("must have tickets, shows or both");
        }
        let shows = fields.items("shows", |show| show.read(show_id));
        match kind {
            None => {
                // What each of them should be depends on it.
                fields.items("tickets", |_| Some(()));
                None
            }
            Some(Kind::Subscribe) => all!(Self::Subscribe {
                tickets: fields.items("tickets", ticket_request),
                shows: shows,
            }),
            Some(Kind::Unsubscribe) => all!(Self::Unsubscribe {
                tickets: fields.items("tickets", |ticket| ticket.read(ticket_id)),
                shows: shows,
            }),
        }
    }
}

/// An id, or an object that says more than a keyed id tells.
fn ticket_request(ticket: Given<'_, '_>) -> Option<TicketRequest> {
    let Value::Table(_) = ticket.value() else {
        let id = ticket.read(ticket_id)?;
        return Some(TicketRequest { id, hint: None });
    };
    ticket.fields(|fields| {
        let id = fields.required("ticket_id", ticket_id);
        let (id, hint) = id.zip(hint(fields))?;
        // A time-ordered id tells all that, and is believed rather.
        let hint = (id.is_keyed() && hint != LineHint::default()).then(|| Box::new(hint));
        Some(TicketRequest { id, hint })
    })
}

#[cfg(test)]
mod tests {
    use domain::user::PriorityClass;

    use super::*;

    const KEYED: &str = "0199a2b4-7d3e-8801-8a5f-3c0d9e412b77";
    const TIMED: &str = "0199a2b4-7d3e-8001-8a5f-3c0d9e412b77";

    fn faults(text: &str) -> Vec<Fault> {
        Request::parse(text).unwrap_err().told().to_vec()
    }

    #[test]
    fn ids_and_what_is_said_of_them_are_read() {
        let text = format!(
            r#"{{"type": "subscribe", "shows": ["a", 7], "tickets": ["{TIMED}",
                {{"ticket_id": "{KEYED}", "show_id": 1, "priority": "high"}},
                {{"ticket_id": "{TIMED}", "show_id": 1}}]}}"#
        );
        let hint = LineHint {
            show_id: Some(ShowId::from(1)),
            requested_at: None,
            class: Some(PriorityClass::High),
        };
        let ticket = |id: &str, hint| TicketRequest {
            id: id.parse().unwrap(),
            hint,
        };
        let expected = Request::Subscribe {
            tickets: vec![
                ticket(TIMED, None),
                ticket(KEYED, Some(Box::new(hint))),
                ticket(TIMED, None),
            ],
            shows: vec![ShowId::new("a").unwrap(), ShowId::from(7)],
        };
        assert_eq!(Request::parse(&text).unwrap(), expected);
        let text = format!(r#"{{"type": "unsubscribe", "tickets": ["{TIMED}"]}}"#);
        let expected = Request::Unsubscribe {
            tickets: vec![TIMED.parse().unwrap()],
            shows: Vec::new(),
        };
        assert_eq!(Request::parse(&text).unwrap(), expected);
    }

    #[test]
    fn every_fault_is_named_by_its_pointer() {
        let found =
            faults(r#"{"type": "hear", "tickets": 1, "shows": ["", true], "a/b": 1, "shows": []}"#);
        let pointers = |faults: &[Fault]| -> Vec<String> {
            let told = |fault| serde_json::to_value(fault).unwrap()["pointer"].to_string();
            faults.iter().map(told).collect()
        };
        assert_eq!(
            pointers(&found),
            ["/type", "/shows", "/tickets", "/a~1b"].map(|p| format!("{p:?}"))
        );
        let found = faults(
            r#"{"type": "subscribe", "tickets": ["7", {"priority": "vip", "show": 1}, []],
                "shows": [1, null]}"#,
        );
        let expected = [
            "/shows/1",
            "/tickets/0",
            "/tickets/1/ticket_id",
            "/tickets/1/priority",
            "/tickets/1/show",
            "/tickets/2",
        ];
        assert_eq!(pointers(&found), expected.map(|p| format!("{p:?}")));
        for text in ["", "[]", "1", "{", r#"{"type": "subscribe"}"#] {
            assert_eq!(pointers(&faults(text))[0], r#""""#, "{text}");
        }
    }
}
