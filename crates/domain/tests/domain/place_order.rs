//! Accepting, reading, confirming and cancelling.

use std::sync::Arc;

use domain::event::Event;
use domain::ids::{ShowId, UserId};
use domain::order::Quantity;
use domain::ports::PublishError;
use domain::principal::Principal;
use domain::receipt::{IdempotencyKey, ProcessId, Receipts};
use domain::rule::{Refusal, TransitionKind, TransitionOutcome};
use domain::show::SalesWindow;
use domain::use_cases::{
    BoxOffice, BoxOfficeParts, ChangeTicketError, LineHint, OrderRequest, PlaceOrderError,
    PlacedOrder, ReadTicketError, TicketView,
};
use domain::user::PriorityClass;

use crate::book::{at, receipts};
use crate::doubles::{World, confirmed, moved_seats};

fn request() -> OrderRequest {
    OrderRequest {
        show_id: ShowId::new("a").unwrap(),
        user_id: UserId::new("1").unwrap(),
        quantity: Quantity::ONE,
        key: None,
        trace: None,
    }
}

fn keyed(key: &str) -> OrderRequest {
    OrderRequest {
        key: Some(IdempotencyKey::new(key.as_bytes()).unwrap()),
        ..request()
    }
}

async fn refused(world: &Arc<World>, request: OrderRequest) -> PlaceOrderError {
    world
        .office()
        .place_order(&Principal::agent(), request)
        .await
        .unwrap_err()
}

#[tokio::test]
async fn an_accepted_order_is_published_in_its_users_class_and_written_nowhere() {
    let world = World::new();
    world.add_user("1", PriorityClass::High);
    let (office, lanes) = (world.office(), world.parts().lanes);
    let PlacedOrder::Queued(order) = office
        .place_order(&Principal::agent(), request())
        .await
        .unwrap()
    else {
        panic!("not queued");
    };
    assert_eq!(order.class, PriorityClass::High);
    let opened = office.open(order.ticket_id).unwrap();
    assert_eq!(opened.class(), Some(order.class));
    assert_eq!(opened.lane(lanes), Some(lanes.of(&order.show_id)));
    assert!(opened.may_be_of(&order.user_id));
    assert_eq!(world.published.lock().len(), 1);
    // Not even a look at the ledger.
    assert_eq!(world.calls(), ["find show", "find user", "publish"]);
}

#[tokio::test]
async fn what_does_not_exist_or_is_too_much_is_not_published() {
    let world = World::new();
    let no_show = OrderRequest {
        show_id: ShowId::new("b").unwrap(),
        ..request()
    };
    assert!(matches!(
        refused(&world, no_show).await,
        PlaceOrderError::ShowNotFound
    ));
    let no_user = OrderRequest {
        user_id: UserId::new("2").unwrap(),
        ..request()
    };
    assert!(matches!(
        refused(&world, no_user).await,
        PlaceOrderError::UserNotFound
    ));
    let too_many = OrderRequest {
        quantity: Quantity::new(5).unwrap(),
        ..request()
    };
    assert!(matches!(
        refused(&world, too_many).await,
        PlaceOrderError::QuantityAboveLimit { max } if max.seats() == 4
    ));
    assert!(world.published.lock().is_empty());
}

