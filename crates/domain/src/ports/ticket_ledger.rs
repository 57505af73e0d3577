//! The only authority on seats.

use async_trait::async_trait;

use super::Cause;
use crate::author::Author;
use crate::claims::Claim;
use crate::ids::{ShowId, UserId};
use crate::journal::HistoryEntry;
use crate::order::Order;
use crate::receipt::TicketId;
use crate::rule::{
    BatchOutcome, CorruptCounters, Decision, TermsRefused, TicketsOutcome, TransitionOutcome,
    TransitionRequest,
};
use crate::show::{ShowChange, ShowSeats, ShowStanding};
use crate::ticket::Ticket;
use crate::time::Timestamp;

/// Why the ledger did not do as asked.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// It would fail again: some row of the request breaks a constraint of the
    /// store. Nothing was changed. Ask again with fewer orders to single it out.
    #[error("the ledger cannot take this")]
    Unprocessable(#[source] Cause),
    /// The orders were to be decided under a claim that another one followed: somebody
    /// else decides the lane. Nothing was changed.
    #[error("another worker has claimed the lane")]
    ClaimLost,
    /// The store did not answer, or a lock was not to be had: the outcome is
    /// unknown, and asking again is safe.
    #[error("the ledger is unavailable")]
    Unavailable(#[source] Cause),
}

impl From<CorruptCounters> for LedgerError {
    fn from(corrupt: CorruptCounters) -> Self {
        Self::Unprocessable(Box::new(corrupt))
    }
}

/// Why a show was not changed.
#[derive(Debug, thiserror::Error)]
pub enum ChangeShowError {
    /// There is no such show.
    #[error("the show does not exist")]
    NotFound,
    /// The rule refuses the change; nothing changed.
    #[error(transparent)]
    Refused(#[from] TermsRefused),
    /// The store did not answer; asking again is safe.
    #[error("the ledger is unavailable")]
    Unavailable(#[source] Cause),
}

/// What deciding a batch did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DecideReport {
    /// One per order, in the same sequence.
    pub decisions: Vec<Decision>,
    /// Tickets that expired on the way.
    pub released: Vec<Ticket>,
    /// The shows of the batch, as they are now.
    pub shows: Vec<ShowSeats>,
}

impl From<BatchOutcome> for DecideReport {
    /// The answer and the events of a saved batch.
    fn from(outcome: BatchOutcome) -> Self {
        let shows = outcome.shows.iter();
        let released = outcome.released.into_iter();
        Self {
            shows: shows.map(|show| show.ledger.announcement()).collect(),
            decisions: outcome.decisions,
            released: released.map(|change| change.after).collect(),
        }
    }
}

/// What a batch of requests, or a sweep, did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TransitionReport {
    /// One per request, in the same sequence. A sweep reports what expired.
    pub outcomes: Vec<TransitionOutcome>,
    /// The shows that changed, as they are now.
    pub shows: Vec<ShowSeats>,
}

impl From<TicketsOutcome> for TransitionReport {
    /// The answer and the events of a saved change.
    fn from(outcome: TicketsOutcome) -> Self {
        let changed = outcome.shows.iter().filter(|show| show.is_changed);
        Self {
            shows: changed.map(|show| show.ledger.announcement()).collect(),
            outcomes: outcome.outcomes,
        }
    }
}

/// A piece of a user's tickets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TicketPage {
    /// The largest number of tickets of the page.
    pub limit: usize,
    /// Only what sorts after this ticket: its `requested_at` and id.
    pub after: Option<(Timestamp, TicketId)>,
}

/// Keeps shows' counters, decided tickets and the journal.
///
/// Every method that changes a show holds its lock from before it reads the
/// counters or the clock until its changes are committed, all of them or none.
/// A caller that needs several locks takes shows by id, then tickets.
/// [`crate::rule`] says what changes; an implementation only loads, calls and saves.
///
/// ```
/// use domain::ports::{LedgerError, TicketLedger};
/// use domain::receipt::TicketId;
///
/// async fn is_decided(ledger: &dyn TicketLedger, id: TicketId) -> Result<bool, LedgerError> {
///     Ok(!ledger.find(&[id]).await?.is_empty())
/// }
/// ```
#[async_trait]
pub trait TicketLedger: Send + Sync {
    /// Decides orders in the given sequence, see [`crate::rule::decide_batch`].
    /// An id that has a verdict keeps it, so deciding a batch again changes nothing.
    ///
    /// Under a `claim`: once a later claim of the lane has decided something of a show, this
    /// one changes nothing of that show any more. Without one nothing is checked.
    ///
    /// # Errors
    /// [`LedgerError`].
    async fn decide(
        &self,
        orders: &[Order],
        claim: Option<Claim>,
    ) -> Result<DecideReport, LedgerError>;

    /// Confirms and cancels tickets, each with an outcome of its own; several
    /// requests for one ticket count in the given sequence. Concurrent calls
    /// for one show share a transaction.
    ///
    /// # Errors
    /// [`LedgerError`]; asking again is safe, because repeating a request is a no-op.
    async fn transition(
        &self,
        requests: &[TransitionRequest],
    ) -> Result<TransitionReport, LedgerError>;

    /// Expires up to `limit` tickets whose hold is over, the longest first.
    ///
    /// # Errors
    /// [`LedgerError`].
    async fn expire_due(&self, limit: usize) -> Result<TransitionReport, LedgerError>;

    /// Changes a show's title and terms and returns it as it is now. A change of terms is
    /// journaled, with that author.
    ///
    /// # Errors
    /// [`ChangeShowError`].
    async fn change_show(
        &self,
        id: &ShowId,
        change: &ShowChange,
        by: Option<&Author>,
    ) -> Result<ShowStanding, ChangeShowError>;

    /// The decided tickets among `ids`, in any sequence. Does not wait for a show's lock.
    ///
    /// # Errors
    /// [`LedgerError`].
    async fn find(&self, ids: &[TicketId]) -> Result<Vec<Ticket>, LedgerError>;

    /// A user's decided tickets, newest first by `requested_at`, then by id.
    /// Does not wait for a show's lock.
    ///
    /// # Errors
    /// [`LedgerError`].
    async fn list_by_user(
        &self,
        user: &UserId,
        page: TicketPage,
    ) -> Result<Vec<Ticket>, LedgerError>;

    /// Up to `limit` steps of a show's history with a number greater than
    /// `after_seq`, in sequence. Empty for an unknown show.
    ///
    /// # Errors
    /// [`LedgerError`].
    async fn history(
        &self,
        show: &ShowId,
        after_seq: u64,
        limit: usize,
    ) -> Result<Vec<HistoryEntry>, LedgerError>;
}
