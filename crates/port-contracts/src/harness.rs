//! What an adapter hands to the cases.

use std::any::Any;
use std::future::Future;
use std::sync::Arc;

use domain::audit::audit_show;
use domain::journal::HistoryEntry;
use domain::order::{Lane, Order};
use domain::ports::{
    DeadLetters, DecideReport, Dependency, LaneClaims, ShowRepository, StateCache, TicketConsumer,
    TicketEvents, TicketLedger, TicketPage, TicketPublisher, TransitionReport, UserRepository,
};
use domain::receipt::TicketId;
use domain::rule::{TransitionKind, TransitionOutcome, TransitionRequest};
use domain::show::{SeatCounts, Show, ShowChange, ShowStanding};
use domain::ticket::Ticket;
use futures_util::future::BoxFuture;
use limits::{Limit, Rate, SharedTokens};

use crate::clock::ManualClock;
use crate::fixtures::{show_id, user, user_id};
use crate::set_up::LANES;
use crate::support::within;

/// Opens the same store or queue once more, as another process would.
pub type Connect<P> = Box<dyn Fn() -> BoxFuture<'static, P> + Send + Sync>;

/// What a case is run with.
pub trait Harness: Sync {
    /// Called at the end of every case; panics if something is broken that no
    /// case may break.
    fn verify(&self) -> impl Future<Output = ()> + Send {
        async {}
    }
}

/// The ports of a store, as one process has them.
#[derive(Clone)]
pub struct StoreUnderTest {
    /// Who may order.
    pub users: Arc<dyn UserRepository>,
    /// What is on sale.
    pub shows: Arc<dyn ShowRepository>,
    /// Seats, tickets, journal.
    pub ledger: Arc<dyn TicketLedger>,
    /// Who decides which lane.
    pub claims: Arc<dyn LaneClaims>,
}

/// A store that nothing else uses, empty at first.
pub struct StoreHarness {
    /// The ports of the first process.
    pub ports: StoreUnderTest,
    /// The time of all processes.
    pub clock: Arc<ManualClock>,
    /// Opens the store as another process.
    pub connect: Connect<StoreUnderTest>,
    /// Whatever must live as long as the case: a database to drop, for example.
    pub keep: Box<dyn Any + Send + Sync>,
}

impl Harness for StoreHarness {
    /// Replays the whole history of every show: no gap, no seat too many, none too few.
    async fn verify(&self) {
        for standing in self.all_shows().await {
            let audit = audit_show(self.ports.ledger.as_ref(), &standing)
                .await
                .unwrap();
            assert_eq!(audit.violations, 0, "{:#?}", audit.examples);
        }
    }
}

impl StoreHarness {
    /// Puts shows on sale and adds users of the class standard.
    pub async fn given(&self, shows: &[Show], users: &[&str]) {
        for show in shows {
            self.ports.shows.create(show, None).await.unwrap();
        }
        for id in users {
            self.ports.users.create(&user(id), None).await.unwrap();
        }
    }

    /// Decides orders.
    pub async fn decide(&self, orders: &[Order]) -> DecideReport {
        within("decide", self.ports.ledger.decide(orders, None))
            .await
            .unwrap()
    }

    /// Confirms or cancels one ticket.
    pub async fn transition(&self, kind: TransitionKind, id: TicketId) -> TransitionOutcome {
        let request = TransitionRequest {
            ticket_id: id,
            kind,
            holder: None,
        };
        let [outcome] = <[_; 1]>::try_from(self.transitions(&[request]).await.outcomes).unwrap();
        outcome
    }

    /// Confirms and cancels tickets together.
    pub async fn transitions(&self, requests: &[TransitionRequest]) -> TransitionReport {
        let changing = self.ports.ledger.transition(requests);
        within("transition", changing).await.unwrap()
    }

    /// Changes a show's title and terms.
    pub async fn change_show(&self, show: &str, change: &ShowChange) -> ShowStanding {
        let changed = self
            .ports
            .ledger
            .change_show(&show_id(show), change, None)
            .await;
        changed.unwrap()
    }

    /// Steps of a show's history.
    pub async fn history(&self, show: &str, after: u64, limit: usize) -> Vec<HistoryEntry> {
        let history = self
            .ports
            .ledger
            .history(&show_id(show), after, limit)
            .await;
        history.unwrap()
    }

    /// The latest tickets of a user.
    pub async fn tickets_of(&self, user: &str) -> Vec<Ticket> {
        let (limit, after) = (100, None);
        let page = TicketPage { limit, after };
        let listed = self.ports.ledger.list_by_user(&user_id(user), page).await;
        listed.unwrap()
    }

    /// Expires due holds and returns their tickets.
    pub async fn expire_due(&self, limit: usize) -> Vec<Ticket> {
        let report = within("expire_due", self.ports.ledger.expire_due(limit))
            .await
            .unwrap();
        report.outcomes.into_iter().map(changed).collect()
    }

