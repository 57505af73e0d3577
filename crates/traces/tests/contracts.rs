//! What is traced keeps the contract of its port.

#![expect(
    clippy::unwrap_used,
    reason = "a test that panics is a test that fails"
)]

use std::sync::Arc;

use adapter_memory::{MemoryQueue, MemoryQueueConfig, MemoryStore, MemoryTicketEvents};
use domain::event::Event;
use domain::order::Order;
use domain::ports::{TicketEvents, TicketLedger};
use domain::receipt::ProcessId;
use domain::rule::Decision;
use domain::schedule::ClassSchedule;
use domain::trace::TraceContext;
use port_contracts::{
    DEAD_LETTER_CAPACITY, EVENT_BUFFER, EventsHarness, HIGH_WEIGHT, LANES, ManualClock,
    QUEUE_CAPACITY, QueueHarness, QueueUnderTest, STANDARD_WEIGHT, StoreHarness, StoreUnderTest,
    fixtures,
};
use traces::{Destination, TracedConsumer, TracedEvents, TracedLedger, TracedPublisher, Traces};

/// Nobody takes them.
fn traces() -> Arc<Traces> {
    let nowhere = Destination {
        url: "http://127.0.0.1:9/v1/traces".to_owned(),
        sample_ratio: 1.0,
        instance: 1,
        version: "0",
    };
    Traces::start(nowhere).unwrap()
}

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::new(fixtures::start()))
}

async fn store() -> StoreHarness {
    let clock = clock();
    let store = Arc::new(MemoryStore::new(clock.clone()));
    let ports = StoreUnderTest {
        users: store.clone(),
        shows: store.clone(),
        claims: store.clone(),
        ledger: Arc::new(TracedLedger::new(store, traces())),
    };
    StoreHarness {
        ports: ports.clone(),
        clock,
        connect: Box::new(move || {
            let ports = ports.clone();
            Box::pin(async { ports })
        }),
        keep: Box::new(()),
    }
}

async fn queue() -> QueueHarness {
    let clock = clock();
    let config = MemoryQueueConfig {
        lanes: LANES,
        capacity: QUEUE_CAPACITY,
        dead_letter_capacity: DEAD_LETTER_CAPACITY,
        schedule: ClassSchedule::new(HIGH_WEIGHT, STANDARD_WEIGHT),
    };
    let queue = Arc::new(MemoryQueue::new(config, clock.clone(), ProcessId::new(1)));
    let ports = QueueUnderTest {
        publisher: Arc::new(TracedPublisher::new(queue.clone(), traces())),
        consumer: Arc::new(TracedConsumer::new(queue.clone(), traces())),
        dead_letters: queue,
    };
    QueueHarness {
        ports: ports.clone(),
        clock,
        connect: Box::new(move || {
            let ports = ports.clone();
            Box::pin(async { ports })
        }),
        stall: Box::new(|_| Box::pin(async {})),
        is_volatile: true,
        keep: Box::new(()),
    }
}

fn traced_events() -> Arc<dyn TicketEvents> {
    let events = Arc::new(MemoryTicketEvents::new(EVENT_BUFFER));
    Arc::new(TracedEvents::new(events, traces()))
}

async fn events() -> EventsHarness {
    let events = traced_events();
    EventsHarness {
        events: Arc::clone(&events),
        connect: Box::new(move || {
            let events = Arc::clone(&events);
            Box::pin(async { events })
        }),
        keep: Box::new(()),
    }
}

port_contracts::ticket_ledger_contract!(store);
port_contracts::ticket_publisher_contract!(queue);
port_contracts::ticket_consumer_contract!(queue);
port_contracts::ticket_events_contract!(events);

/// The order of a trace, below its first span.
fn sampled(order: Order) -> (TraceContext, Order) {
    let context = TraceContext {
        trace_id: 7,
        span_id: 1,
    };
    let trace = Some(Box::new(context));
    (context, Order { trace, ..order })
}

#[tokio::test]
async fn a_verdict_goes_on_below_its_decision_and_the_ledger_does_not_keep_that() {
    let ledger = TracedLedger::new(Arc::new(MemoryStore::new(clock())), traces());
    let issuer = fixtures::OrderSource::new(1);
    let (context, order) = sampled(issuer.order("a", "1"));
    let orders = [issuer.order("a", "1"), order];
    let mut decisions = Vec::new();
    for _ in 0..2 {
        let report = ledger.decide(&orders, None).await.unwrap();
        assert_eq!(report.decisions[0].ticket().order.trace, None);
        let trace = *report.decisions[1].ticket().order.trace.clone().unwrap();
        assert_eq!(trace.trace_id, context.trace_id);
        assert_ne!(trace.span_id, context.span_id);
        decisions.extend(report.decisions);
    }
    assert!(matches!(decisions[1], Decision::First(_)));
    assert!(matches!(decisions[3], Decision::Replayed(_)));
    let found = ledger.find(&[orders[1].ticket_id]).await.unwrap();
    assert_eq!(found[0].order.trace, None);

    let events = traced_events();
    let mut feed = events.subscribe().await.unwrap();
    let ticket = decisions.swap_remove(1).ticket().clone();
    let decided = ticket.order.trace.clone().unwrap();
    events.announce(vec![Event::Ticket(ticket)]).await.unwrap();
    let heard = feed.next().await.unwrap();
    let Event::Ticket(heard) = &heard[0] else {
        panic!("{heard:?}");
    };
    let announced = heard.order.trace.as_deref().unwrap();
    assert_eq!(announced.trace_id, context.trace_id);
    assert_ne!(announced.span_id, decided.span_id);
}
