//! Tickets by which browsers listen: they cannot send `Authorization` with the handshake of a
//! WebSocket or an `EventSource`, and a token does not belong into a URL, which ends up in logs.
//!
//! A ticket holds the principal that asked for it, and the end of that one's token, signed. So any
//! process takes it, and each process takes it once. Only the newest secret counts: others are kept
//! for ids, and may be known to somebody.

use std::collections::BTreeSet;
use std::sync::Arc;

use actix_web::web;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::ids::UserId;
use domain::ports::Clock;
use domain::principal::Principal;
use domain::time::Timestamp;
use parking_lot::Mutex;

use crate::problem::{ApiError, Unproved};

/// How long a ticket is valid, in seconds.
const LIFETIME_SECONDS: u32 = 30;
const TAG: usize = 32;
const NONCE: usize = 16;
/// Flags, the end of the lifetime, the end of the token, and the nonce.
const FIXED: usize = 1 + 8 + 8 + NONCE;
/// For a token without an end.
const NO_END: i64 = i64::MAX;
const AGENT: u8 = 1;
const OPERATOR: u8 = 2;

/// Says which ticket it is: its end, and its nonce.
type Place = (i64, [u8; NONCE]);

/// A ticket that is right and in its time.
struct Opened {
    principal: Principal,
    place: Place,
}

/// Issues tickets and takes them.
pub(crate) struct LiveTickets {
    key: [u8; 32],
    clock: Arc<dyn Clock>,
    /// Those that were taken and are not over.
    taken: Mutex<BTreeSet<Place>>,
}

impl LiveTickets {
    pub(crate) fn new(secret: &str, clock: Arc<dyn Clock>) -> Self {
        Self {
            key: blake3::derive_key("tickets 2026 live ticket v2", secret.as_bytes()),
            clock,
            taken: Mutex::default(),
        }
    }

    /// A ticket for this caller, and when it ends.
    pub(crate) fn issue(&self, principal: &Principal) -> (String, Timestamp) {
        let ends = self.clock.now().plus_seconds(LIFETIME_SECONDS);
        let user = principal.user.as_ref().map_or("", UserId::as_str);
        let mut ticket = Vec::with_capacity(FIXED + user.len() + TAG);
        let agent = if principal.agent { AGENT } else { 0 };
        let operator = if principal.operator { OPERATOR } else { 0 };
        ticket.push(agent | operator);
        ticket.extend(ends.as_micros().to_be_bytes());
        let until = principal.until.map_or(NO_END, Timestamp::as_micros);
        ticket.extend(until.to_be_bytes());
        ticket.extend(rand::random::<[u8; NONCE]>());
        ticket.extend(user.as_bytes());
        let tag = blake3::keyed_hash(&self.key, &ticket);
        ticket.extend(tag.as_bytes());
        (URL_SAFE_NO_PAD.encode(ticket), ends)
    }

    /// The ticket of a query, if there is one.
    pub(crate) fn given(query: &str) -> Option<String> {
        let pairs = web::Query::<Vec<(String, String)>>::from_query(query).ok()?;
        let mut pairs = pairs.into_inner().into_iter();
        pairs.find_map(|(name, value)| (name == "ticket").then_some(value))
    }

    /// The caller to whom the ticket was given, which stays good until it is taken.
    pub(crate) fn check(&self, ticket: &str) -> Result<Arc<Principal>, ApiError> {
        let opened = self.open(ticket)?;
        if self.taken.lock().contains(&opened.place) {
            return Err(Unproved::LiveTicket.into());
        }
        Ok(Arc::new(opened.principal))
    }

    /// Takes the ticket: of several calls one succeeds.
    pub(crate) fn take(&self, ticket: &str) -> Result<(), ApiError> {
        let mut taken = self.taken.lock();
        // Reads the clock after whoever has forgotten tickets that are over.
        let opened = self.open(ticket)?;
        let now = self.clock.now().as_micros();
        while taken.first().is_some_and(|(ends, _)| *ends <= now) {
            taken.pop_first();
        }
        if taken.insert(opened.place) {
            Ok(())
        } else {
            Err(Unproved::LiveTicket.into())
        }
    }

