//! What the service says of a ticket, in JSON.

use serde::Deserialize;
use uuid::Uuid;

use crate::names::Names;
use crate::proof::ticket::{State, StoredTicket};

/// A ticket: the body of an answer, or a part of a message.
#[derive(Debug, Deserialize)]
pub struct TicketAnswer<'a> {
    /// The ticket's id.
    pub ticket_id: Uuid,
    show_id: Option<String>,
    user_id: Option<String>,
    quantity: Option<u32>,
    status: &'a str,
    reason: Option<&'a str>,
    requested_at: Option<&'a str>,
    decided_at: Option<&'a str>,
    decision_seq: Option<u64>,
    /// Rises with every change.
    pub ticket_version: Option<u64>,
}

impl<'a> TicketAnswer<'a> {
    /// `None` of anything else.
    #[must_use]
    pub fn read(body: &'a [u8]) -> Option<Self> {
        serde_json::from_slice(body).ok()
    }

    /// Where it stands; `None` of a status that does not exist.
    #[must_use]
    pub fn state(&self) -> Option<State> {
        State::read(self.status, self.reason)
    }

    /// When it was decided, in µs since 1970; `None` of one that is not.
    #[must_use]
    pub fn decided_at(&self) -> Option<i64> {
        micros(self.decided_at?)
    }

    /// `None` of one that is not decided, or of another show. The verdict is not
    /// told, but follows: all shows of a run either hold seats or sell them.
    #[must_use]
    pub fn stored(&self, names: &Names, has_holds: bool) -> Option<StoredTicket> {
        let state = self.state()?;
        let verdict = match state {
            State::Processing => return None,
            state if state.is_rejection() => state,
            _ if has_holds => State::Reserved,
            _ => State::Confirmed,
        };
        Some(StoredTicket {
            id: self.ticket_id,
            show: names.show_number(self.show_id.as_deref()?)?,
            user: names.user_number(self.user_id.as_deref()?)?,
            quantity: self.quantity?,
            verdict,
            state,
            requested_at: micros(self.requested_at?)?,
            decided_at: self.decided_at()?,
            decision_seq: self.decision_seq?,
        })
    }
}

/// RFC 3339 as µs since 1970.
fn micros(text: &str) -> Option<i64> {
    let instant: jiff::Timestamp = text.parse().ok()?;
    Some(instant.as_microsecond())
}

/// The `ticket_id` of an order's answer. It is its first field, so that nothing else
/// has to be read.
#[must_use]
pub fn ticket_id(body: &[u8]) -> Option<Uuid> {
    const PREFIX: &[u8] = br#"{"ticket_id":""#;
    let fast = body
        .strip_prefix(PREFIX)
        .and_then(|rest| Uuid::try_parse_ascii(rest.get(..36)?).ok());
    fast.or_else(|| TicketAnswer::read(body).map(|ticket| ticket.ticket_id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_of_an_answer_is_found() {
        let body = br#"{"ticket_id":"0199a2b4-7d3e-8001-8a5f-3c0d9e412b77","show_id":"x"}"#;
        let id = "0199a2b4-7d3e-8001-8a5f-3c0d9e412b77";
        assert_eq!(ticket_id(body), id.parse().ok());
        let later = format!(r#"{{"status":"processing","ticket_id":"{id}"}}"#);
        assert_eq!(ticket_id(later.as_bytes()), id.parse().ok());
        assert_eq!(ticket_id(b"{}"), None);
    }

    #[test]
    fn a_ticket_is_read_with_its_verdict() {
        let names = Names::new(None);
        let (show, user) = (names.show(3), names.user(4));
        let ticket = |status: &str, more: &str, has_holds: bool| {
            let body = format!(
                r#"{{"ticket_id":"0199a2b4-7d3e-8001-8a5f-3c0d9e412b77","show_id":"{show}",
                "user_id":"{user}","quantity":2,"status":"{status}",
                "requested_at":"2026-01-02T03:04:05.000001Z",
                "decided_at":"2026-01-02T03:04:05.500000Z","decision_seq":9{more}}}"#
            );
            let body = TicketAnswer::read(body.as_bytes()).unwrap();
            body.stored(&names, has_holds)
        };
        let sold = ticket("confirmed", "", false).unwrap();
        assert_eq!((sold.show, sold.user, sold.quantity), (3, 4, 2));
        assert_eq!(
            (sold.verdict, sold.state),
            (State::Confirmed, State::Confirmed)
        );
        assert_eq!(sold.decided_at - sold.requested_at, 499_999);
        let bought = ticket("confirmed", "", true).unwrap();
        assert_eq!(
            (bought.verdict, bought.state),
            (State::Reserved, State::Confirmed)
        );
        let lapsed = ticket("expired", "", true).unwrap();
        assert_eq!(
            (lapsed.verdict, lapsed.state),
            (State::Reserved, State::Expired)
        );
        let rejected = ticket("rejected", r#","reason":"sold_out""#, true).unwrap();
        assert_eq!(rejected.verdict, State::SoldOut);
        assert_eq!(ticket("processing", "", true), None);
    }
}
