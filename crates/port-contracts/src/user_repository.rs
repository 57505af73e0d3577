//! The contract of [`domain::ports::UserRepository`].

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use domain::author::Author;
use domain::ports::{CreateUserError, UserRepository};
use domain::ticket::{RejectionReason, Status, Ticket};
use domain::user::{PriorityClass, User, UserChange, UserName};
use tokio::time::{Instant, sleep};

use crate::fixtures::{OrderSource, holding_show, user, user_id};
use crate::harness::StoreHarness;
use crate::support::{Background, concurrently, in_pages, measured, within};

contract!($ user_repository_contract, user_repository, [
    a_user_is_found_as_created,
    ids_differ_in_every_byte,
    of_concurrent_creations_exactly_one_wins,
    a_miss_is_not_remembered,
    a_look_up_under_way_does_not_hide_a_new_user,
    a_change_touches_only_what_it_names,
    concurrent_changes_of_different_fields_both_last,
    users_are_listed_by_id_in_pages,
    orders_know_a_new_user_at_once,
    orders_know_a_changed_class_soon,
    an_erased_user_leaves_tickets_under_another_name,
    a_user_is_kept_with_its_authors,
]);

fn named(id: &str, name: &str) -> User {
    User {
        name: UserName::new(name).unwrap(),
        ..user(id)
    }
}

async fn find(users: &Arc<dyn UserRepository>, id: &str) -> Option<User> {
    users.find(&user_id(id)).await.unwrap()
}

/// Every field, at its limits, in every process.
pub async fn a_user_is_found_as_created(h: &StoreHarness) {
    let other = (h.connect)().await;
    let longest_id = "~".repeat(64);
    let high = User {
        priority: PriorityClass::High,
        ..named("1", "Zoë 🎟")
    };
    for user in [high, named(&longest_id, &"🎟".repeat(200))] {
        h.ports.users.create(&user, None).await.unwrap();
        for users in [&h.ports.users, &other.users] {
            assert_eq!(find(users, user.id.as_str()).await.as_ref(), Some(&user));
        }
    }
    assert_eq!(find(&other.users, "2").await, None);
}

/// A store's collation must not take `a` for `A`.
pub async fn ids_differ_in_every_byte(h: &StoreHarness) {
    for id in ["a", "A", "a-", "a_", "a.", "a~", "0", "00"] {
        assert_eq!(find(&h.ports.users, id).await, None);
        h.ports.users.create(&named(id, id), None).await.unwrap();
    }
    for id in ["a", "A", "a-", "a_", "a.", "a~", "0", "00"] {
        assert_eq!(find(&h.ports.users, id).await, Some(named(id, id)));
    }
}

/// Sixteen callers of two processes, one winner, whose user stays.
pub async fn of_concurrent_creations_exactly_one_wins(h: &StoreHarness) {
    let other = (h.connect)().await;
    let results = concurrently(16, |number| {
        let users = Arc::clone([&h.ports.users, &other.users][number % 2]);
        async move { users.create(&named("1", &number.to_string()), None).await }
    })
    .await;
    let mut winners = Vec::new();
    for (number, result) in results.into_iter().enumerate() {
        match result {
            Ok(()) => winners.push(number),
            Err(CreateUserError::AlreadyExists) => {}
            Err(error) => panic!("{error:?}"),
        }
    }
    let [winner] = winners[..] else {
        panic!("created by {winners:?}");
    };
    let expected = named("1", &winner.to_string());
    assert_eq!(find(&other.users, "1").await, Some(expected));
}

/// Looked up before it existed, found by both processes as soon as it does.
pub async fn a_miss_is_not_remembered(h: &StoreHarness) {
    let other = (h.connect)().await;
    assert_eq!(find(&h.ports.users, "1").await, None);
    assert_eq!(find(&other.users, "1").await, None);
    h.ports.users.create(&user("1"), None).await.unwrap();
    assert_eq!(find(&h.ports.users, "1").await, Some(user("1")));
    assert_eq!(find(&other.users, "1").await, Some(user("1")));
}

/// A look-up that begins after the creation must not share the answer of one
/// that began before it.
pub async fn a_look_up_under_way_does_not_hide_a_new_user(h: &StoreHarness) {
    const ROUNDS: usize = 30;
    let round = Arc::new(AtomicUsize::new(0));
    let looking = Background::repeat(4, {
        let (users, round) = (Arc::clone(&h.ports.users), Arc::clone(&round));
        move || {
            let (users, round) = (Arc::clone(&users), Arc::clone(&round));
            async move {
                find(&users, &round.load(Ordering::Relaxed).to_string()).await;
            }
        }
    });
    for number in 0..ROUNDS {
        round.store(number, Ordering::Relaxed);
        let id = number.to_string();
        assert_eq!(find(&h.ports.users, &id).await, None);
        h.ports.users.create(&user(&id), None).await.unwrap();
        assert_eq!(find(&h.ports.users, &id).await, Some(user(&id)));
    }
    looking.stop().await;
}

