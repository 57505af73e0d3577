//! On whose behalf.

use std::sync::Arc;

use async_trait::async_trait;
use domain::event::Event;
use domain::ids::{ShowId, UserId};
use domain::order::{Order, Quantity};
use domain::ports::{DecidedState, LedgerError, ShowRepositoryError, TicketPage, TransitionReport};
use domain::principal::Principal;
use domain::receipt::{IdempotencyKey, TicketId};
use domain::rule::{TransitionKind, TransitionOutcome};
use domain::show::ShowStanding;
use domain::ticket::Ticket;
use domain::use_cases::{
    BoxOffice, BoxOfficeParts, ChangeTicketError, LineHint, ListTicketsError, OrderRequest,
    PlaceOrderError, PlacedOrder, ReadTicketError, TicketView,
};
use domain::user::PriorityClass;

use crate::doubles::{World, confirmed};

fn user(id: &str) -> UserId {
    UserId::new(id).unwrap()
}

fn order_of(id: &str) -> OrderRequest {
    OrderRequest {
        show_id: ShowId::new("a").unwrap(),
        user_id: user(id),
        quantity: Quantity::ONE,
        key: None,
        trace: None,
    }
}

/// Of each kind, and whether it may order for and see the tickets of user 1.
fn principals() -> [(Principal, bool, bool); 5] {
    let both = Principal {
        operator: true,
        ..Principal::agent()
    };
    [
        (Principal::buyer(user("1")), true, true),
        (Principal::buyer(user("2")), false, false),
        (Principal::agent(), true, true),
        (Principal::operator(), false, true),
        (both, true, true),
    ]
}

#[tokio::test]
async fn everybody_acts_for_those_it_may_and_for_nobody_else() {
    for (principal, may_act, may_see) in principals() {
        let world = World::new();
        let office = world.office();
        let placed = office.place_order(&principal, order_of("1")).await;
        let order = match placed {
            Ok(PlacedOrder::Queued(order)) if may_act => order,
            Err(PlaceOrderError::Forbidden) if !may_act => {
                let placed = office.place_order(&Principal::agent(), order_of("1")).await;
                let PlacedOrder::Queued(order) = placed.unwrap() else {
                    panic!("not queued");
                };
                order
            }
            other => panic!("{principal:?}: {other:?}"),
        };
        let id = order.ticket_id;
        world.tickets.lock().insert(id, confirmed(&order));
        let hint = LineHint::default();
        match office.read_ticket(&principal, id, &hint).await {
            Ok(TicketView::Decided(_)) if may_see => {}
            Err(ReadTicketError::NotFound) if !may_see => {}
            other => panic!("{principal:?}: {other:?}"),
        }
        let page = TicketPage {
            limit: 9,
            after: None,
        };
        let listed = office.list_tickets(&principal, &user("1"), page).await;
        match listed {
            Ok(_) if may_see => {}
            Err(ListTicketsError::Forbidden) if !may_see => {}
            other => panic!("{principal:?}: {other:?}"),
        }
        let outcome = TransitionOutcome::Unchanged(confirmed(&order));
        world.transitions.lock().push_back(outcome);
        let changed = office.change_ticket(&principal, id, TransitionKind::Confirm);
        let changed = changed.await;
        let asked = world.asked.lock().pop();
        match (changed, asked) {
            (Ok(_), Some(asked)) if may_act => {
                assert_eq!(asked.holder.as_ref(), principal.only_user());
            }
            (Err(ChangeTicketError::NotFound), None) if !may_act && !principal.operator => {}
            (Err(ChangeTicketError::Forbidden), None) if !may_act && principal.operator => {}
            other => panic!("{principal:?}: {other:?}"),
        }
    }
}

/// Of ids of before, only the ledger knows whose they are.
#[tokio::test]
async fn a_ticket_that_the_ledger_finds_to_be_somebody_elses_is_not_there() {
    let world = World::new();
    let office = world.office();
    let placed = office.place_order(&Principal::agent(), order_of("1")).await;
    let PlacedOrder::Queued(order) = placed.unwrap() else {
        panic!("not queued");
    };
    world
        .transitions
        .lock()
        .push_back(TransitionOutcome::NotTheirs);
    let buyer = Principal::buyer(user("1"));
    let changed = office.change_ticket(&buyer, order.ticket_id, TransitionKind::Cancel);
    let refused = changed.await.unwrap_err();
    assert!(
        matches!(refused, ChangeTicketError::NotFound),
        "{refused:?}"
    );
    let id = order.ticket_id;
    let other = Order {
        user_id: user("2"),
        ..order
    };
    world.tickets.lock().insert(id, confirmed(&other));
    for read in [
        office.read_ticket(&buyer, id, &LineHint::default()).await,
        office.read_current_ticket(&buyer, id).await,
    ] {
        assert!(matches!(read, Err(ReadTicketError::NotFound)), "{read:?}");
    }
}

