//! The contract of [`domain::ports::TicketEvents`].

use domain::event::{AcceptedOrders, Event};
use domain::ports::{EventFeed, EventFeedError};
use domain::receipt::ProcessId;
use domain::show::ShowSeats;
use domain::ticket::{RejectionReason, Status, Ticket, Verdict};
use domain::user::PriorityClass;

use crate::fixtures::{OrderSource, seats, show_id, start};
use crate::harness::EventsHarness;
use crate::set_up::{EVENT_BUFFER, LANES};
use crate::support::{give_up_after, within};

contract!($ ticket_events_contract, ticket_events, [
    every_feed_hears_everything_in_sequence,
    every_kind_of_event_is_heard_as_announced,
    a_feed_begins_with_its_subscription,
    a_waiting_feed_is_woken,
    a_slow_feed_gets_a_gap_and_goes_on,
    a_slow_feed_holds_nobody_up,
    waiting_for_an_event_can_be_given_up,
]);

/// An event that tells its number.
fn event(number: u64) -> Event {
    Event::Show(ShowSeats {
        show_id: show_id("a"),
        seats: seats(1, 2, 3),
        seq: number,
    })
}

async fn announce(h: &EventsHarness, numbers: impl IntoIterator<Item = u64>) {
    let events = numbers.into_iter().map(event).collect();
    within("announce", h.events.announce(events)).await.unwrap();
}

/// The next `count` events.
async fn hear(feed: &mut dyn EventFeed, count: usize) -> Vec<Event> {
    let mut heard = Vec::new();
    while heard.len() < count {
        let announced = within("an event", feed.next()).await.unwrap();
        heard.extend_from_slice(&announced);
    }
    heard
}

fn events(numbers: impl IntoIterator<Item = u64>) -> Vec<Event> {
    numbers.into_iter().map(event).collect()
}

/// Of every process, announced by any.
pub async fn every_feed_hears_everything_in_sequence(h: &EventsHarness) {
    let other = (h.connect)().await;
    let mut feeds = [
        h.events.subscribe().await.unwrap(),
        h.events.subscribe().await.unwrap(),
        other.subscribe().await.unwrap(),
    ];
    announce(h, 0..3).await;
    announce(h, 3..4).await;
    announce(h, 4..10).await;
    for feed in &mut feeds {
        assert_eq!(hear(feed.as_mut(), 10).await, events(0..10));
    }
    other.announce(events(10..11)).await.unwrap();
    for feed in &mut feeds {
        assert_eq!(hear(feed.as_mut(), 1).await, events(10..11));
    }
}

/// In every process, together and alone.
pub async fn every_kind_of_event_is_heard_as_announced(h: &EventsHarness) {
    let other = (h.connect)().await;
    let mut feeds = [
        h.events.subscribe().await.unwrap(),
        other.subscribe().await.unwrap(),
    ];
    let source = OrderSource::new(7);
    let ticket = |verdict, status| {
        Event::Ticket(Ticket {
            order: source.order("a", "1"),
            verdict,
            decided_at: start(),
            decision_seq: Some(9),
            status,
            version: 3,
        })
    };
    let hold_expires_at = start().plus_seconds(60);
    let accepted = |class, total| {
        Event::Accepted(AcceptedOrders {
            accepted_by: ProcessId::new(7),
            lane: LANES.of(&show_id("a")),
            class,
            through: start(),
            total,
        })
    };
    let all = [
        ticket(Verdict::Reserved { hold_expires_at }, Status::Expired),
        event(1),
        accepted(PriorityClass::High, 0),
        accepted(PriorityClass::Standard, u64::MAX),
        ticket(Verdict::Confirmed, Status::Confirmed),
        ticket(
            Verdict::Rejected(RejectionReason::SoldOut),
            Status::Rejected,
        ),
    ];
    h.events.announce(all.to_vec()).await.unwrap();
    for event in &all {
        h.events.announce(vec![event.clone()]).await.unwrap();
    }
    for feed in &mut feeds {
        assert_eq!(hear(feed.as_mut(), all.len()).await, all);
        assert_eq!(hear(feed.as_mut(), all.len()).await, all);
    }
}

/// What was announced before is read, not heard.
pub async fn a_feed_begins_with_its_subscription(h: &EventsHarness) {
    announce(h, 0..5).await;
    let mut feed = h.events.subscribe().await.unwrap();
    announce(h, 5..6).await;
    assert_eq!(hear(feed.as_mut(), 1).await, events(5..6));
}

/// By the next announcement, each time.
pub async fn a_waiting_feed_is_woken(h: &EventsHarness) {
    let mut feed = h.events.subscribe().await.unwrap();
    for number in 0..20 {
        let (heard, ()) = tokio::join!(hear(feed.as_mut(), 1), announce(h, [number]));
        assert_eq!(heard, events([number]));
    }
}

/// And what it hears afterwards is in sequence, up to the newest.
pub async fn a_slow_feed_gets_a_gap_and_goes_on(h: &EventsHarness) {
    let last = 4 * EVENT_BUFFER as u64;
    let mut feed = h.events.subscribe().await.unwrap();
    for number in 0..=last {
        announce(h, [number]).await;
    }
    let mut gaps = 0;
    let mut heard = Vec::new();
    while heard.last() != Some(&event(last)) {
        match within("an event", feed.next()).await {
            Ok(announced) => heard.extend_from_slice(&announced),
            Err(EventFeedError::Gap) => {
                gaps += 1;
                heard.clear();
            }
            Err(error) => panic!("{error:?}"),
        }
    }
    assert!(gaps > 0, "{} events without a gap", heard.len());
    let first = last + 1 - heard.len() as u64;
    assert_eq!(heard, events(first..=last));
    announce(h, [last + 1]).await;
    assert_eq!(hear(feed.as_mut(), 1).await, events([last + 1]));
}

/// Neither the announcer nor other feeds.
pub async fn a_slow_feed_holds_nobody_up(h: &EventsHarness) {
    let last = 4 * EVENT_BUFFER as u64;
    let _slow = h.events.subscribe().await.unwrap();
    let mut quick = h.events.subscribe().await.unwrap();
    for number in 0..=last {
        announce(h, [number]).await;
        assert_eq!(hear(quick.as_mut(), 1).await, events([number]));
    }
}

/// At any moment; nothing is missed.
pub async fn waiting_for_an_event_can_be_given_up(h: &EventsHarness) {
    let mut feed = h.events.subscribe().await.unwrap();
    let mut heard = Vec::new();
    for number in 0..30 {
        assert!(give_up_after(1, feed.next()).await.is_none_or(|next| {
            heard.extend_from_slice(&next.unwrap());
            true
        }));
        announce(h, [number]).await;
    }
    let missing = 30 - heard.len();
    heard.extend(hear(feed.as_mut(), missing).await);
    assert_eq!(heard, events(0..30));
}
