//! A cache of decided state, which many processes may share.

use std::time::Duration;

use async_trait::async_trait;

use crate::ids::ShowId;
use crate::receipt::TicketId;
use crate::show::ShowStanding;
use crate::ticket::Ticket;

/// What a state is of.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum StateKey {
    /// A ticket.
    Ticket(TicketId),
    /// A show.
    Show(ShowId),
}

/// Something decided, as the store had it once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// A ticket with its verdict.
    Ticket(Ticket),
    /// A show with its seats.
    Show(ShowStanding),
}

impl State {
    /// What it is of.
    #[must_use]
    pub fn key(&self) -> StateKey {
        match self {
            Self::Ticket(ticket) => StateKey::Ticket(ticket.order.ticket_id),
            Self::Show(standing) => StateKey::Show(standing.show.id.clone()),
        }
    }

    /// A number that only grows with the changes of what it is of: the ticket's version, or the
    /// show's `seq`.
    #[must_use]
    pub const fn version(&self) -> u64 {
        match self {
            Self::Ticket(ticket) => ticket.version as u64,
            Self::Show(standing) => standing.seq,
        }
    }
}

/// An instant in microseconds by the clock of one cache, which all who share it read. It means
/// nothing to another cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct CacheInstant(pub u64);

impl CacheInstant {
    /// So long after it.
    #[must_use]
    pub fn plus(self, time: Duration) -> Self {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(micros))
    }
}

/// What a cache says of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cached {
    /// When it was asked, or before: what the store says to a later question is as of then at
    /// least.
    pub asked_at: CacheInstant,
    /// The state; `None` if there is none that this version of the program can read.
    pub state: Option<State>,
    /// When the state ends. One that lasts longer than any that is put was written by somebody
    /// else, or the cache's clock was set back: it is not to be believed.
    pub until: CacheInstant,
}

/// Keeps states until an instant that is fixed when one is put, so that none is ever older than
/// that allows: whatever is written later may be newer, and never lasts longer.
///
/// Of one key a cache has the highest version that it was given since it had none. It may forget
/// any key at any time. No method fails, and none waits for longer than some tens of milliseconds:
/// a cache that does not answer has nothing, and takes nothing.
///
/// ```
/// use domain::ports::{State, StateCache, StateKey};
///
/// async fn find(cache: &dyn StateCache, key: &StateKey) -> Option<State> {
///     cache.get(key).await?.state
/// }
/// ```
#[async_trait]
pub trait StateCache: Send + Sync {
    /// What it has; `None` if it does not answer, and then nothing is to be put.
    async fn get(&self, key: &StateKey) -> Option<Cached>;

    /// Keeps a state until then, if it is newer than what is there; or as new, and ends earlier. To
    /// be called with what the
    /// store said after a [`Self::get`], and an instant that counts from [`Cached::asked_at`]:
    /// then a process that was frozen between its reading and this puts nothing that is over.
    async fn put(&self, state: State, until: CacheInstant);

    /// Replaces those that are there and not newer. They last as long as what was there, so no
    /// lost or late call makes anything older than `put` allows.
    async fn raise(&self, states: Vec<State>);
}
