//! Announcements that never come. Time is the test's own, so that waiting for
//! the next round takes none.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use accepting::{AcceptingSide, EventSink};
use actix_web::test::TestRequest;
use adapter_memory::{MemoryQueue, MemoryQueueConfig, MemoryStore};
use async_trait::async_trait;
use domain::author::Author;
use domain::claims::Claim;
use domain::event::Event;
use domain::gate::SoldOutGate;
use domain::ids::{ShowId, UserId};
use domain::journal::HistoryEntry;
use domain::order::{Lanes, NewOrder, Order, Quantity};
use domain::ports::{
    ChangeShowError, Clock, DecideReport, EventFeed, EventFeedError, LedgerError, ShowRepository,
    TicketEvents, TicketEventsError, TicketLedger, TicketPage, TransitionReport, UserRepository,
};
use domain::principal::Principal;
use domain::receipt::{ProcessId, Receipts, TicketId};
use domain::rule::{TransitionKind, TransitionOutcome, TransitionRequest};
use domain::schedule::ClassSchedule;
use domain::show::{ShowChange, ShowStanding};
use domain::ticket::Ticket;
use domain::use_cases::{BoxOffice, BoxOfficeParts};
use domain::user::PriorityClass;
use domain::waiting_line::{AcceptTally, WaitingLine};
use parking_lot::Mutex;
use port_contracts::ManualClock;
use port_contracts::fixtures;
use serde_json::Value;
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use super::connection::Connection;
use super::listener::Next;
use super::message::Dialect;
use super::ticket_request::TicketRequest;
use super::*;
use crate::client_limits::{ClientLimitSettings, ClientLimits, StreamClient};
use crate::problem::ApiError;

/// A client without limits.
fn unlimited() -> StreamClient {
    let limits = ClientLimits::new(&ClientLimitSettings::default(), Default::default(), None);
    let request = TestRequest::default().to_http_request();
    Arc::new(limits).enter_stream(&request).unwrap()
}

/// Announces nothing. Its feeds say that something was missed, or end, when told to.
#[derive(Default)]
struct SilentEvents {
    missed: Arc<Notify>,
    ended: Arc<Notify>,
    subscriptions: AtomicUsize,
}

struct SilentFeed {
    missed: Arc<Notify>,
    ended: Arc<Notify>,
}

#[async_trait]
impl TicketEvents for SilentEvents {
    async fn announce(&self, _: Vec<Event>) -> Result<(), TicketEventsError> {
        Ok(())
    }

    async fn subscribe(&self) -> Result<Box<dyn EventFeed>, TicketEventsError> {
        if self.subscriptions.fetch_add(1, Ordering::Relaxed) == 1 {
            return Err(TicketEventsError::Unavailable("not yet".into()));
        }
        Ok(Box::new(SilentFeed {
            missed: Arc::clone(&self.missed),
            ended: Arc::clone(&self.ended),
        }))
    }
}

#[async_trait]
impl EventFeed for SilentFeed {
    async fn next(&mut self) -> Result<Arc<[Event]>, EventFeedError> {
        tokio::select! {
            () = self.missed.notified() => Err(EventFeedError::Gap),
            () = self.ended.notified() => Err(EventFeedError::Closed(None)),
        }
    }
}

/// A store whose answers can be held back on their way.
struct SlowLedger {
    store: Arc<MemoryStore>,
    /// Closed for as long as it has no permit.
    way: Semaphore,
    has_read: Notify,
    /// Its row is damaged.
    damaged: Mutex<Option<TicketId>>,
}

#[async_trait]
impl TicketLedger for SlowLedger {
    async fn find(&self, ids: &[TicketId]) -> Result<Vec<Ticket>, LedgerError> {
        if self.damaged.lock().is_some_and(|id| ids.contains(&id)) {
            return Err(LedgerError::Unprocessable("its row is damaged".into()));
        }
        let found = TicketLedger::find(&*self.store, ids).await;
        self.has_read.notify_one();
        let _passed = self.way.acquire().await.unwrap();
        found
    }

    async fn decide(
        &self,
        orders: &[Order],
        claim: Option<Claim>,
    ) -> Result<DecideReport, LedgerError> {
        self.store.decide(orders, claim).await
    }

    async fn transition(
        &self,
        requests: &[TransitionRequest],
    ) -> Result<TransitionReport, LedgerError> {
        self.store.transition(requests).await
    }

    async fn expire_due(&self, limit: usize) -> Result<TransitionReport, LedgerError> {
        self.store.expire_due(limit).await
    }

    async fn change_show(
        &self,
        id: &ShowId,
        change: &ShowChange,
        by: Option<&Author>,
    ) -> Result<ShowStanding, ChangeShowError> {
        self.store.change_show(id, change, by).await
    }

    async fn list_by_user(
        &self,
        user: &UserId,
        page: TicketPage,
    ) -> Result<Vec<Ticket>, LedgerError> {
        self.store.list_by_user(user, page).await
    }

