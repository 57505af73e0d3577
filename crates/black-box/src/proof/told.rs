//! What the client of each order was told.

use uuid::Uuid;

use super::ticket::States;

/// An instant that never came.
pub const NEVER: u64 = u64::MAX;

/// What the client of one order knows. Instants are µs from the start of the sale.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Told {
    /// When it was first sent.
    pub sent: u64,
    /// When an answer said what became of it, for the first time.
    pub answered: u64,
    /// When its verdict was heard.
    pub heard: u64,
    /// The id that an answer named.
    pub ticket: Option<Uuid>,
    /// What the latest answer that counts said.
    pub answer: Answer,
    /// States that were heard of.
    pub states: States,
    /// What came of confirming or cancelling it.
    pub change: ChangeAnswer,
    /// Times that it was sent.
    pub sends: u8,
    /// Whether a sending ended without a word about what became of it.
    pub uncertain: bool,
    /// Whether a WebSocket connection has subscribed to it.
    pub subscribed: bool,
    /// States that a subscription told.
    pub notified: States,
}

impl Default for Told {
    fn default() -> Self {
        Self {
            sent: NEVER,
            answered: NEVER,
            heard: NEVER,
            ticket: None,
            answer: Answer::Unsent,
            states: States::default(),
            change: ChangeAnswer::NotAsked,
            sends: 0,
            uncertain: false,
            subscribed: false,
            notified: States::default(),
        }
    }
}

/// What placing an order came to, as far as its client knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Answer {
    /// It was never sent.
    Unsent,
    /// No answer, on any of its sendings.
    Unanswered,
    /// Refused, so that it does not exist: `503`, or anything unexpected.
    Refused,
    /// Refused by the sold-out gate.
    SoldOutByGate,
    /// It may be queued: `503 outcome_unknown`.
    OutcomeUnknown,
    /// It is queued or decided: `202` or `200`.
    Accepted,
}

/// What confirming or cancelling a ticket came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeAnswer {
    /// The buyer did not ask for it.
    NotAsked,
    /// No answer that says what happened.
    Unknown,
    /// `200`
    Done,
    /// `409 hold_expired`
    HoldExpired,
    /// Refused for another reason.
    Refused,
}
