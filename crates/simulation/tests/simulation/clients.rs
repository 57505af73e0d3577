//! Those who buy, and remember what they are told.

use std::sync::Arc;
use std::time::Duration;

use domain::order::Quantity;
use domain::principal::Principal;
use domain::receipt::{IdempotencyKey, TicketId};
use domain::rule::TransitionKind;
use domain::ticket::{Status, Ticket};
use domain::time::Timestamp;
use domain::use_cases::{
    BoxOffice, LineHint, OrderRequest, PlaceOrderError, PlacedOrder, ReadTicketError, TicketView,
};
use futures_util::future::join_all;
use tokio::time::{sleep, timeout};

use crate::processes::RunningWorld;
use crate::told::Ending;
use crate::truth::{self, ATTEMPT};
use crate::world::World;

const VERIFIED_FOR_MICROS: i64 = 2_000_000;

/// Sends a request to some process that accepts, and waits for the answer for
/// as long as a client would.
pub(crate) async fn ask<T, F>(
    world: &Arc<RunningWorld>,
    request: impl FnOnce(Arc<BoxOffice>) -> F,
) -> Option<T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let Some((node, office)) = world.any_office() else {
        // Nobody listens there.
        sleep(Duration::from_millis(1)).await;
        return None;
    };
    let mut answer = node.spawn(request(office));
    let patience = if world.happens(|weather| weather.clients_leave) {
        world.draw(|chance| chance.millis(1, 400))
    } else {
        Duration::from_secs(30)
    };
    match timeout(patience, &mut answer).await {
        Ok(Ok(_)) if world.happens(|weather| weather.clients_leave) => None,
        Ok(Ok(answer)) => Some(answer),
        // The process ended.
        Ok(Err(_)) => None,
        Err(_) => {
            // A closed connection ends the request, or it goes on unheard.
            if world.draw(|chance| chance.one_in(2)) {
                answer.abort();
            }
            None
        }
    }
}

pub(crate) async fn pause(world: &World, low: u64, high: u64) {
    sleep(world.draw(|chance| chance.millis(low, high))).await;
}

/// One buyer's orders, one after the other.
pub(crate) async fn buys(world: Arc<RunningWorld>, number: usize) {
    for order in 0..world.draw(|chance| chance.between(2, 7)) {
        if world.draw(|chance| chance.one_in(2)) {
            pause(&world, 1, 800).await;
        }
        let is_keyed = world.draw(|chance| chance.one_in(2));
        let key = is_keyed.then(|| format!("{number}-{order}"));
        let request = draw_request(&world, key.as_deref());
        let repeats = is_keyed && world.draw(|chance| chance.one_in(3));
        let late = repeats.then(|| request.clone());
        if let Some(id) = order_until_taken(&world, request).await {
            follows(&world, id).await;
        }
        if let Some(request) = late {
            order_until_taken(&world, request).await;
        }
    }
}

fn draw_request(world: &World, key: Option<&str>) -> OrderRequest {
    let (plan, key) = (&world.plan, key.map(str::as_bytes));
    world.draw(|chance| OrderRequest {
        show_id: chance.pick(&plan.shows).id.clone(),
        user_id: chance.pick(&plan.users).id.clone(),
        quantity: Quantity::new(chance.seats(1, 3)).unwrap(),
        key: key.map(|key| IdempotencyKey::new(key).unwrap()),
        trace: None,
    })
}

/// Orders, with a key again and again, now and then with another body or twice at once.
async fn order_until_taken(world: &Arc<RunningWorld>, request: OrderRequest) -> Option<TicketId> {
    let mut ticket = None;
    let is_keyed = request.key.is_some();
    let attempts = if is_keyed { 5 } else { 1 };
    for attempt in 0..attempts {
        let mut requests = vec![request.clone()];
        if is_keyed && world.draw(|chance| chance.one_in(6)) {
            requests.push(request.clone());
        }
        if is_keyed && world.draw(|chance| chance.one_in(8)) {
            let quantity = world.draw(|chance| chance.seats(1, 3));
            requests.push(OrderRequest {
                quantity: Quantity::new(quantity).unwrap(),
                ..request.clone()
            });
        }
        let answers = join_all(requests.into_iter().map(|request| order(world, request))).await;
        for id in answers.into_iter().flatten() {
            ticket = Some(id);
            world.told.lock().names(&request, id);
        }
        let is_content = ticket.is_some() && !world.draw(|chance| chance.one_in(4));
        if is_content || attempt + 1 == attempts {
            break;
        }
        pause(world, 1, 600).await;
    }
    ticket
}