#[tokio::test]
async fn a_buyers_first_order_creates_its_user_if_it_may() {
    let enrolling = |id: &str| Principal {
        enrols_as: Some(PriorityClass::High),
        ..Principal::buyer(user(id))
    };
    let world = World::new();
    let office = world.office();
    let unknown = Principal::buyer(user("7"));
    let refused = office.place_order(&unknown, order_of("7")).await;
    let refused = refused.unwrap_err();
    assert!(matches!(refused, PlaceOrderError::UserNotFound));
    // Not for somebody else, whoever may act for them.
    let agent = Principal {
        agent: true,
        ..enrolling("7")
    };
    let refused = office.place_order(&agent, order_of("8")).await.unwrap_err();
    assert!(matches!(refused, PlaceOrderError::UserNotFound));
    for _ in 0..2 {
        let placed = office.place_order(&enrolling("7"), order_of("7")).await;
        let PlacedOrder::Queued(order) = placed.unwrap() else {
            panic!("not queued");
        };
        assert_eq!(order.class, PriorityClass::High);
    }
    let created = office.read_user(&user("7")).await.unwrap().unwrap();
    assert_eq!(created.name.as_str(), "7");
}

/// The store cannot tell yet whose it is; the id can.
#[tokio::test]
async fn an_order_that_waits_is_not_there_for_others() {
    let world = World::new();
    let office = world.office();
    let placed = office.place_order(&Principal::agent(), order_of("1")).await;
    let PlacedOrder::Queued(order) = placed.unwrap() else {
        panic!("not queued");
    };
    let (id, hint) = (order.ticket_id, LineHint::default());
    world.forget_calls();
    // One in 1,024 would be taken for the buyer.
    let strangers = ["2", "3", "4"].map(|id| Principal::buyer(user(id)));
    for stranger in strangers {
        let read = office.read_ticket(&stranger, id, &hint).await;
        assert!(matches!(read, Err(ReadTicketError::NotFound)), "{read:?}");
        let changed = office
            .change_ticket(&stranger, id, TransitionKind::Cancel)
            .await;
        assert!(
            matches!(changed, Err(ChangeTicketError::NotFound)),
            "{changed:?}"
        );
    }
    assert!(world.calls().is_empty());
    let read = office
        .read_ticket(&Principal::buyer(user("1")), id, &hint)
        .await;
    assert!(
        matches!(read, Ok(TicketView::Processing { .. })),
        "{read:?}"
    );
}

/// A cache of one ticket, as all may have read it.
struct Cached(Ticket);

#[async_trait]
impl DecidedState for Cached {
    async fn ticket(&self, _: TicketId) -> Result<Option<Ticket>, LedgerError> {
        Ok(Some(self.0.clone()))
    }

    async fn show(&self, _: &ShowId) -> Result<Option<ShowStanding>, ShowRepositoryError> {
        Ok(None)
    }

    fn hear(&self, _: &Event) {}

    async fn note_changed(&self, _: &TransitionReport) {}

    async fn note_show_changed(&self, _: &ShowStanding) {}

    fn note_erased(&self, _: &UserId) {}
}

#[tokio::test]
async fn a_cached_ticket_is_shown_to_those_who_may_see_it_and_no_order_asks_for_one() {
    let world = World::new();
    let placed = world
        .office()
        .place_order(&Principal::agent(), order_of("1"))
        .await;
    let PlacedOrder::Queued(order) = placed.unwrap() else {
        panic!("not queued");
    };
    let id = order.ticket_id;
    let office = BoxOffice::new(BoxOfficeParts {
        state: Some(Arc::new(Cached(confirmed(&order)))),
        ..world.parts()
    });
    let hint = LineHint::default();
    for (principal, _, may_see) in principals() {
        match office.read_ticket(&principal, id, &hint).await {
            Ok(TicketView::Decided(ticket)) if may_see => assert_eq!(ticket, confirmed(&order)),
            Err(ReadTicketError::NotFound) if !may_see => {}
            other => panic!("{principal:?}: {other:?}"),
        }
    }
    // Of nobody: it is not asked for.
    let mut other = id.to_bytes();
    other[15] ^= 1;
    let forged = TicketId::from_bytes(other).unwrap();
    let read = office.read_ticket(&Principal::agent(), forged, &hint).await;
    assert!(matches!(read, Err(ReadTicketError::NotFound)), "{read:?}");
    let keyed = OrderRequest {
        key: Some(IdempotencyKey::new(b"k").unwrap()),
        ..order_of("1")
    };
    for request in [keyed, order_of("1")] {
        let placed = office.place_order(&Principal::agent(), request).await;
        assert!(matches!(placed, Ok(PlacedOrder::Queued(_))), "{placed:?}");
    }
}