    async fn history(
        &self,
        show: &ShowId,
        after_seq: u64,
        limit: usize,
    ) -> Result<Vec<HistoryEntry>, LedgerError> {
        self.store.history(show, after_seq, limit).await
    }
}

/// A confirmed ticket and show with a client that knows their state.
struct Scene {
    live: Arc<Live>,
    events: Arc<SilentEvents>,
    ledger: Arc<SlowLedger>,
    client: Connection,
    ticket: TicketId,
    /// Issued, and not decided.
    other_ticket: TicketId,
    _tasks: JoinSet<()>,
}

impl Scene {
    #[expect(clippy::too_many_lines, reason = "a whole service by hand")]
    async fn start() -> Self {
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::new(fixtures::start()));
        let process = ProcessId::new(1);
        let lanes = Lanes::new(4).unwrap();
        let store = Arc::new(MemoryStore::new(Arc::clone(&clock)));
        let user = UserRepository::create(&*store, &fixtures::user("1"), None).await;
        user.unwrap();
        let show = ShowRepository::create(&*store, &fixtures::show("230920", 50), None).await;
        show.unwrap();
        let weight = std::num::NonZeroU32::MIN;
        let queue = MemoryQueueConfig {
            lanes,
            capacity: 1,
            dead_letter_capacity: 1,
            schedule: ClassSchedule::new(weight, weight),
        };
        let queue = Arc::new(MemoryQueue::new(queue, Arc::clone(&clock), process));
        let events = Arc::new(SilentEvents::default());
        let ledger = Arc::new(SlowLedger {
            store: Arc::clone(&store),
            way: Semaphore::new(1),
            has_read: Notify::new(),
            damaged: Mutex::default(),
        });
        let now = clock.now();
        let receipts = Arc::new(Receipts::new(["a secret of these tests"], process).unwrap());
        let office = Arc::new(BoxOffice::new(BoxOfficeParts {
            users: store.clone(),
            shows: store.clone(),
            publisher: queue,
            ledger: ledger.clone(),
            state: None,
            events: events.clone(),
            receipts: receipts.clone(),
            lanes,
            max_quantity: Quantity::ONE,
            gate: SoldOutGate::default(),
            line: Arc::new(WaitingLine::new(lanes, Duration::from_secs(5), now)),
            tally: Arc::new(AcceptTally::new(process, lanes, now)),
            clock,
        }));
        let show_id = ShowId::from(230_920);
        let class = PriorityClass::Standard;
        let user = UserId::from(1);
        let issue = || receipts.issue(now, lanes.of(&show_id), class, &user);
        let (ticket, other_ticket) = (issue(), issue());
        let order = NewOrder {
            ticket_id: ticket,
            show_id: show_id.clone(),
            user_id: user.clone(),
            quantity: Quantity::ONE,
            class,
            trace: None,
        };
        let decided = store.decide(&[order.accepted(now, process)], None).await;
        decided.unwrap();
        let live = Arc::new(Live::new(
            Arc::clone(&office),
            LiveSettings {
                max_connections: 2,
                max_subscriptions: 2,
                outgoing_buffer: 9,
                heartbeat: Duration::from_secs(15),
                line_interval: Duration::from_secs(2),
            },
            None,
        ));
        let mut tasks = JoinSet::new();
        let accepting = Arc::new(AcceptingSide::new(office, live.clone()));
        for (_, task) in live.tasks().into_iter().chain(accepting.tasks()) {
            tasks.spawn(task);
        }
        let anybody = Arc::new(Principal::agent());
        let mut client =
            Connection::open(&live, &anybody, unlimited(), Dialect::WebSocket).unwrap();
        let request = TicketRequest {
            id: ticket,
            hint: None,
        };
        client.subscribe(vec![request], vec![show_id]).await.await;
        let mut scene = Self {
            live,
            events,
            ledger,
            client,
            ticket,
            other_ticket,
            _tasks: tasks,
        };
        assert_eq!(scene.hear().await["ticket"]["ticket_version"], 1);
        assert_eq!(scene.hear().await["show"]["seq"], 2);
        // The round that follows the subscription to events is over as well.
        tokio::time::sleep(Duration::from_secs(1)).await;
        scene
    }

    async fn hear(&mut self) -> Value {
        hear(&self.client).await
    }

    /// Gives the seat back, and nobody says so.
    async fn cancel_silently(&self) -> Ticket {
        let request = TransitionRequest {
            ticket_id: self.ticket,
            kind: TransitionKind::Cancel,
            holder: None,
        };
        let mut report = self.ledger.transition(&[request]).await.unwrap();
        match report.outcomes.pop() {
            Some(TransitionOutcome::Changed(ticket)) => ticket,
            other => panic!("{other:?}"),
        }
    }

    /// How long the client has to wait for the new state.
    async fn heard_after(&mut self) -> Duration {
        let started = Instant::now();
        let mut versions = [self.hear().await, self.hear().await].map(|m| {
            m["ticket"]["ticket_version"]
                .as_u64()
                .or(m["show"]["seq"].as_u64())
        });
        versions.sort();
        assert_eq!(versions, [Some(2), Some(3)]);
        started.elapsed()
    }
}

