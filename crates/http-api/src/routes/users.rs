//! `/users`.

use actix_web::http::header::LOCATION;
use actix_web::{HttpRequest, HttpResponse, web};
use domain::ids::UserId;
use domain::user::{PriorityClass, User, UserChange, UserName};
use fields::{Fields, all, text};
use serde::Serialize;

use crate::access::Administration;
use crate::json::body::Body;
use crate::json::values::{priority, user_id};
use crate::parameters::{PageQuery, path_id, read_query};
use crate::problem::ApiError;
use crate::state::{Answer, State};

/// Of the class standard unless given.
fn new_user(fields: &mut Fields<'_, '_>) -> Option<User> {
    all!(User {
        id: fields.required("id", user_id),
        name: fields.required("name", text(UserName::new)),
        priority: fields.or("priority", PriorityClass::Standard, priority),
    })
}

fn user_change(fields: &mut Fields<'_, '_>) -> Option<UserChange> {
    all!(UserChange {
        name: fields.optional("name", text(UserName::new)),
        priority: fields.optional("priority", priority),
    })
}

/// A user as clients see it.
#[derive(Serialize)]
struct UserBody<'a> {
    /// Names the user for ever.
    id: &'a str,
    /// As people see it.
    name: &'a str,
    /// `high` or `standard`.
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

/// A page of users, by id.
#[derive(Serialize)]
struct UsersBody<'a> {
    /// The users.
    users: Vec<UserBody<'a>>,
    /// Where the next page starts, if there may be one.
    next_cursor: Option<&'a str>,
}

/// A user who is no more.
#[derive(Serialize)]
struct ErasedBody<'a> {
    /// The id, which nobody has any more.
    id: &'a str,
    /// Tickets that stay, and name nobody.
    anonymised_tickets: u64,
}

/// `POST /users`.
pub(crate) async fn create(
    _: Administration,
    state: State,
    request: HttpRequest,
    body: Body,
) -> Answer {
    let user = body.read(&request, new_user)?;
    state.office.users().create(&user).await?;
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
    let change = body.read(&request, user_change)?;
    let user = state.office.users().change(&id, &change).await?;
    let user = user.ok_or(ApiError::UserNotFound)?;
    Ok(HttpResponse::Ok().json(UserBody::from(&user)))
}

/// `DELETE /users/{id}`.
pub(crate) async fn erase(_: Administration, state: State, id: web::Path<String>) -> Answer {
    let id = path_id(&id, UserId::new)?;
    let alias = UserId::alias(rand::random());
    let tickets = state.office.users().erase(&id, &alias).await?;
    Ok(HttpResponse::Ok().json(ErasedBody {
        id: id.as_str(),
        anonymised_tickets: tickets.ok_or(ApiError::UserNotFound)?,
    }))
}

/// `GET /users/{id}`.
pub(crate) async fn read(_: Administration, state: State, id: web::Path<String>) -> Answer {
    let id = path_id(&id, UserId::new)?;
    let user = state.office.users().find(&id).await?;
    let user = user.ok_or(ApiError::UserNotFound)?;
    Ok(HttpResponse::Ok().json(UserBody::from(&user)))
}

/// `GET /users`, by id.
pub(crate) async fn list(_: Administration, state: State, request: HttpRequest) -> Answer {
    let page = read_query(&request, |fields| PageQuery::read(fields, UserId::new))?;
    let _turn = state.lists.turn().await?;
    let users = state.office.users();
    let users = users.list(page.cursor.as_ref(), page.limit).await?;
    Ok(HttpResponse::Ok().json(UsersBody {
        users: users.iter().map(UserBody::from).collect(),
        next_cursor: users
            .last()
            .filter(|_| users.len() == page.limit)
            .map(|user| user.id.as_str()),
    }))
}
