//! Orders of one seat for a closed loop of connections.

use std::ops::Range;
use std::rc::Rc;

use black_box::body::ticket_id;
use black_box::http::{Head, Response};
use black_box::load::{Measured, Requests, drive};
use black_box::names::Names;
use black_box::program::Service;
use uuid::Uuid;

/// Seats of a show: more than any run can sell.
pub(super) const SEATS: u32 = 10_000_000;

/// Of all benchmarks: what they sell is nobody else's.
pub(super) fn names() -> Names {
    Names::of("onsale", "")
}

/// An order that was accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Accepted {
    pub(super) user: u32,
    pub(super) show: u32,
    pub(super) ticket: Uuid,
}

/// Orders of one seat, each by the user that `users` names, for each of the shows in turn.
pub(super) struct Orders<U> {
    users: U,
    shows: Vec<(u32, String)>,
    /// One for each order, by its user; without one left there is no order.
    pub(super) tokens: Option<Box<dyn Iterator<Item = Rc<str>>>>,
    pub(super) sent: u64,
    pub(super) accepted: Vec<Accepted>,
}

impl<U: Iterator<Item = u32>> Orders<U> {
    /// For the first show.
    pub(super) fn new(users: U) -> Self {
        Self::of_shows(users, 0..1)
    }

    pub(super) fn of_shows(users: U, shows: Range<u32>) -> Self {
        let names = names();
        Self {
            users,
            shows: shows.map(|show| (show, names.show(show))).collect(),
            tokens: None,
            sent: 0,
            accepted: Vec::new(),
        }
    }
}

/// So many users, the first of whom are the first again after the last.
pub(super) fn users(users: u32, orders: u64) -> impl Iterator<Item = u32> {
    (0..orders).zip((0..users).cycle()).map(|(_, user)| user)
}

/// Places all of these over so many connections at once.
///
/// # Errors
/// When one of them is not accepted.
pub(super) async fn place(
    service: &Service,
    connections: usize,
    mut orders: Orders<impl Iterator<Item = u32>>,
) -> anyhow::Result<(Measured, Vec<Accepted>)> {
    let measured = drive(service.address(), connections, None, &mut orders).await?;
    measured.expect_only(202)?;
    Ok((measured, orders.accepted))
}

impl<U: Iterator<Item = u32>> Requests for Orders<U> {
    /// User and show.
    type Mark = (u32, u32);

    fn next(&mut self, request: &mut Vec<u8>) -> Option<(u32, u32)> {
        let token = match &mut self.tokens {
            Some(tokens) => Some(tokens.next()?),
            None => None,
        };
        let user = self.users.next()?;
        let turn = usize::try_from(self.sent).ok()?;
        let (number, show) = self.shows.get(turn % self.shows.len().max(1))?;
        self.sent += 1;
        let body = format!(r#"{{"show_id":"{show}","user_id":"{user}"}}"#);
        let head = Head {
            bearer: token.as_deref(),
            ..Head::new("POST", "/tickets")
        };
        head.write(request, &body);
        Some((user, *number))
    }

    fn answered(&mut self, (user, show): (u32, u32), response: Response<'_>) {
        if response.status != 202 {
            return;
        }
        // An answer without an id counts as none: the proof misses it then.
        let accepted = ticket_id(response.body).map(|ticket| Accepted { user, show, ticket });
        self.accepted.extend(accepted);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bodies(mut orders: Orders<impl Iterator<Item = u32>>) -> Vec<String> {
        let mut bodies = Vec::new();
        let mut request = Vec::new();
        while orders.next(&mut request).is_some() {
            let text = String::from_utf8(std::mem::take(&mut request)).unwrap();
            bodies.push(text.split("\r\n\r\n").nth(1).unwrap().to_owned());
        }
        bodies
    }

    #[test]
    fn users_and_shows_take_turns() {
        assert_eq!(
            bodies(Orders::of_shows(users(2, 3), 4..6)),
            [
                r#"{"show_id":"onsale-s4","user_id":"0"}"#,
                r#"{"show_id":"onsale-s5","user_id":"1"}"#,
                r#"{"show_id":"onsale-s4","user_id":"0"}"#
            ]
        );
    }

    #[test]
    fn orders_end_with_their_tokens_and_the_next_user_is_the_next() {
        let mut orders = Orders::new(users(9, 9));
        let mut sent = |tokens: &[&str]| {
            let tokens: Vec<Rc<str>> = tokens.iter().map(|token| Rc::from(*token)).collect();
            orders.tokens = Some(Box::new(tokens.into_iter()));
            let mut requests = Vec::new();
            let mut marks = Vec::new();
            while let Some((user, _)) = orders.next(&mut requests) {
                marks.push(user);
            }
            (String::from_utf8(requests).unwrap(), marks)
        };
        let (requests, users) = sent(&["one", "two"]);
        assert!(requests.contains("Bearer one\r") && requests.contains("Bearer two\r"));
        assert_eq!(users, [0, 1]);
        assert_eq!(sent(&["three"]).1, [2]);
    }

    #[test]
    fn an_accepted_order_is_known_by_its_mark() {
        let mut orders = Orders::of_shows(7..8, 3..4);
        let mark = orders.next(&mut Vec::new()).unwrap();
        let ticket = Uuid::from_u128(9);
        let body = format!(r#"{{"ticket_id":"{ticket}"}}"#);
        let response = |status| Response {
            status,
            body: body.as_bytes(),
        };
        orders.answered(mark, response(202));
        orders.answered(mark, response(409));
        let accepted = Accepted {
            user: 7,
            show: 3,
            ticket,
        };
        assert_eq!(orders.accepted, [accepted]);
    }
}