async fn hear(client: &Connection) -> Value {
    let next = timeout(Duration::from_secs(60), client.listener().next());
    match next.await.unwrap() {
        Next::Message(text) => serde_json::from_str(&text).unwrap(),
        Next::End(end) => panic!("{end:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_change_while_the_state_is_read_is_not_missed_and_the_older_state_not_told() {
    let mut scene = Scene::start().await;
    let anybody = Arc::new(Principal::agent());
    let mut newcomer =
        Connection::open(&scene.live, &anybody, unlimited(), Dialect::WebSocket).unwrap();
    let way = scene.ledger.way.acquire().await.unwrap();
    let request = TicketRequest {
        id: scene.ticket,
        hint: None,
    };
    tokio::spawn(newcomer.subscribe(vec![request], Vec::new()).await);
    // The state of before is on its way to the newcomer.
    scene.ledger.has_read.notified().await;
    scene.ledger.has_read.notified().await;
    let cancelled = scene.cancel_silently().await;
    scene.live.take(&Event::Ticket(cancelled));
    drop(way);
    for client in [&newcomer, &scene.client] {
        assert_eq!(hear(client).await["ticket"]["ticket_version"], 2);
    }
    assert_eq!(scene.hear().await["show"]["seq"], 3);
    let more = timeout(Duration::from_secs(30), newcomer.listener().next()).await;
    assert!(more.is_err(), "{more:?}");
}

#[tokio::test(start_paused = true)]
async fn a_change_that_nobody_announced_is_told_within_ten_seconds() {
    let mut scene = Scene::start().await;
    scene.cancel_silently().await;
    let waited = scene.heard_after().await;
    assert!(waited < Duration::from_secs(10), "{waited:?}");
}

/// Somebody listens to a ticket that cannot be read: nobody else has to wait for that.
#[tokio::test(start_paused = true)]
async fn a_damaged_ticket_keeps_no_other_from_being_told() {
    let mut scene = Scene::start().await;
    let damaged = scene.other_ticket;
    *scene.ledger.damaged.lock() = Some(damaged);
    let anybody = Arc::new(Principal::agent());
    let mut other =
        Connection::open(&scene.live, &anybody, unlimited(), Dialect::WebSocket).unwrap();
    let requests = [damaged, scene.ticket].map(|id| TicketRequest { id, hint: None });
    tokio::spawn(other.subscribe(requests.into(), Vec::new()).await);
    let mut heard = Vec::new();
    while heard.len() < 2 {
        let message = hear(&other).await;
        heard.push(message["code"].as_str().map(str::to_owned));
    }
    assert!(
        heard.contains(&Some("store_unavailable".to_owned())),
        "{heard:?}"
    );
    assert!(heard.contains(&None), "the other one is told: {heard:?}");
    scene.cancel_silently().await;
    let waited = scene.heard_after().await;
    assert!(waited < Duration::from_secs(10), "{waited:?}");
}

/// It would fail if it were.
#[tokio::test(start_paused = true)]
async fn the_store_is_not_asked_for_an_id_that_nobody_issued() {
    let scene = Scene::start().await;
    let forged = "0199a2b4-7d3e-8001-8a5f-3c0d9e412b77".parse().unwrap();
    *scene.ledger.damaged.lock() = Some(forged);
    let anybody = Arc::new(Principal::agent());
    let mut other =
        Connection::open(&scene.live, &anybody, unlimited(), Dialect::WebSocket).unwrap();
    let requests = [forged, scene.ticket].map(|id| TicketRequest { id, hint: None });
    other.subscribe(requests.into(), Vec::new()).await.await;
    assert_eq!(hear(&other).await["code"], "ticket_not_found");
    assert_eq!(hear(&other).await["ticket"]["ticket_version"], 1);
    drop(other);
    let request = TicketRequest {
        id: forged,
        hint: None,
    };
    let refused =
        event_stream::open(&scene.live, &anybody, unlimited(), request, None, || Ok(())).await;
    assert!(matches!(refused, Err(ApiError::TicketNotFound)));
}

#[tokio::test(start_paused = true)]
async fn after_a_gap_the_state_is_read_at_once() {
    let mut scene = Scene::start().await;
    scene.cancel_silently().await;
    scene.events.missed.notify_one();
    let waited = scene.heard_after().await;
    assert!(waited < Duration::from_millis(200), "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn after_the_end_of_a_feed_there_is_another_and_the_state_is_read() {
    let mut scene = Scene::start().await;
    scene.events.ended.notify_one();
    scene.cancel_silently().await;
    // The second attempt fails.
    let waited = scene.heard_after().await;
    assert!(waited < Duration::from_secs(1), "{waited:?}");
    assert_eq!(scene.events.subscriptions.load(Ordering::Relaxed), 3);
}
