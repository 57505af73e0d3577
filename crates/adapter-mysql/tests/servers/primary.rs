//! The server that takes changes is the one that is used, whichever that is.

use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::ports::{Dependency, Examination, Level, TicketLedger};
use domain::receipt::TicketId;
use domain::rule::TransitionOutcome;
use futures_util::future::join_all;
use port_contracts::fixtures::OrderSource;
use port_contracts::{promised, within};
use tcp_proxy::{TcpProxy, Weather};
use test_servers::DatabaseServer;

use crate::scene::{DATABASE, confirm, orders, prepare, store};

/// Without a hand, and without a restart (docs/OPERATIONS.md).
const HEALS_WITHIN: Duration = Duration::from_secs(10);
const SEATS: u32 = 100_000;

/// A primary and its replica.
async fn pair() -> [DatabaseServer; 2] {
    let (primary, replica) = tokio::join!(DatabaseServer::start(&[]), DatabaseServer::start(&[]));
    replica.follow(&primary).await;
    [primary, replica]
}

/// Decides one order after the other until one of them succeeds.
async fn decided_anew(store: &adapter_mysql::MySqlStore, source: &OrderSource) -> TicketId {
    loop {
        let order = orders(source, 1);
        if store.decide(&order, None).await.is_ok() {
            return order[0].ticket_id;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn after_a_switch_nobody_is_answered_by_the_primary_of_before() {
    let [primary, replica] = pair().await;
    let urls = vec![primary.url_of(DATABASE), replica.url_of(DATABASE)];
    let ours = store(urls);
    prepare(&ours, SEATS).await;
    let source = OrderSource::new(1);
    let held = orders(&source, 100);
    ours.decide(&held, None).await.unwrap();
    // Connections are kept busy, so that none of them is ever idle.
    let busy = {
        let (ours, ids) = (Arc::clone(&ours), held[..10].to_vec());
        tokio::spawn(async move {
            loop {
                let reading = ids.iter().map(|order| {
                    let ids = [order.ticket_id];
                    let ours = Arc::clone(&ours);
                    async move { drop(ours.find(&ids).await) }
                });
                join_all(reading).await;
            }
        })
    };
    primary.demote().await;
    replica.catch_up(&primary).await;
    replica.promote().await;
    let switched = Instant::now();
    let late = within("an order is decided", decided_anew(&ours, &source)).await;
    let took = switched.elapsed();
    promised("decided after a planned switch", took, HEALS_WITHIN);
    // It is on the other server only, and is confirmed at once; nobody says that it is undecided.
    let outcome = loop {
        if let Some(outcome) = confirm(&ours, late).await {
            break outcome;
        }
    };
    assert!(
        matches!(outcome, TransitionOutcome::Changed(_)),
        "{outcome:?}"
    );
    within("the ticket is read where it is", async {
        while ours
            .find(&[late])
            .await
            .ok()
            .is_none_or(|found| found.is_empty())
        {}
    })
    .await;
    let took = switched.elapsed();
    promised("everything answered by the new primary", took, HEALS_WITHIN);
    busy.abort();
    ours.check().await.unwrap();
}

/// It may have been decided on the primary of now: the buyer would lose a held seat.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_a_demoted_primary_does_not_know_is_not_called_undecided() {
    let server = DatabaseServer::start(&[]).await;
    let ours = store(vec![server.url_of(DATABASE)]);
    prepare(&ours, SEATS).await;
    let unknown = OrderSource::new(1).ticket_id();
    // Its connections have just been looked at.
    let outcome = confirm(&ours, unknown).await;
    assert_eq!(outcome, Some(TransitionOutcome::NotDecided));
    server.demote().await;
    assert_eq!(confirm(&ours, unknown).await, None);
}

/// A process that takes orders and answers buyers decides nothing: none of its statements fails on
/// a primary that was demoted.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn who_only_reads_leaves_a_demoted_primary_as_well() {
    let [primary, replica] = pair().await;
    let urls = vec![primary.url_of(DATABASE), replica.url_of(DATABASE)];
    let reads = store(urls.clone());
    prepare(&reads, SEATS).await;
    let source = OrderSource::new(1);
    let before = orders(&source, 1);
    let ids = [before[0].ticket_id];
    reads.decide(&before, None).await.unwrap();
    // Its connection is busy from before the switch on.
    let busy = {
        let reads = Arc::clone(&reads);
        tokio::spawn(async move {
            loop {
                // Between the two primaries there is none.
                drop(TicketLedger::find(&*reads, &ids).await);
            }
        })
    };
    primary.demote().await;
    replica.catch_up(&primary).await;
    replica.promote().await;
    let decides = store(urls);
    let late = decided_anew(&decides, &source).await;
    let switched = Instant::now();
    let found = async {
        let is_there = |found: Result<Vec<_>, _>| found.is_ok_and(|found| !found.is_empty());
        while !is_there(TicketLedger::find(&*reads, &[late]).await) {}
    };
    within("the ticket is read where it is", found).await;
    promised("read on the new primary", switched.elapsed(), HEALS_WITHIN);
    busy.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_killed_primary_is_left_for_its_replica() {
    let [mut primary, replica] = pair().await;
    let urls = vec![primary.url_of(DATABASE), replica.url_of(DATABASE)];
    let ours = store(urls);
    prepare(&ours, SEATS).await;
    let source = OrderSource::new(1);
    ours.decide(&orders(&source, 10), None).await.unwrap();
    replica.catch_up(&primary).await;
    primary.kill();
    let told = within("it is noticed", async {
        loop {
            if let Err(down) = ours.check().await {
                return down.reason;
            }
        }
    })
    .await;
    assert!(
        told.contains(&replica.address()) && told.contains("read_only"),
        "{told}"
    );
    replica.promote().await;
    let promoted = Instant::now();
    within("an order is decided", decided_anew(&ours, &source)).await;
    let took = promoted.elapsed();
    promised("decided after the primary was killed", took, HEALS_WITHIN);
    assert_eq!(
        replica
            .number(&format!("SELECT COUNT(*) FROM {DATABASE}.tickets"))
            .await,
        11
    );
}

/// Behind one address: a proxy that leads to another server from some moment on. Connections of
/// before go on being answered by the primary of before.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn behind_one_address_connections_to_a_demoted_primary_are_left() {
    let [primary, replica] = pair().await;
    let proxy = TcpProxy::start(&primary.address()).await.unwrap();
    let ours = store(vec![proxy.url(&primary.url_of(DATABASE))]);
    prepare(&ours, SEATS).await;
    let source = OrderSource::new(1);
    ours.decide(&orders(&source, 10), None).await.unwrap();
    primary.demote().await;
    replica.catch_up(&primary).await;
    replica.promote().await;
    proxy.lead_to(&replica.address());
    let switched = Instant::now();
    let late = within("an order is decided", decided_anew(&ours, &source)).await;
    let outcome = within("it is confirmed", async {
        loop {
            if let Some(outcome) = confirm(&ours, late).await {
                return outcome;
            }
        }
    })
    .await;
    assert!(
        matches!(outcome, TransitionOutcome::Changed(_)),
        "{outcome:?}"
    );
    let took = switched.elapsed();
    promised("confirmed behind one address", took, HEALS_WITHIN);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_two_that_take_changes_neither_is_used() {
    let [primary, replica] = pair().await;
    let urls = vec![primary.url_of(DATABASE), replica.url_of(DATABASE)];
    let before = store(urls.clone());
    prepare(&before, SEATS).await;
    replica.catch_up(&primary).await;
    // By a mistake. Who knows which one it was goes on with that.
    replica.promote().await;
    before.check().await.unwrap();
    let after = store(urls.clone());
    let told = after.check().await.unwrap_err().reason;
    assert!(
        told.contains(&primary.address()) && told.contains(&replica.address()),
        "{told}"
    );
    replica.demote().await;
    within("one of them is used", async {
        while after.check().await.is_err() {}
    })
    .await;
    let source = OrderSource::new(1);
    after.decide(&orders(&source, 1), None).await.unwrap();
    let count = format!("SELECT COUNT(*) FROM {DATABASE}.tickets");
    assert_eq!(primary.number(&count).await, 1);
}

/// It still takes changes: a process that went on to another one would sell its seats again.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_primary_that_is_slow_is_not_left_for_another() {
    let [primary, replica] = pair().await;
    let proxy = TcpProxy::start(&primary.address()).await.unwrap();
    let urls = vec![
        proxy.url(&primary.url_of(DATABASE)),
        replica.url_of(DATABASE),
    ];
    let ours = store(urls);
    prepare(&ours, SEATS).await;
    replica.catch_up(&primary).await;
    // By a mistake.
    replica.promote().await;
    let source = OrderSource::new(1);
    // A login takes several times as long as both are waited for.
    proxy.set(Weather::Slow(Duration::from_millis(150)));
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(3) {
        let deciding = (0..16).map(|_| async {
            drop(ours.decide(&orders(&source, 1), None).await);
        });
        join_all(deciding).await;
    }
    proxy.set(Weather::Fair);
    within("it goes on", decided_anew(&ours, &source)).await;
    let decided = format!("SELECT COUNT(*) FROM {DATABASE}.tickets");
    assert_eq!(replica.number(&decided).await, 0);
    assert!(primary.number(&decided).await > 0);
}

/// It may still take changes, and cannot be asked.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_primary_that_is_full_is_not_left_for_another() {
    let [primary, replica] = pair().await;
    let urls = vec![primary.url_of(DATABASE), replica.url_of(DATABASE)];
    let ours = store(urls.clone());
    prepare(&ours, SEATS).await;
    replica.catch_up(&primary).await;
    // By a mistake.
    replica.promote().await;
    let mut others = Vec::new();
    while let Some(other) = primary.try_connect().await {
        others.push(other);
    }
    let source = OrderSource::new(1);
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(3) {
        // More at once than there are connections.
        let deciding = (0..16).map(|_| async {
            drop(ours.decide(&orders(&source, 1), None).await);
        });
        join_all(deciding).await;
    }
    let late = store(urls);
    let told = late.check().await.unwrap_err().reason;
    assert!(
        told.contains(&primary.address()) && told.contains("no connection left"),
        "{told}"
    );
    late.decide(&orders(&source, 1), None).await.unwrap_err();
    drop(others);
    within("it goes on", decided_anew(&ours, &source)).await;
    let decided = format!("SELECT COUNT(*) FROM {DATABASE}.tickets");
    assert_eq!(replica.number(&decided).await, 0);
}

