//! `/users`.

use actix_web::http::header::LOCATION;
use actix_web::{HttpRequest, HttpResponse, web};
use domain::author::Author;
use domain::ids::UserId;
use domain::user::{PriorityClass, User, UserChange, UserName};
use fields::{Fields, all, text};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value as Json, json};
use tracing::info;

use crate::access::Operator;
use crate::json::body::Body;
use crate::json::values::{new_user_id, priority};
use crate::openapi::{Operation, Sent, schemas};
use crate::parameters::{PageQuery, path_id, read_query};
use crate::problem::{ApiError, Code};
use crate::state::{Answer, State};

/// Of the class standard unless given.
fn new_user(fields: &mut Fields<'_, '_>) -> Option<User> {
    all!(User {
        id: fields.required("id", new_user_id),
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
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "User")]
struct UserBody<'a> {
    /// Names the user for ever.
    id: &'a str,
    /// As people see it.
    name: &'a str,
    /// `high` or `standard`.
    #[schemars(schema_with = "schemas::priority")]
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

/// A user, and who wrote it.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "AuthoredUser")]
struct AuthoredBody<'a> {
    #[serde(flatten)]
    user: UserBody<'a>,
    /// Who created the user, if somebody else has.
    created_by: Option<&'a str>,
    /// Who changed the user last.
    changed_by: Option<&'a str>,
}

/// A page of users, by id.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "UserPage")]
struct UsersBody<'a> {
    /// The users.
    users: Vec<UserBody<'a>>,
    /// Where the next page starts, if there may be one.
    next_cursor: Option<&'a str>,
}

/// A user who is no more.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ErasedUser")]
struct ErasedBody<'a> {
    /// The id, which nobody has any more.
    id: &'a str,
    /// Tickets that stay, and name nobody.
    anonymised_tickets: u64,
}

/// `POST /users`.
pub(crate) async fn create(by: Operator, state: State, request: HttpRequest, body: Body) -> Answer {
    let user = body.read(&request, new_user)?;
    let user = state.office.create_user(&by, user).await?;
    info!(user.id = %user.id, by = %by.author(), "a user was created");
    Ok(HttpResponse::Created()
        .insert_header((LOCATION, format!("/users/{}", user.id)))
        .json(UserBody::from(&user)))
}

/// `PATCH /users/{id}`.
pub(crate) async fn change(
    by: Operator,
    state: State,
    request: HttpRequest,
    id: web::Path<String>,
    body: Body,
) -> Answer {
    let id = path_id(&id, UserId::new)?;
    let change = body.read(&request, user_change)?;
    let user = state.office.change_user(&by, &id, &change).await?;
    let user = user.ok_or(ApiError::UserNotFound)?;
    info!(user.id = %id, by = %by.author(), "a user was changed");
    Ok(HttpResponse::Ok().json(UserBody::from(&user)))
}

/// `DELETE /users/{id}`.
pub(crate) async fn erase(by: Operator, state: State, id: web::Path<String>) -> Answer {
    let id = path_id(&id, UserId::new)?;
    let alias = UserId::alias(rand::random());
    let tickets = state.office.erase_user(&id, &alias).await?;
    let anonymised_tickets = tickets.ok_or(ApiError::UserNotFound)?;
    // Not the id: nothing is to name the user any more.
    info!(user.alias = %alias, by = %by.author(), "a user was erased");
    Ok(HttpResponse::Ok().json(ErasedBody {
        id: id.as_str(),
        anonymised_tickets,
    }))
}

/// `GET /users/{id}`.
pub(crate) async fn read(_: Operator, state: State, id: web::Path<String>) -> Answer {
    let id = path_id(&id, UserId::new)?;
    let user = state.office.read_user(&id).await?;
    let user = user.ok_or(ApiError::UserNotFound)?;
    let authors = state.office.authors_of(&id).await?;
    Ok(HttpResponse::Ok().json(AuthoredBody {
        user: UserBody::from(&user),
        created_by: authors.created_by.as_ref().map(Author::as_str),
        changed_by: authors.changed_by.as_ref().map(Author::as_str),
    }))
}

/// `GET /users`, by id.
pub(crate) async fn list(_: Operator, state: State, request: HttpRequest) -> Answer {
    let page = read_query(&request, |fields| PageQuery::read(fields, UserId::stored))?;
    let _turn = state.lists.turn().await?;
    let users = state.office.list_users(page.cursor.as_ref(), page.limit);
    let users = users.await?;
    Ok(HttpResponse::Ok().json(UsersBody {
        users: users.iter().map(UserBody::from).collect(),
        next_cursor: users
            .last()
            .filter(|_| users.len() == page.limit)
            .map(|user| user.id.as_str()),
    }))
}

fn example() -> Json {
    json!({"id": "456", "name": "Ada", "priority": "standard"})
}

pub(super) fn list_described() -> Operation {
    Operation::new("listUsers", "Users by id")
        .page(schemas::stored_id())
        .json(
            200,
            "A page of users.",
            schemas::of::<UsersBody<'static>>,
            json!({"users": [example()], "next_cursor": null}),
        )
        .problems([Code::ListsExhausted, Code::StoreUnavailable])
}

pub(super) fn create_described() -> Operation {
    Operation::new("createUser", "Lets somebody order")
        .sent(Sent {
            title: "NewUser",
            fields: json!({
                "id": schemas::new_user_id(), "name": schemas::label(),
                "priority": schemas::priority_asked(),
            }),
            required: &["id", "name"],
            example: json!({"id": "456", "name": "Ada"}),
            is_change: false,
        })
        .json(
            201,
            "The user.",
            schemas::of::<UserBody<'static>>,
            example(),
        )
        .with(&["Location"])
        .leads_to(&[
            ("readUser", "id"),
            ("changeUser", "id"),
            ("eraseUser", "id"),
        ])
        .problems([Code::UserExists, Code::StoreUnavailable])
}

pub(super) fn read_described() -> Operation {
    let mut authored = example();
    authored["created_by"] = "admin.token".into();
    authored["changed_by"] = Json::Null;
    Operation::new("readUser", "A user, and who wrote it")
        .path("id", schemas::identifier())
        .json(
            200,
            "The user.",
            schemas::of::<AuthoredBody<'static>>,
            authored,
        )
        .problems([Code::UserNotFound, Code::StoreUnavailable])
}

pub(super) fn change_described() -> Operation {
    Operation::new("changeUser", "Changes a user's name or class")
        .path("id", schemas::identifier())
        .sent(Sent {
            title: "UserChange",
            fields: json!({"name": schemas::label(), "priority": schemas::priority_asked()}),
            required: &[],
            example: json!({"name": "Ada Lovelace", "priority": "high"}),
            is_change: true,
        })
        .json(
            200,
            "The user.",
            schemas::of::<UserBody<'static>>,
            example(),
        )
        .problems([Code::UserNotFound, Code::StoreUnavailable])
}

pub(super) fn erase_described() -> Operation {
    Operation::new("eraseUser", "Erases a user")
        .about("The tickets stay, under an alias that names nobody.")
        .path("id", schemas::identifier())
        .json(
            200,
            "The user is no more.",
            schemas::of::<ErasedBody<'static>>,
            json!({"id": "456", "anonymised_tickets": 3}),
        )
        .problems([Code::UserNotFound, Code::StoreUnavailable])
}