/// One attempt; the id of the ticket, if the answer names one.
async fn order(world: &Arc<RunningWorld>, request: OrderRequest) -> Option<TicketId> {
    let attempt = world.told.lock().attempt();
    let began = world.now();
    let was_decided = world.told.lock().knows_verdict(&request);
    let asked = request.clone();
    world.note("client", format_args!("attempt {attempt}: {request:?}"));
    let answer = ask(world, |office| {
        ATTEMPT.scope(attempt, async move {
            office.place_order(&Principal::agent(), request).await
        })
    })
    .await;
    world.note("client", format_args!("attempt {attempt}: {answer:?}"));
    let (ending, id) = match answer {
        Some(Ok(PlacedOrder::Queued(order))) => {
            world.check(
                !was_decided,
                format_args!("queued although it was decided before: {order:?}"),
            );
            (Ending::Taken, Some(order.ticket_id))
        }
        Some(Ok(PlacedOrder::Replayed(ticket))) => {
            let order = &ticket.order;
            let is_the_same = order.user_id == asked.user_id
                && order.show_id == asked.show_id
                && order.quantity == asked.quantity;
            world.check(
                is_the_same,
                format_args!("{asked:?} was answered {ticket:?}"),
            );
            truth::saw(world, &ticket, 1);
            (Ending::Taken, Some(order.ticket_id))
        }
        Some(Err(PlaceOrderError::OutcomeUnknown(id))) => (Ending::Unknown, Some(id)),
        None => (Ending::Unknown, None),
        Some(Err(error)) => {
            check_refusal(world, &asked, began, &error);
            (Ending::Refused, None)
        }
    };
    let told = &mut *world.told.lock();
    told.attempts[attempt].ending = ending;
    if ending == Ending::Taken {
        told.taken.extend(id);
    }
    id
}

fn check_refusal(world: &World, request: &OrderRequest, began: Timestamp, error: &PlaceOrderError) {
    let expected = match error {
        // A seat that came back is for sale through every gate within two seconds.
        PlaceOrderError::SoldOut => {
            let earlier = began.as_micros() - VERIFIED_FOR_MICROS;
            let earlier = Timestamp::from_micros(earlier).unwrap();
            let tables = world.tables.lock();
            request.key.is_none() && tables.shows[&request.show_id].was_sold_out_since(earlier)
        }
        PlaceOrderError::KeyConflict => request.key.is_some(),
        PlaceOrderError::SalesClosed(_)
        | PlaceOrderError::NotQueued(_)
        | PlaceOrderError::StoreUnavailable(_) => true,
        PlaceOrderError::Forbidden
        | PlaceOrderError::QuantityAboveLimit { .. }
        | PlaceOrderError::ShowNotFound
        | PlaceOrderError::UserNotFound
        | PlaceOrderError::ClockOff
        | PlaceOrderError::OutcomeUnknown(_) => false,
    };
    world.check(expected, format_args!("{request:?} was answered {error:?}"));
}

/// Waits for the verdict, then does something about the hold, or lets it lapse.
async fn follows(world: &Arc<RunningWorld>, id: TicketId) {
    for _ in 0..8 {
        match read(world, id).await {
            Some(ticket) => {
                if let Some(end) = ticket.hold_expires_at() {
                    ends_hold(world, &ticket, end).await;
                } else if ticket.status == Status::Confirmed
                    && world.draw(|chance| chance.one_in(3))
                {
                    change(world, id, TransitionKind::Cancel).await;
                }
                return;
            }
            None if world.draw(|chance| chance.one_in(6)) => {
                // Too early, perhaps.
                change(world, id, draw_kind(world)).await;
            }
            None => pause(world, 5, 400).await,
        }
    }
}

fn draw_kind(world: &World) -> TransitionKind {
    world.draw(|chance| {
        if chance.one_in(3) {
            TransitionKind::Cancel
        } else {
            TransitionKind::Confirm
        }
    })
}

async fn ends_hold(world: &Arc<RunningWorld>, ticket: &Ticket, end: Timestamp) {
    let id = ticket.order.ticket_id;
    let left = u64::try_from(end.as_micros() - world.now().as_micros()).unwrap_or_default() / 1_000;
    match world.draw(|chance| chance.below(5)) {
        0 => return,
        1 => pause(world, 0, left).await,
        2 => pause(world, 0, 20).await,
        // At the very end.
        _ => pause(world, left.saturating_sub(6), left + 3).await,
    }
    let count = world.draw(|chance| {
        if chance.one_in(4) {
            chance.between(2, 5)
        } else {
            1
        }
    });
    let kinds: Vec<_> = (0..count).map(|_| draw_kind(world)).collect();
    join_all(kinds.iter().map(|kind| change(world, id, *kind))).await;
    if world.draw(|chance| chance.one_in(3)) {
        pause(world, 1, 300).await;
        change(world, id, kinds[0]).await;
    }
    if world.draw(|chance| chance.one_in(3)) {
        read(world, id).await;
    }
}

async fn change(world: &Arc<RunningWorld>, id: TicketId, kind: TransitionKind) {
    let before = world.told.lock().seen(id);
    world.note("client", format_args!("{kind:?} {id}"));
    let answer = ask(world, |office| async move {
        office.change_ticket(&Principal::agent(), id, kind).await
    })
    .await;
    world.note("client", format_args!("{kind:?} {id}: {answer:?}"));
    truth::changed(world, id, kind, before, answer);
}

async fn read(world: &Arc<RunningWorld>, id: TicketId) -> Option<Ticket> {
    let before = world.told.lock().seen(id);
    let answer = ask(world, |office| async move {
        office
            .read_ticket(&Principal::agent(), id, &LineHint::default())
            .await
    })
    .await?;
    match answer {
        Ok(TicketView::Decided(ticket)) => {
            truth::saw(world, &ticket, before);
            return Some(ticket);
        }
        Ok(TicketView::Processing { .. }) => world.check(
            before == 0,
            format_args!("{id} was said to be undecided after version {before}"),
        ),
        Err(ReadTicketError::NotFound) => {
            world.violated(format_args!("{id} was said to be unknown"));
        }
        Err(ReadTicketError::Unreadable(_) | ReadTicketError::StoreUnavailable(_)) => {}
    }
    None
}
