//! `/tickets`.

use std::fmt::Display;

use actix_web::http::StatusCode;
use actix_web::http::header::LOCATION;
use actix_web::{HttpMessage, HttpRequest, HttpResponse, web};
use domain::ids::UserId;
use domain::order::Quantity;
use domain::ports::TicketPage;
use domain::principal::Principal;
use domain::receipt::{IdempotencyKey, TicketId};
use domain::rule::TransitionKind;
use domain::time::Timestamp;
use domain::trace::TraceContext;
use domain::use_cases::{LineHint, OrderRequest, PlacedOrder, TicketView};
use fields::{Fields, Value, all, text, whole};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value as Json, json};

use crate::access::{Caller, Listener, Orderer};
use crate::json::body::Body;
use crate::json::hint::hint;
use crate::json::ticket::{TicketBody, WaitingLineBody};
use crate::json::values::{show_id, user_id};
use crate::live::{TicketRequest, event_stream};
use crate::openapi::{Operation, Sent, schemas};
use crate::parameters::{PageQuery, path_id, read_cursor, read_query, write_cursor};
use crate::problem::{ApiError, Code, Fault};
use crate::state::{Answer, State};

const IDEMPOTENCY_KEY: &str = "idempotency-key";
const LAST_EVENT_ID: &str = "last-event-id";

/// An order for one seat, unless given. A buyer may leave out for whom.
fn order_request(
    fields: &mut Fields<'_, '_>,
    caller: &Principal,
    max: Quantity,
) -> Option<OrderRequest> {
    let seats = |value: &Value<'_>| {
        let seats = whole(1..=max.seats())(value);
        seats.map_err(|what| what + " (tickets.max_quantity)")
    };
    all!(OrderRequest {
        show_id: fields.required("show_id", show_id),
        user_id: whose(fields, caller, user_id),
        quantity: fields.or("quantity", 1, seats).and_then(Quantity::new),
        key: Some(None),
        trace: Some(None),
    })
}

/// Where a stream of events starts.
struct EventsQuery {
    /// For clients that cannot send the header `Last-Event-ID`, or lose it. Empty for none.
    last_event_id: Option<u32>,
    /// What is known of the ticket.
    hint: LineHint,
    /// Of `POST /live-tickets`; [`Listener`] has looked at it.
    #[expect(dead_code, reason = "read before the handler")]
    ticket: Option<()>,
}

impl EventsQuery {
    fn read(fields: &mut Fields<'_, '_>) -> Option<Self> {
        all!(Self {
            last_event_id: fields.or("lastEventId", None, text(event_id)),
            hint: hint(fields),
            ticket: fields.optional("ticket", text(|_: &str| Ok::<_, &str>(()))),
        })
    }
}

/// Whose tickets are listed.
struct TicketsQuery {
    /// The user's id; a buyer may leave it out.
    user_id: UserId,
    /// From the latest order on.
    page: PageQuery<(Timestamp, TicketId)>,
}

impl TicketsQuery {
    fn read(fields: &mut Fields<'_, '_>, caller: &Principal) -> Option<Self> {
        all!(Self {
            user_id: whose(fields, caller, text(UserId::new)),
            page: PageQuery::read(fields, read_cursor),
        })
    }
}

/// The user that is given, or else the one that the caller is.
fn whose<E: Display>(
    fields: &mut Fields<'_, '_>,
    caller: &Principal,
    read: impl FnOnce(&Value<'_>) -> Result<UserId, E>,
) -> Option<UserId> {
    match caller.only_user() {
        Some(user) => fields.or("user_id", user.clone(), read),
        None => fields.required("user_id", read),
    }
}

/// A page of a user's tickets.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "TicketPage")]
struct TicketsBody<'a> {
    /// The tickets.
    tickets: Vec<TicketBody<'a>>,
    /// Where the next page starts, if there may be one.
    next_cursor: Option<String>,
}

/// `POST /tickets`.
pub(crate) async fn place(
    caller: Orderer,
    state: State,
    request: HttpRequest,
    body: Body,
) -> Answer {
    if state.process.traffic.is_stopping() {
        return Err(ApiError::ShuttingDown);
    }
    let max = state.office.max_quantity();
    let mut order = body.read(&request, |fields| order_request(fields, &caller, max))?;
    order.key = read_key(&request)?;
    order.trace = request
        .extensions()
        .get::<TraceContext>()
        .copied()
        .map(Box::new);
    if caller.agent {
        // Only the body says for whom; a buyer's was counted before it was read.
        state.process.limits.admit_order_of(&order.user_id).await?;
    }
    let placed = state.office.place_order(&caller, order).await?;
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
    caller: Caller,
    state: State,
    request: HttpRequest,
    id: web::Path<String>,
) -> Answer {
    let id = ticket_id(&caller, &state, &request, &id).await?;
    let hint = read_query(&request, hint)?;
    let view = state.office.read_ticket(&caller, id, &hint).await?;
    Ok(HttpResponse::Ok().json(match &view {
        TicketView::Decided(ticket) => TicketBody::decided(ticket),
        TicketView::Processing {
            id,
            requested_at,
            place,
        } => TicketBody::processing(*id, *requested_at, place.map(WaitingLineBody::from)),
    }))
}

