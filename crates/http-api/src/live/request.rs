//! What clients say over a WebSocket.

use std::fmt;

use domain::ids::ShowId;
use domain::receipt::TicketId;
use domain::use_cases::LineHint;
use serde_json::{Map, Value};

use super::connection::TicketRequest;
use crate::json::body::{self, Document, Name};
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

impl Request {
    /// Reads a message; every fault of it is found, not only the first.
    pub(crate) fn parse(text: &str) -> Result<Self, Faults> {
        let mut reader = Reader::default();
        let request = reader.request(text);
        match request {
            Some(request) if reader.faults.is_empty() => Ok(request),
            _ => Err(reader.faults),
        }
    }
}

/// Notes faults by their JSON pointers.
#[derive(Default)]
struct Reader {
    faults: Faults,
}

impl Reader {
    fn fault(&mut self, pointer: impl fmt::Display, detail: impl fmt::Display) {
        self.faults
            .note(|| Fault::pointer(&pointer.to_string(), detail));
    }

    fn request(&mut self, text: &str) -> Option<Request> {
        let fields = match serde_json::from_str(text) {
            Ok(Document::Object(fields)) => fields,
            Ok(Document::Other) => {
                self.fault("", "must be a JSON object");
                return None;
            }
            Err(error) => {
                self.fault("", format_args!("is not JSON: {error}"));
                return None;
            }
        };
        let mut kind = None;
        let mut tickets = None;
        let mut shows = None;
        for (Name(name), value) in fields {
            let place = match name.as_ref() {
                "type" => &mut kind,
                "tickets" => &mut tickets,
                "shows" => &mut shows,
                _ => {
                    let pointer = format_args!("/{}", Fault::escaped(&name));
                    self.fault(pointer, "is not a field of this message");
                    continue;
                }
            };
            if place.replace(value).is_some() {
                self.fault(format_args!("/{name}"), "is given more than once");
            }
        }
        if tickets.is_none() && shows.is_none() {
            self.fault("", "must have tickets, shows or both");
        }
        let shows = self.list("/shows", shows, |reader, pointer, value| {
            reader.noted(pointer, body::show_id(&value))
        });
        match kind.as_ref().and_then(Value::as_str) {
            Some("subscribe") => Some(Request::Subscribe {
                tickets: self.list("/tickets", tickets, Self::ticket_request),
                shows,
            }),
            Some("unsubscribe") => Some(Request::Unsubscribe {
                tickets: self.list("/tickets", tickets, |reader, pointer, value| {
                    reader.noted(pointer, ticket_id(&value))
                }),
                shows,
            }),
            _ => {
                self.fault("/type", "must be one of: subscribe, unsubscribe");
                None
            }
        }
    }

    /// The items that are right; the others are noted.
    fn list<T>(
        &mut self,
        pointer: &str,
        list: Option<Value>,
        mut read: impl FnMut(&mut Self, fmt::Arguments<'_>, Value) -> Option<T>,
    ) -> Vec<T> {
        match list {
            None => Vec::new(),
            Some(Value::Array(items)) => items
                .into_iter()
                .enumerate()
                .filter_map(|(index, item)| read(self, format_args!("{pointer}/{index}"), item))
                .collect(),
            Some(_) => {
                self.fault(pointer, "must be an array");
                Vec::new()
            }
        }
    }

    /// An id, or an object that says more than a keyed id tells.
    fn ticket_request(
        &mut self,
        pointer: fmt::Arguments<'_>,
        value: Value,
    ) -> Option<TicketRequest> {
        let Value::Object(mut fields) = value else {
            let id = self.noted(pointer, ticket_id(&value))?;
            return Some(TicketRequest { id, hint: None });
        };
        let id = match fields.remove("ticket_id") {
            Some(id) => self.noted(format_args!("{pointer}/ticket_id"), ticket_id(&id)),
            None => {
                self.fault(format_args!("{pointer}/ticket_id"), "is missing");
                None
            }
        };
        let hint = LineHint {
            show_id: self.field(&mut fields, pointer, "show_id", body::show_id),
            requested_at: self
                .field(&mut fields, pointer, "requested_at", body::instant)
                .flatten(),
            class: self.field(&mut fields, pointer, "priority", body::priority),
        };
        for name in fields.keys() {
            let pointer = format_args!("{pointer}/{}", Fault::escaped(name));
            self.fault(pointer, "is not a field of a ticket");
        }
        let id = id?;
        // A time-ordered id tells all that, and is believed rather.
        let hint = (id.is_keyed() && hint != LineHint::default()).then(|| Box::new(hint));
        Some(TicketRequest { id, hint })
    }

    fn field<T>(
        &mut self,
        fields: &mut Map<String, Value>,
        pointer: fmt::Arguments<'_>,
        name: &str,
        read: impl FnOnce(&Value) -> Result<T, String>,
    ) -> Option<T> {
        let value = fields.remove(name)?;
        self.noted(format_args!("{pointer}/{name}"), read(&value))
    }

    fn noted<T>(&mut self, pointer: impl fmt::Display, read: Result<T, String>) -> Option<T> {
        read.map_err(|what| self.fault(pointer, what)).ok()
    }
}

fn ticket_id(value: &Value) -> Result<TicketId, String> {
    body::text(str::parse)(value)
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
            [r#""/a~1b""#, r#""/shows""#, r#""/type""#]
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
