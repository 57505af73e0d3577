//! `/shows`.

use std::num::NonZeroU32;

use actix_web::http::header::LOCATION;
use actix_web::{HttpRequest, HttpResponse, web};
use domain::author::Author;
use domain::ids::ShowId;
use domain::ports::TermsSet;
use domain::show::{
    Capacity, HoldSeconds, MAX_CAPACITY, MAX_HOLD_SECONDS, SalesWindow, Show, ShowChange,
    ShowStanding, Terms, TermsError, Title,
};
use domain::time::Timestamp;
use fields::{Fields, Value, all, text, whole};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value as Json, json};
use tracing::info;

use crate::access::{Anybody, Operator};
use crate::json::body::Body;
use crate::json::values::{instant, show_id};
use crate::openapi::{Operation, Sent, schemas};
use crate::parameters::{PageQuery, path_id, read_query, sequence_cursor};
use crate::problem::{ApiError, Code};
use crate::state::{Answer, State};

/// Seats per user where a show does not say.
const DEFAULT_MAX_PER_USER: NonZeroU32 = NonZeroU32::new(10).unwrap();

/// A new show.
struct NewShow {
    /// Names the show for ever.
    id: ShowId,
    /// As people see it.
    title: Title,
    /// Seats in all.
    capacity: Capacity,
    /// Seats that a user may have; 10 unless given.
    max_per_user: NonZeroU32,
    /// How long a reserved ticket can be confirmed. Unless given there is no hold: an order that
    /// gets seats is confirmed at once.
    hold_seconds: Option<HoldSeconds>,
    /// Before that no order is taken.
    sales_open_at: Option<Timestamp>,
    /// From then on no order is taken.
    sales_close_at: Option<Timestamp>,
}

impl NewShow {
    fn read(fields: &mut Fields<'_, '_>) -> Option<Self> {
        all!(Self {
            id: fields.required("id", show_id),
            title: fields.required("title", text(Title::new)),
            capacity: fields.required("capacity", capacity),
            max_per_user: fields.or("max_per_user", DEFAULT_MAX_PER_USER, max_per_user),
            hold_seconds: fields.optional("hold_seconds", hold_seconds),
            sales_open_at: fields.or("sales_open_at", None, instant),
            sales_close_at: fields.or("sales_close_at", None, instant),
        })
    }
}

impl TryFrom<NewShow> for Show {
    type Error = TermsError;

    fn try_from(new: NewShow) -> Result<Self, TermsError> {
        Ok(Self {
            id: new.id,
            title: new.title,
            terms: Terms {
                capacity: new.capacity,
                max_per_user: new.max_per_user,
                hold: new.hold_seconds.map_or_else(|| HoldSeconds::new(0), Ok)?,
                window: SalesWindow::new(new.sales_open_at, new.sales_close_at)?,
            },
        })
    }
}

/// Null takes an end of the sales window away.
fn show_change(fields: &mut Fields<'_, '_>) -> Option<ShowChange> {
    all!(ShowChange {
        title: fields.optional("title", text(Title::new)),
        capacity: fields.optional("capacity", capacity),
        max_per_user: fields.optional("max_per_user", max_per_user),
        hold: fields.optional("hold_seconds", hold_seconds),
        sales_open_at: fields.optional("sales_open_at", instant),
        sales_close_at: fields.optional("sales_close_at", instant),
    })
}

fn capacity(value: &Value<'_>) -> Result<Capacity, String> {
    Capacity::new(whole(0..=MAX_CAPACITY)(value)?).map_err(|error| error.to_string())
}

fn hold_seconds(value: &Value<'_>) -> Result<HoldSeconds, String> {
    HoldSeconds::new(whole(0..=MAX_HOLD_SECONDS)(value)?).map_err(|error| error.to_string())
}

fn max_per_user(value: &Value<'_>) -> Result<NonZeroU32, String> {
    NonZeroU32::new(whole(1..=u32::MAX)(value)?).ok_or_else(|| "must be at least 1".to_owned())
}

/// A show as clients see it.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Show")]
struct ShowBody<'a> {
    /// Names the show for ever.
    id: &'a str,
    /// As people see it.
    title: &'a str,
    /// Seats in all.
    capacity: u32,
    /// Seats that can be ordered.
    available: u32,
    /// Seats of reserved tickets.
    held: u32,
    /// Seats of confirmed tickets.
    sold: u32,
    /// Seats that a user may have.
    max_per_user: u32,
    /// How long a reserved ticket can be confirmed; 0: seats are sold at once.
    hold_seconds: u32,
    /// Before that no order is taken.
    #[schemars(schema_with = "schemas::instant_or_null")]
    sales_open_at: Option<String>,
    /// From then on no order is taken.
    #[schemars(schema_with = "schemas::instant_or_null")]
    sales_close_at: Option<String>,
    /// Number of the latest change of the show's seats.
    seq: u64,
}