/// `GET /tickets/{id}/events`.
pub(crate) async fn events(
    caller: Listener,
    state: State,
    request: HttpRequest,
    id: web::Path<String>,
) -> Answer {
    let id = ticket_id(&caller, &state, &request, &id).await?;
    let query = read_query(&request, EventsQuery::read)?;
    let told = read_last_event_id(&request)?.or(query.last_event_id);
    let hint = (query.hint != LineHint::default()).then(|| Box::new(query.hint));
    let client = state.process.limits.enter_stream(&request)?;
    let ticket = TicketRequest { id, hint };
    let take = || state.guard.take_live_ticket(&request);
    event_stream::open(&state.live, &caller, client, ticket, told, take).await
}

/// The `{id}` of a path, unless the client has tried too many that are wrong.
async fn ticket_id(
    caller: &Principal,
    state: &State,
    request: &HttpRequest,
    text: &str,
) -> Result<TicketId, ApiError> {
    let id = path_id(text, str::parse)?;
    let limits = &state.process.limits;
    let open = || state.office.open_for(caller, id);
    limits.admit_id(limits.client(request), open).await?;
    Ok(id)
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
    // `parse` alone takes a sign, and any number of zeros before the number.
    let is_number = text.len() <= 9 && text.bytes().all(|byte| byte.is_ascii_digit());
    let version = is_number.then(|| text.parse().ok()).flatten();
    version
        .map(Some)
        .ok_or("must be the id of an event of this stream, or empty")
}

/// `GET /tickets?user_id=`.
pub(crate) async fn list(caller: Caller, state: State, request: HttpRequest) -> Answer {
    let TicketsQuery { user_id, page } =
        read_query(&request, |fields| TicketsQuery::read(fields, &caller))?;
    let limit = page.limit;
    let page = TicketPage {
        limit,
        after: page.cursor,
    };
    let _turn = state.lists.turn().await?;
    let tickets = state.office.list_tickets(&caller, &user_id, page).await?;
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
    caller: Caller,
    state: State,
    request: HttpRequest,
    id: web::Path<String>,
) -> Answer {
    change(&caller, state, &request, &id, TransitionKind::Confirm).await
}

/// `POST /tickets/{id}/cancel`.
pub(crate) async fn cancel(
    caller: Caller,
    state: State,
    request: HttpRequest,
    id: web::Path<String>,
) -> Answer {
    change(&caller, state, &request, &id, TransitionKind::Cancel).await
}

async fn change(
    caller: &Principal,
    state: State,
    request: &HttpRequest,
    id: &str,
    kind: TransitionKind,
) -> Answer {
    let id = ticket_id(caller, &state, request, id).await?;
    let changed = state.office.change_ticket(caller, id, kind).await?;
    if let Err(error) = &changed.announced {
        state.process.failures.unannounced(error, request.headers());
    }
    Ok(HttpResponse::Ok().json(TicketBody::decided(&changed.ticket)))
}

const ID: &str = "0199a2b4-7d3e-8001-8a5f-3c0d9e412b77";

fn waiting() -> Json {
    json!({
        "ticket_id": ID, "status": "processing", "requested_at": "2026-05-01T18:00:00.000000Z",
        "waiting_line": {
            "now_serving_at": "2026-05-01T17:59:59.950000Z", "estimated_orders_ahead": 1200,
            "estimated_wait_ms": 50, "stalled": false,
        },
    })
}

fn decided(status: &str) -> Json {
    json!({
        "ticket_id": ID, "show_id": "230920", "user_id": "1", "quantity": 2, "status": status,
        "requested_at": "2026-05-01T18:00:00.000000Z",
        "decided_at": "2026-05-01T18:00:00.004000Z", "decision_seq": 7,
    })
}

pub(super) fn list_described() -> Operation {
    let cursor =
        r"^[0-9]{1,16}\.[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$";
    Operation::new("listTickets", "A user's decided tickets, newest first")
        .query(
            "user_id",
            "Whose; a buyer may leave it out.",
            schemas::identifier(),
        )
        .page(json!({"type": "string", "pattern": cursor}))
        .json(
            200,
            "A page of tickets.",
            schemas::of::<TicketsBody<'static>>,
            json!({"tickets": [decided("confirmed")], "next_cursor": null}),
        )
        .problems([
            Code::Forbidden,
            Code::UserNotFound,
            Code::ListsExhausted,
            Code::StoreUnavailable,
        ])
}