    /// The ticket of that id, if it is decided.
    pub async fn ticket(&self, id: TicketId) -> Option<Ticket> {
        let found = self.ports.ledger.find(&[id]).await.unwrap();
        found.into_iter().next()
    }

    /// A show as it is now.
    pub async fn standing(&self, show: &str) -> ShowStanding {
        let standing = standing_of(&self.ports.shows, show).await;
        standing.expect("the show exists")
    }

    /// Where a show's seats are now.
    pub async fn seats(&self, show: &str) -> SeatCounts {
        self.standing(show).await.seats
    }

    async fn all_shows(&self) -> Vec<ShowStanding> {
        let mut all: Vec<ShowStanding> = Vec::new();
        loop {
            let after = all.last().map(|standing| standing.show.id.clone());
            let page = self.ports.shows.list(after.as_ref(), 100).await.unwrap();
            if page.is_empty() {
                return all;
            }
            all.extend(page);
        }
    }
}

/// A show as it is now, if there is one.
pub(crate) async fn standing_of(
    shows: &Arc<dyn ShowRepository>,
    show: &str,
) -> Option<ShowStanding> {
    let mut standings = shows.standings(&[show_id(show)]).await.unwrap();
    assert!(standings.len() <= 1, "{standings:?}");
    standings.pop()
}

/// The ticket of an outcome that must be a change.
pub(crate) fn changed(outcome: TransitionOutcome) -> Ticket {
    match outcome {
        TransitionOutcome::Changed(ticket) => ticket,
        other => panic!("expected a change, got {other:?}"),
    }
}

/// The ports of a queue, as one process has them.
#[derive(Clone)]
pub struct QueueUnderTest {
    /// Orders in.
    pub publisher: Arc<dyn TicketPublisher>,
    /// Orders out.
    pub consumer: Arc<dyn TicketConsumer>,
    /// Orders that cannot be decided.
    pub dead_letters: Arc<dyn DeadLetters>,
}

/// A queue that nothing else uses, empty at first. Lanes, capacities and weights are those of
/// this crate's constants.
pub struct QueueHarness {
    /// The ports of the first process.
    pub ports: QueueUnderTest,
    /// The time of all processes.
    pub clock: Arc<ManualClock>,
    /// Opens the queue as another process.
    pub connect: Connect<QueueUnderTest>,
    /// With `true`: from now on the queue accepts nothing durably and settles
    /// nothing, as if the broker had stopped; with `false` it goes on. A queue
    /// whose capacity counts what waits in it need not do anything.
    pub stall: Box<dyn Fn(bool) -> BoxFuture<'static, ()> + Send + Sync>,
    /// Whether the queue dies with the process.
    pub is_volatile: bool,
    /// Whatever must live as long as the case.
    pub keep: Box<dyn Any + Send + Sync>,
}

impl Harness for QueueHarness {}

impl QueueHarness {
    /// Publishes one order of the class standard for each user, one after the other.
    pub async fn publish(&self, orders: Vec<domain::order::NewOrder>) -> Vec<Order> {
        let mut accepted = Vec::with_capacity(orders.len());
        for order in orders {
            let order = within("publish", self.ports.publisher.publish(order)).await;
            accepted.push(order.unwrap());
        }
        accepted
    }

    /// The lane of a show.
    #[must_use]
    pub fn lane_of(&self, show: &str) -> Lane {
        LANES.of(&show_id(show))
    }
}

/// Events that nothing else uses; its feeds keep [`EVENT_BUFFER`](crate::EVENT_BUFFER).
pub struct EventsHarness {
    /// The port of the first process.
    pub events: Arc<dyn TicketEvents>,
    /// Opens the port as another process.
    pub connect: Connect<Arc<dyn TicketEvents>>,
    /// Whatever must live as long as the case.
    pub keep: Box<dyn Any + Send + Sync>,
}

impl Harness for EventsHarness {}

/// Where the tokens of limits are kept; nothing else has tokens there.
pub struct LimitHarness {
    /// Of all processes, or `None` if the process has its own.
    pub tokens: Option<Arc<SharedTokens>>,
    /// Whatever must live as long as the case.
    pub keep: Box<dyn Any + Send + Sync>,
}

impl LimitHarness {
    /// A limit of which nobody has taken anything.
    #[must_use]
    pub fn limit(&self, rate: Rate) -> Arc<Limit> {
        Arc::new(Limit::new("limit", rate, self.tokens.as_ref()))
    }
}

impl Harness for LimitHarness {}

/// A cache that nothing else uses, empty at first.
pub struct StateCacheHarness {
    /// The port of the first process.
    pub cache: Arc<dyn StateCache>,
    /// Opens the cache as another process, or the same one again if processes do not share it.
    pub connect: Connect<Arc<dyn StateCache>>,
    /// Whatever must live as long as the case.
    pub keep: Box<dyn Any + Send + Sync>,
}

impl Harness for StateCacheHarness {}

impl Harness for Arc<dyn Dependency> {}
