//! What only a real database can break.

#![expect(
    clippy::unwrap_used,
    reason = "a test that panics is a test that fails"
)]

mod erasing;
mod holds;
mod pools;
mod rows;
mod scene;

use std::sync::Arc;
use std::time::{Duration, Instant};

use adapter_mysql::{MySqlConfig, MySqlStore};
use domain::ports::{Dependency, LaneClaims, LedgerError, ShowRepository, TicketLedger};
use domain::receipt::ProcessId;
use domain::user::PriorityClass;
use port_contracts::fixtures;
use port_contracts::{LANES, ManualClock, measured, within};
use tcp_proxy::Weather;
use test_servers::TestDatabase;
use tokio::time::{sleep, timeout};

use self::scene::{Store, USER};

/// The longest that the store waits for a change (docs/OPERATIONS.md, "Limits").
const CHANGE_LIMIT: Duration = Duration::from_secs(10);
/// A session that says nothing is ended by the server, and its locks with it.
const SESSION_SILENCE: Duration = Duration::from_secs(15);

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_with_a_row_that_violates_a_constraint_leaves_nothing_behind() {
    let store = Store::new(Duration::MAX).await;
    let mut orders = store.source.orders(5, "a", USER);
    orders.extend(store.source.orders(5, "b", USER));
    let poison = orders[7].ticket_id.to_string().replace('-', "");
    let constraint = format!("CHECK (id <> UNHEX('{poison}'))");
    store
        .database
        .execute(&format!(
            "ALTER TABLE tickets ADD CONSTRAINT poison {constraint}"
        ))
        .await;
    let error = store.store.decide(&orders, None).await.unwrap_err();
    assert!(matches!(error, LedgerError::Unprocessable(_)), "{error:?}");
    assert_eq!(store.rows().await, 0);
    assert_eq!(
        (store.available("a").await, store.available("b").await),
        (10, 10)
    );
    // Without the one, the others are decided.
    orders.remove(7);
    let report = store.store.decide(&orders, None).await.unwrap();
    assert_eq!(report.decisions.len(), 9);
    assert_eq!(
        (store.available("a").await, store.available("b").await),
        (5, 6)
    );
}

/// Longer than the server waits for a lock.
#[tokio::test(flavor = "multi_thread")]
async fn a_lock_that_somebody_holds_is_waited_for_and_asked_for_again() {
    let store = Store::new(Duration::MAX).await;
    let held = store
        .database
        .hold_lock("SELECT 1 FROM shows WHERE id = 'a' FOR UPDATE");
    let held = held.await;
    let release = async {
        sleep(Duration::from_secs(6)).await;
        held.release().await;
    };
    let orders = store.source.orders(3, "a", USER);
    let started = Instant::now();
    let deciding = async {
        let first = store.store.decide(&orders, None).await;
        let asked_for = started.elapsed();
        match first {
            Ok(report) => {
                assert!(asked_for > Duration::from_secs(5));
                report
            }
            // A busy machine may need longer than the store waits for any change. An
            // error before that would be that of the first wait for the lock.
            Err(error) => {
                assert!(asked_for >= CHANGE_LIMIT, "{error:?} after {asked_for:?}");
                store.store.decide(&orders, None).await.unwrap()
            }
        }
    };
    let (report, ()) = tokio::join!(deciding, release);
    assert_eq!(report.decisions.len(), 3);
}

/// Another program that locks shows in the opposite sequence.
#[tokio::test(flavor = "multi_thread")]
async fn a_deadlock_is_tried_again() {
    let store = Store::new(Duration::MAX).await;
    // What has written more is spared, so the decision is the victim.
    let mut held = store
        .database
        .hold_lock("INSERT INTO users (id, name, priority) SELECT CONCAT('x', seq), 'x', 1 FROM (SELECT 1 AS seq UNION SELECT 2 UNION SELECT 3) AS n")
        .await;
    held.execute("SELECT 1 FROM shows WHERE id = 'b' FOR UPDATE")
        .await;
    let mut orders = store.source.orders(1, "a", USER);
    orders.extend(store.source.orders(1, "b", USER));
    let cross = async {
        // By then the decision has `a` and waits for `b`.
        sleep(Duration::from_millis(500)).await;
        held.execute("SELECT 1 FROM shows WHERE id = 'a' FOR UPDATE")
            .await;
        held.release().await;
    };
    let (report, ()) = tokio::join!(store.store.decide(&orders, None), cross);
    assert_eq!(report.unwrap().decisions.len(), 2);
}