/// `None` leaves a field as it is; an unknown user is not created.
pub async fn a_change_touches_only_what_it_names(h: &StoreHarness) {
    let other = (h.connect)().await;
    let users = &h.ports.users;
    h.given(&[], &["1", "2"]).await;
    let rename = UserChange {
        name: Some(UserName::new("Ann").unwrap()),
        priority: None,
    };
    let promote = UserChange {
        name: None,
        priority: Some(PriorityClass::High),
    };
    let renamed = users.change(&user_id("1"), &rename, None).await.unwrap();
    assert_eq!(renamed, Some(named("1", "Ann")));
    let promoted = User {
        priority: PriorityClass::High,
        ..named("1", "Ann")
    };
    let changed = users.change(&user_id("1"), &promote, None).await.unwrap();
    assert_eq!(changed.as_ref(), Some(&promoted));
    assert_eq!(find(&other.users, "1").await.as_ref(), Some(&promoted));
    let unchanged = users
        .change(&user_id("1"), &UserChange::default(), None)
        .await
        .unwrap();
    assert_eq!(unchanged, Some(promoted));
    assert_eq!(find(users, "2").await, Some(user("2")));
    assert_eq!(
        users.change(&user_id("3"), &rename, None).await.unwrap(),
        None
    );
    assert_eq!(find(users, "3").await, None);
}

/// Read, change, write back without a lock would lose one of them.
pub async fn concurrent_changes_of_different_fields_both_last(h: &StoreHarness) {
    const ROUNDS: usize = 50;
    let other = (h.connect)().await;
    h.given(&[], &["1"]).await;
    for round in 0..ROUNDS {
        let name = UserName::new(&round.to_string()).unwrap();
        let priority = PriorityClass::ALL[round % 2];
        concurrently(2, |number| {
            let (users, change) = if number == 0 {
                let name = Some(name.clone());
                let priority = None;
                (Arc::clone(&h.ports.users), UserChange { name, priority })
            } else {
                let name = None;
                let priority = Some(priority);
                (Arc::clone(&other.users), UserChange { name, priority })
            };
            async move { users.change(&user_id("1"), &change, None).await.unwrap() }
        })
        .await;
        let user = find(&h.ports.users, "1").await.unwrap();
        assert_eq!((user.name, user.priority), (name, priority));
    }
}

/// In byte order, whatever the sequence of creation or the collation.
pub async fn users_are_listed_by_id_in_pages(h: &StoreHarness) {
    let users = &h.ports.users;
    assert_eq!(users.list(None, 10).await.unwrap(), []);
    let sorted = ["-", ".", "0", "10", "9", "A", "B", "_", "a", "b", "~"];
    for id in ["b", "9", "~", "A", "0", "a", "_", "10", ".", "B", "-"] {
        users.create(&user(id), None).await.unwrap();
    }
    let page = async |after: Option<&User>| {
        let after = after.map(|user| &user.id);
        users.list(after, 4).await.unwrap()
    };
    let listed = in_pages(4, page).await;
    let listed: Vec<_> = listed.iter().map(|user| user.id.as_str()).collect();
    assert_eq!(listed, sorted);
    // Between two ids, and before all: `after` need not exist.
    let page = users.list(Some(&user_id("1")), 2).await.unwrap();
    assert_eq!(page, [user("10"), user("9")]);
    assert_eq!(users.list(None, 1).await.unwrap(), [user("-")]);
    assert_eq!(users.list(Some(&user_id("~")), 9).await.unwrap(), []);
}

/// In every process, whatever it was asked before.
pub async fn orders_know_a_new_user_at_once(h: &StoreHarness) {
    let other = (h.connect)().await;
    let id = user_id("1");
    for users in [&h.ports.users, &other.users] {
        assert_eq!(users.class_of(&id).await.unwrap(), None);
    }
    let high = User {
        priority: PriorityClass::High,
        ..user("1")
    };
    h.ports.users.create(&high, None).await.unwrap();
    for users in [&other.users, &h.ports.users] {
        let class = users.class_of(&id).await.unwrap();
        assert_eq!(class, Some(PriorityClass::High));
    }
}

