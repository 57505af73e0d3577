//! Who decides which lane.

use async_trait::async_trait;

use super::Cause;
use crate::claims::{Claim, Presence, Roster};
use crate::order::Lane;
use crate::receipt::ProcessId;

/// The claims' store did not answer: the outcome is unknown, and asking again is safe.
#[derive(Debug, thiserror::Error)]
pub enum LaneClaimsError {
    /// It did not answer.
    #[error("the claims' store is unavailable")]
    Unavailable(#[source] Cause),
}

/// Keeps the claims of all workers beside the ledger, so that
/// [`super::TicketLedger::decide`] can check one in its own transaction.
/// [`crate::claims`] says who should take what.
///
/// ```
/// use domain::claims::Claim;
/// use domain::ports::{LaneClaims, LaneClaimsError};
///
/// async fn hand_over(claims: &dyn LaneClaims, held: Vec<Claim>) -> Result<(), LaneClaimsError> {
///     for claim in held {
///         claims.give_back(claim).await?;
///     }
///     Ok(())
/// }
/// ```
#[async_trait]
pub trait LaneClaims: Send + Sync {
    /// Keeps what the worker says of itself, with a beat one higher than its last, and
    /// returns what all workers said last and all claims, read after that.
    ///
    /// A store that cannot be written, or whose clock is off, fails this: a worker that
    /// could not decide does not take part.
    ///
    /// # Errors
    /// [`LaneClaimsError`].
    async fn beat(&self, presence: &Presence) -> Result<Roster, LaneClaimsError>;

    /// Gives the lane to the worker under the next number, if its number still is `seen`.
    /// Of concurrent calls with one `seen` at most one succeeds; `None` for the others.
    ///
    /// # Errors
    /// [`LaneClaimsError`]; the lane may have been taken then: the next roster tells.
    async fn take(
        &self,
        worker: ProcessId,
        lane: Lane,
        seen: u64,
    ) -> Result<Option<Claim>, LaneClaimsError>;

    /// Ends a claim, so that the lane is free, unless another one followed it. The
    /// number stays: the next claim is higher.
    ///
    /// # Errors
    /// [`LaneClaimsError`].
    async fn give_back(&self, claim: Claim) -> Result<(), LaneClaimsError>;

    /// Forgets a worker that is gone, and frees its lanes.
    ///
    /// # Errors
    /// [`LaneClaimsError`].
    async fn forget(&self, worker: ProcessId) -> Result<(), LaneClaimsError>;

    /// What all workers said last and all claims, without saying anything.
    ///
    /// # Errors
    /// [`LaneClaimsError`].
    async fn roster(&self) -> Result<Roster, LaneClaimsError>;
}
