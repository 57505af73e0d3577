//! `/tickets`.

use actix_web::http::StatusCode;
use actix_web::http::header::LOCATION;
use actix_web::{HttpRequest, HttpResponse, web};
use domain::ids::{ShowId, UserId};
use domain::order::Quantity;
use domain::ports::TicketPage;
use domain::receipt::IdempotencyKey;
use domain::rule::TransitionKind;
use domain::use_cases::{LineHint, OrderRequest, PlacedOrder, TicketView};
use domain::user::PriorityClass;
use serde::Serialize;

use crate::access::Anybody;
use crate::json::body::{self, Body, Fields};
use crate::json::ticket::{TicketBody, WaitingLineBody};
use crate::live::{TicketRequest, event_stream};
use crate::parameters::{Parameters, path_id, read_cursor, write_cursor};
use crate::problem::{ApiError, Fault};
use crate::state::{Answer, State};

const IDEMPOTENCY_KEY: &str = "idempotency-key";
const LAST_EVENT_ID: &str = "last-event-id";

/// `POST /tickets`.
pub(crate) async fn place(_: Anybody, state: State, request: HttpRequest, body: Body) -> Answer {
    if state.process.traffic.is_stopping() {
        return Err(ApiError::ShuttingDown);
    }
    let order = read_order(&state, &request, &body)?;
    let placed = state.office.place_order(order).await?;
    let (status, ticket) = match &placed {
        PlacedOrder::Queued(order) => (StatusCode::ACCEPTED, TicketBody::queued(order)),
        PlacedOrder::Replayed(ticket) => (StatusCode::OK, TicketBody::decided(ticket)),
    };
    Ok(HttpResponse::build(status)
        .insert_header((LOCATION, location(&placed)))
        .json(ticket))
}

/// A keyed id does not tell where its order waits, so the address does; none of
/// it needs escaping.
fn location(placed: &PlacedOrder) -> String {
    match placed {
        PlacedOrder::Queued(order) if order.ticket_id.is_keyed() => format!(
            "/tickets/{}?show_id={}&requested_at={}&priority={}",
            order.ticket_id,
            order.show_id,
            order.requested_at,
            order.class.as_str()
        ),
        PlacedOrder::Queued(order) => format!("/tickets/{}", order.ticket_id),
        PlacedOrder::Replayed(ticket) => format!("/tickets/{}", ticket.order.ticket_id),
    }
}

fn read_order(state: &State, request: &HttpRequest, body: &Body) -> Result<OrderRequest, ApiError> {
    let max = state.office.max_quantity().seats();
    let mut fields = Fields::parse(request, body)?;
    let show_id = fields.required("show_id", body::show_id);
    let user_id = fields.required("user_id", body::user_id);
    let quantity = fields.optional("quantity", body::bounded(1, max, " (tickets.max_quantity)"));
    let quantity = quantity.map_or(Some(Quantity::ONE), Quantity::new);
    let (show_id, user_id, quantity) = fields.finish(|| Some((show_id?, user_id?, quantity?)))?;
    Ok(OrderRequest {
        show_id,
        user_id,
        quantity,
        key: read_key(request)?,
    })
}

fn read_key(request: &HttpRequest) -> Result<Option<IdempotencyKey>, ApiError> {
    let fault =
        |what: &str| ApiError::InvalidParameters(Fault::header("Idempotency-Key", what).into());
    let mut given = request.headers().get_all(IDEMPOTENCY_KEY);
    let Some(key) = given.next() else {
        return Ok(None);
    };
    if given.next().is_some() {
        return Err(fault("is given more than once"));
    }
    IdempotencyKey::new(key.as_bytes())
        .map(Some)
        .map_err(|error| fault(&error.to_string()))
}

/// `GET /tickets/{id}`.
pub(crate) async fn read(
    _: Anybody,
    state: State,
    request: HttpRequest,
    id: web::Path<String>,
) -> Answer {
    let id = path_id(&id, str::parse)?;
    let hint = read_hint(&request)?;
    let view = state.office.read_ticket(id, &hint).await?;
    Ok(HttpResponse::Ok().json(match &view {
        TicketView::Decided(ticket) => TicketBody::decided(ticket),
        TicketView::Processing { id, place, .. } => {
            TicketBody::processing(*id, place.map(WaitingLineBody::from))
        }
    }))
}

