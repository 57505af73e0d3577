//! Holds that are over: many of them, some of no ticket, some of a show that is locked.

use std::sync::Arc;
use std::time::Duration;

use domain::order::Order;
use domain::ports::{ShowRepository, TicketLedger};
use domain::rule::{TransitionKind, TransitionOutcome, TransitionRequest};
use domain::ticket::Status;
use futures_util::future::join_all;
use port_contracts::{fixtures, within};

use crate::scene::Store;

const HOLD_SECONDS: u32 = 60;

impl Store {
    /// A show with holds, and users `u0` to `u9999`.
    async fn holding(show: &str, capacity: u32, max_per_user: u32) -> Self {
        const DIGITS: &str = "(SELECT 0 AS d UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL \
            SELECT 3 UNION ALL SELECT 4 UNION ALL SELECT 5 UNION ALL SELECT 6 UNION ALL SELECT 7 \
            UNION ALL SELECT 8 UNION ALL SELECT 9)";

        let store = Self::new(Duration::MAX).await;
        store.add_show(show, capacity, max_per_user).await;
        let users = format!(
            "INSERT INTO users (id, name, priority) \
             SELECT CONCAT('u', 1000 * a.d + 100 * b.d + 10 * c.d + e.d), 'x', 1 \
             FROM {DIGITS} AS a, {DIGITS} AS b, {DIGITS} AS c, {DIGITS} AS e"
        );
        store.database.execute(&users).await;
        store
    }

    async fn add_show(&self, show: &str, capacity: u32, max_per_user: u32) {
        let mut show = fixtures::holding_show(show, capacity, HOLD_SECONDS);
        show.terms.max_per_user = max_per_user.try_into().unwrap();
        ShowRepository::create(&*self.store, &show, None)
            .await
            .unwrap();
    }

    /// One order each of users from `first` on, all reserved.
    async fn reserve(&self, show: &str, first: usize, count: usize) -> Vec<Order> {
        let users = first..first + count;
        let orders: Vec<_> = users
            .map(|user| self.source.order(show, &format!("u{user}")))
            .collect();
        for batch in orders.chunks(1_000) {
            let report = self.store.decide(batch, None).await.unwrap();
            for decision in report.decisions {
                assert_eq!(decision.ticket().status, Status::Reserved);
            }
        }
        orders
    }

    async fn holds(&self) -> i64 {
        self.database.number("SELECT COUNT(*) FROM holds").await
    }
}

/// After an outage: what is due is released as far as it is needed, not all of it in front of
/// every order.
#[tokio::test(flavor = "multi_thread")]
async fn orders_do_not_wait_for_all_holds_that_are_over() {
    let store = Store::holding("h", 4_000, 1).await;
    store.reserve("h", 0, 4_000).await;
    store.clock.advance_seconds(2 * HOLD_SECONDS);
    // Sold out but for what is due; the last three have due holds of their own, which count
    // against their limit and are not among the oldest.
    let report = store
        .store
        .decide(
            &(3_990..4_010)
                .map(|user| store.source.order("h", &format!("u{user}")))
                .collect::<Vec<_>>(),
            None,
        )
        .await
        .unwrap();
    for decision in &report.decisions {
        assert_eq!(decision.ticket().status, Status::Reserved, "{decision:?}");
    }
    let released = report.released.len();
    assert!(
        (20..1_000).contains(&released),
        "{released} released at once"
    );
    // Sweeping does the rest.
    let mut swept = 0;
    while swept + released < 4_000 {
        let expired = store.store.expire_due(1_000).await.unwrap().outcomes.len();
        assert!(expired > 0, "{swept}");
        swept += expired;
    }
    assert_eq!(store.holds().await, 20);
}

/// More than are looked at, and all in front of the holds that have a seat.
#[tokio::test(flavor = "multi_thread")]
async fn holds_of_no_ticket_hide_no_seat_that_is_due() {
    let store = Store::holding("h", 10, 1).await;
    store.reserve("h", 0, 10).await;
    store
        .database
        .execute(
            "INSERT INTO holds (ticket_id, show_id, expires_at) \
             SELECT UNHEX(CONCAT('f', LPAD(HEX(SUBSTR(id, 2) + 0), 31, '0'))), 'h', 1 FROM users \
             WHERE id LIKE 'u%'",
        )
        .await;
    store.clock.advance_seconds(2 * HOLD_SECONDS);
    let orders = [
        store.source.order("h", "u11"),
        store.source.order("h", "u12"),
    ];
    let report = store.store.decide(&orders, None).await.unwrap();
    for decision in &report.decisions {
        assert_eq!(decision.ticket().status, Status::Reserved, "{decision:?}");
    }
}

