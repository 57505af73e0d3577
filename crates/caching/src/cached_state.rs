//! Decided tickets and shows out of a cache, in front of any store.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use domain::event::Event;
use domain::ids::{ShowId, UserId};
use domain::ports::{
    Cached, DecidedState, LedgerError, ShowRepository, ShowRepositoryError, State, StateCache,
    StateKey, TicketLedger, TransitionReport,
};
use domain::receipt::TicketId;
use domain::rule::TransitionOutcome;
use domain::show::ShowStanding;
use domain::ticket::Ticket;
use moka::sync::Cache;

use crate::flights::Flights;
use crate::newest::Newest;

#[cfg(test)]
mod tests;

/// A ticket that cannot change any more is kept for so long. Only the user's id can: when the user
/// is erased.
const FINAL_LIFE: Duration = Duration::from_secs(300);
/// Erased users that are remembered.
const ERASED: u64 = 100_000;
/// What a process was told is remembered so much longer than a cache may say something older: an
/// answer of the cache may be on its way.
const MARGIN: Duration = Duration::from_secs(1);

/// Reads from a cache, and from the store what that does not have.
///
/// How old an answer may be: a cached one counts from before the store was read, and lasts as long
/// as [`Self::new`] is told, unless the ticket is final. It is replaced by what this process has
/// heard or told since, if that is newer. When the cache's clock is set back, what it has lasts
/// twice as long at most.
pub struct CachedState {
    ledger: Arc<dyn TicketLedger>,
    shows: Arc<dyn ShowRepository>,
    cache: Arc<dyn StateCache>,
    life: Duration,
    newest: Newest,
    /// Whom this process has erased, for as long as a cache may name them.
    erased: Cache<UserId, ()>,
    ticket_flights: Flights<TicketId, Result<Option<Ticket>, Fault>>,
    show_flights: Flights<ShowId, Result<Option<ShowStanding>, Fault>>,
}

/// Why the store did not say what was asked, for all who asked.
#[derive(Clone)]
enum Fault {
    Unprocessable(Reason),
    Unavailable(Reason),
}

type Reason = Arc<dyn std::error::Error + Send + Sync>;

impl From<LedgerError> for Fault {
    fn from(error: LedgerError) -> Self {
        match error {
            LedgerError::Unprocessable(cause) => Self::Unprocessable(cause.into()),
            LedgerError::Unavailable(cause) => Self::Unavailable(cause.into()),
            LedgerError::ClaimLost => Self::Unavailable(Arc::new(error)),
        }
    }
}

impl From<Fault> for LedgerError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Unprocessable(cause) => Self::Unprocessable(Box::new(cause)),
            Fault::Unavailable(cause) => Self::Unavailable(Box::new(cause)),
        }
    }
}

impl From<ShowRepositoryError> for Fault {
    fn from(ShowRepositoryError::Unavailable(cause): ShowRepositoryError) -> Self {
        Self::Unavailable(cause.into())
    }
}

impl From<Fault> for ShowRepositoryError {
    fn from(fault: Fault) -> Self {
        let (Fault::Unprocessable(cause) | Fault::Unavailable(cause)) = fault;
        Self::Unavailable(Box::new(cause))
    }
}

impl CachedState {
    /// In front of a store. What may still change is at most `life` old.
    #[must_use]
    pub fn new(
        ledger: Arc<dyn TicketLedger>,
        shows: Arc<dyn ShowRepository>,
        cache: Arc<dyn StateCache>,
        life: Duration,
    ) -> Self {
        Self {
            ledger,
            shows,
            cache,
            life,
            newest: Newest::new(life * 2 + MARGIN),
            erased: Cache::builder()
                .max_capacity(ERASED)
                .time_to_live(FINAL_LIFE * 2 + MARGIN)
                .build(),
            ticket_flights: Flights::new(),
            show_flights: Flights::new(),
        }
    }

    async fn look_up_ticket(&self, id: TicketId) -> Result<Option<Ticket>, Fault> {
        let cached = self.cached(StateKey::Ticket(id)).await;
        if let Some(Cached {
            state: Some(State::Ticket(ticket)),
            ..
        }) = &cached
            && self.may_name(ticket)
        {
            return Ok(Some(ticket.clone()));
        }
        let found = self.ledger.find(&[id]).await?.pop();
        if let Some(ticket) = &found {
            self.newest.see_in_show(ticket);
            self.put(cached, State::Ticket(ticket.clone())).await;
        }
        Ok(found)
    }

