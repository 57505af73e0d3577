//! Cases of changing a show.

use std::num::NonZeroU32;
use std::sync::Arc;

use domain::journal::{Change, HistoryEntry};
use domain::order::Order;
use domain::ports::ChangeShowError;
use domain::rule::TermsRefused;
use domain::rule::TransitionKind::Confirm;
use domain::show::{Capacity, HoldSeconds, ShowChange, TermsError, Title};
use domain::ticket::{RejectionReason, Status};

use crate::fixtures::{OrderSource, holding_show, quantity, seats, show, show_id, start};
use crate::harness::{StoreHarness, standing_of};
use crate::support::concurrently;

fn capacity(seats: u32) -> ShowChange {
    ShowChange {
        capacity: Some(Capacity::new(seats).unwrap()),
        ..ShowChange::default()
    }
}

/// Down to them it is allowed, and up again; what is added is for sale at once.
pub async fn capacity_below_held_and_sold_is_refused(h: &StoreHarness) {
    h.given(&[holding_show("a", 10, 60)], &["1"]).await;
    let source = OrderSource::new(1);
    let order = |seats| Order {
        quantity: quantity(seats),
        ..source.order("a", "1")
    };
    let orders = [order(3), order(2)];
    h.decide(&orders).await;
    h.transition(Confirm, orders[1].ticket_id).await;
    let before = h.standing("a").await;
    assert_eq!(before.seats, seats(5, 3, 2));
    let change = async |seats| {
        let change = capacity(seats);
        h.ports
            .ledger
            .change_show(&show_id("a"), &change, None)
            .await
    };
    for seats in [4, 0] {
        match change(seats).await {
            Err(ChangeShowError::Refused(refused)) => {
                assert_eq!(refused, TermsRefused::BelowHeldAndSold { held: 3, sold: 2 })
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(h.standing("a").await, before);
    }
    let smallest = change(5).await.unwrap();
    assert_eq!(smallest.seats, seats(0, 3, 2));
    assert_eq!(smallest.seq, before.seq + 1);
    assert_eq!(smallest.show.terms.capacity.seats(), 5);
    assert_eq!(h.standing("a").await, smallest);
    change(6).await.unwrap();
    let report = h.decide(&[order(1), order(1)]).await;
    let reasons: Vec<_> = report
        .decisions
        .iter()
        .map(|decision| decision.ticket().rejection())
        .collect();
    assert_eq!(reasons, [None, Some(RejectionReason::SoldOut)]);
    assert_eq!(h.seats("a").await, seats(0, 4, 2));
}

/// Lowered and raised by two processes in the middle of the sale.
pub async fn capacity_changes_while_orders_are_decided(h: &StoreHarness) {
    const DECIDERS: usize = 12;
    let other = (h.connect)().await;
    h.given(&[show("a", 100)], &["1"]).await;
    let refusals: usize = concurrently(DECIDERS + 4, |number| {
        let ledger = Arc::clone([&h.ports.ledger, &other.ledger][number % 2]);
        async move {
            let source = OrderSource::new(u32::try_from(number).unwrap());
            let mut refusals = 0;
            for round in 0_u32..20 {
                if number < DECIDERS {
                    let orders = source.orders(2, "a", "1");
                    ledger.decide(&orders, None).await.unwrap();
                    continue;
                }
                let change = capacity([20, 300][(round % 2) as usize] + round);
                match ledger.change_show(&show_id("a"), &change, None).await {
                    Ok(standing) => {
                        let all = u64::from(standing.show.terms.capacity.seats());
                        assert_eq!(standing.seats.total(), all);
                    }
                    Err(ChangeShowError::Refused(TermsRefused::BelowHeldAndSold { .. })) => {
                        refusals += 1;
                    }
                    Err(error) => panic!("{error:?}"),
                }
            }
            refusals
        }
    })
    .await
    .into_iter()
    .sum();
    let standing = h.standing("a").await;
    let all = u64::from(standing.show.terms.capacity.seats());
    assert_eq!(standing.seats.total(), all);
    let changes = 1 + DECIDERS * 40 + 4 * 20 - refusals;
    let seq = usize::try_from(standing.seq).unwrap();
    assert!(seq <= changes, "a refused change has a number");
    assert!(seq > DECIDERS * 40);
}

/// With the show's next number; a new title, or the same terms again, have none.
pub async fn new_terms_are_journaled_and_rule_the_next_order(h: &StoreHarness) {
    let other = (h.connect)().await;
    h.given(&[show("a", 10)], &["1"]).await;
    let source = OrderSource::new(1);
    h.decide(&[source.order("a", "1")]).await;
    h.clock.advance_seconds(5);
    let title = ShowChange {
        title: Some(Title::new("Zoë 🎟").unwrap()),
        ..ShowChange::default()
    };
    let renamed = h.change_show("a", &title).await;
    assert_eq!(renamed.show.title.as_str(), "Zoë 🎟");
    assert_eq!((renamed.seats, renamed.seq), (seats(9, 0, 1), 2));
    assert_eq!(standing_of(&other.shows, "a").await, Some(renamed));
    let terms = ShowChange {
        max_per_user: Some(NonZeroU32::new(3).unwrap()),
        hold: Some(HoldSeconds::new(60).unwrap()),
        sales_close_at: Some(Some(start().plus_seconds(60))),
        ..ShowChange::default()
    };
    // The second time it is no change.
    for _ in 0..2 {
        let changed = h.change_show("a", &terms).await;
        assert_eq!((changed.seats, changed.seq), (seats(9, 0, 1), 3));
        assert_eq!(h.standing("a").await, changed);
    }
    let journaled = h.history("a", 2, 10).await;
    let [HistoryEntry::Changed(entry)] = &journaled[..] else {
        panic!("{journaled:?}");
    };
    assert_eq!(entry.at, start().plus_seconds(5));
    assert_eq!(
        entry.change,
        Change::TermsSet(h.standing("a").await.show.terms)
    );
    let late = Order {
        requested_at: start().plus_seconds(60),
        ..source.order("a", "1")
    };
    let mut orders = source.orders(3, "a", "1");
    orders.push(late);
    let report = h.decide(&orders).await;
    let given: Vec<_> = report
        .decisions
        .iter()
        .map(|decision| (decision.ticket().status, decision.ticket().rejection()))
        .collect();
    assert_eq!(
        given,
        [
            (Status::Reserved, None),
            (Status::Reserved, None),
            (Status::Rejected, Some(RejectionReason::LimitExceeded)),
            (Status::Rejected, Some(RejectionReason::SalesClosed)),
        ]
    );
}

/// An unknown show stays unknown; a sale that would close before it opens is refused whole.
pub async fn terms_that_cannot_be_change_nothing(h: &StoreHarness) {
    let change = async |show: &str, change: ShowChange| {
        let changed = h
            .ports
            .ledger
            .change_show(&show_id(show), &change, None)
            .await;
        changed.unwrap_err()
    };
    let unknown = change("a", capacity(5)).await;
    assert!(matches!(unknown, ChangeShowError::NotFound), "{unknown:?}");
    assert_eq!(standing_of(&h.ports.shows, "a").await, None);
    h.given(&[show("a", 10)], &[]).await;
    let before = h.standing("a").await;
    let reversed = ShowChange {
        title: Some(Title::new("Other").unwrap()),
        capacity: Some(Capacity::new(99).unwrap()),
        sales_open_at: Some(Some(start())),
        sales_close_at: Some(Some(start())),
        ..ShowChange::default()
    };
    let refused = change("a", reversed).await;
    assert!(
        matches!(
            refused,
            ChangeShowError::Refused(TermsRefused::Terms(TermsError::WindowReversed))
        ),
        "{refused:?}"
    );
    assert_eq!(h.standing("a").await, before);
}