/// What an order goes on with.
const LINKS: [(&str, &str); 4] = [
    ("readTicket", "ticket_id"),
    ("followTicket", "ticket_id"),
    ("confirmTicket", "ticket_id"),
    ("cancelTicket", "ticket_id"),
];

pub(super) fn place_described() -> Operation {
    let ticket = schemas::of::<TicketBody<'static>>;
    Operation::new("placeOrder", "Orders seats")
        .about(
            "The order waits in the queue. `Location` is where its verdict is to be read. With an \
             `Idempotency-Key` an order can be sent again: it has the same id, and is decided once.",
        )
        .header(
            "Idempotency-Key",
            "Names the order among the user's.",
            json!({"type": "string", "pattern": "^[!-~]{1,255}$"}),
        )
        .sent(Sent {
            title: "NewOrder",
            fields: json!({
                "show_id": schemas::identifier_or_number(),
                "user_id": schemas::identifier_or_number(),
                "quantity": {
                    "type": "integer", "minimum": 1, "default": 1,
                    "description": "At most `tickets.max_quantity`.",
                },
            }),
            required: &["show_id"],
            example: json!({"show_id": "230920", "user_id": "1", "quantity": 2}),
            is_change: false,
        })
        .json(202, "The order is queued.", ticket, json!({
            "ticket_id": ID, "show_id": "230920", "user_id": "1", "quantity": 2,
            "status": "processing",
        }))
        .with(&["Location"])
        .leads_to(&LINKS)
        .json(
            200,
            "The order was sent before, with the same key, and is decided.",
            ticket,
            decided("confirmed"),
        )
        .with(&["Location"])
        .leads_to(&LINKS)
        .problems([
            Code::InvalidParameter,
            Code::Forbidden,
            Code::SoldOut,
            Code::SalesClosed,
            Code::ShowNotFound,
            Code::UserNotFound,
            Code::IdempotencyConflict,
            Code::ClockOff,
            Code::QueueUnavailable,
            Code::OutcomeUnknown,
            Code::StoreUnavailable,
            Code::ShuttingDown,
        ])
}

/// With what `Location` says of a keyed order.
fn hinted(operation: Operation) -> Operation {
    const HINT: &str = "As `Location` of the order's answer has it.";
    operation
        .path("id", schemas::uuid())
        .query("show_id", HINT, schemas::identifier())
        .query("requested_at", HINT, schemas::instant_in_query())
        .query("priority", HINT, schemas::priority_asked())
        .problems([Code::TicketNotFound])
}

pub(super) fn read_described() -> Operation {
    hinted(Operation::new("readTicket", "A ticket as it stands"))
        .json(
            200,
            "The ticket: `processing` until its verdict.",
            schemas::of::<TicketBody<'static>>,
            waiting(),
        )
        .problems([Code::StoreUnavailable])
}

pub(super) fn events_described() -> Operation {
    hinted(Operation::new(
        "followTicket",
        "A ticket's changes as they happen",
    ))
    .about(
        "Server-Sent Events: `ticket` with each of its states up to the last one, \
             `waiting_line` while it waits, `problem`, and `closing` with the reason before the \
             service closes the stream. docs/notifications.schema.json has the data of each.",
    )
    .query(
        "lastEventId",
        "As the header `Last-Event-ID`, for who cannot send it.",
        json!({"type": "string", "pattern": "^[0-9]{0,9}$"}),
    )
    .header(
        "Last-Event-ID",
        "The `id` of the last event that the client has heard.",
        json!({"type": "string", "pattern": "^[0-9]{0,9}$"}),
    )
    .bare(200, "The stream.")
    .or(
        "text/event-stream",
        "retry: 1000\n\nid: 1\nevent: ticket\ndata: {\"ticket_id\": \"…\"}\n\n",
    )
    .with(&["X-Accel-Buffering"])
    .bare(
        204,
        "The client has heard the last state of the ticket already.",
    )
    .problems([Code::LiveConnectionsExhausted, Code::ShuttingDown])
}

pub(super) fn confirm_described() -> Operation {
    changed(
        Operation::new("confirmTicket", "Takes the seats that are held"),
        "confirmed",
    )
    .problems([Code::NotReserved, Code::HoldExpired])
}

pub(super) fn cancel_described() -> Operation {
    changed(
        Operation::new("cancelTicket", "Gives the seats back"),
        "cancelled",
    )
    .problems([Code::TicketRejected, Code::HoldExpired])
}

fn changed(operation: Operation, status: &str) -> Operation {
    operation
        .about("Repeating a call changes nothing.")
        .path("id", schemas::uuid())
        .json(
            200,
            "The ticket.",
            schemas::of::<TicketBody<'static>>,
            decided(status),
        )
        .problems([
            Code::Forbidden,
            Code::TicketNotFound,
            Code::NotDecided,
            Code::StoreUnavailable,
        ])
}
