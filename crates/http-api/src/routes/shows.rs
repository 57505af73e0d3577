//! `/shows`.

use std::num::NonZeroU32;

use actix_web::http::header::LOCATION;
use actix_web::{HttpRequest, HttpResponse, web};
use domain::ids::ShowId;
use domain::show::{
    Capacity, HoldSeconds, MAX_CAPACITY, MAX_HOLD_SECONDS, SalesWindow, Show, ShowChange,
    ShowStanding, Terms, Title,
};
use domain::time::Timestamp;
use serde::Serialize;
use serde_json::Value;

use crate::access::{Administration, Anybody};
use crate::json::body::{self, Body, Fields};
use crate::parameters::{Parameters, path_id};
use crate::problem::ApiError;
use crate::state::{Answer, State};

/// Seats per user where a show does not say.
const DEFAULT_MAX_PER_USER: NonZeroU32 = NonZeroU32::new(10).unwrap();
/// No hold: an order that gets seats is confirmed at once.
const DEFAULT_HOLD_SECONDS: u32 = 0;

/// A show as clients see it.
#[derive(Serialize)]
struct ShowBody<'a> {
    id: &'a str,
    title: &'a str,
    capacity: u32,
    available: u32,
    held: u32,
    sold: u32,
    max_per_user: u32,
    hold_seconds: u32,
    sales_open_at: Option<String>,
    sales_close_at: Option<String>,
    seq: u64,
}

impl<'a> From<&'a ShowStanding> for ShowBody<'a> {
    fn from(standing: &'a ShowStanding) -> Self {
        let ShowStanding { show, seats, seq } = standing;
        let written = |instant: Option<Timestamp>| instant.map(|instant| instant.to_string());
        Self {
            id: show.id.as_str(),
            title: show.title.as_str(),
            capacity: show.terms.capacity.seats(),
            available: seats.available,
            held: seats.held,
            sold: seats.sold,
            max_per_user: show.terms.max_per_user.get(),
            hold_seconds: show.terms.hold.seconds(),
            sales_open_at: written(show.terms.window.open_at()),
            sales_close_at: written(show.terms.window.close_at()),
            seq: *seq,
        }
    }
}

fn capacity(value: &Value) -> Result<Capacity, String> {
    Capacity::new(body::number(0, MAX_CAPACITY)(value)?).map_err(|error| error.to_string())
}

fn hold_seconds(value: &Value) -> Result<HoldSeconds, String> {
    HoldSeconds::new(body::number(0, MAX_HOLD_SECONDS)(value)?).map_err(|error| error.to_string())
}

fn max_per_user(value: &Value) -> Result<NonZeroU32, String> {
    NonZeroU32::new(body::number(1, u32::MAX)(value)?)
        .ok_or_else(|| "must be at least 1".to_owned())
}

/// Everything that may change; creating a show asks for some of it.
fn read_change(fields: &mut Fields) -> ShowChange {
    ShowChange {
        title: fields.optional("title", body::text(Title::new)),
        capacity: fields.optional("capacity", capacity),
        max_per_user: fields.optional("max_per_user", max_per_user),
        hold: fields.optional("hold_seconds", hold_seconds),
        sales_open_at: fields.optional("sales_open_at", body::instant),
        sales_close_at: fields.optional("sales_close_at", body::instant),
    }
}

fn read_new(request: &HttpRequest, body: &Body) -> Result<Show, ApiError> {
    let mut fields = Fields::parse(request, body)?;
    let id = fields.required("id", body::show_id);
    let title = fields.required("title", body::text(Title::new));
    let capacity = fields.required("capacity", capacity);
    let rest = read_change(&mut fields);
    let (id, title, capacity) = fields.finish(|| Some((id?, title?, capacity?)))?;
    let default_hold = HoldSeconds::new(DEFAULT_HOLD_SECONDS)?;
    let window = SalesWindow::new(rest.sales_open_at.flatten(), rest.sales_close_at.flatten())?;
    Ok(Show {
        id,
        title,
        terms: Terms {
            capacity,
            max_per_user: rest.max_per_user.unwrap_or(DEFAULT_MAX_PER_USER),
            hold: rest.hold.unwrap_or(default_hold),
            window,
        },
    })
}

/// `POST /shows`.
pub(crate) async fn create(
    _: Administration,
    state: State,
    request: HttpRequest,
    body: Body,
) -> Answer {
    let show = read_new(&request, &body)?;
    let standing = state.office.create_show(show).await?;
    Ok(HttpResponse::Created()
        .insert_header((LOCATION, format!("/shows/{}", standing.show.id)))
        .json(ShowBody::from(&standing)))
}

/// `PATCH /shows/{id}`.
pub(crate) async fn change(
    _: Administration,
    state: State,
    request: HttpRequest,
    id: web::Path<String>,
    body: Body,
) -> Answer {
    let id = path_id(&id, ShowId::new)?;
    let mut fields = Fields::parse(&request, &body)?;
    let change = read_change(&mut fields);
    let change = fields.finish(|| Some(change))?;
    let changed = state.office.change_show(&id, &change).await?;
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
    #[derive(Serialize)]
    struct ShowsBody<'a> {
        shows: Vec<ShowBody<'a>>,
        next_cursor: Option<&'a str>,
    }
    let mut parameters = Parameters::of(&request)?;
    let limit = parameters.limit();
    let after = parameters.optional("cursor", ShowId::new);
    let after = parameters.finish(|| Some(after))?;
    let _turn = state.lists.turn().await?;
    let standings = state.office.list_shows(after.as_ref(), limit).await?;
    Ok(HttpResponse::Ok().json(ShowsBody {
        shows: standings.iter().map(ShowBody::from).collect(),
        next_cursor: standings
            .last()
            .filter(|_| standings.len() == limit)
            .map(|standing| standing.show.id.as_str()),
    }))
}