/// Each request has every fault that comes after the one it is refused for.
#[tokio::test]
async fn the_first_fault_is_the_answer() {
    let world = World::new();
    let PlacedOrder::Queued(order) = world
        .office()
        .place_order(&Principal::agent(), keyed("k"))
        .await
        .unwrap()
    else {
        panic!("not queued");
    };
    let ticket = confirmed(&order);
    world.tickets.lock().insert(order.ticket_id, ticket);
    let closed = SalesWindow::new(None, Some(at(1))).unwrap();
    world.add_show("closed", closed);
    world.users.lock().clear();
    *world.publish_error.lock() = Some(PublishError::Unavailable("down".into()));
    world.calls.lock().clear();

    let mut request = OrderRequest {
        show_id: ShowId::new("b").unwrap(),
        quantity: Quantity::new(5).unwrap(),
        ..keyed("k")
    };
    let error = refused(&world, request.clone()).await;
    assert!(
        matches!(error, PlaceOrderError::QuantityAboveLimit { .. }),
        "{error:?}"
    );
    request.quantity = Quantity::ONE;
    let error = refused(&world, request.clone()).await;
    assert!(matches!(error, PlaceOrderError::KeyConflict), "{error:?}");
    request.key = None;
    let error = refused(&world, request.clone()).await;
    assert!(matches!(error, PlaceOrderError::ShowNotFound), "{error:?}");
    request.show_id = ShowId::new("closed").unwrap();
    let error = refused(&world, request.clone()).await;
    assert!(
        matches!(error, PlaceOrderError::SalesClosed(_)),
        "{error:?}"
    );
    request.show_id = ShowId::new("a").unwrap();
    let error = refused(&world, request.clone()).await;
    assert!(matches!(error, PlaceOrderError::UserNotFound), "{error:?}");
    world.add_user("1", PriorityClass::Standard);
    let error = refused(&world, request).await;
    assert!(matches!(error, PlaceOrderError::NotQueued(_)), "{error:?}");
    // Each asks only for what it needs to know.
    let expected = [
        &["find ticket", "find show", "find show"][..],
        &["find show", "find user"],
        &["find show", "find user", "publish"],
    ];
    assert_eq!(world.calls(), expected.concat());
}

#[tokio::test]
async fn a_key_is_known_under_older_secrets_too() {
    const OLD: &str = "a secret of the tests";
    const NEW: &str = "a newer secret of the tests";
    let world = World::new();
    let PlacedOrder::Queued(order) = world
        .office()
        .place_order(&Principal::agent(), keyed("k"))
        .await
        .unwrap()
    else {
        panic!("not queued");
    };
    let rotated = || {
        BoxOffice::new(BoxOfficeParts {
            receipts: Arc::new(Receipts::new([NEW, OLD], ProcessId::new(2)).unwrap()),
            ..world.parts()
        })
    };
    let ticket = confirmed(&order);
    world.tickets.lock().insert(order.ticket_id, ticket.clone());
    let replayed = rotated()
        .place_order(&Principal::agent(), keyed("k"))
        .await
        .unwrap();
    assert_eq!(replayed, PlacedOrder::Replayed(ticket));
    // A new key is ordered under the new secret.
    let PlacedOrder::Queued(order) = rotated()
        .place_order(&Principal::agent(), keyed("l"))
        .await
        .unwrap()
    else {
        panic!("not queued");
    };
    let new = Receipts::new([NEW], ProcessId::new(3)).unwrap();
    assert!(new.has_issued(order.ticket_id));
}

/// The id is what the version before called user 1's key `k`.
#[tokio::test]
async fn a_key_is_known_as_it_was_called_before_ids_were_sealed() {
    let world = World::new();
    let PlacedOrder::Queued(mut order) = world
        .office()
        .place_order(&Principal::agent(), keyed("k"))
        .await
        .unwrap()
    else {
        panic!("not queued");
    };
    world.forget_calls();
    order.ticket_id = "7191ae15-449f-8a74-bd6b-c5b9afdaa694".parse().unwrap();
    let ticket = confirmed(&order);
    world.tickets.lock().insert(order.ticket_id, ticket.clone());
    let replayed = world
        .office()
        .place_order(&Principal::agent(), keyed("k"))
        .await
        .unwrap();
    assert_eq!(replayed, PlacedOrder::Replayed(ticket));
    // Not one query for each name.
    assert_eq!(world.calls(), ["find ticket"]);
}

#[tokio::test]
async fn a_show_takes_orders_inside_of_its_window_only() {
    let world = World::new();
    let now = 1_000_000;
    for (open, close, is_open) in [
        (now, now + 1, true),
        (now + 1, now + 2, false),
        (now - 1, now, false),
    ] {
        let window = SalesWindow::new(Some(at(open)), Some(at(close))).unwrap();
        world.add_show("a", window);
        let placed = world
            .office()
            .place_order(&Principal::agent(), request())
            .await;
        match placed {
            Ok(_) => assert!(is_open),
            Err(PlaceOrderError::SalesClosed(told)) => assert!(!is_open && told == window),
            Err(error) => panic!("{error:?}"),
        }
    }
}

