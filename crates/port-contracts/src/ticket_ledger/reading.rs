//! Cases of locks and reading.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use domain::journal::{Change, HistoryEntry, SeatsFrom};
use domain::order::Order;
use domain::ports::TicketPage;
use domain::rule::TransitionKind::{Cancel, Confirm};
use domain::rule::{Refusal, TransitionOutcome, TransitionRequest};
use domain::show::{Capacity, ShowChange};
use domain::ticket::Ticket;
use tokio::runtime::Handle;
use tokio::task::{JoinHandle, spawn_blocking, yield_now};
use tokio::time::timeout;

use crate::clock::ManualClock;
use crate::fixtures::{
    OrderSource, holding_show, just_before, seats, show, show_id, start, user, user_id,
};
use crate::harness::StoreHarness;
use crate::support::{in_pages, within};

/// Runs what may block its thread on the clock, or on a lock behind it.
fn on_a_thread<T: Send + 'static>(
    future: impl Future<Output = T> + Send + 'static,
) -> JoinHandle<T> {
    let runtime = Handle::current();
    spawn_blocking(move || runtime.block_on(future))
}

async fn until_read(clock: &ManualClock, reads: usize) {
    while clock.reads() < reads {
        yield_now().await;
    }
}

/// While one change of a show is stopped where it reads the time, no other gets
/// that far: a time read before the lock is had is too old by the wait for it.
pub async fn the_clock_is_read_under_the_lock(h: &StoreHarness) {
    h.given(&[holding_show("a", 9, 10)], &["1"]).await;
    let source = OrderSource::new(1);
    let held = source.order("a", "1");
    h.decide(std::slice::from_ref(&held)).await;
    let expires = start().plus_seconds(10);
    h.clock.set(just_before(expires));
    let reads = h.clock.reads();
    let stall = h.clock.stall();
    let decision = on_a_thread({
        let (ledger, orders) = (Arc::clone(&h.ports.ledger), source.orders(1, "a", "1"));
        async move { ledger.decide(&orders, None).await }
    });
    within("the first reading", until_read(&h.clock, reads + 1)).await;
    let confirmation = on_a_thread({
        let ledger = Arc::clone(&h.ports.ledger);
        let request = TransitionRequest {
            ticket_id: held.ticket_id,
            kind: Confirm,
            holder: None,
        };
        async move { ledger.transition(&[request]).await }
    });
    let early = timeout(Duration::from_millis(200), until_read(&h.clock, reads + 2)).await;
    assert!(early.is_err(), "the clock was read before the lock was had");
    // The hold ends while the confirmation waits for the lock.
    h.clock.set(expires);
    drop(stall);
    within("deciding", decision).await.unwrap().unwrap();
    let report = within("confirming", confirmation).await.unwrap().unwrap();
    assert!(
        matches!(
            &report.outcomes[..],
            [TransitionOutcome::Refused(_, Refusal::HoldExpired)]
        ),
        "{:?}",
        report.outcomes
    );
}