    fn open(&self, ticket: &str) -> Result<Opened, ApiError> {
        let forged = || ApiError::from(Unproved::LiveTicket);
        let ticket = URL_SAFE_NO_PAD.decode(ticket).map_err(|_| forged())?;
        let (said, tag) = ticket.split_last_chunk::<TAG>().ok_or_else(forged)?;
        if blake3::keyed_hash(&self.key, said) != blake3::Hash::from_bytes(*tag) {
            return Err(forged());
        }
        let (&[flags], rest) = said.split_first_chunk().ok_or_else(forged)?;
        let (ends, rest) = rest.split_first_chunk().ok_or_else(forged)?;
        let (until, rest) = rest.split_first_chunk().ok_or_else(forged)?;
        let (nonce, user) = rest.split_first_chunk::<NONCE>().ok_or_else(forged)?;
        let [ends, until] = [ends, until].map(|instant| i64::from_be_bytes(*instant));
        let user = std::str::from_utf8(user).map_err(|_| forged())?;
        let user = match user {
            "" => None,
            user => Some(UserId::new(user).map_err(|_| forged())?),
        };
        let now = self.clock.now();
        let latest = now.plus_seconds(2 * LIFETIME_SECONDS).as_micros();
        let now = now.as_micros();
        // Of a process whose clock is ahead, but none that was made for years.
        if ends <= now || ends > latest || until <= now {
            return Err(forged());
        }
        let until = (until != NO_END).then(|| Timestamp::from_micros(until));
        let principal = Principal {
            user,
            agent: flags & AGENT != 0,
            operator: flags & OPERATOR != 0,
            known_as: "a token without a user",
            enrols_as: None,
            until: until.transpose().map_err(|_| forged())?,
        };
        let place = (ends, *nonce);
        Ok(Opened { principal, place })
    }
}

#[cfg(test)]
mod tests {
    use port_contracts::ManualClock;

    use super::*;

    fn at(seconds: u32) -> Timestamp {
        let start = Timestamp::from_micros(1_700_000_000_000_000).unwrap();
        start.plus_seconds(seconds)
    }

    #[test]
    fn a_ticket_is_taken_once_and_in_its_time() {
        let clock = Arc::new(ManualClock::new(at(0)));
        let tickets = LiveTickets::new("a secret of the tests", clock.clone());
        let buyer = Principal::buyer(UserId::from(7));
        let (ticket, ends) = tickets.issue(&buyer);
        assert_eq!(ends, at(LIFETIME_SECONDS));
        // Looking does not take it.
        for _ in 0..2 {
            assert_eq!(tickets.check(&ticket).unwrap().user, buyer.user);
        }
        tickets.take(&ticket).unwrap();
        assert!(tickets.take(&ticket).is_err());
        assert!(tickets.check(&ticket).is_err());
        let (late, _) = tickets.issue(&buyer);
        clock.set(ends);
        assert!(tickets.check(&late).is_err());
        assert!(tickets.take(&late).is_err());
    }

    #[test]
    fn of_those_who_come_at_once_one_takes_the_ticket() {
        let clock = Arc::new(ManualClock::new(at(0)));
        let tickets = LiveTickets::new("a secret of the tests", clock);
        let (ticket, _) = tickets.issue(&Principal::agent());
        let taken = std::thread::scope(|scope| {
            let takers = [(); 8].map(|()| scope.spawn(|| tickets.take(&ticket).is_ok()));
            takers.map(|taker| taker.join().unwrap())
        });
        assert_eq!(taken.iter().filter(|taken| **taken).count(), 1);
    }

    #[test]
    fn a_ticket_ends_with_the_token_that_asked_for_it() {
        let clock = Arc::new(ManualClock::new(at(0)));
        let tickets = LiveTickets::new("a secret of the tests", clock.clone());
        let until = Some(at(LIFETIME_SECONDS - 1));
        let buyer = Principal {
            until,
            ..Principal::buyer(UserId::from(7))
        };
        let (ticket, _) = tickets.issue(&buyer);
        assert_eq!(tickets.check(&ticket).unwrap().until, until);
        clock.set(at(LIFETIME_SECONDS - 1));
        assert!(tickets.check(&ticket).is_err());
        assert!(tickets.take(&ticket).is_err());
    }

    /// Whoever learns the secret cannot make one for years.
    #[test]
    fn a_ticket_of_the_far_future_is_not_taken() {
        let clock = Arc::new(ManualClock::new(at(3_600)));
        let tickets = LiveTickets::new("a secret of the tests", clock.clone());
        let (ticket, _) = tickets.issue(&Principal::agent());
        clock.set(at(0));
        assert!(tickets.check(&ticket).is_err());
    }
}