#[tokio::test]
async fn a_refused_publish_and_an_unknown_outcome_are_told_apart() {
    let world = World::new();
    for error in [
        PublishError::Full { capacity: 3 },
        PublishError::Unavailable("down".into()),
    ] {
        *world.publish_error.lock() = Some(error);
        assert!(matches!(
            refused(&world, request()).await,
            PlaceOrderError::NotQueued(_)
        ));
    }
    *world.publish_error.lock() = Some(PublishError::OutcomeUnknown);
    let PlaceOrderError::OutcomeUnknown(id) = refused(&world, request()).await else {
        panic!("not unknown");
    };
    assert!(receipts().has_issued(id));
    // Retrying with the key meets the same ticket, whether or not it was queued.
    *world.publish_error.lock() = Some(PublishError::OutcomeUnknown);
    let PlaceOrderError::OutcomeUnknown(id) = refused(&world, keyed("k")).await else {
        panic!("not unknown");
    };
    let PlacedOrder::Queued(order) = world
        .office()
        .place_order(&Principal::agent(), keyed("k"))
        .await
        .unwrap()
    else {
        panic!("not queued");
    };
    assert_eq!(order.ticket_id, id);
}

#[tokio::test]
async fn a_broken_store_is_unavailable_and_nothing_is_published() {
    for call in ["find show", "find user", "find ticket"] {
        let world = World::new();
        world.break_down(call);
        let error = refused(&world, keyed("k")).await;
        assert!(
            matches!(error, PlaceOrderError::StoreUnavailable(_)),
            "{error:?}"
        );
        assert!(world.published.lock().is_empty());
    }
}

#[tokio::test]
async fn a_keyed_order_has_one_id_whatever_its_body() {
    let world = World::new();
    let mut ids = Vec::new();
    for quantity in [1, 1, 2] {
        let quantity = Quantity::new(quantity).unwrap();
        let request = OrderRequest {
            quantity,
            ..keyed("k")
        };
        match world
            .office()
            .place_order(&Principal::agent(), request)
            .await
            .unwrap()
        {
            PlacedOrder::Queued(order) => ids.push(order.ticket_id),
            PlacedOrder::Replayed(ticket) => panic!("{ticket:?}"),
        }
    }
    assert!(ids[0] == ids[1] && ids[1] == ids[2] && ids[0].is_keyed());
}

#[tokio::test]
async fn a_decided_key_is_replayed_or_a_conflict_before_anything_else() {
    let world = World::new();
    let PlacedOrder::Queued(order) = world
        .office()
        .place_order(&Principal::agent(), keyed("k"))
        .await
        .unwrap()
    else {
        panic!("not queued");
    };
    let ticket = confirmed(&order);
    world.tickets.lock().insert(order.ticket_id, ticket.clone());
    // Show and user may be gone by now.
    world.shows.lock().clear();
    world.users.lock().clear();
    let replayed = world
        .office()
        .place_order(&Principal::agent(), keyed("k"))
        .await
        .unwrap();
    assert_eq!(replayed, PlacedOrder::Replayed(ticket));
    for conflicting in [
        OrderRequest {
            quantity: Quantity::new(2).unwrap(),
            ..keyed("k")
        },
        OrderRequest {
            show_id: ShowId::new("b").unwrap(),
            ..keyed("k")
        },
    ] {
        let error = refused(&world, conflicting).await;
        assert!(matches!(error, PlaceOrderError::KeyConflict), "{error:?}");
    }
    assert_eq!(world.published.lock().len(), 1);
}

#[tokio::test]
async fn a_stored_ticket_of_another_user_is_never_shown() {
    let world = World::new();
    let PlacedOrder::Queued(order) = world
        .office()
        .place_order(&Principal::agent(), keyed("k"))
        .await
        .unwrap()
    else {
        panic!("not queued");
    };
    let mut ticket = confirmed(&order);
    ticket.order.user_id = UserId::new("2").unwrap();
    world.tickets.lock().insert(order.ticket_id, ticket);
    let error = refused(&world, keyed("k")).await;
    assert!(matches!(error, PlaceOrderError::KeyConflict), "{error:?}");
}

