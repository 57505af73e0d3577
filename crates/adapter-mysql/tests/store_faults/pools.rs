//! Connections are kept apart by what they are for.

use std::sync::Arc;
use std::time::Duration;

use domain::claims::Presence;
use domain::order::LaneSet;
use domain::ports::{
    Dependency, LaneClaims, ShowRepository, TicketLedger, TicketPage, UserRepository,
};
use domain::receipt::ProcessId;
use domain::rule::{TransitionKind, TransitionRequest};
use futures_util::future::join_all;
use port_contracts::{fixtures, within};

use crate::scene::{Store, USER};

const FIRST_PAGE: TicketPage = TicketPage {
    after: None,
    limit: 100,
};

#[tokio::test(flavor = "multi_thread")]
async fn one_connection_for_each_purpose_is_enough() {
    let store = Store::with_few_connections().await;
    let all = (0..50).map(|number| {
        let ledger = Arc::clone(&store.store);
        let orders = store.source.orders(2, ["a", "b"][number % 2], USER);
        tokio::spawn(async move {
            let [user, nobody] = [USER, "nobody"].map(fixtures::user_id);
            let show = fixtures::show_id("a");
            let ids = [orders[0].ticket_id];
            let presence = Presence {
                worker: ProcessId::new(7),
                busy: LaneSet::default(),
                avoids: LaneSet::default(),
            };
            ledger.decide(&orders, None).await.unwrap();
            UserRepository::find(&*ledger, &user)
                .await
                .unwrap()
                .unwrap();
            assert_eq!(ledger.class_of(&nobody).await.unwrap(), None);
            ShowRepository::find(&*ledger, &show).await.unwrap();
            ledger.standings(&[show]).await.unwrap();
            TicketLedger::find(&*ledger, &ids).await.unwrap();
            let request = TransitionRequest {
                ticket_id: ids[0],
                kind: TransitionKind::Cancel,
                holder: None,
            };
            ledger.transition(&[request]).await.unwrap();
            ledger.list_by_user(&user, FIRST_PAGE).await.unwrap();
            ledger.expire_due(10).await.unwrap();
            ledger.beat(&presence).await.unwrap();
            ledger.check().await.unwrap();
        })
    });
    for done in within("everything at once", join_all(all)).await {
        done.unwrap();
    }
}

/// Lists are asked for by anybody, as often as they like.
#[tokio::test(flavor = "multi_thread")]
async fn what_reads_keeps_nothing_waiting_that_sells() {
    let store = Store::new(Duration::MAX).await;
    let orders = store.source.orders(2, "a", USER);
    store.store.decide(&orders, None).await.unwrap();
    // Slow enough for all connections that read to be busy for as long as this takes.
    let lock = store.database.hold_lock("LOCK TABLES journal WRITE").await;
    let [a, b] = ["a", "b"].map(fixtures::show_id);
    let reading: Vec<_> = (0..64)
        .map(|_| {
            let (ledger, show) = (Arc::clone(&store.store), a.clone());
            tokio::spawn(async move { ledger.history(&show, 0, 100).await })
        })
        .collect();
    let busy = async {
        while store
            .store
            .standings(std::slice::from_ref(&b))
            .await
            .is_ok()
        {}
    };
    within("everything that reads is busy", busy).await;
    let user = fixtures::user_id(USER);
    UserRepository::find(&*store.store, &user)
        .await
        .unwrap()
        .unwrap();
    ShowRepository::find(&*store.store, &b)
        .await
        .unwrap()
        .unwrap();
    let orders = store.source.orders(2, "b", USER);
    store.store.decide(&orders, None).await.unwrap();
    store.store.check().await.unwrap();
    lock.release().await;
    drop(reading);
}

/// The row that readiness changes; without it the change would be none.
#[tokio::test(flavor = "multi_thread")]
async fn readiness_changes_its_row_even_if_somebody_has_removed_it() {
    let store = Store::new(Duration::MAX).await;
    store.database.execute("DELETE FROM write_check").await;
    store.store.check().await.unwrap();
    let rows = "SELECT COUNT(*) FROM write_check WHERE checks > 0";
    assert_eq!(store.database.number(rows).await, 1);
}