/// Look-ups, lists and readiness go on while a batch is being decided, and see
/// what was committed before it.
pub async fn reading_waits_for_no_lock(h: &StoreHarness) {
    h.given(&[show("a", 9), show("b", 9)], &["1"]).await;
    let source = OrderSource::new(1);
    let decided = source.order("a", "1");
    h.decide(std::slice::from_ref(&decided)).await;
    let before = h.standing("a").await;
    let reads = h.clock.reads();
    let stall = h.clock.stall();
    let batch = [source.order("a", "1"), source.order("b", "1")];
    let decision = on_a_thread({
        let (ledger, batch) = (Arc::clone(&h.ports.ledger), batch.clone());
        async move { ledger.decide(&batch, None).await }
    });
    within("the reading of the clock", until_read(&h.clock, reads + 1)).await;
    within("reading meanwhile", async {
        assert_eq!(h.standing("a").await, before);
        let shows = h.ports.shows.list(None, 10).await.unwrap();
        assert_eq!((shows.len(), &shows[0]), (2, &before));
        let both = [show_id("a"), show_id("b")];
        let standings = h.ports.shows.standings(&both).await.unwrap();
        assert_eq!(standings.len(), 2);
        let found = h.ports.shows.find(&show_id("a")).await.unwrap();
        assert_eq!(found.as_deref(), Some(&before.show));
        let found = h.ports.users.find(&user_id("1")).await.unwrap();
        assert_eq!(found, Some(user("1")));
        assert!(h.ticket(decided.ticket_id).await.is_some());
        assert!(h.ticket(batch[0].ticket_id).await.is_none());
        assert_eq!(h.tickets_of("1").await.len(), 1);
        assert_eq!(h.history("a", 0, 10).await.len(), 2);
    })
    .await;
    drop(stall);
    within("deciding", decision).await.unwrap().unwrap();
    assert_eq!(h.seats("a").await, seats(7, 0, 2));
}

/// All that there are, none that there aren't, by every process, as they stand.
pub async fn decided_tickets_are_found_by_id(h: &StoreHarness) {
    let other = (h.connect)().await;
    h.given(&[holding_show("a", 2, 60)], &["1"]).await;
    let source = OrderSource::new(1);
    let orders = source.orders(3, "a", "1");
    let undecided = source.orders(2, "a", "1");
    assert_eq!(h.ports.ledger.find(&[]).await.unwrap(), []);
    h.decide(&orders).await;
    h.transition(Confirm, orders[1].ticket_id).await;
    let ids: Vec<_> = [&undecided[..1], &orders, &undecided[1..]]
        .concat()
        .iter()
        .map(|order| order.ticket_id)
        .collect();
    let mut tickets = Vec::new();
    for order in &orders {
        tickets.push(h.ticket(order.ticket_id).await.unwrap());
    }
    let versions: Vec<_> = tickets.iter().map(|ticket| ticket.version).collect();
    assert_eq!(versions, [1, 2, 1]);
    for ledger in [&h.ports.ledger, &other.ledger] {
        let mut found = ledger.find(&ids).await.unwrap();
        found.sort_by_key(|ticket| ticket.order.requested_at);
        assert_eq!(found, tickets);
    }
    assert_eq!(h.ticket(undecided[0].ticket_id).await, None);
}

/// By place, then by id; a cursor goes on exactly after the last one seen.
pub async fn a_users_tickets_are_listed_newest_first(h: &StoreHarness) {
    h.given(&[holding_show("a", 7, 60), show("b", 9)], &["1", "2", "3"])
        .await;
    let (here, there) = (OrderSource::new(1), OrderSource::new(2));
    let mut orders = Vec::new();
    for n in 0..6 {
        // Two processes that gave the same place, so that the ids decide.
        orders.push(here.order(["a", "b"][n % 2], "1"));
        orders.push(there.order("a", "1"));
        orders.push(there.order("a", "2"));
        // Places that nobody has, so that ties come at different distances.
        for source in [&there, &here, &here] {
            let _skipped = source.order("a", "1");
        }
    }
    orders.push(here.order("no-show", "1"));
    // Decided in another sequence than they were accepted in.
    let (early, late) = orders.split_at(9);
    let by_process = |orders: &[Order]| {
        let mut orders = orders.to_vec();
        orders.sort_by_key(|order| (order.accepted_by, order.requested_at));
        orders
    };
    h.decide(&by_process(early)).await;
    h.decide(&by_process(late)).await;
    h.transition(Cancel, orders[1].ticket_id).await;
    let mut expected: Vec<_> = orders
        .iter()
        .filter(|order| order.user_id == user_id("1"))
        .map(|order| (order.requested_at, order.ticket_id))
        .collect();
    expected.sort_unstable();
    expected.reverse();
    let ties = expected.windows(2).filter(|pair| pair[0].0 == pair[1].0);
    assert!(ties.count() > 0);
    let place = |ticket: &Ticket| (ticket.order.requested_at, ticket.order.ticket_id);
    for limit in [1, 4, 100] {
        let page = async |after: Option<&Ticket>| {
            let after = after.map(place);
            let page = TicketPage { limit, after };
            let page = h.ports.ledger.list_by_user(&user_id("1"), page).await;
            page.unwrap()
        };
        let listed = in_pages(limit, page).await;
        assert_eq!(listed.iter().map(place).collect::<Vec<_>>(), expected);
        for ticket in listed {
            let id = ticket.order.ticket_id;
            assert_eq!(h.ticket(id).await, Some(ticket));
        }
    }
    assert_eq!(h.tickets_of("2").await.len(), 6);
    assert_eq!(h.tickets_of("3").await, []);
    assert_eq!(h.tickets_of("nobody").await, []);
}