#[tokio::test]
async fn a_ticket_is_decided_processing_or_never_issued() {
    let world = World::new();
    let office = world.office();
    let PlacedOrder::Queued(order) = office
        .place_order(&Principal::agent(), request())
        .await
        .unwrap()
    else {
        panic!("not queued");
    };
    let id = order.ticket_id;
    let read = async || {
        office
            .read_ticket(&Principal::agent(), id, &LineHint::default())
            .await
    };
    let view = read().await.unwrap();
    let TicketView::Processing {
        id: same,
        requested_at,
        place: Some(_),
    } = view
    else {
        panic!("{view:?}");
    };
    let issued_at = office.open(id).unwrap().issued_at();
    assert_eq!((same, requested_at), (id, issued_at));
    assert_eq!(issued_at, Some(at(1_000_000)));
    let ticket = confirmed(&order);
    world.tickets.lock().insert(id, ticket.clone());
    assert_eq!(read().await.unwrap(), TicketView::Decided(ticket));
    // An id says nothing while the ledger does not.
    world.break_down("find ticket");
    let error = read().await.unwrap_err();
    assert!(
        matches!(error, ReadTicketError::StoreUnavailable(_)),
        "{error:?}"
    );
}

#[tokio::test]
async fn the_ledger_is_not_asked_for_an_id_that_nobody_issued() {
    let world = World::new();
    let office = world.office();
    let forged = "0199a2b4-7d3e-8001-8a5f-3c0d9e412b77".parse().unwrap();
    let read = office
        .read_ticket(&Principal::agent(), forged, &LineHint::default())
        .await;
    assert!(matches!(read, Err(ReadTicketError::NotFound)), "{read:?}");
    for kind in [TransitionKind::Confirm, TransitionKind::Cancel] {
        let changed = office
            .change_ticket(&Principal::agent(), forged, kind)
            .await;
        assert!(
            matches!(changed, Err(ChangeTicketError::NotFound)),
            "{changed:?}"
        );
    }
    assert!(world.calls().is_empty());
}

#[tokio::test]
async fn a_change_is_announced_once_and_stays_when_that_fails() {
    let world = World::new();
    let office = world.office();
    let PlacedOrder::Queued(order) = office
        .place_order(&Principal::agent(), request())
        .await
        .unwrap()
    else {
        panic!("not queued");
    };
    let ticket = confirmed(&order);
    let change = async |outcome: TransitionOutcome| {
        world.transitions.lock().push_back(outcome);
        office
            .change_ticket(&Principal::agent(), order.ticket_id, TransitionKind::Cancel)
            .await
    };
    world.moved.lock().push(moved_seats());
    let changed = change(TransitionOutcome::Changed(ticket.clone()))
        .await
        .unwrap();
    assert!(changed.announced.is_ok());
    change(TransitionOutcome::Unchanged(ticket.clone()))
        .await
        .unwrap();
    let expected = [Event::Ticket(ticket.clone()), Event::Show(moved_seats())];
    assert_eq!(*world.announced.lock(), expected);
    world.break_down("announce");
    let changed = change(TransitionOutcome::Changed(ticket.clone()))
        .await
        .unwrap();
    assert!(changed.announced.is_err() && changed.ticket == ticket);
    let refused = change(TransitionOutcome::Refused(ticket, Refusal::HoldExpired)).await;
    assert!(matches!(
        refused,
        Err(ChangeTicketError::Refused(_, Refusal::HoldExpired))
    ));
    let queued = change(TransitionOutcome::NotDecided).await;
    assert!(matches!(queued, Err(ChangeTicketError::NotDecided)));
    world.break_down("transition");
    let broken = change(TransitionOutcome::NotDecided).await;
    assert!(matches!(
        broken,
        Err(ChangeTicketError::StoreUnavailable(_))
    ));
}