/// What the query says of a ticket whose id does not tell where it waits.
fn read_hint(request: &HttpRequest) -> Result<LineHint, ApiError> {
    let mut parameters = Parameters::of(request)?;
    let hint = hint(&mut parameters);
    parameters.finish(|| Some(hint))
}

fn hint(parameters: &mut Parameters) -> LineHint {
    LineHint {
        show_id: parameters.optional("show_id", ShowId::new),
        requested_at: parameters.optional("requested_at", str::parse),
        class: parameters.optional("priority", |name| {
            PriorityClass::parse(name).ok_or("must be one of: standard, high")
        }),
    }
}

/// `GET /tickets/{id}/events`.
pub(crate) async fn events(
    _: Anybody,
    state: State,
    request: HttpRequest,
    id: web::Path<String>,
) -> Answer {
    let id = path_id(&id, str::parse)?;
    let mut parameters = Parameters::of(&request)?;
    let told = parameters.optional("lastEventId", event_id);
    let hint = hint(&mut parameters);
    let (told, hint) = parameters.finish(|| Some((told.flatten(), hint)))?;
    // Those that cannot send the header, or lose it, put it into the query.
    let told = read_last_event_id(&request)?.or(told);
    let hint = (hint != LineHint::default()).then(|| Box::new(hint));
    event_stream::open(&state.live, TicketRequest { id, hint }, told).await
}

/// The version of the ticket's state that the client knows.
fn read_last_event_id(request: &HttpRequest) -> Result<Option<u32>, ApiError> {
    let Some(given) = request.headers().get(LAST_EVENT_ID) else {
        return Ok(None);
    };
    let given = String::from_utf8_lossy(given.as_bytes());
    event_id(given.trim())
        .map_err(|what| ApiError::InvalidParameters(Fault::header("Last-Event-ID", what).into()))
}

/// Empty for none: that is what some clients send before the first event.
fn event_id(text: &str) -> Result<Option<u32>, &'static str> {
    if text.is_empty() {
        return Ok(None);
    }
    let version = text.parse().map(Some);
    version.map_err(|_| "must be the id of an event of this stream, or empty")
}

/// `GET /tickets?user_id=`.
pub(crate) async fn list(_: Anybody, state: State, request: HttpRequest) -> Answer {
    #[derive(Serialize)]
    struct TicketsBody<'a> {
        tickets: Vec<TicketBody<'a>>,
        next_cursor: Option<String>,
    }
    let mut parameters = Parameters::of(&request)?;
    let user = parameters.required("user_id", UserId::new);
    let limit = parameters.limit();
    let after = parameters.optional("cursor", read_cursor);
    let user = parameters.finish(|| user)?;
    let page = TicketPage { limit, after };
    let _turn = state.lists.turn().await?;
    let tickets = state.office.list_tickets(&user, page).await?;
    let next_cursor = tickets
        .last()
        .filter(|_| tickets.len() == limit)
        .map(|ticket| write_cursor((ticket.order.requested_at, ticket.order.ticket_id)));
    Ok(HttpResponse::Ok().json(TicketsBody {
        tickets: tickets.iter().map(TicketBody::decided).collect(),
        next_cursor,
    }))
}

/// `POST /tickets/{id}/confirm`.
pub(crate) async fn confirm(
    _: Anybody,
    state: State,
    request: HttpRequest,
    id: web::Path<String>,
) -> Answer {
    change(state, &request, &id, TransitionKind::Confirm).await
}

/// `POST /tickets/{id}/cancel`.
pub(crate) async fn cancel(
    _: Anybody,
    state: State,
    request: HttpRequest,
    id: web::Path<String>,
) -> Answer {
    change(state, &request, &id, TransitionKind::Cancel).await
}

async fn change(state: State, request: &HttpRequest, id: &str, kind: TransitionKind) -> Answer {
    let id = path_id(id, str::parse)?;
    let changed = state.office.change_ticket(id, kind).await?;
    if let Err(error) = &changed.announced {
        state.process.failures.unannounced(error, request.headers());
    }
    Ok(HttpResponse::Ok().json(TicketBody::decided(&changed.ticket)))
}