/// Its connection ends with it, and the lock with the connection.
#[tokio::test(flavor = "multi_thread")]
async fn a_decision_that_is_given_up_half_way_holds_no_lock() {
    let store = Store::new(Duration::MAX).await;
    let orders = store.source.orders(3, "a", USER);
    let is_locking = async || {
        sleep(Duration::from_millis(200)).await;
        !store.database.locking_transactions().await.is_empty()
    };
    // Slow enough to be caught with the lock. On a busy machine a decision may be over
    // before anybody has looked: the next one is slower. A repeated one locks as well.
    let mut delay = Duration::from_millis(150);
    let given_up = async {
        loop {
            store.proxy.set(Weather::Slow(delay));
            let deciding = {
                let (store, orders) = (Arc::clone(&store.store), orders.clone());
                tokio::spawn(async move { store.decide(&orders, None).await })
            };
            while !deciding.is_finished() && !is_locking().await {}
            deciding.abort();
            match deciding.await {
                Err(error) => return assert!(error.is_cancelled(), "{error:?}"),
                Ok(decided) => decided.unwrap(),
            };
            delay = (delay * 2).min(Duration::from_secs(1));
        }
    };
    within("a decision is given up with the lock", given_up).await;
    let given_up = Instant::now();
    store.proxy.set(Weather::Fair);
    // Well before the server would end the session by itself.
    let freed = async { while is_locking().await {} };
    let freed = timeout(SESSION_SILENCE - Duration::from_secs(3), freed).await;
    assert!(freed.is_ok(), "the lock is still held");
    measured("lock of a given up decision free", given_up.elapsed());
    store.store.decide(&orders, None).await.unwrap();
    assert_eq!(store.available("a").await, 7);
}

/// A connection that hangs does not take its place in the pool with it.
#[tokio::test(flavor = "multi_thread")]
async fn a_stalled_server_is_given_up_and_used_again_later() {
    let store = Store::new(Duration::MAX).await;
    let show = fixtures::show_id("a");
    store.proxy.set(Weather::Stalled);
    let asking = (0..10).map(|_| store.store.standings(std::slice::from_ref(&show)));
    for answer in within("reads", futures_util::future::join_all(asking)).await {
        answer.unwrap_err();
    }
    store.store.check().await.unwrap_err();
    // The old connections go on hanging; new ones work.
    store.proxy.forget();
    store.proxy.set(Weather::Fair);
    let orders = store.source.orders(1, "a", USER);
    within("decide", store.store.decide(&orders, None))
        .await
        .unwrap();
    assert_eq!(store.available("a").await, 9);
}

