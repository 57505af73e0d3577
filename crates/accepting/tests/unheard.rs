//! A process that nobody listens to, and that has no live connections at all.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that panics is a test that fails"
)]

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use accepting::AcceptingSide;
use adapter_memory::{MemoryQueue, MemoryQueueConfig, MemoryStore, MemoryTicketEvents};
use domain::event::Event;
use domain::gate::SoldOutGate;
use domain::order::{Lanes, Order, Quantity};
use domain::ports::{Clock, EventFeed, ShowRepository, TicketEvents, UserRepository};
use domain::principal::Principal;
use domain::receipt::{ProcessId, Receipts};
use domain::schedule::ClassSchedule;
use domain::use_cases::{
    BoxOffice, BoxOfficeParts, DecidingDesk, OrderRequest, PlaceOrderError, PlacedOrder,
};
use domain::waiting_line::{AcceptTally, WaitingLine};
use port_contracts::ManualClock;
use port_contracts::fixtures::{show, show_id, start, user, user_id};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// Only what hangs takes so long; the time is the test's own.
const DEADLINE: Duration = Duration::from_secs(60);

/// A show with one seat, whose orders are accepted and decided here.
struct Process {
    office: Arc<BoxOffice>,
    desk: DecidingDesk,
    events: Arc<MemoryTicketEvents>,
    _tasks: JoinSet<()>,
}

impl Process {
    async fn start() -> Self {
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::new(start()));
        let (process, lanes) = (ProcessId::new(1), Lanes::new(1).unwrap());
        let store = Arc::new(MemoryStore::new(Arc::clone(&clock)));
        UserRepository::create(&*store, &user("1"), None)
            .await
            .unwrap();
        let club = ShowRepository::create(&*store, &show("club", 1), None).await;
        club.unwrap();
        let config = MemoryQueueConfig {
            lanes,
            capacity: 1_000,
            dead_letter_capacity: 1,
            schedule: ClassSchedule::new(NonZeroU32::MIN, NonZeroU32::MIN),
        };
        let queue = Arc::new(MemoryQueue::new(config, Arc::clone(&clock), process));
        let events = Arc::new(MemoryTicketEvents::new(1_000));
        let receipts = Arc::new(Receipts::new(["a secret of these tests"], process).unwrap());
        let desk = DecidingDesk {
            ledger: store.clone(),
            events: events.clone(),
            dead_letters: queue.clone(),
            clock: Arc::clone(&clock),
            receipts: Arc::clone(&receipts),
        };
        let now = clock.now();
        let office = Arc::new(BoxOffice::new(BoxOfficeParts {
            users: store.clone(),
            shows: store.clone(),
            publisher: queue,
            ledger: store,
            state: None,
            events: events.clone(),
            clock,
            receipts,
            lanes,
            max_quantity: Quantity::ONE,
            gate: SoldOutGate::default(),
            line: Arc::new(WaitingLine::new(lanes, Duration::from_secs(5), now)),
            tally: Arc::new(AcceptTally::new(process, lanes, now)),
        }));
        let side = Arc::new(AcceptingSide::new(Arc::clone(&office), Arc::new(())));
        let mut tasks = JoinSet::new();
        for (_, task) in side.tasks() {
            tasks.spawn(task);
        }
        // It listens by then.
        sleep(Duration::from_secs(1)).await;
        Self {
            office,
            desk,
            events,
            _tasks: tasks,
        }
    }

    /// `None` if the gate refuses the order.
    async fn order(&self) -> Option<Order> {
        let request = OrderRequest {
            show_id: show_id("club"),
            user_id: user_id("1"),
            quantity: Quantity::ONE,
            key: None,
            trace: None,
        };
        match self.office.place_order(&Principal::agent(), request).await {
            Ok(PlacedOrder::Queued(order)) => Some(order),
            Err(PlaceOrderError::SoldOut) => None,
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn its_gate_refuses_orders_for_a_sold_out_show() {
    let process = Process::start().await;
    let order = process.order().await.unwrap();
    process.desk.decide_orders(&[order], None).await.unwrap();
    let refused = async {
        while process.order().await.is_some() {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(DEADLINE, refused).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn it_announces_how_many_orders_it_has_accepted() {
    let process = Process::start().await;
    let mut feed: Box<dyn EventFeed> = process.events.subscribe().await.unwrap();
    for _ in 0..3 {
        process.order().await.unwrap();
    }
    let announced = async {
        loop {
            let events = feed.next().await.unwrap();
            let told = |event: &Event| matches!(event, Event::Accepted(told) if told.total == 3);
            if events.iter().any(told) {
                return;
            }
        }
    };
    timeout(DEADLINE, announced).await.unwrap();
}
