//! Doubles of the ports that use cases are tested with. Each records its calls
//! in one common list, so that a test sees their sequence, and fails as told.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet, VecDeque};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use domain::author::Author;
use domain::claims::Claim;
use domain::event::Event;
use domain::gate::SoldOutGate;
use domain::ids::{ShowId, UserId};
use domain::journal::HistoryEntry;
use domain::order::{Lanes, NewOrder, Order, Quantity};
use domain::ports::{
    ChangeShowError, Clock, CreateShowError, CreateUserError, DeadLetter, DeadLetters,
    DeadLettersError, DecideReport, EventFeed, LedgerError, PublishError, ShowRepository,
    ShowRepositoryError, TermsSet, TicketEvents, TicketEventsError, TicketLedger, TicketPage,
    TicketPublisher, TransitionReport, UserAuthors, UserRepository, UserRepositoryError,
};
use domain::receipt::TicketId;
use domain::rule::{Decision, TransitionOutcome, TransitionRequest, open_show};
use domain::show::{
    Capacity, HoldSeconds, SalesWindow, SeatCounts, Show, ShowChange, ShowSeats, ShowStanding,
    Terms, Title,
};
use domain::ticket::{Status, Ticket, Verdict};
use domain::time::Timestamp;
use domain::use_cases::{BoxOffice, BoxOfficeParts, DecidingDesk};
use domain::user::{PriorityClass, User, UserChange, UserName};
use domain::waiting_line::{AcceptTally, WaitingLine};
use parking_lot::Mutex;

use crate::book::{at, receipts};

/// Everything outside of the domain.
#[derive(Default)]
pub(crate) struct World {
    /// Microseconds since the first second, which is when tests begin.
    pub(crate) later: AtomicI64,
    pub(crate) users: Mutex<HashMap<UserId, User>>,
    pub(crate) shows: Mutex<HashMap<ShowId, Show>>,
    /// What the store tells of shows' seats.
    pub(crate) standings: Mutex<HashMap<ShowId, ShowStanding>>,
    pub(crate) tickets: Mutex<HashMap<TicketId, Ticket>>,
    pub(crate) published: Mutex<Vec<NewOrder>>,
    pub(crate) announced: Mutex<Vec<Event>>,
    pub(crate) letters: Mutex<Vec<DeadLetter>>,
    pub(crate) transitions: Mutex<VecDeque<TransitionOutcome>>,
    /// What was asked for, one by one.
    pub(crate) asked: Mutex<Vec<TransitionRequest>>,
    /// What the next report says beside its outcomes.
    pub(crate) released: Mutex<Vec<Ticket>>,
    pub(crate) moved: Mutex<Vec<ShowSeats>>,
    /// Names of the calls that reached a port.
    pub(crate) calls: Mutex<Vec<&'static str>>,
    /// Names of the calls that find their port unavailable.
    pub(crate) unavailable: Mutex<HashSet<&'static str>>,
    pub(crate) publish_error: Mutex<Option<PublishError>>,
    /// Orders that make every batch they are in unprocessable.
    pub(crate) poison: Mutex<HashSet<TicketId>>,
    /// Orders that the ledger does not answer for, once no poison is with them.
    pub(crate) unanswered: Mutex<HashSet<TicketId>>,
    /// The latest claim of every lane.
    pub(crate) claim: AtomicU64,
}

impl World {
    pub(crate) fn new() -> Arc<Self> {
        let world = Self::default();
        world.add_user("1", PriorityClass::Standard);
        world.add_show("a", SalesWindow::default());
        Arc::new(world)
    }

    pub(crate) fn add_user(&self, id: &str, priority: PriorityClass) {
        let id = UserId::new(id).unwrap();
        let name = UserName::new("Ada").unwrap();
        let user = User {
            id: id.clone(),
            name,
            priority,
        };
        self.users.lock().insert(id, user);
    }

