//! Tickets as clients hear of them and as the store has them.

use uuid::Uuid;

/// Where a ticket stands, the reason of a rejection included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// No verdict yet.
    Processing,
    /// Seats are held.
    Reserved,
    /// Seats are sold.
    Confirmed,
    /// A hold that ended by itself.
    Expired,
    /// Given back.
    Cancelled,
    /// Rejected: too few seats.
    SoldOut,
    /// Rejected: too many for this user.
    LimitExceeded,
    /// Rejected: accepted outside of the sales window.
    SalesClosed,
    /// Rejected for another reason.
    RejectedOtherwise,
}

impl State {
    /// From the fields of a ticket's JSON; `None` of a status that does not exist.
    #[must_use]
    pub fn read(status: &str, reason: Option<&str>) -> Option<Self> {
        Some(match (status, reason) {
            ("processing", _) => Self::Processing,
            ("reserved", _) => Self::Reserved,
            ("confirmed", _) => Self::Confirmed,
            ("expired", _) => Self::Expired,
            ("cancelled", _) => Self::Cancelled,
            ("rejected", Some("sold_out")) => Self::SoldOut,
            ("rejected", Some("limit_exceeded")) => Self::LimitExceeded,
            ("rejected", Some("sales_closed")) => Self::SalesClosed,
            ("rejected", _) => Self::RejectedOtherwise,
            _ => return None,
        })
    }

    /// Whether seats were refused.
    #[must_use]
    pub const fn is_rejection(self) -> bool {
        matches!(
            self,
            Self::SoldOut | Self::LimitExceeded | Self::SalesClosed | Self::RejectedOtherwise
        )
    }

    /// Whether nothing but a buyer's cancellation changes it any more.
    #[must_use]
    pub const fn is_settled(self) -> bool {
        !matches!(self, Self::Processing | Self::Reserved)
    }

    const fn bit(self) -> u16 {
        1 << self as u16
    }
}

/// States that a client heard of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct States(u16);

impl States {
    /// Adds a state to the set.
    pub const fn add(&mut self, state: State) {
        self.0 |= state.bit();
    }

    /// Whether it was heard of.
    #[must_use]
    pub const fn has(self, state: State) -> bool {
        self.0 & state.bit() != 0
    }

    /// Adds several states to the set.
    pub fn extend(&mut self, states: impl IntoIterator<Item = State>) {
        states.into_iter().for_each(|state| self.add(state));
    }

    /// Those that were heard of.
    pub fn iter(self) -> impl Iterator<Item = State> {
        [
            State::Processing,
            State::Reserved,
            State::Confirmed,
            State::Expired,
            State::Cancelled,
            State::SoldOut,
            State::LimitExceeded,
            State::SalesClosed,
            State::RejectedOtherwise,
        ]
        .into_iter()
        .filter(move |state| self.has(*state))
    }
}

/// A decided ticket, as the store has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredTicket {
    /// The ticket's id.
    pub id: Uuid,
    /// Number of its show in this run.
    pub show: u32,
    /// Number of its user in this run.
    pub user: u32,
    /// The number of seats.
    pub quantity: u32,
    /// The first thing that was said: never [`State::Processing`].
    pub verdict: State,
    /// Where it stands.
    pub state: State,
    /// When it was accepted, in µs since 1970.
    pub requested_at: i64,
    /// When it was decided, in µs since 1970.
    pub decided_at: i64,
    /// Its number in the show's history.
    pub decision_seq: u64,
}

impl StoredTicket {
    /// Whether a client may have heard this of it.
    #[must_use]
    pub fn may_have_been(&self, state: State) -> bool {
        state == State::Processing
            || state == self.verdict
            || state == self.state
            // Held, sold, given back.
            || (state == State::Confirmed
                && self.state == State::Cancelled
                && self.verdict == State::Reserved)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_read_with_their_reason() {
        assert_eq!(State::read("reserved", None), Some(State::Reserved));
        let sold_out = State::read("rejected", Some("sold_out"));
        assert_eq!(sold_out, Some(State::SoldOut));
        let other = State::read("rejected", Some("new"));
        assert_eq!(other, Some(State::RejectedOtherwise));
        assert_eq!(State::read("paid", None), None);
    }

    #[test]
    fn states_are_kept() {
        let mut heard = States::default();
        heard.add(State::Reserved);
        heard.add(State::RejectedOtherwise);
        let kept: Vec<_> = heard.iter().collect();
        assert_eq!(kept, [State::Reserved, State::RejectedOtherwise]);
    }

    #[test]
    fn a_ticket_has_been_what_leads_to_its_state() {
        let ticket = |verdict, state| StoredTicket {
            id: Uuid::nil(),
            show: 0,
            user: 0,
            quantity: 1,
            verdict,
            state,
            requested_at: 0,
            decided_at: 0,
            decision_seq: 1,
        };
        let bought = ticket(State::Reserved, State::Confirmed);
        assert!(bought.may_have_been(State::Reserved) && bought.may_have_been(State::Confirmed));
        assert!(!bought.may_have_been(State::Expired) && !bought.may_have_been(State::SoldOut));
        let returned = ticket(State::Reserved, State::Cancelled);
        assert!(returned.may_have_been(State::Confirmed));
        let lapsed = ticket(State::Reserved, State::Expired);
        assert!(!lapsed.may_have_been(State::Confirmed));
        let rejected = ticket(State::SoldOut, State::SoldOut);
        assert!(!rejected.may_have_been(State::LimitExceeded));
    }
}