/// Decisions and other changes in one sequence, each in the place of its number.
pub async fn the_history_comes_in_pages_without_a_gap(h: &StoreHarness) {
    h.given(&[holding_show("a", 3, 10), show("b", 9)], &["1"])
        .await;
    let source = OrderSource::new(1);
    let mut batch = source.orders(4, "a", "1");
    batch.insert(1, source.order("b", "1"));
    h.decide(&batch).await;
    let [a0, _, a1, a2, a3] = <[_; 5]>::try_from(batch).unwrap();
    h.transition(Confirm, a0.ticket_id).await;
    h.transition(Cancel, a0.ticket_id).await;
    h.transition(Cancel, a1.ticket_id).await;
    let larger = ShowChange {
        capacity: Some(Capacity::new(9).unwrap()),
        ..ShowChange::default()
    };
    h.change_show("a", &larger).await;
    h.clock.advance_seconds(10);
    h.expire_due(10).await;
    let all = h.history("a", 0, 100).await;
    let seqs: Vec<_> = all.iter().map(HistoryEntry::seq).collect();
    assert_eq!(seqs, (1..=10).collect::<Vec<_>>());
    let decided: Vec<_> = all[1..5]
        .iter()
        .map(|entry| match entry {
            HistoryEntry::Decided(ticket) => ticket.clone(),
            HistoryEntry::Changed(_) | HistoryEntry::Unreadable { .. } => panic!("{entry:?}"),
        })
        .collect();
    for (order, ticket) in [&a0, &a1, &a2, &a3].into_iter().zip(decided) {
        // As it stands now, not as it was decided.
        assert_eq!(h.ticket(order.ticket_id).await, Some(ticket));
    }
    let changes: Vec<_> = all
        .iter()
        .filter_map(|entry| match entry {
            HistoryEntry::Changed(entry) => Some((entry.at, entry.change.clone())),
            HistoryEntry::Decided(_) | HistoryEntry::Unreadable { .. } => None,
        })
        .collect();
    let show = holding_show("a", 3, 10);
    let after = h.standing("a").await.show;
    let end = start().plus_seconds(10);
    assert_eq!(
        changes,
        [
            (start(), Change::TermsSet(show.terms)),
            (start(), Change::Confirmed(a0.ticket_id)),
            (start(), Change::Cancelled(a0.ticket_id, SeatsFrom::Sold)),
            (start(), Change::Cancelled(a1.ticket_id, SeatsFrom::Held)),
            (start(), Change::TermsSet(after.terms)),
            (end, Change::Expired(a2.ticket_id)),
        ]
    );
    for limit in [1, 3, 10] {
        let page = async |after: Option<&HistoryEntry>| {
            let after = after.map_or(0, HistoryEntry::seq);
            h.history("a", after, limit).await
        };
        assert_eq!(in_pages(limit, page).await, all);
    }
    assert_eq!(h.history("a", 10, 5).await, []);
    assert_eq!(h.history("c", 0, 5).await, []);
}
