//! Administration, and a user's list of tickets.

use domain::event::Event;
use domain::ids::{ShowId, UserId};
use domain::ports::{ChangeShowError, CreateShowError, TicketPage};
use domain::principal::Principal;
use domain::rule::ShowLedger;
use domain::show::{SalesWindow, ShowChange, Title};
use domain::use_cases::ListTicketsError;

use crate::book::{at, order, receipts};
use crate::doubles::{World, confirmed, moved_seats};

#[tokio::test]
async fn a_new_show_is_told_as_the_rule_opens_it() {
    let world = World::new();
    world.add_show("b", SalesWindow::default());
    let id = ShowId::new("b").unwrap();
    let show = world.shows.lock().remove(&id).unwrap();
    let office = world.office();
    let standing = office
        .create_show(&Principal::operator(), show.clone())
        .await
        .unwrap();
    let (opened, _) = ShowLedger::open(id, show.terms.clone(), at(1));
    assert_eq!(standing.show, show);
    assert_eq!(
        (standing.seats, standing.seq),
        (opened.seats(), opened.seq())
    );
    let again = office
        .create_show(&Principal::operator(), show)
        .await
        .unwrap_err();
    assert!(matches!(again, CreateShowError::AlreadyExists), "{again:?}");
}

#[tokio::test]
async fn a_changed_show_is_announced_and_stays_changed_when_that_fails() {
    let world = World::new();
    let office = world.office();
    let by = Principal::operator();
    let id = ShowId::new("a").unwrap();
    let change = ShowChange {
        title: Some(Title::new("Another").unwrap()),
        ..ShowChange::default()
    };
    let changed = office.change_show(&by, &id, &change).await.unwrap();
    assert!(changed.announced.is_ok());
    assert_eq!(*world.announced.lock(), [Event::Show(moved_seats())]);
    world.break_down("announce");
    let changed = office.change_show(&by, &id, &change).await.unwrap();
    assert!(changed.announced.is_err());
    assert_eq!(changed.standing.show.title.as_str(), "Another");

    world.calls.lock().clear();
    let unknown = ShowId::new("b").unwrap();
    let error = office
        .change_show(&by, &unknown, &change)
        .await
        .unwrap_err();
    assert!(matches!(error, ChangeShowError::NotFound), "{error:?}");
    // What did not happen is not announced.
    assert!(world.calls().is_empty());
}

#[tokio::test]
async fn a_users_tickets_are_listed_if_there_is_such_a_user() {
    let world = World::new();
    let office = world.office();
    let receipts = receipts();
    for user in [1, 2, 1] {
        let order = order(&receipts, user, 1, at(1));
        let ticket = confirmed(&order);
        world.tickets.lock().insert(order.ticket_id, ticket);
    }
    let page = |limit| TicketPage { limit, after: None };
    let user = UserId::from(1);
    let list = async |limit| {
        office
            .list_tickets(&Principal::agent(), &user, page(limit))
            .await
            .unwrap()
            .len()
    };
    assert_eq!((list(9).await, list(1).await), (2, 1));
    let error = office
        .list_tickets(&Principal::agent(), &UserId::from(2), page(9))
        .await;
    assert!(matches!(error, Err(ListTicketsError::UserNotFound)));
    for call in ["list tickets", "find user"] {
        world.break_down(call);
        let error = office
            .list_tickets(&Principal::agent(), &user, page(9))
            .await;
        assert!(matches!(error, Err(ListTicketsError::StoreUnavailable(_))));
    }
}