    pub(crate) fn add_show(&self, id: &str, window: SalesWindow) {
        let id = ShowId::new(id).unwrap();
        let show = Show {
            id: id.clone(),
            title: Title::new("Show").unwrap(),
            terms: Terms {
                capacity: Capacity::new(9).unwrap(),
                max_per_user: NonZeroU32::new(9).unwrap(),
                hold: HoldSeconds::new(0).unwrap(),
                window,
            },
        };
        self.shows.lock().insert(id, show);
    }

    /// Lets time pass.
    pub(crate) fn pass(&self, micros: i64) {
        self.later.fetch_add(micros, Ordering::Relaxed);
    }

    pub(crate) fn break_down(&self, call: &'static str) {
        self.unavailable.lock().insert(call);
    }

    pub(crate) fn calls(&self) -> Vec<&'static str> {
        self.calls.lock().clone()
    }

    pub(crate) fn forget_calls(&self) {
        self.calls.lock().clear();
    }

    /// Notes the call; an error if it was told to break down.
    fn called(&self, call: &'static str) -> Result<(), &'static str> {
        self.calls.lock().push(call);
        if self.unavailable.lock().contains(call) {
            return Err("told to break down");
        }
        Ok(())
    }

    pub(crate) fn office(self: &Arc<Self>) -> BoxOffice {
        BoxOffice::new(self.parts())
    }

    pub(crate) fn parts(self: &Arc<Self>) -> BoxOfficeParts {
        let lanes = Lanes::new(4).unwrap();
        let now = self.now();
        BoxOfficeParts {
            users: self.clone(),
            shows: self.clone(),
            publisher: self.clone(),
            ledger: self.clone(),
            state: None,
            events: self.clone(),
            clock: self.clone(),
            receipts: Arc::new(receipts()),
            lanes,
            max_quantity: Quantity::new(4).unwrap(),
            gate: SoldOutGate::default(),
            line: Arc::new(WaitingLine::new(lanes, Duration::from_secs(5), now)),
            tally: Arc::new(AcceptTally::new(receipts().process(), lanes, now)),
        }
    }

    pub(crate) fn desk(self: &Arc<Self>) -> DecidingDesk {
        DecidingDesk {
            ledger: self.clone(),
            events: self.clone(),
            dead_letters: self.clone(),
            clock: self.clone(),
            receipts: Arc::new(receipts()),
        }
    }
}

/// A confirmed ticket of the order.
pub(crate) fn confirmed(order: &Order) -> Ticket {
    Ticket {
        order: order.clone(),
        verdict: Verdict::Confirmed,
        decided_at: at(7),
        decision_seq: Some(2),
        status: Status::Confirmed,
        version: 1,
    }
}

/// What moving seats of show `a` leads to.
pub(crate) fn moved_seats() -> ShowSeats {
    ShowSeats {
        show_id: ShowId::new("a").unwrap(),
        seats: SeatCounts {
            available: 4,
            held: 3,
            sold: 2,
        },
        seq: 5,
    }
}

impl Clock for World {
    fn now(&self) -> Timestamp {
        at(1_000_000 + self.later.load(Ordering::Relaxed))
    }
}

#[async_trait]
impl UserRepository for World {
    async fn find(&self, id: &UserId) -> Result<Option<User>, UserRepositoryError> {
        self.called("find user")
            .map_err(|error| UserRepositoryError::Unavailable(error.into()))?;
        Ok(self.users.lock().get(id).cloned())
    }

    async fn list(&self, _: Option<&UserId>, _: usize) -> Result<Vec<User>, UserRepositoryError> {
        Ok(Vec::new())
    }

    async fn authors_of(&self, _: &UserId) -> Result<UserAuthors, UserRepositoryError> {
        Ok(UserAuthors::default())
    }

