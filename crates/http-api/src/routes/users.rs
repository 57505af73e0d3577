//! `/users`.

use actix_web::http::header::LOCATION;
use actix_web::{HttpRequest, HttpResponse, web};
use domain::ids::UserId;
use domain::user::{PriorityClass, User, UserChange, UserName};
use serde::Serialize;

use crate::access::Administration;
use crate::json::body::{self, Body, Fields};
use crate::parameters::{Parameters, path_id};
use crate::problem::ApiError;
use crate::state::{Answer, State};

/// A user as clients see it.
#[derive(Serialize)]
struct UserBody<'a> {
    id: &'a str,
    name: &'a str,
    priority: &'static str,
}

impl<'a> From<&'a User> for UserBody<'a> {
    fn from(user: &'a User) -> Self {
        Self {
            id: user.id.as_str(),
            name: user.name.as_str(),
            priority: user.priority.as_str(),
        }
    }
}

fn read_new(request: &HttpRequest, body: &Body) -> Result<User, ApiError> {
    let mut fields = Fields::parse(request, body)?;
    let id = fields.required("id", body::user_id);
    let name = fields.required("name", body::text(UserName::new));
    let priority = fields
        .optional("priority", body::priority)
        .unwrap_or(PriorityClass::Standard);
    fields.finish(|| {
        Some(User {
            id: id?,
            name: name?,
            priority,
        })
    })
}

/// `POST /users`.
pub(crate) async fn create(
    _: Administration,
    state: State,
    request: HttpRequest,
    body: Body,
) -> Answer {
    let user = state.office.create_user(read_new(&request, &body)?).await?;
    Ok(HttpResponse::Created()
        .insert_header((LOCATION, format!("/users/{}", user.id)))
        .json(UserBody::from(&user)))
}

/// `PATCH /users/{id}`.
pub(crate) async fn change(
    _: Administration,
    state: State,
    request: HttpRequest,
    id: web::Path<String>,
    body: Body,
) -> Answer {
    let id = path_id(&id, UserId::new)?;
    let mut fields = Fields::parse(&request, &body)?;
    let change = UserChange {
        name: fields.optional("name", body::text(UserName::new)),
        priority: fields.optional("priority", body::priority),
    };
    let change = fields.finish(|| Some(change))?;
    let user = state.office.change_user(&id, &change).await?;
    let user = user.ok_or(ApiError::UserNotFound)?;
    Ok(HttpResponse::Ok().json(UserBody::from(&user)))
}

/// `DELETE /users/{id}`.
pub(crate) async fn erase(_: Administration, state: State, id: web::Path<String>) -> Answer {
    #[derive(Serialize)]
    struct ErasedBody<'a> {
        id: &'a str,
        anonymised_tickets: u64,
    }
    let id = path_id(&id, UserId::new)?;
    let alias = UserId::alias(rand::random());
    let tickets = state.office.erase_user(&id, &alias).await?;
    Ok(HttpResponse::Ok().json(ErasedBody {
        id: id.as_str(),
        anonymised_tickets: tickets.ok_or(ApiError::UserNotFound)?,
    }))
}

/// `GET /users/{id}`.
pub(crate) async fn read(_: Administration, state: State, id: web::Path<String>) -> Answer {
    let id = path_id(&id, UserId::new)?;
    let user = state.office.read_user(&id).await?;
    let user = user.ok_or(ApiError::UserNotFound)?;
    Ok(HttpResponse::Ok().json(UserBody::from(&user)))
}

/// `GET /users`, by id.
pub(crate) async fn list(_: Administration, state: State, request: HttpRequest) -> Answer {
    #[derive(Serialize)]
    struct UsersBody<'a> {
        users: Vec<UserBody<'a>>,
        next_cursor: Option<&'a str>,
    }
    let mut parameters = Parameters::of(&request)?;
    let limit = parameters.limit();
    let after = parameters.optional("cursor", UserId::new);
    let after = parameters.finish(|| Some(after))?;
    let _turn = state.lists.turn().await?;
    let users = state.office.list_users(after.as_ref(), limit).await?;
    Ok(HttpResponse::Ok().json(UsersBody {
        users: users.iter().map(UserBody::from).collect(),
        next_cursor: users
            .last()
            .filter(|_| users.len() == limit)
            .map(|user| user.id.as_str()),
    }))
}
