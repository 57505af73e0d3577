//! Users who are erased.

use std::sync::Arc;
use std::time::Duration;

use adapter_mysql::{MySqlConfig, MySqlStore};
use domain::ids::ShowId;
use domain::journal::HistoryEntry;
use domain::ports::{ShowRepository, TicketLedger, UserRepository};
use domain::rule::{TransitionKind, TransitionRequest};
use port_contracts::fixtures::{self, OrderSource};
use port_contracts::{ManualClock, within};
use test_servers::TestDatabase;

const TICKETS: usize = 2_500;
const SMALL: u32 = 100;
/// Pairs of show and user whose live seats are not those of their tickets.
const WRONG: &str = "SELECT COUNT(*) FROM \
    (SELECT show_id, user_id, SUM(IF(status IN (0, 1), quantity, 0)) AS seats FROM tickets \
     GROUP BY show_id, user_id) AS held LEFT JOIN live_seats USING (show_id, user_id) \
    WHERE held.seats <> COALESCE(live_seats.seats, 0)";
const OF_USER: &str = "SELECT COUNT(*) FROM tickets WHERE user_id = 'gone'";

/// One transaction of them all would keep their show locked for seconds, and be given up.
#[tokio::test(flavor = "multi_thread")]
async fn many_tickets_change_their_holder_portion_by_portion() {
    let database = TestDatabase::create().await;
    let store = store(&database).await;
    let [user, alias] = ["gone", "erased-1"].map(fixtures::user_id);
    UserRepository::create(&store, &fixtures::user("gone"), None)
        .await
        .unwrap();
    let source = OrderSource::new(1);
    let mut cancelled = Vec::new();
    let mut last = String::new();
    for name in ["a", "b"] {
        let mut show = fixtures::show(name, 10_000);
        show.terms.max_per_user = 10_000.try_into().unwrap();
        ShowRepository::create(&store, &show, None).await.unwrap();
        let orders = source.orders(TICKETS / 2, name, "gone");
        store.decide(&orders, None).await.unwrap();
        last = orders[orders.len() - 1].ticket_id.to_string();
        let some = orders.iter().step_by(10);
        cancelled.extend(some.map(|order| TransitionRequest {
            ticket_id: order.ticket_id,
            kind: TransitionKind::Cancel,
            holder: None,
        }));
    }
    let (before, meanwhile) = cancelled.split_at(cancelled.len() / 2);
    store.transition(before).await.unwrap();

    // An attempt that ends in the middle of the second show, whose last ticket is locked.
    let last = last.replace('-', "");
    let lock = format!("SELECT 1 FROM tickets WHERE id = UNHEX('{last}') FOR UPDATE");
    let lock = database.hold_lock(&lock).await;
    let is_between = async {
        let half = i64::try_from(TICKETS / 2).unwrap();
        loop {
            let left = database.number(OF_USER).await;
            assert_eq!(database.number(WRONG).await, 0);
            if left < half {
                return left;
            }
        }
    };
    let left = tokio::select! {
        done = store.change_holder(SMALL, &user, &alias) => panic!("it is locked: {done:?}"),
        left = within("some have changed it", is_between) => left,
    };
    lock.release().await;
    assert!(left > 0);
    store.transition(meanwhile).await.unwrap();
    assert_eq!(database.number(WRONG).await, 0);

    let rest = store.change_holder(SMALL, &user, &alias).await.unwrap();
    assert!(0 < rest && rest <= u64::try_from(left).unwrap(), "{rest}");
    assert_eq!(database.number(OF_USER).await, 0);
    assert_eq!(database.number(WRONG).await, 0);
    let rows = "SELECT COUNT(*) FROM live_seats WHERE user_id = 'gone'";
    assert_eq!(database.number(rows).await, 0);
}

/// The audit would take their tickets for those of two users, each within the limit.
#[tokio::test(flavor = "multi_thread")]
async fn a_second_attempt_goes_on_with_the_alias_of_the_first() {
    let database = TestDatabase::create().await;
    let store = store(&database).await;
    let [user, first, second] = ["gone", "erased-1", "erased-2"].map(fixtures::user_id);
    UserRepository::create(&store, &fixtures::user("gone"), None)
        .await
        .unwrap();
    ShowRepository::create(&store, &fixtures::show("a", 10), None)
        .await
        .unwrap();
    let source = OrderSource::new(1);
    store
        .decide(&source.orders(2, "a", "gone"), None)
        .await
        .unwrap();
    let lock = database
        .hold_lock("SELECT 1 FROM shows WHERE id = 'a' FOR UPDATE")
        .await;
    let has_begun = async { while database.number("SELECT COUNT(*) FROM erasures").await == 0 {} };
    tokio::select! {
        done = store.erase(&user, &first) => panic!("it is locked: {done:?}"),
        () = within("it has begun", has_begun) => {}
    }
    let history = store
        .history(&ShowId::new("a").unwrap(), 0, 10)
        .await
        .unwrap();
    let users: Vec<_> = history
        .iter()
        .filter_map(|entry| match entry {
            HistoryEntry::Decided(ticket) => Some(ticket.order.user_id.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(users, ["erased-1"; 2], "to the audit it is one user");
    lock.release().await;
    assert_eq!(store.erase(&user, &second).await.unwrap(), Some(2));
    let of_first = "SELECT COUNT(*) FROM tickets WHERE user_id = 'erased-1'";
    assert_eq!(database.number(of_first).await, 2);
    assert_eq!(database.number("SELECT COUNT(*) FROM erasures").await, 0);
    // Of somebody else who has the id later.
    UserRepository::create(&store, &fixtures::user("gone"), None)
        .await
        .unwrap();
    assert_eq!(store.erase(&user, &second).await.unwrap(), Some(0));
}

async fn store(database: &TestDatabase) -> MySqlStore {
    let config = MySqlConfig {
        urls: vec![database.url()],
        only_reads: false,
        max_connections: 12,
        read_timeout: Duration::from_secs(60),
        max_clock_skew: Duration::MAX,
    };
    let clock = Arc::new(ManualClock::new(fixtures::start()));
    let store = MySqlStore::new(&config, clock).unwrap();
    store.migrate().await.unwrap();
    store
}