    async fn create(&self, user: &User, _: Option<&Author>) -> Result<(), CreateUserError> {
        match self.users.lock().entry(user.id.clone()) {
            Entry::Occupied(_) => Err(CreateUserError::AlreadyExists),
            Entry::Vacant(vacant) => {
                vacant.insert(user.clone());
                Ok(())
            }
        }
    }

    async fn change(
        &self,
        _: &UserId,
        _: &UserChange,
        _: Option<&Author>,
    ) -> Result<Option<User>, UserRepositoryError> {
        Ok(None)
    }

    async fn erase(&self, _: &UserId, _: &UserId) -> Result<Option<u64>, UserRepositoryError> {
        Ok(None)
    }
}

#[async_trait]
impl ShowRepository for World {
    async fn find(&self, id: &ShowId) -> Result<Option<Arc<Show>>, ShowRepositoryError> {
        self.called("find show")
            .map_err(|error| ShowRepositoryError::Unavailable(error.into()))?;
        Ok(self.shows.lock().get(id).cloned().map(Arc::new))
    }

    async fn standings(&self, ids: &[ShowId]) -> Result<Vec<ShowStanding>, ShowRepositoryError> {
        self.called("read standings")
            .map_err(|error| ShowRepositoryError::Unavailable(error.into()))?;
        let standings = self.standings.lock();
        Ok(ids
            .iter()
            .filter_map(|id| standings.get(id).cloned())
            .collect())
    }

    async fn list(
        &self,
        _: Option<&ShowId>,
        _: usize,
    ) -> Result<Vec<ShowStanding>, ShowRepositoryError> {
        Ok(Vec::new())
    }

    async fn terms_history(
        &self,
        _: &ShowId,
        _: u64,
        _: usize,
    ) -> Result<Vec<TermsSet>, ShowRepositoryError> {
        Ok(Vec::new())
    }

    async fn create(
        &self,
        show: &Show,
        _: Option<&Author>,
    ) -> Result<ShowStanding, CreateShowError> {
        match self.shows.lock().insert(show.id.clone(), show.clone()) {
            Some(_) => Err(CreateShowError::AlreadyExists),
            None => Ok(open_show(show.clone(), at(0)).standing()),
        }
    }
}

#[async_trait]
impl TicketPublisher for World {
    async fn publish(&self, order: NewOrder) -> Result<Order, PublishError> {
        self.calls.lock().push("publish");
        if let Some(error) = self.publish_error.lock().take() {
            return Err(error);
        }
        let mut published = self.published.lock();
        let place = u32::try_from(published.len()).unwrap();
        published.push(order.clone());
        let place = self.now().plus_micros(place);
        Ok(order.accepted(place, receipts().process()))
    }
}

#[async_trait]
impl TicketLedger for World {
    /// Confirms every order, unless one of them is poison.
    async fn decide(
        &self,
        orders: &[Order],
        claim: Option<Claim>,
    ) -> Result<DecideReport, LedgerError> {
        self.called("decide")
            .map_err(|error| LedgerError::Unavailable(error.into()))?;
        if claim.is_some_and(|claim| claim.number < self.claim.load(Ordering::Relaxed)) {
            return Err(LedgerError::ClaimLost);
        }
        let poison = self.poison.lock();
        if orders.iter().any(|order| poison.contains(&order.ticket_id)) {
            return Err(LedgerError::Unprocessable("poison".into()));
        }
        let unanswered = self.unanswered.lock();
        if orders.iter().any(|it| unanswered.contains(&it.ticket_id)) {
            return Err(LedgerError::Unavailable("no answer".into()));
        }
        let mut tickets = self.tickets.lock();
        let decisions = orders
            .iter()
            .map(|order| match tickets.entry(order.ticket_id) {
                Entry::Vacant(free) => Decision::First(free.insert(confirmed(order)).clone()),
                Entry::Occupied(known) if known.get().order.asks_the_same_as(order) => {
                    Decision::Replayed(known.get().clone())
                }
                Entry::Occupied(known) => Decision::Conflict(known.get().clone()),
            });
        Ok(DecideReport {
            decisions: decisions.collect(),
            released: std::mem::take(&mut self.released.lock()),
            shows: std::mem::take(&mut self.moved.lock()),
        })
    }

