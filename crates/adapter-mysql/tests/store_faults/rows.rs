//! Rows that another program wrote: what this service would not have written stops itself only.

use std::time::Duration;

use domain::author::Author;
use domain::journal::HistoryEntry;
use domain::ports::{
    LaneClaims, LedgerError, ShowRepository, TicketLedger, TicketPage, UserRepository,
    UserRepositoryError,
};
use domain::user::{PriorityClass, UserChange, UserName};
use futures_util::future::join_all;
use port_contracts::fixtures;

use crate::scene::{Store, USER};

const FIRST_PAGE: TicketPage = TicketPage {
    after: None,
    limit: 100,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_title_with_a_tab_is_shown_without_it() {
    let store = Store::new(Duration::MAX).await;
    let titles = "UPDATE shows SET title = IF(id = 'a', 'Night\t\nTrain', ' ')";
    store.database.execute(titles).await;
    let orders = store.source.orders(3, "a", USER);
    store.store.decide(&orders, None).await.unwrap();
    let [a, b] = ["a", "b"].map(fixtures::show_id);
    let standings = store.store.standings(&[a.clone(), b]).await.unwrap();
    let titles: Vec<_> = standings
        .iter()
        .map(|one| one.show.title.as_str())
        .collect();
    // The id, if there is nothing else to be shown.
    assert_eq!(titles, ["Night  Train", "b"]);
    let show = ShowRepository::find(&*store.store, &a)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(show.title.as_str(), "Night  Train");
}

/// Earlier releases took such ids.
#[tokio::test(flavor = "multi_thread")]
async fn what_has_a_dot_for_its_id_stays_readable() {
    let store = Store::new(Duration::MAX).await;
    store
        .database
        .execute("INSERT INTO users (id, name, priority) VALUES ('.', 'x', 1)")
        .await;
    let users = UserRepository::list(&*store.store, None, 100)
        .await
        .unwrap();
    assert!(
        users.iter().any(|user| user.id.as_str() == "."),
        "{users:?}"
    );
}

/// Hundreds of look-ups share a query.
#[tokio::test(flavor = "multi_thread")]
async fn a_user_who_cannot_be_read_is_nobody_elses_failure() {
    let store = Store::new(Duration::MAX).await;
    store
        .database
        .execute(
            "INSERT INTO users (id, name, priority) VALUES \
             ('blank', ' ', 0), ('class', 'x', 9), ('an id', 'x', 1)",
        )
        .await;
    let ids: Vec<_> = (0..200)
        .map(|number| fixtures::user_id([USER, "blank", "class", "nobody"][number % 4]))
        .collect();
    let found = join_all(ids.iter().map(|id| UserRepository::find(&*store.store, id))).await;
    for (id, found) in ids.iter().zip(found) {
        match (id.as_str(), found) {
            (USER, Ok(Some(user))) => assert_eq!(user, fixtures::user(USER)),
            ("blank", Ok(Some(user))) => {
                assert_eq!(
                    (user.name.as_str(), user.priority),
                    ("blank", PriorityClass::High)
                );
            }
            ("class", Err(UserRepositoryError::Unavailable(cause))) => {
                let told = cause.to_string();
                assert!(
                    told.contains("users") && told.contains("(id class)"),
                    "{told}"
                );
            }
            ("nobody", Ok(None)) => {}
            other => panic!("{other:?}"),
        }
    }
    let listed = UserRepository::list(&*store.store, None, 10).await.unwrap();
    let listed: Vec<_> = listed.iter().map(|user| user.id.as_str()).collect();
    assert_eq!(listed, [USER, "blank"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_who_cannot_be_read_does_not_end_the_directory() {
    let store = Store::with_directory(Duration::MAX, 100).await;
    store
        .database
        .execute(
            "INSERT INTO users (id, name, priority) VALUES \
             ('an id', 'x', 1), ('class', 'x', 9), ('z', 'x', 1)",
        )
        .await;
    store.wait_until_at_hand(2, &[USER, "z"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_show_that_cannot_be_read_is_decided_by_nobody_and_hinders_no_other() {
    let store = Store::new(Duration::MAX).await;
    let terms = "UPDATE shows SET max_per_user = 0 WHERE id = 'b'";
    store.database.execute(terms).await;
    let mut both = store.source.orders(2, "a", USER);
    both.extend(store.source.orders(2, "b", USER));
    // So that the worker singles the orders out.
    for orders in [&both[..], &both[2..]] {
        let error = store.store.decide(orders, None).await.unwrap_err();
        let LedgerError::Unprocessable(cause) = error else {
            panic!("{error:?}");
        };
        assert!(cause.to_string().contains("(id b)"), "{cause}");
    }
    store.store.decide(&both[..2], None).await.unwrap();
    let [a, b] = ["a", "b"].map(fixtures::show_id);
    let (a, b) = tokio::join!(
        ShowRepository::find(&*store.store, &a),
        ShowRepository::find(&*store.store, &b),
    );
    a.unwrap().unwrap();
    b.unwrap_err();
    let listed = ShowRepository::list(&*store.store, None, 10).await.unwrap();
    assert_eq!(listed.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_that_cannot_be_read_is_no_other_tickets_failure() {
    let store = Store::new(Duration::MAX).await;
    let orders = store.source.orders(20, "a", USER);
    store.store.decide(&orders[..10], None).await.unwrap();
    let bad = orders[3].ticket_id.to_string().replace('-', "");
    let class = format!("UPDATE tickets SET class = 9 WHERE id = UNHEX('{bad}')");
    store.database.execute(&class).await;
    let found = join_all(orders[..10].iter().map(|order| {
        let id = [order.ticket_id];
        let ledger = &store.store;
        async move { TicketLedger::find(&**ledger, &id).await }
    }));
    for (place, found) in found.await.into_iter().enumerate() {
        assert_eq!(found.is_err(), place == 3, "{place}: {found:?}");
    }
    let user = fixtures::user_id(USER);
    let listed = store.store.list_by_user(&user, FIRST_PAGE).await.unwrap();
    assert_eq!(listed.len(), 9);
    // A page is full although a row of it is left out: else nobody would ask for the next one.
    let page = TicketPage {
        after: None,
        limit: 8,
    };
    let listed = store.store.list_by_user(&user, page).await.unwrap();
    assert_eq!(listed.len(), 8);
    // The audit says which step it is, and reads on.
    let show = fixtures::show_id("a");
    let history = store.store.history(&show, 0, 100).await.unwrap();
    assert_eq!(history.len(), 11);
    let unreadable = |entry: &&HistoryEntry| matches!(entry, HistoryEntry::Unreadable { .. });
    let unreadable: Vec<_> = history.iter().filter(unreadable).collect();
    assert_eq!(unreadable.len(), 1);
    assert_eq!(unreadable[0].seq(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_is_left_out_ends_no_list() {
    let store = Store::new(Duration::MAX).await;
    for show in ["c", "d", "e"] {
        let show = fixtures::show(show, 10);
        ShowRepository::create(&*store.store, &show, None)
            .await
            .unwrap();
    }
    let terms = "UPDATE shows SET max_per_user = 0 WHERE id IN ('a', 'c')";
    store.database.execute(terms).await;
    let shows = ShowRepository::list(&*store.store, None, 2).await.unwrap();
    let shows: Vec<_> = shows.iter().map(|one| one.show.id.as_str()).collect();
    assert_eq!(shows, ["b", "d"]);
    let unreadable = store.store.unreadable().await.unwrap();
    let unreadable: Vec<_> = unreadable.iter().map(|one| one.id.as_str()).collect();
    assert_eq!(unreadable, ["a", "c"]);

    store
        .database
        .execute(
            "INSERT INTO users (id, name, priority) VALUES \
             ('2', 'x', 9), ('3', 'x', 9), ('4', 'x', 1), ('5', 'x', 1)",
        )
        .await;
    let users = UserRepository::list(&*store.store, None, 2).await.unwrap();
    let users: Vec<_> = users.iter().map(|user| user.id.as_str()).collect();
    assert_eq!(users, [USER, "4"]);
}

/// As after a restore of one table. The worker singles the show's orders out by that.
#[tokio::test(flavor = "multi_thread")]
async fn a_show_behind_its_history_fails_alone() {
    let store = Store::new(Duration::MAX).await;
    let orders = store.source.orders(4, "a", USER);
    store.store.decide(&orders[..2], None).await.unwrap();
    let behind = "UPDATE shows SET seq = 1 WHERE id = 'a'";
    store.database.execute(behind).await;
    let error = store.store.decide(&orders[2..], None).await.unwrap_err();
    assert!(matches!(error, LedgerError::Unprocessable(_)), "{error:?}");
    let others = store.source.orders(2, "b", USER);
    store.store.decide(&others, None).await.unwrap();
}

/// Somebody has deleted a right row, or written a wrong one.
#[tokio::test(flavor = "multi_thread")]
async fn a_claim_of_no_lane_hinders_no_other() {
    let store = Store::new(Duration::MAX).await;
    let row = "INSERT INTO lane_claims (lane, owner, number) VALUES (99, NULL, 1)";
    store.database.execute(row).await;
    store.store.roster().await.unwrap();
}

/// During an upgrade processes of both releases write.
#[tokio::test(flavor = "multi_thread")]
async fn what_an_earlier_release_writes_has_no_author() {
    let Store {
        store, database, ..
    } = &Store::new(Duration::MAX).await;
    let ada = Author::named("user:ada");
    let user = fixtures::user("2");
    let created = UserRepository::create(&**store, &user, Some(&ada));
    created.await.unwrap();
    let change = UserChange {
        name: Some(UserName::new("by ada").unwrap()),
        ..UserChange::default()
    };
    let changed = UserRepository::change(&**store, &user.id, &change, Some(&ada));
    changed.await.unwrap();
    let authors = async || store.authors_of(&user.id).await.unwrap();
    assert_eq!(authors().await.changed_by, Some(ada.clone()));
    let rename = "UPDATE users SET id = id, name = 'x' WHERE id = '2'";
    database.execute(rename).await;
    assert_eq!(authors().await.changed_by, None);
    assert_eq!(authors().await.created_by, Some(ada.clone()));

    let show = fixtures::show("old", 5);
    let created = ShowRepository::create(&**store, &show, Some(&ada));
    created.await.unwrap();
    let change = "INSERT INTO journal (show_id, seq, at, kind, ticket_id, capacity, \
        max_per_user, hold_seconds, sales_open_at, sales_close_at) \
        SELECT show_id, 2, at, kind, ticket_id, 6, max_per_user, hold_seconds, \
        sales_open_at, sales_close_at FROM journal WHERE show_id = 'old'";
    database.execute(change).await;
    let terms = store.terms_history(&show.id, 0, 9).await.unwrap();
    let by: Vec<_> = terms.into_iter().map(|set| (set.seq, set.by)).collect();
    assert_eq!(by, [(1, Some(ada)), (2, None)]);
    // She has been one all the time.
    assert_eq!(database.number("SELECT COUNT(*) FROM authors").await, 1);
}