    async fn look_up_show(&self, id: &ShowId) -> Result<Option<ShowStanding>, Fault> {
        let mut cached = self.cached(StateKey::Show(id.clone())).await;
        if let Some(Cached { state, .. }) = &mut cached
            && let Some(State::Show(standing)) = state.take()
            && let Some(completed) = self.newest.completed(standing.clone())
        {
            self.newest.standing(&standing);
            return Ok(Some(completed));
        }
        let found = self.shows.standings(std::slice::from_ref(id)).await?.pop();
        if let Some(standing) = &found {
            self.newest.standing(standing);
            self.put(cached, State::Show(standing.clone())).await;
        }
        Ok(found)
    }

    /// Whether the ticket's user was not erased here.
    fn may_name(&self, ticket: &Ticket) -> bool {
        !self.erased.contains_key(&ticket.order.user_id)
    }

    /// For so long a state is kept.
    fn life(&self, state: &State) -> Duration {
        match state {
            State::Ticket(ticket) if ticket.status.is_final() => FINAL_LIFE,
            State::Ticket(_) | State::Show(_) => self.life,
        }
    }

    /// What the cache has, if it can be believed.
    async fn cached(&self, key: StateKey) -> Option<Cached> {
        let mut cached = self.cache.get(&key).await?;
        let (asked_at, until) = (cached.asked_at, cached.until);
        cached.state = cached
            .state
            .filter(|state| !self.newest.is_lossy() && until <= asked_at.plus(self.life(state)));
        Some(cached)
    }

    /// Keeps what was read after the cache was `asked`.
    async fn put(&self, asked: Option<Cached>, state: State) {
        if let Some(asked) = asked {
            let until = asked.asked_at.plus(self.life(&state));
            self.cache.put(state, until).await;
        }
    }
}

#[async_trait]
impl DecidedState for CachedState {
    async fn ticket(&self, id: TicketId) -> Result<Option<Ticket>, LedgerError> {
        let is_decided = |found: &Result<Option<Ticket>, _>| match found {
            Ok(Some(ticket)) => self.may_name(ticket),
            _ => false,
        };
        let look_up = || self.look_up_ticket(id);
        let found = self.ticket_flights.join(&id, is_decided, look_up).await?;
        Ok(found.map(|ticket| self.newest.ticket(ticket)))
    }

    async fn show(&self, id: &ShowId) -> Result<Option<ShowStanding>, ShowRepositoryError> {
        let completed = |found: &Result<Option<ShowStanding>, _>| match found {
            Ok(Some(standing)) => self.newest.completed(standing.clone()),
            _ => None,
        };
        let is_current = |found: &Result<_, _>| completed(found).is_some();
        let look_up = || self.look_up_show(id);
        let found = self.show_flights.join(id, is_current, look_up).await;
        match completed(&found) {
            Some(standing) => Ok(Some(standing)),
            None => Ok(found?),
        }
    }

    fn hear(&self, event: &Event) {
        match event {
            Event::Ticket(ticket) if ticket.version > 1 => {
                self.newest.ticket(ticket.clone());
            }
            Event::Show(seats) => self.newest.seats(seats),
            Event::Ticket(_) | Event::Accepted(_) | Event::Settled(_) => {}
        }
    }

    async fn note_changed(&self, report: &TransitionReport) {
        for seats in &report.shows {
            self.newest.seats(seats);
        }
        let tickets = report.outcomes.iter().filter_map(|outcome| match outcome {
            TransitionOutcome::Changed(ticket)
            | TransitionOutcome::Unchanged(ticket)
            | TransitionOutcome::Refused(ticket, _) => Some(ticket.clone()),
            TransitionOutcome::NotDecided | TransitionOutcome::NotTheirs => None,
        });
        let newest = tickets.map(|ticket| State::Ticket(self.newest.ticket(ticket)));
        self.cache.raise(newest.collect()).await;
    }

    async fn note_show_changed(&self, standing: &ShowStanding) {
        self.newest.standing(standing);
        let standing = State::Show(standing.clone());
        self.cache.raise(vec![standing]).await;
    }

    fn note_erased(&self, user: &UserId) {
        self.erased.insert(user.clone(), ());
    }
}