    async fn transition(
        &self,
        requests: &[TransitionRequest],
    ) -> Result<TransitionReport, LedgerError> {
        self.asked.lock().extend_from_slice(requests);
        self.called("transition")
            .map_err(|error| LedgerError::Unavailable(error.into()))?;
        let outcome = self.transitions.lock().pop_front();
        Ok(TransitionReport {
            outcomes: vec![outcome.unwrap_or(TransitionOutcome::NotDecided)],
            shows: std::mem::take(&mut self.moved.lock()),
        })
    }

    async fn expire_due(&self, _: usize) -> Result<TransitionReport, LedgerError> {
        self.called("expire")
            .map_err(|error| LedgerError::Unavailable(error.into()))?;
        Ok(TransitionReport {
            outcomes: self.transitions.lock().drain(..).collect(),
            shows: std::mem::take(&mut self.moved.lock()),
        })
    }

    /// Changes the title only.
    async fn change_show(
        &self,
        id: &ShowId,
        change: &ShowChange,
        _: Option<&Author>,
    ) -> Result<ShowStanding, ChangeShowError> {
        let mut shows = self.shows.lock();
        let show = shows.get_mut(id).ok_or(ChangeShowError::NotFound)?;
        show.title = change.title.clone().unwrap_or(show.title.clone());
        Ok(ShowStanding {
            show: show.clone(),
            seats: moved_seats().seats,
            seq: moved_seats().seq,
        })
    }

    async fn find(&self, ids: &[TicketId]) -> Result<Vec<Ticket>, LedgerError> {
        self.called("find ticket")
            .map_err(|error| LedgerError::Unavailable(error.into()))?;
        let tickets = self.tickets.lock();
        Ok(ids
            .iter()
            .filter_map(|id| tickets.get(id).cloned())
            .collect())
    }

    async fn list_by_user(
        &self,
        user: &UserId,
        page: TicketPage,
    ) -> Result<Vec<Ticket>, LedgerError> {
        self.called("list tickets")
            .map_err(|error| LedgerError::Unavailable(error.into()))?;
        let tickets = self.tickets.lock();
        let of_user = tickets.values().filter(|it| it.order.user_id == *user);
        Ok(of_user.take(page.limit).cloned().collect())
    }

    async fn history(
        &self,
        _: &ShowId,
        _: u64,
        _: usize,
    ) -> Result<Vec<HistoryEntry>, LedgerError> {
        Ok(Vec::new())
    }
}

#[async_trait]
impl TicketEvents for World {
    async fn announce(&self, events: Vec<Event>) -> Result<(), TicketEventsError> {
        self.called("announce")
            .map_err(|error| TicketEventsError::Unavailable(error.into()))?;
        self.announced.lock().extend(events);
        Ok(())
    }

    async fn subscribe(&self) -> Result<Box<dyn EventFeed>, TicketEventsError> {
        Err(TicketEventsError::Unavailable("nobody listens".into()))
    }
}

#[async_trait]
impl DeadLetters for World {
    async fn put(&self, letter: DeadLetter) -> Result<(), DeadLettersError> {
        self.called("put aside")
            .map_err(|error| DeadLettersError::Unavailable(error.into()))?;
        self.letters.lock().push(letter);
        Ok(())
    }

    async fn list(&self, _: usize) -> Result<Vec<DeadLetter>, DeadLettersError> {
        Ok(self.letters.lock().clone())
    }

    async fn count(&self) -> Result<usize, DeadLettersError> {
        Ok(self.letters.lock().len())
    }

    async fn redrive(&self, _: usize) -> Result<usize, DeadLettersError> {
        Ok(0)
    }
}