/// There is one connection for claims. Whatever happens to it between two of them, the next one
/// is not kept waiting for it.
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_was_given_back_before_the_server_stalled() {
    let store = Store::new(Duration::MAX).await;
    store.proxy.set(Weather::Slow(Duration::from_millis(50)));
    store.store.roster().await.unwrap();
    store.proxy.set(Weather::Stalled);
    // It goes on hanging; a new one works.
    store.proxy.forget();
    store.proxy.set(Weather::Fair);
    let claiming = async { while store.store.roster().await.is_err() {} };
    within("the claims are read", claiming).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_clock_changes_nothing() {
    // The test's clock stands still, far from the server's time.
    let store = Store::new(Duration::from_millis(100)).await;
    let orders = store.source.orders(1, "a", USER);
    let error = store.store.decide(&orders, None).await.unwrap_err();
    assert!(matches!(error, LedgerError::Unavailable(_)), "{error:?}");
    assert_eq!((store.rows().await, store.available("a").await), (0, 10));
    let down = store.store.check().await.unwrap_err();
    assert!(down.reason.contains("clock.max_skew_ms"), "{}", down.reason);
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_that_start_together_migrate_once() {
    let database = TestDatabase::create().await;
    let config = MySqlConfig {
        urls: vec![database.url()],
        only_reads: false,
        max_connections: 4,
        read_timeout: Duration::from_secs(3),
        max_clock_skew: Duration::MAX,
    };
    let migrations = (0..4).map(|_| {
        let clock = Arc::new(ManualClock::new(fixtures::start()));
        let store = MySqlStore::new(&config, clock).unwrap();
        async move { store.migrate().await.unwrap() }
    });
    within("migrate", futures_util::future::join_all(migrations)).await;
    assert_eq!(database.number("SELECT COUNT(*) FROM shows").await, 0);
}

/// More than a page of them changed in one statement, and so at one time.
#[tokio::test(flavor = "multi_thread")]
async fn orders_know_their_users_while_the_database_is_away() {
    const DIGITS: &str = "(SELECT 0 AS d UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3 \
        UNION ALL SELECT 4 UNION ALL SELECT 5 UNION ALL SELECT 6 UNION ALL SELECT 7 \
        UNION ALL SELECT 8 UNION ALL SELECT 9)";

    let store = Store::with_directory(Duration::MAX, 100_000).await;
    store.wait_until_at_hand(1, &[USER]).await;
    for first in ["x", "a"] {
        let sql = format!(
            "INSERT INTO users (id, name, priority) \
             SELECT CONCAT('{first}', a.d, b.d, c.d, e.d), 'x', 1 \
             FROM {DIGITS} AS a, {DIGITS} AS b, {DIGITS} AS c, {DIGITS} AS e"
        );
        store.database.execute(&sql).await;
    }
    let some = [
        "x0000", "x4999", "x5000", "x9999", "a0000", "a5001", "a9999",
    ];
    store.wait_until_at_hand(some.len(), &some).await;
    // Who does not exist is never at hand.
    assert_eq!(store.at_hand(&["y"]).await, 0);
    assert_eq!(store.class_of("y").await, None);
}

/// Who is not at hand is looked up, and nobody's class stays old.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_directory_leaves_the_others_to_the_database() {
    let store = Store::with_directory(Duration::MAX, 2).await;
    let users = ["1", "2", "3", "4"];
    store
        .database
        .execute("INSERT INTO users (id, name, priority) VALUES ('2', 'x', 1), ('3', 'x', 1), ('4', 'x', 1)")
        .await;
    store.wait_until_at_hand(2, &users).await;
    for user in users {
        assert!(store.class_of(user).await.is_some());
    }
    assert_eq!(store.at_hand(&users).await, 2);
    for (code, class) in [(1, PriorityClass::Standard), (0, PriorityClass::High)] {
        let sql = format!("UPDATE users SET priority = {code}");
        store.database.execute(&sql).await;
        for user in users {
            let changed = async {
                while store.class_of(user).await != Some(class) {
                    sleep(Duration::from_millis(50)).await;
                }
            };
            within("everybody's class is the new one", changed).await;
        }
    }
}

/// By an operator, or by a restore of some tables only.
#[tokio::test]
async fn claims_that_somebody_deletes_come_back_behind_those_of_before() {
    let store = Store::new(Duration::MAX).await;
    let claims: &dyn LaneClaims = &*store.store;
    let lane = LANES.iter().next().unwrap();
    let worker = ProcessId::new(7);
    let before = claims.take(worker, lane, 0).await.unwrap().unwrap();
    store.database.execute("DELETE FROM lane_claims").await;
    let mut seen = 0;
    let mut claim = None;
    for _ in 0..3 {
        claim = claims.take(worker, lane, seen).await.unwrap();
        if claim.is_some() {
            break;
        }
        seen = claims.roster().await.unwrap().claim(lane).number;
    }
    let claim = claim.expect("a lane that nobody has is to be had");
    assert!(
        claim.number > before.number + 1_000_000,
        "{claim:?} after {before:?}"
    );
}
