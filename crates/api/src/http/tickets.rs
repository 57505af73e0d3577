//! `/tickets`.

use actix_web::http::StatusCode;
use actix_web::http::header::LOCATION;
use actix_web::{HttpRequest, HttpResponse, web};
use domain::ids::{ShowId, UserId};
use domain::order::{Order, Quantity};
use domain::ports::{TicketPage, TransitionKind};
use domain::receipt::{IdempotencyKey, TicketId};
use domain::ticket::Ticket;
use domain::time::Timestamp;
use domain::use_cases::{LineHint, OrderRequest, PlacedOrder, TicketView};
use domain::user::PriorityClass;
use domain::waiting_line::LinePlace;
use serde::{Serialize, Serializer};

use super::body::{self, Body, Fields};
use super::parameters::{Parameters, path_id, read_cursor, write_cursor};
use super::problem::{ApiError, Fault};
use super::{Answer, State};

const PROCESSING: &str = "processing";
const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// A ticket as clients see it.
#[derive(Serialize)]
struct TicketBody<'a> {
    #[serde(serialize_with = "written")]
    ticket_id: TicketId,
    #[serde(skip_serializing_if = "Option::is_none")]
    show_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    quantity: Option<u32>,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    #[serde(
        skip_serializing_if = "Option::is_none",
        serialize_with = "written_if_some"
    )]
    hold_expires_at: Option<Timestamp>,
    #[serde(
        skip_serializing_if = "Option::is_none",
        serialize_with = "written_if_some"
    )]
    requested_at: Option<Timestamp>,
    #[serde(
        skip_serializing_if = "Option::is_none",
        serialize_with = "written_if_some"
    )]
    decided_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    decision_seq: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    waiting_line: Option<LineBody>,
}

/// Where an undecided order is in its line, as clients see it.
#[derive(Serialize)]
struct LineBody {
    #[serde(serialize_with = "written_if_some")]
    now_serving_at: Option<Timestamp>,
    estimated_orders_ahead: Option<u64>,
    estimated_wait_ms: Option<u64>,
    stalled: bool,
}

impl From<LinePlace> for LineBody {
    fn from(place: LinePlace) -> Self {
        Self {
            now_serving_at: place.now_serving_at,
            estimated_orders_ahead: place.orders_ahead,
            estimated_wait_ms: place.wait_ms,
            stalled: place.stalled,
        }
    }
}

impl<'a> TicketBody<'a> {
    /// All that an id tells of a ticket that has no verdict yet.
    const fn processing(ticket_id: TicketId) -> Self {
        Self {
            ticket_id,
            show_id: None,
            user_id: None,
            quantity: None,
            status: PROCESSING,
            reason: None,
            hold_expires_at: None,
            requested_at: None,
            decided_at: None,
            decision_seq: None,
            waiting_line: None,
        }
    }

    fn queued(order: &'a Order) -> Self {
        Self {
            show_id: Some(order.show_id.as_str()),
            user_id: Some(order.user_id.as_str()),
            quantity: Some(order.quantity.seats()),
            ..Self::processing(order.ticket_id)
        }
    }

    fn decided(ticket: &'a Ticket) -> Self {
        Self {
            status: ticket.status.as_str(),
            reason: ticket.rejection().map(|reason| reason.as_str()),
            hold_expires_at: ticket.hold_expires_at(),
            requested_at: Some(ticket.order.requested_at),
            decided_at: Some(ticket.decided_at),
            decision_seq: ticket.decision_seq,
            ..Self::queued(&ticket.order)
        }
    }
}

fn written<S: Serializer>(id: &TicketId, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(id)
}

fn written_if_some<S: Serializer>(
    instant: &Option<Timestamp>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match instant {
        Some(instant) => serializer.collect_str(instant),
        None => serializer.serialize_none(),
    }
}

/// `POST /tickets`.
pub(super) async fn place(state: State, request: HttpRequest, body: Body) -> Answer {
    if state.traffic.is_stopping() {
        return Err(ApiError::ShuttingDown);
    }
    let order = read_order(&request, body)?;
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

fn read_order(request: &HttpRequest, body: Body) -> Result<OrderRequest, ApiError> {
    let mut fields = Fields::parse(request, body)?;
    let show_id = fields.required("show_id", body::show_id);
    let user_id = fields.required("user_id", body::user_id);
    let quantity = fields.optional("quantity", body::number(1));
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
        |what: &str| ApiError::InvalidParameters(vec![Fault::header("Idempotency-Key", what)]);
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
pub(super) async fn read(state: State, request: HttpRequest, id: web::Path<String>) -> Answer {
    let id = path_id(&id, str::parse)?;
    let hint = read_hint(&request)?;
    let view = state.office.read_ticket(id, &hint).await?;
    Ok(HttpResponse::Ok().json(match &view {
        TicketView::Decided(ticket) => TicketBody::decided(ticket),
        TicketView::Processing {
            id,
            requested_at,
            place,
        } => TicketBody {
            requested_at: *requested_at,
            waiting_line: place.map(LineBody::from),
            ..TicketBody::processing(*id)
        },
    }))
}

fn read_hint(request: &HttpRequest) -> Result<LineHint, ApiError> {
    let mut parameters = Parameters::of(request)?;
    let hint = LineHint {
        show_id: parameters.optional("show_id", ShowId::new),
        requested_at: parameters.optional("requested_at", str::parse),
        class: parameters.optional("priority", |name| {
            PriorityClass::parse(name).ok_or("must be one of: standard, high")
        }),
    };
    parameters.finish(|| Some(hint))
}

/// `GET /tickets?user_id=`.
pub(super) async fn list(state: State, request: HttpRequest) -> Answer {
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
pub(super) async fn confirm(state: State, id: web::Path<String>) -> Answer {
    change(state, &id, TransitionKind::Confirm).await
}

/// `POST /tickets/{id}/cancel`.
pub(super) async fn cancel(state: State, id: web::Path<String>) -> Answer {
    change(state, &id, TransitionKind::Cancel).await
}

async fn change(state: State, id: &str, kind: TransitionKind) -> Answer {
    let id = path_id(id, str::parse)?;
    let changed = state.office.change_ticket(id, kind).await?;
    if let Err(error) = &changed.announced {
        state.failures.unannounced(error);
    }
    Ok(HttpResponse::Ok().json(TicketBody::decided(&changed.ticket)))
}