impl<'a> From<&'a ShowStanding> for ShowBody<'a> {
    fn from(standing: &'a ShowStanding) -> Self {
        let ShowStanding { show, seats, seq } = standing;
        let terms = &show.terms;
        Self {
            id: show.id.as_str(),
            title: show.title.as_str(),
            capacity: terms.capacity.seats(),
            available: seats.available,
            held: seats.held,
            sold: seats.sold,
            max_per_user: terms.max_per_user.get(),
            hold_seconds: terms.hold.seconds(),
            sales_open_at: written(terms.window.open_at()),
            sales_close_at: written(terms.window.close_at()),
            seq: *seq,
        }
    }
}

fn written(instant: Option<Timestamp>) -> Option<String> {
    instant.map(|instant| instant.to_string())
}

/// Terms that a show got.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Terms")]
struct TermsBody<'a> {
    /// The change's number.
    seq: u64,
    /// When they were set.
    #[schemars(schema_with = "schemas::instant")]
    at: String,
    /// Who set them, if that is known.
    by: Option<&'a str>,
    /// As in [`ShowBody`], this and the others.
    capacity: u32,
    max_per_user: u32,
    hold_seconds: u32,
    #[schemars(schema_with = "schemas::instant_or_null")]
    sales_open_at: Option<String>,
    #[schemars(schema_with = "schemas::instant_or_null")]
    sales_close_at: Option<String>,
}

impl<'a> From<&'a TermsSet> for TermsBody<'a> {
    fn from(set: &'a TermsSet) -> Self {
        let terms = &set.terms;
        Self {
            seq: set.seq,
            at: set.at.to_string(),
            by: set.by.as_ref().map(Author::as_str),
            capacity: terms.capacity.seats(),
            max_per_user: terms.max_per_user.get(),
            hold_seconds: terms.hold.seconds(),
            sales_open_at: written(terms.window.open_at()),
            sales_close_at: written(terms.window.close_at()),
        }
    }
}

/// A page of the terms that a show had, in sequence.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "TermsPage")]
struct TermsHistoryBody<'a> {
    /// The terms.
    terms: Vec<TermsBody<'a>>,
    /// Where the next page starts, if there may be one.
    next_cursor: Option<String>,
}

/// A page of shows, by id.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ShowPage")]
struct ShowsBody<'a> {
    /// The shows.
    shows: Vec<ShowBody<'a>>,
    /// Where the next page starts, if there may be one.
    next_cursor: Option<&'a str>,
}

/// `POST /shows`.
pub(crate) async fn create(by: Operator, state: State, request: HttpRequest, body: Body) -> Answer {
    let new = body.read(&request, NewShow::read)?;
    let standing = state.office.create_show(&by, new.try_into()?).await?;
    info!(show.id = %standing.show.id, by = %by.author(), "a show was created");
    Ok(HttpResponse::Created()
        .insert_header((LOCATION, format!("/shows/{}", standing.show.id)))
        .json(ShowBody::from(&standing)))
}

/// `PATCH /shows/{id}`.
pub(crate) async fn change(
    by: Operator,
    state: State,
    request: HttpRequest,
    id: web::Path<String>,
    body: Body,
) -> Answer {
    let id = path_id(&id, ShowId::new)?;
    let change = body.read(&request, show_change)?;
    let changed = state.office.change_show(&by, &id, &change).await?;
    info!(show.id = %id, by = %by.author(), "a show was changed");
    if let Err(error) = &changed.announced {
        state.process.failures.unannounced(error, request.headers());
    }
    Ok(HttpResponse::Ok().json(ShowBody::from(&changed.standing)))
}

/// `GET /shows/{id}`.
pub(crate) async fn read(_: Anybody, state: State, id: web::Path<String>) -> Answer {
    let id = path_id(&id, ShowId::new)?;
    let standing = state.office.read_show(&id).await?;
    let standing = standing.ok_or(ApiError::ShowNotFound)?;
    Ok(HttpResponse::Ok().json(ShowBody::from(&standing)))
}

/// `GET /shows`, by id.
pub(crate) async fn list(_: Anybody, state: State, request: HttpRequest) -> Answer {
    let page = read_query(&request, |fields| PageQuery::read(fields, ShowId::stored))?;
    let _turn = state.lists.turn().await?;
    let standings = state.office.list_shows(page.cursor.as_ref(), page.limit);
    let standings = standings.await?;
    Ok(HttpResponse::Ok().json(ShowsBody {
        shows: standings.iter().map(ShowBody::from).collect(),
        next_cursor: standings
            .last()
            .filter(|_| standings.len() == page.limit)
            .map(|standing| standing.show.id.as_str()),
    }))
}