/// So many that they fill every sweep.
#[tokio::test(flavor = "multi_thread")]
async fn holds_of_tickets_that_are_not_there_end_no_sweeping() {
    let store = Store::holding("h", 4_000, 1).await;
    store.reserve("h", 0, 3).await;
    store
        .database
        .execute(
            "INSERT INTO holds (ticket_id, show_id, expires_at) \
             SELECT UNHEX(CONCAT('f', LPAD(HEX(SUBSTR(id, 2) + 0), 31, '0'))), IF(id LIKE '%1', 'nowhere', 'h'), 1 FROM users \
             WHERE id LIKE 'u%'",
        )
        .await;
    store.clock.advance_seconds(2 * HOLD_SECONDS);
    let mut expired = 0;
    let mut sweeps = 0;
    while store.holds().await > 0 {
        expired += store.store.expire_due(1_000).await.unwrap().outcomes.len();
        sweeps += 1;
        assert!(sweeps < 20, "{} holds are left", store.holds().await);
    }
    assert_eq!(expired, 3);
}

/// More of them than one sweep looks at.
#[tokio::test(flavor = "multi_thread")]
async fn holds_of_what_is_no_show_end_no_sweeping() {
    let store = Store::holding("h", 100, 1).await;
    store.reserve("h", 0, 3).await;
    store
        .database
        .execute(
            "INSERT INTO holds (ticket_id, show_id, expires_at) \
             SELECT UNHEX(CONCAT('f', LPAD(HEX(SUBSTR(id, 2) + 0), 31, '0'))), \
             CONCAT('no show ', id), 1 FROM users WHERE id LIKE 'u%' LIMIT 2500",
        )
        .await;
    store.clock.advance_seconds(2 * HOLD_SECONDS);
    let mut expired = 0;
    for _ in 0..4 {
        expired += store.store.expire_due(1_000).await.unwrap().outcomes.len();
    }
    assert_eq!((expired, store.holds().await), (3, 0));
}

/// Counters that somebody has "mended" by hand, and a number behind the history.
#[tokio::test(flavor = "multi_thread")]
async fn a_show_that_cannot_be_saved_keeps_no_hold_of_another() {
    for harm in [
        "available = available + held, held = 0",
        "seq = 0",
        "max_per_user = 0",
    ] {
        let store = Store::holding("h", 100, 1).await;
        store.add_show("other", 100, 1).await;
        store.reserve("h", 0, 3).await;
        store.reserve("other", 0, 3).await;
        let harmed = format!("UPDATE shows SET {harm} WHERE id = 'h'");
        store.database.execute(&harmed).await;
        store.clock.advance_seconds(2 * HOLD_SECONDS);
        let expired = store.store.expire_due(1_000).await.unwrap().outcomes.len();
        assert_eq!((expired, store.holds().await), (3, 3), "{harm}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_locked_show_keeps_no_hold_and_no_confirmation_of_another_waiting() {
    let store = Store::holding("h", 100, 1).await;
    store.add_show("other", 100, 1).await;
    let of_locked = store.reserve("h", 0, 20).await;
    let of_other = store.reserve("other", 0, 20).await;
    let lock = "SELECT 1 FROM shows WHERE id = 'h' FOR UPDATE";
    let held = store.database.hold_lock(lock).await;
    let confirm = |order: &Order| {
        let request = TransitionRequest {
            ticket_id: order.ticket_id,
            kind: TransitionKind::Confirm,
            holder: None,
        };
        let ledger = Arc::clone(&store.store);
        tokio::spawn(async move { ledger.transition(&[request]).await })
    };
    // Those of the locked show come first.
    let waiting: Vec<_> = of_locked[..10].iter().map(confirm).collect();
    let confirmed = join_all(of_other[..10].iter().map(confirm));
    for confirmed in within("others are confirmed", confirmed).await {
        let report = confirmed.unwrap().unwrap();
        assert!(matches!(
            report.outcomes[..],
            [TransitionOutcome::Changed(_)]
        ));
    }
    store.clock.advance_seconds(2 * HOLD_SECONDS);
    let report = store.store.expire_due(1_000).await.unwrap();
    assert_eq!(report.outcomes.len(), 10);
    held.release().await;
    for waited in join_all(waiting).await {
        let report = waited.unwrap().unwrap();
        // Their holds were over by then.
        assert!(matches!(
            report.outcomes[..],
            [TransitionOutcome::Refused(..)]
        ));
    }
    let swept = async {
        while store.holds().await > 0 {
            store.store.expire_due(1_000).await.unwrap();
        }
    };
    within("the others are swept as well", swept).await;
}