/// An address that follows the primary beside its own, or the same one again: it has the tickets
/// under each of its names.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_server_under_several_names_is_used() {
    let server = DatabaseServer::start(&[]).await;
    let virtual_address = TcpProxy::start(&server.address()).await.unwrap();
    let own = server.url_of(DATABASE);
    let also = virtual_address.url(&own);
    let ours = store(vec![own.clone(), also, own]);
    prepare(&ours, SEATS).await;
    ours.check().await.unwrap();
    let source = OrderSource::new(1);
    ours.decide(&orders(&source, 1), None).await.unwrap();
    let told: Vec<_> = ours
        .examine()
        .await
        .into_iter()
        .filter(|finding| finding.what.contains("leads to the same server"))
        .map(|finding| (finding.level, finding.what.contains(&server.address())))
        .collect();
    assert_eq!(told, [(Level::Risk, true), (Level::Risk, true)]);
}

/// The driver would look for a host whose name has brackets.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_ipv6_address_leads_where_it_says() {
    let server = DatabaseServer::start(&["--bind-address=127.0.0.1,::1"]).await;
    let url = server.url_of(DATABASE).replace("127.0.0.1", "[::1]");
    let ours = store(vec![url]);
    prepare(&ours, SEATS).await;
    ours.check().await.unwrap();
}