/// `GET /shows/{id}/terms`: all terms that the show had, and who set them.
pub(crate) async fn terms(
    _: Operator,
    state: State,
    request: HttpRequest,
    id: web::Path<String>,
) -> Answer {
    let id = path_id(&id, ShowId::new)?;
    let page = read_query(&request, |fields| PageQuery::read(fields, sequence_cursor))?;
    let _turn = state.lists.turn().await?;
    let after = page.cursor.unwrap_or_default();
    let terms = state.office.terms_history(&id, after, page.limit).await?;
    // Every show has the terms that it was put on sale with.
    if after == 0 && terms.is_empty() {
        return Err(ApiError::ShowNotFound);
    }
    Ok(HttpResponse::Ok().json(TermsHistoryBody {
        terms: terms.iter().map(TermsBody::from).collect(),
        next_cursor: terms
            .last()
            .filter(|_| terms.len() == page.limit)
            .map(|last| last.seq.to_string()),
    }))
}

fn example() -> Json {
    json!({
        "id": "230920", "title": "Finals", "capacity": 50000, "available": 49998, "held": 0,
        "sold": 2, "max_per_user": 10, "hold_seconds": 0, "sales_open_at": null,
        "sales_close_at": null, "seq": 7,
    })
}

/// What both a new show and a change may say.
fn terms_asked() -> Json {
    json!({
        "title": schemas::label(),
        "capacity": schemas::whole(0, MAX_CAPACITY),
        "max_per_user": schemas::whole(1, u32::MAX),
        "hold_seconds": schemas::whole(0, MAX_HOLD_SECONDS),
        "sales_open_at": schemas::instant_asked(),
        "sales_close_at": schemas::instant_asked(),
    })
}

pub(super) fn list_described() -> Operation {
    Operation::new("listShows", "Shows by id")
        .page(schemas::stored_id())
        .json(
            200,
            "A page of shows.",
            schemas::of::<ShowsBody<'static>>,
            json!({"shows": [example()], "next_cursor": null}),
        )
        .problems([Code::ListsExhausted, Code::StoreUnavailable])
}

pub(super) fn create_described() -> Operation {
    let mut fields = terms_asked();
    fields["id"] = schemas::identifier_or_number();
    Operation::new("createShow", "Puts a show on sale")
        .about("With `hold_seconds` above 0 a ticket is `reserved` until it is confirmed.")
        .sent(Sent {
            title: "NewShow",
            fields,
            required: &["id", "title", "capacity"],
            example: json!({
                "id": "123", "title": "Finals", "capacity": 10000, "max_per_user": 4,
                "hold_seconds": 600,
            }),
            is_change: false,
        })
        .json(
            201,
            "The show.",
            schemas::of::<ShowBody<'static>>,
            example(),
        )
        .with(&["Location"])
        .leads_to(&[("readShow", "id"), ("changeShow", "id")])
        .problems([Code::ShowExists, Code::StoreUnavailable])
}

pub(super) fn read_described() -> Operation {
    Operation::new("readShow", "A show and its seats")
        .path("id", schemas::identifier())
        .json(
            200,
            "The show.",
            schemas::of::<ShowBody<'static>>,
            example(),
        )
        .problems([Code::ShowNotFound, Code::StoreUnavailable])
}

pub(super) fn change_described() -> Operation {
    Operation::new("changeShow", "Changes a show's title or terms")
        .about("Null takes an end of the sales window away.")
        .path("id", schemas::identifier())
        .sent(Sent {
            title: "ShowChange",
            fields: terms_asked(),
            required: &[],
            example: json!({"capacity": 12000, "sales_close_at": null}),
            is_change: true,
        })
        .json(
            200,
            "The show.",
            schemas::of::<ShowBody<'static>>,
            example(),
        )
        .problems([
            Code::ShowNotFound,
            Code::CapacityInUse,
            Code::StoreUnavailable,
        ])
}

pub(super) fn terms_described() -> Operation {
    Operation::new("listTerms", "All terms that a show had, and who set them")
        .path("id", schemas::identifier())
        .page(schemas::sequence())
        .json(
            200,
            "A page of terms, in sequence.",
            schemas::of::<TermsHistoryBody<'static>>,
            json!({"terms": [{
                "seq": 1, "at": "2026-05-01T18:00:00.000000Z", "by": "user:ada", "capacity": 50000,
                "max_per_user": 10, "hold_seconds": 600, "sales_open_at": null,
                "sales_close_at": null,
            }], "next_cursor": null}),
        )
        .problems([
            Code::ShowNotFound,
            Code::ListsExhausted,
            Code::StoreUnavailable,
        ])
}