/// In every process, one that has already asked included.
pub async fn orders_know_a_changed_class_soon(h: &StoreHarness) {
    let other = (h.connect)().await;
    h.given(&[], &["1"]).await;
    let id = user_id("1");
    for class in [PriorityClass::High, PriorityClass::Standard] {
        for users in [&h.ports.users, &other.users] {
            assert!(users.class_of(&id).await.unwrap().is_some());
        }
        let change = UserChange {
            name: None,
            priority: Some(class),
        };
        h.ports.users.change(&id, &change, None).await.unwrap();
        let changed = Instant::now();
        for users in [&h.ports.users, &other.users] {
            let known = async {
                while users.class_of(&id).await.unwrap() != Some(class) {
                    sleep(Duration::from_millis(50)).await;
                }
            };
            within("orders know the changed class", known).await;
        }
        measured("changed class known", changed.elapsed());
    }
}

/// Seats, statuses and the limit per user are as before; nothing has the id any more.
pub async fn an_erased_user_leaves_tickets_under_another_name(h: &StoreHarness) {
    let [gone, alias] = ["gone", "erased-1"].map(user_id);
    let mut show = holding_show("a", 10, 60);
    show.terms.max_per_user = 2.try_into().unwrap();
    h.given(&[show, holding_show("b", 10, 0)], &["gone", "stays"])
        .await;
    let source = OrderSource::new(1);
    let mut orders = source.orders(3, "a", "gone");
    orders.extend(source.orders(1, "b", "gone"));
    orders.extend(source.orders(1, "b", "stays"));
    h.decide(&orders).await;
    let ids: Vec<_> = orders.iter().map(|order| order.ticket_id).collect();
    let before = h.ports.ledger.find(&ids).await.unwrap();
    let (a, b) = (h.seats("a").await, h.seats("b").await);

    let users = &h.ports.users;
    assert_eq!(users.erase(&gone, &alias).await.unwrap(), Some(4));
    assert_eq!(users.erase(&gone, &alias).await.unwrap(), None);
    assert_eq!(find(users, "gone").await, None);
    assert_eq!(users.class_of(&gone).await.unwrap(), None);
    assert_eq!(h.tickets_of("gone").await, []);
    assert_eq!(h.tickets_of("erased-1").await.len(), 4);
    let mut after = h.ports.ledger.find(&ids).await.unwrap();
    for ticket in &mut after {
        if ticket.order.user_id == alias {
            ticket.order.user_id = gone.clone();
        }
    }
    let by_id = |mut tickets: Vec<Ticket>| {
        tickets.sort_unstable_by_key(|ticket| ticket.order.ticket_id);
        tickets
    };
    assert_eq!(by_id(after), by_id(before));
    assert_eq!((h.seats("a").await, h.seats("b").await), (a, b));

    // Who comes back is somebody else, with a limit of their own.
    let late = source.orders(1, "a", "gone");
    let report = h.decide(&late).await;
    let rejection = report.decisions[0].ticket().rejection();
    assert_eq!(rejection, Some(RejectionReason::UserNotFound));
    users.create(&user("gone"), None).await.unwrap();
    let again = source.orders(2, "a", "gone");
    for decision in h.decide(&again).await.decisions {
        assert_eq!(decision.ticket().status, Status::Reserved);
    }
    assert_eq!(users.erase(&user_id("nobody"), &alias).await.unwrap(), None);
}

/// In every process. Of a change whose author is not known nobody is said to be it. Once an author
/// is erased, the alias is in its place.
pub async fn a_user_is_kept_with_its_authors(h: &StoreHarness) {
    let other = (h.connect)().await;
    let [ada, alias] = ["ada", "erased-1"].map(user_id);
    let by_ada = Author::user(&ada);
    let robot = Author::named("admin.token");
    let rename = |name: &str| UserChange {
        name: Some(UserName::new(name).unwrap()),
        ..UserChange::default()
    };
    let authors = async |id: &str| {
        let [one, another] = [&h.ports.users, &other.users].map(Arc::clone);
        let found = one.authors_of(&user_id(id)).await.unwrap();
        assert_eq!(another.authors_of(&user_id(id)).await.unwrap(), found);
        (found.created_by, found.changed_by)
    };
    let users = &h.ports.users;
    users.create(&user("1"), Some(&by_ada)).await.unwrap();
    users.create(&user("2"), None).await.unwrap();
    assert_eq!(authors("1").await, (Some(by_ada.clone()), None));
    assert_eq!(authors("2").await, (None, None));
    assert_eq!(authors("3").await, (None, None));
    for (name, by) in [
        ("a", Some(&robot)),
        ("a", Some(&by_ada)),
        ("a", None),
        ("b", Some(&by_ada)),
    ] {
        let changed = other.users.change(&user_id("1"), &rename(name), by).await;
        assert!(changed.unwrap().is_some());
        assert_eq!(authors("1").await, (Some(by_ada.clone()), by.cloned()));
    }
    assert_eq!(users.erase(&ada, &alias).await.unwrap(), Some(0));
    let alias = Some(Author::user(&alias));
    assert_eq!(authors("1").await, (alias.clone(), alias));
    assert_eq!(authors("2").await, (None, None));
}
